"""What happened at a till: how far its last sale has come, its latest sales, what it took today."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web
from sqlalchemy import Connection

from central import outbox
from central.display import day_start_ms
from central.gateways.pages import stand_of_gateways
from central.metering.picture import picture
from central.sales import queries
from central.sales.queries import EventRow, Takings, Trace
from central.sales.steps import Steps, steps
from central.sending import Sent
from central.web import SERVICES, actor_of
from domain.ledger import Kind, Method

RECENT = 6
QUEUED = 20
_QUICK_S, _SLOW_S = 1, 5  # how often the browser asks again: a minute long, then
_QUICK_FOR_MS = 60_000


@dataclass(frozen=True, slots=True)
class Side:
    """The right side of the till. `again_s`: when to ask again, None: nothing is under way."""

    event: EventRow | None
    trace: Steps | None
    recent: Sequence[EventRow]
    sold: Mapping[Method, tuple[int, int]]  # sales today: how many, and their sum in fen
    back: tuple[int, int]  # refunds and reversals today
    total: tuple[int, int]
    cash_fen: int
    again_s: int | None


@dataclass(frozen=True, slots=True)
class _Read:
    event: EventRow | None
    trace: Trace | None
    credit: tuple[str, str, int] | None
    recent: Sequence[EventRow]
    takings: Sequence[Takings]


def _read(
    connection: Connection, *, event_id: str | None, operator_id: str, from_ms: int, now_ms: int
) -> _Read:
    recent = queries.recent_events(connection, operator_id=operator_id, limit=RECENT + 1)
    event = None if event_id is None else queries.event_row(connection, event_id)
    if event is None or not event.is_standing_payment:
        event = next((each for each in recent if each.is_standing_payment), None)
    takings = queries.takings(
        connection, from_ms=from_ms, to_ms=now_ms + 1, operator_id=operator_id
    )
    return _Read(
        event=event,
        trace=None if event is None else queries.trace(connection, event.event_id),
        credit=None if event is None else queries.credit_of(connection, event.event_id),
        recent=recent,
        takings=takings,
    )


async def side_of(request: web.Request, event_id: str | None) -> Side:
    """What happened at the till of whoever asks, with the trace of `event_id` (else the last)."""
    services, now_ms = request.app[SERVICES], request.app[SERVICES].now_ms()
    read = await services.database.read(
        _read,
        event_id=event_id,
        operator_id=actor_of(request).operator_id,
        from_ms=day_start_ms(now_ms, services.settings.site.offset_min),
        now_ms=now_ms,
    )
    trace = await _steps(request, read, now_ms)
    event = read.event
    recent = [each for each in read.recent if event is None or each.event_id != event.event_id]
    sold, back = _sums(read.takings)
    return Side(
        event=event,
        trace=trace,
        recent=recent[:RECENT],
        sold=sold,
        back=back,
        total=(
            sum(each.events for each in read.takings if each.method is not None),
            sum(each.fen for each in read.takings if each.method is not None),
        ),
        cash_fen=sum(each.fen for each in read.takings if each.method is Method.cash),
        again_s=_again_s(trace, recent[:RECENT], now_ms),
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payment that its gateway does not hold yet. `why`: refused, offline, or nothing unusual."""

    event: EventRow
    why: str


async def queue_of(request: web.Request) -> list[Waiting]:
    """Everything that is paid and not yet in its room, newest first."""
    waiting = await request.app[SERVICES].database.read(_waiting)
    stands = {stand.books.gateway.gateway_id: stand for stand in await stand_of_gateways(request)}
    online = {gateway_id for gateway_id, stand in stands.items() if stand.online}
    return [
        Waiting(event, "refused" if refused else "" if gateway_id in online else "offline")
        for event, gateway_id, refused in waiting
    ]


def _waiting(connection: Connection) -> list[tuple[EventRow, str, bool]]:
    found = []
    for event in queries.not_in_the_room(connection, limit=QUEUED):
        credit = queries.credit_of(connection, event.event_id)
        traced = queries.trace(connection, event.event_id)
        assert credit is not None, "events are never deleted"
        assert traced is not None, "events are never deleted"
        found.append((event, credit[0], traced.refused_reason is not None))
    return found


async def _steps(request: web.Request, read: _Read, now_ms: int) -> Steps | None:
    if read.event is None or read.trace is None or read.credit is None:
        return None
    services, event = request.app[SERVICES], read.event
    trace = with_sent(read.trace, read.credit, services.sent)
    gateway_id, purse_id, _ = read.credit
    stands = {stand.books.gateway.gateway_id: stand for stand in await stand_of_gateways(request)}
    points = await picture(services.database, services.board, now_ms=now_ms, room_id=event.room_id)
    online = gateway_id in stands and stands[gateway_id].online
    mine = [point for point in points if point.row.purse_id == purse_id]
    return steps(trace, event.count, mine, online=online)


def with_sent(trace: Trace, credit: tuple[str, str, int], sent: Sent) -> Trace:
    """A trace with what the link remembers of sending its `credit` (see `queries.credit_of`)."""
    gateway_id, purse_id, version = credit
    sent_ms = sent.first_ms(gateway_id, outbox.CREDIT, purse_id, version=version)
    return replace(trace, sent_at_ms=sent_ms)


def _sums(takings: Sequence[Takings]) -> tuple[Mapping[Method, tuple[int, int]], tuple[int, int]]:
    sold: dict[Method, tuple[int, int]] = {}
    back = (0, 0)
    for each in takings:
        if each.method is None:
            continue
        if each.kind is Kind.sale:
            sold[each.method] = (each.events, each.fen)
        else:
            back = (back[0] + each.events, back[1] + each.fen)
    in_order = {method: sold[method] for method in Method if method in sold}
    return in_order, back


def _again_s(trace: Steps | None, recent: Sequence[EventRow], now_ms: int) -> int | None:
    if trace is not None and not trace.arrived:
        young = now_ms - trace.booked_at_ms < _QUICK_FOR_MS
        return _QUICK_S if young else _SLOW_S
    return None if all(event.in_the_room for event in recent) else _SLOW_S
