"""The first page 首页: what came in today, how the rooms stand, what waits for somebody."""

from aiohttp import web

from central.alarms import service as alarms
from central.alarms.words import alarm_detail, alarm_name
from central.display import day_start_ms
from central.gateways.pages import stand_of_gateways
from central.metering.live import WallState, count_states
from central.metering.picture import Shown, picture
from central.permissions import Door, Permission
from central.sales import queries
from central.sales.receipts import METHODS
from central.web import SERVICES, actor_of, page, route, visitor
from domain.ledger import Kind

LISTED = 8  # of alarms and of payments under way


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    route(app, "GET", "/", show_home, Door.signed_in)


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
    services, language = request.app[SERVICES], visitor(request).language
    since_ms = day_start_ms(now_ms, services.settings.site.offset_min)
    taken = await services.database.read(queries.takings, from_ms=since_ms, to_ms=now_ms + 1)
    cash = [each for each in taken if each.method is not None]
    sold = [each for each in cash if each.kind is Kind.sale]
    waiting = await services.database.read(queries.not_in_the_room, limit=200)
    by_method: dict[str, list[int]] = {}
    for each in cash:
        assert each.method is not None
        zh, en = METHODS[each.method]
        line = by_method.setdefault(zh if language == "zh" else en, [0, 0])
        line[0] += each.events
        line[1] += each.fen
    return {
        "sold_fen": sum(each.fen for each in sold),
        "sales": sum(each.events for each in sold),
        "back_fen": sum(each.fen for each in cash if each.kind is not Kind.sale),
        "net_fen": sum(each.fen for each in cash),
        "methods": sorted(by_method.items()),
        "waiting_total": len(waiting),
        "waiting": waiting[:LISTED],
    }


def _places(shown: list[Shown]) -> dict[str, tuple[str, str]]:
    """What an alarm's subject is: `(address, name)` of the room of a point or purse."""
    places = {}
    for each in shown:
        room = (f"/rooms/{each.row.room_id}", each.row.room)
        places[each.row.point_id] = room
        if each.row.purse_id is not None:
            places[each.row.purse_id] = room
    return places
