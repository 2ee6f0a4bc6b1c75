"""One bus, one task: who is spoken to next on a line, and what is told of it.

Commands go ahead of polling and wait for at most the request in flight. A meter is polled for
service only after it said who it is and whether its own prepaid control is on; it says so again
every hour and whenever it (re)appears. A port that is lost is opened again; the other buses do not
notice.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from domain.supply import Relay
from edge import events, faults
from edge.bus import conversation
from edge.bus.conversation import Reason
from edge.bus.line import Line
from edge.bus.relay import RelayCommand, RelayMove
from edge.bus.rota import Rota
from edge.bus.station import GENEROUS_MS, MeterSlot, Station
from edge.events import BusEvent, PointHealth
from edge.meters.snapshot import Snapshot

ROUND_MS = 500  # a round takes at least this, however few meters there are
HEALTH_EVERY_MS = 3_600_000
REOPEN_FIRST_S, REOPEN_MOST_S = 0.1, 0.5
STEADY_MS = 5000  # a port that stayed this long is tried soon again when it goes
LOST_EVERY_MS = 10_000  # how often a lost port is said of each point


class BusTask:
    """A bus's owner. `run` it in one task; everything else may be called from the same loop."""

    def __init__(
        self,
        bus_id: str,
        *,
        line: Line,
        slots: Sequence[MeterSlot],
        emit: Callable[[BusEvent], None],
        mono_ms: Callable[[], int],
        round_ms: int = ROUND_MS,
    ) -> None:
        self.bus_id = bus_id
        self._line = line
        self._emit = emit
        self._mono_ms = mono_ms
        self._stations = {slot.point_id: Station(slot) for slot in slots}
        self._rota = Rota(self._stations.values(), round_ms=round_ms)
        self._moves: dict[str, RelayMove] = {}
        self._soon: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._health_at_ms = mono_ms() + HEALTH_EVERY_MS
        self._lost = False
        self._tell_lost_at_ms = 0

    def command(self, command: RelayCommand) -> None:
        """Move a point's relay as soon as the line is free; RelayMoved tells the end of it.

        A newer command for a point takes the place of an older one, of which nothing is told.
        """
        self._moves[command.point_id] = RelayMove(command)
        self._woken.set()

    def read_soon(self, point_id: str) -> None:
        """Poll a point ahead of its turn. Does nothing for a point that is not on this bus."""
        self._soon[point_id] = None
        self._woken.set()

    def replace_meters(self, slots: Sequence[MeterSlot]) -> None:
        """Serve these slots from now on; what was learned of unchanged ones is kept."""
        known = self._stations
        self._stations = {slot.point_id: _kept(known, slot) or Station(slot) for slot in slots}
        self._rota.replace(self._stations.values())
        self._woken.set()

    def health(self) -> tuple[PointHealth, ...]:
        """How the meters answered since the last BusHealth."""
        return tuple(station.health() for station in self._stations.values())

    async def run(self) -> None:
        """Serve the bus until cancelled. Faults of the line are told as events, not raised."""
        wait_s = REOPEN_FIRST_S
        try:
            while True:
                opened_ms = self._mono_ms()
                try:
                    await self._line.open()
                    self._tell_back()
                    await self._serve()
                except faults.PortLost as fault:
                    self._line.close()
                    self._tell_lost(fault)
                if self._mono_ms() - opened_ms > STEADY_MS:
                    wait_s = REOPEN_FIRST_S
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, REOPEN_MOST_S)
        finally:
            self._line.close()

    async def _serve(self) -> None:
        while True:
            now_ms = self._mono_ms()
            self._tell_health(now_ms)
            if (move := self._due_move(now_ms)) is not None:
                await self._advance(move)
            elif (asked := self._asked_soon()) is not None:
                await self._visit(asked)
            elif (station := self._rota.next(now_ms)) is not None:
                await self._take_turn(station)
            else:
                await self._idle(now_ms)

    # --- polling -----------------------------------------------------------------------------

    async def _take_turn(self, station: Station) -> None:
        reason = await self._visit(station)
        if reason is None or reason is Reason.other_meter or not self._serves(station):
            return
        now_ms = self._mono_ms()
        # A late reply must not be taken for the second turn's: how late it is would stay unknown.
        wait_ms = GENEROUS_MS if reason is Reason.no_reply else 0
        if not self._rota.once_more(station, from_ms=now_ms + wait_ms):
            station.missed(round_no=self._rota.round_no, mono_ms=now_ms)
            self._tell_missed(station, reason)

    async def _visit(self, station: Station) -> Reason | None:
        """Poll a meter, and before that have it say who it is where that is due."""
        if not station.introduced or self._mono_ms() >= station.identify_at_ms:
            reason = await self._introduce(station)
            if reason is not None:
                return reason
        taken = await self._poll(station)
        return taken if isinstance(taken, Reason) else None

    async def _introduce(self, station: Station) -> Reason | None:
        met = await conversation.introduce(self._line, station)
        if isinstance(met, Reason):
            return met
        now_ms = self._mono_ms()
        station.met(met.meter_id, own_prepaid_on=met.own_prepaid_on, mono_ms=now_ms)
        if self._serves(station):
            point_id = station.slot.point_id
            self._emit(events.Identified(point_id, met.meter_id, met.own_prepaid_on, now_ms))
            if station.stranger:
                self._tell_missed(station, Reason.other_meter)
        return Reason.other_meter if station.stranger else None

    async def _poll(self, station: Station) -> Snapshot | Reason:
        taken = await conversation.poll(self._line, station)
        if not isinstance(taken, Reason):
            station.present()
            if self._serves(station):
                slot = station.slot
                self._emit(events.Polled(slot.point_id, slot.meter_id, taken, self._mono_ms()))
        return taken

    # --- the control lane --------------------------------------------------------------------

    def _due_move(self, now_ms: int) -> RelayMove | None:
        return next((move for move in self._moves.values() if move.due_ms <= now_ms), None)

    def _asked_soon(self) -> Station | None:
        while self._soon:
            point_id = next(iter(self._soon))
            del self._soon[point_id]
            if (station := self._stations.get(point_id)) is not None:
                return station
        return None

    async def _advance(self, move: RelayMove) -> None:
        station = self._stations.get(move.command.point_id)
        seen = Relay.unknown if station is None else await self._step(move, station)
        if seen is not None:
            self._tell_moved(move, seen)

    async def _step(self, move: RelayMove, station: Station) -> Relay | None:
        if not station.introduced and not await self._introduced_now(station):
            return Relay.unknown  # nobody, or another meter: its relay is not ours to move
        return await move.advance(
            station.slot.profile.relay,
            poll=lambda: self._poll(station),
            write=lambda words: conversation.tell_relay(self._line, station, words),
            mono_ms=self._mono_ms,
        )

    async def _introduced_now(self, station: Station) -> bool:
        for _ in range(2):
            reason = await self._introduce(station)
            if reason is None or reason is Reason.other_meter:
                break
        return station.introduced

    async def _idle(self, now_ms: int) -> None:
        """Wait for the next round, the next step of a move, or somebody asking for something."""
        moves_ms = [move.due_ms - now_ms for move in self._moves.values()]
        wait_ms = min([self._rota.wait_ms(now_ms), *moves_ms])
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_ms / 1000):
                await self._woken.wait()

    # --- what is told ------------------------------------------------------------------------

    def _serves(self, station: Station) -> bool:
        """False once a station was replaced while it was being spoken to."""
        return self._stations.get(station.slot.point_id) is station

    def _tell_missed(self, station: Station, reason: Reason) -> None:
        self._emit(events.Missed(station.slot.point_id, reason.value, self._mono_ms()))

    def _tell_moved(self, move: RelayMove, seen: Relay) -> None:
        command = move.command
        if self._moves.get(command.point_id) is not move:
            return  # a newer command took its place
        del self._moves[command.point_id]
        self._emit(
            events.RelayMoved(
                command.point_id, command.wanted, seen, move.tries, command.decided_seq
            )
        )

    def _tell_lost(self, fault: faults.PortLost) -> None:
        now_ms = self._mono_ms()
        if not self._lost:
            self._emit(events.PortLost(self.bus_id, fault.reason, now_ms))
            self._tell_lost_at_ms = now_ms
        self._lost = True
        for move in tuple(self._moves.values()):
            self._tell_moved(move, Relay.unknown)
        self._soon.clear()
        if now_ms >= self._tell_lost_at_ms:
            self._tell_lost_at_ms = now_ms + LOST_EVERY_MS
            for station in self._stations.values():
                station.introduced = False
                self._tell_missed(station, Reason.port_lost)

    def _tell_back(self) -> None:
        if self._lost:
            self._lost = False
            self._emit(events.PortBack(self.bus_id, self._mono_ms()))

    def _tell_health(self, now_ms: int) -> None:
        if now_ms >= self._health_at_ms:
            self._health_at_ms = now_ms + HEALTH_EVERY_MS
            points = tuple(station.take_health() for station in self._stations.values())
            self._emit(events.BusHealth(self.bus_id, points))


def _kept(known: Mapping[str, Station], slot: MeterSlot) -> Station | None:
    station = known.get(slot.point_id)
    return station if station is not None and station.slot == slot else None
