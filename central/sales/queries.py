"""Reads of money for the pages: an account's events, what was just sold, a shift, and a trace.

Reads may join any table; whatever writes goes through a service.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from central.metering import tables as metering
from central.outbox import intents
from central.people import tables as people
from central.rooms import tables as places
from central.sales import tables
from central.sales.reservations import Asked, asked
from domain.ledger import Kind, Method

RECENT_MAX = 200


@dataclass(frozen=True, slots=True)
class EventRow:
    """A money event as lists show it. `fen` is what it added to granted, negative for a refund.

    `in_the_room`: the gateway has said that it holds this event. `reversed_by` names the event
    that undid this one, `reverses` the one that this undid.
    """

    event_id: str
    purse_id: str
    account_id: str
    holder: str
    room_id: str
    building: str
    room: str
    count: int
    kind: Kind
    fen: int
    method: Method | None
    receipt_no: str
    at_ms: int
    operator: str
    reverses: str | None
    reversed_by: str | None
    in_the_room: bool

    @property
    def is_standing_payment(self) -> bool:
        """Whether it brought money into the room and was not undone: what a trace may follow."""
        brought_money = self.kind in (Kind.sale, Kind.opening) and self.fen > 0
        return brought_money and self.reversed_by is None


@dataclass(frozen=True, slots=True)
class Takings:
    """What came and went by one method and kind: how many events, and their sum in fen."""

    method: Method | None
    kind: Kind
    events: int
    fen: int


@dataclass(frozen=True, slots=True)
class Trace:
    """How far a sale has come; each time is UTC milliseconds, None where it has not happened.

    `at_gateway_ms`: when the gateway took this event's credit; left out once it has taken a later
    intent, because then only that one's time is kept. `lit_at_ms`: when a relay of the purse was
    first read back closed after the event; a room that was lit all along has none. `relays`: each
    point's relay as last read back after a command, None where it was never commanded.
    """

    event_id: str
    booked_at_ms: int
    sent_at_ms: int | None
    at_gateway_ms: int | None
    lit_at_ms: int | None
    refused_reason: str | None
    relays: dict[str, str | None]


def events_of_account(
    connection: Connection, account_id: str, *, limit: int = RECENT_MAX
) -> list[EventRow]:
    """An account's money events, newest first."""
    return _rows(connection, tables.accounts.c.account_id == account_id, limit=limit)


def recent_events(
    connection: Connection, *, operator_id: str | None = None, limit: int = 10
) -> list[EventRow]:
    """The newest money events of the house, or of one operator, newest first."""
    if operator_id is None:
        return _rows(connection, limit=limit)
    return _rows(connection, tables.money_events.c.operator_id == operator_id, limit=limit)


def events_between(
    connection: Connection, *, from_ms: int, to_ms: int, limit: int = RECENT_MAX
) -> list[EventRow]:
    """The money events of the house from `from_ms` until before `to_ms`, newest first."""
    at_ms = tables.money_events.c.at_ms
    return _rows(connection, at_ms >= from_ms, at_ms < to_ms, limit=limit)


def not_in_the_room(connection: Connection, *, limit: int = RECENT_MAX) -> list[EventRow]:
    """Money events of open purses that their gateway does not hold yet, newest first."""
    held = func.coalesce(metering.purse_states.c.gateway_count, 0)
    still_open = tables.purses.c.state != "closed"
    return _rows(connection, tables.money_events.c.count > held, still_open, limit=limit)


def event_row(connection: Connection, event_id: str) -> EventRow | None:
    """One money event, or None where there is none."""
    found = _rows(connection, tables.money_events.c.event_id == event_id, limit=1)
    return found[0] if found else None


def takings(
    connection: Connection, *, from_ms: int, to_ms: int, operator_id: str | None = None
) -> list[Takings]:
    """What came and went from `from_ms` until before `to_ms`, by method and kind."""
    events = tables.money_events
    wanted = (
        select(events.c.method, events.c.kind, func.count(), func.sum(events.c.fen))
        .where(events.c.at_ms >= from_ms, events.c.at_ms < to_ms)
        .group_by(events.c.method, events.c.kind)
        .order_by(events.c.method, events.c.kind)
    )
    if operator_id is not None:
        wanted = wanted.where(events.c.operator_id == operator_id)
    return [
        Takings(Method(method) if method else None, Kind(kind), int(count), int(fen))
        for method, kind, count, fen in connection.execute(wanted)
    ]


def asked_of_account(connection: Connection, account_id: str, *, limit: int = 20) -> list[Asked]:
    """An account's refunds and reversals as they stand, newest first."""
    wanted = tables.reservations
    ids = connection.execute(
        select(wanted.c.reservation_id)
        .join(tables.purses, tables.purses.c.purse_id == wanted.c.purse_id)
        .where(tables.purses.c.account_id == account_id)
        .order_by(wanted.c.asked_at_ms.desc(), wanted.c.reservation_id.desc())
        .limit(limit)
    ).scalars()
    return [asked(connection, reservation_id) for reservation_id in ids.all()]


def trace(connection: Connection, event_id: str, *, sent_at_ms: int | None = None) -> Trace | None:
    """How far an event has come; `sent_at_ms` is what the link remembers of publishing it."""
    row = event_row(connection, event_id)
    if row is None:
        return None
    relays = _relays(connection, row.purse_id)
    return Trace(
        event_id=event_id,
        booked_at_ms=row.at_ms,
        sent_at_ms=sent_at_ms,
        at_gateway_ms=_taken_at_ms(connection, row),
        lit_at_ms=_lit_at_ms(connection, list(relays), row.at_ms),
        refused_reason=_refused(connection, event_id),
        relays=relays,
    )


