"""What was asked of a gateway: a refund or reversal, open until it answers, then posted or void."""

from aiohttp import web
from sqlalchemy import Connection, select

from central.gateways.pages import stand_of_gateways
from central.permissions import Permission
from central.rooms import service as rooms
from central.sales import receipts, service, tables
from central.sales.service import Asked
from central.web import SERVICES, actor_of, page, refused, route, said
from domain.ids import is_ulid
from domain.ledger import Method
from domain.refusals import Refusal


def routes(app: web.Application) -> None:
    """Declare the routes of this part."""
    route(app, "GET", "/reservations/{reservation_id}", show_asked, Permission.refund_make)
    route(app, "POST", "/reservations/{reservation_id}/cancel", cancel, Permission.refund_make)


async def show_asked(request: web.Request) -> web.Response:
    """How a refund or reversal stands: open until the gateway answers, then posted or void."""
    reservation_id = request.match_info["reservation_id"]
    found = await request.app[SERVICES].database.read(asked_with_room, reservation_id)
    if found is None:
        raise web.HTTPNotFound
    asked, room_id, gateway_id, method = found
    stands = {stand.books.gateway.gateway_id: stand for stand in await stand_of_gateways(request)}
    return page(
        request,
        "asked.html",
        asked=asked,
        room_id=room_id,
        place=await request.app[SERVICES].database.read(rooms.place_of, room_id),
        online=gateway_id in stands and stands[gateway_id].online,
        method=None if method is None else receipts.METHODS[Method(method)],
        why=_why(request, asked),
    )


def _why(request: web.Request, asked: Asked) -> str | None:
    """The refusal that kept an accepted request from being booked, in words."""
    names = Refusal.__members__
    known = asked.void_reason is not None and asked.void_reason in names
    return said(request, names[asked.void_reason]) if known and asked.void_reason else None


async def cancel(request: web.Request) -> web.Response:
    """Withdraw what was asked; nothing was paid, so it is always safe."""
    services, reservation_id = request.app[SERVICES], request.match_info["reservation_id"]
    outcome = await services.database.write(
        service.cancel_reservation,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        reservation_id=reservation_id,
    )
    if outcome is Refusal.not_found:
        return refused(request, outcome, status=404)
    raise web.HTTPSeeOther(f"/reservations/{reservation_id}")  # which says how it stands


def asked_with_room(
    connection: Connection, reservation_id: str
) -> tuple[Asked, str, str, str | None] | None:
    """A request with its room, its gateway and its method; None where there is none."""
    if not is_ulid(reservation_id):
        return None
    wanted, purses, accounts = tables.reservations, tables.purses, tables.accounts
    row = connection.execute(
        select(accounts.c.room_id, purses.c.gateway_id, wanted.c.method)
        .select_from(wanted)
        .join(purses, purses.c.purse_id == wanted.c.purse_id)
        .join(accounts, accounts.c.account_id == purses.c.account_id)
        .where(wanted.c.reservation_id == reservation_id)
    ).one_or_none()
    if row is None:
        return None
    return service.asked(connection, reservation_id), row.room_id, row.gateway_id, row.method
