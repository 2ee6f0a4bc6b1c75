"""What the centre wants: taken once, refused in words, and never carried out late."""

from typing import Any

import pytest

from domain.instants import HOUR_MS, MINUTE_MS, Trust
from domain.supply import Relay, State
from domain.wire.intents import (
    CalendarBody,
    Intent,
    KeysBody,
    PolicyBody,
    SupplyBody,
    TariffBody,
    TextBody,
)
from domain.wire.messages import Watermark
from edge.effects import HeedWatermark, Persist, RebuildBuses, StoreIntent
from edge.events import ClockStepped, IntentArrived, SeriesStarted, WatermarkArrived
from edge.memory import Series
from tests.edge.playbook import FLAT, PEAK_AT_NOON, PROMPT, Playbook, at, bus, place

# --- credit --------------------------------------------------------------------------------------


@pytest.mark.clause("credit-2")
def test_old_and_repeated_credit_has_no_effect_and_is_counted() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    for version in (1, 1):
        book.credit("purse1", 9_000, count=2, version=version)
    book.expect_silence()
    assert book.picture.old_intents == 2
    assert book.picture.purses["purse1"].purse.granted_fen == 5_000


@pytest.mark.clause("credit-2", "credit-4")
@pytest.mark.parametrize(
    ("fen", "count", "reason"),
    [
        (9_000, 0, "count_behind"),
        (9_000, 1, "other_total_at_count"),
        (4_000, 2, "lowers_credit"),
    ],
)
def test_credit_that_no_honest_books_can_send_is_refused_once(
    fen: int, count: int, reason: str
) -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    version = book.credit("purse1", fen, count=count)
    book.expect(
        "intent_taken",
        intent_kind="credit",
        key="purse1",
        version=version,
        outcome="refused",
        reason=reason,
    )
    book.expect_no("credit_taken")
    book.unheard.clear()
    book.credit("purse1", fen, count=count, version=version)
    book.expect_silence()
    assert book.picture.purses["purse1"].purse.granted_fen == 5_000
    book.credit("purse1", 6_000, count=2)
    book.expect("credit_taken", granted_fen=6_000, count=2)
    assert book.codes("purse1") == set()


@pytest.mark.clause("credit-3")
def test_a_reservation_is_answered_once_from_what_is_available_now() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.burn("p1", 840)
    book.burn("p1", 10)  # 42.50 of 50.00 used; the last of it is read and not charged yet
    book.unheard.clear()
    book.credit("purse1", 5_000, reservations={"r1": 751, "r2": 400})
    book.expect("charges")
    book.expect("credit_taken", granted_fen=5_000)
    book.expect("reservation_answered", reservation_id="r1", accepted=False)
    book.expect(
        "reservation_answered", reservation_id="r2", accepted=True, available_ticks=35_000_000
    )
    book.unheard.clear()
    book.credit("purse1", 5_000, reservations={"r1": 751, "r2": 400})
    book.expect_no("reservation_answered")
    book.restart()
    book.credit("purse1", 4_600, count=2, reservations={"r1": 751})
    book.expect("credit_taken", granted_fen=4_600, count=2)
    book.expect_no("reservation_answered")
    book.credit("purse1", 4_600, count=2)
    version = book.wait(1_000).credit("purse1", 4_600, count=2, reservations={"r1": 50})
    assert book.picture.purses["purse1"].purse.version == version, "nothing to wait for"
    book.expect_no("reservation_answered")


@pytest.mark.clause("credit-3")
def test_a_reservation_waits_for_a_reading_and_what_was_used_is_charged_first() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.wait(2_000)
    version = book.credit("purse1", 5_000, reservations={"r1": 4_990})
    book.expect_silence()
    assert book.reads == ["p1"], "asked for at once"
    book.wait(1_000).turn()
    book.credit("purse1", 5_000, reservations={"r1": 4_990}, version=version)  # said again
    book.expect_silence()
    book.wait(100).poll("p1", 100_003)  # 15 fen that nobody had read
    book.expect("readings", purpose="evidence", total_wh=[100_003])
    book.expect("charges", ticks=[1_500_000])
    book.expect("credit_taken", version=version)
    book.expect(
        "reservation_answered", reservation_id="r1", accepted=False, available_ticks=498_500_000
    )
    book.unheard.clear()
    book.wait(1_000).poll("p1", 100_003)
    book.expect_silence()


