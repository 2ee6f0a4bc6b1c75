"""A room: what is left, why it has power or not, what it used, what was paid; and finding one."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from central import charts
from central.alarms import service as alarms
from central.alarms.words import alarm_detail, alarm_name
from central.display import day_start_ms, worth_wh
from central.gateways.pages import Stand, stand_of_gateways
from central.metering import queries as metering
from central.metering.live import WallState
from central.metering.picture import Shown, picture
from central.permissions import Permission
from central.rooms import queries, search
from central.sales import queries as money
from central.sales.queries import EventRow
from central.sales.receipts import ITEMS, METHODS
from central.sales.service import Asked
from central.sales.side import with_sent
from central.sales.steps import Steps, steps
from central.web import SERVICES, actor_of, page, route, visitor
from domain.instants import DAY_MS
from domain.ledger import Kind

SHOWN_EVENTS = 20
_URGENCY = list(WallState)
_SPANS = {"day": 1, "week": 7}
_SLOTS_A_DAY = DAY_MS // metering.SLOT_MS


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    route(app, "GET", "/rooms/{room_id}", show_room, Permission.room_see)
    route(app, "GET", "/find", find_room, Permission.room_see)


async def find_room(request: web.Request) -> web.Response:
    """Rooms by anything known of them; the only one that fits is gone to at once."""
    typed = request.query.get("q", "").strip()[:60]
    found = await request.app[SERVICES].database.read(search.find, typed)
    if len(found) == 1:
        raise web.HTTPSeeOther(f"/rooms/{quote(found[0].room_id, safe='')}")
    return page(request, "find.html", typed=typed, found=found, most=search.FOUND_MAX)


async def show_room(request: web.Request) -> web.Response:
    """One room with everything known of it, each figure with its time."""
    services = request.app[SERVICES]
    room_id, now_ms = request.match_info["room_id"], services.now_ms()
    room = await services.database.read(queries.room, room_id)
    if room is None:
        raise web.HTTPNotFound
    points = await picture(services.database, services.board, now_ms=now_ms, room_id=room_id)
    stands = {stand.books.gateway.gateway_id: stand for stand in await stand_of_gateways(request)}
    point_ids = [point.row.point_id for point in points]
    return page(
        request,
        "room.html",
        room=room,
        points=points,
        worst=min(points, key=lambda point: _URGENCY.index(point.state), default=None),
        stands=stands,
        use=await _use(request, points, now_ms),
        decisions=await services.database.read(metering.decisions_of, point_ids, limit=12),
        worth=lambda point: (
            None if point.price_e4 is None else worth_wh(point.available_ticks, point.price_e4)
        ),
        circuits={point.row.point_id: point.row.circuit for point in points},
        standing=await _alarms(request, points),
        money=await _money(request, room, points, stands),
    )


@dataclass(frozen=True, slots=True)
class Use:
    """What a point used, slot by slot from `from_ms`: drawn as average watts, listed as Wh."""

    point: Shown
    span: str
    from_ms: int
    days: int
    slot_ms: int
    wh: Sequence[int | None]
    chart: charts.Steps  # for a desk
    narrow: charts.Steps  # for a phone: its own drawing, so that its figures can be read
    total_wh: int | None  # None: no slot has a figure yet

    @property
    def slots(self) -> int:
        """How many slots the drawing is wide; those that are not over yet stay empty."""
        return self.days * _SLOTS_A_DAY

    def by_slot(self) -> list[tuple[int, int | None]]:
        """`(start_ms, Wh)` of each slot that is over, newest first; Wh None: no reading."""
        listed = [(self.from_ms + n * self.slot_ms, wh) for n, wh in enumerate(self.wh)]
        return listed[::-1]

    def by_day(self) -> list[tuple[int, int, int]]:
        """`(start_ms, Wh, slots without a figure)` of each day, newest first."""
        found = []
        for day in reversed(range(self.days)):
            part = self.wh[day * _SLOTS_A_DAY : (day + 1) * _SLOTS_A_DAY]
            used = [wh for wh in part if wh is not None]
            if used:
                found.append((self.from_ms + day * DAY_MS, sum(used), len(part) - len(used)))
        return found


async def _use(request: web.Request, points: Sequence[Shown], now_ms: int) -> Use | None:
    """Today or the last seven days of the asked point (`?point=`, `?span=`), else of the first."""
    if not points:
        return None
    services = request.app[SERVICES]
    asked = request.query.get("point")
    point = next((each for each in points if each.row.point_id == asked), points[0])
    span = request.query.get("span", "day")
    span = span if span in _SPANS else "day"
    today_ms = day_start_ms(now_ms, services.settings.site.offset_min)
    from_ms = today_ms - (_SPANS[span] - 1) * DAY_MS
    readings = await services.database.read(
        metering.readings_of, point.row.point_id, from_ms=from_ms, to_ms=now_ms
    )
    if point.is_live and point.read_ms is not None and point.total_wh is not None:
        readings = [*readings, (point.read_ms, point.total_wh)]
    over = (now_ms - from_ms) // metering.SLOT_MS
    wh = metering.use_of_slots(readings, from_ms=from_ms, slots=over)
    ahead = [None] * (_SPANS[span] * _SLOTS_A_DAY - over)
    known = [used for used in wh if used is not None]
    watts = [*(None if used is None else used * 2 for used in wh), *ahead]
    return Use(
        point=point,
        span=span,
        from_ms=from_ms,
        days=_SPANS[span],
        slot_ms=metering.SLOT_MS,
        wh=wh,
        chart=charts.steps(watts, floor=200),
        narrow=charts.steps(watts, floor=200, width=340, height=180),
        total_wh=sum(known) if known else None,
    )


async def _alarms(request: web.Request, points: Sequence[Shown]) -> list[dict[str, object]]:
    services, language = request.app[SERVICES], visitor(request).language
    subjects = {point.row.point_id for point in points}
    subjects |= {point.row.purse_id for point in points if point.row.purse_id is not None}
    standing = await services.database.read(alarms.standing)
    return [
        {
            "name": alarm_name(alarm.code, language),
            "detail": alarm_detail(alarm.detail, language),
            "critical": alarm.severity == "critical",
            "at_ms": alarm.raised_at_ms,
        }
        for alarm in standing
        if alarm.subject_id in subjects
    ]


@dataclass(frozen=True, slots=True)
class Money:
    """What was paid for a room; `trace` of the newest payment that was not undone."""

    events: Sequence[EventRow]
    items: dict[Kind, str]
    methods: dict[str, str]
    newest: EventRow | None
    trace: Steps | None
    latest: frozenset[str]  # the latest event of each purse: what may be reversed
    asked: Sequence[Asked]  # refunds and reversals that wait for the gateway


async def _money(
    request: web.Request, room: queries.Room, points: Sequence[Shown], stands: dict[str, Stand]
) -> Money | None:
    if room.account is None or not actor_of(request).may(Permission.receipt_see):
        return None
    database, chinese = request.app[SERVICES].database, visitor(request).language == "zh"
    events = await database.read(
        money.events_of_account, room.account.account_id, limit=SHOWN_EVENTS
    )
    asked = await database.read(money.asked_of_account, room.account.account_id)
    newest = next((event for event in events if event.is_standing_payment), None)
    trace = None
    if newest is not None:
        found = await database.read(money.trace, newest.event_id)
        credit = await database.read(money.credit_of, newest.event_id)
        assert found is not None, "events are never deleted"
        assert credit is not None, "events are never deleted"
        found = with_sent(found, credit, request.app[SERVICES].sent)
        mine = [point for point in points if point.row.purse_id == newest.purse_id]
        online = all(
            point.row.gateway_id in stands and stands[point.row.gateway_id].online for point in mine
        )
        trace = steps(found, newest.count, mine, online=online)
    return Money(
        events=events,
        items={kind: zh if chinese else en for kind, (zh, en) in ITEMS.items()},
        methods={str(method): zh if chinese else en for method, (zh, en) in METHODS.items()},
        newest=newest,
        trace=trace,
        latest=frozenset({event.purse_id: event.event_id for event in reversed(events)}.values()),
        asked=[each for each in asked if each.state == "open"],
    )
