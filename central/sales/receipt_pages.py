"""Slips 票据: one as it was handed out, and once more on paper (which is audited)."""

from aiohttp import web

from central.permissions import Permission
from central.sales import receipts, service
from central.web import SERVICES, actor_of, page, refused, route
from domain.refusals import Refusal


def routes(app: web.Application) -> None:
    """Declare the routes of this part."""
    route(app, "GET", "/receipts/{receipt_no}", show_slip, Permission.receipt_see)
    route(app, "POST", "/receipts/{receipt_no}/reprint", print_again, Permission.sale_make)


async def show_slip(request: web.Request) -> web.Response:
    """A slip as it was handed out."""
    number = request.match_info["receipt_no"].upper()
    slip = await request.app[SERVICES].database.read(receipts.find, number)
    if slip is None:
        raise web.HTTPNotFound
    return page(request, "receipt.html", slip=slip, again=False)


async def print_again(request: web.Request) -> web.Response:
    """The slip once more, marked as a reprint; who did it is audited."""
    services = request.app[SERVICES]
    slip = await services.database.write(
        service.reprint,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        receipt_no=request.match_info["receipt_no"].upper(),
    )
    if isinstance(slip, Refusal):
        return refused(request, slip, status=404)
    return page(request, "receipt.html", slip=slip, again=True)
