"""What an interval costs, worked out the slow way: minute by minute, watt-hour by watt-hour.

Written from the definition (part_i = ⌊W·t_i/T⌋ − ⌊W·t_{i−1}/T⌋ at every boundary) with fractions,
wall-clock datetimes and plain loops; it shares no arithmetic with `domain.tariff`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor

from domain.tariff import Position, Pricing, Rate, Tariff

MINUTE = 60_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Moment:
    """What holds at an instant."""

    version: int
    rate: Rate
    period: tuple[int, ...]


@dataclass
class Bill:
    """Watt-hours in order as [rate, tier, price_e4, wh], what they cost, and how it was found."""

    lines: list[tuple[Rate, int, int, int]]
    ticks: int
    used_wh: int
    estimated: bool


def wall_clock(pricing: Pricing, at_ms: int) -> datetime:
    minutes = pricing.zone.offsets[0][1]
    for from_ms, offset_min in pricing.zone.offsets:
        if from_ms <= at_ms:
            minutes = offset_min
    return EPOCH + timedelta(milliseconds=at_ms, minutes=minutes)


def version_at(pricing: Pricing, at_ms: int) -> Tariff:
    chosen = min(pricing.versions, key=lambda t: (t.effective_from_ms, t.version))
    for tariff in sorted(pricing.versions, key=lambda t: t.version):
        if chosen.effective_from_ms <= tariff.effective_from_ms <= at_ms:
            chosen = tariff
    return chosen


def kind_of_day(pricing: Pricing, day: date) -> str:
    if day in pricing.calendar.days:
        return pricing.calendar.days[day]
    return "weekend" if day.strftime("%a") in ("Sat", "Sun") else "workday"


def period_of(tariff: Tariff, wall: datetime) -> tuple[int, ...]:
    return (wall.year, wall.month) if tariff.period == "month" else (wall.year,)


def moment(pricing: Pricing, at_ms: int) -> Moment:
    tariff, wall = version_at(pricing, at_ms), wall_clock(pricing, at_ms)
    kind = kind_of_day(pricing, wall.date())
    slots = tariff.day_types[kind if kind in tariff.day_types else "workday"]
    rate = slots[0].rate
    for slot in slots:
        if wall.hour * 60 + wall.minute >= slot.start_min:
            rate = slot.rate
    return Moment(tariff.version, rate, period_of(tariff, wall))


def cuts(pricing: Pricing, from_ms: int, to_ms: int) -> list[int]:
    """Every whole minute and every start of a version inside the interval, and its two ends."""
    inside = set(range(from_ms - from_ms % MINUTE + MINUTE, to_ms, MINUTE))
    inside |= {
        t.effective_from_ms for t in pricing.versions if from_ms < t.effective_from_ms < to_ms
    }
    return [from_ms, *sorted(inside), to_ms]


def bill(pricing: Pricing, position: Position, wh: int, from_ms: int, to_ms: int) -> Bill:
    found = Bill([], 0, position.used_wh, estimated=False)
    by_version = {tariff.version: tariff for tariff in pricing.versions}
    entered = wall_clock(pricing, position.period_start_ms)
    done, before = 0, None
    marks = cuts(pricing, from_ms, to_ms)
    for start_ms, end_ms in pairwise(marks):
        here = moment(pricing, start_ms)
        tariff = by_version[here.version]
        if period_of(tariff, entered) < here.period:
            found.used_wh, entered = 0, wall_clock(pricing, start_ms)
        if before and before != here:
            only_period = (before.version, before.rate) == (here.version, here.rate)
            found.estimated |= not (only_period and not tariff.steps_wh)
        before = here
        share = Fraction(end_ms - from_ms, to_ms - from_ms) if to_ms > from_ms else Fraction(1)
        upto = floor(wh * share)
        while done < upto:
            done += 1
            use_one(found, tariff, here.rate)
    return found


def use_one(found: Bill, tariff: Tariff, rate: Rate) -> None:
    tier = sum(1 for step_wh in tariff.steps_wh if found.used_wh >= step_wh)
    price_e4 = tariff.prices_e4[rate][tier]
    found.used_wh += 1
    found.ticks += price_e4
    if found.lines and found.lines[-1][:3] == (rate, tier, price_e4):
        found.lines[-1] = (rate, tier, price_e4, found.lines[-1][3] + 1)
    else:
        found.lines.append((rate, tier, price_e4, 1))
