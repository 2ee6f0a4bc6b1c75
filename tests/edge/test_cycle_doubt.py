"""What one poll alone says, and nobody can check, changes nothing before another agrees."""

from domain.instants import HOUR_MS, MINUTE_MS, Trust
from domain.supply import Relay, State
from tests.edge.playbook import Playbook

PRICE = 500_000  # ticks a Wh of the flat tariff


def read(book: Playbook, wh: int) -> None:
    """One poll, and no more."""
    book.turn(book.polled("p1", wh))


def test_a_first_frame_of_nonsense_opens_nothing() -> None:
    book = Playbook()
    book.credit("purse1", 5_000)
    book.unheard.clear()
    book.identify("p1")
    read(book, 900_000_000)
    book.expect_silence()
    assert book.reads == ["p1"], "the second is asked for at once"
    for _ in range(2):
        book.wait(300)
        read(book, 100_000)
    book.expect("meter_seen", opening_wh=100_000)
    book.wait(3_500).poll("p1", 100_001)
    assert book.memory().seen.total_wh == 100_001


def test_a_jump_over_a_time_nobody_knows_waits_for_a_second_poll_that_agrees() -> None:
    book = Playbook(trust=Trust.unknown)
    book.open_room(fen=5_000)
    book.restart()
    book.identify("p1")
    read(book, 900_000_000)
    book.expect_silence()
    assert book.picture.points["p1"].provisional_ticks == 0
    assert book.memory().seen.total_wh == 100_000
    book.wait(300)
    read(book, 100_010)
    assert book.memory().seen.total_wh == 100_010, "a minute's energy is believed at once"
    book.restart()
    book.identify("p1")
    for wh in (800_000_000, 900_000_000, 100_510, 100_511):
        book.wait(300)
        read(book, wh)
        book.expect_no("alarm_raised", "charges", "supply_decided")
    assert book.memory().seen.total_wh == 100_511
    assert book.picture.points["p1"].provisional_ticks == 511 * PRICE


def test_a_clock_that_was_ahead_before_a_restart_makes_no_suspicion() -> None:
    book = Playbook()
    book.open_room(fen=50_000)
    book.restart(off_ms=-HOUR_MS)
    book.identify("p1")
    read(book, 101_000)
    book.expect_silence()
    book.wait(300)
    read(book, 101_000)
    assert not {code for code in book.codes() if code.startswith("suspect")}
    assert book.memory().seen.total_wh == 101_000
    assert book.memory().state is State.on
    book.wait(MINUTE_MS).poll("p1", 101_010)
    assert book.memory().seen.total_wh == 101_010


# --- the relay of a meter whose register is doubted ----------------------------------------------


def test_a_sale_lights_a_dark_room_whose_register_is_doubted() -> None:
    book = Playbook()
    book.open_room(fen=500)
    book.burn("p1", 100)
    book.wait(300).poll("p1", 100_100)
    book.relay_moves()
    book.wait(3_500).poll("p1", 900_000_000)
    assert "suspect_too_fast" in book.codes()
    book.restart()
    book.poll("p1", 900_000_000)
    book.credit("purse1", 9_000, count=2)
    book.expect("supply_decided", to="on")
    book.expect_switch("p1", Relay.closed)
    book.restart()  # and the command was lost
    for _ in range(2):
        book.wait(3_500).poll("p1", 900_000_000)
    book.expect_switch("p1", Relay.closed)


def test_a_tripped_room_does_not_stay_lit_for_a_doubted_register() -> None:
    book = Playbook()
    book.open_room(fen=500)
    book.burn("p1", 100)
    book.wait(300).poll("p1", 100_100)
    book.relay_moves()
    book.relays["p1"] = Relay.closed  # the meter forgot its relay, and its register with it
    for _ in range(2):
        book.wait(3_500).poll("p1", 7)
    assert "suspect_backwards" in book.codes()
    assert book.memory().state is State.tripped
    book.expect_switch("p1", Relay.open)
