"""From credit to supply: levels and their alarms, the table of the rules, the caution of a trip.

A state changes here and nowhere else. Before a change is written, the readings and charges it
stands on are; so the centre books the same balance that decided.
"""

from dataclasses import replace

from domain import credit, supply
from domain.credit import Level
from domain.instants import DAY_MS, MINUTE_MS
from domain.supply import Event, Mode, Relay, Situation, State
from domain.units import TICKS_PER_FEN
from domain.wire.facts import Severity, SupplyDecided
from domain.wire.intents import Hours
from edge import metering, relays
from edge.draft import Draft
from edge.memory import PointMemory, Trips
from edge.picture import Point

TRIPS_EXHAUSTED = "trips_exhausted"
POLLS_BEFORE_TRIP = 2  # one poll may be a slip; the second is asked for at once

_ALARM: dict[Level, str] = {
    Level.alarm_1: "alarm_1",
    Level.alarm_2: "alarm_2",
    Level.arrears: "arrears",
    Level.spent: "arrears",
}
_CODES = ("alarm_1", "alarm_2", "arrears")
_WORDS = {
    "alarm_1": "余额低于报警1 / at or below alarm 1",
    "alarm_2": "余额低于报警2 / at or below alarm 2",
    "arrears": "欠费 / at or below zero",
}


def decide(draft: Draft) -> None:
    """Decide every point that was polled or whose credit, policy or mode changed."""
    for point_id in tuple(draft.touched):
        point = draft.points.get(point_id)
        if point is None:
            continue
        purse_id = point.place.purse_id
        others = () if purse_id is None else draft.points_of(purse_id)
        for other in others:  # one meter's energy is every point's balance
            draft.touched[other] = None
    turns = [turn for point_id in draft.touched if (turn := _turn(draft, point_id)) is not None]
    _write_evidence(draft, [turn.point_id for turn in turns])
    for turn in turns:
        turn.write(draft)


class _Turn:
    """What changes for one point: its level's alarm, its state, or both."""

    def __init__(self, point_id: str, code: str | None, target: State, reason: str) -> None:
        self.point_id, self.code, self.target, self.reason = point_id, code, target, reason

    def write(self, draft: Draft) -> None:
        _set_level_alarm(draft, self.point_id, self.code)
        memory = draft.points[self.point_id].memory
        assert memory is not None
        if self.target is not memory.state:
            _write_decision(draft, self.point_id, self.target, self.reason)
            relays.obey(draft, self.point_id)


def _turn(draft: Draft, point_id: str) -> _Turn | None:
    point = draft.points.get(point_id)
    if point is None or point.memory is None or _out_of_service(point):
        return None
    memory, level = point.memory, _level(draft, point)
    point = _count_low_polls(draft, point, level)
    situation = situation_of(draft, point, level)
    target = supply.decide(memory.state, situation)
    if target is not memory.state and _is_trip(memory.state, target, situation):
        target = _cautiously(draft, point, memory, target)
    standing = next((code for code in _CODES if draft.stands(point_id, code)), None)
    if not situation.opened:
        code = None
    else:
        code = standing if level is None else _ALARM.get(level)
    if target is memory.state and code == standing:
        return None
    happened = supply.event(situation)
    return _Turn(point_id, code, target, "unchanged" if happened is None else happened.value)


def _out_of_service(point: Point) -> bool:
    """Known to be the wrong meter, or one that counts for itself. A silent meter is not."""
    return point.meter_id_read is not None and not point.in_service


def _level(draft: Draft, point: Point) -> Level | None:
    """How the point's purse stands against its policy; None where either has not come yet."""
    purse_id, policy = point.place.purse_id, draft.picture.policies.get(point.place.policy_id)
    if purse_id is None or policy is None or draft.purse(purse_id).purse.version < 0:
        return None
    return credit.level(draft.available_ticks(purse_id), policy.body.thresholds())


def _count_low_polls(draft: Draft, point: Point, level: Level | None) -> Point:
    if level is not Level.spent:
        return draft.change(point.point_id, low_polls=0) if point.low_polls else point
    if point.point_id in draft.polled:
        return draft.change(point.point_id, low_polls=point.low_polls + 1)
    return point


def situation_of(draft: Draft, point: Point, level: Level | None) -> Situation:
    """All that the supply of a point depends on."""
    purse_id = point.place.purse_id
    if purse_id is None:
        return Situation(opened=False, mode=Mode.prepaid, level=None)
    memory = draft.purse(purse_id)
    opened = memory.purse.state != "closed"
    mode = _mode(draft, point.point_id)
    if memory.closed_seq or _closing_overdue(draft, purse_id):
        mode = Mode.force_off
    return Situation(opened, mode, level, protected=_is_protected(draft, point))


def _mode(draft: Draft, point_id: str) -> Mode:
    held = draft.supply.get(point_id)
    if held is None:
        return Mode.prepaid
    over = held.until_ms is not None and draft.hour_known and draft.now.at_ms >= held.until_ms
    return Mode.prepaid if over else held.mode


def _closing_overdue(draft: Draft, purse_id: str) -> bool:
    """A closing purse whose meters never read twice alike: they do once the relay is open."""
    since_mono_ms = draft.closing_since.get(purse_id)
    if since_mono_ms is None:
        return False
    return draft.now.mono_ms - since_mono_ms > draft.picture.rules.closing_ms


def _is_protected(draft: Draft, point: Point) -> bool:
    policy = draft.picture.policies.get(point.place.policy_id)
    if policy is None or not policy.body.friendly_hours or not draft.hour_known:
        return False
    return any(_is_within(draft, hours) for hours in policy.body.friendly_hours)


