"""Opening an account at the page, its PIN that appears once, and slips on paper."""

import asyncio
import re

import pytest
from sqlalchemy import func, select

from central import audit
from central.permissions import Role
from central.rooms import service as rooms
from central.sales import tables
from central.web import Services
from domain.refusals import Refusal
from tests.central import campus
from tests.central.conftest import OpenPages
from tests.central.till_pages import Till

PIN = re.compile(r'(?:查询密码|PIN) <b class="tab">(\d{6})</b>')
HOLDER = "<script>alert(1)</script>"


@pytest.fixture
async def till(open_pages: OpenPages, services: Services) -> Till:
    built = await services.database.write(campus.build, services.new_id)
    await services.database.write(campus.open_room, built.room_ids[0], services.new_id)
    browser = await open_pages()
    await browser.sign_in_as(Role.cashier)
    return Till(browser, services, built)


def address(till: Till, n: int = 1) -> str:
    return f"/rooms/{till.campus.room_ids[n]}/open"


async def test_opening_with_a_first_sale_shows_slip_and_pin_once(till: Till) -> None:
    path = address(till)
    assert "000222305470" in await till.read(path)  # the meter that will be opened
    form = await till.form(path, path)
    sent = form | {"holder": HOLDER, "phone": "13900139000", "amount": "30", "method": "wechat"}
    answers = await asyncio.gather(*(till.send(path, sent) for _ in range(3)))
    assert [status for status, _ in answers] == [200] * 3
    texts = sorted((text for _, text in answers), key=lambda text: not PIN.search(text))
    shown = PIN.search(texts[0])
    assert shown is not None
    assert "手机上查看" not in texts[0]  # there is no such page
    for text in texts:
        assert "叁拾元整" in text
        assert "A-000002" in text
        assert "<script>alert" not in text
    for text in texts[1:]:
        assert shown[1] not in text
        assert "现在不能再看" in text
    accounts = await till.rows(select(tables.accounts).order_by("account_id"))
    assert [account.holder for account in accounts] == ["周子涵", HOLDER]
    assert await till.services.passwords.verify(accounts[1].pin_hash, shown[1])
    assert await till.events() == 2
    assert shown[1] not in await till.read("/receipts/A-000002")


async def test_the_answer_with_the_pin_is_kept_nowhere(till: Till) -> None:
    path = address(till)
    form = await till.form(path, path)
    async with await till.browser.send(path, **form | {"holder": "赵一鸣"}) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert PIN.search(await answer.text())  # without a sale there is a slip of its own
    assert await till.events() == 1
    assert "赵一鸣" in await till.read(f"/sell?room={till.campus.room_ids[1]}")


WRONG: list[tuple[dict[str, str], Refusal]] = [
    ({"holder": " "}, Refusal.holder_missing),
    ({"phone": "call me"}, Refusal.phone_malformed),
    ({"amount": "0"}, Refusal.amount_not_positive),
    ({"amount": "-1"}, Refusal.amount_not_positive),
    ({"amount": "0.001"}, Refusal.amount_finer_than_a_fen),
    ({"amount": "1e9"}, Refusal.amount_not_a_number),
    ({"amount": "1000.01"}, Refusal.above_hoarding_cap),
    ({"amount": "20", "method": "barter"}, Refusal.method_missing),
    ({"old_amount": "12", "evidence": "照片"}, Refusal.not_permitted),
    ({"old_amount": "12"}, Refusal.evidence_missing),
    ({"old_amount": "x"}, Refusal.amount_not_a_number),
]


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_what_is_wrong_is_said_at_its_field(till: Till, language: str) -> None:
    path = address(till)
    form = await till.form(path, path) | {"holder": "赵一鸣"}
    nothing = {"zh": "未开户，未入账", "en": "Not opened, nothing was booked"}[language]
    for changed, refusal in WRONG:
        status, text = await till.send(path, form | changed, language)
        assert status == 422, changed
        assert (refusal.zh if language == "zh" else refusal.en) in text.replace("&#39;", "'")
        assert nothing in text
        assert form["request_id"] in text
    assert await till.events() == 1
    assert len(await till.rows(select(tables.accounts))) == 1


