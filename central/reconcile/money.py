"""The money in itself: entries, money events, purses, receipts, credit intents, audit rows.

Everything is summed again from the postings; a figure that is kept beside them is only believed
where it is the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, and_, func, or_, select

from central import audit, books, outbox
from central.reconcile.report import Found, Kind
from central.sales import tables
from domain.ledger import Kind as Event
from domain.ledger import purse_account

_PURSE = "purse:"
_AS_AUDITED = ("purse_id", "count", "kind", "fen", "method", "entry_id", "receipt_no")
_AT_ONCE = 1_000


@dataclass(slots=True)
class Purse:
    """A purse as its events make it. `granted_at`: after each count, fen."""

    purse_id: str
    gateway_id: str
    state: str
    granted_at: list[int] = field(default_factory=lambda: [0])

    @property
    def count(self) -> int:
        return len(self.granted_at) - 1

    @property
    def granted_fen(self) -> int:
        return self.granted_at[-1]


def check_entries(connection: Connection, found: Found) -> int:
    """Every entry balances, and what it moves in a purse is a money event. How many there are."""
    entries, postings, events = books.entries, books.postings, tables.money_events
    sums = (
        select(entries.c.entry_id, func.count(postings.c.n), func.sum(postings.c.fen))
        .outerjoin(postings, postings.c.entry_id == entries.c.entry_id)
        .group_by(entries.c.entry_id)
        .having(or_(func.count(postings.c.n) < 2, func.sum(postings.c.fen) != 0))
    )
    for entry_id, count, fen in connection.execute(sums):
        found.add(
            Kind.entry_unbalanced, f"entry:{entry_id}", expected=0, found=fen,
            detail=f"{count} postings",
        )  # fmt: skip
    lonely = (
        select(postings.c.entry_id, postings.c.account, postings.c.fen)
        .outerjoin(
            events,
            and_(
                events.c.entry_id == postings.c.entry_id,
                postings.c.account == _PURSE + events.c.purse_id,
            ),
        )
        .where(postings.c.account.like(f"{_PURSE}%"), events.c.event_id.is_(None))
    )
    for entry_id, account, fen in connection.execute(lonely):
        found.add(Kind.entry_without_event, f"entry:{entry_id}", found=-fen, detail=account)
    return int(connection.scalar(select(func.count()).select_from(entries)) or 0)


def check_events(connection: Connection, found: Found) -> Mapping[str, Purse]:
    """Every event is what its entry says, counted from 1, with a receipt; the purses they make."""
    made = {
        row.purse_id: Purse(row.purse_id, row.gateway_id, row.state)
        for row in connection.execute(select(tables.purses))
    }
    events, postings, receipts = tables.money_events, books.postings, tables.receipts
    wanted = (
        select(events, (-postings.c.fen).label("posted"), receipts.c.receipt_no.label("receipt"))
        .outerjoin(
            postings,
            and_(
                postings.c.entry_id == events.c.entry_id,
                postings.c.account == _PURSE + events.c.purse_id,
            ),
        )
        .outerjoin(receipts, receipts.c.event_id == events.c.event_id)
        .order_by(events.c.purse_id, events.c.count)
    )
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(wanted).mappings():
        _check_event(found, row, made.get(row["purse_id"]))
    _check_purses(connection, found, made)
    return made


def _check_event(found: Found, row: RowMapping, purse: Purse | None) -> None:
    subject = f"event:{row['event_id']}"
    found.compare(Kind.event_without_entry, subject, expected=row["posted"], found=row["fen"])
    found.compare(Kind.receipt_missing, subject, expected=row["receipt_no"], found=row["receipt"])
    if purse is not None:  # a foreign key holds it; a purse that is gone shows in the postings
        place = f"purse:{purse.purse_id}"
        found.compare(Kind.count_mismatch, place, expected=purse.count + 1, found=row["count"])
        purse.granted_at.append(purse.granted_fen + row["fen"])


def _check_purses(connection: Connection, found: Found, made: Mapping[str, Purse]) -> None:
    postings = books.postings
    sums = (
        select(postings.c.account, -func.sum(postings.c.fen))
        .where(postings.c.account.like(f"{_PURSE}%"))
        .group_by(postings.c.account)
    )
    posted = {account: int(fen) for account, fen in connection.execute(sums)}
    for row in connection.execute(select(tables.purses)).mappings():
        purse, subject = made[row["purse_id"]], f"purse:{row['purse_id']}"
        in_entries = posted.pop(purse_account(purse.purse_id), 0)
        for expected, stands in (
            (in_entries, purse.granted_fen),
            (purse.granted_fen, row["granted_fen"]),
        ):
            found.compare(Kind.granted_mismatch, subject, expected=expected, found=stands)
        found.compare(Kind.count_mismatch, subject, expected=purse.count, found=row["count"])
    for account, fen in posted.items():
        found.add(Kind.granted_mismatch, account, found=fen, detail="no such purse")


def check_intents(
    connection: Connection, found: Found, purses: Mapping[str, Purse]
) -> Mapping[str, Row[Any]]:
    """Every purse's credit intent says what its events make; the intents by purse."""
    credit = outbox.intents.c.kind == outbox.CREDIT
    stored = {row.key: row for row in connection.execute(select(outbox.intents).where(credit))}
    for purse in purses.values():
        intent, subject = stored.get(purse.purse_id), f"purse:{purse.purse_id}"
        if intent is None:
            if purse.count:
                found.add(Kind.intent_mismatch, subject, expected=purse.granted_fen)
            continue
        body = json.loads(intent.body)
        said = (intent.gateway_id, body["count"], body["granted_fen"], body["state"])
        should = (purse.gateway_id, purse.count, purse.granted_fen, purse.state)
        found.compare(Kind.intent_mismatch, subject, expected=str(should), found=str(said))
    return stored


