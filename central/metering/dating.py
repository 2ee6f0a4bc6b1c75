"""Earlier readings get their true time once the clock of their boot is set.

at' = at_set − (mono_set − mono), for what the same boot wrote while it did not know the time.
"""

import json
from collections.abc import Iterator

from pydantic import ValidationError
from sqlalchemy import delete, select

from central.metering import tables
from central.metering.context import Context
from central.metering.draft import Draft
from domain.instants import Stamp, Trust, redated
from domain.wire.facts import ClockSet, Readings, parse_fact

_AT_ONCE = 200


def date_earlier(draft: Draft, context: Context, fact: ClockSet) -> None:
    """Move the readings of this boot that were stamped without trust to when they were taken."""
    if fact.trust == Trust.unknown or fact.trust_before != Trust.unknown:
        return
    draft.write()
    for earlier in list(_earlier_readings(draft, context, fact)):
        stamp = Stamp(earlier.at_ms, Trust(earlier.trust), earlier.boot, earlier.mono_ms)
        ts_ms = redated(stamp, fact.at_ms, fact.mono_ms)
        if ts_ms != earlier.at_ms and ts_ms >= 0:
            _move(draft, context, earlier, ts_ms)


def _earlier_readings(draft: Draft, context: Context, fact: ClockSet) -> Iterator[Readings]:
    """Readings of the same boot before the clock was set, newest first; stops at the boot's start.

    A gateway that does not know the time knows it from then on, so all of them lie together.
    """
    facts = tables.facts
    wanted = (
        select(facts.c.kind, facts.c.trust, facts.c.v, facts.c.text)
        .where(facts.c.journal_id == context.journal_id, facts.c.seq < fact.seq)
        .order_by(facts.c.seq.desc())
    )
    with draft.connection.execution_options(yield_per=_AT_ONCE).execute(wanted) as rows:
        for row in rows:
            if row.trust != Trust.unknown:
                return
            if row.kind != "readings":
                continue
            earlier = _read(row.text, row.v)
            if earlier is None:
                continue
            if earlier.boot != fact.boot:
                return
            yield earlier


def _read(text: str, v: int) -> Readings | None:
    try:
        fact = parse_fact(json.loads(text), v)
    except ValidationError:
        return None  # in quarantine already
    return fact if isinstance(fact, Readings) else None


def _move(draft: Draft, context: Context, earlier: Readings, ts_ms: int) -> None:
    readings = tables.readings
    mine = (
        (readings.c.ts_ms == earlier.at_ms)
        & (readings.c.journal_id == context.journal_id)
        & (readings.c.seq == earlier.seq)
    )
    rows = [tuple(row) for row in draft.connection.execute(select(readings).where(mine))]
    draft.connection.execute(delete(readings).where(mine))
    draft.add_all(tables.readings, [(ts_ms, *row[1:]) for row in rows])
    draft.write()
