"""What energy costs: flat, time of use, tiers, all at once, with effective dates.

A charge is the price of a *total*: cost(total at end) − cost(total at start), so charges telescope
and nothing is rounded. An interval is split at every boundary (slot, midnight, tier period, new
version) by the floor of the running share of time, and at a tier step exactly in watt-hours.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from domain.instants import DAY_MS, MINUTE_MS, NEVER_MS, Zone
from domain.price_table import (
    DAY_TYPES,
    PRICE_MAX_E4,
    SLOTS_MAX,
    Calendar,
    Rate,
    Slot,
    Tariff,
    faults,
    rates_used,
)

__all__ = [
    "DAY_TYPES",
    "PRICE_MAX_E4",
    "SLOTS_MAX",
    "Calendar",
    "Charge",
    "Part",
    "Position",
    "Pricing",
    "Rate",
    "Slot",
    "Tariff",
    "charge",
    "cheapest",
    "faults",
    "in_force",
    "needs_hour",
    "next_boundary_ms",
    "price_now",
]

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SEARCH_DAYS = 800  # beyond this nobody waits for a price to change
_DAYS_KEPT = 1_000  # of a price table taken apart


@dataclass(frozen=True, slots=True)
class Pricing:
    """All that prices an interval: versions of one tariff by start, the calendar, local time.

    Versions may be given in any order; of two with one start the higher version is in force.
    `flat` is the one (rate, price) there is, None where the price depends on time or use. `days`
    remembers what was taken apart: it can always be found again from the rest.
    """

    versions: tuple[Tariff, ...]
    calendar: Calendar
    zone: Zone
    flat: tuple[Rate, int] | None = field(init=False, repr=False, compare=False, default=None)
    days: "dict[int, _Day]" = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        ordered = sorted(self.versions, key=lambda t: (t.effective_from_ms, t.version))
        object.__setattr__(self, "versions", tuple(ordered))
        object.__setattr__(self, "flat", _only_price(ordered))


class Position(NamedTuple):
    """Where a point stands in its tier period: watt-hours used since `period_start_ms`."""

    period_start_ms: int
    used_wh: int


class Part(NamedTuple):
    """A stretch of energy at one price. `tier` counts from 0."""

    rate: Rate
    tier: int
    wh: int
    price_e4: int
    estimated: bool

    @property
    def ticks(self) -> int:
        return self.wh * self.price_e4


class Charge(NamedTuple):
    """The price of an interval: its parts (none of 0 Wh), their sum, and the position after it."""

    parts: tuple[Part, ...]
    ticks: int
    position: Position


def in_force(pricing: Pricing, at_ms: int) -> Tariff:
    """The version whose start is the latest at or before `at_ms` (the first, before all starts)."""
    return pricing.versions[_version_index(pricing, at_ms)]


def needs_hour(pricing: Pricing) -> bool:
    """Whether the price depends on the time at all: more than one rate, tier, or version."""
    return pricing.flat is None


def charge(pricing: Pricing, position: Position, wh: int, from_ms: int, to_ms: int) -> Charge:
    """Price `wh` ≥ 0 used between two instants, starting from a tier position.

    Where no time passes (or a clock was set back) all of it falls at `to_ms`. A position of an
    earlier tier period than the instant's starts again at 0. A stretch ends only where the price
    may change, so a midnight between two equal slots makes nothing estimated.
    """
    assert wh >= 0, "energy only grows; a suspect reading is never charged"
    if pricing.flat is not None:
        return _flat_charge(pricing, position, wh, from_ms, to_ms)
    stretches = _stretches(pricing, min(from_ms, to_ms), to_ms)
    estimated = any(not before.priced_as(after) for before, after in pairwise(stretches))
    parts: list[Part] = []
    shared = 0
    for stretch in stretches:
        upto = wh
        if stretch.until_ms < to_ms:
            upto = wh * (stretch.until_ms - from_ms) // (to_ms - from_ms)
        position = _entered(position, stretch.period_start_ms)
        _add_parts(parts, stretch, position.used_wh, upto - shared, estimated=estimated)
        position = Position(position.period_start_ms, position.used_wh + upto - shared)
        shared = upto
    return Charge(tuple(parts), sum(part.ticks for part in parts), position)


def price_now(pricing: Pricing, position: Position, at_ms: int) -> int:
    """The price in 10⁻⁴ yuan/kWh of the next watt-hour."""
    if pricing.flat is not None:
        return pricing.flat[1]
    stretch = _stretch_at(pricing, at_ms)
    used_wh = _entered(position, stretch.period_start_ms).used_wh
    tier = bisect_right(stretch.tariff.steps_wh, used_wh)
    return stretch.tariff.prices_e4[stretch.rate][tier]


def cheapest(pricing: Pricing) -> int:
    """The lowest price of any version, slot and tier: what an unknown hour may be counted at."""
    return min(
        price
        for tariff in pricing.versions
        for rate in rates_used(tariff)
        for price in tariff.prices_e4[rate]
    )


def next_boundary_ms(pricing: Pricing, at_ms: int) -> int:
    """The first instant after `at_ms` at which the price could change by time alone.

    NEVER_MS where none is in sight (a flat price, or nothing for two years).
    """
    if pricing.flat is not None:
        return NEVER_MS
    here = _stretch_at(pricing, at_ms)
    following = here
    while following.until_ms < at_ms + _SEARCH_DAYS * DAY_MS:
        start_ms = following.until_ms
        following = _stretch_at(pricing, start_ms)
        if not here.priced_as(following):
            return start_ms
    return NEVER_MS


class _Stretch(NamedTuple):
    """Until `until_ms` one rate of one version holds, within one tier period."""

    until_ms: int
    tariff: Tariff
    rate: Rate
    period_start_ms: int

    def priced_as(self, other: "_Stretch") -> bool:
        """Whether a watt-hour costs the same in both, given the same tier position."""
        same_period = not self.tariff.steps_wh or self.period_start_ms == other.period_start_ms
        return self.tariff is other.tariff and self.rate is other.rate and same_period


def _version_index(pricing: Pricing, at_ms: int) -> int:
    started = bisect_right(pricing.versions, at_ms, key=lambda tariff: tariff.effective_from_ms)
    return max(started - 1, 0)


class _Day(NamedTuple):
    """The stretches that hold during a day of UTC, in order, and where each ends."""

    ends_ms: tuple[int, ...]
    stretches: tuple[_Stretch, ...]


def _stretch_at(pricing: Pricing, at_ms: int) -> _Stretch:
    """What holds at an instant, and until when at most."""
    n = at_ms // DAY_MS
    day = pricing.days.get(n)
    if day is None:
        if len(pricing.days) >= _DAYS_KEPT:
            pricing.days.clear()
        day = pricing.days[n] = _day(pricing, n)
    return day.stretches[bisect_right(day.ends_ms, at_ms)]


def _day(pricing: Pricing, n: int) -> _Day:
    stretches = [_found_at(pricing, n * DAY_MS)]
    while stretches[-1].until_ms < (n + 1) * DAY_MS:
        stretches.append(_found_at(pricing, stretches[-1].until_ms))
    return _Day(tuple(stretch.until_ms for stretch in stretches), tuple(stretches))


def _found_at(pricing: Pricing, at_ms: int) -> _Stretch:
    """What holds at an instant, from the tables: a day's stretches are walked one by one.

    Slots go by the wall clock, so a change of the UTC offset ends a stretch too.
    """
    index = _version_index(pricing, at_ms)
    tariff = pricing.versions[index]
    local_ms = at_ms + pricing.zone.offset_ms(at_ms)
    day_n, in_day_ms = divmod(local_ms, DAY_MS)
    day = date.fromordinal(_EPOCH_DAY + day_n)
    slots = tariff.day_types.get(pricing.calendar.day_type(day)) or tariff.day_types["workday"]
    started = bisect_right(slots, in_day_ms, key=lambda slot: slot.start_min * MINUTE_MS)
    end_ms = slots[started].start_min * MINUTE_MS if started < len(slots) else DAY_MS
    until_ms = min(at_ms + end_ms - in_day_ms, pricing.zone.until_ms(at_ms))
    if index + 1 < len(pricing.versions):
        until_ms = min(until_ms, pricing.versions[index + 1].effective_from_ms)
    return _Stretch(
        until_ms, tariff, slots[started - 1].rate, _period_start_ms(tariff, pricing.zone, day)
    )


def _stretches(pricing: Pricing, from_ms: int, to_ms: int) -> list[_Stretch]:
    """The stretches that cover an interval, in order; one at least, where no time passes."""
    found = [_stretch_at(pricing, from_ms)]
    while found[-1].until_ms < to_ms:
        found.append(_stretch_at(pricing, found[-1].until_ms))
    return found


def _period_start_ms(tariff: Tariff, zone: Zone, day: date) -> int:
    first_day = day.replace(day=1) if tariff.period == "month" else day.replace(month=1, day=1)
    return zone.instant(first_day)


def _entered(position: Position, period_start_ms: int) -> Position:
    """The position in the tier period that starts at `period_start_ms`."""
    if position.period_start_ms < period_start_ms:
        return Position(period_start_ms, 0)
    return position


def _add_parts(
    parts: list[Part], stretch: _Stretch, used_wh: int, wh: int, *, estimated: bool
) -> None:
    """Append a stretch's energy, split at the tier steps, joined to an equal part before it."""
    prices_e4 = stretch.tariff.prices_e4[stretch.rate]
    for tier, tier_wh in _tiers(stretch.tariff.steps_wh, used_wh, wh):
        part = Part(stretch.rate, tier, tier_wh, prices_e4[tier], estimated)
        last = parts[-1] if parts else None
        if last and (last.rate, last.tier, last.price_e4) == (part.rate, tier, part.price_e4):
            parts[-1] = Part(part.rate, tier, last.wh + tier_wh, part.price_e4, estimated)
        else:
            parts.append(part)


