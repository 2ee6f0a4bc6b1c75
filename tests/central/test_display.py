"""How figures, instants and ages are written, and curves drawn."""

import pytest

from central import charts, display
from domain.instants import DAY_MS, HOUR_MS, MINUTE_MS

NOON_MS = 1_795_320_000_000  # 2026-11-22 12:00 in UTC+8


@pytest.mark.parametrize(
    ("before_ms", "shown"),
    [
        (0, "12:00:00"),
        (12 * HOUR_MS, "00:00:00"),
        (12 * HOUR_MS + 1, "11-21 23:59"),
        (400 * DAY_MS, "2025-10-18 12:00"),
    ],
)
def test_today_shows_the_time_and_older_the_date(before_ms: int, shown: str) -> None:
    assert display.clock(NOON_MS - before_ms, now_ms=NOON_MS, offset_min=480) == shown


def test_what_is_not_known_is_a_dash_and_never_zero() -> None:
    assert display.clock(None, now_ms=NOON_MS, offset_min=480) == "—"
    assert display.yuan(None) == display.kwh(None) == display.whole(None) == "—"
    assert display.yuan_of_ticks(None) == "—"


@pytest.mark.parametrize(
    ("ms", "zh", "en"),
    [
        (0, "0 秒前", "0 s ago"),
        (59_999, "59 秒前", "59 s ago"),
        (11 * MINUTE_MS + 59_000, "11 分前", "11 min ago"),
        (3 * HOUR_MS + 26 * MINUTE_MS, "3 时 26 分前", "3 h 26 min ago"),
        (2 * HOUR_MS, "2 时前", "2 h ago"),
        (2 * DAY_MS + 5 * HOUR_MS + 1, "2 天 5 时前", "2 d 5 h ago"),
        (-1, "0 秒前", "0 s ago"),
    ],
)
def test_ages_in_words(ms: int, zh: str, en: str) -> None:
    assert display.age(ms, "zh") == zh
    assert display.age(ms, "en") == en


def test_zones_and_days() -> None:
    assert [display.zone_name(m) for m in (480, 0, -210, 345)] == [
        "UTC+8", "UTC+0", "UTC−3:30", "UTC+5:45",
    ]  # fmt: skip
    assert display.day_start_ms(NOON_MS, 480) == NOON_MS - 12 * HOUR_MS
    assert display.day_start_ms(NOON_MS - 12 * HOUR_MS, 480) == NOON_MS - 12 * HOUR_MS


def test_energy_from_money_is_cut_towards_zero() -> None:
    assert display.worth_wh(5_600 * 1_500 + 5_599, 5_600) == 1_500
    assert display.worth_wh(-(5_600 * 1_500 + 5_599), 5_600) == -1_500
    assert display.worth_wh(1, 0) is None


def test_money_below_zero_has_a_true_minus() -> None:
    assert display.yuan_of_ticks(-1) == "−0.01"  # rounded down, never up
    assert display.whole(-1_234) == "−1,234"


@pytest.mark.parametrize(
    ("asked", "kept", "theme"),
    [(None, None, "system"), ("dark", "light", "dark"), (None, "light", "light"),
     ("purple", None, "system"), ("purple", "dark", "dark")],
)  # fmt: skip
def test_the_theme_is_asked_for_kept_or_the_systems(
    asked: str | None, kept: str | None, theme: str
) -> None:
    assert display.theme(asked, kept) == theme


def test_a_gap_stays_a_gap() -> None:
    drawn = charts.steps([10, 20, None, None, 5, None], width=652, height=132, floor=20)
    assert drawn.line == ("M44.0 60.0H144.0V10.0H244.0", "M444.0 85.0H544.0")
    assert drawn.area[1] == "M444.0 110L444.0 85.0H544.0V110Z"
    assert drawn.gaps == ((244.0, 200.0),)  # what comes after the last figure is no gap
    assert [tick.value for tick in drawn.ticks] == [0, 5, 10, 15, 20]


def test_nothing_known_draws_nothing() -> None:
    drawn = charts.steps([None, None])
    assert (drawn.line, drawn.gaps) == ((), ())
    assert charts.steps([]).line == ()


@pytest.mark.parametrize(
    ("most", "step"), [(1, 1), (4, 1), (5, 2), (200, 50), (201, 100), (999, 500)]
)
def test_scales_have_round_steps(most: int, step: int) -> None:
    assert charts.nice_step(most) == step
