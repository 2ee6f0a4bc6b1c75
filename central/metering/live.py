"""The picture now, in memory: what the gateways show of their meters, never booked, never kept.

A gateway's newest picture wins by (boot, cycle). How fresh a meter is does not depend on the
gateway's clock being right: a reading counts as new when its stamp moved since the picture before,
and is then as old as it lags behind the newest stamp of its own picture. Only when a point is seen
for the first time is there nothing to compare with; then the gateway's own clock, as its pulse told
it, says how old the stamp is. So a meter that went dumb turns old at once, whatever clock it hangs
on; the one thing that stays open is a gateway without a pulse yet whose meters were all dumb
before the centre first heard of it, and that ends after the ten seconds a reading counts as live.

Everything here runs on the event loop. No clock is read: instants are arguments (UTC ms, centre).
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from domain import credit
from domain.credit import Level, Thresholds
from domain.wire.messages import Live, LivePoint, Pulse

LIVE_MS = 10_000  # a reading at most this old is live
ONLINE_MS = 60_000  # a gateway that pulsed within this time is online
LOST_MS = 60_000  # a meter not read for longer than this is lost


@dataclass(frozen=True, slots=True)
class LiveState:
    """A point as its gateway showed it. `read_ms`: when its meter was last read, by our clock."""

    point: LivePoint
    gateway_id: str
    received_ms: int
    read_ms: int | None  # None: no meter was ever read here

    def age_ms(self, now_ms: int) -> int | None:
        """How long ago the meter was read; None where it never was."""
        return None if self.read_ms is None else max(0, now_ms - self.read_ms)

    def fresh(self, now_ms: int, *, within_ms: int = LIVE_MS) -> bool:
        """Whether the meter was read within this time."""
        age_ms = self.age_ms(now_ms)
        return age_ms is not None and age_ms <= within_ms


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A gateway's last pulse. `gone`: its broker said since that it left, which is only a hint."""

    pulse: Pulse
    received_ms: int
    gone: bool = False

    def online(self, now_ms: int) -> bool:
        """Whether it pulsed within a minute."""
        return now_ms - self.received_ms <= ONLINE_MS


@dataclass(frozen=True, slots=True)
class Health:
    """What `/healthz` says of the field."""

    meters_total: int
    meters_live: int  # read at most 10 s ago
    gateways_online: int  # pulsed at most 60 s ago
    backlog_facts: int  # journalled at the gateways, not yet in the books


class WallState(Enum):
    """The state a meter shows on the wall; the first that holds, in this order."""

    # fmt: off
    lost = ("失联", "lost")
    not_opened = ("未开户", "not opened")
    arrears = ("欠费", "arrears")
    alarm_2 = ("报警2", "alarm 2")
    alarm_1 = ("报警1", "alarm 1")
    ok = ("已开户", "in order")
    # fmt: on

    @property
    def zh(self) -> str:
        """The word in Chinese."""
        return self.value[0]

    @property
    def en(self) -> str:
        """The word in English."""
        return self.value[1]


_OF_LEVEL: Mapping[Level, WallState] = {
    Level.ok: WallState.ok,
    Level.alarm_1: WallState.alarm_1,
    Level.alarm_2: WallState.alarm_2,
    Level.arrears: WallState.arrears,
    Level.spent: WallState.arrears,
}


def wall_state(
    live: LiveState | None,
    *,
    opened: bool,
    booked_ticks: int,
    thresholds: Thresholds,
    now_ms: int,
) -> WallState:
    """The wall's state of a point. `opened`: it has the purse of an open account.

    What is available is what the gateway shows, or `booked_ticks` (the books' own figure) where
    the gateway does not hold the purse yet.
    """
    if live is None or not live.fresh(now_ms, within_ms=LOST_MS):
        return WallState.lost
    if not opened:
        return WallState.not_opened
    shown = live.point.available_ticks
    return _OF_LEVEL[credit.level(booked_ticks if shown is None else shown, thresholds)]


def count_states(states: Iterable[WallState]) -> dict[WallState, int]:
    """How many meters are in each state, in the order of precedence, zeros included."""
    counts = dict.fromkeys(WallState, 0)
    for state in states:
        counts[state] += 1
    return counts


