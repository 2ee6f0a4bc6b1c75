"""What may be sold, refunded and reversed: pure decisions on a picture of the purse.

Each function answers with what to book, or with the refusal that takes precedence: it gathers all
that apply and gives the first in the order of `domain.refusals`. `post_…` functions book what a
gateway has already accepted, so they refuse only where the books cannot take it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain import ledger
from domain.credit import REVERSAL_BELOW_ZERO
from domain.ledger import Entry, Kind, Method
from domain.refusals import Refusal, first
from domain.units import AMOUNT_MAX_FEN, TICKS_PER_FEN

REFUND = "refund"  # purposes of a reservation, beside credit.REVERSAL_BELOW_ZERO
REVERSAL = "reversal"


@dataclass(frozen=True, slots=True)
class Event:
    """A money event of a purse as booked: its count is the number on the receipt.

    `entry_id` is the entry's name in the books; left out where it is the event's own.
    """

    event_id: str
    count: int
    kind: Kind
    fen: int  # what it added to granted; negative for a refund
    method: Method | None
    entry: Entry
    reversed_by: str | None = None
    entry_id: str | None = None


@dataclass(frozen=True, slots=True)
class PurseView:
    """What the centre knows of a purse when it decides, read under the purse's lock.

    `available_ticks` is granted − booked charged − accepted reservations as last known.
    `open_reservations` counts those asked for and not yet answered or posted.
    """

    purse_id: str
    state: str  # open | closing | closed
    count: int
    granted_fen: int
    available_ticks: int
    open_reservations: int
    latest: Event | None  # the latest money event, None before the first
    catching_up: bool = False  # books restored from a backup and not yet level with the gateway


@dataclass(frozen=True, slots=True)
class Approved:
    """Book `entry` as money event number `count`; the purse's granted becomes `granted_fen`."""

    entry: Entry
    count: int
    granted_fen: int


@dataclass(frozen=True, slots=True)
class Reserve:
    """Ask the gateway to set `fen` aside for `purpose`; nothing is posted or paid until it does."""

    fen: int
    purpose: str


def decide_sale(
    purse: PurseView, *, fen: int, method: Method, cap_fen: int | None
) -> Approved | Refusal:
    """A sale, within the hoarding cap 囤积金额上限 (balance after > cap refuses the whole sale).

    `cap_fen` None: this site has no cap. An open refund does not stop a sale.
    """
    found = [*_amount(fen), *_writable(purse)]
    if cap_fen is not None and purse.available_ticks > (cap_fen - fen) * TICKS_PER_FEN:
        found.append(Refusal.above_hoarding_cap)
    return first(found) or _approved(purse, ledger.sale(purse.purse_id, fen, method))


def decide_opening(purse: PurseView, *, fen: int) -> Approved | Refusal:
    """An old meter's balance carried in; only as the purse's first event, not under the cap."""
    found = [*_amount(fen), *_writable(purse)]
    if purse.count != 0 or purse.latest is not None:
        found.append(Refusal.opening_not_first)
    return first(found) or _approved(purse, ledger.opening(purse.purse_id, fen))


def decide_refund(purse: PurseView, *, fen: int) -> Reserve | Refusal:
    """A refund within the balance as known; the gateway has the last word.

    Another open reservation does not stop it: the gateway answers them one after the other, each
    against what the one before has left.
    """
    found = [*_amount(fen), *_writable(purse)]
    if purse.latest is None:
        found.append(Refusal.no_money_event)
    if purse.available_ticks < fen * TICKS_PER_FEN:
        found.append(Refusal.exceeds_balance)
    return first(found) or Reserve(fen, REFUND)


def post_refund(purse: PurseView, *, fen: int, method: Method) -> Approved | Refusal:
    """Book an accepted refund reservation.

    Nothing but books that may not be written stands against it: the gateway has set the money
    aside, so balance, later events and a closing account change nothing.
    """
    found = [*_amount(fen), *_postable(purse)]
    return first(found) or _approved(purse, ledger.refund(purse.purse_id, fen, method))


def decide_reversal(
    purse: PurseView, event: Event, *, below_zero: bool
) -> Reserve | Approved | Refusal:
    """Undo the purse's latest event, once: a sale by reservation, a refund at once.

    `below_zero` is a supervisor's permission to leave less than nothing. Charges reach the books
    late, so the balance known here is never less than the gateway's: where it is too small already,
    the gateway need not be asked.
    """
    found = [*_writable(purse), *_undoable(event)]
    if purse.latest is None:
        found.append(Refusal.no_money_event)
    elif purse.latest.event_id != event.event_id:
        found.append(Refusal.not_the_latest_event)
    if purse.open_reservations > 0:
        found.append(Refusal.reservation_open)
    short = purse.available_ticks < event.fen * TICKS_PER_FEN
    if event.kind is Kind.sale and short and not below_zero:
        found.append(Refusal.needs_supervisor)
    refusal = first(found)
    if refusal is not None:
        return refusal
    if event.kind is Kind.refund:
        return _approved(purse, ledger.reversal(event.entry, event.entry_id or event.event_id))
    return Reserve(event.fen, REVERSAL_BELOW_ZERO if below_zero else REVERSAL)


def post_reversal(purse: PurseView, event: Event) -> Approved | Refusal:
    """Book an accepted reversal reservation; sales made since it was asked for do not hinder it."""
    found = [*_postable(purse), *_undoable(event)]
    refusal = first(found)
    if refusal is not None:
        return refusal
    return _approved(purse, ledger.reversal(event.entry, event.entry_id or event.event_id))


def trail(events: Sequence[Event]) -> int:
    """Granted fen as the sum of a purse's events."""
    return sum(event.fen for event in events)


def _approved(purse: PurseView, entry: Entry) -> Approved:
    wrong = ledger.faults(entry)
    assert not wrong, wrong
    granted_fen = purse.granted_fen + ledger.granted(entry, purse.purse_id)
    return Approved(entry, purse.count + 1, granted_fen)


def _amount(fen: int) -> list[Refusal]:
    if fen <= 0:
        return [Refusal.amount_not_positive]
    return [Refusal.amount_too_large] if fen > AMOUNT_MAX_FEN else []


def _writable(purse: PurseView) -> list[Refusal]:
    closing = [Refusal.purse_closing] if purse.state == "closing" else []
    return _postable(purse) + closing


def _postable(purse: PurseView) -> list[Refusal]:
    found = [Refusal.books_catching_up] if purse.catching_up else []
    return [*found, Refusal.account_closed] if purse.state == "closed" else found


def _undoable(event: Event) -> list[Refusal]:
    found = [Refusal.already_reversed] if event.reversed_by is not None else []
    sold_or_paid_back = event.kind in (Kind.sale, Kind.refund)
    return found if sold_or_paid_back else [*found, Refusal.not_reversible]
