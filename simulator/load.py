"""What a room draws: a seeded synthetic dormitory, half-hours replayed from a file, or a figure.

A load is a sequence of segments of constant power, so that energy is integrated exactly and only
when somebody looks. It knows neither meters nor relays.
"""

import csv
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from edge.meters.file_faults import Fault, FileFaultsError

LOCAL_MS = 8 * 3_600_000  # China standard time
MINUTE_MS = 60_000
HALF_HOUR_MS = 30 * MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SHIFT_DAYS = 17  # rooms that share a household of the file live it this many days apart
_WH_MAX = 50_000  # half an hour at 100 kW: more is a slip of the file
_FAULTS_MAX = 50

# what four people draw on average at 00:00, 00:30 … 23:30, in W
_DAY_W = (
    *(220, 180, 150, 120, 110, 105, 100, 100, 100, 100, 105, 110),
    *(130, 180, 240, 230, 170, 140, 130, 125, 130, 140, 170, 230),
    *(290, 280, 220, 180, 160, 150, 150, 155, 160, 180, 230, 290),
    *(330, 360, 410, 450, 480, 500, 510, 490, 460, 420, 350, 280),
)


@dataclass(frozen=True, slots=True)
class Segment:
    """Constant power (mW) and power factor (thousandths) until an instant (Unix ms)."""

    power_mw: int
    pf_milli: int
    until_ms: int


class Load(Protocol):
    """Anything that draws power."""

    def at(self, now_ms: int) -> Segment:
        """The segment that holds this instant; it ends after it."""
        ...