class LiveBoard:
    """The newest picture of every gateway, and who waits for it to change."""

    def __init__(self) -> None:
        self._points: dict[str, LiveState] = {}
        self._gateways: dict[str, GatewayState] = {}
        self._newest: dict[str, tuple[int, int, bool]] = {}  # gateway → boot, cycle, full
        self._changed: OrderedDict[str, int] = OrderedDict()  # point → change, newest last
        self._change = 0
        self._moved = asyncio.Event()
        self.reachable = True  # False while the centre itself has no broker: nobody is online then

    def take(self, gateway_id: str, live: Live, received_ms: int) -> bool:
        """Show a picture; False where a newer one of this gateway is shown already."""
        newest = (live.boot, live.cycle, live.full)
        if newest <= self._newest.get(gateway_id, (-1, 0, False)):
            return False
        self._newest[gateway_id] = newest
        stamps = [point.at_ms for point in live.points if point.at_ms is not None]
        newest_ms = max(stamps, default=0)
        for point in live.points:
            before = self._points.get(point.point_id)
            if before is not None and before.gateway_id != gateway_id:
                before = None
            read_ms = self._read_ms(gateway_id, point, before, newest_ms, received_ms)
            self._show(LiveState(point, gateway_id, received_ms, read_ms))
        if live.full:
            self._keep_only(gateway_id, {point.point_id for point in live.points})
        self._announce()
        return True

    def pulse(self, gateway_id: str, pulse: Pulse, received_ms: int) -> bool:
        """Keep a heartbeat; False where it is older than the one kept.

        A new journal is a new card: its boots count from one again, so its pictures do as well.
        """
        before = self._gateways.get(gateway_id)
        if before is not None:
            known = before.pulse
            if known.journal_id != pulse.journal_id:
                self._newest.pop(gateway_id, None)
            elif (pulse.boot, pulse.head_seq) < (known.boot, known.head_seq):
                return False
        self._gateways[gateway_id] = GatewayState(pulse, received_ms)
        return True

    def gone(self, gateway_id: str) -> None:
        """The broker says that the gateway left: a hint, until it pulses again."""
        known = self._gateways.get(gateway_id)
        if known is not None:
            self._gateways[gateway_id] = GatewayState(known.pulse, known.received_ms, gone=True)

    def forget(self, gateway_id: str) -> None:
        """Show nothing of a gateway any more (it was revoked)."""
        self._gateways.pop(gateway_id, None)
        self._newest.pop(gateway_id, None)
        self._keep_only(gateway_id, ())
        self._announce()

    def point(self, point_id: str) -> LiveState | None:
        """A point as it was last shown; None where no gateway shows it."""
        return self._points.get(point_id)

    def points(self) -> Mapping[str, LiveState]:
        """Every point that is shown. Do not keep it: it is the board's own."""
        return self._points

    def gateway(self, gateway_id: str) -> GatewayState | None:
        """A gateway's last pulse; None where it has not pulsed since the centre started."""
        return self._gateways.get(gateway_id)

    def health(self, now_ms: int, *, points: Collection[str], held: Mapping[str, int]) -> Health:
        """The field as it is now. `points`: all that are installed; `held`: journal → held seq."""
        shown = (self._points.get(point_id) for point_id in points)
        gateways = self._gateways.values()
        return Health(
            meters_total=len(points),
            meters_live=sum(state is not None and state.fresh(now_ms) for state in shown),
            gateways_online=sum(self.reachable and g.online(now_ms) for g in gateways),
            backlog_facts=sum(
                max(gateway.pulse.head_seq - held.get(gateway.pulse.journal_id, 0), 0)
                for gateway in gateways
            ),
        )

    async def subscribe(
        self, *, since: int | None = None, period_s: float = 1.0, idle_s: float = 5.0
    ) -> AsyncGenerator[frozenset[str], None]:
        """The points that changed since the last round, for ever; a round at most every `period_s`.

        `since`: the board's `change` as it was when the page was drawn (else: as it is now).

        After `idle_s` without a change an empty round comes: a meter that falls silent changes
        nothing on the board, so whoever shows ages or 失联 must look at all points each round.
        """
        loop, seen = asyncio.get_running_loop(), self._change if since is None else since
        while True:
            if seen == self._change:
                await self._wait_moved(idle_s)
            changed, seen = self.changed_since(seen), self._change
            began = loop.time()
            yield changed
            await asyncio.sleep(max(0.0, period_s - (loop.time() - began)))

    def changed_since(self, change: int) -> frozenset[str]:
        """The points that changed after a change number (see `change`), newest ones walked only."""
        changed = set()
        for point_id, number in reversed(self._changed.items()):
            if number <= change:
                break
            changed.add(point_id)
        return frozenset(changed)

    @property
    def change(self) -> int:
        """The number of the last change; only ever grows."""
        return self._change

    async def _wait_moved(self, idle_s: float) -> None:
        moved = self._moved
        waiting = asyncio.ensure_future(moved.wait())
        try:
            await asyncio.wait((waiting,), timeout=idle_s)
        finally:
            waiting.cancel()

    def _read_ms(
        self,
        gateway_id: str,
        point: LivePoint,
        before: LiveState | None,
        newest_ms: int,
        received_ms: int,
    ) -> int | None:
        """When the meter was read, by our clock (see the module's text)."""
        if point.at_ms is None:
            return None if before is None else before.read_ms
        if before is not None and before.read_ms is not None:
            if point.at_ms == before.point.at_ms:
                return before.read_ms
            return max(before.read_ms, received_ms - (newest_ms - point.at_ms))
        gateway = self._gateways.get(gateway_id)
        if gateway is not None:
            since_pulse_ms = received_ms - gateway.received_ms
            newest_ms = max(newest_ms, gateway.pulse.at_ms + since_pulse_ms)
        return received_ms - (newest_ms - point.at_ms)

    def _show(self, state: LiveState) -> None:
        point_id = state.point.point_id
        self._points[point_id] = state
        self._note(point_id)

    def _keep_only(self, gateway_id: str, point_ids: Collection[str]) -> None:
        left = [
            point_id
            for point_id, state in self._points.items()
            if state.gateway_id == gateway_id and point_id not in point_ids
        ]
        for point_id in left:
            del self._points[point_id]
            self._note(point_id)

    def _note(self, point_id: str) -> None:
        self._change += 1
        self._changed[point_id] = self._change
        self._changed.move_to_end(point_id)

    def _announce(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
