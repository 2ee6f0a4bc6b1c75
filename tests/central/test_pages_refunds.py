"""Refunds and reversals: the effect is shown first, nothing is paid before the gateway agrees."""

import re
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, func, select

from central.permissions import Role
from central.sales import service, tables
from domain.instants import MINUTE_MS
from domain.refusals import Refusal
from tests.central.conftest import Stage
from tests.central.test_pages_room import sold

FINE, ARREARS, FULL = 1, 4, 5  # 86.42 left · −3.18 left · 200.00 left; each paid 200.00
BY = {FINE: "alipay", ARREARS: "cash", FULL: "alipay"}


def asked_for(connection: Connection) -> int:
    """How many refunds and reversals were ever asked for."""
    return int(connection.scalar(select(func.count()).select_from(tables.reservations)) or 0)


def newest_event(connection: Connection, /, purse_id: str) -> str:
    events = tables.money_events
    wanted = select(events.c.event_id).where(events.c.purse_id == purse_id)
    return str(connection.scalar(wanted.order_by(events.c["count"].desc()).limit(1)))


def purse(stage: Stage, n: int) -> str:
    purse_id = stage.made.purse_ids[n]
    assert purse_id is not None
    return purse_id


async def form(stage: Stage, n: int) -> dict[str, str]:
    """The fields of the refund form of room `n`, as drawn."""
    text = await stage.text(stage.room(n) + "/refund")
    body = text.partition("<main")[2]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', body))


async def refund(stage: Stage, n: int, amount: str, **more: str) -> tuple[int, str, str]:
    """Send the form: `(status, text, where it led)`."""
    fields = {
        "amount": amount,
        "method": BY[n],
        "reason": "多交了",
        **(await form(stage, n)),
        **more,
    }
    fields.pop("form_token")
    answer = await stage.browser.send(stage.room(n) + "/refund", **fields)
    return answer.status, await answer.text(), answer.headers.get("Location", "")


async def answer(stage: Stage, path: str, *, accepted: bool) -> None:
    """The gateway's answer, as ingest books it."""
    await stage.services.database.write(
        service.reservation_answered,
        reservation_id=path.rpartition("/")[2],
        accepted=accepted,
        now_ms=stage.clock.ms,
        new_id=stage.services.new_id,
    )


async def test_a_refund_shows_its_effect_and_waits_for_the_gateway(stage: Stage) -> None:
    effect = await stage.text(
        f"{stage.room(FINE)}/refund/preview?purse={purse(stage, FINE)}&amount=50&method=alipay"
    )
    assert "¥86.42" in effect
    assert "¥36.42" in effect
    assert "申请退款 ¥50.00" in effect
    status, _, led = await refund(stage, FINE, "50")
    assert status == 303
    text = await stage.text(led)
    assert "等待网关答复" in text
    assert "钱还没有动" in text
    assert "可以付款" not in text
    room = await stage.text(stage.room(FINE))
    assert f'href="{led}"' in room
    await answer(stage, led, accepted=True)
    text = await stage.text(led)
    assert "可以付款 ¥50.00" in text
    assert "every 2s" not in text
    number = re.search(r"/receipts/([\w-]+)", text)
    assert number is not None
    slip = await stage.text(f"/receipts/{number[1]}")
    for said in ("−50.00", "负伍拾元整", "退款金额"):
        assert said in slip
    assert "收款金额" not in slip


async def test_a_form_sent_twice_asks_once(stage: Stage) -> None:
    fields = {**(await form(stage, FINE)), "amount": "5", "method": "alipay", "reason": "x"}
    fields.pop("form_token")
    first = await stage.browser.send(stage.room(FINE) + "/refund", **fields)
    again = await stage.browser.send(stage.room(FINE) + "/refund", **fields)
    assert first.headers["Location"] == again.headers["Location"]
    assert await stage.services.database.read(asked_for) == 1


@pytest.mark.parametrize(
    ("amount", "more", "refusal"),
    [
        ("", {}, Refusal.amount_not_a_number),
        ("0", {}, Refusal.amount_not_positive),
        ("-1", {}, Refusal.amount_not_positive),
        ("0.001", {}, Refusal.amount_finer_than_a_fen),
        ("1000000000", {}, Refusal.amount_too_large),
        ("五十", {}, Refusal.amount_not_a_number),
        ("86.43", {}, Refusal.exceeds_balance),
        ("10", {"method": "cash"}, Refusal.exceeds_paid_by_method),
        ("10", {"method": "gold"}, Refusal.method_missing),
        ("10", {"reason": "  "}, Refusal.reason_missing),
    ],
)
async def test_what_cannot_be_refunded_is_said_and_the_form_keeps_its_contents(
    stage: Stage, amount: str, more: dict[str, str], refusal: Refusal
) -> None:
    status, text, _ = await refund(stage, FINE, amount, **more)
    assert status == 422
    assert refusal.zh in text
    assert "钱没有动" in text
    assert f'name="amount" value="{amount}"' in text
    assert await stage.services.database.read(asked_for) == 0


