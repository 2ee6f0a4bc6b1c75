"""Double entry: every entry balances, nothing is edited, a balance is a sum.

Amounts are fen; a debit is positive, a credit negative. A purse is what the house owes its holder,
so a sale debits cash and credits the purse. Consumption is not posted here: it is charged in ticks
by the gateway and kept as charge rows, whose running total stands beside the purse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


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
    raise NotImplementedError


def balance(postings: Sequence[Posting], account: str) -> int:
    """The sum of an account's postings, in fen, debit positive."""
    raise NotImplementedError


def granted(entry: Entry, purse_id: str) -> int:
    """What an entry adds to a purse's granted fen (negative for a refund)."""
    raise NotImplementedError


def sale(purse_id: str, fen: int, method: Method) -> Entry: 
    raise NotImplementedError


def refund(purse_id: str, fen: int, method: Method) -> Entry:
    raise NotImplementedError


def opening(purse_id: str, fen: int) -> Entry:
    raise NotImplementedError


def reversal(entry: Entry, entry_id: str) -> Entry:
    """The compensating entry: every posting of `entry` with the other sign."""
    raise NotImplementedError