@pytest.mark.clause("credit-3")
def test_after_a_start_every_meter_of_the_purse_is_read_before_a_reservation_is_answered() -> None:
    book = Playbook(place(1, purse_id="both"), place(2, purse_id="both"), rules=PROMPT)
    book.credit("both", 5_000)
    for n in (1, 2):
        book.poll(f"p{n}", 50_000)
    book.restart(off_ms=10 * MINUTE_MS)
    book.credit("both", 9_000, count=2, reservations={"r1": 5_000, "r2": 4_000})
    book.wait(1_000).poll("p1", 50_100)
    book.expect_no("credit_taken", "reservation_answered")
    book.wait(1_000).poll("p2", 50_700)
    book.expect("charges", ticks=[100 * 500_000, 700 * 500_000])
    book.expect("reservation_answered", reservation_id="r1", accepted=True)
    book.expect("reservation_answered", reservation_id="r2", accepted=False)
    assert book.picture.waiting == {}


@pytest.mark.clause("credit-3")
def test_a_start_forgets_who_waits_and_is_asked_again() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    version = book.wait(1_000).credit("purse1", 5_000, reservations={"r1": 100})
    book.restart()
    book.poll("p1", 100_000)
    book.expect_no("reservation_answered")
    book.credit("purse1", 5_000, reservations={"r1": 100}, version=version)
    book.poll("p1", 100_000)
    book.expect("reservation_answered", accepted=True)


@pytest.mark.clause("credit-3")
def test_a_lost_meter_does_not_keep_the_answer_for_ever_and_it_is_no() -> None:
    book = Playbook(place(1, purse_id="both"), place(2, purse_id="both"), rules=PROMPT)
    book.credit("both", 5_000)
    for n in (1, 2):
        book.poll(f"p{n}", 50_000)
    book.unheard.clear()
    book.wait(10_000).credit("both", 9_000, count=2, reservations={"r1": 100})  # and a sale
    for _ in range(60):
        book.wait(1_000).poll("p1", 50_000)
        if "credit_taken" in book.heard():
            break
    assert 50_000 <= book.mono_ms - 10_000 <= 61_000
    book.expect("alarm_raised", code="lost_meter", subject_id="p2")
    book.expect("credit_taken", granted_fen=9_000)
    book.expect("reservation_answered", accepted=False, available_ticks=900_000_000)
    book.unheard.clear()
    book.credit("both", 9_000, count=2, reservations={"r1": 100, "r2": 100})
    book.poll("p1", 50_000)
    book.expect("reservation_answered", reservation_id="r2", accepted=False)  # known to be lost
    below = "reversal_below_zero"
    book.credit("both", 9_000, count=2, reservations={"r3": 100}, purpose=below)
    book.poll("p1", 50_000)
    book.expect("reservation_answered", reservation_id="r3", accepted=True)


@pytest.mark.clause("credit-3", "numbers-7")
def test_a_reservation_waits_for_the_hour_where_the_price_needs_it() -> None:
    book = Playbook(tariff=PEAK_AT_NOON, trust=Trust.unknown, start_ms=at(2), rules=PROMPT)
    book.open_room(fen=5_000)
    book.wait(5_000).poll("p1", 100_010)
    book.unheard.clear()
    book.credit("purse1", 5_000, reservations={"r1": 4_950})
    book.wait(1_000).poll("p1", 100_010)
    book.expect_silence()
    book.at_ms, book.trust = at(13), Trust.synchronised
    book.turn(ClockStepped("ntp", at(2), 0))
    book.expect("charges", ticks=[10 * 900_000])
    book.expect("reservation_answered", accepted=False, available_ticks=491_000_000)