async def test_what_the_gateway_refuses_moves_no_money(stage: Stage) -> None:
    _, _, led = await refund(stage, FINE, "50")
    await answer(stage, led, accepted=False)
    text = await stage.text(led)
    assert "没有付款，钱没有动" in text
    assert "可以付款" not in text


async def test_a_request_can_be_withdrawn_while_the_gateway_is_gone(stage: Stage) -> None:
    stage.field.gone = {"gw-1"}
    stage.speak(later_ms=2 * MINUTE_MS)
    _, _, led = await refund(stage, FINE, "50")
    assert "网关离线，上线后答复" in await stage.text(led)
    cancelled = await stage.browser.send(f"{led}/cancel")
    assert cancelled.headers["Location"] == led
    assert "已取消，钱没有动" in await stage.text(led)
    await answer(stage, led, accepted=True)  # too late: nothing comes of it
    assert "已取消，钱没有动" in await stage.text(led)


async def test_a_sale_is_reversed_when_its_gateway_agrees(stage: Stage) -> None:
    await stage.services.database.write(sold, stage, FINE)
    await stage.browser.sign_in_as(Role.supervisor)
    event_id = await stage.services.database.read(newest_event, purse(stage, FINE))
    assert f'href="/events/{event_id}/reverse"' in await stage.text(stage.room(FINE))
    text = await stage.text(f"/events/{event_id}/reverse")
    assert "¥136.42" in text
    assert "¥86.42" in text
    request = re.search(r'name="request_id" value="(\w+)"', text)
    assert request is not None
    path = f"/events/{event_id}/reverse"
    missing = await stage.browser.send(path, request_id=request[1], reason="")
    assert (missing.status, Refusal.reason_missing.zh in await missing.text()) == (422, True)
    asked = await stage.browser.send(path, request_id=request[1], reason="售错房间")
    led = urlsplit(asked.headers["Location"]).path
    assert led.startswith("/reservations/")
    await answer(stage, led, accepted=True)
    assert "可以付款 ¥50.00" in await stage.text(led)
    room = await stage.text(stage.room(FINE))
    assert "已冲正" in room
    assert '上一笔到电 <small class="tab"><a href="/receipts/A-000002">' in room  # not the undone
    assert Refusal.already_reversed.zh in await stage.text(path)


async def test_below_zero_needs_a_supervisors_word(stage: Stage) -> None:
    await stage.browser.sign_in_as(Role.supervisor)
    event_id = await stage.services.database.read(newest_event, purse(stage, ARREARS))
    path = f"/events/{event_id}/reverse"
    text = await stage.text(path)
    tick_it = "请勾选“允许冲正后余额低于 0”"  # who may do it is not sent to somebody else
    assert tick_it in text
    assert Refusal.needs_supervisor.zh not in text
    request = re.search(r'name="request_id" value="(\w+)"', text)
    assert request is not None
    fields = {"request_id": request[1], "reason": "售错"}
    refused = await stage.browser.send(path, **fields)
    assert (refused.status, tick_it in await refused.text()) == (422, True)
    asked = await stage.browser.send(path, **fields, below_zero="yes")
    assert (asked.status, asked.headers["Location"][:14]) == (303, "/reservations/")


async def test_only_who_may_sees_these_pages(stage: Stage) -> None:
    event_id = await stage.services.database.read(newest_event, purse(stage, FINE))
    assert (await stage.browser.get(f"/events/{event_id}/reverse")).status == 403
    assert f"/events/{event_id}/reverse" not in await stage.text(stage.room(FINE))
    await stage.browser.sign_in_as(Role.auditor)
    assert (await stage.browser.get(stage.room(FINE) + "/refund")).status == 403


async def test_what_is_not_there_is_404(stage: Stage) -> None:
    await stage.browser.sign_in_as(Role.supervisor)
    unknown = "0" * 26
    for path in ("/rooms/none/refund", f"/events/{unknown}/reverse", f"/reservations/{unknown}"):
        await stage.text(path, status=404)
    await stage.text("/reservations/x'--", status=404)
    vacant = stage.room(9)
    await stage.text(f"{vacant}/refund", status=404)
    gone = await stage.browser.send(f"/reservations/{unknown}/cancel")
    assert gone.status == 404


async def test_everything_in_english(stage: Stage) -> None:
    text = await stage.text(stage.room(FINE) + "/refund?lang=en")
    assert "Ask for the refund" in text
    body = re.sub(r"1 号楼|李雨桐|中文|东方大学", "", text.partition("<main")[2])
    assert not re.search(r"[\u4e00-\u9fff]", body)
