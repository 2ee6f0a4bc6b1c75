"""Which readings are believed, what they cost, and when that is written down."""

import os
import random
from itertools import pairwise
from typing import Any

import pytest

from domain.instants import DAY_MS, HOUR_MS, MINUTE_MS, Trust
from domain.supply import State
from domain.wire.envelope import ENVELOPE_MAX, Sealer
from domain.wire.facts import FACT_TEXT_MAX, canonical, encode_batch
from domain.wire.intents import TariffBody
from domain.wire.topics import Kind, Topics
from edge.events import BusHealth, ClockStepped, PointHealth, PortBack, PortLost
from edge.live import live_points
from edge.picture import Rules
from tests.edge.playbook import FLAT, GATEWAY, PEAK_AT_NOON, PROMPT, Playbook, at, place

PRICE = 500_000  # ticks a Wh of the flat tariff
TIERS = {
    **FLAT,
    "price_e4": [[500_000, 700_000]],
    "steps_wh": [1_000],
}


def test_the_first_sight_of_a_meter_opens_its_account_at_what_it_shows() -> None:
    book = Playbook()
    book.expect("journal_opened", reason="first", seq=1, software="test")
    book.poll("p1", 123_450)
    book.expect(
        "meter_seen",
        point_id="p1",
        meter_id="000000000001",
        reason="first",
        last_total_wh=None,
        opening_wh=123_450,
        profile="ddsy1352-nk",
    )
    book.expect("readings", purpose="opening", total_wh=[123_450], register_wh=[123_450])
    book.wait(3_500).poll("p1", 123_450)
    book.expect_no("charges", "meter_seen")
    assert book.picture.purses == {}


@pytest.mark.clause("facts-10")
def test_polls_between_are_not_written_and_the_interval_is_charged_when_it_ends() -> None:
    book = Playbook()
    book.open_room()
    for _ in range(20):
        book.burn("p1", 10)
    book.expect_silence()
    book.until(at(8, 29, 58)).poll("p1", 100_200)
    book.wait(2_000).turn()
    readings = book.expect("readings", purpose="interval", total_wh=[100_200])
    charges = book.expect(
        "charges",
        from_wh=[100_000],
        to_wh=[100_200],
        ticks=[200 * PRICE],
        charged_ticks=[200 * PRICE],
        to_ms=[at(8, 29, 58)],
        tariff_version=[1],
    )
    assert readings["at_ms"] == at(8, 30)
    assert charges["parts"] == [
        [{"rate": 3, "tier": 0, "wh": 200, "price_e4": PRICE, "estimated": False}]
    ]
    book.wait(3_500).poll("p1", 100_200)
    book.expect_silence()


def test_all_fresh_points_close_in_one_fact_and_the_late_one_at_its_next_poll() -> None:
    book = Playbook(place(1), place(2), place(3))
    for n in (1, 2, 3):
        book.open_room(f"p{n}")
    book.until(at(8, 29, 20)).poll("p3", 100_010)
    book.until(at(8, 29, 57)).poll("p1", 100_010)
    book.wait(1_000).poll("p2", 100_000)
    book.until(at(8, 30)).turn()
    book.expect("readings", purpose="interval", point_id=["p1", "p2"])
    book.expect("charges", point_id=["p1"])  # nothing was used at p2
    book.expect_silence()
    book.wait(1_000).poll("p3", 100_010)
    book.expect("readings", purpose="interval", point_id=["p3"])
    book.expect("charges", point_id=["p3"])
    book.expect_silence()


def test_an_interval_without_a_reading_is_named_when_there_is_one_again() -> None:
    book = Playbook()
    book.open_room()
    for _ in range(100):
        book.wait(MINUTE_MS).turn()  # until 09:45; the intervals to 8:30, 9:00, 9:30 end unread
    book.unheard.clear()
    book.poll("p1", 100_500)
    book.expect("interval_missing", point_id="p1", from_ms=at(8), to_ms=at(9), reason="no_answer")
    book.expect("charges", from_wh=[100_000], to_wh=[100_500])