def test_in_doubt_about_the_price_the_answer_is_no() -> None:
    book = Playbook(tariff=PEAK_AT_NOON, trust=Trust.unknown, start_ms=at(2), rules=PROMPT)
    book.open_room(fen=5_000)
    book.wait(5_000).poll("p1", 100_010)
    book.credit("purse1", 5_000, reservations={"r1": 100})
    for second in range(61):
        book.wait(1_000).poll("p1", 100_010)
        if second == 30:  # a newer word does not begin the wait anew
            book.credit("purse1", 5_000, reservations={"r1": 100, "r2": 100})
    book.expect("reservation_answered", reservation_id="r1", accepted=False)
    book.expect("reservation_answered", reservation_id="r2", accepted=False)
    book.expect_no("charges")


def test_a_newer_word_takes_the_place_of_one_that_waits() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    old = book.wait(1_000).credit("purse1", 5_000, reservations={"r1": 100})
    version = book.credit("purse1", 6_000, count=2)  # it was cancelled, and something was sold
    book.expect("credit_taken", version=version)
    book.credit("purse1", 5_000, reservations={"r1": 100}, version=old)
    book.wait(1_000).poll("p1", 100_000)
    book.expect_no("reservation_answered")
    assert book.picture.old_intents == 1
    newer = book.wait(1_000).credit("purse1", 6_000, count=2, reservations={"r2": 100})
    newest = book.credit("purse1", 6_000, count=2, reservations={"r2": 100, "r3": 100})
    book.credit("purse1", 6_000, count=2, reservations={"r2": 100}, version=newer)
    book.poll("p1", 100_000)
    book.expect("credit_taken", version=newest)
    assert book.heard().count("reservation_answered") == 2


def test_what_the_purse_does_not_pay_for_is_not_waited_for() -> None:
    book = Playbook(place(1, purse_id="both"), place(2, purse_id="both"))
    book.credit("both", 5_000)
    book.poll("p1", 50_000)  # p2 was never read: its account begins when it is
    book.credit("both", 5_000, reservations={"r1": 100})
    book.poll("p1", 50_000)
    book.expect("reservation_answered", accepted=True)
    book.credit("nobodys", 100, reservations={"r1": 100})
    book.expect("reservation_answered", purse_id="nobodys", accepted=True)


def test_before_the_installation_is_known_a_reservation_waits() -> None:
    book = Playbook(install=False, rules=PROMPT)
    book.credit("purse1", 5_000, reservations={"r1": 100})
    book.wait(60_001).turn()
    book.expect("reservation_answered", accepted=False)


def test_a_reversal_below_zero_darkens_the_room_by_the_rules() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.burn("p1", 600)
    book.credit("purse1", 5_000, reservations={"r1": 5_000}, purpose="reversal_below_zero")
    book.expect("reservation_answered", accepted=True, available_ticks=-300_000_000)
    assert book.reads == ["p1"]
    book.wait(300).poll("p1", 100_600)
    book.wait(300).poll("p1", 100_600)
    book.expect("supply_decided", to="tripped")


@pytest.mark.clause("intents-7")
def test_answers_and_purse_are_kept_in_one_commit() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.credit("purse1", 5_000, reservations={"r1": 100})
    commits = [e.commit for e in book.effects if isinstance(e, Persist)]
    assert len(commits) == 1
    assert {f.kind for f in commits[0].facts} >= {"credit_taken", "reservation_answered"}
    assert commits[0].purses[0].answered == {"r1": True}
    assert commits[0].taken[0].version == 2


@pytest.mark.clause("intents-7")
def test_an_order_is_kept_in_the_commit_that_says_so() -> None:
    book = Playbook()
    book.open_room()
    version = book.supply("p1", mode="force_off")
    (commit,) = [e.commit for e in book.effects if isinstance(e, Persist)]
    assert {f.kind for f in commit.facts} >= {"intent_taken", "supply_decided"}
    assert [(s.point_id, s.version) for s in commit.supply] == [("p1", version)]


def test_credit_may_come_before_the_installation() -> None:
    book = Playbook(install=False)
    book.credit("purse1", 5_000)
    book.expect("credit_taken")
    book.install(place(1))
    book.poll("p1", 100_000)
    book.expect("supply_decided", to="on")


# --- closing -------------------------------------------------------------------------------------


