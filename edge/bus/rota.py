"""Whose turn it is: rounds over all meters, in the order of the slots.

A meter that missed its turn gets one more soon; absent meters take part in ever fewer rounds. A
round takes at least `round_ms`, so that few meters are not asked without a rest.
"""

from collections import deque
from collections.abc import Iterable

from edge.bus.station import Station


class Rota:
    """The rounds of one bus."""

    def __init__(self, stations: Iterable[Station], *, round_ms: int) -> None:
        self.stations = tuple(stations)
        self.round_no = 0
        self._round_ms = round_ms
        self._next_round_ms = 0
        self._turns: deque[Station] = deque()
        self._again: dict[Station, int] = {}  # second turns, and not before when
        self._second: set[Station] = set()  # who had a second turn in this round

    def replace(self, stations: Iterable[Station]) -> None:
        """Other stations; a new round begins with them."""
        self.stations = tuple(stations)
        self._turns.clear()
        self._again.clear()
        self._second.clear()
        self._next_round_ms = 0

    def next(self, mono_ms: int) -> Station | None:
        """Whose turn it is now, or None: nobody's before `wait_ms` has passed."""
        for station, from_ms in self._again.items():
            if from_ms <= mono_ms:
                del self._again[station]
                return station
        if not self._turns and mono_ms >= self._next_round_ms:
            self._begin(mono_ms)
        return self._turns.popleft() if self._turns else None

    def wait_ms(self, mono_ms: int) -> int:
        """How long until somebody's turn."""
        return max(0, min([self._next_round_ms, *self._again.values()]) - mono_ms)

    def once_more(self, station: Station, *, from_ms: int) -> bool:
        """Give a second turn from then on; False where it has had one, or is only probed."""
        if station in self._second or station.absent:
            return False
        self._second.add(station)
        self._again[station] = from_ms
        return True

    def _begin(self, mono_ms: int) -> None:
        self.round_no += 1
        self._second.intersection_update(self._again)
        self._next_round_ms = mono_ms + self._round_ms
        waiting = [one for one in self.stations if one not in self._again]
        due = [one for one in waiting if one.is_due(self.round_no, mono_ms)]
        absent = [one for one in waiting if one.absent]
        if not due and absent:  # the line would be idle
            due = [min(absent, key=lambda one: one.due_round)]
        self._turns.extend(due)
