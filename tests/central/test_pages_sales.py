"""The till's pages: what is refused, what is booked, and that a form sells once."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from central.permissions import Role
from central.sales import tables
from central.web import Services
from domain.refusals import Refusal
from tests.central import campus
from tests.central.conftest import Browser, OpenPages
from tests.central.sound import check_books


@dataclass
class Till:
    """A cashier's browser at an office of one building."""

    browser: Browser
    services: Services
    campus: campus.Campus

    async def read(self, path: str, **options: Any) -> str:
        async with self.browser.get(path, **options) as answer:
            return await answer.text()

    async def form(self, path: str) -> dict[str, str]:
        """The fields of a page's money form, as they were drawn."""
        text = await self.read(path)
        money = text[text.index('method="post"', text.index("<main")) :]
        found = {}
        for tag in re.findall(r"<input[^>]*>", money[: money.index("</form>")]):
            values = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
            if values.get("type") != "radio" or " checked" in tag:
                found[values["name"]] = values.get("value", "")
        found.pop("form_token")
        return found

    async def events(self) -> int:
        def counted(connection: Connection) -> int:
            check_books(connection)
            return connection.scalar(select(func.count()).select_from(tables.money_events)) or 0

        return await self.services.database.read(counted)


@pytest.fixture
async def till(open_pages: OpenPages, services: Services) -> Till:
    built = await services.database.write(campus.build, services.new_id)
    await services.database.write(campus.open_room, built.room_ids[0], services.new_id)
    browser = await open_pages()
    await browser.sign_in_as(Role.cashier)
    return Till(browser, services, built)


async def test_a_sale_leads_to_its_slip_and_is_booked_once(till: Till) -> None:
    room_id = till.campus.room_ids[0]
    form = await till.form(f"/sell?room={room_id}")
    sent = form | {"amount": "50.00", "method": "alipay"}
    answers = await asyncio.gather(*(till.browser.send("/sell", **sent) for _ in range(3)))
    places = {answer.headers["Location"] for answer in answers}
    assert places == {f"/sell?room={room_id}&sold=A-000002"}
    assert await till.events() == 2
    text = await till.read(places.pop())
    assert "A-000002" in text
    assert "伍拾元整" in text
    assert (await till.form(f"/sell?room={room_id}"))["request_id"] != form["request_id"]


@pytest.mark.parametrize(
    ("amount", "refusal"),
    [
        ("", Refusal.amount_not_a_number),
        ("0", Refusal.amount_not_positive),
        ("-1", Refusal.amount_not_positive),
        ("0.001", Refusal.amount_finer_than_a_fen),
        ("1e9", Refusal.amount_not_a_number),
        ("1000000000", Refusal.amount_too_large),
        ("五十", Refusal.amount_not_a_number),
        ("950.01", Refusal.above_hoarding_cap),
    ],
)
async def test_what_cannot_be_sold_is_refused_in_words(
    till: Till, amount: str, refusal: Refusal
) -> None:
    form = await till.form(f"/sell?room={till.campus.room_ids[0]}")
    for language, words, nothing in (
        ("zh", refusal.zh, "未入账"),
        ("en", refusal.en, "Nothing was booked"),
    ):
        answer = await till.browser.send(f"/sell?lang={language}", **form | {"amount": amount})
        text = await answer.text()
        assert answer.status == 422
        assert words in text
        assert nothing in text
        assert f'name="amount" value="{amount}"' in text
        assert f'value="{form["request_id"]}"' in text
    assert await till.events() == 1