@pytest.mark.clause("facts-10")
def test_a_price_boundary_is_closed_soon_after_it_in_one_fact() -> None:
    book = Playbook(place(1), place(2), tariff=PEAK_AT_NOON, start_ms=at(11, 40))
    for n in (1, 2):
        book.open_room(f"p{n}")
    book.until(at(11, 59, 57)).poll("p1", 100_300)
    book.wait(1_000).poll("p2", 100_100)
    book.until(at(12)).turn()
    book.expect("readings", purpose="interval")
    morning = book.expect("charges", point_id=["p1", "p2"])
    assert [part["price_e4"] for row in morning["parts"] for part in row] == [300_000, 300_000]
    book.wait(1_000).poll("p1", 100_304)
    book.expect_silence()  # p2 has not been read beyond it yet
    book.wait(500).poll("p2", 100_100)
    book.expect("readings", purpose="boundary", point_id=["p1", "p2"])
    row = book.expect("charges", point_id=["p1"])
    assert row["parts"] == [
        [
            {"rate": 4, "tier": 0, "wh": 3, "price_e4": 300_000, "estimated": True},
            {"rate": 2, "tier": 0, "wh": 1, "price_e4": 900_000, "estimated": True},
        ]
    ]
    book.wait(3_500).poll("p1", 100_310)
    book.expect_silence()
    assert book.picture.points["p1"].provisional_ticks == 6 * 900_000


def test_a_boundary_does_not_wait_for_a_silent_meter() -> None:
    book = Playbook(place(1), place(2), tariff=PEAK_AT_NOON, start_ms=at(11, 40))
    for n in (1, 2):
        book.open_room(f"p{n}")
    for n in (1, 2):
        book.until(at(11, 59, 57 + n)).poll(f"p{n}", 100_000)
    book.until(at(12)).turn()
    book.unheard.clear()
    for _ in range(3):
        book.wait(3_500).poll("p1", 100_000)
    book.expect_silence()
    book.wait(3_500).poll("p1", 100_000)
    book.expect("readings", purpose="boundary", point_id=["p1"])


def test_tiers_split_at_the_step_and_go_on_over_a_swap() -> None:
    book = Playbook(tariff=TIERS)
    book.open_room(fen=99_000)
    book.burn("p1", 900)
    book.install(place(1, meter_id="777"))
    book.expect("readings", purpose="final")
    book.expect("charges", ticks=[900 * 500_000])
    book.poll("p1", 5_000)
    book.expect("meter_seen", reason="swap", last_total_wh=100_900, opening_wh=5_000)
    book.expect("readings", purpose="opening", meter_id=["777"])
    book.burn("p1", 300)
    book.until(at(8, 30)).poll("p1", 5_300)
    split = book.expect("charges", meter_id=["777"], from_wh=[5_000], to_wh=[5_300])
    assert [(part["tier"], part["wh"]) for part in split["parts"][0]] == [(0, 100), (1, 200)]


def test_a_reset_register_begins_a_new_incarnation() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 50)
    book.install(place(1, incarnation=1))
    book.expect("charges", to_wh=[100_050], incarnation=[0])
    book.poll("p1", 0)
    book.expect("meter_seen", reason="reset", incarnation=1, last_total_wh=100_050, opening_wh=0)


def test_a_rollover_goes_on_counting() -> None:
    book = Playbook()
    book.open_room(wh=999_999_900)
    book.wait(MINUTE_MS).poll("p1", 50)
    assert book.memory().seen.total_wh == 1_000_000_050
    book.until(at(8, 30)).poll("p1", 50)
    book.expect("readings", register_wh=[50], total_wh=[1_000_000_050])
    book.expect("charges", from_wh=[999_999_900], to_wh=[1_000_000_050], ticks=[150 * PRICE])


