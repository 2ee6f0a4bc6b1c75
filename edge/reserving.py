"""Reservations wait for a reading: what was used is charged before money is set aside.

An intent that asks for something new waits until every meter that the purse pays for was read
after it came; what the reading adds is charged, and only then is it answered. It waits no longer
than a meter may be silent before it is lost. Where something is still not charged then (a lost
meter, an hour that nobody knows, a price that has not come), what is left is in doubt, and only a
reservation that may leave less than nothing is accepted. A start forgets who waits: the intent is
said again until it is held.
"""

from domain.credit import CreditIntent
from domain.wire.intents import Intent
from edge import metering
from edge.draft import Draft
from edge.memory import PurseMemory
from edge.picture import Point, Waiting


def asks(memory: PurseMemory, wanted: CreditIntent) -> bool:
    """Whether an intent lists a reservation that was never answered."""
    known = memory.purse.reservations.keys() | memory.answered.keys()
    return any(asked.reservation_id not in known for asked in wanted.reservations)


def wait(draft: Draft, intent: Intent) -> None:
    """Keep a credit intent until its purse's meters have been read; a newer one inherits since
    when."""
    before = draft.waiting.get(intent.key)
    since_mono_ms = draft.now.mono_ms if before is None else before.since_mono_ms
    draft.waiting[intent.key] = Waiting(intent, since_mono_ms)
    if before is None:
        for point in _paid_points(draft, intent.key):
            if point.in_service:
                draft.read_soon(point.point_id)


def charge_what_is_read(draft: Draft, purse_id: str) -> bool | None:
    """Charge a waiting purse once its meters were read; whether that is all it owes.

    None: wait on. False: the wait is over, and something may be owed that is not charged.
    """
    waiting = draft.waiting[purse_id]
    points = _paid_points(draft, purse_id)
    untold = [point for point in points if not _is_told(draft, point, waiting.since_mono_ms)]
    known = draft.picture.installation is not None  # else nobody can say which meters those are
    if (untold or not known) and not _is_over(draft, waiting, untold if known else None):
        return None
    used = [p.point_id for p in points if metering.uncharged_wh(p) > 0 and draft.is_fresh(p)]
    metering.close(draft, used, "evidence")
    return known and not untold


def _paid_points(draft: Draft, purse_id: str) -> list[Point]:
    """The points whose energy the purse pays: what they use from now on, and what it owes yet."""
    if not metering.is_charged(draft, purse_id):
        return []
    return [
        point
        for point in draft.points.values()
        if point.memory is not None and point.is_remembered and point.memory.purse_id == purse_id
    ]


def _is_told(draft: Draft, point: Point, since_mono_ms: int) -> bool:
    """Whether a meter was read since then, and what it counted can be charged."""
    if point.reading is None or point.reading.stamp.mono_ms < since_mono_ms:
        return False
    return metering.is_chargeable(draft, point)


def _is_over(draft: Draft, waiting: Waiting, untold: list[Point] | None) -> bool:
    """Whether waiting on is of no use: for meters known to be lost, or for longer than that."""
    if untold is not None and all(point.missing for point in untold):
        return True
    return draft.now.mono_ms - waiting.since_mono_ms > draft.picture.rules.lost_ms
