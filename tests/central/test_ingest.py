"""Facts go into the books once, in order, and only what joins is booked."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from central import outbox
from central.alarms import service as alarms
from central.database import Database, metadata
from central.gateways import service as gateways
from central.gateways.tables import journals
from central.metering import service as metering
from central.metering import tables
from central.metering.service import Arrived, Ingested, Outcome, Prices
from central.sales import service as sales
from central.sales import tables as money
from domain.ledger import Method
from domain.refusals import Refusal
from domain.wire.fields import CHAIN_START
from tests.central.campus import NOW_MS, SUPERVISOR, TECHNICIAN, build, ids, open_room
from tests.central.sound import check_books
from tests.central.voice import METER, MINUTE_MS, Voice, charge

KWH = 5_600_000  # ticks of one kWh
OTHER_JOURNAL = "01jh2kzzzzzzzzzzzzzzzzzzz1"


class Centre:
    """A campus with two open rooms, and everything asked of its books."""

    def __init__(self, database: Database) -> None:
        self.database, self.new_id, self.prices = database, ids(10_000), Prices()

    async def set_up(self) -> None:
        await self.database.write(self._set_up)

    def _set_up(self, connection: Connection) -> None:
        campus = build(connection, self.new_id)
        for gateway_id in ("g1", "g2"):
            assert gateways.add_gateway(
                connection, actor=TECHNICIAN, now_ms=NOW_MS, gateway_id=gateway_id, name=gateway_id
            ) is None  # fmt: skip
        self.point, self.point_2 = campus.point_ids
        opened = [open_room(connection, room_id, self.new_id) for room_id in campus.room_ids]
        self.purse, self.purse_2 = (account.purse_ids[0] for account in opened)

    async def hears(self, *arrived: Arrived, heard_ms: dict[str, int] | None = None) -> Ingested:
        """Take these in one transaction; what became of the last."""
        answers = await self.database.write(
            metering.ingest_all, arrived, new_id=self.new_id, prices=self.prices,
            heard_ms=heard_ms,
        )  # fmt: skip
        return answers[-1]

    async def rows(self, table: Any, *columns: str) -> list[tuple[Any, ...]]:
        wanted = [table.c[name] for name in columns]
        return await self.database.read(
            lambda c: [
                tuple(row)
                for row in c.execute(select(*wanted).order_by(*table.primary_key.columns))
            ]
        )

    async def set_aside(self) -> list[tuple[int, int, str]]:
        found = await self.database.read(metering.set_aside)
        return sorted((item.seq, item.row, item.reason) for item in found)

    async def charged(self) -> dict[str, int]:
        return dict(await self.rows(tables.purse_states, "purse_id", "charged_ticks"))


@pytest.fixture
async def centre(database: Database) -> AsyncIterator[Centre]:
    made = Centre(database)
    await made.set_up()
    yield made
    await database.read(check_books)


@pytest.fixture
async def either_centre(either: Database) -> AsyncIterator[Centre]:
    made = Centre(either)
    await made.set_up()
    yield made
    await either.read(check_books)


def _day(centre: Centre, voice: Voice | None = None) -> Voice:
    """A journal with an opening, three intervals of two rooms, a decision and a relay."""
    voice = voice or Voice()
    voice.opens()
    voice.say(
        "meter_seen", point_id=centre.point, meter_id=METER, incarnation=0, profile="p",
        reason="first", last_total_wh=None, opening_wh=1_000,
    )  # fmt: skip
    voice.takes_credit(centre.purse, 1)
    for n in range(3):
        total_wh = 2_000 + n * 1_000
        voice.reads(centre.point, total_wh)
        voice.charges(
            charge(centre.purse, centre.point, total_wh - 1_000, total_wh, n * KWH),
            charge(centre.purse_2, centre.point_2, n * 500, n * 500 + 500, n * KWH // 2,
                   meter_id="000000000002"),
        )  # fmt: skip
    voice.say(
        "supply_decided", point_id=centre.point, **{"from": "on"}, to="tripped",
        reason="credit_spent", evidence_seq=[8], available_ticks=0, policy_version=1,
    )  # fmt: skip
    voice.say(
        "relay_result", point_id=centre.point, wanted="open", seen="open", tries=1,
        command_id=None, decided_seq=10,
    )  # fmt: skip
    return voice


@pytest.mark.clause("facts-7")
async def test_a_journal_goes_into_the_books(either_centre: Centre) -> None:
    centre = either_centre
    voice = _day(centre)
    answer = await centre.hears(voice.arrives())
    assert (answer.outcome, answer.accepted, answer.opened) == (Outcome.taken, 11, True)
    assert (answer.held_seq, answer.safe_seq, answer.chain) == (11, 11, voice.chains[-1])
    mark = answer.watermark(NOW_MS)
    assert (mark.held_seq, mark.chain, mark.books_epoch) == (11, voice.chains[11], 0)
    assert await centre.charged() == {centre.purse: 3 * KWH, centre.purse_2: 3 * KWH // 2}
    assert await centre.rows(tables.meter_totals, "meter_id", "booked_to_wh") == [
        (METER, 4_000), ("000000000002", 1_500),
    ]  # fmt: skip
    assert [text for _, text in await centre.rows(tables.facts, "seq", "text")] == voice.texts
    assert len(await centre.rows(tables.readings, "ts_ms")) == 3
    assert await centre.rows(
        tables.point_states, "point_id", "total_wh", "read_seq", "supply", "supply_reason", "relay"
    ) == [(centre.point, 4_000, 8, "tripped", "credit_spent", "open")]
    assert await centre.rows(tables.supply_log, "seq", "what", "before", "after") == [
        (10, "decided", "on", "tripped"), (11, "relay", "open", "open"),
    ]  # fmt: skip
    assert await centre.set_aside() == []
    assert await centre.database.read(metering.differences) == []


async def _everything(centre: Centre) -> dict[str, list[tuple[Any, ...]]]:
    names = (
        "facts", "readings", "charges", "purse_states", "point_states", "meter_totals",
        "tier_positions", "quarantine", "supply_log", "openings", "differences", "journals",
    )  # fmt: skip
    return {
        name: await centre.rows(metadata.tables[name], *metadata.tables[name].columns.keys())
        for name in names
    }


@pytest.mark.clause("facts-11")
async def test_a_batch_heard_again_changes_nothing(centre: Centre) -> None:
    voice = _day(centre)
    await centre.hears(voice.arrives())
    before = await _everything(centre)
    for first, last in ((1, None), (3, 7), (11, 11)):
        answer = await centre.hears(voice.arrives(first, last))
        assert (answer.outcome, answer.accepted, answer.held_seq) == (Outcome.repeat, 0, 11)
        assert answer.repeats == (last or 11) - first + 1
    assert await _everything(centre) == before


@pytest.mark.clause("facts-11")
async def test_a_gap_is_waited_for_and_an_overlap_is_taken_once(centre: Centre) -> None:
    voice = _day(centre)
    unknown = await centre.hears(voice.arrives(2, 4))
    assert (unknown.outcome, unknown.held_seq, unknown.chain) == (Outcome.gap, 0, CHAIN_START)
    await centre.hears(voice.arrives(1, 4))
    gap = await centre.hears(voice.arrives(6, 8))
    assert (gap.outcome, gap.held_seq, gap.chain) == (Outcome.gap, 4, voice.chains[4])
    overlap = await centre.hears(voice.arrives(3, 8))
    assert (overlap.outcome, overlap.accepted, overlap.repeats) == (Outcome.taken, 4, 2)
    last = await centre.hears(voice.arrives(9))
    assert (last.held_seq, last.chain) == (11, voice.chains[11])
    assert await centre.set_aside() == []


async def test_several_batches_share_one_transaction(centre: Centre) -> None:
    voice, other = _day(centre), Voice(OTHER_JOURNAL, gateway_id="g2")
    other.opens()
    await centre.hears(
        voice.arrives(1, 5), other.arrives(), voice.arrives(6, 9), voice.arrives(3, 7),
        voice.arrives(10),
    )  # fmt: skip
    assert await centre.rows(journals, "journal_id", "held_seq") == [
        (voice.journal_id, 11), (OTHER_JOURNAL, 1),
    ]  # fmt: skip
    assert (await centre.charged())[centre.purse] == 3 * KWH


@pytest.mark.clause("facts-3")
async def test_another_chain_is_refused_whole_and_shown(centre: Centre) -> None:
    voice, forked = _day(centre), Voice()
    await centre.hears(voice.arrives(1, 5))
    forked.opens("replaced")
    for n in range(8):
        forked.reads(centre.point, 9_000 + n)
    before = await _everything(centre)
    for arrived in (forked.arrives(6), forked.arrives(2)):
        answer = await centre.hears(arrived)
        assert (answer.outcome, answer.held_seq) == (Outcome.other_chain, 5)
        assert answer.chain == voice.chains[5], "the gateway sees by it that its card is older"
    assert await _everything(centre) == before
    standing = await centre.database.read(alarms.standing)
    assert [alarm.code for alarm in standing] == ["other_chain"]


@pytest.mark.clause("facts-5", "facts-12")
async def test_what_cannot_be_read_is_kept_and_the_rest_goes_on(either_centre: Centre) -> None:
    centre, voice = either_centre, Voice()
    voice.opens()
    voice.say("weather", rain=True)
    voice.say("readings", purpose="tea")
    voice.reads(centre.point, 2_000, surprise=1)
    voice.reads(centre.point, 3_000)
    answer = await centre.hears(voice.arrives())
    assert (answer.held_seq, answer.accepted, answer.set_aside) == (5, 5, 3)
    assert await centre.set_aside() == [
        (2, -1, "unknown_kind"), (3, -1, "bad_fact"), (4, -1, "bad_fact"),
    ]  # fmt: skip
    kept = await centre.database.read(metering.set_aside)
    assert {item.text for item in kept} == set(voice.texts[1:4])
    assert "surprise" in next(item.detail for item in kept if item.seq == 4)
    assert len(await centre.rows(tables.readings, "ts_ms")) == 1


@pytest.mark.clause("facts-12")
async def test_it_is_read_again_after_an_upgrade(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = Voice()
    voice.opens()
    voice.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    voice.say("weather", rain=True)
    monkeypatch.setattr("central.metering.readable._KINDS", frozenset({"journal_opened"}))
    await centre.hears(voice.arrives())
    assert await centre.charged() == {}
    monkeypatch.undo()

    def again(connection: Connection) -> int:
        return metering.reread(
            connection, new_id=centre.new_id, prices=centre.prices, now_ms=NOW_MS
        )

    assert await centre.database.write(again) == 1
    assert await centre.database.write(again) == 0
    assert await centre.charged() == {centre.purse: KWH}
    assert await centre.set_aside() == [(3, -1, "unknown_kind")]


MISFITS = [
    ({"from_wh": 1_500, "to_wh": 2_500}, "energy_gap"),
    ({"from_wh": 500, "to_wh": 1_500}, "energy_overlap"),
    ({"charged_ticks": 3 * KWH}, "money_mismatch"),
    ({"purse_id": "nobodys"}, "foreign_purse"),
    ({"from_wh": 1_000, "to_wh": 900}, "bad_row"),
]


@pytest.mark.clause("facts-7", "facts-12")
@pytest.mark.parametrize(("changed", "reason"), MISFITS)
async def test_a_row_that_does_not_join_is_set_aside_alone(
    centre: Centre, changed: dict[str, Any], reason: str
) -> None:
    voice = Voice()
    voice.opens()
    voice.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    wrong = charge(centre.purse, centre.point, 1_000, 2_000, KWH) | changed
    right = charge(centre.purse_2, centre.point_2, 0, 500, 0, meter_id="000000000002")
    voice.charges(wrong, right)
    await centre.hears(voice.arrives())
    assert await centre.set_aside() == [(3, 0, reason)]
    kept = (await centre.database.read(metering.set_aside))[0]
    assert json.loads(kept.text)["charged_ticks"] == wrong["charged_ticks"]
    assert await centre.charged() == {centre.purse: KWH, centre.purse_2: KWH // 2}


@pytest.mark.clause("facts-7", "facts-8")
async def test_an_old_card_is_kept_but_moves_nothing(centre: Centre) -> None:
    old, new = Voice(), Voice(OTHER_JOURNAL, key_epoch=2)
    old.opens()
    old.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    await centre.hears(old.arrives())
    new.opens("replaced", old.journal_id)
    assert (await centre.hears(new.arrives())).opened
    asked = await centre.database.write(_ask_refund, centre)
    old.charges(charge(centre.purse, centre.point, 1_000, 2_000, KWH))
    old.takes_credit(centre.purse, 2, count=9, granted_fen=1)
    old.say(
        "reservation_answered", purse_id=centre.purse, reservation_id=asked.reservation_id,
        accepted=True, available_ticks=0,
    )  # fmt: skip
    old.say(
        "intent_taken", intent_kind="installation", key="g1", version=1, outcome="held", reason=""
    )
    old.reads(centre.point, 2_000)
    late = await centre.hears(old.arrives(3))
    assert (late.outcome, late.held_seq) == (Outcome.taken, 7)
    assert await centre.set_aside() == [(3, 0, "journal_closed")]
    assert await centre.charged() == {centre.purse: KWH}
    assert await centre.rows(tables.purse_states, "gateway_count") == [(None,)]
    assert (await centre.database.read(sales.asked, asked.reservation_id)).state == "open"
    assert {row.held_version for row in await centre.database.read(outbox.everything, "g1")} == {0}
    new.charges(charge(centre.purse, centre.point, 1_000, 3_000, KWH))
    await centre.hears(new.arrives(2))
    assert await centre.charged() == {centre.purse: 3 * KWH}


def _ask_refund(connection: Connection, centre: Centre) -> sales.Asked:
    asked = sales.ask_refund(
        connection, actor=SUPERVISOR, now_ms=NOW_MS, new_id=centre.new_id,
        request_id=centre.new_id(), purse_id=centre.purse, fen=1_000, method=Method.cash,
        reason="moving out",
    )  # fmt: skip
    assert not isinstance(asked, Refusal), asked
    return asked


# --- new journals ------------------------------------------------------------------------------


async def _replace(centre: Centre, new: Voice, *, received_ms: int, **more: Any) -> Ingested:
    return await centre.hears(new.arrives(received_ms=received_ms), **more)


@pytest.mark.clause("journal-1")
@pytest.mark.parametrize("reason", ["first", "replaced"])
async def test_a_twin_is_set_aside_until_the_other_is_silent(centre: Centre, reason: str) -> None:
    old, new = Voice(), Voice(OTHER_JOURNAL)
    old.opens()
    await centre.hears(old.arrives(received_ms=NOW_MS))
    new.opens(reason, old.journal_id)
    new.reads(centre.point, 1_000)
    soon = await _replace(centre, new, received_ms=NOW_MS + 59_999)
    assert (soon.outcome, soon.held_seq, soon.says_watermark) == (Outcome.twin, 0, False)
    later = await centre.hears(new.arrives(2, received_ms=NOW_MS + 59_999))
    assert later.outcome is Outcome.twin
    assert [alarm.code for alarm in await centre.database.read(alarms.standing)] == ["twin"]
    assert await centre.set_aside() == [(1, -1, "twin")]
    pulsed = {old.journal_id: NOW_MS + 30_000}
    still = await _replace(centre, new, received_ms=NOW_MS + 60_000, heard_ms=pulsed)
    assert still.outcome is Outcome.twin, "its pulse was heard 30 s ago"
    silent = await _replace(centre, new, received_ms=NOW_MS + 60_000)
    assert (silent.outcome, silent.held_seq, silent.opened) == (Outcome.taken, 2, True)
    assert await centre.rows(journals, "journal_id", "state") == [
        (old.journal_id, "closed"), (OTHER_JOURNAL, "open"),
    ]  # fmt: skip
    assert await centre.set_aside() == []
    assert await centre.database.read(alarms.standing) == []


@pytest.mark.clause("journal-1")
async def test_a_new_key_epoch_is_taken_at_once(centre: Centre) -> None:
    old, new = Voice(), Voice(OTHER_JOURNAL, key_epoch=2)
    old.opens()
    new.opens("replaced", old.journal_id)
    old.reads(centre.point, 1_000)
    await centre.hears(old.arrives(1, 1), new.arrives(), old.arrives(2))
    assert await centre.rows(journals, "state", "held_seq") == [("closed", 2), ("open", 1)]
    assert await centre.rows(tables.point_states, "point_id") == []


async def test_a_card_that_went_back_in_time_begins_anew_with_an_alarm(centre: Centre) -> None:
    old, new = Voice(), Voice(OTHER_JOURNAL)
    old.opens()
    new.opens("rolled_back", old.journal_id)
    await centre.hears(old.arrives())
    assert (await centre.hears(new.arrives())).opened
    assert [alarm.code for alarm in await centre.database.read(alarms.standing)] == ["rolled_back"]
    stranger = Voice("01jh2kzzzzzzzzzzzzzzzzzzz2")
    stranger.opens("rolled_back", "01jh2kzzzzzzzzzzzzzzzzzzz9")
    assert (await centre.hears(stranger.arrives())).outcome is Outcome.twin


async def test_a_journal_belongs_to_one_gateway_and_begins_with_its_opening(
    centre: Centre,
) -> None:
    voice, thief, mute = Voice(), Voice(gateway_id="g2"), Voice(OTHER_JOURNAL)
    for each in (voice, thief):
        each.opens()
    mute.reads(centre.point, 1)
    await centre.hears(voice.arrives())
    thief.reads(centre.point, 1)
    foreign = await centre.hears(thief.arrives())
    assert (foreign.outcome, foreign.says_watermark) == (Outcome.foreign_journal, False)
    assert (await centre.hears(mute.arrives())).outcome is Outcome.not_opened
    assert await centre.rows(journals, "journal_id", "held_seq") == [(voice.journal_id, 1)]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("credit_taken", {"version": 1, "count": 5, "granted_fen": 1, "source": "intent"}),
        ("reservation_answered", {"reservation_id": "r", "accepted": True, "available_ticks": 1}),
        ("purse_closed", {"final_seq": 1, "granted_fen": 0, "charged_ticks": 0}),
        ("charge_corrected",
         {"corrects_seq": 1, "row": 0, "ticks": 5, "charged_ticks": 5, "reason": "r"}),
    ],
)  # fmt: skip
async def test_a_gateway_cannot_speak_for_anothers_purse(
    centre: Centre, kind: str, content: dict[str, Any]
) -> None:
    voice = Voice(OTHER_JOURNAL, gateway_id="g2")
    voice.opens()
    voice.say(kind, purse_id=centre.purse, **content)
    voice.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    voice.reads(centre.point, 1_000)
    await centre.hears(voice.arrives())
    assert await centre.set_aside() == [
        (2, -1, "foreign_purse"), (3, 0, "foreign_purse"), (4, 0, "foreign_point"),
    ]  # fmt: skip
    assert await centre.rows(tables.purse_states, "purse_id") == []
    assert await centre.rows(tables.readings, "ts_ms") == []


# --- intents, answers, alarms ------------------------------------------------------------------


@pytest.mark.clause("credit-5")
async def test_an_answer_pays_a_refund_once(either_centre: Centre) -> None:
    centre, voice = either_centre, Voice()
    asked = await centre.database.write(_ask_refund, centre)
    voice.opens()
    voice.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    answer = {"purse_id": centre.purse, "reservation_id": asked.reservation_id}
    voice.say("reservation_answered", **answer, accepted=True, available_ticks=1)
    voice.say("reservation_answered", **answer, accepted=True, available_ticks=1)
    voice.say("reservation_answered", **(answer | {"reservation_id": "r9"}), accepted=True,
              available_ticks=1)  # fmt: skip
    await centre.hears(voice.arrives())
    settled = await centre.database.read(sales.asked, asked.reservation_id)
    assert settled.state == "posted"
    assert settled.receipt is not None
    granted = await centre.rows(money.purses, "purse_id", "count", "granted_fen")
    assert (centre.purse, 2, 4_000) in granted
    assert await centre.set_aside() == [(5, -1, "unknown_reservation")]


async def test_intents_are_settled_by_what_the_gateway_says(centre: Centre) -> None:
    voice = Voice()
    voice.opens()
    version = {
        (row.kind, row.key): row.version
        for row in await centre.database.read(outbox.outstanding, "g1")
    }
    taken = {"intent_kind": "tariff", "key": "flat", "version": 1}
    voice.say("intent_taken", **taken, outcome="held", reason="")
    taken = {"intent_kind": "policy", "key": "usual", "version": 1}
    voice.say("intent_taken", **taken, outcome="refused", reason="没有此项")
    voice.takes_credit(centre.purse, version["credit", centre.purse])
    voice.takes_credit(centre.purse_2, None, source="code", count=2, granted_fen=7_000)
    await centre.hears(voice.arrives())
    left = {(row.kind, row.key) for row in await centre.database.read(outbox.outstanding, "g1")}
    assert left == {("installation", "g1"), ("credit", centre.purse_2)}
    refused = await centre.database.read(outbox.refused)
    assert [(row.kind, row.key, row.refused_reason) for row in refused] == [
        ("policy", "usual", "没有此项")
    ]
    assert (
        sorted(
            await centre.rows(
                tables.purse_states, "gateway_version", "gateway_count", "gateway_granted_fen"
            ),
            key=str,
        )
        == [(None, 2, 7_000), (version["credit", centre.purse], 1, 5_000)][::-1]
    )


async def test_alarms_begin_and_end(centre: Centre) -> None:
    voice, other = Voice(), Voice(OTHER_JOURNAL, gateway_id="g2")
    alarm = {"alarm_id": "a-1", "code": "lost_meter", "subject_id": centre.point}
    more = {"severity": "warning", "detail": "表 1"}
    voice.opens()
    other.opens()
    voice.say("alarm_raised", **alarm, **more)
    other.say("alarm_cleared", **alarm, **more)
    await centre.hears(voice.arrives(), other.arrives())
    standing = await centre.database.read(alarms.standing, subject_id=centre.point)
    assert [(item.code, item.detail) for item in standing] == [("lost_meter", "表 1")]
    seen: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS, "gateway_id": "g1"}
    assert await centre.database.write(alarms.acknowledge, **seen, alarm_id="a-1") is None
    missing = await centre.database.write(alarms.acknowledge, **seen, alarm_id="a-2")
    assert missing is Refusal.not_found
    voice.say("alarm_cleared", **alarm, **more)
    await centre.hears(voice.arrives(3))
    assert await centre.database.read(alarms.standing) == []


async def test_no_gateway_takes_the_name_of_anothers_alarm_or_of_the_offices(
    either_centre: Centre,
) -> None:
    centre, voice, other, thief = (
        either_centre, Voice(), Voice(OTHER_JOURNAL, gateway_id="g2"), Voice("thief"),
    )  # fmt: skip
    more = {"subject_id": "x", "severity": "warning", "detail": ""}
    for each, taken in ((voice, ("a-1", "twin-thief")), (other, ("a-1", "centre:twin-thief"))):
        each.opens()
        for alarm_id in taken:
            each.say("alarm_raised", alarm_id=alarm_id, code="lost_meter", **more)
    thief.opens()
    await centre.hears(voice.arrives(), other.arrives(), thief.arrives())
    standing = await centre.database.read(alarms.standing)
    assert sorted((item.gateway_id, item.code) for item in standing) == [
        ("g1", "lost_meter"), ("g1", "lost_meter"), ("g1", "twin"), ("g2", "lost_meter"),
    ]  # fmt: skip
    assert await centre.set_aside() == [(1, -1, "twin"), (3, -1, "bad_fact")]


async def test_a_gateway_whose_charges_book_no_more_is_shown_until_one_does(
    either_centre: Centre,
) -> None:
    centre, voice = either_centre, Voice()

    async def halted() -> tuple[list[str], list[str]]:
        standing = await centre.database.read(alarms.standing, subject_id="g1")
        listed = await centre.database.read(gateways.overview, now_ms=NOW_MS)
        pages = [each.gateway.gateway_id for each in listed if not each.is_booking]
        return [each.code for each in standing], pages

    shown = (["charges_not_booking"], ["g1"])
    voice.opens()
    voice.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    voice.say("alarm_raised", alarm_id="a", code="charges_not_booking", subject_id="x",
              severity="warning", detail="")  # fmt: skip
    await centre.hears(voice.arrives())
    assert await halted() == ([], [])
    for _ in range(2):
        voice.charges(charge(centre.purse, centre.point, 500, 900, 0))
        await centre.hears(voice.arrives(voice.head_seq))
        assert await halted() == shown
    voice.reads(centre.point, 1_000)
    await centre.hears(voice.arrives(voice.head_seq))
    assert await halted() == shown
    joins = charge(centre.purse, centre.point, 1_000, 2_000, KWH)
    voice.charges(charge(centre.purse, centre.point, 500, 900, 0), joins)
    await centre.hears(voice.arrives(voice.head_seq))
    assert await halted() == ([], [])
    voice.charges(charge(centre.purse, centre.point, 2_500, 3_000, 2 * KWH))
    await centre.hears(voice.arrives(voice.head_seq))
    assert await halted() == shown


# --- prices, clocks, openings ------------------------------------------------------------------


@pytest.mark.clause("facts-13")
async def test_what_the_centre_prices_differently_is_booked_and_listed(centre: Centre) -> None:
    voice = Voice()
    voice.opens()
    dearer = {"rate": 3, "tier": 0, "wh": 1_000, "price_e4": 6_000, "estimated": False}
    voice.charges(
        charge(centre.purse, centre.point, 0, 1_000, 0, parts=[dearer], ticks=6_000_000,
               charged_ticks=6_000_000),
    )  # fmt: skip
    voice.charges(charge(centre.purse, centre.point, 1_000, 2_000, 6_000_000, parts=[dearer]))
    voice.charges(
        charge(centre.purse_2, "unknown-point", 0, 1_000, 0, meter_id="000000000002"),
        charge(centre.purse_2, centre.point_2, 1_000, 2_000, KWH, meter_id="000000000002",
               from_ms=0, to_ms=2**53 - 1),
    )  # fmt: skip
    await centre.hears(voice.arrives())
    assert await centre.charged() == {centre.purse: 6_000_000 + KWH, centre.purse_2: 2 * KWH}
    found = await centre.database.read(metering.differences)
    assert sorted((d.seq, d.row, d.reason, d.edge_ticks, d.centre_ticks) for d in found) == [
        (2, 0, "priced_differently", 6_000_000, KWH),
        (3, 0, "parts_do_not_add_up", KWH, KWH),
        (4, 0, "no_price", KWH, None),
        (4, 1, "span_not_priceable", KWH, None),
    ]


async def test_a_correction_books_where_it_joins(centre: Centre) -> None:
    voice = Voice()
    voice.opens()
    voice.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    right = {"corrects_seq": 2, "row": 0, "purse_id": centre.purse, "reason": "late_hour"}
    voice.say("charge_corrected", **right, ticks=-600_000, charged_ticks=KWH - 600_000)
    voice.say("charge_corrected", **right, ticks=-600_000, charged_ticks=KWH - 600_000)
    await centre.hears(voice.arrives())
    assert await centre.charged() == {centre.purse: KWH - 600_000}
    assert await centre.set_aside() == [(4, -1, "money_mismatch")]


async def test_energy_of_nobody_is_passed_over_where_an_account_begins(centre: Centre) -> None:
    voice = Voice()
    voice.opens()
    voice.charges(charge(centre.purse, centre.point, 0, 1_000, 0))
    voice.reads(centre.point, 1_800, purpose="opening")
    voice.charges(charge(centre.purse, centre.point, 1_800, 2_000, KWH))
    voice.reads(centre.point, 1_500, purpose="opening")  # never backwards
    voice.charges(charge(centre.purse, centre.point, 1_500, 2_500, KWH + 1_120_000))
    await centre.hears(voice.arrives())
    assert await centre.rows(tables.openings, "from_wh", "to_wh") == [(1_000, 1_800)]
    assert await centre.set_aside() == [(6, 0, "energy_overlap")]


async def test_suspect_readings_are_kept_and_change_no_state(centre: Centre) -> None:
    voice = Voice()
    voice.opens()
    voice.reads(centre.point, 1_000)
    voice.reads(centre.point, 999_000, quality=["suspect:too_fast"], rate_wh=[[1, 2]])
    await centre.hears(voice.arrives())
    assert await centre.rows(tables.readings, "total_wh", "quality", "rate_wh") == [
        (1_000, "good", None), (999_000, "suspect:too_fast", "[1, 2]"),
    ]  # fmt: skip
    assert await centre.rows(tables.point_states, "total_wh") == [(1_000,)]


@pytest.mark.clause("numbers-5")
async def test_readings_get_their_time_once_the_clock_is_set(either_centre: Centre) -> None:
    centre, voice = either_centre, Voice()
    voice.opens()
    known_ms = voice.at_ms
    unknown: dict[str, Any] = {"trust": 0, "boot": 2}
    voice.say("bus_health", bus_id="u1", point_id=[centre.point], good=[1], bad=[0], p50_ms=[1],
              p99_ms=[None], **unknown, at_ms=500, mono_ms=500)  # fmt: skip
    voice.reads(centre.point, 1_000, at_ms=1_000, mono_ms=1_000, **unknown)
    voice.reads(centre.point, 1_100, at_ms=61_000, mono_ms=61_000, **unknown)
    set_ms = NOW_MS + 3_600_000
    voice.say("clock_set", source="ntp", before_ms=70_000, trust_before=0, trust=3, boot=2,
              at_ms=set_ms, mono_ms=70_000)  # fmt: skip
    await centre.hears(voice.arrives(1, 3))
    assert [row for (row,) in await centre.rows(tables.readings, "ts_ms")] == [1_000]
    await centre.hears(voice.arrives(4))
    assert await centre.rows(tables.readings, "ts_ms", "total_wh") == [
        (set_ms - 69_000, 1_000), (set_ms - 9_000, 1_100),
    ]  # fmt: skip
    assert known_ms == NOW_MS + MINUTE_MS


async def test_what_a_gateway_without_the_time_says_is_shown_as_when_it_was_heard(
    centre: Centre,
) -> None:
    voice = Voice()
    voice.opens()
    unknown: dict[str, Any] = {"trust": 0, "at_ms": 122, "mono_ms": 122}
    voice.say(
        "supply_decided", point_id=centre.point, **{"from": "on"}, to="warned", reason="credit_low",
        evidence_seq=[], available_ticks=1, policy_version=1, **unknown,
    )  # fmt: skip
    arrived = voice.arrives()
    await centre.hears(arrived)
    ((at_ms,),) = await centre.rows(tables.supply_log, "at_ms")
    assert at_ms == arrived.received_ms


async def test_what_is_set_aside_can_be_settled_by_a_person(centre: Centre) -> None:
    voice = Voice()
    voice.opens()
    voice.say("weather")
    await centre.hears(voice.arrives())
    named: dict[str, Any] = {
        "journal_id": voice.journal_id,
        "seq": 2,
        "row": -1,
        "reason": "not needed",
    }
    by: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS}
    assert await centre.database.write(metering.settle, **by, **named) is None
    assert await centre.database.write(metering.settle, **by, **named) is Refusal.not_found
    assert await centre.set_aside() == []
    assert len(await centre.database.read(metering.set_aside, settled=True)) == 1


async def test_a_failed_group_leaves_nothing(centre: Centre) -> None:
    voice = _day(centre)

    def fails(connection: Connection) -> None:
        metering.ingest(connection, voice.arrives(), new_id=centre.new_id, prices=centre.prices)
        connection.execute(insert(tables.meter_totals).values(meter_id=METER, incarnation=0))

    before = await _everything(centre)
    with pytest.raises(Exception, match="NOT NULL"):
        await centre.database.write(fails)
    assert await _everything(centre) == before
    assert (await centre.hears(voice.arrives())).held_seq == 11


async def test_no_facts_count_is_kept_twice(centre: Centre) -> None:
    voice = _day(centre)
    await centre.hears(voice.arrives(), voice.arrives(), voice.arrives(4, 9))
    count = select(func.count()).select_from(tables.facts)
    assert await centre.database.read(lambda c: c.scalar(count)) == 11
