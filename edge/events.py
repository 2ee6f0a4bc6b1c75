"""What arrives at the gateway: from its buses, from the centre, from its clock. Values only.

The cycle takes events in the order in which they arrived. `mono_ms` is milliseconds since the start
of the service, by the same clock as a Stamp's.
"""

from dataclasses import dataclass
from typing import Literal

from domain.supply import Relay
from domain.wire.intents import Intent
from domain.wire.messages import Watermark
from edge.memory import Series
from edge.meters.snapshot import Snapshot

# --- from a bus ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Polled:
    """A point's meter answered its poll. `meter_id` is the one installed when it was asked."""

    point_id: str
    meter_id: str
    snapshot: Snapshot
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Missed:
    """A poll stayed without a usable answer.

    `reason` is a word: no_reply, bad_reply (noise, damaged, not an answer to what was asked),
    refused (the meter answered with an exception), nonsense (intact, but not what this type of
    meter says), other_meter (another meter number than the installed one), port_lost.
    """

    point_id: str
    reason: str
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Identified:
    """Who answers at a point: the meter number as read, and whether its own 费控 is on.

    It comes before the first Polled after the meter (re)appeared, and again from time to time.
    """

    point_id: str
    meter_id_read: str
    own_prepaid_on: bool
    mono_ms: int


@dataclass(frozen=True, slots=True)
class RelayMoved:
    """The end of a relay command: what was wanted, and what was read back after `tries` writes.

    `ref` is the `decided_seq` of the command. `seen` unknown: the meter did not answer.
    """

    point_id: str
    wanted: Relay
    seen: Relay
    tries: int
    ref: int


@dataclass(frozen=True, slots=True)
class PortLost:
    """A bus's port is gone or taken: all its points are silent until PortBack."""

    bus_id: str
    reason: str
    mono_ms: int


@dataclass(frozen=True, slots=True)
class PortBack:
    """A lost port was opened again; its meters are identified anew before they count."""

    bus_id: str
    mono_ms: int


@dataclass(frozen=True, slots=True)
class PointHealth:
    """A point's share of a bus's hour: good and bad answers, reply times (None: none came)."""

    point_id: str
    good: int
    bad: int
    p50_ms: int | None
    p99_ms: int | None


@dataclass(frozen=True, slots=True)
class BusHealth:
    """An hour of one bus."""

    bus_id: str
    points: tuple[PointHealth, ...]


BusEvent = Polled | Missed | Identified | RelayMoved | PortLost | PortBack | BusHealth

# --- from the centre and the clock -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IntentArrived:
    """An intent came in, opened and checked by its frame; its body is still to be read."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class WatermarkArrived:
    """The centre said how far it holds this gateway's facts."""

    watermark: Watermark


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The gateway's clock was set: `before_ms` is what it said at `trust_before` until then."""

    source: Literal["ntp", "centre", "meter", "floor"]
    before_ms: int
    trust_before: int


@dataclass(frozen=True, slots=True)
class SeriesStarted:
    """The journal began a new series of facts: the next fact is number 1 of `series`."""

    series: Series


Event = BusEvent | IntentArrived | WatermarkArrived | ClockStepped | SeriesStarted
