"""The credit contract in bad weather: it converges, and each planted mistake is seen."""

import json
from random import Random

import pytest

from domain import credit
from domain.units import TICKS_PER_FEN
from simulator.world import credit_world
from simulator.world.credit_faults import Plant
from simulator.world.credit_gateway import Gateway, Meter
from simulator.world.credit_office import Office, Snapshot

# How many seeds a planted mistake may take; the rarest shows in about one seed of 150 to 300.
PATIENCE = 600


class Calm(Random):
    """Chance that never strikes: nothing is killed or lost."""

    def random(self) -> float:
        return 0.99


def office_and_gateway() -> tuple[Office, Gateway, Meter]:
    office, meter = Office(), Meter()
    first = Snapshot(office.journal_id, 0, 0, 0, 0, office.intent())
    return office, Gateway(meter, Calm(), first), meter


def say_all(gateway: Gateway, office: Office) -> None:
    office.book(gateway.journal_id, tuple(gateway.facts))


def use(gateway: Gateway, meter: Meter, wh: int) -> None:
    meter.total_wh += wh
    gateway.charge()


@pytest.mark.clause("credit-9", "credit-4")
def test_everything_agrees_once_the_noise_ends() -> None:
    tally = credit_world.run(range(200))
    assert (tally.divergences, tally.frozen) == (0, 0), tally.first
    assert tally.seeds == 200
    assert tally.set_aside > 100  # old cards did speak


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(Plant.noversion, marks=pytest.mark.clause("credit-2", "credit-4")),
        pytest.param(Plant.nocount, marks=pytest.mark.clause("credit-2")),
        pytest.param(Plant.noreservecheck, marks=pytest.mark.clause("credit-3")),
        pytest.param(Plant.codereplay, marks=pytest.mark.clause("credit-6")),
        pytest.param(Plant.codedelta, marks=pytest.mark.clause("credit-6")),
        pytest.param(Plant.codewithres, marks=pytest.mark.clause("credit-6")),
        pytest.param(Plant.blindretry, marks=pytest.mark.clause("credit-7")),
        pytest.param(Plant.nosnapshot, marks=pytest.mark.clause("credit-8")),
        pytest.param(Plant.oldjournal, marks=pytest.mark.clause("facts-8")),
        pytest.param(Plant.closedjoins, marks=pytest.mark.clause("facts-8")),
    ],
)
def test_a_planted_mistake_is_caught(plant: Plant) -> None:
    tally = credit_world.run(range(PATIENCE), plant, stop_at=1)
    assert tally.divergences + tally.frozen == 1


def test_every_planted_mistake_has_its_test() -> None:
    marked = test_a_planted_mistake_is_caught.pytestmark  # type: ignore[attr-defined]
    assert {param.values[0] for param in marked[0].args[1]} == set(Plant)


@pytest.mark.clause("credit-9")
def test_a_seed_is_a_whole_story_told_twice_alike() -> None:
    worlds = [credit_world.World(Random(7)) for _ in range(2)]
    for world in worlds:
        world.run()
    assert worlds[0].gateway.facts == worlds[1].gateway.facts
    assert worlds[0].office == worlds[1].office
    assert credit_world.World(Random(8)).run() is False


@pytest.mark.clause("facts-8", "facts-7")
def test_rows_of_an_old_card_are_set_aside_whenever_they_come() -> None:
    for successor_first in (True, False):
        office, old, meter = office_and_gateway()
        office.sell(500)
        old.adopt(office.intent())
        use(old, meter, 10)
        say_all(old, office)
        use(old, meter, 20)
        use(old, meter, 30)  # two rows that never arrived before the card was lost
        new = Gateway(meter, Calm(), office.replace_gateway())
        use(new, meter, 5)
        for gateway in (new, old) if successor_first else (old, new):
            say_all(gateway, office)
        assert office.charged_ticks == new.purse.charged_ticks == 65 * TICKS_PER_FEN
        assert office.to_wh == meter.total_wh
        why = {"energy_overlap": 2} if successor_first else {"journal_closed": 1, "energy_gap": 1}
        assert office.set_aside == why


@pytest.mark.clause("facts-8", "credit-8")
def test_an_old_card_answers_no_reservation() -> None:
    office, old, meter = office_and_gateway()
    office.sell(100)
    office.ask(80, "refund")
    old.adopt(office.intent())
    new = Gateway(meter, Calm(), office.replace_gateway())
    assert [fact.kind for fact in new.facts] == ["credit_taken", "reservation_answered"]
    say_all(old, office)
    assert (office.cash_fen, len(office.waiting)) == (100, 1)
    say_all(new, office)
    assert (office.cash_fen, len(office.waiting)) == (20, 0)


