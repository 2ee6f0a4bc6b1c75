"""Arrears, restoration, staff's orders and relays, as conversations with the brain."""

from itertools import pairwise

import pytest

from domain.instants import MINUTE_MS
from domain.supply import Relay, State
from domain.wire.intents import PolicyBody
from edge.effects import Persist, SwitchRelay
from edge.events import RelayMoved
from edge.picture import Rules
from tests.edge.playbook import GATEWAY, PROMPT, Playbook, at, place

CLOSED, OPEN = Relay.closed, Relay.open


def run_out(book: Playbook) -> None:
    """Burn a room's 50.00 yuan to the last tick, until it is dark and read back so."""
    book.burn("p1", 1_000)
    book.wait(1_000).poll("p1", book.registers["p1"])
    book.relay_moves()
    book.wait(3_500).poll("p1", book.registers["p1"])
    assert book.memory().state is State.tripped
    book.unheard.clear()
    book.reads.clear()


@pytest.mark.clause("facts-10", "supply-1")
def test_a_room_warns_twice_trips_after_two_polls_and_is_lit_again_by_a_sale() -> None:
    book = Playbook()
    book.open_room("p1", fen=5_000)
    assert book.memory().state is State.on
    assert book.switches == [], "the relay was closed already"

    book.burn("p1", 800)  # 40.00 of 50.00 yuan: at alarm 1
    evidence = book.expect("readings", purpose="evidence", total_wh=[100_800])
    book.expect("charges", ticks=[400_000_000], charged_ticks=[400_000_000], from_wh=[100_000])
    book.expect("alarm_raised", code="alarm_1", subject_id="p1", severity="warning")
    book.expect(
        "supply_decided",
        **{"from": "on", "to": "warned"},
        reason="credit_low",
        evidence_seq=[evidence["seq"]],
        available_ticks=100_000_000,
        policy_version=1,
    )
    book.burn("p1", 100)  # 45.00: at alarm 2; the state is the same, the alarm is not
    book.expect("readings", purpose="evidence")
    first = book.expect("alarm_cleared", code="alarm_1")
    book.expect("alarm_raised", code="alarm_2")
    book.expect_no("supply_decided", "relay_result")
    assert first["alarm_id"] != ""

    book.burn("p1", 100)  # zero
    book.expect("alarm_raised", code="arrears", severity="critical")
    book.expect_no("supply_decided")
    assert book.switches == [], "one poll may be a slip"
    assert book.reads == ["p1"], "the second is asked for at once"

    effects = book.wait(300).poll("p1", 101_000)
    decided = book.expect("supply_decided", **{"from": "warned", "to": "tripped"})
    assert decided["reason"] == "credit_spent"
    assert decided["available_ticks"] == 0
    order = [type(effect) for effect in effects]
    assert order.index(Persist) < order.index(SwitchRelay), "persist, then switch"
    book.expect_switch("p1", OPEN)
    command = book.relay_moves()
    assert command.decided_seq == decided["seq"]
    book.expect("relay_result", wanted="open", seen="open", decided_seq=decided["seq"])
    book.unheard.clear()

    book.wait(3_500).poll("p1", 101_000)
    book.expect_silence()
    assert book.switches == []

    book.credit("purse1", 10_000, count=2)  # a sale of 50.00
    book.expect("credit_taken", version=2, count=2, granted_fen=10_000, source="intent")
    lit = book.expect("supply_decided", **{"from": "tripped", "to": "on"}, reason="credit_ok")
    book.expect("alarm_cleared", code="arrears")
    book.expect_switch("p1", CLOSED)
    book.relay_moves()
    book.expect("relay_result", seen="closed", decided_seq=lit["seq"])


@pytest.mark.clause("supply-1")
def test_the_balance_that_decides_is_the_balance_that_is_booked() -> None:
    book = Playbook()
    book.open_room("p1", fen=5_000)
    book.burn("p1", 801)
    decided = book.expect("supply_decided")
    booked = 5_000 * 100_000 - book.charged_ticks()
    assert decided["available_ticks"] == booked == 5_000 * 100_000 - 801 * 500_000


