"""The pages' ground: what a request knows, how a route is declared, how a page is given.

A feature's `pages.py` has `routes(app)`, which declares each route by `route(...)` with the
permission it needs; `make_app` refuses an app that has a route without one. Who may pass is
decided in `central.doors` before a handler runs; faults become pages in `central.answers`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment

from central import display, words
from central.database import Database
from central.metering.live import LiveBoard
from central.permissions import Access, Door, Permission, Role
from central.security import Actor, Passwords
from central.sending import Sent
from central.settings import Settings
from central.words import Language
from domain.ids import IdSource
from domain.refusals import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Health = Callable[[], Awaitable[Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Services:
    """What pages stand on; clock, ids and random bytes are given, never fetched."""

    settings: Settings
    database: Database
    passwords: Passwords
    now_ms: Callable[[], int]
    new_id: IdSource
    random_bytes: Callable[[int], bytes]
    board: LiveBoard = field(default_factory=LiveBoard)  # the picture now
    sent: Sent = field(default_factory=Sent)  # when intents reached the broker


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: found by the session cookie before any handler runs."""

    language: Language
    address: str
    request_id: str
    actor: Actor | None = None
    token: str | None = None
    form_token: str = ""  # what every form must carry back as `form_token`


SERVICES = web.AppKey("services", Services)
HEALTH: web.AppKey[Health] = web.AppKey("health")
ENVIRONMENTS = web.AppKey("environments", Mapping[Language, Environment])
DOORS = web.AppKey("doors", dict[web.AbstractRoute, Access])
VISITOR = web.RequestKey("visitor", Visitor)
THEME_COOKIE = "wl_theme"


class UndeclaredRouteError(Exception):
    """A route names no permission. The app does not start."""


def route(app: web.Application, method: str, path: str, handler: Handler, access: Access) -> None:
    """Declare a route and who may pass: a Permission, Door.signed_in or Door.public.

    GET answers HEAD as well. Handlers may count on `visitor(request)`.
    """
    if not isinstance(access, Permission | Door):
        raise UndeclaredRouteError(f"{method} {path} names no permission")
    methods = ("GET", "HEAD") if method == "GET" else (method,)
    for each in methods:
        app[DOORS][app.router.add_route(each, path, handler)] = access


def visitor(request: web.Request) -> Visitor:
    """Who asks."""
    return request[VISITOR]


def actor_of(request: web.Request) -> Actor:
    """The operator who asks; only behind a door that needs one."""
    actor = visitor(request).actor
    assert actor is not None, "this route is public: it has no actor"
    return actor


def wants_json(request: web.BaseRequest) -> bool:
    """Whether the client asked for JSON rather than a page."""
    accepts = request.headers.get("Accept", "")
    return "application/json" in accepts and "text/html" not in accepts


def page(
    request: web.Request, template: str, /, *, status: int = 200, **values: Any
) -> web.Response:
    """Render a template for this visitor. It may use `visitor`, `may(name)` and `form_token`."""
    who = visitor(request)
    role: Role | None = who.actor.role if who.actor else None
    text = (
        request.app[ENVIRONMENTS][who.language]
        .get_template(template)
        .render(
            visitor=who,
            form_token=who.form_token,
            may=lambda name: who.actor is not None and who.actor.may(Permission(name)),
            role=role,
            path=request.path,
            now_ms=request.app[SERVICES].now_ms(),
            theme=display.theme(request.query.get("theme"), request.cookies.get(THEME_COOKIE)),
            here=lambda **changes: _here(request, changes),
            **values,
        )
    )
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def _here(request: web.Request, changes: Mapping[str, str | None]) -> str:
    """The address of this page with some of its query changed (None: left out)."""
    chosen = {"lang": None, "theme": None}  # kept by the browser, not by addresses
    query = {**request.query, **chosen, **changes}
    kept = {name: value for name, value in query.items() if value is not None}
    return f"{request.path}?{urlencode(kept)}" if kept else request.path


def json_answer(values: Mapping[str, object], *, status: int = 200) -> web.Response:
    """A JSON response; text stays as it is written."""
    return web.Response(
        text=json.dumps(values, ensure_ascii=False), status=status, content_type="application/json"
    )


def notice(
    request: web.Request,
    *,
    status: int,
    name: str,
    zh: str,
    en: str,
    retry_helps: bool = False,
    sign_in_next: str | None = None,
) -> web.Response:
    """One sentence for a person, or the same as JSON for a program.

    `sign_in_next`: the page to come back to after signing in, where that is what helps.
    """
    who = visitor(request)
    if wants_json(request):
        facts = {"status": status, "name": name, "zh": zh, "en": en, "retry_helps": retry_helps}
        return json_answer({"error": {**facts, "request_id": who.request_id}}, status=status)
    said = words.say(who.language, zh=zh, en=en)
    return page(
        request, "notice.html", status=status, code=status, said=said, sign_in_next=sign_in_next
    )


def refused(request: web.Request, refusal: Refusal, *, status: int = 422) -> web.Response:
    """The answer to what the business refuses, in words."""
    return notice(
        request,
        status=status,
        name=refusal.name,
        zh=refusal.zh,
        en=refusal.en,
        retry_helps=refusal.retry_helps,
    )


def said(request: web.Request, refusal: Refusal) -> str:
    """A refusal in the visitor's language, to be shown beside the field that caused it."""
    return words.say(visitor(request).language, zh=refusal.zh, en=refusal.en)


async def nothing_known() -> Mapping[str, int]:
    """What /healthz says before any gateway is known."""
    return {"meters_total": 0, "meters_live": 0, "gateways_online": 0, "backlog_facts": 0}


async def _healthz(request: web.Request) -> web.Response:
    return json_answer({**await request.app[HEALTH](), "version": version("wattledger")})


def make_app(
    services: Services,
    features: Sequence[Callable[[web.Application], None]],
    *,
    health: Health = nothing_known,
) -> web.Application:
    """The whole app: every feature's routes behind the same doors.

    Raises UndeclaredRouteError where a route was added past `route`.
    """
    from central import answers, doors

    app = web.Application(middlewares=[answers.answered, doors.identified, doors.guarded])
    app[SERVICES] = services
    app[HEALTH] = health
    app[DOORS] = {}
    site = services.settings.site
    app[ENVIRONMENTS] = words.environments(offset_min=site.offset_min, site_name=site.name)
    app.on_response_prepare.append(answers.with_headers)
    static = app.router.add_static("/static/", Path(__file__).parent / "static" / "dist")
    app[DOORS].update(dict.fromkeys(static, Door.public))
    route(app, "GET", "/healthz", _healthz, Door.public)
    for declare in features:
        declare(app)
    undeclared = [str(each) for each in app.router.routes() if each not in app[DOORS]]
    if undeclared:
        raise UndeclaredRouteError(f"routes that name no permission: {', '.join(undeclared)}")
    return app
