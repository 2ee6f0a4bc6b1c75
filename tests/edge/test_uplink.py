"""The uplink over a real broker: what it says and when, what it takes, and what stops it not."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import aiomqtt
import pytest

from domain.instants import Trust
from domain.wire.envelope import ENVELOPE_MAX, Sealer
from domain.wire.topics import Kind, Topics
from edge import in_flight, uplink
from edge.events import ClockStepped, IntentArrived, WatermarkArrived
from edge.faults import JournalFault
from edge.memory import Commit, Written
from tests import broker as brokers
from tests.broker import CELL, INTRUDER, Broker
from tests.edge.scripted_centre import (
    GATEWAY,
    T0,
    TOPICS,
    Centre,
    Gateway,
    centre,
    connected,
    gateway,
    intent,
    note,
)

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of the wire, made short."""
    monkeypatch.setattr(uplink, "PULSE_S", 0.05)
    monkeypatch.setattr(uplink, "RECONNECT_FIRST_S", 0.02)
    monkeypatch.setattr(uplink, "RECONNECT_LAST_S", 0.1)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    accounts = [brokers.centre(), INTRUDER, brokers.gateway(GATEWAY)]
    async with Broker(tmp_path, accounts) as running:
        yield running


@pytest.fixture
async def office(broker: Broker) -> AsyncIterator[Centre]:
    async with centre(broker) as made:
        yield made


