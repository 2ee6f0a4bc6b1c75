"""The till's page: what is refused, what is booked, and that a form sells once."""

import asyncio
import html

import pytest
from sqlalchemy import Connection, select, update

from central.metering import tables as metering
from central.permissions import Role
from central.sales import tables
from central.web import Services
from domain.refusals import Refusal
from domain.units import TICKS_PER_FEN
from tests.central import campus
from tests.central.conftest import Clock, OpenPages
from tests.central.till_pages import Till

HOLDER = '<script>alert("1")</script>'
NOTHING = {"zh": "未入账", "en": "Nothing was booked"}


@pytest.fixture
async def till(open_pages: OpenPages, services: Services) -> Till:
    built = await services.database.write(campus.build, services.new_id)
    await services.database.write(
        campus.open_room, built.room_ids[0], services.new_id, holder=HOLDER
    )
    browser = await open_pages()
    await browser.sign_in_as(Role.cashier)
    return Till(browser, services, built)


async def test_a_sale_leads_to_its_slip(till: Till) -> None:
    room_id = till.campus.room_ids[0]
    form = await till.sale_form()
    status, place = await till.send("/sell", form | {"amount": "５０", "method": "alipay"})
    assert (status, place) == (303, f"/sell?room={room_id}&sold=A-000002")
    text = await till.read(place)
    for shown in ("已收款 ¥50.00", "A-000002", "伍拾元整", "支付宝", "张cashier"):
        assert shown in text
    assert "<form" in text
    assert 'name="amount"' not in text  # another sale takes another page
    event = (await till.rows(select(tables.money_events).order_by("count")))[-1]
    assert (event.fen, event.method, event.operator_id) == (5_000, "alipay", "id-cashier")
    assert await till.events() == 2


async def test_a_form_sells_once_however_often_it_comes(till: Till) -> None:
    sent = await till.sale_form() | {"amount": "12.30"}
    answers = await asyncio.gather(*(till.send("/sell", sent) for _ in range(4)))
    again = await till.send("/sell", sent)
    assert {*answers, again} == {(303, f"/sell?room={sent['room']}&sold=A-000002")}
    assert await till.events() == 2
    assert (await till.sale_form())["request_id"] != sent["request_id"]


async def test_a_form_that_has_sold_sells_nothing_else(till: Till) -> None:
    """The page came from the browser's memory (back), and another amount was typed into it."""
    sent = await till.sale_form() | {"amount": "12.30"}
    await till.send("/sell", sent)
    status, text = await till.send("/sell", sent | {"amount": "45.60"})
    assert status == 409
    assert Refusal.same_request_other_input.zh in text
    assert "未入账" in text
    assert 'href="/receipts/A-000002"' in text
    assert 'value="45.60"' in text
    assert sent["request_id"] not in text  # the form is a new one
    assert await till.events() == 2


async def test_two_forms_at_once_both_sell(till: Till) -> None:
    forms = [await till.sale_form() for _ in range(3)]
    answers = await asyncio.gather(*(till.send("/sell", form | {"amount": "1"}) for form in forms))
    assert {status for status, _ in answers} == {303}
    assert len({place for _, place in answers}) == 3
    assert await till.events() == 4


WRONG: list[tuple[dict[str, str], Refusal]] = [
    ({"amount": ""}, Refusal.amount_not_a_number),
    ({"amount": "0"}, Refusal.amount_not_positive),
    ({"amount": "-1"}, Refusal.amount_not_positive),
    ({"amount": "0.001"}, Refusal.amount_finer_than_a_fen),
    ({"amount": "1e9"}, Refusal.amount_not_a_number),
    ({"amount": "1000000000"}, Refusal.amount_too_large),
    ({"amount": "><b>五十"}, Refusal.amount_not_a_number),
    ({"amount": "950.01"}, Refusal.above_hoarding_cap),
    ({"amount": "50", "method": ""}, Refusal.method_missing),
    ({"amount": "50", "method": "barter"}, Refusal.method_missing),
    ({"amount": "50", "purse": "other"}, Refusal.not_found),
]


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_what_cannot_be_sold_is_refused_in_words(till: Till, language: str) -> None:
    form = await till.sale_form()
    for changed, refusal in WRONG:
        status, text = await till.send("/sell", form | changed, language)
        assert status == 422, changed
        assert (refusal.zh if language == "zh" else refusal.en) in html.unescape(text), changed
        assert NOTHING[language] in text
        assert f'name="amount" value="{html.escape(changed["amount"])}"' in text  # it stays
        assert form["request_id"] in text
    assert await till.events() == 1


