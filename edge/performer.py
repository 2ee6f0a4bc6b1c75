"""The only module that does things: files, then the commit, then relays, then words.

A failed commit is a fault that ends the service; then no relay has moved, and the start after it
finds what was kept. What a relay did comes back as an event of its bus.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from domain.wire.intents import InstallationBody
from edge.effects import (
    Effect,
    HeedWatermark,
    Note,
    Persist,
    ReadSoon,
    RebuildBuses,
    StoreIntent,
    SwitchRelay,
)
from edge.events import Event, SeriesStarted
from edge.installation import InstallationFile
from edge.journal import Journal

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Buses(Protocol):
    """The buses as the performer needs them: every call returns at once."""

    def rebuild(self, installation: InstallationBody) -> None:
        """Serve these buses and points from now on."""

    def switch(self, effect: SwitchRelay) -> None:
        """Command a relay ahead of polling; the result comes back as RelayMoved."""

    def read_soon(self, effect: ReadSoon) -> None:
        """Poll a point ahead of its turn."""


class Performer:
    """Carries out the effects of one cycle after another. `wake` tells the uplink of new facts."""

    def __init__(
        self,
        *,
        journal: Journal,
        installation: InstallationFile,
        buses: Buses,
        wake: Callable[[], None],
        log: logging.Logger,
    ) -> None:
        self._journal, self._installation, self._buses = journal, installation, buses
        self._wake, self._log = wake, log

    async def perform(self, effects: Sequence[Effect]) -> tuple[Event, ...]:
        """Do everything in the order given; returns events that the next cycle must begin with.

        Raises JournalFault and InstallationFault; what stands after the failed effect is not done.
        """
        events: list[Event] = []
        for effect in effects:
            match effect:
                case StoreIntent(intent):
                    await asyncio.to_thread(self._installation.store, intent)
                case Persist(commit):
                    await self._journal.commit(commit)
                    if commit.facts:
                        self._wake()
                case HeedWatermark(watermark):
                    if await self._journal.watermark(watermark) == "rolled_back":
                        events.append(SeriesStarted(self._journal.series))
                    self._wake()
                case RebuildBuses(installation):
                    self._buses.rebuild(installation)
                case SwitchRelay():
                    self._buses.switch(effect)
                case ReadSoon():
                    self._buses.read_soon(effect)
                case Note():
                    fields = " ".join(f"{name}={value}" for name, value in effect.fields.items())
                    self._log.log(_LEVELS[effect.level], "%s %s", effect.event, fields)
                case _:
                    assert_never(effect)
        return tuple(events)
