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


# One row per state, one column per event in the order of `Event`. In the credit columns the mode
# is prepaid, so these columns of the held rows are 恢复预付费, the only way out of a hold. A room
# that is dark stays dark while protected: friendly hours forbid a cut, they lend no money.
_ROWS = """
             vacant      force_off  hold_on  spent_protected  spent    low     ok
not_opened   not_opened  held_off   held_on  grace            tripped  warned  on
on           not_opened  held_off   held_on  grace            tripped  warned  on
warned       not_opened  held_off   held_on  grace            tripped  warned  on
grace        not_opened  held_off   held_on  grace            tripped  warned  on
tripped      not_opened  held_off   held_on  tripped          tripped  warned  on
held_on      not_opened  held_off   held_on  grace            tripped  warned  on
held_off     not_opened  held_off   held_on  tripped          tripped  warned  on
unknown      not_opened  held_off   held_on  grace            tripped  warned  on
"""

TABLE: Mapping[tuple[State, Event], State] = {
    (State(row[0]), column): State(target)
    for row in (line.split() for line in _ROWS.strip().splitlines()[1:])
    for column, target in zip(Event, row[1:], strict=True)
}

_WANTED: Mapping[State, Relay | None] = {
    State.not_opened: None,
    State.on: Relay.closed,
    State.warned: Relay.closed,
    State.grace: Relay.closed,
    State.tripped: Relay.open,
    State.held_on: Relay.closed,
    State.held_off: Relay.open,
    State.unknown: None,
}

_BY_CREDIT = (State.on, State.warned, State.grace, State.tripped)


def event(situation: Situation) -> Event | None:
    """The event a situation amounts to; None where nothing can be decided (credit not known)."""
    if not situation.opened:
        return Event.vacant
    if situation.mode is Mode.force_off:
        return Event.force_off
    if situation.mode is Mode.hold_on:
        return Event.hold_on
    if situation.level is None:
        return None
    if situation.level is Level.spent:
        return Event.credit_spent_protected if situation.protected else Event.credit_spent
    return Event.credit_ok if situation.level is Level.ok else Event.credit_low


def decide(state: State, situation: Situation) -> State:
    """The state after this situation; the same state where nothing changes or nothing is known."""
    happened = event(situation)
    return state if happened is None else TABLE[state, happened]


def wanted(state: State) -> Relay | None:
    """The relay position a state wants; None where the relay is left as found."""
    return _WANTED[state]


def diagram() -> str:
    """The table as a Mermaid state diagram, for the architecture page."""
    inside = [edge for state in _BY_CREDIT for edge in _edges(state, _BY_CREDIT)]
    others = [state for state in State if state not in _BY_CREDIT]
    lines = ["stateDiagram-v2", "    [*] --> unknown", "    state by_credit {"]
    lines += [f"        {edge}" for edge in inside]
    lines += ["    }"]
    for target in others:
        events = [e for e in Event if all(TABLE[state, e] is target for state in _BY_CREDIT)]
        if events:
            lines.append(f"    by_credit --> {target} : {_label(events)}")
    lines += [f"    {edge}" for state in others for edge in _edges(state, tuple(State))]
    return "\n".join(lines)


def _edges(state: State, targets: tuple[State, ...]) -> list[str]:
    """Arrows from a state to each other state among `targets`, events that agree on one arrow."""
    arrows = []
    for target in targets:
        events = [e for e in Event if TABLE[state, e] is target]
        if events and target is not state:
            arrows.append(f"{state} --> {target} : {_label(events)}")
    return arrows


def _label(events: list[Event]) -> str:
    return " or ".join(e.value for e in events)
