"""What rooms draw: a believable day, and a file replayed to the watt-hour."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.meters.file_faults import FileFaultsError
from simulator.load import (
    DAY_MS,
    HALF_HOUR_MS,
    HOUR_MS,
    LOCAL_MS,
    SHIFT_DAYS,
    Dormitory,
    Load,
    Replay,
    Segment,
    read_csv,
    replay_for,
)

MIDNIGHT_MS = 20_700 * DAY_MS - LOCAL_MS  # local


def segments(load: Load, from_ms: int, to_ms: int) -> Iterator[tuple[Segment, int]]:
    while from_ms < to_ms:
        segment = load.at(from_ms)
        assert segment.until_ms > from_ms
        span_ms = min(segment.until_ms, to_ms) - from_ms
        yield segment, span_ms
        from_ms += span_ms


def energy_uj(load: Load, from_ms: int, to_ms: int) -> int:
    return sum(segment.power_mw * span for segment, span in segments(load, from_ms, to_ms))


def mean_w(room: int, from_h: int, to_h: int) -> float:
    load = Dormitory(seed=1, room=room)
    start_ms, end_ms = MIDNIGHT_MS + from_h * HOUR_MS, MIDNIGHT_MS + to_h * HOUR_MS
    return energy_uj(load, start_ms, end_ms) / 1000 / (end_ms - start_ms)


def test_rooms_live_quiet_nights_and_busy_evenings() -> None:
    nights = [mean_w(room, 2, 6) for room in range(20)]
    evenings = [mean_w(room, 19, 22) for room in range(20)]
    assert all(40 < night < 200 for night in nights)
    assert all(200 < evening < 1000 for evening in evenings)
    assert sum(evenings) > 3 * sum(nights)
    assert len({round(evening) for evening in evenings}) > 10  # rooms differ


def test_kettles_come_and_go() -> None:
    load = Dormitory(seed=1, room=3)
    powers = [one.power_mw // 1000 for one, _ in segments(load, MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS)]
    assert max(powers) > 900
    assert min(powers) > 30


def test_the_same_seed_is_the_same_life_however_often_it_is_looked_at() -> None:
    often, once = Dormitory(seed=7, room=2), Dormitory(seed=7, room=2)
    for minute in range(0, 1440, 7):
        often.at(MIDNIGHT_MS + minute * 60_000)
    end_ms = MIDNIGHT_MS + DAY_MS
    assert energy_uj(often, MIDNIGHT_MS, end_ms) == energy_uj(once, MIDNIGHT_MS, end_ms)
    assert energy_uj(often, MIDNIGHT_MS, end_ms) != energy_uj(
        Dormitory(seed=8, room=2), MIDNIGHT_MS, end_ms
    )


DAYS = [[day * 100 + slot for slot in range(48)] for day in range(1, 4)]


@pytest.mark.parametrize("rate", [1, 60, 7])
def test_a_replayed_half_hour_is_exact(rate: int) -> None:
    start_ms = MIDNIGHT_MS + 10 * HOUR_MS
    load = Replay(DAYS, start_ms=start_ms, rate=rate)
    passed_ms = 4 * HALF_HOUR_MS
    burnt_wh = energy_uj(load, start_ms, start_ms + passed_ms) * rate / 3.6e9
    slots = [DAYS[n // 48 % 3][n % 48] for n in range(20, 20 + 4 * rate)]
    # a half-hour may end within a millisecond where the rate does not divide it
    assert burnt_wh == pytest.approx(sum(slots), rel=1e-4)
    if rate == 1:
        assert burnt_wh == sum(slots)


def test_the_file_wraps_and_rooms_share_households_days_apart() -> None:
    households = {"H1": DAYS, "H2": [[5] * 48]}
    first = replay_for(0, households, start_ms=MIDNIGHT_MS, rate=1)
    assert first.at(MIDNIGHT_MS).power_mw == 100 * 2000
    assert first.at(MIDNIGHT_MS + 3 * DAY_MS).power_mw == 100 * 2000
    assert (
        replay_for(1, households, start_ms=MIDNIGHT_MS, rate=1).at(MIDNIGHT_MS).power_mw == 10_000
    )
    third = replay_for(2, households, start_ms=MIDNIGHT_MS, rate=1)
    assert third.at(MIDNIGHT_MS).power_mw == DAYS[SHIFT_DAYS % 3][0] * 2000


HEADER = "household,date," + ",".join(f"wh_{h:02d}{m}" for h in range(24) for m in ("00", "30"))


def row(household: str = "H01", day: str = "2012-02-11", **cells: str) -> str:
    values = ["100"] * 48
    for name, cell in cells.items():
        values[HEADER.split(",").index(name) - 2] = cell
    return ",".join((household, day, *values))


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("\n".join((HEADER, row(), row("H02"), row(day="2012-02-12", wh_0030="7"))))
    households = read_csv(path)
    assert list(households) == ["H01", "H02"]
    assert [len(days) for days in households.values()] == [2, 1]
    assert households["H01"][1][:2] == (100, 7)


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ((HEADER, row(wh_0030="-3")), "row 2, column wh_0030"),
        ((HEADER, row(), row(day="2012-02-12", wh_2330="x")), "row 3, column wh_2330"),
        ((HEADER, row(wh_1200="")), "row 2, column wh_1200"),
        ((HEADER, row(wh_1200="1e3")), "row 2, column wh_1200"),
        ((HEADER, row(wh_1200="50001")), "row 2, column wh_1200"),
        ((HEADER, row(day="11.02.2012")), "row 2, column date"),
        ((HEADER, row(""), row()), "row 2, column household"),
        ((HEADER, row(), row()), "row 3, column date"),
        ((HEADER, row() + ",5"), "row 2, column 51"),
        ((HEADER.replace("wh_0130", "wh_130"), row()), "row 1, column wh_0130"),
        ((HEADER,), "holds no day"),
        ((), "row 1, column household"),
    ],
)
def test_a_bad_file_is_named_by_row_and_column(
    tmp_path: Path, lines: tuple[str, ...], named: str
) -> None:
    path = tmp_path / "load.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(FileFaultsError, match=named) as caught:
        read_csv(path)
    assert all(fault.file == str(path) for fault in caught.value.faults)


def test_every_bad_cell_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("\n".join((HEADER, row(wh_0000="a", wh_0030="b"), row("H02", wh_0100="c"))))
    with pytest.raises(FileFaultsError) as caught:
        read_csv(path)
    assert [fault.key for fault in caught.value.faults] == [
        "row 2, column wh_0000",
        "row 2, column wh_0030",
        "row 3, column wh_0100",
    ]
