"""When: stamps with a level of trust, and local time by a table of UTC offsets.

A gateway has no clock of its own, so every stamp says how far its time can be trusted. Order is
never taken from a stamp: it is (journal, seq). This module does not read any clock.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
NEVER_MS = 2**53 - 1  # later than anything: the largest integer the contract carries


class Trust(IntEnum):
    """How far a stamp's `at_ms` can be believed; rules that need the hour act from `meter` up."""

    unknown = 0  # only a floor is known
    meter = 1  # at least three meters' clocks agree within 60 s
    carried = 2  # was synchronised in this boot, monotonic since, at most 30 days
    synchronised = 3  # NTP, or the centre's own time, at most 24 h ago


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was seen: UTC milliseconds, how far to trust them, and the boot's own clock.

    `boot` counts starts of the service; `mono_ms` is milliseconds since that start.
    """

    at_ms: int
    trust: Trust
    boot: int
    mono_ms: int


def redated(stamp: Stamp, at_set_ms: int, mono_set_ms: int) -> int:
    """`at_ms` of an earlier stamp of the same boot, once the clock was set at `mono_set_ms`."""
    return at_set_ms - (mono_set_ms - stamp.mono_ms)


@dataclass(frozen=True, slots=True)
class Zone:
    """Local time as a table: from `from_ms` on, local = UTC + `offset_min` minutes. Sorted."""

    offsets: tuple[tuple[int, int], ...]  # (from_ms, offset_min); the first also covers the past

    def offset_ms(self, at_ms: int) -> int:
        """Milliseconds to add to UTC at this instant."""
        index = bisect_right(self.offsets, (at_ms, 10**9)) - 1
        return self.offsets[max(index, 0)][1] * MINUTE_MS

    def until_ms(self, at_ms: int) -> int:
        """The first instant after this one at which the offset may change; NEVER_MS if none."""
        index = bisect_right(self.offsets, (at_ms, 10**9))
        return self.offsets[index][0] if index < len(self.offsets) else NEVER_MS

    def local(self, at_ms: int) -> datetime:
        """Wall-clock time here (a datetime whose fields are local; its tzinfo is UTC by form)."""
        return datetime.fromtimestamp(0, UTC) + timedelta(
            milliseconds=at_ms + self.offset_ms(at_ms)
        )

    def instant(self, day: date, minute: int = 0) -> int:
        """UTC milliseconds of `minute` minutes after midnight of a local day."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        local_ms = int(start.timestamp()) * 1000 + minute * MINUTE_MS
        return local_ms - self.offset_ms(local_ms - self.offset_ms(local_ms))
