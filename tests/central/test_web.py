"""Signing in over HTTP, forged requests, answers in words, and what every answer carries."""

import json
import re
from io import BytesIO

import pytest
from aiohttp import web
from yarl import URL

from central.books import RequestReusedError
from central.database import StorageFault
from central.doors import local_target, still_may
from central.people import service as people
from central.people.service import NewOperator
from central.permissions import Door, Permission, Role
from central.security import SYSTEM
from central.web import Services, actor_of, json_answer, refused, route
from domain.refusals import Refusal
from tests.central.conftest import Browser, Clock, OpenPages

PASSWORD = "right-password"


async def _who(request: web.Request) -> web.Response:
    actor = actor_of(request)
    return json_answer({"name": actor.name, "role": actor.role, "origin": actor.origin})


async def _break(request: web.Request) -> web.Response:
    raise RuntimeError("a secret of the inside")


async def _no_disk(request: web.Request) -> web.Response:
    raise StorageFault("/var/lib/w.db: disk full")


async def _reuse(request: web.Request) -> web.Response:
    raise RequestReusedError


async def _refuse(request: web.Request) -> web.Response:
    return refused(request, Refusal.above_hoarding_cap)


async def _still(request: web.Request) -> web.Response:
    return json_answer({"still": await still_may(request)})


def _things(app: web.Application) -> None:
    route(app, "GET", "/who", _who, Door.signed_in)
    route(app, "POST", "/who", _who, Door.signed_in)
    route(app, "GET", "/break", _break, Door.public)
    route(app, "GET", "/no-disk", _no_disk, Door.public)
    route(app, "GET", "/reuse", _reuse, Door.public)
    route(app, "GET", "/refuse", _refuse, Door.public)
    route(app, "GET", "/still", _still, Permission.sale_make)


@pytest.fixture
async def browser(open_pages: OpenPages, services: Services) -> Browser:
    from central.people.pages import routes

    digest = await services.passwords.hash(PASSWORD)
    li = NewOperator("id-li", "li", "李娜", "cashier", digest)
    assert await services.database.write(people.add_operator, SYSTEM, li, now_ms=1) is None
    return await open_pages(routes, _things)


async def test_signing_in_and_out(browser: Browser) -> None:
    asked = await browser.get("/who?x=1", allow_redirects=False)
    assert (asked.status, URL(asked.headers["Location"]).path) == (303, "/sign-in")
    shown = await (await browser.get(asked.headers["Location"])).text()
    assert '<input type="hidden" name="next" value="/who?x=1">' in shown

    wrong = await browser.send("/sign-in", login="li", password="wrong-password")
    assert wrong.status == 422
    assert Refusal.sign_in_wrong.zh in await wrong.text()
    assert "Set-Cookie" not in wrong.headers

    right = await browser.send("/sign-in", login=" Li ", password=PASSWORD, next="/who?x=1")
    assert (right.status, right.headers["Location"]) == (303, "/who?x=1")
    cookie = right.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    who = await (await browser.get("/who")).json()
    assert who == {"name": "李娜", "role": "cashier", "origin": "web 127.0.0.1"}

    page = await (await browser.get("/sign-in")).text()
    [browser.form_token] = set(re.findall(r'name="form_token" value="(\w+)"', page))
    assert (await browser.send("/sign-out")).status == 303
    browser.session.cookie_jar.update_cookies({"wl_session": cookie.split("=")[1].split(";")[0]})
    assert (await browser.get("/who", allow_redirects=False)).status == 303


async def test_too_many_guesses_are_answered_429(browser: Browser) -> None:
    for _ in range(10):
        assert (await browser.send("/sign-in", login="li", password="x")).status == 422
    throttled = await browser.send("/sign-in", login="li", password=PASSWORD)
    assert throttled.status == 429
    assert Refusal.sign_in_throttled.zh in await throttled.text()


@pytest.mark.parametrize(
    "next_page", ["//evil.example", "/\\evil.example", "https://evil", "x", ""]
)
def test_signing_in_never_leads_to_another_site(next_page: str) -> None:
    assert local_target(next_page) == "/"


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({}, True, 200),
        ({"Sec-Fetch-Site": "same-origin"}, True, 200),
        ({"Sec-Fetch-Site": "cross-site"}, True, 403),
        ({"Sec-Fetch-Site": "same-site"}, True, 403),
        ({"Origin": "http://evil.example"}, True, 403),
        ({"Origin": "null"}, True, 403),
        ({}, False, 403),
    ],
)
async def test_a_forged_request_does_not_pass(
    browser: Browser, headers: dict[str, str], token: bool, status: int
) -> None:
    await browser.sign_in_as(Role.cashier)
    data = {"form_token": browser.form_token if token else "f" * 40}
    answer = await browser.post("/who", data=data, headers=headers)
    assert answer.status == status
    if status == 200:
        carried = {**headers, "X-Form-Token": browser.form_token}
        assert (await browser.post("/who", json={}, headers=carried)).status == 200
    else:
        assert "未入账" in await answer.text()


async def test_another_site_cannot_sign_somebody_in(browser: Browser) -> None:
    answer = await browser.post(
        "/sign-in", data={"login": "li", "password": PASSWORD}, headers={"Origin": "http://evil"}
    )
    assert answer.status == 403


