"""The first page, the gateways, and the strip of health."""

import re

import pytest
from sqlalchemy import Connection

from central.alarms import service as alarms
from central.permissions import Role
from domain.instants import MINUTE_MS
from tests.central.conftest import Stage
from tests.central.test_pages_room import sold

ARREARS = 4


def tile(text: str, name: str) -> str:
    """The figure of a tile."""
    found = re.search(rf"{name}.*?<b>(.*?)</b>", text, re.DOTALL)
    assert found is not None, text
    return found[1]


def alarm(connection: Connection, /, alarm_id: str, subject_id: str, at_ms: int) -> None:
    alarms.raise_alarm(
        connection,
        alarms.Alarm(
            alarm_id=alarm_id,
            gateway_id="gw-1",
            code="relay_mismatch",
            subject_id=subject_id,
            severity="critical",
            detail="继电器未到位 / the relay is not where it should be",
            raised_at_ms=at_ms,
        ),
    )


async def test_the_first_page_counts_money_rooms_gateways_and_alarms(stage: Stage) -> None:
    database = stage.services.database
    await database.write(sold, stage, ARREARS)
    await database.write(alarm, "a1", stage.made.point_ids[ARREARS], stage.clock.ms)
    text = await stage.text("/")
    assert tile(text, "今日售电") == "50.00"
    assert tile(text, "已付未到房间") == "1"
    assert tile(text, "通讯管理机在线") == "2 / 2"
    assert tile(text, "未解除报警") == "1"
    states = dict(re.findall(r'/wall\?state=(\w+)">.*?<b>(\d+)</b>', text))
    assert sum(map(int, states.values())) == 40
    assert (states["arrears"], states["not_opened"], states["lost"]) == ("4", "4", "0")
    assert "继电器未到位" in text
    assert stage.room(ARREARS) in text


async def test_what_has_arrived_waits_no_longer(stage: Stage) -> None:
    database = stage.services.database
    await database.write(sold, stage, ARREARS)
    await database.write(stage.field.take_credit, ARREARS, now_ms=stage.clock.ms)
    text = await stage.text("/")
    assert tile(text, "已付未到房间") == "0"
    assert "每一笔都已到房间" in text


async def test_yesterdays_sales_are_not_todays(stage: Stage) -> None:
    await stage.services.database.write(sold, stage, ARREARS)
    stage.speak(later_ms=25 * 60 * MINUTE_MS)
    await stage.browser.sign_in_as(Role.supervisor)
    assert tile(await stage.text("/"), "今日售电") == "0.00"


async def test_a_gateway_that_is_gone_is_said_everywhere(stage: Stage) -> None:
    stage.field.gone = {"gw-2"}
    stage.speak(later_ms=2 * MINUTE_MS)
    assert tile(await stage.text("/"), "通讯管理机在线") == "1 / 2"
    strip = await stage.text("/health-strip")
    assert 'class="bad"' in strip
    assert ">1/2<" in strip
    listed = await stage.text("/gateways?only=lost")
    assert "gw-2" in listed
    assert "gw-1" not in listed
    assert "2 分前" in listed
    everything = await stage.text("/gateways")
    assert "gw-1" in everything
    stage.field.gone = set()
    stage.speak()
    assert "没有失联的通讯管理机" in await stage.text("/gateways?only=lost")


async def test_a_technician_sees_no_takings(stage: Stage) -> None:
    await stage.browser.sign_in_as(Role.technician)
    text = await stage.text("/")
    assert "今日售电" not in text
    assert "通讯管理机在线" in text


async def test_the_menu_offers_what_one_may_do_and_nothing_dead(stage: Stage) -> None:
    for role in Role:
        await stage.browser.sign_in_as(role)
        bar = (await stage.text("/")).partition("<nav")[2].partition("</nav>")[0]
        for name in ("登录管理", "系统设置", "用户管理", "售电管理", "报表中心"):
            assert name in bar
        for path in re.findall(r'href="([^"]+)"', bar):
            answer = await stage.browser.get(path, allow_redirects=True)
            assert answer.status == 200, f"{role}: {path} is {answer.status}"
        assert ("/sell" in bar) == (role in (Role.cashier, Role.supervisor))


async def test_language_and_theme_are_kept(stage: Stage) -> None:
    assert 'data-theme="dark"' in await stage.text("/?theme=dark")
    assert 'data-theme="dark"' in await stage.text("/wall")
    assert "data-theme" not in await stage.text("/?theme=system")
    assert 'lang="en"' in await stage.text("/?lang=en")
    text = await stage.text("/find?q=1-10")
    assert 'href="/find?q=1-10&amp;lang=zh"' in text
    assert "Search" in text


async def test_the_sales_of_a_day(stage: Stage) -> None:
    receipt = await stage.services.database.write(sold, stage, ARREARS)
    text = await stage.text("/sales")
    assert f'<a href="/receipts/{receipt.receipt_no}">' in text
    assert "50.00" in text
    assert "待网关" in text
    before = await stage.text("/sales?day=2027-01-14")
    assert receipt.receipt_no not in before
    assert "这一天没有收款" in before
    opened = await stage.text("/sales?day=2027-01-07")
    assert opened.count('<a href="/receipts/') == 36


@pytest.mark.parametrize("day", ["", "x", "2027-02-30", "9999-12-31", "0001-01-01", "2027-01-15;"])
async def test_a_day_that_is_none_shows_no_fault(stage: Stage, day: str) -> None:
    answer = await stage.browser.get("/sales", params={"day": day})
    assert answer.status == 200


async def test_what_a_page_asks_by_itself_keeps_no_session_open(stage: Stage) -> None:
    for _ in range(5):
        stage.clock.ms += 30 * MINUTE_MS
        strip = await stage.browser.get(
            "/health-strip", headers={"X-Background": "1", "HX-Request": "true"}
        )
    assert (strip.status, strip.headers["HX-Redirect"]) == (401, "/sign-in")
    await stage.browser.sign_in_as(Role.supervisor)
    for _ in range(5):
        stage.clock.ms += 30 * MINUTE_MS
        assert (await stage.browser.get("/health-strip")).status == 200