def test_a_purse_closes_after_two_equal_reads_and_charges_nothing_more() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.burn("p1", 100)
    book.reads.clear()
    book.credit("purse1", 5_000, state="closing")
    assert book.reads == ["p1"]
    book.expect_no("purse_closed")
    book.wait(500).poll("p1", 100_101)
    book.wait(500).poll("p1", 100_102)
    book.expect_no("purse_closed")
    book.wait(500).poll("p1", 100_102)
    final = book.expect("readings", purpose="final", total_wh=[100_102])
    charges = book.expect("charges", to_wh=[100_102])
    closed = book.expect("purse_closed", charged_ticks=102 * 500_000, granted_fen=5_000)
    assert closed["final_seq"] == charges["seq"] == final["seq"] + 1
    book.expect("supply_decided", to="held_off")
    book.expect_switch("p1", Relay.open)
    book.relay_moves()
    book.unheard.clear()
    book.wait(HOUR_MS).poll("p1", 100_202)
    book.expect_no("charges", "purse_closed")
    book.restart()
    book.wait(HOUR_MS).poll("p1", 100_302)
    book.expect_no("charges", "purse_closed")
    book.credit("purse1", 5_000, count=2, state="closed")
    book.expect("supply_decided", to="not_opened", reason="vacant")


def test_a_load_that_never_rests_is_switched_off_to_close() -> None:
    book = Playbook()
    book.open_room(fen=50_000)
    book.credit("purse1", 50_000, state="closing")
    for n in range(1, 20):
        book.wait(3_500).poll("p1", 100_000 + 10 * n)
    book.expect("supply_decided", to="held_off")
    book.expect_no("purse_closed")
    book.relay_moves()
    for _ in range(2):
        book.wait(3_500).poll("p1", 100_195)
    book.expect("purse_closed", charged_ticks=195 * 500_000)


def test_a_room_of_a_closed_purse_begins_anew_with_the_next() -> None:
    book = Playbook()
    book.open_room(fen=5_000)
    book.credit("purse1", 5_000, state="closing")
    for _ in range(2):
        book.wait(500).poll("p1", 100_000)
    book.relay_moves()
    book.wait(500).poll("p1", 100_002)
    book.unheard.clear()
    book.install(place(1, purse_id="next"))
    book.expect("readings", purpose="opening", total_wh=[100_002])
    book.credit("next", 5_000)
    book.expect("supply_decided", **{"from": "held_off", "to": "on"})
    book.expect_switch("p1", Relay.closed)


# --- time and words ------------------------------------------------------------------------------


@pytest.mark.clause("intents-6")
@pytest.mark.parametrize(
    ("trust", "late_ms", "reason"),
    [
        (Trust.synchronised, 1, "expired"),
        (Trust.unknown, -HOUR_MS, "clock_unknown"),
        (Trust.meter, -HOUR_MS, None),
    ],
)
def test_an_order_is_never_carried_out_late(trust: Trust, late_ms: int, reason: str | None) -> None:
    book = Playbook(trust=trust)
    book.open_room()
    body = SupplyBody.model_validate({"mode": "force_off"})
    version = book.intend(body, "p1", expires_at_ms=book.at_ms - late_ms)
    outcome = "held" if reason is None else "refused"
    book.expect("intent_taken", outcome=outcome, reason=reason or "", version=version)
    assert bool(book.switches) is (reason is None)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (TextBody(phone="13800000000", body="…", not_after_ms=2**50), "t1"),
        (KeysBody(epoch=2, overlap_until_ms=2**50), "gw-1"),
    ],
)
def test_what_this_software_cannot_do_is_refused_in_words(body: Any, key: str) -> None:
    book = Playbook()
    book.unheard.clear()
    book.intend(body, key)
    book.expect("intent_taken", outcome="refused", reason="not_supported")
    book.intend(body, key, version=1)
    book.expect_silence()


@pytest.mark.clause("intents-2")
def test_a_body_that_is_not_one_is_refused_by_name() -> None:
    book = Playbook()
    book.unheard.clear()
    intent = Intent.of(
        SupplyBody.model_validate({"mode": "prepaid"}), key="p1", version=7, issued_at_ms=1
    ).model_copy(update={"body": {"mode": "brighter"}})
    book.turn(IntentArrived(intent))
    taken = book.expect("intent_taken", key="p1", version=7, outcome="refused")
    assert taken["reason"].startswith("bad_body: mode")