@pytest.mark.parametrize(
    ("register", "why"),
    [(100_500, "too_fast"), (99_000, "backwards"), (2_000_000_000, "out_of_range")],
)
def test_a_suspect_reading_is_shown_and_never_charged(register: int, why: str) -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.wait(1_000).poll("p1", register)
    shown = book.expect("readings", quality=[f"suspect:{why}"], register_wh=[register])
    assert (shown["purpose"], shown["total_wh"]) == ("evidence", [100_000]), "the last believed"
    raised = book.expect("alarm_raised", code=f"suspect_{why}", subject_id="p1")
    assert str(register) in raised["detail"]
    for _ in range(3):
        book.wait(3_500).poll("p1", register)
    book.expect_silence()  # said once
    assert book.picture.points["p1"].provisional_ticks == 0
    book.until(at(8, 30)).turn()
    book.expect_no("charges")
    assert book.memory().state is State.on
    book.wait(MINUTE_MS).poll("p1", 100_010)
    book.expect("alarm_cleared", code=f"suspect_{why}")
    book.expect("charges", from_wh=[100_000], to_wh=[100_010])


def test_a_jump_is_not_believed_for_having_been_there_a_long_time() -> None:
    book = Playbook()
    book.open_room()
    book.wait(1_000).poll("p1", 101_000)
    book.wait(6 * HOUR_MS).poll("p1", 101_000)  # slow enough by now, and no better for it
    assert book.codes() >= {"suspect_too_fast"}
    book.restart()
    book.poll("p1", 101_010)
    assert book.codes() >= {"suspect_too_fast"}
    book.poll("p1", 100_020)
    assert "suspect_too_fast" not in book.codes()
    book.restart()
    book.wait(6 * HOUR_MS).poll("p1", 101_020)
    assert "suspect_too_fast" not in book.codes(), "what is over is forgotten"


def test_of_several_jumps_the_smallest_counts() -> None:
    book = Playbook()
    book.open_room()
    book.wait(1_000).poll("p1", 150_000)
    book.wait(1_000).poll("p1", 101_000)  # another slip, and then it stays there
    book.wait(6 * HOUR_MS).poll("p1", 101_020)
    assert book.codes() >= {"suspect_too_fast"}
    assert book.memory().seen.total_wh == 100_000
    book.poll("p1", 100_900)
    assert "suspect_too_fast" not in book.codes()


def test_a_slip_below_does_not_turn_into_a_rollover_by_waiting() -> None:
    book = Playbook()
    book.open_room(wh=999_998_000)
    book.wait(1_000).poll("p1", 500)  # 2.5 kWh on, over the end, in a second
    assert book.codes() >= {"suspect_backwards"}
    book.wait(6 * HOUR_MS).poll("p1", 510)
    assert book.memory().seen.total_wh == 999_998_000
    book.poll("p1", 999_998_900)
    assert not {code for code in book.codes() if code.startswith("suspect")}


def test_staff_end_a_suspicion_by_a_new_incarnation() -> None:
    book = Playbook()
    book.open_room()
    book.wait(1_000).poll("p1", 150_000)
    book.wait(6 * HOUR_MS).poll("p1", 150_100)
    assert book.codes() >= {"suspect_too_fast"}
    book.install(place(1, incarnation=1))
    book.poll("p1", 150_100)
    book.expect("meter_seen", reason="reset", last_total_wh=100_000, opening_wh=150_100)
    assert "suspect_too_fast" not in book.codes()
    book.wait(MINUTE_MS).poll("p1", 150_110)
    assert book.picture.points["p1"].provisional_ticks == 10 * PRICE


def test_another_meter_at_the_address_stops_charging_until_it_is_installed() -> None:
    book = Playbook()
    book.open_room()
    book.identify("p1", meter_id="000000000999")
    book.expect("alarm_raised", code="suspect_other_meter")
    book.wait(3_500).poll("p1", 100_010)
    book.until(at(8, 30)).poll("p1", 100_900)
    book.expect_no("charges", "supply_decided", "readings")
    book.install(place(1, meter_id="000000000999"))
    book.expect("alarm_cleared", code="suspect_other_meter")
    book.poll("p1", 100_900)
    book.expect("meter_seen", reason="swap", last_total_wh=100_000, opening_wh=100_900)
    book.expect_no("charges")


