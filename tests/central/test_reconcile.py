"""The audit finds nothing in sound books, and names whatever was done to them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from central import audit, reconcile
from central.database import Database
from central.gateways import service as gateways
from central.metering import service as metering
from central.metering import tables
from central.metering.service import Prices
from central.reconcile import Kind, Report
from central.reconcile.report import SHOWN
from central.rooms import service as rooms
from tests.central import campus
from tests.central.campus import NOW_MS, TECHNICIAN
from tests.central.voice import JOURNAL, METER, Voice, charge

KWH = 5_600_000  # ticks
LATER_MS = NOW_MS + 3_600_000


@dataclass
class Books:
    """Two open rooms on one gateway, and a morning of facts."""

    database: Database
    purse: str
    purse_2: str
    voice: Voice

    async def report(self, now_ms: int = LATER_MS) -> Report:
        return await self.database.read(reconcile.reconcile, now_ms)

    async def kinds(self) -> dict[Kind, int]:
        return dict((await self.report()).counts)

    async def do(self, *statements: str, **values: Any) -> None:
        """What nobody may do: change rows behind the triggers' back."""
        await self.database.write(_tamper, statements, values | {"purse": self.purse})


def _tamper(connection: Connection, statements: tuple[str, ...], values: dict[str, Any]) -> None:
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    for name in connection.exec_driver_sql(triggers).scalars().all():
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    for statement in statements:
        named = {name: value for name, value in values.items() if f":{name}" in statement}
        assert connection.execute(text(statement), named).rowcount, statement


def _morning(connection: Connection) -> tuple[str, str, Voice]:
    new_id = campus.ids()
    made = campus.build(connection, new_id)
    assert gateways.add_gateway(
        connection, actor=TECHNICIAN, now_ms=NOW_MS, gateway_id="g1", name="1号管理机"
    ) is None  # fmt: skip
    first, second = (campus.open_room(connection, room, new_id) for room in made.room_ids)
    purse, purse_2 = first.purse_ids[0], second.purse_ids[0]
    voice = Voice()
    voice.opens()
    voice.say(
        "meter_seen", point_id=made.point_ids[0], meter_id=METER, incarnation=0, profile="p",
        reason="first", last_total_wh=None, opening_wh=1_000,
    )  # fmt: skip
    voice.takes_credit(purse, 2)
    for n in range(3):
        total_wh = 2_000 + n * 1_000
        voice.reads(made.point_ids[0], total_wh)
        voice.charges(
            charge(purse, made.point_ids[0], total_wh - 1_000, total_wh, n * KWH),
            charge(purse_2, made.point_ids[1], n * 500, n * 500 + 500, n * KWH // 2,
                   meter_id="000000000002"),
        )  # fmt: skip
    voice.reads(made.point_ids[0], 4_250, purpose="evidence")
    metering.ingest(connection, voice.arrives(), new_id=new_id, prices=Prices())
    audit.seal(connection)
    return purse, purse_2, voice


@pytest.fixture
async def sound(database: Database) -> Books:
    return Books(database, *await database.write(_morning))


async def test_sound_books_are_clean_and_say_how_much_was_compared(either: Database) -> None:
    books = Books(either, *await either.write(_morning))
    report = await books.report()
    assert (report.differences, report.exit_code) == ((), reconcile.CLEAN)
    did = report.compared
    assert (did.purses, did.meters, did.events, did.entries) == (2, 2, 2, 2)
    assert (did.facts, did.charge_rows, did.journals) == (10, 6, 1)
    assert did.audit_rows > 2
    assert report.totals.granted_fen == 10_000
    assert report.totals.charged_ticks == 4 * KWH + KWH // 2
    assert report.totals.available_fen == 10_000 - 252
    assert report.totals.uncharged_wh == 250
    assert report.credit_outstanding == 1  # the second room's gateway has not answered yet


async def test_facts_in_flight_are_counted_and_are_no_difference(sound: Books) -> None:
    await sound.do("UPDATE journals SET head_seq = 17")
    report = await sound.report()
    assert (report.facts_in_flight, report.exit_code) == (7, reconcile.CLEAN)


async def test_a_green_that_looked_at_nothing_is_impossible(database: Database) -> None:
    report = await database.read(reconcile.reconcile, LATER_MS)
    assert report.exit_code == reconcile.NOT_LOOKED
    assert "没有可核对的内容" in reconcile.show(report)


