"""One money event and all its traces in one commit, under the purse's lock.

Whoever writes an event goes this way: lock, look, decide (`domain.sales`), book. Booking posts the
entry, moves the purse's count and granted, puts the credit intent, takes the receipt number, and
writes event, slip and audit row. The order of locks is purse → intent → receipt counter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from central import audit, books, outbox
from central.database import lock_rows
from central.metering import tables as metering
from central.sales import receipts, tables
from central.sales.receipts import Receipt
from central.security import Actor
from domain import ledger
from domain.ids import IdSource
from domain.ledger import Kind, Method
from domain.sales import Approved, Event, PurseView
from domain.units import TICKS_PER_FEN
from domain.wire.intents import CreditBody, Reservation


@dataclass(frozen=True, slots=True)
class Till:
    """Where money is taken. `issuing_point` numbers its own receipts; `cap_fen` None: no cap."""

    issuing_point: str = "a"
    cap_fen: int | None = 200_000  # 囤积金额上限


FRONT_DESK = Till()


@dataclass(frozen=True, slots=True)
class Booking:
    """Why an event is booked: who did it, where, for which request or reservation."""

    actor: Actor  # whose deed the audit row names
    operator_id: str  # who stands on the event and the receipt
    operator_name: str
    issuing_point: str
    request_id: str
    method: Method | None = None
    memo: str = ""
    reverses: str | None = None
    reservation_id: str | None = None

    @classmethod
    def by(cls, actor: Actor, till: Till, *, request_id: str, memo: str = "") -> Self:
        """A booking by the operator who stands at the till."""
        return cls(
            actor=actor,
            operator_id=actor.operator_id,
            operator_name=actor.name,
            issuing_point=till.issuing_point,
            request_id=request_id,
            memo=memo,
        )


def lock_purse(connection: Connection, purse_id: str) -> PurseView | None:
    """Hold the purse until the transaction ends and look at it; None where there is none."""
    lock_rows(connection, tables.purses.c.purse_id, [purse_id])
    found = select(tables.purses.c.purse_id).where(tables.purses.c.purse_id == purse_id)
    return None if connection.scalar(found) is None else looked_at(connection, purse_id)


def looked_at(connection: Connection, purse_id: str) -> PurseView:
    """The purse as the rules see it. Raises LookupError where there is none."""
    row = _purse(connection, purse_id)
    granted_ticks = row["granted_fen"] * TICKS_PER_FEN
    return PurseView(
        purse_id=purse_id,
        state=row["state"],
        count=row["count"],
        granted_fen=row["granted_fen"],
        available_ticks=granted_ticks - booked_charged_ticks(connection, purse_id),
        open_reservations=len(open_reservations(connection, purse_id)),
        latest=_latest(connection, purse_id),
    )


def _purse(connection: Connection, purse_id: str) -> RowMapping:
    wanted = select(tables.purses).where(tables.purses.c.purse_id == purse_id)
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        raise LookupError(f"no purse {purse_id}")
    return row


def booked_charged_ticks(connection: Connection, purse_id: str) -> int:
    """What the gateway has charged the purse, as far as booked, in ticks."""
    states = metering.purse_states
    ticks = connection.scalar(select(states.c.charged_ticks).where(states.c.purse_id == purse_id))
    return int(ticks or 0)


def event(connection: Connection, event_id: str) -> tuple[str, Event] | None:
    """A money event with its entry, and the purse it belongs to; None where there is none."""
    events = tables.money_events
    wanted = select(events).where(events.c.event_id == event_id)
    row = connection.execute(wanted).mappings().one_or_none()
    return None if row is None else (row["purse_id"], _event(connection, row))


def _latest(connection: Connection, purse_id: str) -> Event | None:
    events = tables.money_events
    wanted = (
        select(events).where(events.c.purse_id == purse_id).order_by(events.c.count.desc()).limit(1)
    )
    row = connection.execute(wanted).mappings().one_or_none()
    return None if row is None else _event(connection, row)


def _event(connection: Connection, row: RowMapping) -> Event:
    events = tables.money_events
    undoing = select(events.c.event_id).where(events.c.reverses == row["event_id"])
    return Event(
        event_id=row["event_id"],
        count=row["count"],
        kind=Kind(row["kind"]),
        fen=row["fen"],
        method=Method(row["method"]) if row["method"] else None,
        entry=books.entry_of(connection, row["entry_id"]),
        reversed_by=connection.scalar(undoing),
        entry_id=row["entry_id"],
    )


def open_reservations(connection: Connection, purse_id: str) -> list[Reservation]:
    """What the gateway is asked to set aside and has not answered, oldest first."""
    asked = tables.reservations
    rows = connection.execute(
        select(asked.c.reservation_id, asked.c.fen, asked.c.purpose)
        .where(asked.c.purse_id == purse_id, asked.c.state == "open")
        .order_by(asked.c.asked_at_ms, asked.c.reservation_id)
    )
    return [
        Reservation(reservation_id=row.reservation_id, fen=row.fen, purpose=row.purpose)
        for row in rows
    ]


def credit_body(connection: Connection, purse_id: str) -> CreditBody:
    """What the purse should be, as the books stand. Raises LookupError where there is none."""
    row = _purse(connection, purse_id)
    return CreditBody(
        count=row["count"],
        granted_fen=row["granted_fen"],
        reservations=tuple(open_reservations(connection, purse_id)),
        state=row["state"],
    )


def put_credit(connection: Connection, purse_id: str, *, now_ms: int) -> int:
    """Put the purse's credit intent as the books stand now; returns its version."""
    return outbox.put(
        connection,
        gateway_id=_purse(connection, purse_id)["gateway_id"],
        kind="credit",
        key=purse_id,
        body=credit_body(connection, purse_id),
        now_ms=now_ms,
    )


