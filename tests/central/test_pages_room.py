"""A room's page: balance, state and reason in words, curve with gaps, money, trace; finding one."""

import re

import pytest
from sqlalchemy import Connection

from central.metering.queries import use_of_slots
from central.permissions import Role
from central.sales import service as sales
from central.security import SYSTEM
from domain.instants import MINUTE_MS
from domain.ledger import Method
from domain.supply import Relay, State
from tests.central.conftest import Stage

HISTORY, FINE, ARREARS, ALARM_2, VACANT, HELD_ON, HELD_OFF = 0, 1, 4, 6, 9, 12, 17


@pytest.mark.parametrize(
    ("n", "tag", "why"),
    [
        (FINE, "已开户", "余额充足，正常供电"),
        (HISTORY, "报警1", "余额不高于报警金额1（20.00 元）"),
        (ALARM_2, "报警2", "余额不高于报警金额2（5.00 元）"),
        (ARREARS, "欠费", "余额已用完，已断电。售电后余额高于 0.00 元即自动合闸。"),
        (VACANT, "未开户", "没有人持有这个房间"),
        (HELD_ON, "已开户", "工作人员保电"),
        (HELD_OFF, "已开户", "付款不会合闸"),
    ],
)
async def test_the_state_and_its_reason_are_said(stage: Stage, n: int, tag: str, why: str) -> None:
    text = await stage.text(stage.room(n))
    assert tag in text
    assert why in text


async def test_a_command_under_way_is_no_fact_yet(stage: Stage) -> None:
    stage.field.changed = {ARREARS: {"supply": State.on}}
    stage.speak()
    text = await stage.text(stage.room(ARREARS))
    assert "正在合闸，等待电表读回" in text
    assert "分闸" in text
    assert "合闸中" in text


async def test_a_lost_meter_says_since_when_and_whether_its_gateway_is_gone(stage: Stage) -> None:
    stage.field.silent = {FINE}
    stage.speak(later_ms=12 * MINUTE_MS)
    text = await stage.text(stage.room(FINE))
    assert "12 分前起没有读到电表" in text
    assert "通讯管理机" not in text.partition('class="why"')[2].partition("</p>")[0]
    stage.field.gone = {"gw-1"}
    stage.speak(later_ms=2 * MINUTE_MS)
    text = await stage.text(stage.room(FINE))
    assert "通讯管理机 gw-1 失联" in text
    assert "未知" in text


async def test_figures_of_the_room(stage: Stage) -> None:
    text = await stage.text(stage.room(ARREARS))
    assert '<dd class="neg">¥−3.18</dd>' in text
    assert "−5.6" in text
    assert "0.5600" in text
    assert "031601000005" in text
    assert "2,425.24" in text


async def test_the_curve_leaves_gaps_and_its_table_names_them(stage: Stage) -> None:
    text = await stage.text(stage.room(HISTORY) + "?span=week")
    assert text.count('class="line"') == 2 * 2  # on a desk and on a phone: two stretches
    assert text.count('class="gap"') == 2 * 1  # around one gap
    assert "斜线处没有读数" in text
    missing = re.findall(r'<td class="num( muted)?">(\d+)</td></tr>', text)
    assert sum(int(number) for _, number in missing) == 7
    assert "style=" not in text
    today = await stage.text(stage.room(HISTORY))
    assert 'aria-current="true">今天' in today


async def test_a_room_without_readings_says_so(stage: Stage) -> None:
    text = await stage.text(stage.room(FINE))
    assert "还没有连续的读数" in text
    assert "合计 <b>—</b> kWh" in text


def test_use_is_shared_by_time_only_between_near_readings() -> None:
    half = 30 * MINUTE_MS
    readings = [(0, 0), (half, 100), (half + 20 * MINUTE_MS, 160), (2 * half + 10 * MINUTE_MS, 200)]
    readings += [(6 * half, 900), (7 * half, 950)]
    used = use_of_slots(readings, from_ms=0, slots=8)
    assert used == [100, 80, None, None, None, None, 50, None]


async def test_money_events_link_to_their_receipts(stage: Stage) -> None:
    text = await stage.text(stage.room(FINE))
    assert '<a href="/receipts/A-000002">A-000002</a>' in text
    assert "200.00" in text
    assert "支付宝" in text


async def test_technicians_see_the_meter_and_no_money(stage: Stage) -> None:
    await stage.browser.sign_in_as(Role.technician)
    text = await stage.text(stage.room(FINE))
    assert "总线与地址" in text
    assert "A-000002" not in text
    assert "/sell" not in text


