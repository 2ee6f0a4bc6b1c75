"""The audit: recompute every balance, check every chain, and compare centre, gateway and meter.

One read transaction, so that everything is of one moment, also beside a running server. Exit codes:
0 clean, 1 differences, 2 it could not look or there was nothing to look at.
"""

from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from central.database import Database, StorageFault
from central.metering import service as metering
from central.reconcile import cut, journals, money
from central.reconcile.report import (
    CLEAN,
    DIFFERENT,
    NOT_LOOKED,
    Compared,
    Difference,
    Found,
    Kind,
    Language,
    Report,
    Totals,
    show,
    to_json,
)

__all__ = [
    "CLEAN", "DIFFERENT", "NOT_LOOKED", "Compared", "Difference", "Kind", "Report", "reconcile",
    "run", "show", "to_json",
]  # fmt: skip


def reconcile(connection: Connection, now_ms: int) -> Report:
    """Look at everything. Raises only what the database does."""
    found = Found()
    entries = money.check_entries(connection, found)
    purses = money.check_events(connection, found)
    intents = money.check_intents(connection, found, purses)
    audit_rows = money.check_audit(connection, found, now_ms=now_ms)
    states = cut.purse_states(connection)
    walked = journals.walk(connection, found, cut.last_rows(states))
    totals = cut.check_purses(found, purses, states, walked)
    meters, uncharged_wh = cut.check_meters(connection, found, walked)
    _check_shown(connection, found)
    cuts = journals.cuts(connection)
    return Report(
        at_ms=now_ms,
        differences=tuple(found.kept),
        counts=tuple(found.counts.items()),
        compared=Compared(
            entries=entries,
            events=sum(purse.count for purse in purses.values()),
            purses=len(purses),
            meters=meters,
            journals=len(cuts),
            facts=walked.facts,
            charge_rows=walked.charge_rows,
            audit_rows=audit_rows,
        ),
        cuts=cuts,
        totals=Totals(totals.granted_fen, totals.charged_ticks, uncharged_wh),
        credit_outstanding=sum(intent.held_version < intent.version for intent in intents.values()),
    )


def _check_shown(connection: Connection, found: Found) -> None:
    """What ingest itself has noted: rows priced differently, facts and rows set aside."""
    for each in metering.differences(connection):
        found.add(
            Kind.priced_differently,
            f"purse:{each.purse_id} journal:{each.journal_id} seq {each.seq} row {each.row}",
            expected=each.centre_ticks,
            found=each.edge_ticks,
            detail=each.reason,
        )
    for item in metering.set_aside(connection):
        found.add(
            Kind.set_aside,
            f"journal:{item.journal_id} seq {item.seq}"
            + ("" if item.row < 0 else f" row {item.row}"),
            detail=f"{item.kind}: {item.reason} {item.detail}".rstrip(),
        )


async def run(
    database: Database,
    *,
    now_ms: int,
    say: Callable[[str], None],
    lang: Language = "both",
    as_json: bool = False,
    offset_min: int = 480,
) -> int:
    """Audit and tell; the exit code."""
    try:
        report = await database.read(reconcile, now_ms)
    except (DBAPIError, StorageFault, OSError) as fault:
        say(f"无法核对 could not look: {fault}")
        return NOT_LOOKED
    say(to_json(report) if as_json else show(report, lang, offset_min=offset_min))
    return report.exit_code
