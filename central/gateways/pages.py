"""Gateways 通讯管理机 as they stand, and the strip of health in the top bar."""

from dataclasses import dataclass

from aiohttp import web

from central.gateways import service as gateways
from central.gateways.service import Overview
from central.metering import queries as metering
from central.permissions import Door, Permission
from central.web import SERVICES, page, route


@dataclass(frozen=True, slots=True)
class Stand:
    """A gateway as shown: by the books, or by its pulse where that is newer."""

    books: Overview
    online: bool
    seen_ms: int | None
    trust: int | None
    software: str | None
    backlog: int


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    route(app, "GET", "/gateways", show_gateways, Permission.gateway_see)
    route(app, "GET", "/health-strip", show_strip, Door.signed_in)


async def show_gateways(request: web.Request) -> web.Response:
    """Every gateway, or (`?only=lost`) those that are not heard."""
    stands = await stand_of_gateways(request)
    only_lost = request.query.get("only") == "lost"
    listed = [stand for stand in stands if not (only_lost and stand.online)]
    return page(request, "gateways.html", stands=listed, total=len(stands), only_lost=only_lost)


async def show_strip(request: web.Request) -> web.Response:
    """Gateways online, and whether the books have something to be looked at."""
    stands = await stand_of_gateways(request)
    doubts = await request.app[SERVICES].database.read(metering.doubts)
    return page(request, "strip.html", stands=stands, doubts=doubts)


async def stand_of_gateways(request: web.Request) -> list[Stand]:
    """Every gateway that is not revoked, by id."""
    services = request.app[SERVICES]
    now_ms = services.now_ms()
    listed = await services.database.read(gateways.overview, now_ms=now_ms)
    found = []
    for books in listed:
        if books.gateway.revoked_at_ms is not None:
            continue
        seen = services.board.gateway(books.gateway.gateway_id)
        times = [books.last_seen_ms or 0, seen.received_ms if seen is not None else 0]
        found.append(
            Stand(
                books=books,
                online=services.board.reachable
                and (books.online or (seen is not None and seen.online(now_ms))),
                seen_ms=max(times) or None,
                trust=None if seen is None else seen.pulse.trust,
                software=None if seen is None else seen.pulse.software,
                backlog=_backlog(books, None if seen is None else seen.pulse.head_seq),
            )
        )
    return found


def _backlog(books: Overview, head_seq: int | None) -> int:
    return max(max(books.head_seq, head_seq or 0) - books.held_seq, 0)