def test_a_meter_that_counts_for_itself_is_refused_in_words() -> None:
    book = Playbook()
    book.credit("purse1", 0)
    book.identify("p1", own_prepaid_on=True)
    raised = book.expect("alarm_raised", code="own_prepaid_on", severity="critical")
    assert "费控" in raised["detail"]
    assert "own prepaid control" in raised["detail"]
    for n in range(4):
        book.wait(3_500).poll("p1", 100_000 + n)
    book.expect_no("meter_seen", "readings", "charges", "supply_decided")
    assert book.switches == []
    book.identify("p1", own_prepaid_on=False)
    book.expect("alarm_cleared", code="own_prepaid_on")
    book.poll("p1", 100_010)
    book.expect("meter_seen", opening_wh=100_010)


def test_a_meter_that_nobody_has_identified_is_not_in_service() -> None:
    book = Playbook()
    book.turn(book.polled("p1", 100_000))
    book.expect_no("meter_seen", "readings")


def test_current_transformers_multiply_what_the_meter_counts() -> None:
    book = Playbook(place(1, ct=20))
    book.credit("purse1", 50_000)
    book.poll("p1", 1_000)
    book.expect("meter_seen", opening_wh=20_000)
    book.wait(MINUTE_MS).poll("p1", 1_010)
    book.until(at(8, 30)).poll("p1", 1_010)
    book.expect("charges", from_wh=[20_000], to_wh=[20_200], ticks=[200 * PRICE])


# --- accounts ----------------------------------------------------------------------------------


def test_what_is_used_before_an_account_is_opened_is_charged_to_nobody() -> None:
    book = Playbook(place(1, purse_id=None))
    book.poll("p1", 100_000)
    book.burn("p1", 500)
    book.install(place(1, purse_id="new"))
    book.expect_no("charges")
    opening = [f for f in book.unheard if f.get("purpose") == "opening"][-1]
    assert opening["total_wh"] == [100_500]
    assert book.rebuilt == book.rebuilt[:1], "the buses were not disturbed"
    book.credit("new", 5_000)
    book.burn("p1", 100)
    book.until(at(8, 30)).poll("p1", 100_600)
    book.expect("charges", purse_id=["new"], from_wh=[100_500], to_wh=[100_600])


def test_a_room_that_changes_hands_closes_the_old_account_first() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 100)
    book.install(place(1, purse_id="next"))
    book.expect("readings", purpose="final")
    book.expect("charges", purse_id=["purse1"], to_wh=[100_100])
    book.credit("next", 5_000)
    book.burn("p1", 10)
    book.until(at(8, 30)).poll("p1", 100_110)
    book.expect("charges", purse_id=["next"], from_wh=[100_100], to_wh=[100_110])


def test_without_a_tariff_nothing_is_charged_until_it_comes() -> None:
    book = Playbook(place(1, tariff_id="later"))
    book.open_room()
    book.burn("p1", 100)
    book.until(at(8, 30)).poll("p1", 100_100)
    book.expect("readings", purpose="interval")
    book.expect_no("charges")
    book.intend(TariffBody.model_validate(FLAT), "later")
    assert book.picture.points["p1"].provisional_ticks == 100 * PRICE
    book.until(at(9)).poll("p1", 100_100)
    book.expect("charges", from_wh=[100_000], to_wh=[100_100])


def test_staff_can_ask_for_a_reading_to_be_kept() -> None:
    book = Playbook()
    book.open_room()
    book.supply("p1", read_now_n=1)
    assert book.reads == ["p1"]
    book.wait(300).poll("p1", 100_004)
    book.expect("readings", purpose="evidence", total_wh=[100_004])
    book.expect("charges", to_wh=[100_004])
    book.unheard.clear()
    book.supply("p1", read_now_n=1)
    book.wait(300).poll("p1", 100_004)
    book.expect_no("readings")


# --- the hour ----------------------------------------------------------------------------------