async def test_what_may_be_done_is_offered(stage: Stage) -> None:
    assert f'href="/sell?room={stage.made.room_ids[FINE]}"' in await stage.text(stage.room(FINE))
    vacant = await stage.text(stage.room(VACANT))
    assert f'href="/rooms/{stage.made.room_ids[VACANT]}/open"' in vacant
    assert "/sell?room=" not in vacant


def sold(connection: Connection, /, stage: Stage, n: int) -> sales.Receipt:
    purse_id = stage.made.purse_ids[n]
    assert purse_id is not None
    receipt = sales.sell(
        connection,
        actor=SYSTEM,
        now_ms=stage.clock.ms,
        new_id=stage.services.new_id,
        request_id=stage.services.new_id(),
        purse_id=purse_id,
        fen=5_000,
        method=Method.cash,
    )
    assert isinstance(receipt, sales.Receipt)
    return receipt


def marks(text: str) -> list[str]:
    """The marks of the five hops."""
    trace = text.partition('<ol class="trace">')[2].partition("</ol>")[0]
    return re.findall(r'<li class="(\w+)">', trace)


async def test_the_trace_of_a_payment_goes_hop_by_hop(stage: Stage) -> None:
    database = stage.services.database
    stage.clock.ms += 1_000
    await database.write(sold, stage, ARREARS)
    assert marks(await stage.text(stage.room(ARREARS))) == ["done", "done", "now", "next", "next"]
    named = (stage.made.gateway_of[ARREARS], "credit", str(stage.made.purse_ids[ARREARS]))
    stage.services.sent.note(*named, version=2**53, at_ms=stage.clock.ms)
    text = await stage.text(stage.room(ARREARS))
    assert marks(text) == ["done", "done", "done", "now", "next"]
    assert 'hx-trigger="every 2s"' in text
    assert "有收款还没有到网关" in text
    assert "待网关" in text
    left = {"count": 2, "available_ticks": 468_200_000, "supply": State.on, "relay": Relay.open}
    stage.field.changed = {ARREARS: left}
    stage.speak(later_ms=1_000)
    text = await stage.text(stage.room(ARREARS))
    assert marks(text) == ["done", "done", "done", "done", "now"]
    assert "¥46.82" in text
    stage.clock.ms += 1_000
    await database.write(stage.field.take_credit, ARREARS, now_ms=stage.clock.ms)
    await database.write(stage.field.close_relay, ARREARS, now_ms=stage.clock.ms)
    stage.speak()
    text = await stage.text(stage.room(ARREARS))
    assert marks(text) == ["done"] * 5
    assert "hx-trigger" not in text.partition('id="trace"')[2].partition("</section>")[0]


async def test_a_payment_waits_for_a_gateway_that_is_gone(stage: Stage) -> None:
    stage.field.gone = {"gw-1"}
    stage.speak(later_ms=2 * MINUTE_MS)
    await stage.services.database.write(sold, stage, ARREARS)
    text = await stage.text(stage.room(ARREARS))
    assert marks(text) == ["done", "done", "now", "next", "next"]
    assert "网关离线，上线后自动下发" in text


async def test_a_payment_does_not_lift_a_hold(stage: Stage) -> None:
    database = stage.services.database
    await database.write(sold, stage, HELD_OFF)
    await database.write(stage.field.take_credit, HELD_OFF, now_ms=stage.clock.ms)
    stage.field.changed = {HELD_OFF: {"count": 2}}
    stage.speak(later_ms=1_000)
    text = await stage.text(stage.room(HELD_OFF))
    assert marks(text) == ["done", "done", "done", "done", "stopped"]
    assert "拉闸中，付款不合闸" in text


async def test_a_room_that_is_not_there_is_404(stage: Stage) -> None:
    assert "没有这个页面" in await stage.text("/rooms/none", status=404)


async def test_finding_goes_to_the_only_room_that_fits(stage: Stage) -> None:
    for typed in ("1-103", "A-000003", "031601000003"):
        answer = await stage.browser.get("/find", params={"q": typed}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, stage.room(2)), typed


async def test_finding_lists_what_fits_and_says_when_nothing_does(stage: Stage) -> None:
    text = await stage.text("/find?q=1-10")
    assert text.count('<a href="/rooms/') == 9
    assert "没有找到“&lt;b&gt;”" in await stage.text("/find?q=%3Cb%3E")
    assert "请输入" in await stage.text("/find?q=%20")
    assert "Nothing was found" in await stage.text("/find?q=zzz&lang=en")


async def test_everything_is_there_in_english_too(stage: Stage) -> None:
    text = await stage.text(stage.room(ARREARS) + "?lang=en")
    body = text.partition("<main")[2]
    names = r"1 号楼|赵欣怡|中文"
    assert not re.search(r"[\u4e00-\u9fff]", re.sub(names, "", body)), body
