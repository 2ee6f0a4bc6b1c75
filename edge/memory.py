"""What a gateway must still know after a power cut: rows of the journal, written with their facts.

Plain frozen values; the journal keeps them, the cycle reads and replaces them. Energy is in Wh,
money in ticks or fen, time in UTC milliseconds. No clock, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from domain.credit import Purse
from domain.instants import Stamp
from domain.supply import Mode, Relay, State
from domain.tariff import Position


@dataclass(frozen=True, slots=True)
class Mark:
    """A total at an instant: what a meter's unwrapped register stood at, and when it was read."""

    total_wh: int
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Trips:
    """Automatic trips of a meter: the newest one, and how many fell on one day of the gateway."""

    day: int = 0  # days since the epoch by the gateway's own time; 0 before the first
    count: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class PointMemory:
    """A point with its meter: how far its energy is charged, and what was decided for its supply.

    `seen` is the last believed register (the raw register beside its unwrapped total), `charged`
    how far the energy has been charged. Both belong to (meter_id, incarnation); the tier
    `position` belongs to the point and survives a swap.
    """

    point_id: str
    meter_id: str
    incarnation: int
    register_wh: int
    seen: Mark
    charged: Mark
    purse_id: str | None
    position: Position
    state: State = State.unknown
    decided_seq: int = 0  # seq of the newest supply_decided; 0 before the first
    relay: Relay = Relay.unknown
    interval: int = 0  # number of the clock interval in which it was closed last
    trips: Trips = Trips()
    suspect_wh: int | None = None  # register that jumped; not believed until it goes back


@dataclass(frozen=True, slots=True)
class PurseMemory:
    """A purse as held here. `answered` remembers reservations answered before, also dropped ones.

    `closed_seq` is the seq of `purse_closed`, 0 before it: after it nothing is charged.
    """

    purse: Purse
    answered: Mapping[str, bool] = field(default_factory=dict)
    closed_seq: int = 0


@dataclass(frozen=True, slots=True)
class SupplyHeld:
    """The newest supply intent of a point; the `_n` are counters: do it when they rise."""

    point_id: str
    version: int
    mode: Mode = Mode.prepaid
    until_ms: int | None = None
    clear_lock_n: int = 0
    read_now_n: int = 0
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The newest version of an intent that was answered, and how."""

    kind: str
    key: str
    version: int
    outcome: Literal["held", "refused"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that stands. (code, subject_id) is its identity; the id names this occurrence."""

    alarm_id: str
    code: str
    subject_id: str
    severity: str
    detail: str
    raised_ms: int


@dataclass(frozen=True, slots=True)
class Written:
    """A fact as it is kept: its number, kind and canonical text."""

    seq: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one cycle keeps; it is written in one transaction or not at all."""

    facts: tuple[Written, ...] = ()
    points: tuple[PointMemory, ...] = ()
    purses: tuple[PurseMemory, ...] = ()
    supply: tuple[SupplyHeld, ...] = ()
    taken: tuple[Taken, ...] = ()
    alarms_raised: tuple[Alarm, ...] = ()
    alarms_cleared: tuple[str, ...] = ()  # alarm ids
    floor_ms: int = 0  # the newest instant known to have passed

    def __bool__(self) -> bool:
        """Whether there is anything to keep (a floor alone is not worth a write)."""
        return bool(
            self.facts
            or self.points
            or self.purses
            or self.supply
            or self.taken
            or self.alarms_raised
            or self.alarms_cleared
        )


@dataclass(frozen=True, slots=True)
class Series:
    """Which journal this is and how far it goes. `chain` values are 32 hex digits."""

    journal_id: str
    reason: Literal["first", "replaced", "rolled_back"]
    previous_journal_id: str | None
    boot: int  # starts of the service, this one included
    head_seq: int = 0
    books_epoch: int = 0
    held_seq: int = 0
    safe_seq: int = 0


@dataclass(frozen=True, slots=True)
class CarriedClock:
    """What lets a restarted service go on with the time it had: valid while `kernel_boot_id` is.

    `boottime_ms` is the kernel's boot-time clock when UTC was `at_ms`, known at trust `trust`.
    """

    kernel_boot_id: str
    boottime_ms: int
    at_ms: int
    trust: int


@dataclass(frozen=True, slots=True)
class Recollection:
    """Everything a start finds in the journal."""

    series: Series
    floor_ms: int = 0
    carried: CarriedClock | None = None
    points: tuple[PointMemory, ...] = ()
    purses: tuple[PurseMemory, ...] = ()
    supply: tuple[SupplyHeld, ...] = ()
    taken: tuple[Taken, ...] = ()
    alarms: tuple[Alarm, ...] = ()
