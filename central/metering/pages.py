"""The meter wall: one page, one stream of changes.

The rows are drawn in the browser from the stream, so that there is one way to draw them and a
filter answers at once; the page itself carries the words, the columns and where everything goes.
"""

from collections.abc import Mapping
from contextlib import aclosing

import structlog
from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from central import doors
from central.metering.wall import WallFeed
from central.permissions import Permission
from central.web import SERVICES, json_answer, page, route

_log = structlog.get_logger("wall")

FEED = web.AppKey("wall_feed", WallFeed)
_LOOK_AGAIN_MS = 30_000  # how often a stream asks whether its viewer may still look


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    services = app[SERVICES]
    app[FEED] = WallFeed(services.database, services.board, services.now_ms)
    app.on_shutdown.append(_stop)
    route(app, "GET", "/wall", show_wall, Permission.wall_see)
    route(app, "GET", "/wall/rows", give_rows, Permission.wall_see)
    route(app, "GET", "/wall/live", give_changes, Permission.wall_see)


async def show_wall(request: web.Request) -> web.Response:
    """The wall. What is filtered and how it is sorted stands in the address."""
    return page(request, "wall.html")


async def give_rows(request: web.Request) -> web.Response:
    """Every meter as codes and integers."""
    rows = await request.app[FEED].rows()
    answer: Mapping[str, object] = {"now_ms": request.app[SERVICES].now_ms(), "rows": rows}
    return json_answer(answer)


async def give_changes(request: web.Request) -> web.StreamResponse:
    """A whole picture, then what changes, at most one message a round."""
    async with sse_response(request) as response:
        try:
            await _tell(request, response)
        except (ConnectionResetError, TimeoutError):
            _log.debug("a wall left")  # the browser went away, or stopped reading
        except Exception:  # noqa: BLE001 - logged, and asked again by the browser
            # the answer has begun, so no page can say it: the stream ends
            _log.exception("the wall stopped")
    return response


async def _tell(request: web.Request, response: EventSourceResponse) -> None:
    now_ms = request.app[SERVICES].now_ms
    asked_ms = now_ms()
    async with aclosing(request.app[FEED].listen()) as rounds:
        async for said in rounds:
            await response.send(said)
            if now_ms() - asked_ms >= _LOOK_AGAIN_MS:
                if not await doors.still_may(request):
                    return
                asked_ms = now_ms()


async def _stop(app: web.Application) -> None:
    await app[FEED].close()