@pytest.mark.clause("supply-2")
def test_a_restart_moves_no_relay_and_a_sale_after_it_does() -> None:
    book = Playbook()
    book.open_room()
    run_out(book)
    book.restart()
    book.turn()
    book.poll("p1", 101_000)
    book.wait(3_500).poll("p1", 101_000)
    assert book.switches == []
    assert book.memory().state is State.tripped
    book.expect_no("supply_decided", "meter_seen", "relay_result")
    book.credit("purse1", 10_000, count=2)
    book.expect_switch("p1", CLOSED)


@pytest.mark.clause("facts-9", "supply-2")
def test_killed_between_the_commit_and_the_relay_the_reading_makes_it_good() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 1_000)
    book.wait(300).poll("p1", 101_000)
    book.expect_switch("p1", OPEN)
    book.restart()  # the command was never sent
    book.poll("p1", 101_000)
    assert book.switches == [], "one poll is not enough"
    book.wait(3_500).poll("p1", 101_000)
    book.expect_switch("p1", OPEN)
    book.expect_no("supply_decided")


@pytest.mark.clause("facts-9")
def test_killed_before_the_commit_the_room_is_decided_anew() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 1_000)
    lost = book.kept.known
    book.wait(300).poll("p1", 101_000)
    book.kept.known = lost  # the power went before the commit
    book.restart()
    book.poll("p1", 101_000)
    book.wait(300).poll("p1", 101_000)
    book.expect("supply_decided", to="tripped")
    book.expect_switch("p1", OPEN)


def test_a_meter_that_comes_back_from_a_power_cut_is_set_again() -> None:
    book = Playbook(rules=PROMPT)
    book.open_room()
    run_out(book)
    for _ in range(70):
        book.wait(1_000).turn()
    book.relays["p1"] = CLOSED  # the meter forgot its relay
    book.poll("p1", 101_000)
    book.wait(3_500).poll("p1", 101_000)
    book.expect_switch("p1", OPEN)
    book.relay_moves()
    book.expect("relay_result", wanted="open", seen="open")
    book.expect_no("supply_decided")


@pytest.mark.clause("supply-1")
def test_a_stuck_relay_is_an_alarm_and_is_tried_again_more_and_more_rarely() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 1_000)
    book.wait(300).poll("p1", 101_000)
    book.unheard.clear()
    book.relay_moves(seen=CLOSED, tries=3)
    book.expect("relay_result", wanted="open", seen="closed", tries=3)
    book.expect("alarm_raised", code="relay_mismatch", severity="critical")
    tried_at = []
    for _ in range(300):
        book.wait(3_500).poll("p1", 101_000)
        if book.switches:
            tried_at.append(book.mono_ms)
            book.relay_moves(seen=CLOSED)
    book.expect_no("relay_result")  # the same failure is written once
    gaps = [later - before for before, later in pairwise(tried_at)]
    assert len(tried_at) > 5
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 5 * MINUTE_MS
    book.relays["p1"] = OPEN  # it moved after all
    book.wait(3_500).poll("p1", 101_000)
    book.expect("alarm_cleared", code="relay_mismatch")


def test_a_command_that_gets_no_answer_is_given_up_and_sent_again() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 1_000)
    book.wait(300).poll("p1", 101_000)
    assert len(book.switches) == 1
    for _ in range(12):
        book.wait(3_500).poll("p1", 101_000)
    assert len(book.switches) == 2


def test_an_order_changed_while_the_first_is_on_its_way_ends_at_the_newest() -> None:
    book = Playbook()
    book.open_room()
    book.burn("p1", 1_000)
    book.wait(300).poll("p1", 101_000)
    book.credit("purse1", 10_000, count=2)
    assert [effect.wanted for effect in book.switches] == [OPEN, CLOSED]
    book.relay_moves()
    assert book.on_its_way("p1"), "the newer command"
    book.relay_moves()
    assert not book.on_its_way("p1")
    book.wait(3_500).poll("p1", 101_000)
    assert book.memory().relay is CLOSED
    assert book.switches == []


