"""The first page 首页 and the sales of a day 售电查询: what came in, what waits for somebody."""

from datetime import date

from aiohttp import web

from central.alarms import service as alarms
from central.alarms.words import alarm_detail, alarm_name
from central.display import day_start_ms
from central.gateways.pages import stand_of_gateways
from central.metering.live import WallState, count_states
from central.metering.picture import Shown, picture
from central.permissions import Door, Permission
from central.sales import queries
from central.sales.receipts import ITEMS, METHODS
from central.web import SERVICES, actor_of, page, route, visitor
from domain.instants import DAY_MS, MINUTE_MS
from domain.ledger import Kind

LISTED = 8  # of alarms and of payments under way


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    route(app, "GET", "/", show_home, Door.signed_in)
    route(app, "GET", "/sales", show_sales, Permission.receipt_see)


async def show_home(request: web.Request) -> web.Response:
    """The first page; each figure leads to what it counts."""
    services, who = request.app[SERVICES], visitor(request)
    now_ms, database = services.now_ms(), services.database
    sees_money = actor_of(request).may(Permission.receipt_see)
    shown = await picture(database, services.board, now_ms=now_ms)
    counts = count_states(each.state for each in shown)
    standing = await database.read(alarms.standing)
    names = _places(shown)
    return page(
        request,
        "home.html",
        meters=len(shown),
        states=[(state.name, counts[state]) for state in reversed(WallState)],
        gateways=await stand_of_gateways(request),
        alarms_total=len(standing),
        critical=sum(alarm.severity == "critical" for alarm in standing),
        alarms=[
            {
                "name": alarm_name(alarm.code, who.language),
                "detail": alarm_detail(alarm.detail, who.language),
                "where": names.get(alarm.subject_id, ("", alarm.subject_id)),
                "severity": alarm.severity,
                "at_ms": alarm.raised_at_ms,
                "seen": alarm.acked_at_ms is not None,
            }
            for alarm in standing[:LISTED]
        ],
        money=await _money(request, now_ms) if sees_money else None,
    )


async def _money(request: web.Request, now_ms: int) -> dict[str, object]:
    services = request.app[SERVICES]
    since_ms = day_start_ms(now_ms, services.settings.site.offset_min)
    waiting = await services.database.read(queries.not_in_the_room)
    return {
        **await _takings(request, from_ms=since_ms, to_ms=now_ms + 1),
        "waiting_total": len(waiting),
        "waiting": waiting[:LISTED],
    }


async def _takings(request: web.Request, *, from_ms: int, to_ms: int) -> dict[str, object]:
    """What came in and went out, in sums and by method; nothing that no money was paid for."""
    chinese = visitor(request).language == "zh"
    taken = await request.app[SERVICES].database.read(queries.takings, from_ms=from_ms, to_ms=to_ms)
    by_method: dict[str, list[int]] = {}
    for each in taken:
        if each.method is not None:
            zh, en = METHODS[each.method]
            line = by_method.setdefault(zh if chinese else en, [0, 0])
            line[0] += each.events
            line[1] += each.fen
    paid = [each for each in taken if each.method is not None]
    sold = [each for each in paid if each.kind is Kind.sale]
    return {
        "sold_fen": sum(each.fen for each in sold),
        "sales": sum(each.events for each in sold),
        "back_fen": sum(each.fen for each in paid if each.kind is not Kind.sale),
        "net_fen": sum(each.fen for each in paid),
        "methods": sorted(by_method.items()),
    }


async def show_sales(request: web.Request) -> web.Response:
    """Payments and refunds of one day (`?day=2026-11-22`, else today)."""
    services, chinese = request.app[SERVICES], visitor(request).language == "zh"
    now_ms, offset_min = services.now_ms(), services.settings.site.offset_min
    today_ms = day_start_ms(now_ms, offset_min)
    from_ms = _asked_day(request.query.get("day", ""), today_ms, offset_min)
    span = {"from_ms": from_ms, "to_ms": from_ms + DAY_MS}
    return page(
        request,
        "sales.html",
        from_ms=from_ms,
        day_ms=DAY_MS,
        is_today=from_ms == today_ms,
        events=await services.database.read(queries.events_between, **span),
        most=queries.RECENT_MAX,
        money=await _takings(request, **span),
        items={kind: zh if chinese else en for kind, (zh, en) in ITEMS.items()},
        methods={method: zh if chinese else en for method, (zh, en) in METHODS.items()},
    )


def _asked_day(text: str, today_ms: int, offset_min: int) -> int:
    """The start of the day that was asked for; today where none was, or none that there is."""
    try:
        asked = date.fromisoformat(text)
    except ValueError:
        return today_ms
    local_ms = (asked.toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS
    return min(max(local_ms, 0) - offset_min * MINUTE_MS, today_ms)


def _places(shown: list[Shown]) -> dict[str, tuple[str, str]]:
    """What an alarm's subject is: `(address, name)` of the room of a point or purse."""
    places = {}
    for each in shown:
        room = (f"/rooms/{each.row.room_id}", each.row.room)
        places[each.row.point_id] = room
        if each.row.purse_id is not None:
            places[each.row.purse_id] = room
    return places
