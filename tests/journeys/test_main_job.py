"""The main job over real processes: a reading, a sale, arrears with the link cut.

One campus of 4 buildings, 16 buses and 480 meters, installed from the wheel: a real broker, real
serial devices, a real database, real pages. Rooms burn 600 times as fast.
"""

import asyncio
import json
import shutil
import sqlite3
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator.demo.plan import Plan
from simulator.demo.processes import BROKER
from tests.journeys.campus import Campus, open_campus, wait_for
from tests.journeys.till import Browser

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("campus"), pytest.mark.timeout(240)]

LIVE_S = 60.0  # all meters live after the start
CYCLE_S = 4.2  # a round over 30 meters at 9600 baud, with what belongs to it


@pytest.fixture(scope="module")
def campus(wheel_python: Path) -> Iterator[Campus]:
    # A short path: Unix sockets stand in it.
    root = Path(tempfile.mkdtemp(prefix="wl-"))
    running = asyncio.run(open_campus(root, Plan(rate=600), wheel_python))
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(root, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Room:
    """A room as the books know it."""

    room_id: str
    name: str
    purse_id: str
    point_id: str
    meter_id: str
    gateway_id: str
    granted_fen: int


def books(campus: Campus, sql: str, *values: object) -> list[Any]:
    """Rows of the books, read beside the running office."""
    with sqlite3.connect(f"file:{campus.folder.root / 'books.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute(sql, values).fetchall()
    connection.close()
    return rows


def room_with(campus: Campus, granted_fen: int, n: int = 0) -> Room:
    """The nth room that was sold this much and nothing else."""
    rows = books(
        campus,
        "SELECT r.room_id, r.name, p.purse_id, p.point_id, p.meter_id, p.gateway_id, u.granted_fen"
        " FROM points p JOIN rooms r USING (room_id) JOIN purses u USING (purse_id)"
        " WHERE u.granted_fen = ? AND u.count = 1 ORDER BY p.meter_id LIMIT 1 OFFSET ?",
        granted_fen,
        n,
    )
    return Room(*rows[0])


def health(campus: Campus) -> dict[str, Any]:
    with urllib.request.urlopen(f"{campus.url}/healthz", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def clean_audit(campus: Campus) -> None:
    """The audit looked at everything and found nothing."""
    done = campus.audit()
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["compared"]["meters"], report["differences"]) == (480, []), done.stdout


def test_the_main_job(campus: Campus) -> None:
    wait_for("480 live meters", lambda: health(campus)["meters_live"] == 480, LIVE_S)
    assert health(campus)["meters_total"] == 480
    assert health(campus)["gateways_online"] == 4
    cashier = Browser(campus.url)
    cashier.sign_in("cashier", campus.logins["cashier"])
    a_reading_reaches_the_office(campus)
    a_sale_lights_a_dark_room(campus, cashier)
    arrears_trip_with_the_link_cut(campus, cashier)
    clean_audit(campus)


def a_reading_reaches_the_office(campus: Campus) -> None:
    room = room_with(campus, 20_000)
    point = campus.point(room.gateway_id, room.meter_id)
    true_wh = campus.truth(room.meter_id)["register_wh"]
    burnt_wh_per_s = campus.truth(room.meter_id)["power_w"] * 600 // 3600 + 1
    assert 0 <= true_wh - point["total_wh"] <= burnt_wh_per_s * 12 + 20
    booked = books(
        campus, "SELECT register_wh, purpose FROM readings WHERE point_id = ?", room.point_id
    )
    assert (booked[0][1], booked[0][0] <= true_wh) == ("opening", True)


def a_sale_lights_a_dark_room(campus: Campus, cashier: Browser) -> None:
    """Nearly no credit, a heavy load: dark. A sale: journalled, switched, read back, booked."""
    room = room_with(campus, 30)
    campus.meter(room.meter_id, load_w=5_000)
    wait_for("the room to go dark", lambda: campus.relay(room.meter_id) == "open", 40)
    campus.meter(room.meter_id, load_w=500)
    began = time.monotonic()
    page = cashier.sell(room.room_id, "50.00")
    assert page.status == 200, page.text
    wait_for("the light", lambda: campus.relay(room.meter_id) == "closed", 10)
    lit_s = time.monotonic() - began
    point = campus.point(room.gateway_id, room.meter_id)
    assert (point["purse_count"], point["relay"]) == (2, "closed")
    assert cashier.get(page.url).status == 200  # refreshing the page sells nothing again
    assert granted(campus, room) == 5_030
    wait_for(
        "the books to hold the relay's position",
        lambda: relay_facts(campus, room)[-1:] == [("closed", "closed")],
        10,
    )
    assert lit_s < 10


def arrears_trip_with_the_link_cut(campus: Campus, cashier: Browser) -> None:
    room = room_with(campus, 2_010)
    broker, gateway = campus.fleet[BROKER], campus.fleet[room.gateway_id]
    broker.stop()
    campus.meter(room.meter_id, load_w=5_000)
    wait_for("arrears", lambda: alarm_stands(campus, room, "arrears"), 120)
    wait_for("the trip", lambda: campus.relay(room.meter_id) == "open", 3 * CYCLE_S + 1)
    wait_for(
        "the gateway to have read it back",
        lambda: campus.point(room.gateway_id, room.meter_id)["relay"] == "open",
        2 * CYCLE_S,
    )
    before = relays(campus)
    gateway.kill()
    campus.fleet.start(room.gateway_id)
    wait_for(
        "every meter of the building after the restart",
        lambda: in_service(campus, room.gateway_id) == 120,
        LIVE_S,
    )
    time.sleep(2 * CYCLE_S)  # long enough for a relay to be moved if anything meant to
    moved = {meter for meter, contact in relays(campus).items() if contact != before[meter]}
    assert room.meter_id not in moved
    assert campus.relay(room.meter_id) == "open"

    campus.meter(room.meter_id, load_w=300)
    assert cashier.sell(room.room_id, "30").status == 200
    time.sleep(1)
    assert campus.relay(room.meter_id) == "open", "the sale cannot have reached it"
    campus.fleet.start(BROKER)
    back = time.monotonic()
    wait_for("the light", lambda: campus.relay(room.meter_id) == "closed", 10)
    assert time.monotonic() - back <= 10
    wait_for("all facts in the books", lambda: settled(campus), 60)
    warned_in_order(campus, room)
    tripped_in_time(campus, room)
    assert moved <= decided_after_restart(campus, room.gateway_id), "a restart moved a relay"


def granted(campus: Campus, room: Room) -> int:
    ((fen,),) = books(campus, "SELECT granted_fen FROM purses WHERE purse_id = ?", room.purse_id)
    return int(fen)


def alarm_stands(campus: Campus, room: Room, code: str) -> bool:
    standing = campus.gateway(room.gateway_id)["alarms"]
    return any(a["code"] == code and a["subject"] == room.point_id for a in standing)


def warned_in_order(campus: Campus, room: Room) -> None:
    """By the gateway's own journal: alarm 1, then alarm 2, then arrears, then the trip."""
    raised = {f["code"]: f["seq"] for f in facts_of(campus, room, "alarm_raised")}
    tripped = [f["seq"] for f in facts_of(campus, room, "supply_decided") if f["to"] == "tripped"]
    steps = [raised["alarm_1"], raised["alarm_2"], raised["arrears"], tripped[-1]]
    assert steps == sorted(steps), steps


def relays(campus: Campus) -> dict[str, str]:
    """Where the contact of each meter of the first building stands."""
    return {m: campus.relay(m) for m in [campus.plan.meter_id(1, n) for n in range(120)]}


def decided_after_restart(campus: Campus, gateway_id: str) -> set[str]:
    """The meters for which a later start of the gateway decided anything new."""
    rows = books(
        campus,
        "SELECT f.text FROM facts f JOIN journals j USING (journal_id)"
        " WHERE f.kind = 'supply_decided' AND j.gateway_id = ?",
        gateway_id,
    )
    decided = {fact["point_id"] for (text,) in rows if (fact := json.loads(text))["boot"] > 1}
    meters = books(campus, "SELECT point_id, meter_id FROM points")
    return {meter_id for point_id, meter_id in meters if point_id in decided}


def in_service(campus: Campus, gateway_id: str) -> int:
    done = campus.command(
        "edge", "status", "--json", "--config", str(campus.folder.edge_toml(gateway_id))
    )
    if done.returncode:
        return 0
    return sum(point["in_service"] for point in json.loads(done.stdout)["points"])


def settled(campus: Campus) -> bool:
    found = health(campus)
    return bool(found["gateways_online"] == 4 and found["backlog_facts"] == 0)


def facts_of(campus: Campus, room: Room, kind: str) -> list[dict[str, Any]]:
    rows = books(
        campus,
        "SELECT text FROM facts WHERE kind = ? AND text LIKE ? ORDER BY journal_id, seq",
        kind,
        f"%{room.point_id}%",
    )
    return [json.loads(text) for (text,) in rows]


def relay_facts(campus: Campus, room: Room) -> list[tuple[str, str]]:
    return [(fact["wanted"], fact["seen"]) for fact in facts_of(campus, room, "relay_result")]


def tripped_in_time(campus: Campus, room: Room) -> None:
    """From the first reading at or below the limit to the contact read back open, by the gateway's
    own monotonic clock: two poll cycles and a second at most."""
    decided = [f for f in facts_of(campus, room, "supply_decided") if f["to"] == "tripped"][-1]
    result = next(
        f
        for f in facts_of(campus, room, "relay_result")
        if f["decided_seq"] == decided["seq"] and f["boot"] == decided["boot"]
    )
    assert (result["wanted"], result["seen"]) == ("open", "open")
    # The alarm is raised by the first believed reading at or below the limit, before the second
    # one that the trip waits for.
    first_low = [f for f in facts_of(campus, room, "alarm_raised") if f["code"] == "arrears"][-1]
    assert (first_low["boot"], first_low["seq"] < decided["seq"]) == (decided["boot"], True)
    assert result["mono_ms"] - first_low["mono_ms"] <= 2 * CYCLE_S * 1000 + 1000
    assert decided["available_ticks"] <= 0
