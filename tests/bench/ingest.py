"""Ingest through the whole path against what SQLite itself takes, in one run on one disk.

The path: an envelope is opened, its batch checked and chained, each fact validated, and booked:
dedupe, readings, newest states, charges joined and priced again, all in one commit with the
watermark, which is then sealed to be said. Its rows are the readings. The limit: the same rows by a
bare executemany, 120 a transaction, key (ts, meter), synchronous FULL.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from sqlalchemy import select

from central import field
from central.app import collect_seldom
from central.conversation import Conversation
from central.database import Database
from central.metering import service as metering
from central.metering import tables
from central.metering.bulk import Row
from central.metering.live import LiveBoard
from central.schema import metadata
from central.sending import Sent
from domain.wire.topics import Topics
from edge.in_flight import BATCHES_MAX
from simulator.demo import seed
from simulator.demo.plan import CELL_ID, Plan
from tests.bench.figures import Figure, tell
from tests.bench.journals import Gateway, intents_of

ROUNDS = 5
INTERVALS, CUT_INTERVALS = 15, 60  # of a round
AT_ONCE = BATCHES_MAX // 2
RAW_A_COMMIT = 120
GOAL = 0.12
# A commit of one interval pays for reading and writing every state that it moves. Office hours have
# half an hour for it: these goals only keep it from getting worse.
GOAL_LIVE, GOAL_SINGLE = 0.03, 0.02

Envelope = tuple[str, bytes]  # topic and payload
Group = Sequence[Envelope]  # what is heard before a commit begins


class Office:
    """Books of a whole campus, and the office's side of the talk with its gateways; no broker."""

    def __init__(self, database: Database, gateways: list[Gateway], master: bytes) -> None:
        self._database, self._gateways = database, gateways
        self._now_ms = 0
        self._talk = Conversation(
            cell_id=CELL_ID,
            master=master,
            database=database,
            board=LiveBoard(),
            now_ms=lambda: self._now_ms,
            new_id=seed.new_id,
            random_bytes=os.urandom,
            sent=Sent(),
        )

    @classmethod
    async def open(cls, root: Path, database: Database) -> "Office":
        """Books as a demonstration has them; of every journal what comes before its intervals."""
        plan, master, at_ms = Plan(), os.urandom(32), seed.now_ms()
        await database.write(metadata.create_all)
        await seed.fill(database, plan, ports_dir=root, logins={}, progress=lambda _: None)
        gateways = [
            Gateway(
                gateway_id,
                await database.read(intents_of, gateway_id),
                topics=Topics(CELL_ID, gateway_id),
                master=master,
                at_ms=at_ms,
            )
            for gateway_id in map(plan.gateway_id, plan.building_numbers())
        ]
        office = cls(database, gateways, master)
        await office._talk.look()
        for gateway in gateways:
            await office.take([list(gateway.envelopes())])
        return office

    def one_by_one(self, intervals: int) -> list[Group]:
        """Intervals as they end, every batch heard alone."""
        return [[envelope] for group in self.together(intervals) for envelope in group]

    def together(self, intervals: int) -> list[Group]:
        """Intervals as they end: all gateways close them at the same time."""
        return [self._ended() for _ in range(intervals)]

    def _ended(self) -> Group:
        for gateway in self._gateways:
            gateway.interval()
        return [envelope for gateway in self._gateways for envelope in gateway.envelopes()]

    def after_a_cut(self, intervals: int) -> list[Group]:
        """What was written while the link was cut, in batches as full as they go.

        Of each gateway's 8 in flight half are booked at once; the others come meanwhile.
        """
        for gateway in self._gateways:
            for _ in range(intervals):
                gateway.interval()
        waiting = [list(gateway.envelopes()) for gateway in self._gateways]
        groups: list[Group] = []
        while any(waiting):
            groups.append([envelope for one in waiting for envelope in one[:AT_ONCE]])
            waiting = [one[AT_ONCE:] for one in waiting]
        return groups

    async def take(self, groups: Iterable[Group]) -> float:
        """Hear each group and book it as the running office does; the seconds it took."""
        self._now_ms = self.written_ms + 1_000
        inbox, sending = self._talk.inbox, self._talk.sending
        began = time.perf_counter()
        for group in groups:
            for topic, payload in group:
                inbox.take(topic, payload, retained=False, received_ms=self._now_ms)
            await self._talk._book()
            while sending._waiting:
                await sending.next()
        return time.perf_counter() - began

    @property
    def written_ms(self) -> int:
        """The instant up to which the gateways have written."""
        return max(gateway.at_ms for gateway in self._gateways)

    async def readings_after(self, ts_ms: int) -> list[Row]:
        """The readings of later instants, in the order in which they were taken."""
        table = tables.readings
        wanted = select(table).where(table.c.ts_ms > ts_ms).order_by(table.c.ts_ms)
        return await self._database.read(lambda c: [tuple(row) for row in c.execute(wanted)])

    async def check(self) -> None:
        """Everything was booked, and is priced here as the gateways priced it."""
        assert not self._talk.inbox.refused(), self._talk.inbox.refused()
        assert not self._talk.faults, self._talk.faults
        written = {gateway.journal_id: gateway.facts for gateway in self._gateways}
        assert await self._database.read(field.held) == written
        assert await self._database.read(metering.set_aside) == []
        assert await self._database.read(metering.differences) == []


