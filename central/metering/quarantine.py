"""What was set aside: shown to people, read again after an upgrade, never booked by a guess."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from central import audit
from central.database import lock_rows
from central.gateways import journals
from central.gateways.tables import gateways
from central.metering.context import Context
from central.metering.draft import Draft
from central.metering.effects import apply
from central.metering.prices import Prices
from central.metering.readable import BAD_FACT, UNKNOWN_KIND, Unreadable, load, read
from central.metering.tables import WHOLE_FACT, facts, quarantine
from central.security import Actor
from domain.refusals import Refusal
from domain.wire.facts import RawFact

TWIN = "twin"
_UNREAD = (
    quarantine.c.row == WHOLE_FACT,
    quarantine.c.settled_at_ms.is_(None),
    quarantine.c.reason.in_((UNKNOWN_KIND, BAD_FACT)),
)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A fact or one of its rows in quarantine; `row` is −1 for a whole fact."""

    journal_id: str
    seq: int
    row: int
    gateway_id: str
    kind: str
    reason: str
    detail: str
    text: str
    at_ms: int
    settled_at_ms: int | None


def set_aside(
    connection: Connection, *, settled: bool = False, limit: int | None = None
) -> list[SetAside]:
    """What is in quarantine, newest first; with `settled` also what has been dealt with."""
    wanted = select(quarantine).order_by(
        quarantine.c.at_ms.desc(), quarantine.c.seq.desc(), quarantine.c.row
    )
    if not settled:
        wanted = wanted.where(quarantine.c.settled_at_ms.is_(None))
    rows = connection.execute(wanted.limit(limit)).mappings()
    return [SetAside(**row) for row in rows]


def settle(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    journal_id: str,
    seq: int,
    row: int,
    reason: str,
) -> Refusal | None:
    """Say that a person has dealt with something set aside, and how; it stays on record."""
    found = connection.execute(
        update(quarantine)
        .where(quarantine.c.journal_id == journal_id, quarantine.c.seq == seq)
        .where(quarantine.c.row == row, quarantine.c.settled_at_ms.is_(None))
        .values(settled_at_ms=now_ms)
    )
    if found.rowcount == 0:
        return Refusal.not_found
    obj = f"quarantine:{journal_id}/{seq}/{row}"
    after = {"reason": reason}
    audit.record(connection, actor, action="settle_quarantine", obj=obj, after=after, at_ms=now_ms)
    return None


def settle_twin(connection: Connection, journal_id: str, *, at_ms: int) -> None:
    """A journal that was set aside as a twin is taken after all."""
    connection.execute(
        update(quarantine)
        .where(quarantine.c.journal_id == journal_id, quarantine.c.reason == TWIN)
        .where(quarantine.c.settled_at_ms.is_(None))
        .values(settled_at_ms=at_ms)
    )


def reread(
    connection: Connection, *, new_id: Callable[[], str], prices: Prices, now_ms: int
) -> int:
    """Read again, after an upgrade, what could not be read; returns how many facts now can be.

    Each takes effect as the books stand now: a charge row that joins no more is set aside. The
    gateways are held first, as an ingest holds them: what comes in meanwhile waits, or is waited
    for.
    """
    lock_rows(connection, gateways.c.gateway_id, _unread_gateways(connection))
    waiting = select(quarantine.c.journal_id, facts.c.seq, facts.c.kind, facts.c.v, facts.c.text)
    waiting = (
        waiting.join(
            facts,
            (facts.c.journal_id == quarantine.c.journal_id) & (facts.c.seq == quarantine.c.seq),
        )
        .where(*_UNREAD)
        .order_by(quarantine.c.journal_id, quarantine.c.seq)
    )
    done = 0
    for journal_id, seq, kind, v, text in connection.execute(waiting).all():
        fact = read(RawFact(seq, kind, json.loads(text), text, ""), v)
        if isinstance(fact, Unreadable):
            continue
        journal = journals.find(connection, journal_id)
        assert journal is not None, "facts are kept of known journals only"
        draft = Draft(connection)
        load(draft, prices, [fact], now_ms=now_ms)
        context = Context(journal.gateway_id, journal_id, journal.is_open, now_ms, new_id)
        apply(draft, context, fact)
        draft.write()
        values: dict[str, int | str] = {"settled_at_ms": now_ms}
        if context.whole_set_aside is not None:
            values = {"reason": context.whole_set_aside}
        connection.execute(
            update(quarantine)
            .where(quarantine.c.journal_id == journal_id, quarantine.c.seq == seq)
            .where(quarantine.c.row == WHOLE_FACT)
            .values(values)
        )
        done += 1
    return done


def _unread_gateways(connection: Connection) -> list[str]:
    wanted = select(quarantine.c.gateway_id).where(*_UNREAD).distinct()
    return list(connection.execute(wanted).scalars())
