"""The purse: what was granted less what was charged, and the one rule by which it changes hands.

Granted is written only by the centre, charged only by the gateway. A credit intent is absolute and
versioned; adopting one never lowers what is available except by a reservation accepted in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from domain.refusals import Refusal

REVERSAL_BELOW_ZERO = "reversal_below_zero"  # a supervisor's purpose: may leave less than nothing


@dataclass(frozen=True, slots=True)
class Reservation:
    """Credit the centre asks the gateway to set aside: refund, transfer_out, reversal, …"""

    reservation_id: str
    fen: int
    purpose: str


@dataclass(frozen=True, slots=True)
class CreditIntent:
    """What the centre wants a purse to be: absolute, versioned, counted."""

    version: int
    count: int
    granted_fen: int
    reservations: tuple[Reservation, ...] = ()
    state: Literal["open", "closing", "closed"] = "open"


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as answered: only an accepted one lowers what is available."""

    fen: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class Purse:
    """What the gateway holds of a purse. `version` is −1 before the first intent."""

    purse_id: str
    version: int = -1
    count: int = 0
    granted_fen: int = 0
    charged_ticks: int = 0
    reservations: Mapping[str, Held] = field(default_factory=dict)
    state: Literal["open", "closing", "closed"] = "open"


@dataclass(frozen=True, slots=True)
class Answer:
    """The one answer a reservation gets, and what was available after it."""

    reservation_id: str
    accepted: bool
    available_ticks: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """A purse after an intent, and the answers to the reservations that were new in it."""

    purse: Purse
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where warnings stand, and how far below zero supply goes on."""

    alarm_1_fen: int
    alarm_2_fen: int
    overdraft_fen: int = 0


class Level(IntEnum):
    """How a purse stands; each step is worse than the one before. Comparison is ≤ threshold."""

    ok = 0
    alarm_1 = 1
    alarm_2 = 2
    arrears = 3  # at or below zero, overdraft not used up
    spent = 4  # at or below −overdraft: supply ends


def available_ticks(purse: Purse) -> int:
    """granted − charged − accepted reservations, in ticks."""
    raise NotImplementedError


def adopt(purse: Purse, intent: CreditIntent, answered: Mapping[str, bool] | None = None) -> Adoption | Refusal:
    """Adopt iff version > held version and count ≥ held count; else the refusal that says which.

    A reservation is answered once: accepted iff available ≥ fen or its purpose allows less than
    nothing; `answered` remembers ids answered before and dropped since. One that left the list is
    dropped.
    """
    raise NotImplementedError


def charged(purse: Purse, ticks: int) -> Purse:
    """The purse after a charge of `ticks` ≥ 0."""
    raise NotImplementedError


def level(available: int, thresholds: Thresholds) -> Level:
    """How `available` ticks stand against the thresholds; overdraft 0 and balance 0 is spent."""
    raise NotImplementedError
