"""Where messages travel: `wl1/{cell}/{gateway}/up|down/…`, and which kind belongs on which topic.

A topic is the address that the envelope's seal covers. This module does not know MQTT.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from domain.ids import is_id

ROOT = "wl1"
Direction = Literal["up", "down"]


class Kind(IntEnum):
    """What an envelope holds; the number is byte 3 of its header."""

    facts = 1
    live = 2
    pulse = 3
    watermark = 16
    intent = 17


@dataclass(frozen=True, slots=True)
class Parsed:
    """A topic taken apart. `kind` is None for `gone`, the will, which carries nothing.

    `name` is the intent's kind, else empty; `key` the intent's key or the watermark's journal.
    """

    cell_id: str
    gateway_id: str
    direction: Direction
    kind: Kind | None
    name: str = ""
    key: str = ""


class Topics:
    """The topics of one gateway. Ids that a topic cannot carry raise ValueError."""

    def __init__(self, cell_id: str, gateway_id: str) -> None:
        start = f"{ROOT}/{_checked(cell_id)}/{_checked(gateway_id)}"
        self.facts = f"{start}/up/facts"
        self.live = f"{start}/up/live"
        self.pulse = f"{start}/up/pulse"
        self.gone = f"{start}/up/gone"  # the will: empty, a hint
        self.down_filter = f"{start}/down/#"
        self._down = f"{start}/down"

    def watermark(self, journal_id: str) -> str:
        """Where the centre says how far it holds a journal."""
        return f"{self._down}/watermark/{_checked(journal_id)}"

    def intent(self, kind: str, key: str) -> str:
        """Where the centre keeps one intent."""
        return f"{self._down}/intent/{_checked(kind)}/{_checked(key)}"


def up_filter(cell_id: str) -> str:
    """The subscription of a cell's centre: everything its gateways say."""
    return f"{ROOT}/{_checked(cell_id)}/+/up/#"


def parse(topic: str) -> Parsed | None:
    """A topic of this protocol taken apart, or None where it is none."""
    found = _TOPIC.fullmatch(topic)
    if found is None:
        return None
    cell_id, gateway_id, up, journal_id, name, key = found.groups()
    if up == "gone":
        return Parsed(cell_id, gateway_id, "up", None)
    if up is not None:
        return Parsed(cell_id, gateway_id, "up", Kind[up])
    if journal_id is not None:
        return Parsed(cell_id, gateway_id, "down", Kind.watermark, key=journal_id)
    return Parsed(cell_id, gateway_id, "down", Kind.intent, name=name, key=key)


def kind_of(topic: str) -> Kind | None:
    """The kind of envelope that a topic carries; None where it carries none."""
    parsed = parse(topic)
    return parsed.kind if parsed else None


def _checked(part: str) -> str:
    if not is_id(part):
        raise ValueError(f"{part!r} cannot stand in a topic: ids are [a-z0-9-], 1 to 40 characters")
    return part


_PART = "([a-z0-9-]{1,40})"
_TOPIC = re.compile(
    f"{ROOT}/{_PART}/{_PART}/"
    f"(?:up/(facts|live|pulse|gone)|down/watermark/{_PART}|down/intent/{_PART}/{_PART})"
)
