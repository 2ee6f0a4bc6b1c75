"""The picture as it is told."""

import pytest

from domain.supply import Relay, State
from domain.wire.intents import digest
from domain.wire.messages import decode_live
from edge.live import available_ticks, intents_digest, live, live_points
from tests.edge.playbook import PROMPT, Playbook, place


@pytest.mark.clause("live-1")
def test_what_is_not_known_is_null() -> None:
    book = Playbook(place(1), place(2, purse_id=None))
    (first, second) = live_points(book.picture)
    assert (first.at_ms, first.total_wh, first.power_w, first.available_ticks) == (None,) * 4
    assert (first.relay, first.supply, first.alarms) == (Relay.unknown, State.unknown, ())
    assert (first.version, first.count, second.available_ticks) == (None, None, None)


def test_a_point_is_told_as_it_stands_now_with_what_is_not_charged_yet() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.burn("p1", 10)
    (point,) = live_points(book.picture)
    assert point.available_ticks == 5_000 * 100_000 - 10 * 500_000
    assert available_ticks(book.picture, "purse1") == point.available_ticks
    assert book.charged_ticks() == 0
    assert (point.at_ms, point.total_wh, point.power_w, point.pf_pct) == (
        book.at_ms,
        100_010,
        100,
        99,
    )
    assert (point.relay, point.supply) == (Relay.closed, State.on)
    assert (point.version, point.count) == (1, 1)


def test_changes_are_told_once_and_everything_on_request() -> None:
    book = Playbook(place(1), place(2), place(3, purse_id="purse1"))
    book.open_room("p1")
    book.open_room("p2")
    cycle = book.picture.cycle
    assert live(book.picture, since_cycle=cycle) is None
    book.wait(1_000).poll("p2", 100_000)
    told = live(book.picture, since_cycle=cycle)
    assert told is not None
    assert [p.point_id for p in told.points] == ["p2"]
    assert (told.full, told.cycle) == (False, book.picture.cycle)
    cycle = book.picture.cycle
    book.credit("purse1", 6_000, count=2)
    told = live(book.picture, since_cycle=cycle)
    assert told is not None
    assert [p.point_id for p in told.points] == ["p1", "p3"], "both points of the purse"
    whole = live(book.picture, since_cycle=None)
    assert whole is not None
    assert whole.full
    assert len(whole.points) == 3
    assert decode_live(whole.encode()) == whole


def test_alarms_of_meter_purse_and_bus_are_told_with_the_point() -> None:
    book = Playbook(rules=PROMPT)
    book.open_room("p1")
    book.credit("purse1", 1, count=1)
    for _ in range(62):
        book.wait(1_000).turn()
    (point,) = live_points(book.picture, since_cycle=book.picture.cycle - 5)
    assert point.alarms == ("credit_refused", "lost_bus")


def test_after_a_restart_the_last_known_is_told_as_of_when_it_was() -> None:
    book = Playbook()
    book.open_room("p1")
    seen_ms = book.memory().seen.stamp.at_ms
    book.restart(off_ms=3_600_000)
    (point,) = live_points(book.picture)
    assert point.at_ms is not None
    assert point.at_ms <= seen_ms
    assert (point.total_wh, point.power_w, point.supply) == (100_000, None, State.on)


@pytest.mark.clause("intents-3")
def test_the_digest_covers_every_intent_answered() -> None:
    book = Playbook()
    assert intents_digest(book.picture) == digest(
        {
            ("calendar", "site"): 1,
            ("policy", "dorm"): 1,
            ("tariff", "dorm"): 1,
            ("installation", "gw-1"): 1,
        }
    )