@pytest.mark.clause("numbers-5", "numbers-7")
def test_while_the_hour_is_unknown_energy_waits_and_is_charged_by_its_true_time() -> None:
    book = Playbook(tariff=PEAK_AT_NOON, trust=Trust.unknown, start_ms=at(2))
    book.open_room(fen=90_000)
    opened_mono_ms = book.memory().charged.stamp.mono_ms
    book.wait(10 * MINUTE_MS).poll("p1", 100_400)
    book.until(at(2, 40)).poll("p1", 100_400)
    book.expect_no("charges")
    assert book.picture.points["p1"].provisional_ticks == 400 * 300_000, "the cheapest price"
    was_ms, book.at_ms, book.trust = book.at_ms, at(13), Trust.synchronised
    book.turn(ClockStepped("ntp", was_ms, 0))
    book.expect("clock_set", source="ntp", before_ms=was_ms, trust_before=0, at_ms=at(13))
    charges = book.expect("charges", from_wh=[100_000], to_wh=[100_400], to_ms=[at(13)])
    true_from_ms = at(13) - (book.mono_ms - opened_mono_ms)
    assert charges["from_ms"] == [true_from_ms]
    assert {part["rate"] for part in charges["parts"][0]} == {2}, "it was after noon all the time"


EIGHT_SLOTS = {
    **FLAT,
    "rates": [2, 4],
    "day_types": {"workday": [(180 * n, 2 if n % 2 else 4) for n in range(8)]},
    "price_e4": [[900_000], [300_000]],
}


def sealed_bytes(fact: dict[str, Any]) -> int:
    """What an envelope with this fact alone weighs."""
    text = canonical(fact)
    data = encode_batch(journal_id="j", first_seq=1, chain_before="0" * 32, texts=[text])
    sealer = Sealer(bytes(32), 1, "up", os.urandom)
    return len(sealer.seal(Kind.facts, Topics("c", "g").facts, data))


def test_a_month_that_could_not_be_charged_is_charged_in_facts_that_can_be_sent() -> None:
    points = [f"p{n}" for n in range(1, 121)]
    book = Playbook(*(place(n) for n in range(1, 121)), tariff=EIGHT_SLOTS, trust=Trust.unknown)
    for point_id in points:
        book.poll(point_id, 100_000)
    for _ in range(30):
        book.wait(DAY_MS)
        for point_id in points:
            book.turn(book.polled(point_id, book.registers[point_id] + 20_000))
    book.expect_no("charges")
    book.trust = Trust.synchronised
    shown = sum(point.provisional_ticks for point in book.picture.points.values())
    book.turn()
    book.turn(*(book.polled(point_id, 700_000) for point_id in points))
    book.until(book.at_ms - book.at_ms % (30 * MINUTE_MS) + 30 * MINUTE_MS)
    book.turn(*(book.polled(point_id, 700_000) for point_id in points))
    charges = [fact for fact in book.unheard if fact["kind"] == "charges"]
    assert sum(len(row) for fact in charges for row in fact["parts"]) > 120 * 240
    assert shown > 0
    for fact in book.kept.facts:
        assert len(canonical(fact).encode()) <= FACT_TEXT_MAX
    assert max(map(sealed_bytes, charges)) < ENVELOPE_MAX // 2
    check_books(book, opening=dict.fromkeys(points, 100_000))


def test_a_row_of_too_many_parts_is_cut_into_rows_that_join() -> None:
    book = Playbook(tariff=EIGHT_SLOTS)
    book.open_room(fen=99_000)
    book.wait(180 * DAY_MS).poll("p1", 400_000)
    book.wait(30 * MINUTE_MS).poll("p1", 400_000)
    rows = [
        (fact["from_wh"][n], fact["to_wh"][n], fact["from_ms"][n], fact["to_ms"][n], parts)
        for fact in book.unheard
        if fact["kind"] == "charges"
        for n, parts in enumerate(fact["parts"])
    ]
    assert len(rows) >= 4
    assert max(len(row[4]) for row in rows) <= 400
    for before, after in pairwise(rows):
        assert (before[1], before[3]) == (after[0], after[2]), "one row joins the next"
    check_books(book, opening={"p1": 100_000})


