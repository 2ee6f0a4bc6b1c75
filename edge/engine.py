"""The turning of cycles: gather what arrived, decide once, perform, and again.

A cycle runs when something arrived, after at most 100 ms of gathering, and at least once a second.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from domain.instants import Stamp
from edge.cycle import step
from edge.events import Event, Missed, Polled
from edge.performer import Performer
from edge.picture import Picture

GATHER_S = 0.1
IDLE_S = 1.0
ARRIVED_MAX = 10_000  # events that wait for a cycle: a building's polls of about five minutes

log = logging.getLogger(__name__)


class Engine:
    """Holds the newest picture and feeds it. `run` ends only by a fault or by cancellation."""

    def __init__(
        self,
        picture: Picture,
        performer: Performer,
        *,
        now: Callable[[], Stamp],
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        self._picture, self._performer = picture, performer
        self._now, self._finished = now, finished
        self._arrived: list[Event] = []
        self._first: list[Event] = []  # what the performer found out: before anything that arrived
        self._something = asyncio.Event()
        self._dropped = 0

    @property
    def picture(self) -> Picture:
        """The picture after the newest finished cycle: decided, kept and acted upon."""
        return self._picture

    def emit(self, event: Event) -> None:
        """Hand in an event; it is taken by the next cycle. From the event loop's thread only.

        While a cycle hangs (a disk that does not answer), the oldest polls make way: newer ones say
        the same. Nothing else is ever dropped.
        """
        if len(self._arrived) >= ARRIVED_MAX:
            self._drop_oldest_poll()
        self._arrived.append(event)
        self._something.set()

    def _drop_oldest_poll(self) -> None:
        for n, event in enumerate(self._arrived):
            if isinstance(event, Polled | Missed):
                del self._arrived[n]
                self._dropped += 1
                return

    async def run(self) -> None:
        """Turn for ever; `finished` is called after every cycle (it feeds the watchdog)."""
        while True:
            await self._gather()
            await self.turn()

    async def turn(self, events: Sequence[Event] = ()) -> None:
        """One cycle with everything that arrived, and these events after it."""
        taken = [*self._first, *self._arrived, *events]
        self._first, self._arrived = [], []
        self._something.clear()
        if self._dropped:
            log.warning("%d polls were dropped: cycles are too slow", self._dropped)
            self._dropped = 0
        picture, effects = step(self._picture, taken, self._now())
        self._first = list(await self._performer.perform(effects))
        self._picture = picture
        self._finished()

    async def _gather(self) -> None:
        if self._first:
            return
        try:
            async with asyncio.timeout(IDLE_S):
                await self._something.wait()
        except TimeoutError:
            return
        await asyncio.sleep(GATHER_S)
