"""Batches of facts: the frame is strict, a fact stands for itself, and the chain binds them."""

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from domain import instants
from domain.supply import State
from domain.units import INT_MAX
from domain.wire import facts
from domain.wire.fields import CHAIN_START
from tests.contract.regenerate import CONTRACT

STAMP: dict[str, Any] = {"at_ms": 1_767_225_600_000, "trust": 3, "boot": 1, "mono_ms": 5}
JOURNAL = "01jh2kzzzzzzzzzzzzzzzzzzz0"


def taken(seq: int, **more: Any) -> dict[str, Any]:
    fact = {"kind": "credit_taken", "seq": seq, **STAMP, "purse_id": "p1", "version": 3}
    return {**fact, "count": 2, "granted_fen": 5000, "source": "intent", **more}


def batch(*listed: object, **more: Any) -> bytes:
    frame = {"v": 1, "journal_id": JOURNAL, "first_seq": 7, "chain_before": CHAIN_START}
    return json.dumps({**frame, "facts": listed, **more}, ensure_ascii=False).encode()


@pytest.mark.clause("facts-1")
def test_a_batch_is_a_run_of_a_journal_without_gaps() -> None:
    read = facts.parse_batch(batch(taken(7), taken(8), taken(9)))
    assert (read.journal_id, read.first_seq, read.last_seq) == (JOURNAL, 7, 9)
    assert [fact.seq for fact in read.facts] == [7, 8, 9]
    assert [type(facts.parse_fact(fact.raw)).__name__ for fact in read.facts] == ["CreditTaken"] * 3


@pytest.mark.clause("facts-1")
@pytest.mark.parametrize(
    "data",
    [
        batch(),
        batch(taken(8)),
        batch(taken(7), taken(9)),
        batch(taken(8), taken(7)),
        batch(taken(7), taken(7)),
        batch({**taken(7), "seq": "7"}),
        batch({**taken(7), "seq": True}, first_seq=1),
        batch({**taken(7), "seq": 7.0}),
        batch({k: v for k, v in taken(7).items() if k != "kind"}),
        batch("a fact"),
        batch(taken(7), first_seq=0),
        batch(taken(7), chain_before="00"),
        batch(taken(7), journal_id="../etc"),
        batch(taken(7), v=0),
        batch(taken(7), v="1"),
        batch(taken(7), more=1),
        batch(*(taken(7 + n) for n in range(201))),
        batch(taken(7, source="x" * facts.BATCH_TEXT_MAX)),
        batch(taken(7)).replace(b"5000", b"NaN"),
        batch(taken(7)).replace(b"5000", b"9" * 5000),
        batch(taken(7))[:-1],
        b'{"v":' + b"[" * 100_000,
        b"\xff\xfe",
        b"",
        b"null",
        b"[]",
    ],
)
def test_what_is_no_such_run_is_refused_whole(data: bytes) -> None:
    with pytest.raises(ValueError):
        facts.parse_batch(data)


@pytest.mark.clause("facts-5")
def test_a_bad_or_unknown_fact_does_not_spoil_its_neighbours() -> None:
    strange = {"kind": "moon_phase", "seq": 8, "full": 0.5, "who": ["谁", None]}
    read = facts.parse_batch(batch(taken(7), strange, taken(9, colour="red"), taken(10)))
    outcome = []
    for fact in read.facts:
        try:
            facts.parse_fact(fact.raw)
            outcome.append("booked")
        except ValidationError:
            outcome.append("kept")
    assert outcome == ["booked", "kept", "kept", "booked"]
    text = '{"full":0.5,"kind":"moon_phase","seq":8,"who":["谁",null]}'
    assert (read.facts[1].kind, read.facts[1].text) == ("moon_phase", text)
    assert json.loads(read.facts[2].text) == taken(9, colour="red")


@pytest.mark.clause("facts-2", "facts-3")
def test_the_chain_runs_over_canonical_text() -> None:
    scrambled = dict(reversed(taken(7).items()))
    read = facts.parse_batch(batch(scrambled, taken(8)))
    text = (
        '{"at_ms":1767225600000,"boot":1,"count":2,"granted_fen":5000,"kind":"credit_taken",'
        '"mono_ms":5,"purse_id":"p1","seq":7,"source":"intent","trust":3,"version":3}'
    )
    assert read.facts[0].text == text == facts.canonical(facts.parse_fact(scrambled))
    link = bytes(16)
    for fact in read.facts:
        link = hashlib.sha256(link + fact.text.encode()).digest()[:16]
        assert fact.chain == link.hex()
    assert read.chain_after == link.hex() == facts.chain(read.facts[0].chain, read.facts[1].text)


@pytest.mark.clause("facts-2")
def test_canonical_text_keeps_chinese_and_the_name_from() -> None:
    listed = json.loads((CONTRACT / "examples/accepted/facts.alarm_raised.json").read_text("utf-8"))
    assert "仍显示合闸" in facts.canonical(facts.parse_fact(listed[0]))
    decided = facts.SupplyDecided(
        seq=1, **STAMP, point_id="a", from_=State.on, to=State.tripped,
        reason="credit_spent", evidence_seq=(), available_ticks=None, policy_version=0,
    )  # fmt: skip
    assert '"from":"on"' in facts.canonical(decided)
    assert facts.parse_fact(json.loads(facts.canonical(decided))) == decided


