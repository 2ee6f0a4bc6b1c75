"""One sale as a cashier sees it: from a dark room on the wall to the light, without a reload."""

from playwright.async_api import Browser, expect
from sqlalchemy import Connection, func, select

from central.sales import tables
from tests.browser.conftest import Office, at, sign_in

ARREARS = 4


def events(connection: Connection, /, purse_id: str) -> int:
    """How many money events a purse has."""
    found = tables.money_events.c.purse_id == purse_id
    return int(connection.scalar(select(func.count()).where(found)) or 0)


async def test_a_sale_from_the_wall_to_the_light(chromium: Browser, office: Office) -> None:
    context, page = await at(chromium, office)
    await sign_in(page)
    await page.goto("/wall?state=arrears")
    await page.click("#rows tr:not([hidden]) >> nth=0 >> .c-room a")
    await expect(page.locator(".why")).to_contain_text("余额已用完，已断电")
    await page.click(".deeds >> text=售电")
    await page.wait_for_url("**/sell?room=*")
    await page.keyboard.type("100")  # the cursor stands in the amount
    await expect(page.locator("#sure .will")).to_have_text("¥96.82")
    await expect(page.locator("#sure strong")).to_have_text("人民币壹佰元整")
    await page.keyboard.press("Enter")
    await page.keyboard.press("2")
    await expect(page.locator("#go")).to_contain_text("收款 ¥100.00")
    await page.evaluate("""() => {  // as a hand that trembles does it
        const press = () => document.dispatchEvent(new KeyboardEvent("keydown", { key: "F9" }));
        press(); press();
    }""")
    await expect(page.get_by_role("status")).to_contain_text("已收款 ¥100.00")
    purse_id = office.made.purse_ids[ARREARS]
    assert purse_id is not None
    assert await office.services.database.read(events, purse_id) == 2
    await page.reload()
    assert await office.services.database.read(events, purse_id) == 2

    wall = await context.new_page()
    await wall.goto("/wall")
    row = wall.locator("#rows tr").nth(ARREARS)
    await expect(row.locator(".c-control")).to_have_text("下发中")
    await expect(page.locator(".trace .now b")).to_have_text("已下发")
    database = office.services.database
    sold = {"version": 2**53, "at_ms": office.clock.ms}
    office.services.sent.note(office.made.gateway_of[ARREARS], "credit", purse_id, **sold)
    await expect(page.locator(".trace .now b")).to_have_text("网关确认")
    await database.write(office.field.take_credit, ARREARS, now_ms=office.clock.ms)
    await database.write(office.field.close_relay, ARREARS, now_ms=office.clock.ms)
    await expect(page.locator(".trace .done")).to_have_count(5)
    await expect(row.locator(".c-relay")).to_have_text("合闸")
    await expect(row.locator(".c-left_fen")).to_have_text("96.82")
    await expect(row.locator(".c-state")).to_have_text("已开户")

    await page.click("text=A-000037 >> nth=0")
    await expect(page.locator(".slip").first).to_contain_text("壹佰元整")
    await page.emulate_media(media="print")
    await expect(page.locator(".bar")).to_be_hidden()
    await expect(page.locator(".slip").first).to_be_visible()
    assert not office.complaints
