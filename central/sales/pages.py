"""The till 售电, opening an account 开户, and slips 票据: their routes, and selling.

Every form that moves money carries `request_id`, an id drawn with the page: sending it again (a
double click, a refresh, an answer that was lost) gives the first answer again. A refusal comes
back in words beside its field; what was typed stays, and the page says that nothing was booked.
"""

from urllib.parse import urlencode

from aiohttp import web

from central import doors
from central.permissions import Permission
from central.sales import open_pages, queries, receipt_pages, receipts, service
from central.sales.forms import Sale, till_of
from central.sales.panel import Panel, booked, panel
from central.web import SERVICES, actor_of, page, route, said
from domain.refusals import Refusal


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    route(app, "GET", "/sell", show_till, Permission.sale_make)
    route(app, "POST", "/sell", take_money, Permission.sale_make)
    open_pages.routes(app)
    receipt_pages.routes(app)


async def show_till(request: web.Request) -> web.Response:
    """The till, empty or with a room; after a sale with its slip."""
    sale = Sale.drawn(request)
    return await _till(request, sale, sold_no=request.query.get("sold"))


async def take_money(request: web.Request) -> web.Response:
    """Sell what the form says, once; then to the till with the slip."""
    sale = Sale.sent(await doors.form(request))
    outcome = await _sell(request, sale)
    if isinstance(outcome, Refusal):
        status = 409 if outcome is Refusal.same_request_other_input else 422
        return await _till(request, sale, refusal=outcome, status=status)
    query = {"room": sale.room_id, "sold": outcome.receipt_no}
    raise web.HTTPSeeOther(f"/sell?{urlencode(query)}")


async def _sell(request: web.Request, sale: Sale) -> receipts.Receipt | Refusal:
    services = request.app[SERVICES]
    order = sale.order()
    if isinstance(order, Refusal):
        return order
    found = await _panel(request, sale.room_id)
    chosen = None if found is None else found.purse(sale.purse_id)
    if chosen is None or chosen.purse_id != sale.purse_id:
        # the room was closed or changed hands since the form was drawn, or the form is not ours
        return Refusal.account_closed if found is not None else Refusal.not_found
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


async def _panel(request: web.Request, room_id: str) -> Panel | None:
    services = request.app[SERVICES]
    now_ms = services.now_ms()
    books = await services.database.read(booked, room_id=room_id, now_ms=now_ms)
    if books is None:
        return None
    return panel(books, services.board, cap_fen=till_of(request).cap_fen, now_ms=now_ms)


async def _till(
    request: web.Request,
    sale: Sale,
    *,
    sold_no: str | None = None,
    refusal: Refusal | None = None,
    status: int = 200,
) -> web.Response:
    services = request.app[SERVICES]
    database = services.database
    found = await _panel(request, sale.room_id) if sale.room_id else None
    slip = None if sold_no is None else await database.read(receipts.find, sold_no)
    if sale.room_id and found is None:
        status = 404
    return page(
        request,
        "sell.html",
        status=status,
        panel=found,
        purse=None if found is None else found.purse(sale.purse_id),
        sale=sale,
        sold=slip,
        refusal=None if refusal is None else said(request, refusal),
        refusal_field=None if refusal is None else sale.field_of(refusal),
        methods=receipts.METHODS,
        recent=await database.read(
            queries.recent_events, operator_id=actor_of(request).operator_id, limit=1
        ),
    )