def paid_by_method(connection: Connection, purse_id: str) -> Mapping[Method, int]:
    """What came in less what went out by each method, and what is asked for, in fen."""
    events, asked = tables.money_events, tables.reservations
    came = connection.execute(
        select(events.c.method, func.sum(events.c.fen))
        .where(events.c.purse_id == purse_id, events.c.method.is_not(None))
        .group_by(events.c.method)
    )
    net = {Method(method): int(fen) for method, fen in came}
    due = connection.execute(
        select(asked.c.method, func.sum(asked.c.fen))
        .where(asked.c.purse_id == purse_id, asked.c.state == "open", asked.c.method.is_not(None))
        .group_by(asked.c.method)
    )
    for method, fen in due:
        net[Method(method)] = net.get(Method(method), 0) - int(fen)
    return net


def book(
    connection: Connection,
    view: PurseView,
    approved: Approved,
    booking: Booking,
    *,
    now_ms: int,
    new_id: IdSource,
) -> Receipt:
    """Write one approved event with everything that belongs to it; returns its slip."""
    entry_id, event_id = new_id(), new_id()
    books.post(
        connection,
        approved.entry,
        entry_id=entry_id,
        at_ms=now_ms,
        operator_id=booking.operator_id,
        memo=booking.memo,
    )
    version = _grant(connection, view.purse_id, approved, now_ms=now_ms)
    n = receipts.next_number(connection, booking.issuing_point)
    row = {
        "event_id": event_id,
        "purse_id": view.purse_id,
        "count": approved.count,
        "kind": approved.entry.kind,
        "fen": ledger.granted(approved.entry, view.purse_id),
        "method": booking.method,
        "entry_id": entry_id,
        "receipt_no": f"{booking.issuing_point.upper()}-{n:06d}",
        "at_ms": now_ms,
        "operator_id": booking.operator_id,
        "reverses": booking.reverses,
        "reservation_id": booking.reservation_id,
        "request_id": booking.request_id,
        "intent_version": version,
    }
    connection.execute(insert(tables.money_events).values(row))
    audit.record(
        connection,
        booking.actor,
        action=approved.entry.kind,
        obj=f"purse:{view.purse_id}",
        before={"count": view.count, "granted_fen": view.granted_fen},
        after=row | {"granted_fen": approved.granted_fen, "memo": booking.memo},
        at_ms=now_ms,
    )
    return receipts.hand_out(
        connection,
        event_id,
        n=n,
        issuing_point=booking.issuing_point,
        operator=booking.operator_name,
        remark=booking.memo,
    )


def _grant(connection: Connection, purse_id: str, approved: Approved, *, now_ms: int) -> int:
    connection.execute(
        update(tables.purses)
        .where(tables.purses.c.purse_id == purse_id)
        .values(count=approved.count, granted_fen=approved.granted_fen)
    )
    return put_credit(connection, purse_id, now_ms=now_ms)