class Raw:
    """SQLite and nothing else, as durable as the books."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE raw (ts_ms INTEGER, point_id TEXT, meter_id TEXT, incarnation INTEGER,"
            " register_wh INTEGER, total_wh INTEGER, rate_wh TEXT, purpose TEXT, quality TEXT,"
            " journal_id TEXT, seq INTEGER, PRIMARY KEY (ts_ms, point_id)) WITHOUT ROWID"
        )

    def take(self, rows: Sequence[Row]) -> float:
        """Insert new rows, 120 a transaction; the seconds it took."""
        began = time.perf_counter()
        for first in range(0, len(rows), RAW_A_COMMIT):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO raw VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows[first : first + RAW_A_COMMIT]
            )
            self._db.execute("COMMIT")
        return time.perf_counter() - began

    def close(self) -> None:
        self._db.close()


async def measure(root: Path) -> list[Figure]:
    """Every way in which batches come, in turn, the raw rows of each round right after it."""
    async with await Database.open(f"sqlite:///{root / 'books.db'}") as database:
        tell("ingest: books of 480 rooms, journals of 4 gateways")
        office, raw = await Office.open(root, database), Raw(root / "raw.db")
        ways: Mapping[str, tuple[Callable[[], list[Group]], float]] = {
            "ingest": (partial(office.after_a_cut, CUT_INTERVALS), GOAL),
            "ingest_live": (partial(office.together, INTERVALS), GOAL_LIVE),
            "ingest_single": (partial(office.one_by_one, INTERVALS), GOAL_SINGLE),
        }
        figures = [
            await _measured(name, office, raw, write=write, goal=goal)
            for name, (write, goal) in ways.items()
        ]
        await office.check()
        raw.close()
    return figures


async def _measured(
    name: str, office: Office, raw: Raw, *, write: Callable[[], list[Group]], goal: float
) -> Figure:
    booked, bare, a_commit = [], [], ""
    for _ in range(ROUNDS):
        after_ms, groups = office.written_ms, write()
        seconds = await office.take(groups)
        rows = await office.readings_after(after_ms)
        booked.append(len(rows) / seconds)
        bare.append(len(rows) / raw.take(rows))
        tell(f"{name}: {booked[-1]:.0f} rows/s of {bare[-1]:.0f}")
        batches = median(len(group) for group in groups)
        a_commit = f"{batches:g} batches and {len(rows) / len(groups):.0f} rows a commit"
    return Figure(
        f"main.{name}", median(booked), "rows/s", median(bare), goal, "ratio >=", a_commit
    )


def run() -> Iterator[Figure]:
    """All figures of ingest."""
    collect_seldom()
    with tempfile.TemporaryDirectory(prefix="wl-") as root:
        yield from asyncio.run(measure(Path(root)))