def test_force_off_is_at_once_and_a_payment_does_not_lift_it() -> None:
    book = Playbook()
    book.open_room()
    book.supply("p1", mode="force_off", command_id="cmd-1")
    book.expect("intent_taken", intent_kind="supply", outcome="held", key="p1")
    book.expect("supply_decided", to="held_off", reason="force_off")
    book.expect_switch("p1", OPEN)
    book.relay_moves()
    book.expect("relay_result", command_id="cmd-1")
    book.credit("purse1", 99_000, count=2)
    book.expect_no("supply_decided")
    assert book.switches == []
    book.supply("p1", mode="prepaid")
    book.expect("supply_decided", to="on")
    book.expect_switch("p1", CLOSED)


def test_hold_on_keeps_a_spent_room_lit_and_goes_on_charging() -> None:
    book = Playbook()
    book.open_room()
    book.supply("p1", mode="hold_on")
    book.expect("supply_decided", to="held_on")
    book.burn("p1", 1_200)
    book.wait(300).poll("p1", 101_200)
    book.expect("charges", ticks=[600_000_000])
    assert book.memory().state is State.held_on
    assert book.switches == []
    assert book.codes() == {"arrears"}
    book.supply("p1", mode="prepaid")
    book.wait(300).poll("p1", 101_200)
    book.wait(300).poll("p1", 101_200)
    book.expect("supply_decided", to="tripped")


def test_an_order_with_an_end_lapses_by_the_clock() -> None:
    book = Playbook()
    book.open_room()
    book.supply("p1", mode="force_off", until_ms=book.at_ms + 60_000)
    book.relay_moves()
    book.unheard.clear()
    book.wait(30_000).poll("p1", 100_000)
    book.expect_silence()
    book.wait(30_000).poll("p1", 100_000)
    book.expect("supply_decided", to="on")


def test_automatic_trips_keep_their_distance_and_their_number_and_restorations_do_not() -> None:
    book = Playbook(rules=Rules(gateway_id=GATEWAY, trips_a_day=3))
    book.open_room()
    run_out(book)
    granted = 5_000
    for n in range(2, 4):
        granted += 10
        book.credit("purse1", granted, count=n)
        book.relay_moves()
        wh = book.registers["p1"] + 2
        book.wait(2_000)
        for _ in range(4):
            book.wait(500).poll("p1", wh)
        tripped_after = book.at_ms - book.memory().trips.last_ms
        assert tripped_after < MINUTE_MS
        assert book.switches == [], "less than a minute after the trip before"
        book.wait(MINUTE_MS).poll("p1", wh)
        book.expect_switch("p1", OPEN)
        book.relay_moves()
    assert book.memory().trips.count == 3
    granted += 10
    book.credit("purse1", granted, count=4)
    book.relay_moves()
    wh = book.registers["p1"] + 2
    for _ in range(3):
        book.wait(2 * MINUTE_MS).poll("p1", wh)
    assert book.switches == []
    assert "trips_exhausted" in book.codes()
    book.supply("p1", clear_lock_n=1)
    assert "trips_exhausted" not in book.codes()
    book.wait(3_500).poll("p1", wh)
    book.expect_switch("p1", OPEN)


def test_a_relay_that_is_spared_lends_money_to_a_limit_and_no_further() -> None:
    policy = PolicyBody(alarm_1_fen=1_000, alarm_2_fen=500, overdraft_fen=100)
    rules = Rules(gateway_id=GATEWAY, trips_a_day=1)
    assert rules.debt_max_fen == 2_000
    book = Playbook(rules=rules, policy=policy)
    book.open_room(fen=5_000)
    book.burn("p1", 1_020)  # 51.00 yuan: at the overdraft's end
    book.wait(1_000).poll("p1", 101_020)
    book.relay_moves()
    book.credit("purse1", 5_010, count=2)
    book.relay_moves()
    book.unheard.clear()
    book.wait(2 * MINUTE_MS).poll("p1", 101_421)  # 71.05 of 50.10: 20.95 in debt
    book.wait(300).poll("p1", 101_421)
    book.expect("alarm_raised", code="trips_exhausted", severity="critical")
    book.expect_no("supply_decided")
    book.wait(MINUTE_MS).poll("p1", 101_422)  # 21.00
    book.wait(300).poll("p1", 101_422)
    book.expect("supply_decided", to="tripped")
    book.expect_switch("p1", OPEN)