@pytest.mark.clause("numbers-7")
def test_a_room_is_not_cut_by_a_price_that_is_only_guessed() -> None:
    book = Playbook(tariff=PEAK_AT_NOON, trust=Trust.unknown, start_ms=at(13))
    book.open_room(fen=900)  # 100 Wh at the peak, 300 Wh in the valley
    book.burn("p1", 250)
    for _ in range(3):
        book.wait(3_500).poll("p1", 100_250)
    assert book.memory().state is not State.tripped
    book.burn("p1", 60)
    book.wait(300).poll("p1", 100_310)
    book.wait(300).poll("p1", 100_310)
    assert book.memory().state is State.tripped, "at any price it is used up"
    assert book.charged_ticks() == 0


def test_a_flat_price_is_charged_without_knowing_the_hour() -> None:
    book = Playbook(trust=Trust.unknown)
    book.open_room()
    book.burn("p1", 100)
    book.until(at(8, 30)).poll("p1", 100_100)
    book.expect("charges", ticks=[100 * PRICE])


def test_over_a_restart_energy_goes_on_from_where_it_was_charged_to() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 100)
    book.restart(off_ms=5 * MINUTE_MS)
    book.poll("p1", 100_250)
    assert book.picture.points["p1"].provisional_ticks == 250 * PRICE
    book.until(at(8, 30)).poll("p1", 100_250)
    book.expect("charges", from_wh=[100_000], to_wh=[100_250])


# --- silence -----------------------------------------------------------------------------------


def silent(book: Playbook, seconds: int) -> None:
    for _ in range(seconds):
        book.wait(1_000).turn()


def test_a_meter_silent_for_a_minute_is_lost_and_nothing_is_cut() -> None:
    book = Playbook(place(1), place(2), rules=PROMPT)
    book.open_room("p1")
    book.open_room("p2")
    for _ in range(14):
        book.wait(5_000).poll("p2", 100_000)
    lost = book.expect("alarm_raised", code="lost_meter", subject_id="p1", severity="warning")
    book.expect_silence()
    book.poll("p1", 100_000)
    book.expect("alarm_cleared", code="lost_meter", alarm_id=lost["alarm_id"])
    book.expect_no("supply_decided", "meter_seen")


def test_a_dead_bus_is_one_alarm() -> None:
    book = Playbook(place(1), place(2), place(3), place(4, bus_id="bus-2", address=1), rules=PROMPT)
    for n in (1, 2, 3, 4):
        book.open_room(f"p{n}")
    for _ in range(100):
        book.wait(1_000).poll("p4", 100_000)
    book.expect("alarm_raised", code="lost_bus", subject_id="bus-1", severity="critical")
    book.expect_silence()
    assert all("lost_bus" in point.alarms for point in live_points(book.picture)[:3])
    book.poll("p1", 100_000)
    book.expect("alarm_cleared", code="lost_bus")
    book.expect_silence()  # the others get their minute
    for _ in range(70):
        book.wait(1_000).poll("p1", 100_000)
        book.poll("p4", 100_000)
    assert [f["subject_id"] for f in book.unheard if f["kind"] == "alarm_raised"] == ["p2", "p3"]


def test_a_lost_port_is_one_alarm_and_its_meters_get_a_minute_when_it_is_back() -> None:
    book = Playbook(place(1), place(2), rules=PROMPT)
    book.open_room("p1")
    book.open_room("p2")
    book.turn(PortLost("bus-1", "ENODEV", book.mono_ms))
    lost = book.expect("alarm_raised", code="lost_port", subject_id="bus-1", severity="critical")
    assert "ENODEV" in lost["detail"]
    silent(book, 90)
    book.expect_silence()
    book.turn(PortBack("bus-1", book.mono_ms))
    book.expect("alarm_cleared", code="lost_port")
    silent(book, 50)
    book.expect_silence()
    silent(book, 20)
    book.expect("alarm_raised", code="lost_bus")


def test_a_gateway_that_slept_takes_up_its_meters_as_it_knew_them() -> None:
    book = Playbook(rules=PROMPT)
    book.open_room("p1")
    book.wait(10 * MINUTE_MS).turn()  # the whole service stood still; its bus did not notice
    book.wait(1_000).turn(book.polled("p1", 100_050))
    book.expect("alarm_cleared", code="lost_bus")
    assert book.picture.points["p1"].provisional_ticks == 50 * PRICE


