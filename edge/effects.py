"""What the cycle wants done, as values; only the performer does it.

A cycle's effects stand in the order in which they must happen: files first, then the one commit,
then relays, then words. The dataclasses hold no behaviour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from domain.supply import Relay
from domain.wire.intents import InstallationBody, Intent
from domain.wire.messages import Watermark
from edge.memory import Commit


@dataclass(frozen=True, slots=True)
class StoreIntent:
    """Keep an intent in the installation file; its `intent_taken` follows in the commit."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Persist:
    """Write facts and rows in one durable transaction. Nothing after it happens if it fails."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class HeedWatermark:
    """Let the journal take the centre's word on what it holds."""

    watermark: Watermark


@dataclass(frozen=True, slots=True)
class RebuildBuses:
    """Other meters, buses or addresses than before: the buses are to be set up anew."""

    installation: InstallationBody


@dataclass(frozen=True, slots=True)
class SwitchRelay:
    """Bring a point's relay to a position and read it back; `decided_seq` comes back with it."""

    point_id: str
    bus_id: str
    wanted: Relay
    decided_seq: int


@dataclass(frozen=True, slots=True)
class ReadSoon:
    """Poll a point ahead of its turn."""

    point_id: str
    bus_id: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log: an event name and its fields."""

    level: Literal["info", "warning", "error"]
    event: str
    fields: Mapping[str, int | str | None]


Effect = StoreIntent | Persist | HeedWatermark | RebuildBuses | SwitchRelay | ReadSoon | Note