async def test_a_room_that_is_held_opens_no_second_time(till: Till) -> None:
    path = address(till, 0)
    form = await till.form(path, path)
    status, text = await till.send(path, form | {"holder": "赵一鸣"})
    assert (status, Refusal.room_already_open.zh in text) == (422, True)
    await till.read("/rooms/nowhere/open", status=404)
    status, _ = await till.send("/rooms/nowhere/open", form | {"holder": "赵一鸣"})
    assert status == 404


async def test_a_supervisor_carries_an_old_balance_in(till: Till) -> None:
    path = address(till)
    assert "old_amount" not in str(await till.form(path, path))
    await till.browser.sign_in_as(Role.supervisor)
    form = await till.form(path, path) | {"holder": "赵一鸣", "old_amount": "12.34"}
    _, text = await till.send(path, form | {"evidence": "老表照片 7"})
    assert "老表照片 7" in text
    assert "12.34" in text
    kinds = await till.rows(select(tables.money_events.c.kind, tables.money_events.c.fen))
    assert ("opening", 1_234) in kinds
    preview = await till.read(f"{path}/preview?amount=10&old_amount=2.5")
    assert "¥12.50" in preview
    assert "开户并收款 ¥10.00" in preview


async def test_each_meter_may_have_its_own_balance(till: Till) -> None:
    place = {"room_id": till.campus.room_ids[1], "actor": campus.TECHNICIAN}
    more = campus.point(place["room_id"], 9, circuit="socket")  # type: ignore[arg-type]
    now_ms, new_id = till.services.now_ms(), till.services.new_id
    added = await till.services.database.write(
        rooms.add_points, actor=campus.TECHNICIAN, now_ms=now_ms, new_id=new_id, points=[more]
    )
    assert isinstance(added, tuple)
    path = address(till)
    form = await till.form(path, path)
    assert form["purses"] == "one"
    status, _ = await till.send(path, form | {"holder": "赵", "purses": "each", "amount": "9"})
    assert status == 200
    purses = await till.rows(select(tables.purses.c.granted_fen).order_by("purse_id"))
    assert [row[0] for row in purses] == [5_000, 900, 0]
    text = await till.read(f"/sell?room={till.campus.room_ids[1]}")
    assert text.count("&amp;purse=") >= 2  # one to choose each
    second = (await till.rows(select(tables.purses.c.purse_id).order_by("purse_id")))[-1][0]
    sale = await till.form(f"/sell?room={till.campus.room_ids[1]}&purse={second}", "/sell")
    assert sale["purse"] == second
    assert (await till.send("/sell", sale | {"amount": "5"}))[0] == 303
    assert await till.events() == 3


async def test_a_lost_pin_is_drawn_anew(till: Till) -> None:
    path = f"/rooms/{till.campus.room_ids[0]}/pin"
    status, text = await till.send(path, {})
    shown = PIN.search(text)
    assert status == 200
    assert shown is not None
    account = (await till.rows(select(tables.accounts)))[0]
    assert await till.services.passwords.verify(account.pin_hash, shown[1])
    status, _ = await till.send(f"/rooms/{till.campus.room_ids[1]}/pin", {})
    assert status == 404


async def test_a_slip_is_printed_again_marked_counted_and_audited(till: Till) -> None:
    await till.send("/sell", await till.sale_form() | {"amount": "1.05"})
    text = await till.read("/receipts/A-000002")
    assert "查看件，不作凭证" in text
    assert "壹元零伍分" in text
    for n in (1, 2):
        status, text = await till.send("/receipts/a-000002/reprint", {})
        assert status == 200
        assert f"补打 {n}</b>" in text
        assert "data-print-now" in text
    rows = audit.audit_rows
    done = select(func.count()).where(rows.c.action == "reprint")
    assert (await till.rows(done))[0][0] == 2
    assert await till.events() == 2
    await till.read("/receipts/A-999999", status=404)
    assert (await till.send("/receipts/A-999999/reprint", {}))[0] == 404


async def test_an_auditor_sees_slips_and_prints_none(till: Till) -> None:
    await till.browser.sign_in_as(Role.auditor)
    text = await till.read("/receipts/A-000001?lang=en")
    assert "Prepaid electricity receipt" in text
    assert "reprint" not in text
    assert (await till.send("/receipts/A-000001/reprint", {}))[0] == 403
