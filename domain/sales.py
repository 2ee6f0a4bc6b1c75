"""What may be sold, refunded and reversed: pure decisions on a picture of the purse.

Each function answers with what to book, or with the refusal that takes precedence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.ledger import Entry, Kind, Method
from domain.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Event:
    """A money event of a purse as booked: its count is the number on the receipt."""

    event_id: str
    count: int
    kind: Kind
    fen: int  # what it added to granted; negative for a refund
    method: Method | None
    entry: Entry
    reversed_by: str | None = None


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


def decide_sale(purse: PurseView, *, fen: int, method: Method, cap_fen: int) -> Approved | Refusal:
    """A sale, within the hoarding cap 囤积金额上限 (balance after > cap refuses the whole sale)."""
    raise NotImplementedError


def decide_opening(purse: PurseView, *, fen: int) -> Approved | Refusal:
    """An old meter's balance carried in; only as the purse's first event, not under the cap."""
    raise NotImplementedError


def decide_refund(purse: PurseView, *, fen: int) -> Reserve | Refusal:
    """A refund within the balance as known; the gateway has the last word."""
    raise NotImplementedError


def post_refund(purse: PurseView, *, fen: int, method: Method) -> Approved | Refusal:
    """Book an accepted refund reservation."""
    raise NotImplementedError


def decide_reversal(purse: PurseView, event: Event, *, below_zero: bool) -> Reserve | Approved | Refusal:
    """Undo the purse's latest event, once: a sale by reservation, a refund at once.

    `below_zero` is a supervisor's permission to leave less than nothing.
    """
    raise NotImplementedError


def post_reversal(purse: PurseView, event: Event) -> Approved | Refusal:
    """Book an accepted reversal reservation."""
    raise NotImplementedError


def trail(events: Sequence[Event]) -> int:
    """Granted fen as the sum of a purse's events."""
    raise NotImplementedError
