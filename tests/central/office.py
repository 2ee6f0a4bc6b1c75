"""An office whose link runs against a real broker, and what tests ask of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select

from central.conversation import Conversation
from central.database import Database
from central.gateways import service as gateways
from central.link import Broker as Address
from central.link import Link
from central.metering import tables
from central.metering.live import LiveBoard
from tests.broker import CELL, Broker, centre
from tests.central import campus
from tests.central.campus import NOW_MS, TECHNICIAN
from tests.central.scripted import MASTER, WITHIN_S


@dataclass
class Clock:
    """The centre's time, which a test may move."""

    ms: int = NOW_MS

    def __call__(self) -> int:
        return self.ms


@dataclass
class Centre:
    """A centre with its link running."""

    database: Database
    broker: Broker
    board: LiveBoard
    clock: Clock
    link: Link

    def refused(self, gateway_id: str, reason: str) -> int:
        return self.link.inbox.refused().get((gateway_id, reason), 0)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds that tells nobody when it begins to."""
        async with asyncio.timeout(WITHIN_S):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def until_booked(self, journal_id: str, seqs: list[int]) -> None:
        """Wait until these facts, and no others, of a journal are in the books."""
        async with asyncio.timeout(WITHIN_S):
            while await self.facts(journal_id) != seqs:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def look(self) -> None:
        """Let the link look at gateways, places, pulses and intents now, and say what is due."""
        await self.talk.look()
        await self.talk._hear(self.talk.inbox.take_pulses())
        self.talk._committed.set()
        await self.until(lambda: not self.talk._committed.is_set())
        await asyncio.sleep(0.05)

    @property
    def talk(self) -> Conversation:
        return self.link._conversation

    async def until_refused(self, gateway_id: str, reason: str, count: int = 1) -> None:
        await self.until(lambda: self.refused(gateway_id, reason) >= count)

    async def facts(self, journal_id: str) -> list[int]:
        wanted = select(tables.facts.c.seq).where(tables.facts.c.journal_id == journal_id)
        return await self.database.read(
            lambda connection: list(connection.execute(wanted.order_by("seq")).scalars())
        )


def add_gateways(connection: Connection, *gateway_ids: str) -> None:
    """Add gateways with their first key."""
    for gateway_id in gateway_ids:
        refused = gateways.add_gateway(
            connection, actor=TECHNICIAN, now_ms=NOW_MS, gateway_id=gateway_id, name="1号管理机"
        )
        assert refused is None


@asynccontextmanager
async def linked(database: Database, broker: Broker, *, wait: bool = True) -> AsyncIterator[Centre]:
    """A centre whose link runs; connected where it is to `wait`."""
    account, board, clock = centre(), LiveBoard(), Clock()
    made = Link(
        Address(broker.host, broker.port, account.user, account.password),
        cell_id=CELL,
        master=MASTER,
        database=database,
        board=board,
        now_ms=clock,
        new_id=campus.ids(10**6),
        random_bytes=os.urandom,
    )
    running = asyncio.create_task(made.run())
    office = Centre(database, broker, board, clock, made)
    try:
        if wait:
            await office.until(lambda: made.connected or running.done())
        assert not running.done()
        yield office
    finally:
        running.cancel()
        ended = (await asyncio.gather(running, return_exceptions=True))[0]
        assert isinstance(ended, asyncio.CancelledError), ended