class Fixed:
    """The same power all the time."""

    def __init__(self, power_w: int) -> None:
        self._power_mw = power_w * 1000

    def at(self, now_ms: int) -> Segment:
        return Segment(self._power_mw, 980, (now_ms // HOUR_MS + 1) * HOUR_MS)


@dataclass(frozen=True, slots=True)
class _Appliance:
    from_ms: int
    to_ms: int
    power_w: int


class Dormitory:
    """A room of a dormitory: quiet nights, an evening peak, kettles and hair dryers.

    The same seed and room give the same life, at whatever instants it is looked at.
    """

    def __init__(self, *, seed: int, room: int) -> None:
        self._key = f"{seed}/{room}"
        own = random.Random(self._key)
        self._size = own.uniform(0.6, 1.25)
        self._pf_milli = own.randint(900, 965)
        self._half_hour = -1
        self._base_w = 0.0
        self._appliances: tuple[_Appliance, ...] = ()

    def at(self, now_ms: int) -> Segment:
        half_hour = (now_ms + LOCAL_MS) // HALF_HOUR_MS
        if half_hour != self._half_hour:
            self._plan(half_hour)
        minute = now_ms // MINUTE_MS
        wobble = (minute * 2_654_435_761 >> 8) % 61 - 30  # ±3 %
        base_w = self._base_w * (1000 + wobble) / 1000
        extra_w = sum(one.power_w for one in self._appliances if one.from_ms <= now_ms < one.to_ms)
        power_w = base_w + extra_w
        pf = (base_w * self._pf_milli + extra_w * 998) / power_w
        return Segment(int(power_w * 1000), int(pf), (minute + 1) * MINUTE_MS)

    def _plan(self, half_hour: int) -> None:
        chance = random.Random(f"{self._key}/{half_hour}")
        slot, day = half_hour % 48, half_hour // 48
        weekend = (day + 3) % 7 >= 5  # 1970-01-01 was a Thursday
        at_home = 1.25 if weekend and 18 <= slot < 36 else 1.0
        self._half_hour = half_hour
        self._base_w = _DAY_W[slot] * self._size * at_home * chance.uniform(0.85, 1.15)
        start_ms = half_hour * HALF_HOUR_MS - LOCAL_MS
        awake = _DAY_W[slot] / 510
        self._appliances = tuple(
            _Appliance(from_ms, from_ms + minutes * MINUTE_MS, watts)
            for likely, minutes, watts in ((0.25, 4, 1000), (0.08, 6, 800), (0.04, 12, 600))
            if chance.random() < likely * awake
            for from_ms in [start_ms + chance.randrange(0, 30 - minutes) * MINUTE_MS]
        )


Days = Sequence[Sequence[int]]  # per day, 48 half-hours in Wh


class Replay:
    """Half-hours of a household from a file, passing `rate` times as fast as the clock.

    Day 1 of the file is the local day of `start_ms`; after the last day comes the first. The power
    is the file's: the meter multiplies energy by the rate, not what it shows.
    """

    def __init__(self, days: Days, *, start_ms: int, rate: int, shift_days: int = 0) -> None:
        self._days = days
        self._start_ms = start_ms
        self._rate = rate
        self._offset_ms = (start_ms + LOCAL_MS) % DAY_MS
        self._shift = shift_days

    def at(self, now_ms: int) -> Segment:
        file_ms = self._offset_ms + (now_ms - self._start_ms) * self._rate
        half_hour = file_ms // HALF_HOUR_MS
        day, slot = divmod(half_hour, 48)
        wh = self._days[(day + self._shift) % len(self._days)][slot]
        left_ms = (half_hour + 1) * HALF_HOUR_MS - file_ms
        return Segment(wh * 2000, 970, now_ms - (-left_ms // self._rate))


def replay_for(room: int, households: Mapping[str, Days], *, start_ms: int, rate: int) -> Replay:
    """Room n lives household n mod N of the file, shifted by some days each time round."""
    names = list(households)
    turn, n = divmod(room, len(names))
    return Replay(households[names[n]], start_ms=start_ms, rate=rate, shift_days=turn * SHIFT_DAYS)


_COLUMNS = tuple(f"wh_{hour:02d}{minute}" for hour in range(24) for minute in ("00", "30"))


def read_csv(path: Path) -> dict[str, Days]:
    """Days of half-hourly Wh per household; columns household, date, wh_0000 … wh_2330.

    Raises FileFaultsError that names row (the line of the file) and column of what is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFaultsError(
            [Fault(str(path), "", "文件读不出", f"cannot be read: {error}")]
        ) from error
    faults = _header_faults(path, rows)
    households: dict[str, list[tuple[int, ...]]] = {}
    seen: set[tuple[str, str]] = set()
    for line, row in enumerate(rows[1:] if not faults else [], start=2):
        if not row:
            continue
        wrong = _row_faults(path, line, row)
        if not wrong and (row[0], row[1]) in seen:
            wrong = [_at(path, line, "date", "同一户同一天出现两次", f"{row[0]} {row[1]} twice")]
        if not wrong:
            seen.add((row[0], row[1]))
            households.setdefault(row[0], []).append(tuple(map(int, row[2:])))
        faults += wrong
        if len(faults) >= _FAULTS_MAX:
            break
    if not faults and not households:
        faults.append(Fault(str(path), "", "没有数据", "holds no day"))
    if faults:
        raise FileFaultsError(faults[:_FAULTS_MAX])
    return dict(households)


def _at(path: Path, line: int, column: str, zh: str, en: str) -> Fault:
    return Fault(str(path), f"row {line}, column {column}", zh, en)


def _header_faults(path: Path, rows: Sequence[Sequence[str]]) -> list[Fault]:
    wanted = ("household", "date", *_COLUMNS)
    header = rows[0] if rows else []
    faults = [
        _at(path, 1, name, "缺少此列或次序不对", "is missing or in another place")
        for n, name in enumerate(wanted)
        if n >= len(header) or header[n] != name
    ]
    extra = header[len(wanted) :]
    return faults + [_at(path, 1, name, "多余的列", "is one column too many") for name in extra]


def _row_faults(path: Path, line: int, row: Sequence[str]) -> list[Fault]:
    if len(row) != len(_COLUMNS) + 2:
        en = f"{len(row)} columns, expected {len(_COLUMNS) + 2}"
        return [_at(path, line, str(len(row)), "列数不对", en)]
    faults = []
    if not row[0].strip():
        faults.append(_at(path, line, "household", "不能为空", "is empty"))
    try:
        date.fromisoformat(row[1])
    except ValueError:
        faults.append(_at(path, line, "date", "应为 2026-09-01 的写法", f"{row[1]!r} is no date"))
    for name, cell in zip(_COLUMNS, row[2:], strict=True):
        if not (cell.isascii() and cell.isdigit() and int(cell[:9]) <= _WH_MAX and len(cell) < 10):
            en = f"{cell[:20]!r} is not a whole number of Wh from 0 to {_WH_MAX}"
            faults.append(_at(path, line, name, f"应为 0 至 {_WH_MAX} 的整数 (Wh)", en))
    return faults