@pytest.mark.clause("facts-1", "facts-2")
def test_what_is_encoded_is_read_back_alike() -> None:
    texts = [facts.canonical(taken(7 + n, purse_id=f"p{n}")) for n in range(3)]
    data = facts.encode_batch(
        journal_id=JOURNAL, first_seq=7, chain_before=CHAIN_START, texts=texts
    )
    assert [fact.text for fact in facts.parse_batch(data).facts] == texts


@pytest.mark.clause("facts-1")
def test_a_sender_knows_how_many_facts_one_batch_carries() -> None:
    assert facts.how_many([]) == 0
    assert facts.how_many(["x"] * 500) == 200
    large = "室" * 40_000  # 120 000 bytes of UTF-8
    assert facts.how_many([large] * 5) == 2
    assert facts.how_many(["x" * facts.BATCH_TEXT_MAX * 2] * 2) == 1


@pytest.mark.clause("facts-4")
@pytest.mark.parametrize("kind", ["readings", "charges", "bus_health"])
def test_every_column_of_a_fact_has_the_same_length(kind: str) -> None:
    path = CONTRACT / f"examples/accepted/facts.{kind}.json"
    good = json.loads(path.read_text("utf-8"))[0]
    columns = [name for name, value in good.items() if isinstance(value, list)]
    assert len(columns) >= 5
    for name in columns:
        with pytest.raises(ValidationError, match="columns differ in length"):
            facts.parse_fact({**good, name: [*good[name], good[name][-1]]})


@pytest.mark.clause("numbers-1")
def test_integers_stay_where_every_reader_keeps_them() -> None:
    for kept in (INT_MAX, -INT_MAX):
        assert facts.parse_fact(taken(7, granted_fen=kept))
    for number in (INT_MAX + 1, -INT_MAX - 1, 1.0, 0.5, "1", True, None):
        with pytest.raises(ValidationError):
            facts.parse_fact(taken(7, granted_fen=number))


@pytest.mark.clause("numbers-3")
def test_a_nameplate_number_is_text() -> None:
    path = CONTRACT / "examples/accepted/facts.meter_seen.json"
    seen = json.loads(path.read_text("utf-8"))[0]
    for good in ("000012345678", "DDSY1352-00A7", "7"):
        assert json.loads(facts.canonical(facts.parse_fact({**seen, "meter_id": good}))) == {
            **seen,
            "meter_id": good,
        }
    for bad in (12_345_678, "", "0 1", "No. 7", "7" * 41):
        with pytest.raises(ValidationError):
            facts.parse_fact({**seen, "meter_id": bad})


@pytest.mark.clause("numbers-2")
def test_ids_are_spelled_one_way() -> None:
    for good in ("p", "p-1", "0" * 40):
        assert facts.parse_fact(taken(7, purse_id=good))
    for bad in ("", "P1", "p_1", "p 1", "p/1", "室", "p" * 41, 7, None):
        with pytest.raises(ValidationError):
            facts.parse_fact(taken(7, purse_id=bad))


@pytest.mark.clause("numbers-4")
@pytest.mark.parametrize("field", [*STAMP, "seq"])
def test_no_fact_goes_without_its_stamp(field: str) -> None:
    stripped = {name: value for name, value in taken(7).items() if name != field}
    with pytest.raises(ValidationError, match=field):
        facts.parse_fact(stripped)
    for bad in (-1, 2**53, "3", None):
        with pytest.raises(ValidationError):
            facts.parse_fact({**taken(7), field: bad})


@pytest.mark.clause("numbers-5")
def test_a_clock_that_was_set_dates_the_facts_before_it() -> None:
    early = instants.Stamp(1_000, instants.Trust.unknown, boot=4, mono_ms=60_000)
    assert instants.redated(early, at_set_ms=1_767_225_600_000, mono_set_ms=90_000) == (
        1_767_225_600_000 - 30_000
    )


@pytest.mark.clause("numbers-6")
def test_unknown_fields_pass_only_in_a_later_version() -> None:
    with pytest.raises(ValidationError, match="colour"):
        facts.parse_fact(taken(7, colour="red"))
    read = facts.parse_batch(batch(taken(7, colour="red"), v=2, seen_by="gw-1"))
    assert facts.parse_fact(read.facts[0].raw, read.v) == facts.parse_fact(taken(7))
    assert '"colour":"red"' in read.facts[0].text  # chained as it was written
    path = CONTRACT / "examples/accepted/facts.charges.json"
    charges = json.loads(path.read_text("utf-8"))[0]
    charges["parts"][0][0]["fen"] = 3
    with pytest.raises(ValidationError, match="fen"):
        facts.parse_fact(charges)
    assert facts.parse_fact(charges, v=2)