@pytest.fixture
async def g1(broker: Broker, office: Centre, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(broker, tmp_path) as made:
        yield made


def firsts(me: Centre) -> list[int]:
    return [batch.first_seq for batch in me.batches]


# --- what it says --------------------------------------------------------------------------------


@pytest.mark.clause("topics-5")
async def test_facts_at_qos_1_live_and_pulse_at_0_and_nothing_is_retained(
    broker: Broker, office: Centre, g1: Gateway
) -> None:
    await g1.write(3)
    g1.start()
    await office.until(lambda me: bool(me.batches and me.pictures and me.pulses))
    assert {(one.topic, one.qos) for one in office.heard} == {
        (TOPICS.facts, 1),
        (TOPICS.live, 0),
        (TOPICS.pulse, 0),
    }
    async with connected(broker, INTRUDER) as late:
        await late.subscribe(f"wl1/{CELL}/{GATEWAY}/up/#", qos=1)
        async with asyncio.timeout(10):
            async for message in late.messages:
                assert not message.retain, message.topic
                if message.topic.value == TOPICS.pulse:
                    break  # what is retained comes before what is said now


@pytest.mark.clause("topics-5")
async def test_it_starts_clean_and_leaves_no_session_behind(
    broker: Broker, office: Centre, g1: Gateway
) -> None:
    async with connected(broker, brokers.gateway(GATEWAY), session_s=1_000) as earlier:
        await earlier.subscribe(TOPICS.down_filter, qos=1)
    await office.say(intent(9), retain=False)  # kept for the session that was left behind
    g1.start()
    await office.until_beats()
    await g1.stop()
    await office.say(intent(1), retain=False)  # to whoever listens: nobody does
    g1.start()
    await office.until_beats()
    await office.say(intent(2), retain=False)
    await g1.until(lambda me: bool(me.arrived))
    assert [e.intent.version for e in g1.arrived if isinstance(e, IntentArrived)] == [2]


@pytest.mark.clause("topics-5")
async def test_an_empty_payload_means_nothing(office: Centre, g1: Gateway) -> None:
    g1.start()
    await office.until_beats()
    for topic in (TOPICS.intent("policy", "dorm"), TOPICS.watermark("j1")):
        await office.client.publish(topic, b"", qos=1, retain=True)
    await office.say(intent(1))
    await g1.until(lambda me: bool(me.arrived))
    assert g1.uplink.refused == {}
    assert len(g1.arrived) == 1


@pytest.mark.clause("live-2")
async def test_the_whole_picture_first_then_changes_and_the_whole_again(
    office: Centre, g1: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert uplink.FULL_PICTURE_S == 30
    monkeypatch.setattr(uplink, "FULL_PICTURE_S", 0.4)
    g1.start()
    await office.until(lambda me: bool(me.pictures))
    g1.speaker.cycle = 2
    await office.until(lambda me: len(me.pictures) >= 2)
    g1.speaker.cycle = 3
    await office.until(lambda me: sum(one.full for one in me.pictures) >= 3)
    told = [(one.cycle, one.full) for one in office.pictures]
    assert told[:3] == [(1, True), (2, False), (3, False)], "what did not change is not told"
    assert told[3:] == [(3, True), (3, True)]
    times = [one.at_s for one in office.heard if one.topic == TOPICS.live]
    assert times[2] - times[1] > 0.03, "not before the live period is over"
    assert times[3] - times[0] > 0.35


@pytest.mark.clause("pulse-2")
async def test_a_pulse_at_once_and_then_every_period(
    broker: Broker, office: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert uplink.PULSE_S == 15
    monkeypatch.setattr(uplink, "PULSE_S", 0.2)
    async with gateway(broker, tmp_path) as g1:
        await g1.write(3)
        g1.start()
        await office.until(lambda me: len(me.pulses) >= 4)
    times = [one.at_s for one in office.heard if one.topic == TOPICS.pulse]
    assert min(later - before for before, later in pairwise(times)) > 0.15
    pulse = office.pulses[-1]
    assert (pulse.journal_id, pulse.head_seq, pulse.held_seq) == ("j1", 3, 0)
    assert (pulse.trust, pulse.boot, pulse.intents_digest) == (0, 1, "ab" * 32)
    assert pulse.disk_free_mib > 0


# --- facts until they are held -------------------------------------------------------------------


@pytest.mark.clause("watermark-2")
async def test_eight_batches_are_on_their_way_and_the_watermark_lets_the_next_go(
    office: Centre, g1: Gateway
) -> None:
    await g1.write(2_100)
    g1.start()
    await office.until(lambda me: len(me.batches) >= 8)
    await office.until_beats(3)
    assert firsts(office) == [1 + 200 * n for n in range(8)]
    for before, after in pairwise(office.batches):
        assert after.chain_before == before.chain_after
    await office.say(office.mark(g1.journal, 400))
    await office.until(lambda me: len(me.batches) >= 10)
    assert firsts(office)[8:] == [1_601, 1_801]
    await office.say(office.mark(g1.journal, 2_000))
    await office.until(lambda me: me.batches[-1].last_seq == 2_100)
    await office.say(office.mark(g1.journal, 2_100))
    await office.until(lambda me: me.pulses[-1].held_seq == 2_100)
    assert len(office.batches) == 11


@pytest.mark.clause("watermark-2")
async def test_what_is_not_held_is_sent_again_from_there(
    office: Centre, g1: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (in_flight.RESEND_FIRST_S, in_flight.RESEND_LAST_S) == (10, 300)
    monkeypatch.setattr(in_flight, "RESEND_FIRST_S", 0.3)
    monkeypatch.setattr(in_flight, "RESEND_LAST_S", 0.3)
    await g1.write(250)
    g1.start()
    await office.until(lambda me: len(me.batches) >= 4)
    assert firsts(office) == [1, 201] * 2
    times = [one.at_s for one in office.heard if one.topic == TOPICS.facts]
    assert times[2] - times[0] > 0.2
    await office.say(office.mark(g1.journal, 100))
    await office.until(lambda me: me.batches[-1].first_seq == 101)
    await office.say(office.mark(g1.journal, 250))
    await office.until(lambda me: me.pulses[-1].held_seq == 250)
    said = len(office.batches)
    await office.until_beats(8)  # longer than a pause
    assert len(office.batches) == said


@pytest.mark.clause("watermark-2")
async def test_a_centre_that_says_its_watermark_again_gets_the_rest_at_once(
    office: Centre, g1: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "ROUND_TRIP_S", 0.05)
    monkeypatch.setattr(in_flight, "RESEND_FIRST_S", 1_000.0)
    g1.start()
    await g1.write(3)
    await office.until(lambda me: me.pulses[-1:] != [] and me.pulses[-1].head_seq == 3)
    await office.say(office.mark(g1.journal, 2))
    await office.until(lambda me: me.pulses[-1].held_seq == 2)
    await g1.write(5)
    await office.until(lambda me: me.batches[-1].last_seq == 5)
    await office.until_beats()
    said = len(office.batches)
    await office.say(office.mark(g1.journal, 2))
    await office.until(lambda me: len(me.batches) > said)
    assert (office.batches[-1].first_seq, office.batches[-1].last_seq) == (3, 5)


@pytest.mark.clause("watermark-3")
async def test_restored_books_get_everything_beyond_what_they_hold(
    office: Centre, g1: Gateway
) -> None:
    await g1.write(10)
    g1.start()
    await office.until(lambda me: bool(me.batches))
    await office.say(office.mark(g1.journal, 10))
    await office.until(lambda me: me.pulses[-1].held_seq == 10)
    await office.say(office.mark(g1.journal, 4))  # of the same books: old
    await office.say(office.mark(g1.journal, 4, epoch=1))
    await office.until(lambda me: len(me.batches) >= 2)
    assert firsts(office) == [1, 5]


async def test_a_journal_that_begins_anew_is_sent_from_its_start(
    office: Centre, g1: Gateway
) -> None:
    await g1.write(5)
    g1.start()
    await office.until(lambda me: bool(me.batches))
    ahead = office.mark(g1.journal, 5).model_copy(update={"held_seq": 50})
    await office.say(ahead)
    await g1.until(lambda me: me.journal.series.journal_id == "j2")
    await g1.write(2)
    await office.until(lambda me: me.batches[-1].journal_id == "j2")
    assert (office.batches[-1].first_seq, office.batches[-1].last_seq) == (1, 2)


async def test_a_batch_too_large_for_an_envelope_goes_in_pieces(
    office: Centre, g1: Gateway
) -> None:
    await g1.write(6, size=40_000)
    g1.start()
    await office.until(lambda me: bool(me.batches) and me.batches[-1].last_seq == 6)
    assert len(office.batches) > 1
    assert firsts(office) == [1, *(batch.last_seq + 1 for batch in office.batches[:-1])]


async def test_a_fact_that_no_envelope_holds_stops_facts_and_nothing_else(
    office: Centre, g1: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    await g1.write(2)
    text = f'{{"kind":"noted","seq":3,"text":"{"ab" * 150_000}"}}'  # shrinks well: the books refuse
    await g1.journal.commit(Commit(facts=(Written(3, "noted", text),)))
    g1.start()
    await office.until(lambda me: bool(me.batches) and me.batches[-1].last_seq == 2)
    await g1.until(lambda me: me.uplink.stuck_seq == 3)
    await g1.write(4)
    await office.until_beats(4)
    assert g1.uplink.connected
    assert firsts(office) == [1]
    said = [r for r in caplog.records if r.name == "edge.uplink" and r.levelname == "ERROR"]
    assert len(said) == 1, "it is said once"


async def test_a_broken_journal_ends_the_service(g1: Gateway) -> None:
    g1.start()
    await g1.until(lambda me: me.uplink.connected)
    await g1.journal.commit(Commit(facts=(note(1),)))
    await g1.journal.close()
    g1.uplink.wake()
    assert g1.running is not None
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(10):
            await g1.running
    assert caught.group_contains(JournalFault)


# --- what it takes -------------------------------------------------------------------------------


@pytest.mark.clause("watermark-6")
async def test_only_a_watermark_said_now_sets_the_clock(
    broker: Broker, office: Centre, g1: Gateway
) -> None:
    await g1.write(3)
    await office.say(office.mark(g1.journal, 1, at_ms=T0 + HOUR_MS))
    g1.start()
    await g1.until(lambda me: me.journal.series.held_seq == 1)
    assert g1.clock.now().trust is Trust.unknown, "it was retained: of long ago"
    topic, sealed = office.sealed(office.mark(g1.journal, 2, at_ms=T0 + 2 * HOUR_MS))
    await office.client.publish(topic, sealed, qos=1)
    await g1.until(lambda me: any(isinstance(e, ClockStepped) for e in me.arrived))
    assert g1.clock.now().trust is Trust.synchronised
    await office.say(office.mark(g1.journal, 3, at_ms=T0 + 3 * HOUR_MS), retain=False)
    await g1.until(lambda me: me.journal.series.held_seq == 3)
    async with connected(broker, INTRUDER) as intruder:
        await intruder.publish(topic, sealed, qos=1)  # replayed
    await g1.until(lambda me: me.uplink.refused == {"repeat": 1})
    assert 0 <= g1.clock.now().at_ms - T0 - 3 * HOUR_MS < HOUR_MS


@pytest.mark.clause("watermark-6")
async def test_a_watermark_that_is_old_foreign_or_before_the_floor_sets_no_clock(
    office: Centre, g1: Gateway
) -> None:
    await g1.write(3)
    g1.start()
    await office.until_beats()
    await office.say(office.mark(g1.journal, 2, at_ms=T0 - 1), retain=False)  # before the floor
    await g1.until(lambda me: me.journal.series.held_seq == 2)
    foreign = office.mark(g1.journal, 3, at_ms=T0 + HOUR_MS).model_copy(update={"journal_id": "jx"})
    await office.say(foreign, retain=False)
    await office.say(office.mark(g1.journal, 1, at_ms=T0 + 2 * HOUR_MS), retain=False)  # old
    await office.say(intent(1))
    await g1.until(lambda me: any(isinstance(e, IntentArrived) for e in me.arrived))
    assert g1.clock.now().trust is Trust.unknown
    assert len(g1.arrived) == 2, "the first watermark and the intent"
    await office.say(office.mark(g1.journal, 2, at_ms=T0 + HOUR_MS), retain=False)  # said again
    await g1.until(lambda me: any(isinstance(e, ClockStepped) for e in me.arrived))
    assert 0 <= g1.clock.now().at_ms - T0 - HOUR_MS < HOUR_MS


G2 = Topics(CELL, "g2")
POLICY = TOPICS.intent("policy", "dorm")


def _stranger_key(topic: str, data: bytes) -> bytes:
    return Sealer(bytes(32), 1, "down", os.urandom).seal(Kind.intent, topic, data)


FORGED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    # what: (topic, payload from a good envelope of a policy, counted under)
    "changed on the way": (POLICY, lambda good: good[:-1] + bytes([good[-1] ^ 1]), "bad_tag"),
    "cut short": (POLICY, lambda good: good[:45], "bad_tag"),
    "no envelope": (POLICY, lambda good: b"hello", "bad_magic"),
    "of a later layout": (POLICY, lambda g: g[:1] + b"\x09" + g[2:], "unknown_layout"),
    "of another cipher": (POLICY, lambda g: g[:2] + b"\x02" + g[3:], "profile_not_pinned"),
    "under an unknown key": (POLICY, lambda g: g[:5] + b"\x07" + g[6:], "unknown_epoch"),
    "by somebody without the key": (POLICY, lambda good: _stranger_key(POLICY, b"{}"), "bad_tag"),
    "too big": (POLICY, lambda good: good + bytes(ENVELOPE_MAX), "too_big"),
    "for another key": (TOPICS.intent("policy", "lab"), lambda good: good, "bad_tag"),
    "as a watermark": (TOPICS.watermark("j1"), lambda good: good, "kind_not_of_topic"),
    "on a topic of nobody": (
        f"wl1/{CELL}/{GATEWAY}/down/gossip", lambda good: good, "kind_not_of_topic",
    ),
}  # fmt: skip


async def test_what_is_forged_foreign_or_malformed_is_counted_and_stops_nothing(
    broker: Broker, office: Centre, g1: Gateway
) -> None:
    g1.start()
    await office.until_beats()
    _, good = office.sealed(intent(1))
    expected: dict[str, int] = {}
    async with connected(broker, INTRUDER) as intruder:
        await intruder.publish(G2.intent("policy", "dorm"), good, qos=1)  # it never hears of it
        for topic, forge, reason in FORGED.values():
            await intruder.publish(topic, forge(good), qos=1)
            expected[reason] = expected.get(reason, 0) + 1
            await g1.until(lambda me: me.uplink.refused == expected)
    for topic, kind, data in (
        (POLICY, Kind.intent, b"{"),
        (POLICY, Kind.intent, b"{}"),
        (POLICY, Kind.intent, intent(3).encode().replace(b'"dorm"', b'"lab"')),
        (TOPICS.watermark("j1"), Kind.watermark, b"[]"),
        (TOPICS.watermark("j1"), Kind.watermark, b"[" * 100_000),
    ):
        await office.client.publish(topic, office.sealer.seal(kind, topic, data), qos=1)
        expected["bad_schema"] = expected.get("bad_schema", 0) + 1
        await g1.until(lambda me: me.uplink.refused == expected)
    assert g1.arrived == []
    await office.say(intent(4))
    await g1.until(lambda me: bool(me.arrived))
    await office.until_beats()


# --- a broker that comes and goes ----------------------------------------------------------------


async def test_after_the_broker_was_killed_it_goes_on_where_it_was(
    broker: Broker, g1: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "RESEND_FIRST_S", 0.2)  # it may be back before the centre is
    async with centre(broker) as before:
        await g1.write(2)
        g1.start()
        await before.until(lambda me: bool(me.batches))
        await before.say(before.mark(g1.journal, 1))
        await before.until(lambda me: me.pulses[-1].held_seq == 1)
        broker.kill()
    await g1.until(lambda me: not me.uplink.connected)
    await g1.write(4)
    await broker.start()
    async with centre(broker) as after:
        await after.until(lambda me: bool(me.batches and me.pulses))
        assert (after.batches[0].first_seq, after.batches[-1].last_seq) == (2, 4)
        await after.say(after.mark(g1.journal, 4))
        await after.say(intent(1))
        await after.until(lambda me: me.pulses[-1].held_seq == 4)
        await g1.until(lambda me: isinstance(me.arrived[-1], IntentArrived | WatermarkArrived))


async def test_a_broker_that_turns_it_away_is_named_once_and_asked_again(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="edge.uplink"):
        async with gateway(broker, tmp_path, password="another") as g1:
            g1.start()
            await asyncio.sleep(0.3)  # several tries
            assert not g1.uplink.connected
            broker.allow([brokers.Account(GATEWAY, "another", ())])
            broker.reload()
            await g1.until(lambda me: me.uplink.connected)
    said = [record.message for record in caplog.records if record.name == "edge.uplink"]
    assert len(said) == 2
    assert "ot authori" in said[0]
    assert said[1] == "broker reached"


async def test_it_stops_when_told_though_the_broker_fails_at_the_same_moment(
    g1: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail_on_the_way_out(_: aiomqtt.Client) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise aiomqtt.MqttError("gone") from None

    monkeypatch.setattr(g1.uplink, "_send_pulse", fail_on_the_way_out)
    g1.start()
    await g1.until(lambda me: me.uplink.connected)
    await asyncio.sleep(0.05)

    def refuse() -> aiomqtt.Client:
        raise OSError("and it does not come back")

    monkeypatch.setattr(g1.uplink, "_client", refuse)
    async with asyncio.timeout(5):
        await g1.stop()


async def test_it_stops_when_told_though_the_broker_answers_at_the_same_moment(
    g1: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered(*_: object, **__: object) -> None:
        """As `asyncio.wait_for` of Python 3.11 does: the answer is here, the order to stop lost."""
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    monkeypatch.setattr(aiomqtt.Client, "subscribe", answered)
    g1.start()
    assert g1.running is not None
    await asyncio.wait([g1.running], timeout=5)
    assert g1.running.cancelled()
