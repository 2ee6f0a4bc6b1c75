"""The board of the picture now: order, freshness on any clock, rounds for those who watch."""

import asyncio
from typing import Any

import pytest

from central.metering.live import LiveBoard, LiveState, WallState, count_states, wall_state
from domain.credit import Thresholds
from domain.supply import Relay, State
from domain.wire.messages import Live, LivePoint, Pulse

NOW = 1_795_305_600_000
THRESHOLDS = Thresholds(alarm_1_fen=2_000, alarm_2_fen=500)
TICKS = 100_000  # per fen


def shown(point_id: str, at_ms: int | None, /, **changed: Any) -> LivePoint:
    usual: dict[str, Any] = {
        "total_wh": 1_000,
        "power_w": 120,
        "pf_pct": 98,
        "available_ticks": 5_000 * TICKS,
        "relay": Relay.closed,
        "supply": State.on,
        "alarms": (),
        "version": 3,
        "count": 1,
    }
    return LivePoint(point_id=point_id, at_ms=at_ms, **(usual | changed))


def picture(*points: LivePoint, boot: int = 1, cycle: int = 1, full: bool = False) -> Live:
    return Live(boot=boot, cycle=cycle, full=full, points=points)


def beat(**changed: Any) -> Pulse:
    usual: dict[str, Any] = {
        "journal_id": "j1",
        "head_seq": 10,
        "held_seq": 10,
        "boot": 1,
        "trust": 3,
        "at_ms": NOW,
        "intents_digest": "0" * 64,
        "software": "0.1.0",
        "profile": 1,
        "disk_free_mib": 100,
    }
    return Pulse(**(usual | changed))


def of(board: LiveBoard, point_id: str) -> LiveState:
    state = board.point(point_id)
    assert state is not None
    return state


@pytest.mark.clause("live-3")
def test_the_newest_picture_of_a_gateway_wins() -> None:
    board = LiveBoard()
    assert board.take("g1", picture(shown("a", NOW, power_w=1), cycle=5), NOW)
    assert board.take("g1", picture(shown("a", NOW, power_w=2), cycle=6), NOW)
    assert not board.take("g1", picture(shown("a", NOW, power_w=9), cycle=5), NOW)
    assert not board.take("g1", picture(shown("a", NOW, power_w=9), cycle=6), NOW)
    assert of(board, "a").point.power_w == 2
    assert board.take("g1", picture(shown("a", NOW, power_w=3), boot=2, cycle=1), NOW)
    assert not board.take("g1", picture(shown("a", NOW, power_w=9), boot=1, cycle=99), NOW)
    assert board.take("g2", picture(shown("b", NOW), boot=1, cycle=1), NOW)
    assert of(board, "a").point.power_w == 3


def test_a_full_picture_replaces_what_the_gateway_showed() -> None:
    board = LiveBoard()
    board.take("g1", picture(shown("a", NOW), shown("b", NOW), full=True), NOW)
    board.take("g2", picture(shown("c", NOW)), NOW)
    before = board.change
    board.take("g1", picture(shown("b", NOW), cycle=2, full=True), NOW)
    assert set(board.points()) == {"b", "c"}
    assert board.changed_since(before) == {"a", "b"}


def test_a_point_moves_to_another_gateway_and_the_old_one_does_not_take_it_away() -> None:
    board = LiveBoard()
    board.take("g1", picture(shown("a", NOW), full=True), NOW)
    board.take("g2", picture(shown("a", NOW, power_w=7), full=True), NOW)
    board.take("g1", picture(cycle=2, full=True), NOW)
    assert (of(board, "a").gateway_id, of(board, "a").point.power_w) == ("g2", 7)


def test_a_new_journal_begins_its_boots_again() -> None:
    board = LiveBoard()
    board.pulse("g1", beat(boot=40), NOW)
    board.take("g1", picture(shown("a", NOW, power_w=1), boot=40, cycle=9), NOW)
    assert not board.take("g1", picture(shown("a", NOW, power_w=2), boot=1), NOW)
    assert board.pulse("g1", beat(journal_id="j2", boot=1, head_seq=1), NOW)
    assert board.take("g1", picture(shown("a", NOW, power_w=2), boot=1), NOW)