def test_friendly_hours_spare_a_spent_room_until_they_end() -> None:
    hours = {"day_types": ["workday"], "from_min": 22 * 60, "to_min": 7 * 60}
    policy = PolicyBody.model_validate(
        {"alarm_1_fen": 1_000, "alarm_2_fen": 500, "friendly_hours": [hours]}
    )
    book = Playbook(policy=policy, start_ms=at(23))
    book.open_room()
    book.burn("p1", 1_000)
    book.expect("supply_decided", to="grace", reason="credit_spent_protected")
    for hour in (2, 6):  # after midnight, still the hours of the day before
        book.until(at(24 + hour) if hour < 6 else at(24 + 6, 59)).poll("p1", 101_000)
        book.expect_no("supply_decided")
    book.until(at(24 + 7)).poll("p1", 101_000)
    book.expect("supply_decided", to="tripped")


def test_a_shared_purse_warns_and_trips_all_its_points() -> None:
    book = Playbook(place(1, purse_id="both"), place(2, purse_id="both"))
    book.credit("both", 5_000)
    for n in (1, 2):
        book.poll(f"p{n}", 50_000)
    book.unheard.clear()
    book.burn("p1", 600)
    book.poll("p2", 50_390)
    assert book.memory("p1").state is book.memory("p2").state is State.warned
    book.unheard.clear()
    book.reads.clear()
    book.wait(1_000).poll("p2", 50_400)
    assert set(book.reads) == {"p1", "p2"}
    readings = book.expect("readings", purpose="evidence")
    assert set(readings["point_id"]) == {"p1", "p2"}, "both meters stand behind one balance"
    book.wait(300).poll("p2", 50_400)
    book.expect("supply_decided", point_id="p2", to="tripped")
    assert book.memory("p1").state is not State.tripped, "its own second poll is still to come"
    book.poll("p1", 50_600)
    book.wait(300).poll("p1", 50_600)
    book.expect("supply_decided", point_id="p1", to="tripped")


def test_without_credit_or_policy_nothing_is_decided() -> None:
    book = Playbook()
    book.poll("p1", 100_000)
    book.wait(3_500).poll("p1", 100_000)
    assert book.memory().state is State.unknown
    assert book.switches == []
    book.expect_no("supply_decided")


def test_a_vacant_point_is_not_opened_and_its_relay_stays_as_found() -> None:
    book = Playbook(place(1, purse_id=None))
    book.relays["p1"] = OPEN
    book.poll("p1", 100_000)
    book.expect("supply_decided", to="not_opened", reason="vacant")
    for _ in range(3):
        book.wait(3_500).poll("p1", 100_000)
    assert book.switches == []


def test_a_late_result_of_another_installation_is_no_news() -> None:
    book = Playbook()
    book.turn(RelayMoved("p9", OPEN, OPEN, 1, 3))
    book.expect_no("relay_result")


@pytest.mark.parametrize("seen", [CLOSED, OPEN])
def test_a_meter_without_a_contact_bit_is_judged_by_power(seen: Relay) -> None:
    book = Playbook(place(1, profile="ddsy1352-classic"))
    book.credit("purse1", 5_000)
    book.poll("p1", 100_000, relay=Relay.unknown)
    book.expect_switch("p1", CLOSED)
    book.relay_moves()
    book.burn("p1", 1_000)
    book.wait(300).turn(book.polled("p1", 101_000, relay=Relay.unknown))
    book.expect_switch("p1", OPEN)
    book.relay_moves()
    watts = 0 if seen is OPEN else 60
    for _ in range(4):
        book.wait(3_500).turn(book.polled("p1", 101_000, relay=Relay.unknown, power_w=watts))
    assert bool(book.switches) is (seen is CLOSED), "power flows, so it is not open"
