"""Who asks, and whether they may pass: session, permission, and protection from forged requests.

Two middlewares, in this order: `identified` finds the visitor, `guarded` lets them pass or not. A
forged request (CSRF) meets three walls: the cookie is SameSite=Lax, the browser's own word on where
the request comes from, and a token of the session that only our own pages carry.
"""

from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from central import display, words
from central.people import sign_in
from central.people.sign_in import Limits, SignedIn
from central.permissions import Door, allows
from central.security import form_token, same_text
from central.settings import Settings
from central.web import (
    DOORS,
    SERVICES,
    THEME_COOKIE,
    VISITOR,
    Handler,
    Services,
    Visitor,
    visitor,
    wants_json,
)
from domain.instants import MINUTE_MS

LANGUAGE_COOKIE = "wl_lang"
FORM_FIELD = "form_token"
FORM_HEADER = "X-Form-Token"
BACKGROUND_HEADER = "X-Background"  # a page asks again by itself: nobody is at work for that
_CHOICES = (  # asked for in the address, kept by the browser
    ("lang", LANGUAGE_COOKIE, words.LANGUAGES),
    ("theme", THEME_COOKIE, display.THEMES),
)
_SAFE = {"GET", "HEAD", "OPTIONS"}
_COOKIE_AGE_S = 365 * 24 * 3600


class Forged(web.HTTPForbidden):
    """The request does not come from our own page."""


class Expired(web.HTTPUnauthorized):
    """Something was sent to be done by somebody who is not signed in, or no longer."""


class Malformed(web.HTTPBadRequest):
    """The form cannot be read."""


def session_cookie(settings: Settings) -> str:
    """The cookie's name; the prefix makes browsers hold it to HTTPS and to this host."""
    return "__Host-wl_session" if settings.web.https else "wl_session"


def limits(settings: Settings) -> Limits:
    """How long sessions last, from the settings."""
    return Limits(
        idle_ms=settings.session.idle_min * MINUTE_MS,
        absolute_ms=settings.session.absolute_min * MINUTE_MS,
    )


def stranger(request: web.Request) -> Visitor:
    """What is known of a visitor without looking for a session."""
    services = request.app[SERVICES]
    return Visitor(
        language=words.chosen(
            asked=request.query.get("lang"),
            kept=request.cookies.get(LANGUAGE_COOKIE),
            accepts=request.headers.get("Accept-Language", ""),
        ),
        address=_address(request, services.settings.web.trusted_proxies),
        request_id=services.new_id(),
    )


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find the session; keep the language that was asked for."""
    services = request.app[SERVICES]
    request[VISITOR] = who = stranger(request)
    token = request.cookies.get(session_cookie(services.settings))
    if token and not request.path.startswith("/static/"):
        found = await _session(services, token=token, address=who.address)
        if found is not None:
            if found.stale and BACKGROUND_HEADER not in request.headers:
                await services.database.write(sign_in.touch, token=token, now_ms=services.now_ms())
            request[VISITOR] = Visitor(
                language=who.language,
                address=who.address,
                request_id=who.request_id,
                actor=found.actor,
                token=token,
                form_token=form_token(token),
            )
    response = await handler(request)
    if not response.prepared:
        for asked, cookie, known in _CHOICES:
            choice = request.query.get(asked, "")
            if choice in known:
                response.set_cookie(
                    cookie, choice, max_age=_COOKIE_AGE_S, samesite="Lax", httponly=True
                )
    return response


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only those pass whose role the route's door admits; no forged request passes."""
    access = request.app[DOORS].get(request.match_info.route)
    if access is None:  # no such route: its handler says 404 or 405
        return await handler(request)
    who = visitor(request)
    if not allows(who.actor.role if who.actor else None, access):
        if who.actor is not None:
            raise web.HTTPForbidden
        return _to_sign_in(request)
    if request.method not in _SAFE:
        await _not_forged(request, signed_in=access is not Door.public)
    return await handler(request)


async def still_may(request: web.Request) -> bool:
    """Whether the session of a long answer (a live stream) is still open; ask now and then."""
    who = visitor(request)
    access = request.app[DOORS][request.match_info.route]
    if access is Door.public:
        return True
    if who.token is None:
        return False
    found = await _session(request.app[SERVICES], token=who.token, address=who.address)
    return found is not None and found.actor.may(access)


async def form(request: web.Request) -> dict[str, str]:
    """The text fields of a sent form; a field sent twice keeps its last value.

    Raises Malformed where it cannot be read; uploads are left out.
    """
    try:
        sent = await request.post()
    except (ValueError, LookupError, web.RequestPayloadError, HttpProcessingError) as error:
        raise Malformed(text=str(error)) from error
    fields = {name: value for name, value in sent.items() if isinstance(value, str)}
    if any("\x00" in value for value in fields.values()):
        raise Malformed(text="a text cannot hold a zero byte")
    return fields


def local_target(path: str) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    local = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()
    return path if local else "/"


def came_from(request: web.Request) -> str:
    """The page of ours that sent this request, as far as the browser says; else the first page."""
    try:
        page = urlsplit(request.headers.get("Referer", ""))
    except ValueError:  # anybody may send anything here; it only serves the way back
        return "/"
    if page.netloc != request.host:
        return "/"
    return local_target(f"{page.path}?{page.query}" if page.query else page.path)


async def _session(services: Services, *, token: str, address: str) -> SignedIn | None:
    return await services.database.read(
        sign_in.session_of,
        token=token,
        address=address,
        limits=limits(services.settings),
        now_ms=services.now_ms(),
    )


async def _not_forged(request: web.Request, *, signed_in: bool) -> None:
    site = request.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin", "none"):
        raise Forged
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Forged
    if not signed_in:
        return
    carried = request.headers.get(FORM_HEADER)
    if carried is None:
        carried = (await form(request)).get(FORM_FIELD, "")
    if not same_text(carried, visitor(request).form_token):
        raise Forged


def _to_sign_in(request: web.Request) -> web.StreamResponse:
    if request.method not in _SAFE:
        raise Expired
    if wants_json(request):
        raise web.HTTPUnauthorized
    target = f"/sign-in?next={quote(request.path_qs, safe='')}"
    if "HX-Request" in request.headers:  # a fragment cannot show the sign-in page; the page must go
        raise web.HTTPUnauthorized(headers={"HX-Redirect": "/sign-in"})
    raise web.HTTPSeeOther(target)


def _address(request: web.Request, trusted: tuple[str, ...]) -> str:
    remote = request.remote or ""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if remote in trusted and forwarded:
        return forwarded.rsplit(",", 1)[-1].strip()[:64]
    return remote