def check_audit(connection: Connection, found: Found, *, now_ms: int) -> int:
    """The audit chain holds, and every event is what was audited. How many audit rows there are."""
    for fault in audit.verify(connection, now_ms=now_ms):
        found.add(Kind.audit_chain, "audit", detail=fault)
    audited = _audited(connection)
    events = select(tables.money_events)
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(events).mappings():
        was = audited.pop(row["event_id"], None)
        now = {name: row[name] for name in _AS_AUDITED}
        if was != now:
            found.add(
                Kind.event_not_as_audited, f"event:{row['event_id']}",
                expected=None if was is None else _brief(was), found=_brief(now),
            )  # fmt: skip
    for event_id, was in audited.items():
        found.add(Kind.event_not_as_audited, f"event:{event_id}", expected=_brief(was))
    return int(connection.scalar(select(func.count()).select_from(audit.audit_rows)) or 0)


def _audited(connection: Connection) -> dict[str, dict[str, object]]:
    rows = audit.audit_rows
    wanted = select(rows.c.after).where(
        rows.c.action.in_([kind.value for kind in Event]), rows.c.object.like(f"{_PURSE}%")
    )
    audited = {}
    for (after,) in connection.execution_options(yield_per=_AT_ONCE).execute(wanted):
        content = json.loads(after or "{}")
        if "event_id" in content:
            audited[content["event_id"]] = {name: content.get(name) for name in _AS_AUDITED}
    return audited


def _brief(event: Mapping[str, object]) -> str:
    return f"{event['kind']} {event['fen']} #{event['count']} {event['purse_id']}"


def gateway_difference(purse: Purse, count: int, granted_fen: int) -> tuple[int | None, int] | None:
    """Where what a gateway said it holds is not what the events up to its count make: both."""
    if count > purse.count:
        return None, granted_fen
    expected = purse.granted_at[count]
    return None if expected == granted_fen else (expected, granted_fen)
