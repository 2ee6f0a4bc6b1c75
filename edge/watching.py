"""What only time tells: intervals that end, prices that change, meters that fell silent."""

from domain.instants import Trust
from domain.wire.facts import IntervalMissing
from edge import metering
from edge.draft import Draft
from edge.events import PortBack, PortLost
from edge.memory import PointMemory
from edge.picture import Point

LOST_METER, LOST_BUS, LOST_PORT = "lost_meter", "lost_bus", "lost_port"
_LOOK_MS = 1_000
_QUIET_MS = 15_000  # a bus silent for so long is judged as a whole


def close_intervals(draft: Draft) -> None:
    """Close what is due: fresh points together when the clock says so, others when they answer."""
    ticked = draft.interval != draft.picture.interval
    candidates = draft.points if ticked else draft.polled
    due = [point_id for point_id in candidates if _is_due(draft, draft.points[point_id])]
    for point_id in due:
        _say_missing(draft, draft.points[point_id])
    metering.close(draft, due, "interval")
    _close_at_boundary(draft)


def _is_due(draft: Draft, point: Point) -> bool:
    memory = point.memory
    return memory is not None and memory.interval != draft.interval and draft.is_fresh(point)


def _say_missing(draft: Draft, point: Point) -> None:
    """Intervals that ended without a reading, once there is one again."""
    memory, interval_ms = point.memory, draft.picture.rules.interval_ms
    assert memory is not None
    if draft.interval - memory.interval < 2 or not _is_gap(draft, memory):
        return
    away = memory.charged.stamp.boot != draft.now.boot
    draft.write(
        IntervalMissing,
        point_id=point.point_id,
        from_ms=memory.interval * interval_ms,
        to_ms=(draft.interval - 1) * interval_ms,
        reason="gateway_off" if away else "no_answer",
    )


def _is_gap(draft: Draft, memory: PointMemory) -> bool:
    """Whether time really passed, rather than the clock having been set from its floor."""
    stamp = memory.charged.stamp
    return draft.hour_known and stamp.trust >= Trust.meter


def _close_at_boundary(draft: Draft) -> None:
    """Close the points whose newest reading lies beyond a change of price.

    They wait a few seconds for the slowest meter, so that one fact says it for all.
    """
    crossed = [point for point in draft.points.values() if _has_crossed(draft, point)]
    if not crossed:
        draft.boundary_mono_ms = None
        return
    since_mono_ms = draft.boundary_mono_ms
    if since_mono_ms is None:
        since_mono_ms = draft.now.mono_ms
        draft.boundary_mono_ms = since_mono_ms
    waiting = any(_will_cross(draft, point) for point in draft.points.values())
    if waiting and draft.now.mono_ms - since_mono_ms < draft.picture.rules.gather_ms:
        return
    metering.close(draft, [point.point_id for point in crossed], "boundary")
    draft.boundary_mono_ms = None


def _has_crossed(draft: Draft, point: Point) -> bool:
    if point.reading is None or not 0 < point.boundary_ms <= draft.now.at_ms:
        return False
    return draft.settled(point.reading.stamp).at_ms >= point.boundary_ms


def _will_cross(draft: Draft, point: Point) -> bool:
    """A live point whose newest reading is from before a boundary that has passed."""
    passed = 0 < point.boundary_ms <= draft.now.at_ms
    return passed and not _has_crossed(draft, point) and draft.is_fresh(point)


# --- silence ---------------------------------------------------------------------------------


def watch(draft: Draft) -> None:
    """Once a second: raise and clear the alarms of meters and buses that do not answer."""
    for point_id in tuple(draft.heard):
        _answered(draft, point_id)
    if draft.now.mono_ms - draft.watched_mono_ms < _LOOK_MS:
        return
    draft.watched_mono_ms = draft.now.mono_ms
    by_bus: dict[str, list[Point]] = {}
    for point in draft.points.values():
        by_bus.setdefault(point.bus_id, []).append(point)
    for bus_id, points in by_bus.items():
        _watch_bus(draft, bus_id, points)


def _answered(draft: Draft, point_id: str) -> None:
    point = draft.points.get(point_id)
    if point is None:
        return
    draft.clear_alarm(point_id, LOST_METER)
    if point.missing:
        draft.change(point_id, missing=False)
    if draft.stands(point.bus_id, LOST_BUS):
        draft.clear_alarm(point.bus_id, LOST_BUS)
        _wait_anew(draft, point.bus_id)


def _wait_anew(draft: Draft, bus_id: str) -> None:
    for point in tuple(draft.points.values()):
        if point.bus_id == bus_id:
            draft.change(point.point_id, heard_mono_ms=draft.now.mono_ms)


def _watch_bus(draft: Draft, bus_id: str, points: list[Point]) -> None:
    lost_ms = draft.picture.rules.lost_ms
    quiet_ms = draft.now.mono_ms - max(point.heard_mono_ms for point in points)
    for point in points:
        if draft.now.mono_ms - point.heard_mono_ms > lost_ms:
            _miss(draft, point)
            if quiet_ms <= _QUIET_MS:
                draft.raise_alarm(
                    point.point_id, LOST_METER, "表失联超过 1 分钟 / silent for over a minute"
                )
    if quiet_ms > lost_ms and not draft.stands(bus_id, LOST_PORT):
        draft.raise_alarm(
            bus_id,
            LOST_BUS,
            f"总线上 {len(points)} 块表全部失联 / all {len(points)} meters are silent",
            severity="critical",
        )


def _miss(draft: Draft, point: Point) -> None:
    """What was counted poll by poll begins again when it answers."""
    if not point.missing:
        draft.change(point.point_id, missing=True, low_polls=0, unlike_polls=0, equal_reads=0)


def lose_port(draft: Draft, event: PortLost) -> None:
    """A port is gone: one alarm for all that hangs on it."""
    draft.raise_alarm(
        event.bus_id,
        LOST_PORT,
        f"串口不可用 / the serial port is gone: {event.reason}",
        severity="critical",
    )


def find_port(draft: Draft, event: PortBack) -> None:
    """The port is back; its meters have a minute to answer."""
    draft.clear_alarm(event.bus_id, LOST_PORT)
    _wait_anew(draft, event.bus_id)


def forget_bus(draft: Draft, bus_id: str) -> None:
    """A bus that nothing hangs on any more has no alarms."""
    for code in (LOST_BUS, LOST_PORT):
        draft.clear_alarm(bus_id, code)
