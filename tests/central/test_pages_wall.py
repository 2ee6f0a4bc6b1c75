"""The meter wall: what a row says, in which state, and what the stream tells of it."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

from aiohttp import ClientResponse

from central.metering.pages import FEED
from central.metering.wall import WallFeed
from central.permissions import Role
from domain.instants import MINUTE_MS
from domain.supply import Relay, State
from tests.central.conftest import Stage

HELD_ON, HELD_OFF, VACANT, ARREARS, ALARM_2, ALARM_1, FINE = 12, 17, 9, 4, 6, 0, 1


async def rows(stage: Stage) -> list[dict[str, Any]]:
    answer = await stage.browser.get("/wall/rows")
    said = await answer.json()
    found: list[dict[str, Any]] = said["rows"]
    return found


async def test_every_meter_has_a_row_in_the_order_of_the_building(stage: Stage) -> None:
    found = await rows(stage)
    assert len(found) == 40
    assert [row["room"] for row in found[:3]] == ["1-101", "1-102", "1-103"]
    assert [row["id"] for row in found] == list(stage.made.point_ids)


async def test_a_row_is_codes_and_integers(stage: Stage) -> None:
    row = (await rows(stage))[ALARM_1]
    assert (row["left_fen"], row["used_fen"]) == (1_485, 18_515)
    assert row["left_wh"] == 1_485 * 100_000 // 5_600
    assert (row["alarm_1_fen"], row["alarm_2_fen"], row["price_e4"]) == (2_000, 500, 5_600)
    assert (row["count"], row["relay"], row["control"]) == (1, "closed", "prepaid")
    assert row["read_ms"] == stage.clock.ms - 1_000
    numbers = [value for value in row.values() if not isinstance(value, str | None)]
    assert all(isinstance(number, int) for number in numbers)


async def test_each_state_by_its_precedence(stage: Stage) -> None:
    found = await rows(stage)
    assert {n: found[n]["state"] for n in (FINE, ALARM_1, ALARM_2, ARREARS, VACANT)} == {
        FINE: "ok",
        ALARM_1: "alarm_1",
        ALARM_2: "alarm_2",
        ARREARS: "arrears",
        VACANT: "not_opened",
    }
    stage.field.silent = {FINE, ARREARS, VACANT}
    stage.speak(later_ms=2 * MINUTE_MS)
    found = await rows(stage)
    assert [found[n]["state"] for n in (FINE, ARREARS, VACANT)] == ["lost"] * 3


async def test_what_is_lost_keeps_its_figures_but_not_its_relay(stage: Stage) -> None:
    stage.field.gone = {"gw-1"}
    read_ms = (await rows(stage))[FINE]["read_ms"]
    stage.speak(later_ms=2 * MINUTE_MS)
    row, other = (await rows(stage))[FINE], (await rows(stage))[FINE + 20]
    assert (row["state"], row["relay"], row["w"]) == ("lost", "unknown", None)
    assert row["wh"] is not None
    assert row["read_ms"] == read_ms
    assert other["state"] == "ok"


async def test_a_vacant_room_shows_its_register_and_nobodys_money(stage: Stage) -> None:
    row = (await rows(stage))[VACANT]
    assert row["wh"] is not None
    kept = ("account", "holder", "left_fen", "used_fen", "alarm_1_fen", "count", "control")
    assert [row[name] for name in kept] == [None] * 7


async def test_commands_show_as_verbs_until_they_are_read_back(stage: Stage) -> None:
    stage.field.changed = {
        ARREARS: {"supply": State.on},  # decided, its relay still open
        FINE: {"supply": State.tripped},
        ALARM_2: {"relay": Relay.unknown, "supply": State.tripped},
    }
    stage.speak()
    found = await rows(stage)
    wanted = (ARREARS, FINE, HELD_ON, HELD_OFF, ALARM_2)
    shown = [found[n]["control"] for n in wanted]
    assert shown == ["closing", "opening", "hold_on", "force_off", "prepaid"]


async def told(answer: ClientResponse) -> dict[str, Any]:
    """The next message of a stream."""
    while True:
        line = (await answer.content.readline()).decode().strip()
        if line.startswith("data: "):
            said: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return said
        assert line or not answer.content.at_eof(), "the stream has ended"


async def test_the_stream_tells_all_then_what_changes(stage: Stage) -> None:
    async with stage.browser.get("/wall/live") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        first = await told(answer)
        assert (first["full"], len(first["rows"])) == (True, 40)
        named = [dict(zip(first["names"], values, strict=True)) for values in first["rows"]]
        assert named == await rows(stage)
        stage.field.changed = {FINE: {"power_w": 777}}
        for n in range(40):  # only one meter is seen to change: the others keep their stamps
            if n != FINE:
                stage.field.changed[n] = {"at_ms": stage.clock.ms - 1_000 - n % 3 * 1_000}
        stage.speak()
        said = await told(answer)
        assert said["full"] is False
        assert said["rows"] == [{"id": stage.made.point_ids[FINE], "w": 777}]


async def test_rounds_are_shared_and_stop_when_nobody_looks(stage: Stage) -> None:
    services = stage.services
    feed = WallFeed(services.database, services.board, services.now_ms, period_s=0.05)
    async with aclosing(feed.listen()) as one, aclosing(feed.listen()) as other:
        assert await anext(one) == await anext(other)
        stage.field.changed = {FINE: {"power_w": 1}}
        stage.speak()
        said = [await anext(one), await anext(one)]
        assert [await anext(other), await anext(other)] == said
        assert [task.get_name() for task in asyncio.all_tasks()].count("wall") == 1
    assert [task.get_name() for task in asyncio.all_tasks()].count("wall") == 0
    async with aclosing(feed.listen()) as again:
        assert json.loads(await anext(again))["full"] is True


async def test_who_listens_is_let_go_when_the_office_closes(stage: Stage) -> None:
    assert stage.browser.app is not None
    feed = stage.browser.app[FEED]
    listening = feed.listen()
    await anext(listening)
    await feed.close()
    async with asyncio.timeout(5):
        assert [said async for said in listening] == []


async def test_a_stream_ends_with_its_session(stage: Stage) -> None:
    assert stage.browser.app is not None
    async with stage.browser.get("/wall/live") as answer:
        await told(answer)
        stage.clock.ms += 3 * 60 * MINUTE_MS
        stage.field.speak(stage.clock.ms)
        async with asyncio.timeout(10):
            while not answer.content.at_eof():
                await answer.content.readline()


async def test_the_page_carries_words_in_both_languages(stage: Stage) -> None:
    assert "电表状态" in await stage.text("/wall")
    english = await stage.text("/wall?lang=en")
    assert "Balance" in english
    assert "剩余金额" not in english


async def test_strangers_do_not_see_the_wall(stage: Stage) -> None:
    await stage.browser.sign_in_as(None)
    for path in ("/wall", "/wall/rows", "/wall/live"):
        answer = await stage.browser.get(path, allow_redirects=False)
        assert answer.status == 303
    await stage.browser.sign_in_as(Role.auditor)
    assert (await stage.browser.get("/wall")).status == 200
