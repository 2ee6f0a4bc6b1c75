"""The buses of a building as the performer needs them: set up, rebuilt, commanded.

One task a bus. When the installation changes, a bus whose port and settings stayed keeps its task
and what it learned of its meters; the others end and begin.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from domain.wire.intents import Bus, InstallationBody
from edge.bus.line import Line, LineSettings
from edge.bus.relay import RelayCommand
from edge.bus.scheduler import BusTask
from edge.bus.station import MeterSlot
from edge.effects import ReadSoon, SwitchRelay
from edge.events import Event
from edge.meters.profile import Profile

_PARITY: Mapping[str, Literal["none", "even", "odd"]] = {"N": "none", "E": "even", "O": "odd"}


@dataclass(frozen=True, slots=True)
class _Running:
    bus: Bus
    owner: BusTask
    task: asyncio.Task[None]


class BuildingBuses:
    """Everything on RS485. `rebuild`, `switch` and `read_soon` return at once."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        *,
        profiles: Mapping[str, Profile],
        emit: Callable[[Event], None],
        mono_ms: Callable[[], int],
    ) -> None:
        self._tasks, self._profiles = tasks, profiles
        self._emit, self._mono_ms = emit, mono_ms
        self._running: dict[str, _Running] = {}

    def rebuild(self, installation: InstallationBody) -> None:
        """Serve these buses and points from now on."""
        wanted = {bus.bus_id: bus for bus in installation.buses}
        for bus_id, running in tuple(self._running.items()):
            if wanted.get(bus_id) != running.bus:
                running.task.cancel()
                del self._running[bus_id]
        for bus_id, bus in wanted.items():
            slots = [
                MeterSlot(place.point_id, place.address, place.meter_id, profile)
                for place in installation.points
                if place.bus_id == bus_id
                and (profile := self._profiles.get(place.profile)) is not None
            ]
            if (running_now := self._running.get(bus_id)) is not None:
                running_now.owner.replace_meters(slots)
            else:
                self._running[bus_id] = self._start(bus, slots)

    def _start(self, bus: Bus, slots: list[MeterSlot]) -> _Running:
        line = Line(LineSettings(bus.port, bus.baud, _PARITY[bus.parity]))
        owner = BusTask(bus.bus_id, line=line, slots=slots, emit=self._emit, mono_ms=self._mono_ms)
        task = self._tasks.create_task(owner.run(), name=f"bus {bus.bus_id}")
        return _Running(bus, owner, task)

    def switch(self, effect: SwitchRelay) -> None:
        """Command a relay ahead of polling. A bus that is gone answers nothing: the cycle gives a
        command up by itself when no result comes."""
        if (running := self._running.get(effect.bus_id)) is not None:
            running.owner.command(RelayCommand(effect.point_id, effect.wanted, effect.decided_seq))

    def read_soon(self, effect: ReadSoon) -> None:
        """Poll a point ahead of its turn."""
        if (running := self._running.get(effect.bus_id)) is not None:
            running.owner.read_soon(effect.point_id)