async def test_an_own_origin_passes(browser: Browser) -> None:
    await browser.sign_in_as(Role.cashier)
    own = {"Origin": str(browser.make_url("/")).rstrip("/")}
    answer = await browser.post("/who", data={"form_token": browser.form_token}, headers=own)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "status", "zh", "en"),
    [
        ("/nowhere", 404, "没有这个页面", "There is no such page"),
        ("/sign-out", 405, "不接受此操作", "does not take that kind"),
        ("/break", 500, "系统出错", "Something went wrong"),
        ("/no-disk", 503, "未入账", "nothing was booked"),
        ("/reuse", 409, "此表单已提交过", "already sent with other contents"),
        ("/refuse", 422, "囤积金额上限", "hoarding cap"),
    ],
)
async def test_what_goes_wrong_is_said_in_words(
    browser: Browser, path: str, status: int, zh: str, en: str
) -> None:
    for language, said in (("zh", zh), ("en", en)):
        answer = await browser.get(f"{path}?lang={language}")
        text = await answer.text()
        assert (answer.status, said in text) == (status, True), text
        assert "Traceback" not in text
        assert "secret" not in text
        assert "/var/lib" not in text
    facts = (await (await browser.get(path, headers={"Accept": "application/json"})).json())[
        "error"
    ]
    assert (facts["status"], zh in facts["zh"], en in facts["en"]) == (status, True, True)
    assert len(facts["request_id"]) == 26


async def test_signed_out_programs_are_told_so(browser: Browser) -> None:
    json_asked = await browser.get("/who", headers={"Accept": "application/json"})
    assert (json_asked.status, (await json_asked.json())["error"]["name"]) == (401, "http_401")
    fragment = await browser.get("/who", headers={"HX-Request": "true"})
    assert (fragment.status, fragment.headers["HX-Redirect"]) == (401, "/sign-in")


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("/sell?room=r-1", "/sell%3Froom%3Dr-1"),
        ("", "/"),
        ("http://evil.example/sell", "/"),
        ("//evil.example", "/"),
        ("http://[", "/"),
    ],
)
async def test_what_is_sent_after_the_session_ended_was_not_booked(
    browser: Browser, page: str, back: str
) -> None:
    ours = str(browser.make_url("/")).removesuffix("/")
    referer = ours + page if page.startswith("/") else page
    answer = await browser.post("/who", headers={"Referer": referer}, allow_redirects=False)
    text = await answer.text()
    assert answer.status == 401
    assert "未入账" in text
    assert f'href="/sign-in?next={back}"' in text


@pytest.mark.parametrize("path", ["/sign-in", "/nowhere", "/healthz", "/break", "/who"])
async def test_every_answer_is_protected_and_uncached(browser: Browser, path: str) -> None:
    answer = await browser.get(path, allow_redirects=False)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Server" not in answer.headers


async def test_assets_are_kept_by_browsers_and_pages_name_them(browser: Browser) -> None:
    page = await (await browser.get("/sign-in")).text()
    for asset in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        answer = await browser.get(asset)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert (await browser.get("/static/../settings.py")).status == 404
    assert (await browser.get("/static/")).status in (403, 404)


async def test_the_language_is_asked_for_kept_or_the_browsers(browser: Browser) -> None:
    async def title(path: str, **headers: str) -> str:
        text = await (await browser.get(path, headers=headers)).text()
        return text.partition("<h1>")[2].partition("<")[0]

    assert await title("/sign-in") == "登录"
    assert await title("/sign-in", **{"Accept-Language": "en-US,zh;q=0.5"}) == "Sign in"
    assert await title("/sign-in?lang=en") == "Sign in"
    assert await title("/sign-in") == "Sign in"
    assert await title("/sign-in?lang=xx") == "Sign in"
    assert await title("/sign-in?lang=zh") == "登录"


async def test_a_form_that_cannot_be_read_is_refused(browser: Browser) -> None:
    await browser.sign_in_as(Role.cashier)
    kinds = {
        "multipart/form-data; boundary=x": b"--x\r\nnonsense",
        "application/x-www-form-urlencoded; charset=no-such": b"a=b",
        "application/x-www-form-urlencoded": b"form_token=%00",
    }
    for kind, data in kinds.items():
        answer = await browser.post("/who", data=data, headers={"Content-Type": kind})
        assert answer.status in (400, 403), kind
    large = await browser.post("/who", data={"a": BytesIO(b"x" * 2_000_000)})
    assert large.status == 413


async def test_names_are_escaped(browser: Browser, services: Services) -> None:
    answer = await browser.send("/sign-in", login="<script>alert(1)</script>", password="x")
    text = await answer.text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


async def test_a_live_stream_learns_that_its_session_ended(
    browser: Browser, services: Services, clock: Clock
) -> None:
    await browser.sign_in_as(Role.cashier)
    assert (await (await browser.get("/still")).json()) == {"still": True}
    clock.ms += 2 * 3_600_000
    assert (await browser.get("/still", allow_redirects=False)).status == 303


async def test_health_says_what_is_known(open_pages: OpenPages) -> None:
    async def known() -> dict[str, int]:
        return {"meters_total": 480, "meters_live": 479, "gateways_online": 4, "backlog_facts": 0}

    browser = await open_pages(health=known)
    answer = await browser.get("/healthz")
    assert json.loads(await answer.text()) == {**await known(), "version": "0.1.0"}