TAMPERED: dict[str, tuple[tuple[str, ...], set[Kind]]] = {
    "a posting": (
        ("UPDATE postings SET fen = fen - 100 WHERE account = 'purse:' || :purse",),
        {Kind.entry_unbalanced, Kind.event_without_entry, Kind.granted_mismatch},
    ),
    "both sides of an entry": (
        ("UPDATE postings SET fen = fen * 2 WHERE entry_id IN "
         "(SELECT entry_id FROM money_events WHERE purse_id = :purse)",),
        {Kind.event_without_entry, Kind.granted_mismatch},
    ),
    "an entry and its event": (
        ("UPDATE postings SET fen = fen * 2 WHERE entry_id IN "
         "(SELECT entry_id FROM money_events WHERE purse_id = :purse)",
         "UPDATE money_events SET fen = fen * 2 WHERE purse_id = :purse",
         "UPDATE purses SET granted_fen = granted_fen * 2 WHERE purse_id = :purse"),
        {Kind.event_not_as_audited, Kind.intent_mismatch, Kind.gateway_granted_mismatch},
    ),
    "a money event deleted": (
        ("DELETE FROM receipts WHERE event_id IN "
         "(SELECT event_id FROM money_events WHERE purse_id = :purse)",
         "DELETE FROM money_events WHERE purse_id = :purse"),
        {Kind.entry_without_event, Kind.granted_mismatch, Kind.count_mismatch,
         Kind.event_not_as_audited, Kind.intent_mismatch, Kind.gateway_granted_mismatch},
    ),
    "a receipt deleted": (
        ("DELETE FROM receipts WHERE event_id IN "
         "(SELECT event_id FROM money_events WHERE purse_id = :purse)",),
        {Kind.receipt_missing},
    ),
    "what a purse was granted": (
        ("UPDATE purses SET granted_fen = granted_fen + 1 WHERE purse_id = :purse",),
        {Kind.granted_mismatch},
    ),
    "a purchase count": (
        ("UPDATE purses SET count = 2 WHERE purse_id = :purse",),
        {Kind.count_mismatch},
    ),
    "a credit intent": (
        ("UPDATE intents SET body = replace(body, '5000', '9000') WHERE key = :purse",),
        {Kind.intent_mismatch},
    ),
    "an audit row": (
        ("UPDATE audit_rows SET operator_name = '无名' WHERE audit_id = 1",),
        {Kind.audit_chain},
    ),
    "an audit row deleted": (
        ("DELETE FROM audit_seals WHERE audit_id = 1", "DELETE FROM audit_rows WHERE audit_id = 1"),
        {Kind.audit_chain},
    ),
    "the text of a fact": (
        ("UPDATE facts SET text = replace(text, '\"total_wh\":[4250]', '\"total_wh\":[4251]') "
         "WHERE seq = 10",),
        {Kind.fact_changed, Kind.register_mismatch},
    ),
    "a fact spoilt": (
        ("UPDATE facts SET text = 'nothing' WHERE seq = 5",),
        {Kind.fact_changed, Kind.charge_stray},
    ),
    "a fact deleted": (
        ("DELETE FROM facts WHERE seq = 4",),
        {Kind.fact_missing, Kind.fact_changed},
    ),
    "the last facts deleted": (
        ("DELETE FROM facts WHERE seq >= 9",),
        {Kind.fact_missing, Kind.charge_stray, Kind.register_mismatch,
         Kind.gateway_charged_mismatch},
    ),
    "a fact added": (
        ("INSERT INTO facts SELECT journal_id, 11, kind, at_ms, trust, v, text FROM facts "
         "WHERE seq = 1",),
        {Kind.fact_stray},
    ),
    "facts of a journal that nobody knows": (
        ("INSERT INTO facts SELECT 'elsewhere', 1, kind, at_ms, trust, v, text FROM facts "
         "WHERE seq = 1",),
        {Kind.fact_stray},
    ),
    "the price of a charge row": (
        ("UPDATE charges SET ticks = ticks - 1 WHERE seq = 7 AND row = 0",),
        {Kind.charge_changed, Kind.charges_broken, Kind.charged_mismatch},
    ),
    "the energy of a charge row": (
        ("UPDATE charges SET to_wh = to_wh - 1 WHERE seq = 7 AND row = 0",),
        {Kind.charge_changed, Kind.energy_broken},
    ),
    "the parts of a charge row": (
        ("UPDATE charges SET parts = replace(parts, '5600', '5700') WHERE seq = 7 AND row = 0",),
        {Kind.charge_changed},
    ),
    "the purse of a charge row": (
        ("UPDATE charges SET purse_id = :purse WHERE seq = 7 AND row = 1",),
        {Kind.charge_changed, Kind.charges_broken, Kind.charged_mismatch},
    ),
    "a charge row deleted": (
        ("DELETE FROM charges WHERE seq = 7 AND row = 0",),
        {Kind.charge_not_booked, Kind.charges_broken, Kind.charged_mismatch, Kind.energy_broken},
    ),
    "a charge row added": (
        ("INSERT INTO charges SELECT journal_id, 8, row, purse_id, point_id, meter_id, incarnation,"
         " from_wh, to_wh, from_ms, to_ms, parts, tariff_version, ticks, charged_ticks "
         "FROM charges WHERE seq = 9 AND row = 0",),
        {Kind.charge_stray, Kind.charges_broken, Kind.charged_mismatch, Kind.energy_broken},
    ),
    "what a purse was charged": (
        ("UPDATE purse_states SET charged_ticks = charged_ticks - 1 WHERE purse_id = :purse",),
        {Kind.charges_broken, Kind.charged_mismatch, Kind.gateway_charged_mismatch},
    ),
    "which row charged it last": (
        ("UPDATE purse_states SET charged_seq = 7 WHERE purse_id = :purse",),
        {Kind.gateway_charged_mismatch},
    ),
    "a charge after the purse was closed": (
        ("UPDATE purse_states SET closed_charged_ticks = 1 WHERE purse_id = :purse",),
        {Kind.closed_mismatch},
    ),
    "what the gateway holds": (
        ("UPDATE purse_states SET gateway_granted_fen = 5001 WHERE purse_id = :purse",),
        {Kind.gateway_granted_mismatch},
    ),
    "a count that the books never gave": (
        ("UPDATE purse_states SET gateway_count = 2 WHERE purse_id = :purse",),
        {Kind.gateway_granted_mismatch},
    ),
    "the booked energy of a meter": (
        ("UPDATE meter_totals SET booked_to_wh = 3999 WHERE meter_id = '000000000001'",),
        {Kind.energy_mismatch},
    ),
    "an opening": (
        ("UPDATE openings SET to_wh = to_wh - 1",),
        {Kind.energy_broken},
    ),
    "the register shown": (
        ("UPDATE point_states SET total_wh = 3000, register_wh = 3000",),
        {Kind.register_mismatch, Kind.register_behind},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
async def test_what_was_tampered_with_is_found_and_named(sound: Books, what: str) -> None:
    statements, expected = TAMPERED[what]
    await sound.do(*statements)
    report = await sound.report()
    assert set(dict(report.counts)) == expected, reconcile.show(report)
    assert report.exit_code == reconcile.DIFFERENT
    told = reconcile.show(report)
    for kind in expected:
        assert kind.zh in told
        assert kind.en in told


async def test_a_difference_names_the_place_and_both_figures(sound: Books) -> None:
    await sound.do("UPDATE charges SET ticks = ticks - 1 WHERE seq = 7 AND row = 0")
    report = await sound.report()
    found = {each.kind: each for each in report.differences}
    changed, sums = found[Kind.charge_changed], found[Kind.charged_mismatch]
    assert changed.subject == f"journal:{JOURNAL} seq 7 row 0 ticks"
    assert (changed.expected, changed.found) == (KWH, KWH - 1)
    assert (sums.subject, sums.expected) == (f"purse:{sound.purse}", 3 * KWH - 1)
    told = reconcile.show(report, "en")
    assert f"[{changed.subject}]: expected {KWH}, found {KWH - 1}" in told
    content = json.loads(reconcile.to_json(report))
    assert content["exit_code"] == 1
    assert content["counts"]["charge_changed"] == 1
    assert content["compared"]["purses"] == 2


async def test_rows_priced_differently_and_set_aside_are_told(sound: Books) -> None:
    voice, prices, new_id = sound.voice, Prices(), campus.ids(10**6)
    point = await sound.database.read(_point_of_meter)
    dear = charge(sound.purse, point, 4_000, 5_000, 3 * KWH)
    dear |= {"parts": [dear["parts"][0] | {"price_e4": 6_600}], "ticks": 6_600_000}
    dear["charged_ticks"] = 3 * KWH + 6_600_000
    voice.charges(dear)
    voice.charges(charge(sound.purse, point, 9_000, 9_500, 3 * KWH + 6_600_000))  # a gap before
    voice.say("from_the_future", wonder=1)
    await sound.database.write(metering.ingest, voice.arrives(11), new_id=new_id, prices=prices)
    await sound.database.write(audit.seal)
    report = await sound.report()
    assert dict(report.counts) == {
        Kind.register_behind: 1, Kind.priced_differently: 1, Kind.set_aside: 2,
    }  # fmt: skip


async def test_many_differences_are_counted_and_the_first_are_told(sound: Books) -> None:
    await sound.do(
        "WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 310) "
        "INSERT INTO facts SELECT journal_id, i, kind, at_ms, trust, v, text FROM facts, n "
        "WHERE seq = 1"
    )
    report = await sound.report()
    assert report.differences_total == 300
    assert len(report.differences) == SHOWN
    assert f"另有 {300 - SHOWN} 项" in reconcile.show(report)


async def test_a_database_that_cannot_be_read_is_said_and_ends_with_2(
    database: Database,
) -> None:
    await database.write(lambda c: c.exec_driver_sql("DROP TABLE tier_positions"))
    await database.write(lambda c: c.exec_driver_sql("DROP TABLE quarantine"))
    told: list[str] = []
    code = await reconcile.run(database, now_ms=LATER_MS, say=told.append)
    assert code == reconcile.NOT_LOOKED
    assert "quarantine" in told[0]


async def test_the_command_tells_and_ends_with_its_code(sound: Books) -> None:
    told: list[str] = []
    assert await reconcile.run(sound.database, now_ms=LATER_MS, say=told.append) == 0
    assert "无差异 0 differences" in told[0]
    assert "账户 purses 2" in told[0]
    await sound.do("UPDATE purses SET count = 2 WHERE purse_id = :purse")
    assert await reconcile.run(sound.database, now_ms=LATER_MS, say=told.append, lang="zh") == 1
    assert "差异 1 项" in told[1]
    assert await reconcile.run(sound.database, now_ms=LATER_MS, say=told.append, as_json=True) == 1
    assert json.loads(told[2])["differences_total"] == 1


def _campus_of_480(connection: Connection) -> None:
    """480 open rooms on 16 gateways, and 16 intervals of them all."""
    new_id, prices = campus.ids(), Prices()
    campus.build(connection, new_id, doors=())
    for floor in range(1, 17):
        voice = Voice(f"journal-{floor}", f"g{floor}")
        _gateway_of_30(connection, new_id, voice, floor)
        metering.ingest(connection, voice.arrives(), new_id=new_id, prices=prices)
    while audit.seal(connection):
        pass


def _gateway_of_30(
    connection: Connection, new_id: Callable[[], str], voice: Voice, floor: int
) -> None:
    add: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS, "gateway_id": voice.gateway_id}
    assert gateways.add_gateway(connection, **add, name="管理机") is None
    if floor > 1:
        assert rooms.add_bus(connection, **add, bus_id="u1", port="/dev/b1") is None
    del add["gateway_id"]
    new = []
    for n in range(1, 31):
        place: dict[str, Any] = {"building_id": "b1", "floor": floor, "name": f"{floor}{n:02d}"}
        room_id = rooms.add_room(connection, **add, new_id=new_id, **place)
        assert isinstance(room_id, str)
        meter_id = f"{floor:06d}{n:06d}"
        new.append(campus.point(room_id, n, gateway_id=voice.gateway_id, meter_id=meter_id))
    placed = rooms.add_points(connection, **add, new_id=new_id, points=new)
    assert isinstance(placed, tuple)
    purses = [
        campus.open_room(connection, p.room_id, new_id, fen=None if n % 4 else 5_000).purse_ids[0]
        for n, p in enumerate(new)
    ]
    voice.opens()
    for n in range(16):
        voice.charges(
            *(
                charge(purse, point_id, n * 100, n * 100 + 100, n * KWH // 10, meter_id=p.meter_id)
                for purse, point_id, p in zip(purses, placed, new, strict=True)
            )
        )


async def test_480_meters_are_compared_in_less_than_3_s(database: Database) -> None:
    await database.write(_campus_of_480)
    began = time.perf_counter()
    report = await database.read(reconcile.reconcile, LATER_MS)
    took_s = time.perf_counter() - began
    assert report.exit_code == reconcile.CLEAN, reconcile.show(report)
    did = report.compared
    assert (did.purses, did.meters, did.charge_rows) == (480, 480, 7_680)
    assert took_s < 3


async def test_it_is_of_one_moment_beside_a_running_server(sound: Books) -> None:
    """A second reader sees no half of a sale or of a batch, whenever it looks."""
    url = f"sqlite:///{sound.database._storage._path}"  # type: ignore[attr-defined]
    new_id = campus.ids(10**6)
    point = await sound.database.read(_point_of_meter)
    prices, voice = Prices(), sound.voice
    async with await Database.open(url, access="read") as beside:
        for n in range(5):
            total_wh = 5_000 + n * 1_000
            voice.reads(point, total_wh)
            voice.charges(charge(sound.purse, point, total_wh - 1_000, total_wh, (3 + n) * KWH))
            first = voice.head_seq - 1
            await sound.database.write(
                metering.ingest, voice.arrives(first), new_id=new_id, prices=prices
            )
            report = await beside.read(reconcile.reconcile, LATER_MS)
            assert report.exit_code == reconcile.CLEAN, reconcile.show(report)


def _point_of_meter(connection: Connection) -> str:
    points = tables.point_states
    found: str | None = connection.scalar(select(points.c.point_id))
    assert found is not None
    return found
