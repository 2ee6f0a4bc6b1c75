"""Stamps and local time."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from domain.instants import HOUR_MS, NEVER_MS, Stamp, Trust, Zone, redated

CHINA = Zone(((0, 480),))
CHANGE_MS = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()) * 1000
SUMMER_TIME = Zone(((0, 60), (CHANGE_MS, 120)))


def test_local_time_is_utc_plus_the_offset_in_force() -> None:
    at_ms = int(datetime(2026, 6, 30, 16, tzinfo=UTC).timestamp()) * 1000
    assert CHINA.local(at_ms).isoformat() == "2026-07-01T00:00:00+00:00"
    assert CHINA.instant(date(2026, 7, 1)) == at_ms
    assert SUMMER_TIME.local(CHANGE_MS - 1).hour == 1
    assert SUMMER_TIME.local(CHANGE_MS).hour == 3


def test_the_first_offset_covers_the_past_and_the_next_change_is_known() -> None:
    late = Zone(((CHANGE_MS, 480),))
    assert late.offset_ms(CHANGE_MS - 1) == 8 * HOUR_MS
    assert SUMMER_TIME.until_ms(CHANGE_MS - 1) == CHANGE_MS
    assert SUMMER_TIME.until_ms(CHANGE_MS) == NEVER_MS


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.integers(0, 1439))
def test_an_instant_of_the_wall_clock_shows_that_wall_clock(day: date, minute: int) -> None:
    local = CHINA.local(CHINA.instant(day, minute))
    assert (local.date(), local.hour * 60 + local.minute) == (day, minute)


def test_an_earlier_stamp_is_dated_anew_by_the_boots_own_clock() -> None:
    early = Stamp(at_ms=0, trust=Trust.unknown, boot=3, mono_ms=1_000)
    assert redated(early, at_set_ms=1_800_000_000_000, mono_set_ms=61_000) == 1_799_999_940_000
