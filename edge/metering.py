"""From polls to charges: which readings are believed, what they cost, and when that is written.

A reading is priced at every poll, so that what is available is always known, but charged only when
an interval closes: then the reading and its price become facts, and the purse's charged total grows
by exactly what was shown before. Energy in Wh, money in ticks, time in milliseconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from domain import credit, readings, tariff
from domain.instants import Stamp, Trust
from domain.readings import Suspicion
from domain.tariff import Charge, Position, Pricing
from domain.wire import facts
from edge.draft import Draft
from edge.events import Identified, Polled
from edge.memory import Mark, PointMemory
from edge.picture import Point, Reading, same_meter

Purpose = Literal["interval", "boundary", "evidence", "opening", "final"]

ROWS_MAX = 200  # of one fact, so that a large gateway's facts stay within a batch
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
    stamp = draft.stamp_at(event.mono_ms)
    register_wh = event.snapshot.register_wh * point.ratio
    verdict = _judge(draft, point, register_wh, stamp)
    if isinstance(verdict, Suspicion):
        _suspect(draft, point, verdict, f"{register_wh} Wh")
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
    if memory is None or not _same_device(point, memory):
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
    if verdict is Suspicion.too_fast and memory.suspect_wh is None:
        draft.remember(point.point_id, suspect_wh=register_wh)
    jumped_wh = memory.suspect_wh
    if jumped_wh is not None and register_wh >= jumped_wh and not isinstance(verdict, Suspicion):
        return Suspicion.too_fast  # time passed and nothing else: the jump is no better for it
    return verdict


def _same_device(point: Point, memory: PointMemory) -> bool:
    return (memory.meter_id, memory.incarnation) == (point.place.meter_id, point.place.incarnation)


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
    if memory is None or not _same_device(point, memory):
        _begin(draft, point, reading, register_wh)
    else:
        same = point.reading is not None and point.reading.total_wh == reading.total_wh
        memory = replace(memory, register_wh=register_wh, seen=seen, suspect_wh=None)
        equal_reads = point.equal_reads + 1 if same else 1
        if point.memory is not None and point.memory.suspect_wh is not None:
            draft.keep(point_id)
        draft.change(point_id, memory=memory, reading=reading, equal_reads=equal_reads)
    attach(draft, point_id)
    reprice(draft, point_id)
    draft.polled[point_id] = None
    draft.touched[point_id] = None


def _begin(draft: Draft, point: Point, reading: Reading, register_wh: int) -> None:
    """The first believed reading of a device: charging starts at it. The point's tier goes on."""
    place, before = point.place, point.memory
    reason = "first"
    if before is not None:
        reason = "swap" if before.meter_id != place.meter_id else "reset"
    draft.write(
        facts.MeterSeen,
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


def attach(draft: Draft, point_id: str) -> None:
    """Bring a point to the purse it is installed for: close the old account, begin the new one."""
    point = draft.points[point_id]
    memory, purse_id = point.memory, point.place.purse_id
    if memory is None or point.reading is None or memory.purse_id == purse_id:
        return
    if not _same_device(point, memory):
        return
    if memory.purse_id is not None and is_charged(draft, memory.purse_id):
        close(draft, [point_id], "final")
        draft.remember(point_id, purse_id=purse_id)
    else:
        here = Mark(point.reading.total_wh, point.reading.stamp)
        draft.remember(point_id, purse_id=purse_id, charged=here)
        if purse_id is not None:
            draft.openings[point_id] = None
    reprice(draft, point_id)


def write_openings(draft: Draft) -> None:
    """One readings fact for all points that begin in this cycle."""
    point_ids = [point_id for point_id in draft.openings if point_id in draft.points]
    draft.openings.clear()
    _write_readings(draft, point_ids, "opening")


def keep_wanted(draft: Draft) -> None:
    """Write the readings that staff asked for and that have come."""
    asked = [p for p in draft.polled if p in draft.points and draft.points[p].read_wanted]
    for point_id in asked:
        draft.change(point_id, read_wanted=False)
    close(draft, [p for p in asked if p not in draft.evidence], "evidence")


def is_charged(draft: Draft, purse_id: str) -> bool:
    """Whether energy is charged to a purse: not after its last charge, and not once closed."""
    memory = draft.purse(purse_id)
    return memory.closed_seq == 0 and memory.purse.state != "closed"


# --- what it costs ---------------------------------------------------------------------------


def pricing_of(draft: Draft, point: Point) -> Pricing | None:
    """The prices of a point; None before its tariff came."""
    return draft.picture.pricings.get(point.place.tariff_id)


def reprice(draft: Draft, point_id: str) -> None:
    """Price what is read and not charged yet, and look up the next change of price."""
    point = draft.points[point_id]
    pricing = pricing_of(draft, point)
    if point.memory is None or pricing is None or not _has_purse(draft, point.memory):
        draft.change(point_id, provisional_ticks=0, boundary_ms=0)
        return
    charge = _charge(draft, point, pricing)
    if charge is None:  # the hour is not known: never more than it can turn out to be
        ticks = _uncharged_wh(point) * tariff.cheapest(pricing)
        draft.change(point_id, provisional_ticks=ticks, boundary_ms=0)
        return
    since_ms = draft.settled(point.memory.charged.stamp).at_ms
    boundary_ms = point.boundary_ms or tariff.next_boundary_ms(pricing, since_ms)
    draft.change(point_id, provisional_ticks=charge.ticks, boundary_ms=boundary_ms)


def _has_purse(draft: Draft, memory: PointMemory) -> bool:
    return memory.purse_id is not None and is_charged(draft, memory.purse_id)


def _uncharged_wh(point: Point) -> int:
    assert point.memory is not None
    if point.reading is None:
        return 0
    return point.reading.total_wh - point.memory.charged.total_wh


def _charge(draft: Draft, point: Point, pricing: Pricing) -> Charge | None:
    """The price from where the point is charged to, to its reading; None while the hour is needed
    and not known."""
    memory, reading = point.memory, point.reading
    assert memory is not None
    if reading is None:
        return Charge((), 0, memory.position)
    until = draft.settled(reading.stamp)
    if until.trust < Trust.meter and tariff.needs_hour(pricing):
        return None
    wh = _uncharged_wh(point)
    if wh == 0:
        return Charge((), 0, memory.position)
    since = draft.settled(memory.charged.stamp)
    return tariff.charge(pricing, memory.position, wh, since.at_ms, until.at_ms)


# --- when it is written ----------------------------------------------------------------------


def close(draft: Draft, point_ids: Iterable[str], purpose: Purpose) -> int | None:
    """Write readings and charges of these points; the seq of the readings, None if there are none.

    Points without a reading in this start are left out. A point that is not charged (no purse, no
    tariff, hour unknown) has its reading written and stays uncharged.
    """
    ready = [point_id for point_id in point_ids if _can_close(draft.points[point_id])]
    seq = None
    for start in range(0, len(ready), ROWS_MAX):
        rows = ready[start : start + ROWS_MAX]
        seq = _write_readings(draft, rows, purpose)
        _write_charges(draft, rows)
    if purpose == "interval":
        for point_id in ready:
            draft.remember(point_id, interval=draft.interval)
    return seq


def _can_close(point: Point) -> bool:
    return (
        point.reading is not None and point.memory is not None and _same_device(point, point.memory)
    )


def _write_readings(draft: Draft, point_ids: Sequence[str], purpose: Purpose) -> int | None:
    points = [draft.points[point_id] for point_id in point_ids]
    if not points:
        return None
    memories = [p.memory for p in points if p.memory is not None]
    shots = [p.reading.snapshot for p in points if p.reading is not None]
    assert len(points) == len(memories) == len(shots)
    rates = tuple(
        s.rate_wh and tuple(wh * p.ratio for wh in s.rate_wh)
        for p, s in zip(points, shots, strict=True)
    )
    balances = tuple(s.meter_balance_fen for s in shots)
    seq = draft.write(
        facts.Readings,
        purpose=purpose,
        point_id=tuple(point_ids),
        meter_id=tuple(m.meter_id for m in memories),
        incarnation=tuple(m.incarnation for m in memories),
        register_wh=tuple(m.register_wh // p.ratio for p, m in zip(points, memories, strict=True)),
        total_wh=tuple(m.seen.total_wh for m in memories),
        rate_wh=rates if any(rates) else None,
        meter_balance_fen=balances if any(b is not None for b in balances) else None,
        meter_count=tuple(s.meter_count for s in shots),
        quality=("good",) * len(points),
    )
    for point_id in point_ids:
        draft.evidence[point_id] = seq
        draft.keep(point_id)
    return seq


def _write_charges(draft: Draft, point_ids: Sequence[str]) -> None:
    rows: list[dict[str, object]] = []
    for point_id in point_ids:
        point = draft.points[point_id]
        memory, pricing = point.memory, pricing_of(draft, point)
        assert memory is not None
        if pricing is None or not _has_purse(draft, memory):
            continue
        charge = _charge(draft, point, pricing)
        if charge is None:
            continue
        if charge.parts:
            rows.append(_charge_row(draft, point, pricing, charge))
        assert point.reading is not None
        until = draft.settled(point.reading.stamp)
        draft.remember(
            point_id,
            charged=Mark(point.reading.total_wh, until),
            position=charge.position,
        )
        draft.change(point_id, boundary_ms=0)
        reprice(draft, point_id)
    if rows:
        draft.write(facts.Charges, **{name: tuple(row[name] for row in rows) for name in rows[0]})


def _charge_row(draft: Draft, point: Point, pricing: Pricing, charge: Charge) -> dict[str, object]:
    """Charge the purse; the row that says so."""
    memory, reading = point.memory, point.reading
    assert memory is not None
    assert memory.purse_id is not None
    assert reading is not None
    purse = draft.purse(memory.purse_id)
    charged = credit.charged(purse.purse, charge.ticks)
    draft.put_purse(replace(purse, purse=charged))
    until_ms = draft.settled(reading.stamp).at_ms
    return {
        "purse_id": memory.purse_id,
        "point_id": memory.point_id,
        "meter_id": memory.meter_id,
        "incarnation": memory.incarnation,
        "from_wh": memory.charged.total_wh,
        "to_wh": reading.total_wh,
        "from_ms": draft.settled(memory.charged.stamp).at_ms,
        "to_ms": until_ms,
        "parts": tuple(
            {
                "rate": int(part.rate),
                "tier": part.tier,
                "wh": part.wh,
                "price_e4": part.price_e4,
                "estimated": part.estimated,
            }
            for part in charge.parts
        ),
        "tariff_version": tariff.in_force(pricing, until_ms).version,
        "ticks": charge.ticks,
        "charged_ticks": charged.charged_ticks,
    }
