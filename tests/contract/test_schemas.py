"""The JSON Schemas are the models, and both judge every example alike."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from domain.wire import facts, intents, messages
from tests.contract.regenerate import CONTRACT, fact_models, intent_models, schemas, text_of

ACCEPTED = sorted((CONTRACT / "examples/accepted").glob("*.json"))
REFUSED = sorted((CONTRACT / "examples/refused").glob("*.json"))


def read_intent(message: dict[str, Any]) -> object:
    return intents.decode_intent(encoded(message), message["kind"], message["key"]).typed()


def read_batch(message: dict[str, Any]) -> object:
    batch = facts.parse_batch(encoded(message))
    return [facts.parse_fact(fact.raw, batch.v) for fact in batch.facts]


def reader(name: str) -> Callable[[dict[str, Any]], object]:
    """How the code reads the messages of an example file."""
    readers: dict[str, Callable[[dict[str, Any]], object]] = {
        "facts": facts.parse_fact,
        "intents": read_intent,
        "batch": read_batch,
        "live": lambda message: messages.decode_live(encoded(message)),
        "pulse": lambda message: messages.decode_pulse(encoded(message)),
        "watermark": lambda message: messages.decode_watermark(
            encoded(message), message["journal_id"]
        ),
    }
    return readers[name.split(".", maxsplit=1)[0]]


def encoded(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


@cache
def validator(name: str) -> Draft202012Validator:
    path = CONTRACT / f"{name.replace('.', '/')}.schema.json"
    return Draft202012Validator(json.loads(path.read_text("utf-8")))


def entries(path: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    assert listed, f"{path} holds no example"
    return listed


@pytest.mark.clause("facts-6", "intents-2")
def test_the_committed_schemas_are_those_of_the_models() -> None:
    generated = {f"{name}.schema.json": text_of(schema) for name, schema in schemas()}
    committed = {
        str(path.relative_to(CONTRACT)): path.read_text("utf-8")
        for path in CONTRACT.rglob("*.schema.json")
    }
    stale = {n for n in generated.keys() | committed.keys() if generated.get(n) != committed.get(n)}
    assert not stale, f"run python -m tests.contract.regenerate: {sorted(stale)}"


def test_every_kind_has_accepted_and_refused_examples() -> None:
    wanted = {f"facts.{kind}.json" for kind in fact_models()}
    wanted |= {f"intents.{kind}.json" for kind in intent_models()}
    wanted |= {"batch.json", "live.json", "pulse.json", "watermark.json"}
    assert {path.name for path in ACCEPTED} == wanted == {path.name for path in REFUSED}


def test_every_kind_of_the_union_is_known_by_name() -> None:
    assert set(facts.known_kinds()) == set(fact_models())


@pytest.mark.clause("facts-6", "intents-2", "live-1", "pulse-1", "watermark-1")
@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_accepted_examples_are_read_and_written_back_alike(path: Path) -> None:
    for message in entries(path):
        validator(path.stem).validate(message)
        read = reader(path.stem)(message)
        if path.stem.startswith("facts."):
            assert isinstance(read, facts.Stamped)
            assert json.loads(facts.canonical(read)) == message  # type: ignore[arg-type]


@pytest.mark.clause("facts-6", "intents-2", "numbers-1", "numbers-2", "numbers-4")
@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_refused_examples_are_refused_for_what_they_say(path: Path) -> None:
    for entry in entries(path):
        assert entry["why"]
        try:
            reader(path.stem)(entry["message"])
        except ValueError:
            pass
        else:
            pytest.fail(f"{path.name} was read, although: {entry['why']}")
        seen = not validator(path.stem).is_valid(entry["message"])
        assert seen is entry["schema_sees"], entry["why"]