@pytest.mark.clause("pulse-3")
def test_an_old_pulse_has_no_effect() -> None:
    board = LiveBoard()
    board.pulse("g1", beat(boot=2, head_seq=50), NOW)
    assert not board.pulse("g1", beat(boot=2, head_seq=49), NOW + 90_000)
    assert not board.pulse("g1", beat(boot=1, head_seq=90), NOW + 90_000)
    gateway = board.gateway("g1")
    assert gateway is not None
    assert not gateway.online(NOW + 60_001)
    assert gateway.online(NOW + 60_000)


@pytest.mark.clause("pulse-3")
def test_the_will_is_only_a_hint() -> None:
    board = LiveBoard()
    board.gone("g1")
    board.pulse("g1", beat(), NOW)
    board.gone("g1")
    gateway = board.gateway("g1")
    assert gateway is not None
    assert gateway.gone
    assert gateway.online(NOW + 1)


@pytest.mark.parametrize(
    "clock_ms", [0, -86_400_000 * 365, 7_200_000], ids=["true", "slow", "fast"]
)
def test_freshness_does_not_trust_the_gateways_clock(clock_ms: int) -> None:
    board = LiveBoard()
    there = NOW + clock_ms  # what the gateway takes for now
    board.take("g1", picture(shown("a", there), shown("b", there - 500), full=True), NOW)
    assert of(board, "a").age_ms(NOW) == 0
    assert of(board, "b").age_ms(NOW) == 500
    board.take("g1", picture(shown("b", there + 8_000), cycle=2), NOW + 8_000)
    # the meter of `a` is dumb from here on: full pictures still carry it, with its old stamp
    for n in range(3, 6):
        later = 10_000 * n
        points = (shown("a", there), shown("b", there + later))
        board.take("g1", picture(*points, cycle=n, full=True), NOW + later)
    assert of(board, "a").age_ms(NOW + 50_000) == 50_000
    assert of(board, "b").fresh(NOW + 50_000)
    assert not of(board, "b").fresh(NOW + 60_001)


def test_a_meter_that_was_dumb_before_the_centre_started_is_old_by_the_gateways_clock() -> None:
    board = LiveBoard()
    there = NOW - 3_600_000
    board.pulse("g1", beat(at_ms=there), NOW)
    board.take("g1", picture(shown("a", there - 600_000), full=True), NOW + 1_000)
    assert of(board, "a").age_ms(NOW + 1_000) == 601_000


def test_a_clock_that_is_set_does_not_age_a_meter_that_answers() -> None:
    board = LiveBoard()
    board.pulse("g1", beat(), NOW)
    board.take("g1", picture(shown("a", NOW)), NOW)
    for jump in (-7_200_000, 7_200_000):
        cycle = 2 if jump < 0 else 3
        board.take("g1", picture(shown("a", NOW + jump), cycle=cycle), NOW + 1_000 * cycle)
        assert of(board, "a").age_ms(NOW + 1_000 * cycle) == 0


def test_a_point_that_was_never_read_is_not_live() -> None:
    board = LiveBoard()
    board.take("g1", picture(shown("a", None, total_wh=None)), NOW)
    assert of(board, "a").age_ms(NOW) is None
    assert not of(board, "a").fresh(NOW)


def test_health_counts_what_is_live_online_and_waiting() -> None:
    board = LiveBoard()
    board.pulse("g1", beat(head_seq=25), NOW)
    board.pulse("g2", beat(journal_id="j2", head_seq=7), NOW - 61_000)
    board.take("g1", picture(shown("a", NOW), shown("b", NOW - 11_000), shown("x", NOW)), NOW)
    health = board.health(NOW, points={"a", "b", "c"}, held={"j1": 20, "j2": 9})
    assert (health.meters_total, health.meters_live) == (3, 1)
    assert (health.gateways_online, health.backlog_facts) == (1, 5)
    assert board.health(NOW, points={"a"}, held={}).backlog_facts == 32
    board.reachable = False  # the centre has no broker: it hears nobody
    assert board.health(NOW, points={"a"}, held={}).gateways_online == 0


