"""The meter wall in a real browser: it fills, lives, filters, and says when it hears nothing."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from central.metering.pages import FEED
from domain.supply import Relay, State
from tests.browser.conftest import DESK, PHONE, Office, at, sign_in

FINE, ARREARS = 1, 4
ROWS = "#rows tr:not([hidden])"


async def show_wall(page: Page, query: str = "") -> None:
    await sign_in(page)
    await page.goto(f"/wall{query}")
    await expect(page.locator("#pulse")).to_contain_text("实时")


async def test_the_wall_fills_and_lives(chromium: Browser, office: Office) -> None:
    _, page = await at(chromium, office)
    await show_wall(page)
    await expect(page.locator(ROWS)).to_have_count(40)
    row = page.locator("#rows tr").nth(ARREARS)
    await expect(row.locator(".c-state")).to_have_text("欠费")
    await expect(row.locator(".c-left_fen")).to_have_text("−3.18")
    await expect(row.locator(".c-relay")).to_have_text("分闸")
    counts = await page.locator(".chip b").all_inner_texts()
    assert int(counts[0]) == sum(map(int, counts[1:])) == 40
    office.field.changed = {ARREARS: {"supply": State.on, "available_ticks": 468_200_000}}
    await expect(row.locator(".c-control")).to_have_text("合闸中")
    await expect(row.locator(".c-left_fen")).to_have_text("46.82")
    office.field.changed[ARREARS]["relay"] = Relay.closed
    await expect(row.locator(".c-relay")).to_have_text("合闸")
    await expect(row.locator(".c-state")).to_have_text("已开户")
    assert not office.complaints


async def test_a_silent_meter_is_hatched_and_then_lost(chromium: Browser, office: Office) -> None:
    _, page = await at(chromium, office)
    await show_wall(page)
    row = page.locator("#rows tr").nth(FINE)
    await expect(row).not_to_have_class("old")
    office.field.silent = {FINE}
    office.clock.ms += 30_000
    await expect(row).to_have_class("old")
    await expect(row.locator(".c-read_ms")).to_contain_text("秒前")
    await expect(row.locator(".c-state")).to_have_text("已开户")
    office.clock.ms += 45_000
    await expect(row.locator(".c-state")).to_have_text("失联")
    await expect(row.locator(".c-relay")).to_have_text("未知")
    await expect(row.locator(".c-w")).to_have_text("—")


async def test_filters_stand_in_the_address(chromium: Browser, office: Office) -> None:
    _, page = await at(chromium, office)
    await show_wall(page, "?state=arrears&building=b2")
    await expect(page.locator(ROWS)).to_have_count(2)
    pressed = page.locator('.chip[aria-pressed="true"]')
    await expect(pressed).to_have_attribute("data-state", "arrears")
    await page.click("#tree a.root")
    await expect(page.locator(ROWS)).to_have_count(4)
    await page.keyboard.press("F2")
    await page.keyboard.type("赵欣怡")
    await expect(page.locator(ROWS)).to_have_count(1)
    assert "building" not in page.url
    assert re.search(r"state=arrears&q=", page.url)
    await page.fill("#sift", "nobody")
    await expect(page.locator("#none")).to_contain_text("没有符合“欠费 · nobody”的电表")
    await page.click("#unsift")
    await expect(page.locator(ROWS)).to_have_count(40)
    await page.go_back()
    await expect(page.locator(ROWS)).to_have_count(0)
    assert not office.complaints


async def test_sorting_by_what_is_left(chromium: Browser, office: Office) -> None:
    _, page = await at(chromium, office)
    await show_wall(page)
    await page.click("th[data-key=left_fen] button")
    first = page.locator(f"{ROWS} >> nth=0").locator(".c-left_fen")
    await expect(first).to_have_text("−3.18")
    await expect(page.locator("th[data-key=left_fen]")).to_have_attribute("aria-sort", "ascending")
    await page.click("th[data-key=left_fen] button")
    await expect(first).to_have_text("200.00")
    last = page.locator(f"{ROWS} >> nth=-1").locator(".c-left_fen")
    await expect(last).to_have_text("—")  # what nobody holds comes last either way


async def test_a_deaf_wall_says_so_and_hears_again(chromium: Browser, office: Office) -> None:
    _, page = await at(chromium, office)
    await show_wall(page)
    await page.route("**/wall/live", lambda route: route.abort())
    await office.app[FEED].close()
    await expect(page.locator("#pulse")).to_contain_text("连接中断，正在重连")
    await expect(page.locator(ROWS)).to_have_count(40)
    await page.unroute("**/wall/live")
    await expect(page.locator("#pulse")).to_contain_text("实时")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_nothing_sticks_out_of_the_page(
    chromium: Browser, office: Office, size: tuple[int, int]
) -> None:
    _, page = await at(chromium, office, size=size)
    await show_wall(page)
    for path in ("/", "/wall", f"/rooms/{office.made.room_ids[0]}", "/sales", "/find?q=1-10"):
        await page.goto(path)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0], f"{path} is {width} wide"
    if size == PHONE:
        await page.click(".burger")
        await page.click("nav >> text=批量操作")
        await page.wait_for_url("**/wall")
    assert not office.complaints