def credit_of(connection: Connection, event_id: str) -> tuple[str, str, int] | None:
    """`(gateway_id, purse_id, version)` of the credit intent that first carried an event."""
    events, purses = tables.money_events, tables.purses
    row = connection.execute(
        select(purses.c.gateway_id, purses.c.purse_id, events.c.intent_version)
        .join(purses, purses.c.purse_id == events.c.purse_id)
        .where(events.c.event_id == event_id)
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def receipt_of_request(connection: Connection, request_id: str) -> str | None:
    """The number of the slip that a form led to, or None where it led to none."""
    events = tables.money_events
    return connection.scalar(
        select(events.c.receipt_no).where(events.c.request_id == request_id).limit(1)
    )


def room_of_purse(connection: Connection, purse_id: str) -> str | None:
    """The room of the account that a purse belongs to, open or closed."""
    accounts, purses = tables.accounts, tables.purses
    return connection.scalar(
        select(accounts.c.room_id)
        .join(purses, purses.c.account_id == accounts.c.account_id)
        .where(purses.c.purse_id == purse_id)
    )


def _events() -> Select[Any]:
    events, undoing = tables.money_events, tables.money_events.alias("undoing")
    purses, accounts, states = tables.purses, tables.accounts, metering.purse_states
    rooms, buildings, operators = places.rooms, places.buildings, people.operators
    return (
        select(
            events.c.event_id,
            events.c.purse_id,
            accounts.c.account_id,
            accounts.c.holder,
            rooms.c.room_id,
            buildings.c.name.label("building"),
            rooms.c.name.label("room"),
            events.c.count,
            events.c.kind,
            events.c.fen,
            events.c.method,
            events.c.receipt_no,
            events.c.at_ms,
            func.coalesce(operators.c.name, events.c.operator_id).label("operator"),
            events.c.reverses,
            undoing.c.event_id.label("reversed_by"),
            func.coalesce(states.c.gateway_count, 0).label("gateway_count"),
        )
        .select_from(events)
        .join(purses, purses.c.purse_id == events.c.purse_id)
        .join(accounts, accounts.c.account_id == purses.c.account_id)
        .join(rooms, rooms.c.room_id == accounts.c.room_id)
        .join(buildings, buildings.c.building_id == rooms.c.building_id)
        .outerjoin(operators, operators.c.operator_id == events.c.operator_id)
        .outerjoin(undoing, undoing.c.reverses == events.c.event_id)
        .outerjoin(states, states.c.purse_id == events.c.purse_id)
        .order_by(events.c.at_ms.desc(), events.c.purse_id, events.c.count.desc())
    )


def _rows(connection: Connection, *conditions: ColumnElement[bool], limit: int) -> list[EventRow]:
    found = []
    for row in connection.execute(_events().where(*conditions).limit(limit)).mappings():
        values: dict[str, Any] = dict(row)
        values["kind"] = Kind(values["kind"])
        values["method"] = Method(values["method"]) if values["method"] else None
        values["in_the_room"] = values.pop("gateway_count") >= values["count"]
        found.append(EventRow(**values))
    return found


def _taken_at_ms(connection: Connection, row: EventRow) -> int | None:
    """When the gateway took the intent that first carried the event, while that is its newest.

    Only the latest taking is kept, and a later intent may carry the same count: the time of a
    refund's request is no time of the sale before it.
    """
    states, events = metering.purse_states, tables.money_events
    at_ms: int | None = connection.scalar(
        select(states.c.taken_at_ms)
        .join(events, events.c.purse_id == states.c.purse_id)
        .where(
            events.c.event_id == row.event_id,
            states.c.gateway_count == events.c["count"],
            func.coalesce(states.c.gateway_version, 0) <= events.c.intent_version,
            func.coalesce(states.c.gateway_source, "") != "snapshot",  # it took the credit before
        )
    )
    return at_ms


def _relays(connection: Connection, purse_id: str) -> dict[str, str | None]:
    points, states = places.points, metering.point_states
    rows = connection.execute(
        select(points.c.point_id, states.c.relay)
        .outerjoin(states, states.c.point_id == points.c.point_id)
        .where(points.c.purse_id == purse_id)
        .order_by(points.c.circuit, points.c.point_id)
    )
    return {row.point_id: row.relay for row in rows}


def _lit_at_ms(connection: Connection, point_ids: Sequence[str], from_ms: int) -> int | None:
    log = metering.supply_log
    at_ms: int | None = connection.scalar(
        select(func.min(log.c.at_ms)).where(
            log.c.point_id.in_(point_ids),
            log.c.at_ms >= from_ms,
            log.c.what == "relay",
            log.c.after == "closed",
        )
    )
    return at_ms


def _refused(connection: Connection, event_id: str) -> str | None:
    """Why the gateway refused the credit that carries the event, where it did."""
    events = tables.money_events
    return connection.scalar(
        select(intents.c.refused_reason)
        .join(events, events.c.purse_id == intents.c.key)
        .where(
            events.c.event_id == event_id,
            intents.c.kind == "credit",
            intents.c.refused_version >= events.c.intent_version,
            intents.c.held_version < events.c.intent_version,
        )
    )
