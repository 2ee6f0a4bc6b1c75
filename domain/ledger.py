"""Double entry: every entry balances, nothing is edited, a balance is a sum.

Amounts are fen; a debit is positive, a credit negative. A purse is what the house owes its holder,
so a sale debits cash and credits the purse. Consumption is not posted here: it is charged in ticks
by the gateway and kept as charge rows, whose running total stands beside the purse.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.ids import is_id
from domain.units import INT_MAX

_PLAIN_ACCOUNTS = frozenset({"opening", "adjustment", "suspense", "rounding"})


class Kind(StrEnum):
    """The kinds of money event; each takes the purse's next count."""

    opening = "opening"  # 老表金额转入: an old meter's balance carried in, never in the sales total
    sale = "sale"
    refund = "refund"
    reversal = "reversal"
    transfer_out = "transfer_out"
    transfer_in = "transfer_in"
    adjustment = "adjustment"
    settlement = "settlement"


class Method(StrEnum):
    """How money came or went."""

    cash = "cash"
    alipay = "alipay"
    wechat = "wechat"
    unionpay = "unionpay"
    transfer = "transfer"
    campus_card = "campus_card"


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry. Accounts are written `cash:alipay`, `purse:<purse_id>`, `opening`,
    `adjustment`, `suspense`, `rounding`."""

    account: str
    fen: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A balanced set of postings of one kind. `reverses` names the entry that this one undoes."""

    kind: Kind
    postings: tuple[Posting, ...]
    reverses: str | None = None


def faults(entry: Entry) -> list[str]:
    """What makes an entry unbookable (unbalanced, empty, zero posting …); empty when sound."""
    found = []
    if len(entry.postings) < 2:
        found.append(f"an entry has at least two postings, not {len(entry.postings)}")
    total_fen = sum(posting.fen for posting in entry.postings)
    if total_fen != 0:
        found.append(f"debits and credits differ by {total_fen} fen")
    seen: set[str] = set()
    for posting in entry.postings:
        if posting.fen == 0:
            found.append(f"{posting.account}: a posting of 0 fen")
        if abs(posting.fen) > INT_MAX:
            found.append(f"{posting.account}: {posting.fen} fen is beyond the largest amount")
        if not _is_account(posting.account):
            found.append(f"{posting.account!r} is not an account")
        if posting.account in seen:
            found.append(f"{posting.account}: posted twice in one entry")
        seen.add(posting.account)
    if entry.kind is Kind.reversal and not entry.reverses:
        found.append("a reversal names the entry that it undoes")
    if entry.kind is not Kind.reversal and entry.reverses is not None:
        found.append(f"a {entry.kind} undoes no entry, yet it names {entry.reverses}")
    return found


def balance(postings: Iterable[Posting], account: str) -> int:
    """The sum of an account's postings, in fen, debit positive."""
    return sum(posting.fen for posting in postings if posting.account == account)


def purse_account(purse_id: str) -> str:
    """The account of what the house owes a purse's holder."""
    return f"purse:{purse_id}"


def granted(entry: Entry, purse_id: str) -> int:
    """What an entry adds to a purse's granted fen (negative for a refund)."""
    return -balance(entry.postings, purse_account(purse_id))


def sale(purse_id: str, fen: int, method: Method) -> Entry:
    """Money came in by `method` and is owed to the purse; `fen` > 0."""
    return _moved(Kind.sale, debit=f"cash:{method}", credit=purse_account(purse_id), fen=fen)


def refund(purse_id: str, fen: int, method: Method) -> Entry:
    """Money went back out by `method`; `fen` > 0."""
    return _moved(Kind.refund, debit=purse_account(purse_id), credit=f"cash:{method}", fen=fen)


def opening(purse_id: str, fen: int) -> Entry:
    """An old meter's balance taken over: no cash, and never in the sales total; `fen` > 0."""
    return _moved(Kind.opening, debit="opening", credit=purse_account(purse_id), fen=fen)


def reversal(entry: Entry, entry_id: str) -> Entry:
    """The compensating entry: every posting of `entry` with the other sign."""
    assert entry.kind is not Kind.reversal, "a reversal is final; it is not undone"
    postings = tuple(Posting(posting.account, -posting.fen) for posting in entry.postings)
    return Entry(Kind.reversal, postings, reverses=entry_id)


def _moved(kind: Kind, *, debit: str, credit: str, fen: int) -> Entry:
    assert fen > 0, f"a {kind} of {fen} fen"
    return Entry(kind, (Posting(debit, fen), Posting(credit, -fen)))


def _is_account(name: str) -> bool:
    head, _, rest = name.partition(":")
    if head == "cash":
        return rest in set(Method)
    if head == "purse":
        return is_id(rest)
    return name in _PLAIN_ACCOUNTS
