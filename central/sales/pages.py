"""The till 售电, opening an account 开户, and slips 票据: their routes, and selling.

Every form that moves money carries `request_id`, an id drawn with the page: sending it again (a
double click, a refresh, an answer that was lost) gives the first answer again. A refusal comes
back in words beside its field; what was typed stays, and the page says that nothing was booked.
"""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from central import doors
from central.permissions import Permission
from central.sales import hits, open_pages, queries, receipt_pages, receipts, service
from central.sales.forms import Sale, till_of
from central.sales.panel import Panel, Preview, booked, panel
from central.sales.receipts import Receipt
from central.sales.side import queue_of, side_of
from central.web import SERVICES, actor_of, page, route, said
from domain.refusals import Refusal
from domain.units import parse_yuan

TYPED_MAX = 60  # characters of a search


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    route(app, "GET", "/sell", show_till, Permission.sale_make)
    route(app, "POST", "/sell", take_money, Permission.sale_make)
    route(app, "GET", "/sell/find", find_rooms, Permission.sale_make)
    route(app, "GET", "/sell/room", show_room, Permission.sale_make)
    route(app, "GET", "/sell/preview", show_preview, Permission.sale_make)
    route(app, "GET", "/sell/side", show_side, Permission.sale_make)
    open_pages.routes(app)
    receipt_pages.routes(app)


async def show_till(request: web.Request) -> web.Response:
    """The till, empty or with a room; after a sale with its slip. Opens the only room found."""
    sale, typed = Sale.drawn(request), _typed(request)
    looked = await request.app[SERVICES].database.read(hits.look, typed)
    only = hits.only(looked)
    if only is not None and not sale.room_id:
        raise web.HTTPSeeOther(f"/sell?{urlencode({'room': only, 'q': typed})}")
    return await _till(request, sale, looked=looked, sold_no=request.query.get("sold"))


async def take_money(request: web.Request) -> web.Response:
    """Sell what the form says, once; then to the till with the slip."""
    sale = Sale.sent(await doors.form(request))
    outcome = await _sell(request, sale)
    if isinstance(outcome, Refusal):
        return await _refused(request, sale, outcome)
    query = {"room": sale.room_id, "sold": outcome.receipt_no}
    raise web.HTTPSeeOther(f"/sell?{urlencode(query)}")


async def find_rooms(request: web.Request) -> web.Response:
    """Rooms that fit what was typed, as a part of the page."""
    looked = await request.app[SERVICES].database.read(hits.look, _typed(request))
    return page(request, "sell_hits.html", room_id=request.query.get("room", ""),
                **_found(request, looked))  # fmt: skip


async def show_room(request: web.Request) -> web.Response:
    """The room as it is now, as a part of the page."""
    sale = Sale.drawn(request)
    found = await _panel(request, sale.room_id)
    if found is None:
        raise web.HTTPNotFound
    return page(request, "sell_room.html", panel=found, purse=found.purse(sale.purse_id))


async def show_preview(request: web.Request) -> web.Response:
    """What the form would do, as a part of the page; nothing is booked by asking."""
    sale = Sale.drawn(request)
    found = await _panel(request, sale.room_id)
    purse = None if found is None else found.purse(sale.purse_id)
    if found is None or purse is None:
        raise web.HTTPNotFound
    view = _previewed(request, found, sale)
    return page(
        request, "sell_preview.html", panel=found, purse=purse, sale=sale, refusal=None,
        methods=receipts.METHODS, items=receipts.ITEMS, **view,
    )  # fmt: skip


async def show_side(request: web.Request) -> web.Response:
    """How far the last sale has come, and today's takings, as a part of the page."""
    return page(request, "sell_side.html", **await _side(request, request.query.get("event")))


async def _sell(request: web.Request, sale: Sale) -> Receipt | Refusal:
    services = request.app[SERVICES]
    order = sale.order()
    if isinstance(order, Refusal):
        return order
    if await services.database.read(queries.room_of_purse, sale.purse_id) != sale.room_id:
        return Refusal.not_found  # no form of ours says this
    return await services.database.write(
        service.sell,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        new_id=services.new_id,
        request_id=sale.request_id,
        purse_id=sale.purse_id,
        fen=order.fen,
        method=order.method,
        till=till_of(request),
    )


async def _refused(request: web.Request, sale: Sale, refusal: Refusal) -> web.Response:
    """The till as it was sent. A form that has sold already is drawn anew, and names its slip."""
    services = request.app[SERVICES]
    earlier_no = None
    if refusal is Refusal.same_request_other_input:
        earlier_no = await services.database.read(queries.receipt_of_request, sale.request_id)
        sale = sale.redrawn(services.new_id())
    status = 409 if refusal is Refusal.same_request_other_input else 422
    return await _till(request, sale, refusal=refusal, earlier_no=earlier_no, status=status)


async def _till(
    request: web.Request,
    sale: Sale,
    *,
    looked: hits.Looked | None = None,
    sold_no: str | None = None,
    refusal: Refusal | None = None,
    earlier_no: str | None = None,
    status: int = 200,
) -> web.Response:
    services = request.app[SERVICES]
    found = await _panel(request, sale.room_id) if sale.room_id else None
    if sale.room_id and found is None:
        status = 404
    slip = None if sold_no is None else await services.database.read(receipts.find, sold_no)
    return page(
        request,
        "sell.html",
        status=status,
        panel=found,
        purse=None if found is None else found.purse(sale.purse_id),
        sale=sale,
        room_id=sale.room_id,
        sold=slip,
        refusal=None if refusal is None else said(request, refusal),
        refusal_field="" if refusal is None else sale.field_of(refusal),
        earlier_no=earlier_no,
        items=receipts.ITEMS,
        queue=[] if sale.room_id else await queue_of(request),
        **_found(request, looked),
        **await _side(request, None if slip is None else slip.event_id),
        **_previewed(request, found, sale),
    )


def _typed(request: web.Request) -> str:
    return request.query.get("q", "").replace("\x00", "").strip()[:TYPED_MAX]


def _found(request: web.Request, looked: hits.Looked | None) -> dict[str, Any]:
    services = request.app[SERVICES]
    if looked is None:
        return {"typed": "", "hits": [], "most": hits.MOST}
    found = hits.hits(looked, services.board, now_ms=services.now_ms())
    return {"typed": looked.typed, "hits": found, "most": hits.MOST}


async def _side(request: web.Request, event_id: str | None) -> dict[str, Any]:
    return {"side": await side_of(request, event_id), "methods": receipts.METHODS}


def _previewed(request: web.Request, found: Panel | None, sale: Sale) -> dict[str, Any]:
    """The amount as typed, weighed: what it would do, or why it cannot be sold."""
    purse = None if found is None else found.purse(sale.purse_id)
    if purse is None:
        return {"preview": None, "objection": None}
    if not sale.amount.strip():
        return {"preview": Preview(purse), "objection": None}
    fen = parse_yuan(sale.amount)
    if isinstance(fen, Refusal):
        return {"preview": Preview(purse), "objection": said(request, fen)}
    refusal = purse.refusal(fen)
    objection = None if refusal is None else said(request, refusal)
    return {"preview": Preview(purse, fen, refusal), "objection": objection}


async def _panel(request: web.Request, room_id: str) -> Panel | None:
    services = request.app[SERVICES]
    now_ms = services.now_ms()
    books = await services.database.read(booked, room_id=room_id, now_ms=now_ms)
    if books is None:
        return None
    return panel(books, services.board, cap_fen=till_of(request).cap_fen, now_ms=now_ms)
