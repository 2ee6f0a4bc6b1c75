"""`main`: the main job on a whole campus of real processes, 4 buildings of 4 buses of 30 meters.

Ingest first, alone; then the campus, whose rooms burn sixty times as fast: how old the wall is, how
soon a sale is held and a room lit, and what the processes take.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from simulator.demo.plan import Plan
from simulator.demo.processes import CENTRE
from tests.bench import ingest, wire
from tests.bench.figures import Figure, tell
from tests.bench.load import Watch, bare_polling_pct, bare_rss_mb, rss_mb
from tests.bench.rooms import Room, Till, meters_live
from tests.journeys.campus import Campus, open_campus, wait_for

PLAN = Plan(rate=60)
LIVE_S = 90.0
SETTLE_S = 10.0  # the first round also asks every meter who it is
WATCH_S = 20.0
SALES, DARK_ROOMS, CHANGES = 10, 5, 12
FRESH_S, SALE_S = 10.0, 5.0
GATEWAY_RSS_MB, GATEWAY_CPU_PCT, CENTRE_RSS_MB = 80.0, 15.0, 150.0
PLENTY_FEN, NEARLY_OUT_FEN = 5_000, 30  # first payments of the plan


def run() -> Iterator[Figure]:
    """All figures of this bench."""
    yield from ingest.run()
    with _campus() as campus, closing(Till(campus)) as till:
        yield from _watched(campus, till)
        yield from _changed(campus, till)
        yield from _sold(campus, till)
        yield from _lit(campus, till)
        yield _centre_rss(campus)


@contextmanager
def _campus() -> Iterator[Campus]:
    with tempfile.TemporaryDirectory(prefix="wl-") as root:
        tell(f"campus: {PLAN.meters_total} meters")
        campus = asyncio.run(open_campus(Path(root), PLAN, Path(sys.executable)))
        try:
            wait_for(
                "every meter to be live", lambda: meters_live(campus) == PLAN.meters_total, LIVE_S
            )
            time.sleep(SETTLE_S)
            yield campus
        finally:
            campus.stop()


def _watched(campus: Campus, till: Till) -> Iterator[Figure]:
    """The wall for a while, and what the gateways take meanwhile."""
    tell(f"the wall and the gateways for {WATCH_S:.0f} s")
    gateways = [campus.fleet[name].pid for name in campus.fleet.gateways]
    watch, until_s, oldest_ms = Watch(gateways), time.monotonic() + WATCH_S, 0
    with closing(till.wall()) as rounds:
        for wall in rounds:
            oldest_ms = max(oldest_ms, wall.oldest_ms)
            if time.monotonic() > until_s:
                break
    assert len(wall.rows) == PLAN.meters_total
    load = watch.load()
    yield Figure(
        "main.freshness", oldest_ms / 1000, "s", wire.round_s(PLAN.meters), FRESH_S, "value <=",
        "oldest reading on the wall before it is renewed; limit: one round of a bus",
    )  # fmt: skip
    yield Figure(
        "main.gateway_cpu", max(load.cpu_pct), "% of a core", bare_polling_pct(PLAN.buses),
        GATEWAY_CPU_PCT, "value <=", "the busiest gateway; limit: its buses' system calls alone",
    )  # fmt: skip
    yield Figure(
        "main.gateway_rss", max(load.rss_mb), "MB", bare_rss_mb("edge.app"), GATEWAY_RSS_MB,
        "value <=", "the largest gateway; limit: its modules imported, no more",
    )  # fmt: skip


def _changed(campus: Campus, till: Till) -> Iterator[Figure]:
    """What rooms draw changes; how soon the wall shows it."""
    tell(f"{CHANGES} rooms draw something else")
    rooms = _spread(till.rooms(at_least_fen=PLENTY_FEN), CHANGES)
    waiting, taken_s = {}, []
    with closing(till.wall()) as rounds:
        next(rounds)
        for n, room in enumerate(rooms):
            campus.meter(room.meter_id, load_w=1_001 + n)
            waiting[room.point_id] = (1_001 + n, time.monotonic())
        for wall in rounds:
            for point_id, (power_w, since_s) in list(waiting.items()):
                if wall.rows[point_id]["w"] == power_w:
                    taken_s.append(time.monotonic() - since_s)
                    del waiting[point_id]
            if not waiting:
                break
    for room in rooms:
        campus.meter(room.meter_id, load_w=None)
    yield Figure(
        "main.change_shown", max(taken_s), "s", wire.round_s(PLAN.meters), FRESH_S, "value <=",
        f"from the meter to the wall, worst of {len(taken_s)}; median {median(taken_s):.2f} s;"
        " limit: one round of a bus",
    )  # fmt: skip


def _sold(campus: Campus, till: Till) -> Iterator[Figure]:
    """Sales, one after the other, until the books know that the gateway's journal holds each."""
    tell(f"{SALES} sales")
    commits_s = 3 * _commit_s(campus.folder.root)
    rooms = _spread(till.rooms(at_least_fen=PLENTY_FEN), SALES)
    taken_s = [till.sell_held_s(room, "1.00") for room in rooms]
    limit = f"{SALES} sales; limit: three durable commits, one after the other"
    for name, value_s in (("", median(taken_s)), ("_worst", max(taken_s))):
        yield Figure(f"main.sale_held{name}", value_s, "s", commits_s, SALE_S, "value <=", limit)


def _lit(campus: Campus, till: Till) -> Iterator[Figure]:
    """Dark rooms pay, one after the other, until the books know that each relay reads closed."""
    rooms = till.rooms(granted_fen=NEARLY_OUT_FEN)[:DARK_ROOMS]
    tell(f"{len(rooms)} rooms go dark and pay")
    for room in rooms:
        campus.meter(room.meter_id, load_w=5_000)
    for room in rooms:
        till.wait_dark(room)
        campus.meter(room.meter_id, load_w=500)
    taken_s = [till.sell_lit_s(room, "20.00") for room in rooms]
    limit_s = wire.relay_s() + 4 * _commit_s(campus.folder.root)
    limit = f"{len(rooms)} rooms; limit: the wire, and four durable commits one after the other"
    for name, value_s in (("", median(taken_s)), ("_worst", max(taken_s))):
        yield Figure(f"main.room_lit{name}", value_s, "s", limit_s, SALE_S, "value <=", limit)


def _centre_rss(campus: Campus) -> Figure:
    return Figure(
        "main.centre_rss", rss_mb(campus.fleet[CENTRE].pid), "MB", bare_rss_mb("central.app"),
        CENTRE_RSS_MB, "value <=", "after all of it; limit: its modules imported, no more",
    )  # fmt: skip


def _spread(rooms: list[Room], count: int) -> list[Room]:
    """So many rooms, from all over the campus."""
    return rooms[:: len(rooms) // count][:count]


def _commit_s(directory: Path) -> float:
    """One durable commit of SQLite on the disk of the books: the median."""
    taken_s = []
    with closing(sqlite3.connect(directory / "commit.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE IF NOT EXISTS one (n INTEGER)")
        for n in range(50):
            began_s = time.perf_counter()
            database.execute("INSERT INTO one VALUES (?)", (n,))
            taken_s.append(time.perf_counter() - began_s)
    return median(taken_s)