def test_an_order_for_a_point_that_is_not_installed_yet_waits_for_it() -> None:
    book = Playbook(install=False)
    book.supply("p1", mode="force_off")
    book.expect("intent_taken", outcome="held")
    book.restart()
    book.install(place(1))
    book.poll("p1", 100_000)
    book.expect("supply_decided", to="held_off")
    book.expect_switch("p1", Relay.open)


# --- installation, prices, calendar ---------------------------------------------------------------


def test_a_faulty_point_is_named_and_the_others_are_taken() -> None:
    book = Playbook(install=False)
    book.unheard.clear()
    book.install(
        place(1),
        place(2, profile="unheard-of"),
        place(3, bus_id="bus-9"),
        place(4, address=5),
        place(5),
        place(6, meter_id="7"),
        place(7, meter_id="7"),
    )
    refused = {f["point_id"] for f in book.unheard if f["kind"] == "settings_applied"}
    assert refused == {"p2", "p3", "p4", "p5", "p6", "p7"}
    details = {f["subject_id"]: f["detail"] for f in book.unheard if f["kind"] == "alarm_raised"}
    assert "unheard-of" in details["p2"]
    assert "bus-9" in details["p3"]
    assert "5" in details["p4"]
    book.expect("intent_taken", intent_kind="installation", outcome="held")
    assert list(book.picture.points) == ["p1"]
    assert [p.point_id for p in book.rebuilt[-1].points] == ["p1"]
    book.unheard.clear()
    book.install(place(1), place(2))
    book.expect("alarm_cleared", code="installation_fault", subject_id="p2")
    assert list(book.picture.points) == ["p1", "p2"]


def test_another_gateways_installation_is_refused() -> None:
    book = Playbook()
    body = book.picture.installation
    assert body is not None
    book.unheard.clear()
    book.intend(body, "gw-2")
    book.expect("intent_taken", outcome="refused", reason="other_gateway")


@pytest.mark.clause("intents-7")
def test_the_file_is_written_before_the_intent_is_said_to_be_held() -> None:
    book = Playbook()
    book.install(place(1), place(2))
    order = [type(effect) for effect in book.effects]
    assert order.index(StoreIntent) < order.index(Persist) < order.index(RebuildBuses)


def test_buses_are_rebuilt_only_when_the_wiring_changes() -> None:
    book = Playbook(place(1, purse_id=None))
    assert len(book.rebuilt) == 1
    book.install(place(1, purse_id="new", policy_id="other"))
    assert len(book.rebuilt) == 1
    book.install(place(1, address=9))
    assert len(book.rebuilt) == 2
    book.install(place(1, address=9), buses=(bus(1),))
    assert len(book.rebuilt) == 3


def test_what_a_point_remembers_outlives_its_leaving_the_installation() -> None:
    book = Playbook(place(1), place(2))
    book.open_room("p1")
    book.burn("p1", 100)
    book.install(place(2))
    book.expect("readings", purpose="final", point_id=["p1"])
    book.expect("charges", to_wh=[100_100])
    book.restart(off_ms=MINUTE_MS)
    book.install(place(1), place(2))
    book.poll("p1", 100_150)
    book.expect_no("meter_seen")
    book.until(at(8, 30)).poll("p1", 100_150)
    book.expect("charges", from_wh=[100_100], to_wh=[100_150])


def test_a_start_knows_what_is_installed_without_a_word_from_the_centre() -> None:
    book = Playbook(place(1), tariff=PEAK_AT_NOON)
    book.open_room(fen=90_000)
    before = book.picture
    book.restart()
    assert book.picture.installation == before.installation
    assert book.picture.pricings == before.pricings
    assert book.picture.policies == before.policies
    assert book.picture.taken == before.taken
    assert book.memory().state is State.on


@pytest.mark.clause("intents-7")
def test_what_the_file_lost_is_taken_again_though_it_was_held_before() -> None:
    book = Playbook()
    book.open_room()
    lost = book.stored.pop(("policy", "dorm", 0))
    book.restart()
    assert ("policy", "dorm") not in book.picture.taken
    book.turn(IntentArrived(lost))
    book.expect("intent_taken", intent_kind="policy", outcome="held")
    assert "dorm" in book.picture.policies


