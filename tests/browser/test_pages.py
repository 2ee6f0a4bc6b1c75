"""Signing in, the room's page and the shell in a real browser; nothing a reader stumbles over."""

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from tests.browser.conftest import DESK, PASSWORD, PHONE, Office, at, sign_in


async def test_signing_in_by_keyboard_and_out(chromium: Browser, office: Office) -> None:
    _, page = await at(chromium, office)
    await page.goto("/wall?state=lost")
    await expect(page.locator("h1")).to_have_text("登录")
    await page.keyboard.type("cashier")
    await page.keyboard.press("Tab")
    await page.keyboard.type("wrong-password")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("登录名或密码不正确")
    await expect(page.locator("[name=login]")).to_have_value("cashier")
    await page.keyboard.type(PASSWORD)  # the cursor stands in the password again
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/wall?state=lost")
    await page.click(".me summary")
    await page.click("text=退出")
    await page.wait_for_url("**/sign-in")


async def test_keys_menus_and_the_theme(chromium: Browser, office: Office) -> None:
    _, page = await at(chromium, office)
    await sign_in(page)
    await page.keyboard.press("/")
    await page.keyboard.type("1-103")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/rooms/{office.made.room_ids[2]}")
    await page.click("summary >> text=售电管理")
    await page.click("summary >> text=用户管理")
    await expect(page.locator("details.menu[open]")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator("details.menu[open]")).to_have_count(0)
    await page.click(".me summary")
    await page.click("text=深色")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert "theme" not in (await page.locator("[hreflang=en]").get_attribute("href") or "")
    await expect(page.locator("#health")).to_contain_text("网关 2/2")
    assert not office.complaints


@pytest.mark.parametrize(
    ("size", "language"), [(DESK, "zh-CN"), (PHONE, "en-US")], ids=["desk-zh", "phone-en"]
)
async def test_no_serious_faults_of_access(
    chromium: Browser, office: Office, size: tuple[int, int], language: str
) -> None:
    _, page = await at(chromium, office, size=size, language=language)
    await sign_in(page)
    office.field.silent = {1}
    held, vacant = office.made.room_ids[0], office.made.room_ids[9]
    for path in (
        "/",
        "/wall",
        f"/rooms/{held}?span=week",
        f"/rooms/{vacant}/open",
        f"/sell?room={held}",
        "/receipts/A-000001",
        "/sales",
        "/gateways",
        "/find?q=1-10",
        "/sign-in",
    ):
        await page.goto(path)
        await page.wait_for_load_state("load")
        if path == "/wall":
            await expect(page.locator("#rows tr")).to_have_count(40)
        found = await Axe().run(page)
        serious = [
            f"{path}: {each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
            for each in found.response["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious, "\n".join(serious)
    assert not office.complaints
