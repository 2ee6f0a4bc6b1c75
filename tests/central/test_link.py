"""The link over a real broker: what comes in once, what is refused, what survives a cut."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from central import conversation, outbox
from central.database import Database
from central.gateways import service as gateways
from central.gateways.service import NOBODY
from central.metering import service as metering
from central.metering.tables import readings
from central.rooms.tables import points
from domain.wire.envelope import ENVELOPE_MAX, Sealer, gateway_secret
from domain.wire.topics import Kind, Topics
from tests.broker import CELL, INTRUDER, Account, Broker, centre
from tests.central import campus
from tests.central.campus import NOW_MS, TECHNICIAN
from tests.central.office import Centre, add_gateways, linked
from tests.central.scripted import MASTER, WITHIN_S, Journal, ScriptedGateway, connected, shown


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    accounts = [ScriptedGateway(g).account for g in ("g1", "g2", "stranger")]
    async with Broker(directory, [centre(), INTRUDER, *accounts]) as running:
        yield running


@pytest.fixture
async def site(database: Database, broker: Broker) -> AsyncIterator[Centre]:
    await database.write(add_gateways, "g1", "g2")
    async with linked(database, broker) as running:
        yield running


@pytest.fixture
async def g1(site: Centre) -> AsyncIterator[ScriptedGateway]:
    gateway = ScriptedGateway("g1", at_ms=NOW_MS)
    gateway.journal.open()
    async with gateway.at(site.broker):
        yield gateway


@pytest.mark.clause("watermark-1", "facts-3", "watermark-5")
async def test_facts_are_booked_and_the_gateway_is_told_how_far(
    site: Centre, g1: ScriptedGateway
) -> None:
    g1.journal.note(4)
    await g1.send_facts()
    mark = await g1.until_held(5)
    assert (mark.journal_id, mark.safe_seq) == (g1.journal.journal_id, 5)
    assert mark.chain == g1.journal.chains[5]
    assert mark.centre_at_ms == NOW_MS
    assert await site.facts(g1.journal.journal_id) == [1, 2, 3, 4, 5]


@pytest.mark.clause("facts-11")
async def test_repeated_and_reordered_batches_are_booked_once_and_in_order(
    site: Centre, g1: ScriptedGateway
) -> None:
    g1.journal.note(9)
    for first, last in ((6, 8), (1, 3), (1, 3), (9, 10), (2, 6), (4, 8), (1, 10), (9, 10)):
        await g1.send_facts(first, last)
    mark = await g1.until_held(10)
    assert mark.chain == g1.journal.chains[10]
    assert await site.facts(g1.journal.journal_id) == list(range(1, 11))
    held = [each.held_seq for each in g1.watermarks]
    assert held == sorted(held)


@pytest.mark.clause("facts-11")
async def test_a_gap_is_answered_with_where_to_go_on_from(
    site: Centre, g1: ScriptedGateway
) -> None:
    g1.journal.note(9)
    await g1.send_facts(1, 2)
    await g1.until_held(2)
    g1.watermarks.clear()
    await g1.send_facts(5, 10)
    await g1.until(lambda me: bool(me.watermarks))
    assert g1.watermarks[-1].held_seq == 2


def _flip(envelope: bytes) -> bytes:
    return envelope[:-1] + bytes([envelope[-1] ^ 1])


def _of(gateway_id: str, kind: Kind, topic: str, data: bytes) -> bytes:
    secret = gateway_secret(MASTER, gateway_id, 1)
    return Sealer(secret, 1, "up", os.urandom).seal(kind, topic, data)


def _stranger_key(topic: str, data: bytes) -> bytes:
    return Sealer(bytes(32), 1, "up", os.urandom).seal(Kind.facts, topic, data)


G1, G2 = Topics(CELL, "g1"), Topics(CELL, "g2")
FOREIGN: dict[str, tuple[str, Callable[[bytes], bytes], str, str]] = {
    # what: (topic, payload from a good envelope of g1's facts, counted under, as)
    "changed on the way": (G1.facts, _flip, "g1", "bad_tag"),
    "cut short": (G1.facts, lambda good: good[:50], "g1", "bad_tag"),
    "cut in the header": (G1.facts, lambda good: good[:5], "g1", "unknown_epoch"),
    "no envelope": (G1.facts, lambda good: b"hello", "g1", "bad_magic"),
    "of a later layout": (G1.facts, lambda g: g[:1] + b"\x09" + g[2:], "g1", "unknown_layout"),
    "of another cipher": (G1.facts, lambda g: g[:2] + b"\x02" + g[3:], "g1", "profile_not_pinned"),
    "under an unknown key": (G1.facts, lambda g: g[:5] + b"\x07" + g[6:], "g1", "unknown_epoch"),
    "by somebody without the key": (
        G1.facts, lambda good: _stranger_key(G1.facts, b"{}"), "g1", "bad_tag",
    ),
    "too big": (G1.facts, lambda good: good + bytes(ENVELOPE_MAX), "g1", "too_big"),
    "on the topic of another kind": (G1.pulse, lambda good: good, "g1", "kind_not_of_topic"),
    "on the topic of another gateway": (G2.facts, lambda good: good, "g2", "bad_tag"),
    "on the topic of the will": (G1.gone, lambda good: good, "g1", "kind_not_of_topic"),
    "on a topic of nobody": (f"wl1/{CELL}/g1/up/gossip", lambda g: g, NOBODY, "foreign_topic"),
    "of an unknown gateway": (
        Topics(CELL, "stranger").facts, lambda good: good, NOBODY, "unknown_gateway",
    ),
    "no JSON": (G1.facts, lambda g: _of("g1", Kind.facts, G1.facts, b"{"), "g1", "bad_schema"),
    "no batch": (G1.facts, lambda g: _of("g1", Kind.facts, G1.facts, b"{}"), "g1", "bad_schema"),
    "nested without end": (
        G1.facts, lambda g: _of("g1", Kind.facts, G1.facts, b"[" * 100_000), "g1", "bad_schema",
    ),
    "no pulse": (G1.pulse, lambda g: _of("g1", Kind.pulse, G1.pulse, b"{}"), "g1", "bad_schema"),
    "no picture": (G1.live, lambda g: _of("g1", Kind.live, G1.live, b"7"), "g1", "bad_schema"),
}  # fmt: skip


@pytest.mark.clause("envelope-2", "envelope-7", "envelope-11", "topics-2", "topics-3", "keys-4")
async def test_foreign_messages_are_refused_counted_and_stop_nothing(
    site: Centre, g1: ScriptedGateway
) -> None:
    good = g1.sealed_facts()
    expected: dict[tuple[str, str], int] = {}
    async with connected(site.broker, INTRUDER) as intruder:
        for topic, forge, gateway_id, reason in FOREIGN.values():
            await intruder.publish(topic, forge(good), qos=1)
            expected[gateway_id, reason] = expected.get((gateway_id, reason), 0) + 1
            await site.until_refused(gateway_id, reason, expected[gateway_id, reason])
        await intruder.publish(G1.facts, b"", qos=1)  # says nothing, and is not counted
        await intruder.publish(G1.facts, good, qos=1)  # replayed by whoever: it is what g1 said
        await g1.until_held(1)
    assert dict(site.link.inbox.refused()) == expected
    await _see_counts_in_the_books(site, expected)


async def _see_counts_in_the_books(site: Centre, expected: dict[tuple[str, str], int]) -> None:
    talk = site.talk
    await talk.write_down()
    await talk.write_down()
    rows = await site.database.read(gateways.refused_counts)
    assert {(row.gateway_id, row.reason): row.count for row in rows} == expected


@pytest.mark.clause("envelope-9")
async def test_replayed_messages_have_no_effect_and_are_counted(
    site: Centre, g1: ScriptedGateway
) -> None:
    await site.database.write(lambda c: campus.build(c, campus.ids()))
    point_id = await site.database.read(_first_point)
    facts, pulse = g1.sealed_facts(), g1.sealed_pulse()
    old, new = (g1.sealed_live(shown(point_id, power_w=w)) for w in (100, 200))
    await site.look()
    async with connected(site.broker, INTRUDER) as intruder:
        for topic, payload in (
            (G1.facts, facts),
            (G1.pulse, pulse),
            (G1.live, old),
            (G1.live, new),
        ):
            await intruder.publish(topic, payload, qos=1)
        await g1.until_held(1)
        await site.until(lambda: site.board.point(point_id) is not None)
        site.clock.ms += 100_000
        for topic, payload in ((G1.pulse, pulse), (G1.live, old), (G1.facts, facts)):
            await intruder.publish(topic, payload, qos=1)
        await site.until_refused("g1", "repeat", 4)  # the batch: by its envelope and by the books
    state, beat = site.board.point(point_id), site.board.gateway("g1")
    assert state is not None
    assert beat is not None
    assert (state.point.power_w, beat.online(site.clock.ms)) == (200, False)
    assert await site.facts(g1.journal.journal_id) == [1]


async def test_a_revoked_gateway_is_heard_no_more(site: Centre, g1: ScriptedGateway) -> None:
    await g1.send_pulse()
    await g1.send_facts()
    await g1.until_held(1)
    await site.database.write(gateways.revoke, actor=TECHNICIAN, now_ms=NOW_MS, gateway_id="g1")
    await site.look()
    g1.journal.note()
    await g1.send_facts()
    await site.until_refused("g1", "unknown_epoch")
    assert site.board.gateway("g1") is None
    assert await site.facts(g1.journal.journal_id) == [1]


@pytest.mark.clause("live-3")
async def test_picture_and_pulse_reach_the_board(site: Centre, g1: ScriptedGateway) -> None:
    await site.database.write(lambda c: campus.build(c, campus.ids()))
    point_id = await site.database.read(_first_point)
    await site.look()
    await g1.send_facts()
    await g1.until_held(1)
    await g1.send_live(shown(point_id), shown("of-another-house"))
    await g1.send_pulse(head_seq=8)
    await site.until(lambda: site.board.gateway("g1") is not None)
    assert dict(await site.link.health()) == {
        "meters_total": 2,
        "meters_live": 1,
        "gateways_online": 1,
        "backlog_facts": 7,
    }
    assert site.board.point("of-another-house") is None
    assert await site.facts(g1.journal.journal_id) == [1]
    assert await site.database.read(lambda c: c.scalar(select(func.count(readings.c.seq)))) == 0


@pytest.mark.clause("intents-9")
async def test_a_sale_is_sent_at_once_and_until_it_is_held(
    site: Centre, g1: ScriptedGateway
) -> None:
    loop = asyncio.get_running_loop()
    await g1.send_facts()
    await g1.until_held(1)
    purse_id = await site.database.write(_open_room)
    committed = loop.time()
    await g1.until(lambda me: _credit(me, purse_id) == [5_000])
    assert loop.time() - committed < 0.5
    site.clock.ms += 4_999
    await site.look()
    assert _credit(g1, purse_id) == [5_000]
    site.clock.ms += 1
    await g1.until(lambda me: _credit(me, purse_id) == [5_000, 5_000])
    taken = g1.intents[-1]
    for intent in list(g1.intents):
        g1.journal.add("intent_taken", intent_kind=intent.kind, key=intent.key,
                       version=intent.version, outcome="held", reason="")  # fmt: skip
    g1.journal.add("credit_taken", purse_id=purse_id, version=taken.version, count=1,
                   granted_fen=5_000, source="intent")  # fmt: skip
    await g1.send_facts()
    await g1.until_held(g1.journal.head_seq)
    assert await site.database.read(outbox.outstanding, "g1") == []
    said = len(g1.intents)
    site.clock.ms += 600_000
    await site.look()
    assert len(g1.intents) == said


@pytest.mark.clause("intents-3", "intents-9")
async def test_a_gateway_that_holds_something_else_is_told_everything_after_30_s(
    site: Centre, g1: ScriptedGateway
) -> None:
    await site.database.write(_open_room)
    await g1.until(lambda me: len(me.intents) >= 4)
    kinds = {(intent.kind, intent.key) for intent in g1.intents}
    await g1.send_pulse()
    await site.until(lambda: site.board.gateway("g1") is not None)
    await site.database.write(_hold_everything)
    await site.look()
    g1.intents.clear()
    await g1.send_pulse(intents_digest="ab" * 32)
    await site.look()
    site.clock.ms += 30_000
    await g1.send_pulse(intents_digest="ab" * 32)
    await g1.until(lambda me: {(i.kind, i.key) for i in me.intents} == kinds)
    assert await site.database.read(outbox.outstanding, "g1") == []


@pytest.mark.clause("watermark-1", "watermark-5", "intents-9", "topics-6")
async def test_a_broker_that_was_killed_forgets_and_is_told_again(
    site: Centre, g1: ScriptedGateway
) -> None:
    g1.journal.note(2)
    await g1.send_facts()
    await g1.until_held(3)
    purse_id = await site.database.write(_open_room)
    await g1.until(lambda me: _credit(me, purse_id) == [5_000])
    site.broker.kill()
    await site.until(lambda: not site.link.connected)
    assert "broker" in site.link.faults
    await site.until(lambda: not site.board.reachable)
    await site.broker.start()
    late = ScriptedGateway("g1", at_ms=NOW_MS)
    async with late.at(site.broker):
        await site.until(lambda: site.link.connected)
        await late.until(lambda me: bool(me.watermarks) and bool(_credit(me, purse_id)))
        assert late.watermarks[-1].held_seq == 3
        await site.until(lambda: site.board.reachable)
    again = ScriptedGateway("g1", at_ms=NOW_MS)
    async with again.at(site.broker):  # and they are retained for whoever comes later
        await again.until(lambda me: bool(me.watermarks) and bool(_credit(me, purse_id)))
    assert site.link.faults == {}


@pytest.mark.clause("journal-1")
async def test_nobody_was_silent_while_nobody_could_be_heard(
    site: Centre, g1: ScriptedGateway
) -> None:
    await g1.send_facts()
    await g1.until_held(1)
    site.broker.kill()
    await site.until(lambda: not site.link.connected)
    site.clock.ms += 600_000
    await site.broker.start()
    await site.until(lambda: site.link.connected)
    other = ScriptedGateway("g1", at_ms=NOW_MS)
    other.journal = Journal("journal-other", NOW_MS)
    other.journal.open()
    async with other.at(site.broker):
        await other.send_facts()
        await site.until_refused("g1", "twin")
        site.clock.ms += 59_999
        await other.send_facts()
        await site.until_refused("g1", "twin", 2)
        site.clock.ms += 1
        await other.send_facts()
        await other.until(lambda me: any(m.journal_id == "journal-other" for m in me.watermarks))
    assert await site.facts("journal-other") == [1]


@pytest.mark.clause("topics-6")
async def test_watermarks_and_intents_are_said_at_qos_1_and_retained(
    site: Centre, g1: ScriptedGateway
) -> None:
    await g1.send_facts()
    await g1.until_held(1)
    purse_id = await site.database.write(_open_room)
    await g1.until(lambda me: _credit(me, purse_id) == [5_000])
    wanted = {G1.watermark(g1.journal.journal_id), G1.intent("credit", purse_id)}
    async with connected(site.broker, INTRUDER) as late:
        await late.subscribe(G1.down_filter, qos=1)
        async with asyncio.timeout(WITHIN_S):
            async for message in late.messages:
                assert (message.qos, message.retain) == (1, True), message.topic
                wanted.discard(message.topic.value)
                if not wanted:
                    break


async def test_facts_that_were_queued_are_booked_while_the_broker_is_away(
    site: Centre, g1: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    write = site.talk._write

    async def wait_and_write(group: Any) -> Any:
        await gate.wait()
        return await write(group)

    monkeypatch.setattr(site.talk, "_write", wait_and_write)
    g1.journal.note(2)
    await g1.send_facts()
    await site.until(lambda: not site.link.inbox._waiting and bool(g1.journal.head_seq))
    site.broker.kill()
    await site.until(lambda: not site.link.connected)
    gate.set()
    await site.until_booked(g1.journal.journal_id, [1, 2, 3])
    assert not site.link.connected


@pytest.mark.clause("watermark-1")
async def test_a_gateway_that_does_not_know_the_time_is_told_it_though_nothing_moved(
    site: Centre, g1: ScriptedGateway
) -> None:
    await g1.send_facts()
    await g1.until_held(1)
    steps = (  # how much later, the trust of the pulse, whether it is answered
        (0, 3, True),  # it has just come
        (1, 3, False),
        (1_000, 0, True),
        (14_999, 2, False),
        (1, 2, True),
        (20_000, 3, False),
    )
    for later_ms, trust, answered in steps:
        site.clock.ms += later_ms
        g1.watermarks.clear()
        await g1.send_pulse(trust=trust, at_ms=site.clock.ms)
        await site.until(lambda: _pulsed_ms(site, "g1") == site.clock.ms)
        await site.look()
        if answered:
            await g1.until(lambda me: bool(me.watermarks))
        assert [m.centre_at_ms for m in g1.watermarks] == [site.clock.ms] * answered


@pytest.mark.clause("watermark-5")
async def test_a_new_centre_tells_every_gateway_how_far_it_holds(
    database: Database, broker: Broker
) -> None:
    await database.write(add_gateways, "g1")
    gateway = ScriptedGateway("g1", at_ms=NOW_MS)
    gateway.journal.open()
    async with gateway.at(broker):
        async with linked(database, broker):
            await gateway.send_facts()
            await gateway.until_held(1)
        gateway.watermarks.clear()
        async with linked(database, broker):
            mark = await gateway.until_held(1)
        assert mark.chain == gateway.journal.chains[1]


@pytest.mark.postgres
async def test_facts_go_into_postgresql_as_well(postgres: Database, broker: Broker) -> None:
    await postgres.write(add_gateways, "g1")
    async with linked(postgres, broker) as site:
        gateway = ScriptedGateway("g1", at_ms=NOW_MS)
        gateway.journal.open()
        gateway.journal.note(4)
        async with gateway.at(broker):
            for first, last in ((1, 3), (3, 5), (1, 2)):
                await gateway.send_facts(first, last)
            await gateway.until_held(5)
            await gateway.send_pulse()
            await site.until(lambda: site.board.gateway("g1") is not None)
            await site.look()
            await site.talk.write_down()
        assert await site.facts(gateway.journal.journal_id) == [1, 2, 3, 4, 5]
        rows = await postgres.read(gateways.refused_counts)
        assert [(row.reason, row.count) for row in rows] == [("repeat", 1)]


async def test_a_batch_that_cannot_be_booked_stops_no_other(
    site: Centre, g1: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = metering.ingest_all

    def poisoned(connection: Connection, group: Any, **options: Any) -> Any:
        assert all(arrived.gateway_id != "g1" for arrived in group), "what we got wrong"
        return book(connection, group, **options)

    monkeypatch.setattr(metering, "ingest_all", poisoned)
    monkeypatch.setattr(conversation, "AFTER_FAULT_S", 0.0)
    g2 = ScriptedGateway("g2", at_ms=NOW_MS)
    g2.journal.open()
    async with g2.at(site.broker):
        await g1.send_facts()
        await site.until_refused("g1", "not_booked")
        assert "what we got wrong" in site.link.faults["not booked"]
        await g2.send_facts()
        await g2.until_held(1)
    monkeypatch.setattr(metering, "ingest_all", book)
    await g1.send_facts()
    await g1.until_held(1)
    assert "not booked" not in site.link.faults


async def test_the_centre_speaks_under_the_key_that_the_gateway_has(
    site: Centre, g1: ScriptedGateway
) -> None:
    await g1.send_facts()
    await g1.until_held(1)
    epoch = await site.database.write(
        gateways.renew_keys, actor=TECHNICIAN, now_ms=NOW_MS, gateway_id="g1", overlap_ms=60_000
    )
    assert epoch == 2
    await site.look()
    g1.journal.note()
    await g1.send_facts()  # under the old key, which it still has
    await g1.until_held(2)  # … and it can read the answer
    renewed = ScriptedGateway("g1", epoch=2, at_ms=NOW_MS)
    renewed.journal = g1.journal
    async with connected(site.broker, INTRUDER) as carrier:
        renewed.journal.note()
        await carrier.publish(G1.facts, renewed.sealed_facts(), qos=1)
        seen: list[bytes] = []
        await carrier.subscribe(f"{G1.down_filter}", qos=1)
        async with asyncio.timeout(WITHIN_S):
            async for message in carrier.messages:
                assert isinstance(message.payload, bytes)
                seen.append(message.payload[4:6])
                if seen[-1] == b"\x00\x02":
                    break


async def test_a_broker_that_does_not_let_us_in_is_said_aloud(
    database: Database, tmp_path: Path
) -> None:
    async with (
        Broker(tmp_path, [Account(centre().user, "another", ())]) as strict,
        linked(database, strict, wait=False) as site,
    ):
        await site.until(lambda: "broker" in site.link.faults)
        assert "ot authori" in site.link.faults["broker"]
        assert not site.link.connected


# --- pieces ------------------------------------------------------------------------------------


def _pulsed_ms(site: Centre, gateway_id: str) -> int | None:
    beat = site.board.gateway(gateway_id)
    return None if beat is None else beat.received_ms


def _first_point(connection: Connection) -> str:
    point_id: str | None = connection.scalar(select(func.min(points.c.point_id)))
    assert point_id is not None
    return point_id


def _open_room(connection: Connection) -> str:
    new_id = campus.ids()
    made = campus.build(connection, new_id)
    opened = campus.open_room(connection, made.room_ids[0], new_id)
    return opened.purse_ids[0]


def _hold_everything(connection: Connection) -> None:
    for row in outbox.everything(connection, "g1"):
        outbox.held(connection, gateway_id="g1", kind=row.kind, key=row.key, version=row.version)


def _credit(gateway: ScriptedGateway, purse_id: str) -> list[int]:
    return [
        intent.body["granted_fen"]
        for intent in gateway.intents
        if (intent.kind, intent.key) == ("credit", purse_id)
    ]