async def test_the_cap_says_how_much_is_left(till: Till) -> None:
    form = await till.sale_form()
    _, text = await till.send("/sell", form | {"amount": "950.01"})
    assert "最多还可售 ¥950.00。" in text
    status, _ = await till.send("/sell", form | {"amount": "950.00"})
    assert status == 303


async def test_a_closed_account_takes_no_money(till: Till) -> None:
    sent = await till.sale_form() | {"amount": "50"}

    def close(connection: Connection) -> None:
        connection.execute(update(tables.purses).values(state="closed"))
        connection.execute(update(tables.accounts).values(closed_at_ms=1))

    await till.services.database.write(close)
    status, text = await till.send("/sell", sent)
    assert status == 422
    assert Refusal.account_closed.zh in text
    assert "未入账" in text
    assert len(await till.rows(select(tables.money_events))) == 1


async def test_a_forged_form_sells_nothing(till: Till) -> None:
    sent = await till.sale_form() | {"amount": "50"}
    status, text = await till.send("/sell", sent | {"form_token": "0" * 40})
    assert (status, "未入账" in text) == (403, True)
    status, _ = await till.send("/sell", sent | {"request_id": "mine"})
    assert status == 400
    assert await till.events() == 1


async def test_a_room_nobody_holds_and_a_room_that_is_none(till: Till) -> None:
    text = await till.read(f"/sell?room={till.campus.room_ids[1]}")
    assert f'href="/rooms/{till.campus.room_ids[1]}/open"' in text
    assert "没有这个房间" in await till.read("/sell?room=nowhere", status=404)
    assert "没有这个房间" in await till.read("/sell?room=%00", status=404)
    for path in ("/sell/preview?room=nowhere", "/sell/room?room=nowhere"):
        await till.read(path, status=404)


async def test_names_are_text_on_every_part(till: Till) -> None:
    room_id = till.campus.room_ids[0]
    _, place = await till.send("/sell", await till.sale_form() | {"amount": "1"})
    for path in (f"/sell?room={room_id}", place, "/sell", "/sell?q=script", "/sell/side",
                 "/sell/find?q=<script>", f"/sell/room?room={room_id}"):  # fmt: skip
        text = await till.read(path)
        assert "<script>alert" not in text, path
        if path != "/sell/find?q=<script>":
            assert "&lt;script&gt;" in text, path


async def test_finding_a_room_by_what_is_typed(till: Till) -> None:
    first, second = till.campus.room_ids
    text = await till.read("/sell/find?q=10")
    assert f"/sell?room={first}&amp;q=10" in text
    assert f"/sell?room={second}&amp;q=10" in text
    assert "没有匹配的房间" in await till.read("/sell/find?q=zzz")
    for typed, room_id in (("101", first), ("1号楼 102", second), ("0013800138000"[2:], first)):
        async with till.browser.get(f"/sell?q={typed}", allow_redirects=False) as answer:
            assert answer.status == 303, typed
            assert answer.headers["Location"].startswith(f"/sell?room={room_id}&q="), typed


