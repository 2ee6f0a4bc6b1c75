"""What time it is, and how far that can be trusted: a Raspberry Pi has no clock of its own.

Time is set by NTP or by the centre's word, goes on by the monotonic clock, and is carried over a
restart of the service while the kernel runs. Without any of these only a floor is known: the last
instant that certainly passed. Sources are arguments; this module reads no clock itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from domain.instants import DAY_MS, HOUR_MS, Stamp, Trust
from edge.events import ClockStepped
from edge.memory import CarriedClock

SYNCHRONISED_FOR_MS = DAY_MS
CARRIED_FOR_MS = 30 * DAY_MS
STEP_MS = 1_000  # a correction below this is drift, not a new time worth a fact
_NTP_FRESH_MS = (
    HOUR_MS  # while NTP is this fresh, the centre's word (a network trip late) is not taken
)


@dataclass(frozen=True, slots=True)
class Sources:
    """The clocks of the machine, in milliseconds, and whether the kernel's is kept by NTP."""

    mono_ms: Callable[[], int]  # since the service started
    boottime_ms: Callable[[], int]  # since the kernel started, also through suspend
    wall_ms: Callable[[], int]
    ntp_synchronised: Callable[[], bool]
    kernel_boot_id: str


class Clock:
    """Stamps for everything the gateway sees. Made once a start with what the journal remembers."""

    def __init__(
        self, sources: Sources, *, boot: int, floor_ms: int, carried: CarriedClock | None
    ) -> None:
        self._sources, self._boot = sources, boot
        self._base_ms, self._base_mono_ms = floor_ms, 0
        self._floor_ms = floor_ms  # it is certainly later than this
        self._set_mono_ms: int | None = None  # when trust was last renewed; None: never
        self._ntp_mono_ms: int | None = None
        self._best = Trust.unknown
        if carried is not None and carried.kernel_boot_id == sources.kernel_boot_id:
            self._carry(carried)

    def _carry(self, carried: CarriedClock) -> None:
        since_ms = self._sources.boottime_ms() - carried.boottime_ms
        if carried.trust >= Trust.carried and 0 <= since_ms <= CARRIED_FOR_MS:
            self._base_ms = carried.at_ms + since_ms
            self._base_mono_ms = self._sources.mono_ms()
            self._set_mono_ms = self._base_mono_ms - since_ms
            self._best = Trust.carried

    def now(self) -> Stamp:
        """The stamp of this instant."""
        mono_ms = self._sources.mono_ms()
        at_ms = self._base_ms + mono_ms - self._base_mono_ms
        return Stamp(at_ms, self._trust(mono_ms), self._boot, mono_ms)

    def _trust(self, mono_ms: int) -> Trust:
        if self._set_mono_ms is None:
            return Trust.unknown
        age_ms = mono_ms - self._set_mono_ms
        if self._best is Trust.synchronised and age_ms <= SYNCHRONISED_FOR_MS:
            return Trust.synchronised
        return Trust.carried if age_ms <= CARRIED_FOR_MS else Trust.unknown

    def heard_centre(self, centre_at_ms: int) -> ClockStepped | None:
        """The centre said what time it is, just now (never from a retained message, which is old).

        Returns the change where there is one worth a fact; small drift is corrected silently. A
        time that had passed before this start cannot be now: it has no effect.
        """
        if centre_at_ms < self._floor_ms:
            return None
        mono_ms = self._sources.mono_ms()
        if self._ntp_mono_ms is not None and mono_ms - self._ntp_mono_ms <= _NTP_FRESH_MS:
            return None
        return self._set("centre", centre_at_ms, mono_ms)

    def ask_ntp(self) -> ClockStepped | None:
        """Take the machine's clock where NTP keeps it; to be called every few seconds."""
        if not self._sources.ntp_synchronised():
            return None
        self._ntp_mono_ms = self._sources.mono_ms()
        return self._set("ntp", self._sources.wall_ms(), self._ntp_mono_ms)

    def _set(
        self, source: Literal["ntp", "centre"], at_ms: int, mono_ms: int
    ) -> ClockStepped | None:
        before = self.now()
        self._base_ms, self._base_mono_ms = at_ms, mono_ms
        self._set_mono_ms, self._best = mono_ms, Trust.synchronised
        if before.trust >= Trust.carried and abs(at_ms - before.at_ms) < STEP_MS:
            return None
        return ClockStepped(source, before.at_ms, int(before.trust))

    def carried(self) -> CarriedClock | None:
        """What a restart may go on from; None while the time is not known."""
        now = self.now()
        if now.trust < Trust.carried:
            return None
        return CarriedClock(
            kernel_boot_id=self._sources.kernel_boot_id,
            boottime_ms=self._sources.boottime_ms() - (self._age_ms(now.mono_ms)),
            at_ms=now.at_ms - self._age_ms(now.mono_ms),
            trust=int(now.trust),
        )

    def _age_ms(self, mono_ms: int) -> int:
        """Milliseconds since trust was last renewed, so that carrying never makes time younger."""
        return mono_ms - self._set_mono_ms if self._set_mono_ms is not None else 0
