"""The picture as it is told: live points, and which intents are held. Pure; nothing is invented."""

from domain import credit
from domain.instants import Trust
from domain.supply import Relay, State
from domain.wire.intents import digest
from domain.wire.messages import Live, LivePoint
from edge.picture import Picture, Point


def live(picture: Picture, *, since_cycle: int | None) -> Live | None:
    """The points that changed after `since_cycle`, or all for None; None where nothing changed."""
    full = since_cycle is None
    points = live_points(picture, since_cycle=-1 if since_cycle is None else since_cycle)
    if not points and not full:
        return None
    return Live(boot=picture.boot, cycle=picture.cycle, full=full, points=points)


def live_points(picture: Picture, *, since_cycle: int = -1) -> tuple[LivePoint, ...]:
    """The points that changed after a cycle, each as it stands now."""
    codes: dict[str, list[str]] = {}
    for subject_id, code in picture.alarms:
        codes.setdefault(subject_id, []).append(code)
    return tuple(
        _live_point(picture, point, codes)
        for point in picture.points.values()
        if point.changed > since_cycle
    )


def available_ticks(picture: Picture, purse_id: str) -> int | None:
    """What is available now: as booked, less what is read and not charged; None before credit."""
    memory = picture.purses.get(purse_id)
    if memory is None or memory.purse.version < 0:
        return None
    points = map(picture.points.__getitem__, picture.points_of.get(purse_id, ()))
    read = sum(
        point.provisional_ticks
        for point in points
        if point.memory is not None and point.memory.purse_id == purse_id
    )
    return credit.available_ticks(memory.purse) - read


def intents_digest(picture: Picture) -> str:
    """Which intents are held or were refused, in one figure."""
    return digest({key: taken.version for key, taken in picture.taken.items()})


def _live_point(picture: Picture, point: Point, codes: dict[str, list[str]]) -> LivePoint:
    memory, reading, purse_id = point.memory, point.reading, point.place.purse_id
    purse = None if purse_id is None else picture.purses.get(purse_id)
    known = purse is not None and purse.purse.version >= 0
    subjects = (point.point_id, point.bus_id, purse_id or "")
    at_ms = None
    if reading is not None:
        at_ms = reading.stamp.at_ms
    elif memory is not None and memory.seen.stamp.trust >= Trust.meter:
        at_ms = memory.seen.stamp.at_ms
    pf_pct = None if reading is None else max(-100, min(100, reading.snapshot.pf_milli // 10))
    return LivePoint(
        point_id=point.point_id,
        at_ms=at_ms,
        total_wh=None if memory is None else memory.seen.total_wh,
        power_w=None if reading is None else reading.snapshot.power_w * point.ratio,
        pf_pct=pf_pct,
        available_ticks=available_ticks(picture, purse_id) if known and purse_id else None,
        relay=Relay.unknown if memory is None else memory.relay,
        supply=State.unknown if memory is None else memory.state,
        alarms=tuple(sorted({code for subject in subjects for code in codes.get(subject, ())})),
        version=purse.purse.version if known and purse is not None else None,
        count=purse.purse.count if known and purse is not None else None,
    )