@pytest.mark.clause("credit-8")
def test_a_new_gateway_charges_what_was_used_before_it_answers() -> None:
    office, old, meter = office_and_gateway()
    office.sell(100)
    old.adopt(office.intent())
    use(old, meter, 90)  # not in the books when the card is lost
    office.ask(50, "refund")
    new = Gateway(meter, Calm(), office.replace_gateway())
    say_all(new, office)
    assert office.cash_fen == 100
    assert credit.available_ticks(new.purse) == 10 * TICKS_PER_FEN


@pytest.mark.clause("credit-5", "credit-3")
def test_a_refund_is_paid_after_its_answer_and_a_void_one_never() -> None:
    office, gateway, _ = office_and_gateway()
    office.sell(100)
    office.ask(60, "refund")
    office.ask(60, "refund")
    gateway.adopt(office.intent())
    assert (office.cash_fen, office.granted_fen) == (100, 100)
    say_all(gateway, office)
    assert (office.cash_fen, office.granted_fen, office.count) == (40, 40, 2)
    gateway.adopt(office.intent())
    office.ask(10, "refund")
    gateway.adopt(office.intent())
    office.cancel("reservation-3")
    say_all(gateway, office)  # accepted, and too late
    gateway.adopt(office.intent())
    assert (office.cash_fen, gateway.available_fen) == (40, 40)


@pytest.mark.clause("credit-3")
def test_a_reservation_is_answered_from_what_is_truly_left() -> None:
    office, gateway, meter = office_and_gateway()
    office.sell(100)
    gateway.adopt(office.intent())
    meter.total_wh += 60  # used, and its interval not yet closed
    office.ask(50, "refund")
    gateway.adopt(office.intent())
    say_all(gateway, office)
    assert (office.cash_fen, gateway.available_fen) == (100, 40)


@pytest.mark.clause("credit-6", "credit-4")
def test_what_a_code_dropped_stays_void() -> None:
    office, gateway, _ = office_and_gateway()
    office.sell(100)
    office.ask(60, "refund")
    gateway.adopt(office.intent())
    office.sell(50)
    late = office.intent()
    office.issue_code()
    gateway.type_code(office.codes[0])
    assert gateway.available_fen == 150
    gateway.adopt(late)  # lists the reservation that the code has voided
    assert gateway.available_fen == 150
    say_all(gateway, office)
    assert office.cash_fen == 150


@pytest.mark.clause("credit-1")
def test_available_is_granted_less_charged_less_accepted() -> None:
    office, gateway, meter = office_and_gateway()
    office.sell(500)
    gateway.adopt(office.intent())
    use(gateway, meter, 30)
    office.ask(70, "refund")
    office.ask(900, "refund")
    gateway.adopt(office.intent())
    assert credit.available_ticks(gateway.purse) == (500 - 30 - 70) * TICKS_PER_FEN


@pytest.mark.clause("credit-6")
def test_a_code_stands_for_its_sale_and_the_intent_that_follows_merges() -> None:
    office, gateway, _ = office_and_gateway()
    office.sell(50)
    office.ask(20, "refund")
    gateway.adopt(office.intent())
    office.sell(100)
    office.issue_code()
    gateway.type_code(office.codes[0])
    assert (gateway.purse.count, gateway.purse.granted_fen) == (2, 150)
    assert (gateway.available_fen, gateway.purse.reservations) == (150, {})
    before = len(gateway.facts)
    gateway.type_code(office.codes[0])
    assert len(gateway.facts) == before
    gateway.adopt(office.intent())
    assert (gateway.purse.version, gateway.available_fen) == (office.version, 150)


@pytest.mark.clause("credit-7")
def test_an_open_feed_is_read_back_before_it_is_written_again() -> None:
    office, gateway, meter = office_and_gateway()
    office.sell(100)
    gateway.adopt(office.intent())
    gateway.feed()
    assert (meter.fed_fen, meter.purchases) == (100, 1)  # carried out, not read back
    office.sell(50)
    gateway.adopt(office.intent())
    for _ in range(6):
        gateway.feed()
    assert (meter.fed_fen, meter.purchases) == (150, 2)
    meter.purchase(3, 7)
    meter.purchase(4, 7)  # neither is ours
    office.sell(10)
    gateway.adopt(office.intent())
    gateway.feed()
    gateway.feed()
    assert gateway.frozen


def test_the_command_prints_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert credit_world.main(["--seeds", "3"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["seeds"] == 3
    assert printed.count("\n") == 1
    assert credit_world.main(["--seeds", "3", "--plant", "codereplay"]) == 1