WEIGHED: dict[str, list[str]] = {
    "100": ["¥150.00", "人民币壹佰元整", "收款 ¥100.00", "≈ 178.5 kWh"],
    "": ["—"],
    "951": [Refusal.above_hoarding_cap.zh, "disabled", "¥950.00"],
    "1.234": [Refusal.amount_finer_than_a_fen.zh],
}


async def test_the_preview_weighs_what_is_typed(till: Till) -> None:
    form = await till.sale_form()
    for amount, shown in WEIGHED.items():
        query = f"room={form['room']}&purse={form['purse']}&amount={amount}&method=cash"
        text = await till.read(f"/sell/preview?{query}")
        for words in shown:
            assert words in text, amount
        assert "<html" not in text
    assert await till.events() == 1


async def test_the_preview_says_what_becomes_of_a_dark_room(till: Till) -> None:
    form = await till.sale_form()
    point_id = till.campus.point_ids[0]

    def burnt(connection: Connection) -> None:
        spent = {"purse_id": form["purse"], "charged_ticks": 7_000 * TICKS_PER_FEN, "at_ms": 1}
        connection.execute(metering.purse_states.insert().values(spent))
        state = {"point_id": point_id, "gateway_id": "g1", "supply": "tripped"}
        connection.execute(metering.point_states.insert().values(state))

    await till.services.database.write(burnt)
    query = f"/sell/preview?room={form['room']}&purse={form['purse']}&method=cash&amount="
    assert "仍欠费，不会合闸" in await till.read(query + "20")
    assert "自动合闸" in await till.read(query + "20.01")
    assert "−20.00" in await till.read(query)


async def test_the_till_counts_what_it_took_today(till: Till, clock: Clock) -> None:
    for amount, method in (("10", "cash"), ("20", "cash"), ("30.5", "wechat")):
        await till.send("/sell", await till.sale_form() | {"amount": amount, "method": method})
    side = await till.read("/sell/side")
    row = "<tr><td>现金</td><td>2</td><td>30.00</td></tr>"
    assert row in side
    assert "<tr><td>微信支付</td><td>1</td><td>30.50</td></tr>" in side
    assert "60.50" in side
    clock.ms += 24 * 3_600_000
    assert row not in await till.read("/sell/side")


async def test_the_trace_follows_a_sale_to_the_gateway(till: Till) -> None:
    """Nobody pulses, so the sale waits and says why; then it is sent, and then it is taken."""
    _, place = await till.send("/sell", await till.sale_form() | {"amount": "10"})
    assert "网关离线" in await till.read(place)
    assert 'hx-trigger="every 1s"' in await till.read(place)
    assert "网关离线" in await till.read("/sell")  # the queue says why, too
    event = (await till.rows(select(tables.money_events).order_by("count")))[-1]
    services, now_ms = till.services, till.services.now_ms()
    named = ("g1", "credit", event.purse_id)
    services.sent.note(*named, version=event.intent_version, at_ms=now_ms + 1_000)
    text = await till.read(f"/sell/side?event={event.event_id}")
    assert text.count('class="done"') == 3
    assert "网关离线" in text  # sent, and nobody there to take it

    def take(connection: Connection) -> None:
        taken = {"purse_id": event.purse_id, "charged_ticks": 0, "at_ms": now_ms}
        taken |= {"gateway_count": 2, "gateway_granted_fen": 6_000, "taken_at_ms": now_ms}
        connection.execute(metering.purse_states.insert().values(taken))

    await services.database.write(take)
    text = await till.read(f"/sell/side?event={event.event_id}")
    assert text.count('class="done"') == 4
    assert "A-000002" not in await till.read("/sell/room?room=" + till.campus.room_ids[0])


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_till_speaks_both_languages(till: Till, language: str) -> None:
    text = await till.read(f"/sell?room={till.campus.room_ids[0]}&lang={language}")
    assert ("户主" in text) == (language == "zh")
    assert ("Hoarding cap" in text) == (language == "en")
    text = await till.read(f"/sell?lang={language}")
    assert ("先找到房间" in text) == (language == "zh")
