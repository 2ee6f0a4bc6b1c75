"""Which polls are believed: the right meter, in service, with a register that can be true.

What is not believed is shown with its reason and changes nothing. What only one poll says (a first
reading, a jump over a time nobody knows) waits for a second that agrees. The first believed reading
of a meter opens its account here.
"""

from dataclasses import replace

from domain import readings
from domain.instants import Stamp, Trust
from domain.readings import Suspicion
from domain.tariff import Position
from domain.wire.facts import MeterSeen
from edge import metering
from edge.draft import Draft
from edge.events import Identified, Polled
from edge.memory import Mark, PointMemory
from edge.meters.snapshot import same_meter
from edge.picture import Point, Reading, Sight

OWN_PREPAID_ON = "own_prepaid_on"


def identify(draft: Draft, event: Identified) -> None:
    """Learn who answers at a point: only the right meter, its own 费控 off, goes into service."""
    if event.point_id not in draft.points:
        return
    draft.heard[event.point_id] = None
    point = draft.change(
        event.point_id,
        heard_mono_ms=event.mono_ms,
        meter_id_read=event.meter_id_read,
        own_prepaid_on=event.own_prepaid_on,
    )
    if same_meter(event.meter_id_read, point.place.meter_id):
        draft.clear_alarm(event.point_id, suspect_code(Suspicion.other_meter))
    else:
        _suspect(draft, point, Suspicion.other_meter, f"{event.meter_id_read}")
    _own_prepaid(draft, point.point_id, on=event.own_prepaid_on)


def hear(draft: Draft, event: Polled) -> None:
    """Take a poll: believe it or say why not, and price it."""
    point = draft.points.get(event.point_id)
    if point is None or not same_meter(event.meter_id, point.place.meter_id):
        return  # asked before the installation changed
    draft.heard[event.point_id] = None
    point = draft.change(event.point_id, heard_mono_ms=event.mono_ms)
    if event.snapshot.own_prepaid_on:
        _own_prepaid(draft, point.point_id, on=True)
        point = draft.change(point.point_id, own_prepaid_on=True)
    if not point.in_service:
        return
    draft.served[point.point_id] = None
    point = draft.change(point.point_id, shown=event.snapshot.relay)
    stamp = draft.stamp_at(event.mono_ms)
    register_wh = event.snapshot.register_wh * point.ratio
    verdict = _judge(draft, point, register_wh, stamp)
    if isinstance(verdict, Suspicion):
        draft.change(point.point_id, unsure=None)
        if not draft.stands(point.point_id, suspect_code(verdict)):
            draft.suspects[point.point_id] = (event.snapshot, verdict)
        _suspect(draft, point, verdict, f"{register_wh} Wh")
        return
    if not verdict.sure and not _confirms(point, register_wh, event.mono_ms):
        if point.unsure is None:
            draft.read_soon(point.point_id)
        draft.change(point.point_id, unsure=Sight(register_wh, event.mono_ms))
        return
    reading = Reading(event.snapshot, verdict.total_wh, stamp)
    _believe(draft, point, reading, register_wh)


def _own_prepaid(draft: Draft, point_id: str, *, on: bool) -> None:
    if on:
        draft.raise_alarm(
            point_id,
            OWN_PREPAID_ON,
            "表内费控为开，未投入使用：请先在表上关闭费控 / the meter's own prepaid control is on, "
            "so it is not taken into service: switch it off at the meter first",
            severity="critical",
        )
    else:
        draft.clear_alarm(point_id, OWN_PREPAID_ON)


def suspect_code(suspicion: Suspicion) -> str:
    """The alarm code of a suspicion."""
    return f"suspect_{suspicion}"


def _suspect(draft: Draft, point: Point, suspicion: Suspicion, seen: str) -> None:
    """Show that the reading is not believed, once; nothing is charged or decided by it."""
    memory = point.memory
    before = "" if memory is None else f"{memory.register_wh} Wh → "
    draft.raise_alarm(point.point_id, suspect_code(suspicion), f"{suspicion}: {before}{seen}")