@pytest.mark.clause("intents-7")
def test_killed_after_the_file_and_before_the_commit_the_intent_is_taken_again() -> None:
    book = Playbook()
    book.open_room()
    known = book.kept.known
    book.install(place(1), place(2))
    book.kept.known = known  # the file was written, the commit was not
    book.restart()
    assert list(book.picture.points) == ["p1", "p2"]
    book.install(place(1), place(2))
    book.expect("intent_taken", intent_kind="installation", outcome="held")


@pytest.mark.clause("intents-5", "intents-8")
def test_a_price_changes_from_its_start_on_and_the_past_stays() -> None:
    book = Playbook()
    book.open_room(fen=50_000)
    dearer = {**FLAT, "effective_from_ms": at(8, 15), "price_e4": [[1_000_000]]}
    book.intend(TariffBody.model_validate(dearer), "dorm")
    book.expect("intent_taken", intent_kind="tariff", outcome="held")
    book.until(at(8, 14, 59)).poll("p1", 100_300)
    book.until(at(8, 15, 1)).poll("p1", 100_302)
    book.expect("readings", purpose="boundary")
    row = book.expect("charges", tariff_version=[2])
    assert [(p["price_e4"], p["estimated"]) for p in row["parts"][0]] == [
        (500_000, True),
        (1_000_000, True),
    ]
    book.unheard.clear()
    cheaper = {**dearer, "price_e4": [[1]]}
    book.intend(TariffBody.model_validate(cheaper), "dorm")
    book.expect("intent_taken", outcome="refused", reason="tariff_in_the_past")
    again = TariffBody.model_validate(dearer)  # the same prices under restored books
    book.intend(again, "dorm", version=2**32 + 1)
    book.expect("intent_taken", outcome="held")


def test_an_unsound_price_table_is_refused_with_what_is_wrong() -> None:
    book = Playbook()
    book.unheard.clear()
    torn = {**FLAT, "day_types": {"workday": [(30, 3)]}}
    book.intend(TariffBody.model_validate(torn), "dorm")
    taken = book.expect("intent_taken", outcome="refused")
    assert "start_min" in taken["reason"]
    assert not [e for e in book.effects if isinstance(e, StoreIntent)]


def test_a_new_policy_and_a_new_calendar_are_followed_at_once() -> None:
    weekend = {**PEAK_AT_NOON, "day_types": {"workday": [(0, 4)], "holiday": [(0, 2)]}}
    book = Playbook(tariff=weekend)
    book.open_room(fen=90_000)
    book.burn("p1", 100)
    assert book.picture.points["p1"].provisional_ticks == 100 * 300_000
    book.intend(CalendarBody(days={"2026-03-02": "holiday"}), "site")
    assert book.picture.points["p1"].provisional_ticks == 100 * 900_000
    book.intend(PolicyBody(alarm_1_fen=89_200, alarm_2_fen=100), "dorm")
    book.expect("alarm_raised", code="alarm_1")
    book.expect("supply_decided", to="warned", policy_version=2)


# --- watermark and series ------------------------------------------------------------------------


def test_a_watermark_is_passed_to_the_journal() -> None:
    book = Playbook()
    mark = Watermark(
        journal_id="j" * 26, books_epoch=0, held_seq=1, safe_seq=1, chain="0" * 32, centre_at_ms=1
    )
    assert HeedWatermark(mark) in book.turn(WatermarkArrived(mark))


@pytest.mark.clause("watermark-4")
def test_a_new_series_begins_with_the_word_where_it_comes_from() -> None:
    book = Playbook()
    book.open_room()
    series = Series("n" * 26, "rolled_back", "j" * 26, boot=1)
    book.kept.known = book.kept.known.__class__(series)
    polled = book.wait(MINUTE_MS).polled("p1", 100_010)
    book.turn(SeriesStarted(series), polled)
    opened = book.expect("journal_opened", seq=1, reason="rolled_back")
    assert opened["previous_journal_id"] == "j" * 26
    alarm = book.expect("alarm_raised", code="journal_rolled_back", subject_id="gw-1")
    assert alarm["alarm_id"] == f"{'n' * 26}-2"
