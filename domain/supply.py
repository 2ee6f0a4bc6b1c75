"""Whether a room has power, decided by one table of (state, event) → state.

States and what they want of the relay:
  not_opened  nobody holds the room (relay as the site's vacant policy says; here: left as found)
  on          supplied, credit in order           closed
  warned      supplied, at or below alarm 1 or 2  closed
  grace       credit spent, but protected (friendly hours …)  closed
  tripped     credit spent                        open
  held_on     保电: kept on by staff, charging goes on   closed
  held_off    拉闸: kept off by staff, a payment does not lift it   open
  unknown     no decision since the gateway first saw the point: the relay stays as found
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from domain.credit import Level


class State(StrEnum):
    not_opened = "not_opened"
    on = "on"
    warned = "warned"
    grace = "grace"
    tripped = "tripped"
    held_on = "held_on"
    held_off = "held_off"
    unknown = "unknown"


class Relay(StrEnum):
    closed = "closed"  # 合闸
    open = "open"  # 分闸
    unknown = "unknown"


class Mode(StrEnum):
    """What staff want: let the money decide, or hold."""

    prepaid = "prepaid"
    hold_on = "hold_on"
    force_off = "force_off"


class Event(Enum):
    """What the situation of a point amounts to, in order of precedence (first that holds)."""

    vacant = "vacant"  # no purse, or the purse is closed
    force_off = "force_off"
    hold_on = "hold_on"
    credit_spent_protected = "credit_spent_protected"
    credit_spent = "credit_spent"
    credit_low = "credit_low"
    credit_ok = "credit_ok"


@dataclass(frozen=True, slots=True)
class Situation:
    """All that supply depends on. `level` None: the credit is not known (no purse adopted yet)."""

    opened: bool
    mode: Mode
    level: Level | None
    protected: bool = False


TABLE: Mapping[tuple[State, Event], State] = {}


def event(situation: Situation) -> Event | None:
    """The event a situation amounts to; None where nothing can be decided (credit not known)."""
    raise NotImplementedError


def decide(state: State, situation: Situation) -> State:
    """The state after this situation; the same state where nothing changes or nothing is known."""
    raise NotImplementedError


def wanted(state: State) -> Relay | None:
    """The relay position a state wants; None where the relay is left as found."""
    raise NotImplementedError


def diagram() -> str:
    """The table as a Mermaid state diagram, for the architecture page."""
    raise NotImplementedError