def test_a_forgotten_gateway_shows_nothing() -> None:
    board = LiveBoard()
    board.pulse("g1", beat(), NOW)
    board.take("g1", picture(shown("a", NOW)), NOW)
    board.forget("g1")
    assert (board.point("a"), board.gateway("g1")) == (None, None)


@pytest.mark.parametrize(
    ("available", "opened", "age_ms", "expected"),
    [
        (5_000 * TICKS, True, 0, WallState.ok),
        (2_000 * TICKS, True, 0, WallState.alarm_1),
        (500 * TICKS, True, 0, WallState.alarm_2),
        (0, True, 0, WallState.arrears),
        (-TICKS, True, 0, WallState.arrears),
        (-TICKS, False, 0, WallState.not_opened),
        (-TICKS, False, 60_001, WallState.lost),
        (5_000 * TICKS, True, 60_001, WallState.lost),
        (5_000 * TICKS, True, 60_000, WallState.ok),
        (None, True, 0, WallState.alarm_2),
    ],
)
def test_the_wall_shows_the_first_state_that_holds(
    available: int | None, opened: bool, age_ms: int, expected: WallState
) -> None:
    board = LiveBoard()
    board.take("g1", picture(shown("a", NOW, available_ticks=available)), NOW)
    state = wall_state(
        board.point("a"),
        opened=opened,
        booked_ticks=300 * TICKS,
        thresholds=THRESHOLDS,
        now_ms=NOW + age_ms,
    )
    assert state is expected


def test_a_point_nobody_shows_is_lost_and_counts_name_every_state() -> None:
    lost = wall_state(None, opened=True, booked_ticks=0, thresholds=THRESHOLDS, now_ms=NOW)
    assert lost is WallState.lost
    counts = count_states([lost, WallState.ok, WallState.ok])
    assert list(counts) == list(WallState)
    assert (counts[WallState.lost], counts[WallState.ok], counts[WallState.arrears]) == (1, 2, 0)


async def test_watchers_get_one_coalesced_round_each() -> None:
    board = LiveBoard()
    rounds = [board.subscribe(since=0, period_s=0.0) for _ in range(50)]
    board.take("g1", picture(shown("a", NOW), shown("b", NOW)), NOW)
    board.take("g1", picture(shown("b", NOW), shown("c", NOW), cycle=2), NOW)
    first = await asyncio.gather(*(anext(each) for each in rounds))
    assert first == [frozenset("abc")] * 50
    waiting = [asyncio.ensure_future(anext(each)) for each in rounds]
    await asyncio.sleep(0.02)
    assert not any(each.done() for each in waiting)
    board.take("g1", picture(shown("a", NOW), cycle=3), NOW)
    assert await asyncio.gather(*waiting) == [frozenset("a")] * 50
    for each in rounds:
        await each.aclose()


async def test_a_watcher_is_not_called_more_often_than_once_a_period() -> None:
    board = LiveBoard()
    rounds = board.subscribe(since=0, period_s=0.2)
    board.take("g1", picture(shown("a", NOW)), NOW)
    assert await anext(rounds) == {"a"}
    began = asyncio.get_running_loop().time()
    board.take("g1", picture(shown("b", NOW), cycle=2), NOW)
    assert await anext(rounds) == {"b"}
    assert asyncio.get_running_loop().time() - began >= 0.19
    await rounds.aclose()


async def test_an_idle_board_still_gives_rounds() -> None:
    rounds = LiveBoard().subscribe(period_s=0.0, idle_s=0.01)
    assert await anext(rounds) == frozenset()
    await rounds.aclose()
