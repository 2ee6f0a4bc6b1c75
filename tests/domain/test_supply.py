"""Whether a room has power: every state under every situation that matters."""

from itertools import product
from pathlib import Path

import pytest

from domain.credit import Level
from domain.supply import (
    TABLE,
    Event,
    Mode,
    Relay,
    Situation,
    State,
    decide,
    diagram,
    event,
    wanted,
)
from tests.domain.table import name_of, rows

DOCS = Path(__file__).parent.parent.parent / "docs"
EVERY_LEVEL = (None, *Level)

DECIDED = rows("""
from       | holder | mode      | level   | night | to         | relay
# credit falls: warned twice in one state, dark at the limit, back as soon as it is above it
on         | yes    | prepaid   | ok      |       | on         | closed
on         | yes    | prepaid   | alarm_1 |       | warned     | closed
warned     | yes    | prepaid   | alarm_2 |       | warned     | closed
warned     | yes    | prepaid   | arrears |       | warned     | closed
warned     | yes    | prepaid   | spent   |       | tripped    | open
on         | yes    | prepaid   | spent   |       | tripped    | open
tripped    | yes    | prepaid   | spent   |       | tripped    | open
tripped    | yes    | prepaid   | arrears |       | warned     | closed
tripped    | yes    | prepaid   | alarm_1 |       | warned     | closed
tripped    | yes    | prepaid   | ok      |       | on         | closed
warned     | yes    | prepaid   | ok      |       | on         | closed
# friendly hours: no cut, but a dark room stays dark
warned     | yes    | prepaid   | spent   | yes   | grace      | closed
grace      | yes    | prepaid   | spent   | yes   | grace      | closed
grace      | yes    | prepaid   | spent   |       | tripped    | open
grace      | yes    | prepaid   | alarm_2 | yes   | warned     | closed
tripped    | yes    | prepaid   | spent   | yes   | tripped    | open
held_off   | yes    | prepaid   | spent   | yes   | tripped    | open
held_on    | yes    | prepaid   | spent   | yes   | grace      | closed
# 保电 and 拉闸 stand whatever the credit; only 恢复预付费 leaves them
on         | yes    | hold_on   | ok      |       | held_on    | closed
tripped    | yes    | hold_on   | spent   |       | held_on    | closed
held_on    | yes    | hold_on   | spent   |       | held_on    | closed
on         | yes    | force_off | ok      |       | held_off   | open
held_off   | yes    | force_off | ok      |       | held_off   | open
held_off   | yes    | hold_on   | spent   |       | held_on    | closed
held_on    | yes    | force_off | ok      |       | held_off   | open
held_off   | yes    | prepaid   | ok      |       | on         | closed
held_off   | yes    | prepaid   | alarm_1 |       | warned     | closed
held_off   | yes    | prepaid   | spent   |       | tripped    | open
held_on    | yes    | prepaid   | spent   |       | tripped    | open
held_on    | yes    | prepaid   | ok      |       | on         | closed
# nobody holds the room: the relay is left as found
on         | no     | prepaid   | ok      |       | not_opened | as found
held_on    | no     | hold_on   | ok      |       | not_opened | as found
held_off   | no     | force_off |         |       | not_opened | as found
not_opened | no     | prepaid   |         |       | not_opened | as found
not_opened | yes    | prepaid   | ok      |       | on         | closed
not_opened | yes    | prepaid   | spent   |       | tripped    | open
# the first event decides what was unknown; without credit known only holds do
unknown    | yes    | prepaid   |         |       | unknown    | as found
unknown    | yes    | prepaid   | ok      |       | on         | closed
unknown    | yes    | prepaid   | spent   |       | tripped    | open
unknown    | yes    | force_off |         |       | held_off   | open
unknown    | yes    | hold_on   |         |       | held_on    | closed
unknown    | no     | prepaid   |         |       | not_opened | as found
on         | yes    | prepaid   |         |       | on         | closed
tripped    | yes    | prepaid   |         | yes   | tripped    | open
held_off   | yes    | prepaid   |         |       | held_off   | open
""")


@pytest.mark.parametrize("row", DECIDED, ids=name_of)
def test_decisions(row: dict[str, str]) -> None:
    situation = Situation(
        opened=row["holder"] == "yes",
        mode=Mode(row["mode"]),
        level=Level[row["level"]] if row["level"] else None,
        protected=row["night"] == "yes",
    )
    state = decide(State(row["from"]), situation)
    relay = wanted(state)
    assert (state.value, relay.value if relay else "as found") == (row["to"], row["relay"])


def test_every_state_answers_every_event() -> None:
    assert set(TABLE) == set(product(State, Event))


def test_a_decision_made_twice_changes_nothing() -> None:
    for state, opened, mode, level, protected in product(
        State, (True, False), Mode, EVERY_LEVEL, (True, False)
    ):
        situation = Situation(opened=opened, mode=mode, level=level, protected=protected)
        once = decide(state, situation)
        assert decide(once, situation) is once


def test_no_money_lifts_a_hold() -> None:
    for state, level, protected in product(State, EVERY_LEVEL, (True, False)):
        off = Situation(opened=True, mode=Mode.force_off, level=level, protected=protected)
        on = Situation(opened=True, mode=Mode.hold_on, level=level, protected=protected)
        assert wanted(decide(state, off)) is Relay.open
        assert wanted(decide(state, on)) is Relay.closed


def test_protection_never_moves_a_relay_that_is_wanted_somewhere() -> None:
    spent = Situation(opened=True, mode=Mode.prepaid, level=Level.spent, protected=True)
    for state in State:
        if wanted(state) is not None:
            assert wanted(decide(state, spent)) is wanted(state)


def test_events_take_precedence_in_the_order_of_the_list() -> None:
    order = list(Event)
    forced = Situation(opened=True, mode=Mode.force_off, level=Level.ok)
    vacant = Situation(opened=False, mode=Mode.force_off, level=Level.ok)
    assert event(vacant) is order[0] is Event.vacant
    assert event(forced) is order[1] is Event.force_off


@pytest.mark.parametrize("page", ["SUPPLY.md", "ARCHITECTURE.md"])
def test_the_picture_in_the_docs_is_the_table(page: str) -> None:
    path = DOCS / page
    begin, end = "<!-- supply-diagram -->", "<!-- /supply-diagram -->"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    drawn = [part.split(end)[0].strip() for part in text.split(begin)[1:]]
    expected = [f"```mermaid\n{diagram()}\n```"] * len(drawn)
    assert drawn == expected
    assert drawn or page != "SUPPLY.md", "docs/SUPPLY.md shows the diagram between its two marks"
