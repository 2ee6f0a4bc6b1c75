"""All a gateway knows when it decides: one frozen value, replaced by every cycle.

What must survive a power cut stands in `memory` values and is kept by the journal; the rest (what
the meters said in this start, what is on its way) is learned again. No clock, no I/O.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from domain.instants import MINUTE_MS, Stamp, Zone
from domain.readings import Limits
from domain.supply import Relay
from domain.tariff import Calendar, Pricing, Tariff
from domain.wire.intents import InstallationBody, Intent, Place, PolicyBody
from edge.memory import Alarm, PointMemory, PurseMemory, SupplyHeld, Taken
from edge.meters.profile import Profile
from edge.meters.snapshot import Snapshot, same_meter

NEVER_CLOSED = -1  # an interval number before all others
UTC = Zone(((0, 0),))
NO_CALENDAR = Calendar()


@dataclass(frozen=True, slots=True)
class Rules:
    """The gateway's own settings. Times in milliseconds."""

    gateway_id: str
    software: str = ""
    interval_ms: int = 30 * MINUTE_MS
    fresh_ms: int = 30_000  # a reading this young can close an interval
    lost_ms: int = MINUTE_MS  # without an answer for longer, a meter is lost
    gather_ms: int = 10_000  # how long a price boundary waits for the slowest meter
    trips_a_day: int = 10  # automatic ones, of one meter; more only beyond this debt:
    debt_max_fen: int = 2_000  # below where supply ends (0, or the overdraft where there is one)
    retry_ms: int = 5_000  # after a relay that did not move; doubled up to retry_max_ms
    retry_max_ms: int = 5 * MINUTE_MS
    command_ms: int = 30_000  # a relay command without a result for longer is given up
    closing_ms: int = MINUTE_MS  # a closing purse's relay opens, if no two reads agreed till then


@dataclass(frozen=True, slots=True)
class Reading:
    """The newest believed reading of this start; `total_wh` is the unwrapped register."""

    snapshot: Snapshot
    total_wh: int
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Sight:
    """A register that one poll showed and that counts once another poll agrees with it."""

    register_wh: int
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Command:
    """A relay command on its way."""

    wanted: Relay
    decided_seq: int
    since_mono_ms: int


@dataclass(frozen=True, slots=True)
class Point:
    """A point as installed, what is remembered of it, and what its meter said in this start.

    `memory` is None until its first believed reading ever. `ratio` is PT × CT: what the meter
    counts is multiplied by it, and `limits` are already.
    """

    place: Place
    profile: Profile
    limits: Limits
    ratio: int
    memory: PointMemory | None = None
    heard_mono_ms: int = 0  # when it last answered, or when waiting for it began
    missing: bool = False  # silent for longer than a live meter is
    meter_id_read: str | None = None  # None: not identified in this start
    own_prepaid_on: bool | None = None
    reading: Reading | None = None
    unsure: Sight | None = None  # the newest poll, where it is not believed by itself
    shown: Relay | None = None  # the relay in its newest poll, believed or not; None: not polled
    provisional_ticks: int = 0  # the price of what is read and not charged yet
    boundary_ms: int = 0  # next instant after `charged` at which the price may change; 0 unknown
    low_polls: int = 0  # believed polls in a row at or below the limit
    unlike_polls: int = 0  # polls in a row that show the relay otherwise than wanted
    equal_reads: int = 0  # believed polls in a row with the same register, while closing
    read_wanted: bool = False  # staff asked for a reading to be kept
    command: Command | None = None
    retries: int = 0
    retry_mono_ms: int = 0  # no command of our own accord before
    failed: tuple[Relay, Relay] | None = None  # (wanted, seen) of the newest result, if they differ
    changed: int = 0  # cycle in which something that is shown changed

    @property
    def point_id(self) -> str:
        return self.place.point_id

    @property
    def bus_id(self) -> str:
        return self.place.bus_id

    @property
    def is_remembered(self) -> bool:
        """Whether what is remembered is of the meter that is installed now."""
        memory, place = self.memory, self.place
        return memory is not None and (memory.meter_id, memory.incarnation) == (
            place.meter_id,
            place.incarnation,
        )

    @property
    def in_service(self) -> bool:
        """The right meter answers here, and its own prepaid control 费控 was read as off."""
        return self.own_prepaid_on is False and same_meter(self.meter_id_read, self.place.meter_id)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A credit intent that is taken once the purse's meters were read after `since_mono_ms`."""

    intent: Intent
    since_mono_ms: int


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as held."""

    version: int
    body: PolicyBody


@dataclass(frozen=True, slots=True)
class Picture:
    """The gateway. Mappings are never changed in place; a cycle makes new ones."""

    rules: Rules
    profiles: Mapping[str, Profile]
    journal_id: str
    reason: Literal["first", "replaced", "rolled_back"]
    previous_journal_id: str | None
    boot: int
    next_seq: int
    cycle: int = 0
    interval: int = NEVER_CLOSED  # the clock interval the newest cycle fell in
    watched_mono_ms: int = -1_000  # when meters were last looked at for being lost
    boundary_mono_ms: int | None = None  # since when meters wait to close at a price boundary
    installation: InstallationBody | None = None
    zone: Zone = UTC
    calendar: Calendar = NO_CALENDAR
    tariffs: Mapping[str, tuple[Tariff, ...]] = field(default_factory=dict)
    pricings: Mapping[str, Pricing] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    points: Mapping[str, Point] = field(default_factory=dict)
    retired: Mapping[str, PointMemory] = field(default_factory=dict)  # points not installed now
    purses: Mapping[str, PurseMemory] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)  # purse → what it is asked for
    closing_since: Mapping[str, int] = field(default_factory=dict)  # purse → mono_ms of this start
    points_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # purse → its points
    supply: Mapping[str, SupplyHeld] = field(default_factory=dict)
    taken: Mapping[tuple[str, str], Taken] = field(default_factory=dict)
    alarms: Mapping[tuple[str, str], Alarm] = field(default_factory=dict)  # (subject, code) → it
    old_intents: int = 0  # intents that came again; they have no effect


def grouped(points: Iterable[Point]) -> dict[str, tuple[str, ...]]:
    """The points of each purse."""
    groups: dict[str, tuple[str, ...]] = {}
    for point in points:
        if (purse_id := point.place.purse_id) is not None:
            groups[purse_id] = (*groups.get(purse_id, ()), point.point_id)
    return groups