def _judge(
    draft: Draft, point: Point, register_wh: int, stamp: Stamp
) -> readings.Believed | Suspicion:
    memory = point.memory
    if memory is None or not point.is_remembered:
        return readings.judge(
            None,
            meter_id=point.place.meter_id,
            register_wh=register_wh,
            elapsed_ms=None,
            limits=point.limits,
        )
    verdict = readings.judge(
        readings.Last(memory.meter_id, memory.register_wh, memory.seen.total_wh),
        meter_id=memory.meter_id,
        register_wh=register_wh,
        elapsed_ms=_elapsed_ms(memory.seen.stamp, stamp),
        limits=point.limits,
    )
    if verdict in (Suspicion.too_fast, Suspicion.backwards):
        _suspect_from(draft, point, memory, register_wh)
        return verdict
    if isinstance(verdict, Suspicion) or memory.suspect_wh is None:
        return verdict
    if _ahead_wh(point, memory, register_wh) >= _ahead_wh(point, memory, memory.suspect_wh):
        return Suspicion.too_fast  # time passed and nothing else: the jump is no better for it
    return verdict


def _confirms(point: Point, register_wh: int, mono_ms: int) -> bool:
    """Whether this poll goes on from the one before, that nobody believed by itself."""
    before = point.unsure
    if before is None or mono_ms < before.mono_ms:
        return False
    return readings.agrees(
        before.register_wh,
        register_wh,
        elapsed_ms=mono_ms - before.mono_ms,
        limits=point.limits,
    )


def _suspect_from(draft: Draft, point: Point, memory: PointMemory, register_wh: int) -> None:
    """Keep the smallest jump: from there on nothing is believed, however much time has passed."""
    suspect_wh = memory.suspect_wh
    if suspect_wh is None or (
        _ahead_wh(point, memory, register_wh) < _ahead_wh(point, memory, suspect_wh)
    ):
        draft.remember(point.point_id, suspect_wh=register_wh)


def _ahead_wh(point: Point, memory: PointMemory, register_wh: int) -> int:
    """How far a register lies ahead of the last believed one, over its end and on if need be."""
    return (register_wh - memory.register_wh) % point.limits.modulus_wh


def _elapsed_ms(before: Stamp, after: Stamp) -> int | None:
    if before.boot == after.boot:
        return after.mono_ms - before.mono_ms
    if min(before.trust, after.trust) >= Trust.meter:
        return after.at_ms - before.at_ms
    return None


def _believe(draft: Draft, point: Point, reading: Reading, register_wh: int) -> None:
    point_id, memory = point.point_id, point.memory
    for suspicion in Suspicion:
        draft.clear_alarm(point_id, suspect_code(suspicion))
    seen = Mark(reading.total_wh, reading.stamp)
    draft.change(point_id, unsure=None)
    if memory is None or not point.is_remembered:
        _begin(draft, point, reading, register_wh)
    else:
        same = point.reading is not None and point.reading.total_wh == reading.total_wh
        memory = replace(memory, register_wh=register_wh, seen=seen, suspect_wh=None)
        equal_reads = point.equal_reads + 1 if same else 1
        if point.memory is not None and point.memory.suspect_wh is not None:
            draft.keep(point_id)
        draft.change(point_id, memory=memory, reading=reading, equal_reads=equal_reads)
    metering.attach(draft, point_id)
    metering.reprice(draft, point_id)
    draft.polled[point_id] = None
    draft.touched[point_id] = None


def _begin(draft: Draft, point: Point, reading: Reading, register_wh: int) -> None:
    """The first believed reading of a device: charging starts at it. The point's tier goes on."""
    place, before = point.place, point.memory
    reason = "first"
    if before is not None:
        reason = "swap" if before.meter_id != place.meter_id else "reset"
    draft.write(
        MeterSeen,
        point_id=place.point_id,
        meter_id=place.meter_id,
        incarnation=place.incarnation,
        profile=place.profile,
        reason=reason,
        last_total_wh=None if before is None else before.seen.total_wh,
        opening_wh=reading.total_wh,
    )
    here = Mark(reading.total_wh, reading.stamp)
    fresh = PointMemory(
        point_id=place.point_id,
        meter_id=place.meter_id,
        incarnation=place.incarnation,
        register_wh=register_wh,
        seen=here,
        charged=here,
        purse_id=place.purse_id,
        position=Position(0, 0),
        interval=draft.interval,
    )
    if before is not None:
        fresh = replace(
            before,
            meter_id=place.meter_id,
            incarnation=place.incarnation,
            register_wh=register_wh,
            seen=here,
            charged=here,
            purse_id=place.purse_id,
            interval=draft.interval,
            suspect_wh=None,
        )
    draft.change(point.point_id, memory=fresh, reading=reading, equal_reads=1)
    draft.keep(point.point_id)
    draft.openings[point.point_id] = None