def test_a_reset_meter_stays_in_service_though_its_wiring_is_as_before() -> None:
    book = Playbook()
    book.open_room()
    book.install(place(1, incarnation=1))
    assert len(book.rebuilt) == 1, "so the bus says nothing new of who answers"
    for _ in range(2):
        book.turn(book.polled("p1", 7))
    book.expect("meter_seen", reason="reset", opening_wh=7)


def test_the_hour_of_a_bus_is_written_as_it_is() -> None:
    book = Playbook()
    book.turn(BusHealth("bus-1", (PointHealth("p1", 900, 3, 12, 40),)))
    book.expect("bus_health", bus_id="bus-1", good=[900], bad=[3], p50_ms=[12], p99_ms=[40])


# --- what the books can rely on ------------------------------------------------------------------


@pytest.mark.clause("facts-7")
@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_every_charge_row_joins_the_one_before(seed: int) -> None:
    """Days of polls, misses, restarts, intents, clock steps: rows join and sum up, per meter and
    per purse, and what is charged is what was used."""
    chance = random.Random(seed)
    book = Playbook(
        place(1, purse_id="both"),
        place(2, purse_id="both"),
        place(3),
        tariff=PEAK_AT_NOON if seed % 2 else TIERS,
        rules=Rules(gateway_id=GATEWAY, interval_ms=10 * MINUTE_MS),
        trust=Trust.unknown if seed % 4 == 3 else Trust.synchronised,
    )
    registers = {f"p{n}": 10_000 * n for n in (1, 2, 3)}
    count = 0
    for _ in range(600):
        book.wait(chance.randrange(1_000, 90_000))
        point_id = chance.choice(list(registers))
        what = chance.random()
        if what < 0.9:
            for key in registers:
                registers[key] += chance.randrange(0, 12) * (book.memory_relay(key) != "open")
            book.poll(point_id, registers[point_id])
        elif what < 0.95:
            count += 1
            asked = {f"r{count}": chance.randrange(1, 5_000)} if chance.random() < 0.5 else {}
            purse_id = chance.choice(["both", "purse3"])
            book.credit(purse_id, count * 2_000, count=count, reservations=asked)
        elif what < 0.97:
            book.restart(off_ms=chance.randrange(1_000, HOUR_MS))
        else:
            book.trust = chance.choice([Trust.unknown, Trust.synchronised])
            book.turn()
        while book.switches:
            book.relay_moves()
    check_books(book, opening={f"p{n}": 10_000 * n for n in (1, 2, 3)})
    answers = [f["reservation_id"] for f in book.kept.facts if f["kind"] == "reservation_answered"]
    assert len(set(answers)) == len(answers) > 0


def check_books(book: Playbook, *, opening: dict[str, int]) -> None:
    booked_wh = dict.fromkeys(opening) | {}
    charged: dict[str, int] = {}
    for fact in book.kept.facts:
        if fact["kind"] == "readings" and fact["purpose"] == "opening":
            booked_wh |= dict(zip(fact["point_id"], fact["total_wh"], strict=True))
        if fact["kind"] != "charges":
            continue
        for n, point_id in enumerate(fact["point_id"]):
            assert fact["from_wh"][n] == booked_wh[point_id], "a row that does not join"
            booked_wh[point_id] = fact["to_wh"][n]
            parts = fact["parts"][n]
            assert sum(part["wh"] for part in parts) == fact["to_wh"][n] - fact["from_wh"][n]
            assert sum(part["wh"] * part["price_e4"] for part in parts) == fact["ticks"][n]
            purse_id = fact["purse_id"][n]
            charged[purse_id] = charged.get(purse_id, 0) + fact["ticks"][n]
            assert fact["charged_ticks"][n] == charged[purse_id]
    assert charged, "the story must have charged something"
    for purse_id, ticks in charged.items():
        assert book.picture.purses[purse_id].purse.charged_ticks == ticks
    for point_id, point in book.picture.points.items():
        assert point.memory is not None
        assert point.memory.charged.total_wh == booked_wh[point_id]