def _is_within(draft: Draft, hours: Hours) -> bool:
    """Whether it is now within `hours`; those over midnight belong to the day they begin on."""
    local = draft.picture.zone.local(draft.now.at_ms)
    minute = local.hour * 60 + local.minute
    begins = local.date()
    if hours.to_min <= hours.from_min and minute < hours.to_min:
        begins = draft.picture.zone.local(draft.now.at_ms - DAY_MS).date()
        inside = True
    elif hours.to_min <= hours.from_min:
        inside = minute >= hours.from_min
    else:
        inside = hours.from_min <= minute < hours.to_min
    return inside and draft.picture.calendar.day_type(begins) in hours.day_types


# --- the caution of a trip -------------------------------------------------------------------


def _is_trip(state: State, target: State, situation: Situation) -> bool:
    """Whether this darkens a lit room for money's sake (staff's orders are never delayed)."""
    return (
        target is State.tripped
        and supply.wanted(state) is not Relay.open
        and supply.event(situation) is Event.credit_spent
    )


def _cautiously(draft: Draft, point: Point, memory: PointMemory, target: State) -> State:
    """The trip, or the state as it is while the trip has to wait."""
    if point.low_polls < POLLS_BEFORE_TRIP:
        if point.in_service:
            draft.read_soon(point.point_id)
        return memory.state
    if not _may_trip(draft, point, memory.trips):
        return memory.state
    return target


def _may_trip(draft: Draft, point: Point, trips: Trips) -> bool:
    policy = draft.picture.policies.get(point.place.policy_id)
    gap_ms = 0 if policy is None else policy.body.min_operation_gap_s * 1000
    gap_ms = max(gap_ms, MINUTE_MS)
    if trips.count and 0 <= draft.now.at_ms - trips.last_ms < gap_ms:
        return False
    if trips.day != _day(draft) or trips.count < draft.picture.rules.trips_a_day:
        return True
    draft.raise_alarm(
        point.point_id,
        TRIPS_EXHAUSTED,
        f"今日自动分闸已达 {trips.count} 次，欠费达上限前不再分闸 / {trips.count} automatic trips "
        "today: no more before the debt is at its limit",
        severity="critical",
    )
    return _debt_is_full(draft, point)


def _debt_is_full(draft: Draft, point: Point) -> bool:
    """Sparing the relay lends money: to a limit, at which the room is cut however often it was."""
    purse_id, policy = point.place.purse_id, draft.picture.policies.get(point.place.policy_id)
    if purse_id is None or policy is None:
        return False
    limit_fen = policy.body.overdraft_fen + draft.picture.rules.debt_max_fen
    return draft.available_ticks(purse_id) <= -limit_fen * TICKS_PER_FEN


def _day(draft: Draft) -> int:
    at_ms = draft.now.at_ms
    return (at_ms + draft.picture.zone.offset_ms(at_ms)) // DAY_MS


def _counted(draft: Draft, memory: PointMemory) -> Trips:
    day = _day(draft)
    count = memory.trips.count if memory.trips.day == day else 0
    return Trips(day, count + 1, draft.now.at_ms)


# --- writing it down -------------------------------------------------------------------------


def _write_evidence(draft: Draft, point_ids: list[str]) -> None:
    """Close the intervals of the purses that decide, unless this cycle has done so already."""
    wanted: dict[str, None] = {}
    for point_id in point_ids:
        purse_id = draft.points[point_id].place.purse_id
        for other in (point_id,) if purse_id is None else draft.points_of(purse_id):
            if other not in draft.evidence and draft.is_fresh(draft.points[other]):
                wanted[other] = None
    metering.close(draft, wanted, "evidence")


def _set_level_alarm(draft: Draft, point_id: str, code: str | None) -> None:
    for other in _CODES:
        if other != code:
            draft.clear_alarm(point_id, other)
    if code is not None:
        severity: Severity = "critical" if code == "arrears" else "warning"
        draft.raise_alarm(point_id, code, _WORDS[code], severity=severity)


def _write_decision(draft: Draft, point_id: str, target: State, reason: str) -> None:
    point = draft.points[point_id]
    memory, purse_id = point.memory, point.place.purse_id
    assert memory is not None
    policy = draft.picture.policies.get(point.place.policy_id)
    known = purse_id is not None and draft.purse(purse_id).purse.version >= 0
    others = (point_id,) if purse_id is None else draft.points_of(purse_id)
    evidence = {draft.evidence[other] for other in others if other in draft.evidence}
    seq = draft.write(
        SupplyDecided,
        from_=memory.state,
        to=target,
        point_id=point_id,
        reason=reason,
        evidence_seq=tuple(sorted(evidence)),
        available_ticks=draft.available_ticks(purse_id) if known and purse_id else None,
        policy_version=0 if policy is None else policy.version,
    )
    tripped = target is State.tripped and supply.wanted(memory.state) is not Relay.open
    trips = _counted(draft, memory) if tripped else memory.trips
    draft.remember(point_id, state=target, decided_seq=seq, trips=trips)
    if tripped:
        draft.change(point_id, low_polls=0)
    draft.note("supply_decided", point_id=point_id, state=target.value, reason=reason, seq=seq)


def unlock(draft: Draft, point_id: str) -> None:
    """Staff lift what holds a point back: counted trips, and the pause after a stuck relay."""
    draft.clear_alarm(point_id, TRIPS_EXHAUSTED)
    point = draft.points.get(point_id)
    if point is None or point.memory is None:
        return
    draft.remember(point_id, trips=replace(point.memory.trips, count=0))
    draft.change(point_id, retries=0, retry_mono_ms=0, failed=None)