def _tiers(steps_wh: Sequence[int], used_wh: int, wh: int) -> Iterator[tuple[int, int]]:
    """`wh` after `used_wh` as (tier, Wh): a watt-hour that ends on a step belongs below it."""
    tier = bisect_right(steps_wh, used_wh)
    while wh > 0:
        share = min(wh, steps_wh[tier] - used_wh) if tier < len(steps_wh) else wh
        yield tier, share
        used_wh, wh, tier = used_wh + share, wh - share, tier + 1


def _flat_charge(pricing: Pricing, position: Position, wh: int, from_ms: int, to_ms: int) -> Charge:
    """One price: one part. The tier position is kept all the same, for a later table with tiers."""
    assert pricing.flat is not None
    rate, price_e4 = pricing.flat
    end_ms = to_ms - 1 if from_ms < to_ms else to_ms
    period_start_ms = _stretch_at(pricing, end_ms).period_start_ms
    used_wh = position.used_wh + wh
    if position.period_start_ms < period_start_ms:
        before_ms = period_start_ms - from_ms
        used_wh = wh - wh * before_ms // (to_ms - from_ms) if before_ms > 0 else wh
        position = Position(period_start_ms, used_wh)
    else:
        position = Position(position.period_start_ms, used_wh)
    parts = (Part(rate, 0, wh, price_e4, False),) if wh else ()
    return Charge(parts, wh * price_e4, position)


def _only_price(versions: Sequence[Tariff]) -> tuple[Rate, int] | None:
    if len(versions) != 1:
        return None
    rates = rates_used(versions[0])
    prices = [versions[0].prices_e4.get(rate, ()) for rate in rates]
    if len(rates) != 1 or len(prices[0]) != 1:
        return None
    return rates.pop(), prices[0][0]
