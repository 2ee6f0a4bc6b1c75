"""Local time for a gateway: a zone's UTC offsets as a table, far enough ahead to outlive a link.

A gateway has no zone database of its own; what it is sent covers at least 400 days.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.instants import DAY_MS, MINUTE_MS, Zone

_YEARS_AHEAD = 3  # until the end of the year after next: never less than 400 days


def is_zone(name: str) -> bool:
    """Whether the machine's zone database knows this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def zone(name: str, now_ms: int) -> Zone:
    """The offsets in force around `now_ms`, as the rules take them."""
    return Zone(utc_offsets(name, now_ms))


def utc_offsets(name: str, now_ms: int) -> tuple[tuple[int, int], ...]:
    """`(from_ms, offset_min)` from the start of last year to the end of the year after next.

    The bounds move once a year only, so that the same installation gives the same intent.
    """
    return _table(name, _instant(now_ms).year)


@lru_cache(maxsize=64)
def _table(name: str, year: int) -> tuple[tuple[int, int], ...]:
    where = ZoneInfo(name)
    start_ms, end_ms = _new_year_ms(year - 1), _new_year_ms(year + _YEARS_AHEAD)
    first = (start_ms, _offset_min(where, start_ms))
    return (first, *_changes(where, start_ms, end_ms))


def _changes(where: ZoneInfo, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    before = _offset_min(where, start_ms)
    for day_ms in range(start_ms, end_ms, DAY_MS):
        after = _offset_min(where, day_ms + DAY_MS)
        if after != before:
            yield _minute_of_change(where, day_ms, day_ms + DAY_MS), after
            before = after


def _minute_of_change(where: ZoneInfo, before_ms: int, after_ms: int) -> int:
    before = _offset_min(where, before_ms)
    while after_ms - before_ms > MINUTE_MS:
        middle_ms = before_ms + (after_ms - before_ms) // (2 * MINUTE_MS) * MINUTE_MS
        if _offset_min(where, middle_ms) == before:
            before_ms = middle_ms
        else:
            after_ms = middle_ms
    return after_ms


def _offset_min(where: ZoneInfo, at_ms: int) -> int:
    offset = _instant(at_ms).astimezone(where).utcoffset()
    return int((offset or timedelta()).total_seconds()) // 60


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)


def _new_year_ms(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000
