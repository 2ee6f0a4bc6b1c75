"""Live, pulse, watermark and intents as bytes, and what an intent becomes in the rules."""

import hashlib
import json
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from domain import credit, tariff
from domain.wire import intents, messages
from domain.wire.intents import CreditBody, Intent
from tests.contract.regenerate import CONTRACT

MODELS: dict[str, type[messages.Message]] = {
    "live": messages.Live,
    "pulse": messages.Pulse,
    "watermark": messages.Watermark,
}


def example(name: str) -> dict[str, Any]:
    path = CONTRACT / f"examples/accepted/{name}.json"
    first: dict[str, Any] = json.loads(path.read_text("utf-8"))[0]
    return first


def encoded(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


@pytest.mark.clause("live-1", "pulse-1", "watermark-1")
@pytest.mark.parametrize("name", ["live", "pulse", "watermark"])
def test_messages_come_back_as_they_went(name: str) -> None:
    model = MODELS[name]
    read = model.decode(encoded(example(name)))
    assert json.loads(read.encode()) == example(name)
    assert model.decode(read.encode()) == read


@pytest.mark.clause("numbers-6")
@pytest.mark.parametrize("name", ["live", "pulse", "watermark"])
def test_a_later_version_may_say_more(name: str) -> None:
    model = MODELS[name]
    more = {**example(name), "moon": "full"}
    with pytest.raises(ValidationError, match="moon"):
        model.decode(encoded(more))
    assert model.decode(encoded({**more, "v": 2}))
    for v in (0, "1", None, 1.5):
        with pytest.raises(ValidationError):
            model.decode(encoded({**example(name), "v": v}))


@pytest.mark.clause("watermark-1")
def test_a_watermark_never_calls_safe_what_it_does_not_hold() -> None:
    with pytest.raises(ValidationError, match="beyond held_seq"):
        messages.Watermark.decode(encoded({**example("watermark"), "safe_seq": 8813}))


@pytest.mark.clause("topics-4")
def test_content_belongs_to_the_topic_it_came_on() -> None:
    mark, intent = encoded(example("watermark")), encoded(example("intents.credit"))
    journal, purse = example("watermark")["journal_id"], example("intents.credit")["key"]
    assert messages.decode_watermark(mark, journal)
    assert intents.decode_intent(intent, "credit", purse)
    with pytest.raises(ValueError, match="on the topic of"):
        messages.decode_watermark(mark, "01jh2kzzzzzzzzzzzzzzzzzzz1")
    for kind, key in (("credit", "other"), ("supply", purse)):
        with pytest.raises(ValueError, match="on the topic of"):
            intents.decode_intent(intent, kind, key)


@pytest.mark.clause("intents-1")
def test_versions_of_restored_books_are_above_all_before() -> None:
    assert intents.version_of(0, 1) == 1
    assert intents.version_of(3, 7) == 3 * 2**32 + 7
    assert intents.version_of(1, 1) > intents.version_of(0, 2**32 - 1)
    for epoch, n in ((0, 0), (0, 2**32), (-1, 1), (2**20, 1)):
        with pytest.raises(ValueError, match="no version"):
            intents.version_of(epoch, n)


@pytest.mark.clause("intents-3")
def test_the_digest_is_over_sorted_lines() -> None:
    held = {("supply", "a"): 9, ("credit", "p2"): 3, ("credit", "p1"): 4_294_967_297}
    text = "credit/p1:4294967297\ncredit/p2:3\nsupply/a:9"
    assert intents.digest(held) == hashlib.sha256(text.encode()).hexdigest()
    assert intents.digest(dict(reversed(held.items()))) == intents.digest(held)
    assert intents.digest({}) == example("pulse")["intents_digest"]
    assert intents.digest({**held, ("supply", "a"): 10}) != intents.digest(held)


@pytest.mark.clause("intents-2")
def test_an_intent_with_a_bad_body_can_still_be_named() -> None:
    bad = {**example("intents.credit"), "body": {"count": 2, "add_fen": 5000}}
    intent = intents.decode_intent(encoded(bad), "credit", bad["key"])
    assert (intent.kind, intent.version) == ("credit", bad["version"])
    with pytest.raises(ValidationError, match="granted_fen"):
        intent.typed()


@pytest.mark.clause("numbers-6", "intents-2")
def test_a_body_of_a_later_version_may_say_more() -> None:
    more = example("intents.credit")
    more["body"] |= {"note": "grant of the city"}
    assert intents.decode_intent(encoded({**more, "v": 2}), "credit", more["key"]).typed()
    with pytest.raises(ValidationError, match="note"):
        intents.decode_intent(encoded(more), "credit", more["key"]).typed()


@pytest.mark.clause("intents-2")
@pytest.mark.parametrize("kind", intents.BODIES)
def test_an_intent_says_its_kind_by_its_body(kind: str) -> None:
    message = example(f"intents.{kind}")
    body = intents.decode_intent(encoded(message), kind, message["key"]).typed()
    made = Intent.of(body, key=message["key"], version=message["version"], issued_at_ms=0)
    assert made.kind == kind
    assert intents.decode_intent(made.encode(), kind, message["key"]).typed() == body


@pytest.mark.clause("intents-4")
def test_a_credit_body_is_the_credit_intent_of_the_rules() -> None:
    intent = credit.CreditIntent(
        version=5,
        count=2,
        granted_fen=10_000,
        reservations=(credit.Reservation("r1", 2_000, "refund"),),
        state="closing",
    )
    assert CreditBody.of(intent).to_intent(5) == intent


@pytest.mark.clause("intents-5")
def test_a_tariff_body_is_the_price_table_of_the_rules() -> None:
    body = intents.TariffBody.model_validate(example("intents.tariff")["body"])
    table = body.to_tariff("home", 2)
    assert tariff.faults(table) == []
    assert table.prices_e4[tariff.Rate.peak] == (8650, 9150)
    assert table.day_types["workday"][1] == tariff.Slot(480, tariff.Rate.flat)
    assert (table.steps_wh, table.period) == ((2_760_000,), "year")
    assert intents.TariffBody.of(table).to_tariff("home", 2) == table


@pytest.mark.clause("intents-5")
def test_calendar_and_policy_become_rules() -> None:
    days = intents.CalendarBody.model_validate(example("intents.calendar")["body"]).to_calendar()
    assert days.day_type(date(2026, 1, 1)) == "holiday"
    assert days.day_type(date(2026, 2, 14)) == "workday"  # a Saturday worked
    policy = intents.PolicyBody(alarm_1_fen=1000, alarm_2_fen=300)
    assert policy.thresholds() == credit.Thresholds(1000, 300, 0)
