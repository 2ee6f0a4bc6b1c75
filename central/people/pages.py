"""Signing in and out."""

from aiohttp import web

from central import doors
from central.people import sign_in
from central.permissions import Door
from central.security import TOKEN_BYTES, new_token
from central.web import SERVICES, page, route, said, visitor
from domain.refusals import Refusal


def routes(app: web.Application) -> None:
    """Declare the routes of this feature."""
    route(app, "GET", "/sign-in", show_sign_in, Door.public)
    route(app, "POST", "/sign-in", take_sign_in, Door.public)
    route(app, "POST", "/sign-out", take_sign_out, Door.signed_in)


async def show_sign_in(request: web.Request) -> web.Response:
    """The sign-in form."""
    target = doors.local_target(request.query.get("next", ""))
    return page(request, "signin.html", next=target, login="", refusal=None)


async def take_sign_in(request: web.Request) -> web.Response:
    """Check login and password; a new session starts, or the form comes back with the reason."""
    fields = await doors.form(request)
    login, target = fields.get("login", ""), doors.local_target(fields.get("next", ""))
    outcome = await _enter(request, login=login, password=fields.get("password", ""))
    if isinstance(outcome, Refusal):
        status = 429 if outcome is Refusal.sign_in_throttled else 422
        return page(
            request, "signin.html", status=status, next=target, login=login,
            refusal=said(request, outcome),
        )  # fmt: skip
    response = web.HTTPSeeOther(target)
    https = request.app[SERVICES].settings.web.https
    response.set_cookie(
        doors.session_cookie(request.app[SERVICES].settings), outcome,
        path="/", httponly=True, samesite="Lax", secure=https,
    )  # fmt: skip
    raise response


async def take_sign_out(request: web.Request) -> web.Response:
    """End this session."""
    services, token = request.app[SERVICES], visitor(request).token
    assert token is not None
    await services.database.write(sign_in.end_session, token=token, now_ms=services.now_ms())
    response = web.HTTPSeeOther("/sign-in")
    response.del_cookie(doors.session_cookie(services.settings), path="/")
    raise response


async def _enter(request: web.Request, *, login: str, password: str) -> str | Refusal:
    """A new session token, or why not."""
    services, who = request.app[SERVICES], visitor(request)
    attempt = await services.database.write(
        sign_in.attempt, login=login, address=who.address, now_ms=services.now_ms()
    )
    if isinstance(attempt, Refusal):
        return attempt
    if not await services.passwords.verify(attempt.password_hash, password):
        return await services.database.write(sign_in.refuse, attempt, now_ms=services.now_ms())
    token = new_token(services.random_bytes(TOKEN_BYTES))
    refusal = await services.database.write(
        sign_in.begin_session,
        attempt,
        token=token,
        replaces=who.token,
        limits=doors.limits(services.settings),
        now_ms=services.now_ms(),
    )
    return token if refusal is None else refusal
