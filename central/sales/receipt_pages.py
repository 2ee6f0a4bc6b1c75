"""Slips 票据: one as it was handed out, and once more on paper (which is audited and counted)."""

from aiohttp import web
from sqlalchemy import Connection

from central.permissions import Permission
from central.sales import queries, receipts, service
from central.sales.queries import EventRow
from central.sales.receipts import Receipt
from central.security import Actor
from central.web import SERVICES, actor_of, page, refused, route
from domain.refusals import Refusal

LOOKED_AT = -1  # a slip on the screen is no slip; its paper says so


def routes(app: web.Application) -> None:
    """Declare the routes of this part."""
    route(app, "GET", "/receipts/{receipt_no}", show_slip, Permission.receipt_see)
    route(app, "POST", "/receipts/{receipt_no}/reprint", print_again, Permission.sale_make)


async def show_slip(request: web.Request) -> web.Response:
    """A slip as it was handed out."""
    found = await request.app[SERVICES].database.read(_slip, _number(request))
    if found is None:
        raise web.HTTPNotFound
    slip, event, printed = found
    return page(request, "receipt.html", slip=slip, event=event, printed=printed, again=LOOKED_AT)


async def print_again(request: web.Request) -> web.Response:
    """The slip once more, marked as a reprint; who did it is audited."""
    services = request.app[SERVICES]
    found = await services.database.write(
        _print_again, actor=actor_of(request), now_ms=services.now_ms(), number=_number(request)
    )
    if isinstance(found, Refusal):
        return refused(request, found, status=404)
    slip, event, printed = found
    return page(request, "receipt.html", slip=slip, event=event, printed=printed, again=printed)


def _number(request: web.Request) -> str:
    return request.match_info["receipt_no"].upper()


def _slip(connection: Connection, number: str) -> tuple[Receipt, EventRow | None, int] | None:
    slip = receipts.find(connection, number)
    if slip is None:
        return None
    return slip, queries.event_row(connection, slip.event_id), receipts.reprints(connection, number)


def _print_again(
    connection: Connection, *, actor: Actor, now_ms: int, number: str
) -> tuple[Receipt, EventRow | None, int] | Refusal:
    slip = service.reprint(connection, actor=actor, now_ms=now_ms, receipt_no=number)
    if isinstance(slip, Refusal):
        return slip
    return slip, queries.event_row(connection, slip.event_id), receipts.reprints(connection, number)
