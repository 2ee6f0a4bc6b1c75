"""A real Chromium before the real pages of a furnished campus whose gateways keep speaking."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from central.app import FEATURES
from central.connections import listening
from central.metering.pages import FEED
from central.people import service as people
from central.people.service import NewOperator
from central.permissions import Role
from central.security import SYSTEM
from central.web import Services, make_app
from tests.central.conftest import (
    Clock,
    Rows,
    _pour,
    blank,
    clock,
    database,
    furnished,
    services,
)
from tests.central.showcase import Field, Showcase

__all__ = ["blank", "clock", "database", "furnished", "services"]

PASSWORD = "right-password"
DESK, PHONE = (1366, 768), (390, 844)
BEAT_S = 0.3  # how often the gateways speak
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclasses.dataclass
class Office:
    """The office as served, with what makes its campus move."""

    url: str
    app: web.Application
    services: Services
    clock: Clock
    made: Showcase
    field: Field
    complaints: list[str] = dataclasses.field(
        default_factory=list
    )  # of the browsers: console and page errors


@pytest.fixture
async def office(
    services: Services, clock: Clock, furnished: tuple[Showcase, Rows]
) -> AsyncIterator[Office]:
    """Serve the whole office on loopback; time passes, and the gateways speak."""
    made, rows = furnished
    await services.database.write(_pour, rows)
    digest = await services.passwords.hash(PASSWORD)
    for role, name in ((Role.cashier, "王丽"), (Role.supervisor, "赵敏")):
        new = NewOperator(f"id-{role}", role, name, role, digest)
        assert await services.database.write(people.add_operator, SYSTEM, new, now_ms=1) is None
    app = make_app(services, FEATURES)
    app[FEED]._period_s = BEAT_S
    async with listening(app, host="127.0.0.1", port=0) as port:
        stands = Field(services.board, made)
        served = Office(f"http://127.0.0.1:{port}", app, services, clock, made, stands)
        stands.speak(clock.ms)
        beating = asyncio.create_task(_beat(served))
        yield served
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _beat(office: Office) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        office.clock.ms += int(BEAT_S * 1_000)
        office.field.speak(office.clock.ms)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium of the machine, without a network of its own."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=list(_QUIET)
        )
        yield browser
        await browser.close()


async def at(
    chromium: Browser, office: Office, *, size: tuple[int, int] = DESK, language: str = "zh-CN"
) -> tuple[BrowserContext, Page]:
    """A fresh window; whatever its console complains of is kept in `office.complaints`."""
    context = await chromium.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale=language,
        base_url=office.url,
        reduced_motion="reduce",
    )
    context.set_default_timeout(10_000)
    page = await context.new_page()
    page.on("pageerror", lambda error: office.complaints.append(f"page: {error}"))
    page.on(
        "console",
        lambda said: (
            office.complaints.append(f"console: {said.text}") if said.type == "error" else None
        ),
    )
    return context, page


async def sign_in(page: Page, login: str = "cashier") -> None:
    """Sign in through the form, as a person does."""
    await page.goto("/sign-in")
    await page.fill("[name=login]", login)
    await page.fill("[name=password]", PASSWORD)
    await page.press("[name=password]", "Enter")
    await page.wait_for_url("**/")
