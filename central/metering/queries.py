"""Reads of metering for the pages: a point's readings, its use, what was decided about its supply.

Reads may join any table; whatever writes goes through a service.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import Connection, func, select

from central.metering import tables
from domain.instants import HOUR_MS, MINUTE_MS

SLOT_MS = 30 * MINUTE_MS
EARLIER_MS = 2 * HOUR_MS  # how far before a span its first reading may lie


@dataclass(frozen=True, slots=True)
class Decision:
    """A line of a point's supply log. `what`: decided (states) or relay (positions)."""

    point_id: str
    at_ms: int
    what: str
    before: str
    after: str
    reason: str
    available_ticks: int | None
    tries: int | None


def readings_of(
    connection: Connection, point_id: str, *, from_ms: int, to_ms: int
) -> list[tuple[int, int]]:
    """`(ts_ms, total_wh)` of the believed readings of a span and the last one before it."""
    readings = tables.readings
    rows = connection.execute(
        select(readings.c.ts_ms, readings.c.total_wh)
        .where(
            readings.c.ts_ms >= from_ms - EARLIER_MS,
            readings.c.ts_ms <= to_ms,
            readings.c.point_id == point_id,
            readings.c.quality == "good",
        )
        .order_by(readings.c.ts_ms)
    )
    found = [(int(ts_ms), int(total_wh)) for ts_ms, total_wh in rows]
    inside = next((n for n, (ts_ms, _) in enumerate(found) if ts_ms >= from_ms), len(found))
    return found[max(inside - 1, 0) :]


def use_of_slots(
    readings: Sequence[tuple[int, int]], *, from_ms: int, slots: int, slot_ms: int = SLOT_MS
) -> list[int | None]:
    """Wh used in each slot from `from_ms`; None where no two readings close enough enclose it.

    Between two readings at most one slot and a half apart energy is shared by time (floor of the
    running share); a longer silence is a gap and stays one.
    """
    ends = [_total_at(readings, from_ms + n * slot_ms, slot_ms) for n in range(slots + 1)]
    return [
        None if before is None or after is None else max(after - before, 0)
        for before, after in pairwise(ends)
    ]


def _total_at(readings: Sequence[tuple[int, int]], at_ms: int, slot_ms: int) -> int | None:
    """The register at an instant, from the readings around it."""
    after = next((n for n, (ts_ms, _) in enumerate(readings) if ts_ms >= at_ms), None)
    if after is None:
        return None
    ts_ms, total_wh = readings[after]
    if ts_ms == at_ms:
        return total_wh
    if after == 0:
        return None
    before_ms, before_wh = readings[after - 1]
    if ts_ms - before_ms > slot_ms * 3 // 2 or total_wh < before_wh:
        return None
    return before_wh + (total_wh - before_wh) * (at_ms - before_ms) // (ts_ms - before_ms)


def decisions_of(
    connection: Connection, point_ids: Sequence[str], *, limit: int = 30
) -> list[Decision]:
    """What was decided about some points' supply, and what their relays did; newest first."""
    log = tables.supply_log
    rows = connection.execute(
        select(
            log.c.point_id, log.c.at_ms, log.c.what, log.c.before, log.c.after, log.c.reason,
            log.c.available_ticks, log.c.tries,
        )
        .where(log.c.point_id.in_(point_ids))
        .order_by(log.c.at_ms.desc(), log.c.seq.desc())
        .limit(limit)
    )  # fmt: skip
    return [Decision(*row) for row in rows]


def doubts(connection: Connection) -> int:
    """How many rows of the gateways are set aside, or were priced otherwise than we do."""
    aside = select(func.count()).where(tables.quarantine.c.settled_at_ms.is_(None))
    differing = select(func.count()).select_from(tables.differences)
    return int(connection.scalar(aside) or 0) + int(connection.scalar(differing) or 0)
