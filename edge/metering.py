"""What energy costs, and when that is written: priced at every poll, charged when it is closed.

So what is available is always known, and the purse's charged total grows only together with the
readings and charges that say so, by exactly what was shown before. Energy in Wh, money in ticks,
time in milliseconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from domain import credit, readings, tariff
from domain.instants import Trust
from domain.tariff import Pricing
from domain.wire import facts
from edge import charge_rows
from edge.charge_rows import ROWS_MAX, Piece
from edge.draft import Draft
from edge.memory import Mark, PointMemory
from edge.meters.snapshot import Snapshot
from edge.picture import Point

Purpose = Literal["interval", "boundary", "evidence", "opening", "final"]


def attach(draft: Draft, point_id: str) -> None:
    """Bring a point to the purse it is installed for: close the old account, begin the new one."""
    point = draft.points[point_id]
    memory, purse_id = point.memory, point.place.purse_id
    if memory is None or point.reading is None or memory.purse_id == purse_id:
        return
    if not point.is_remembered:
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
    pieces = _pieces(draft, point, pricing)
    if pieces is None:  # the hour is not known: never more than it can turn out to be
        ticks = uncharged_wh(point) * tariff.cheapest(pricing)
        draft.change(point_id, provisional_ticks=ticks, boundary_ms=0)
        return
    since_ms = draft.settled(point.memory.charged.stamp).at_ms
    boundary_ms = point.boundary_ms or tariff.next_boundary_ms(pricing, since_ms)
    ticks = sum(piece.charge.ticks for piece in pieces)
    draft.change(point_id, provisional_ticks=ticks, boundary_ms=boundary_ms)


def _has_purse(draft: Draft, memory: PointMemory) -> bool:
    return memory.purse_id is not None and is_charged(draft, memory.purse_id)


def uncharged_wh(point: Point) -> int:
    """What a point's newest reading says was used and is not charged yet, in Wh."""
    if point.memory is None or point.reading is None:
        return 0
    return point.reading.total_wh - point.memory.charged.total_wh


def is_chargeable(draft: Draft, point: Point) -> bool:
    """Whether all that was read could be charged now: by a known price and, if need be, hour."""
    if uncharged_wh(point) == 0:
        return True
    pricing = pricing_of(draft, point)
    return pricing is not None and _pieces(draft, point, pricing) is not None


def _pieces(draft: Draft, point: Point, pricing: Pricing) -> tuple[Piece, ...] | None:
    """The price from where the point is charged to, to its reading, as rows; None while the hour
    is needed and not known."""
    memory, reading = point.memory, point.reading
    assert memory is not None
    if reading is None:
        return ()
    until = draft.settled(reading.stamp)
    if until.trust < Trust.meter and tariff.needs_hour(pricing):
        return None
    since = draft.settled(memory.charged.stamp)
    return charge_rows.pieces(
        pricing,
        memory.position,
        totals_wh=(memory.charged.total_wh, reading.total_wh),
        span_ms=(since.at_ms, until.at_ms),
    )


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
    return point.reading is not None and point.is_remembered


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


def write_suspects(draft: Draft) -> None:
    """Write what began to be doubted in this cycle, beside the last total that was believed.

    After all else: of two readings of a moment the books show the first. Before its first believed
    reading a meter has no total; then only the alarm says it.
    """
    for point_id, (snapshot, suspicion) in draft.suspects.items():
        point = draft.points.get(point_id)
        if point is not None and point.memory is not None and point.is_remembered:
            _write_suspect(draft, point.memory, snapshot, suspicion)


def _write_suspect(
    draft: Draft, memory: PointMemory, snapshot: Snapshot, suspicion: readings.Suspicion
) -> None:
    draft.write(
        facts.Readings,
        purpose="evidence",
        point_id=(memory.point_id,),
        meter_id=(memory.meter_id,),
        incarnation=(memory.incarnation,),
        register_wh=(snapshot.register_wh,),
        total_wh=(memory.seen.total_wh,),
        rate_wh=None,
        meter_balance_fen=None,
        meter_count=(snapshot.meter_count,),
        quality=(f"suspect:{suspicion}",),
    )


def _write_charges(draft: Draft, point_ids: Sequence[str]) -> None:
    rows: list[dict[str, object]] = []
    for point_id in point_ids:
        point = draft.points[point_id]
        memory, pricing = point.memory, pricing_of(draft, point)
        assert memory is not None
        if pricing is None or not _has_purse(draft, memory):
            continue
        pieces = _pieces(draft, point, pricing)
        if pieces is None:
            continue
        rows += [_charge_row(draft, memory, pricing, piece) for piece in pieces]
        assert point.reading is not None
        until = draft.settled(point.reading.stamp)
        draft.remember(
            point_id,
            charged=Mark(point.reading.total_wh, until),
            position=pieces[-1].charge.position if pieces else memory.position,
        )
        draft.change(point_id, boundary_ms=0)
        reprice(draft, point_id)
    for some in charge_rows.packed(rows):
        draft.write(facts.Charges, **{name: tuple(row[name] for row in some) for name in some[0]})


def _charge_row(
    draft: Draft, memory: PointMemory, pricing: Pricing, piece: Piece
) -> dict[str, object]:
    """Charge the purse; the row that says so."""
    assert memory.purse_id is not None
    purse = draft.purse(memory.purse_id)
    charged = credit.charged(purse.purse, piece.charge.ticks)
    draft.put_purse(replace(purse, purse=charged))
    return {
        "purse_id": memory.purse_id,
        "point_id": memory.point_id,
        "meter_id": memory.meter_id,
        "incarnation": memory.incarnation,
        "from_wh": piece.from_wh,
        "to_wh": piece.to_wh,
        "from_ms": piece.from_ms,
        "to_ms": piece.to_ms,
        "parts": tuple(
            {
                "rate": int(part.rate),
                "tier": part.tier,
                "wh": part.wh,
                "price_e4": part.price_e4,
                "estimated": part.estimated,
            }
            for part in piece.charge.parts
        ),
        "tariff_version": tariff.in_force(pricing, piece.to_ms).version,
        "ticks": piece.charge.ticks,
        "charged_ticks": charged.charged_ticks,
    }
