"""What energy costs: flat, time of use, tiers, all at once, with effective dates.

A charge is the price of a *total*: cost(total at end) − cost(total at start), so charges telescope
and nothing is rounded. An interval is split at every boundary (slot, midnight, tier period, new
version) by the floor of the running share of time, and at a tier step exactly in watt-hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Literal

from domain.instants import Zone


class Rate(IntEnum):
    """The five rates of a day: 尖 峰 平 谷 深谷."""

    sharp = 1
    peak = 2
    flat = 3
    valley = 4
    deep = 5


@dataclass(frozen=True, slots=True)
class Slot:
    """From `start_min` minutes after local midnight until the next slot, `rate` applies."""

    start_min: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which day type a local day has: named days first, else workday or weekend by the week."""

    days: Mapping[date, str] = field(default_factory=dict)  # "workday" | "weekend" | "holiday"

    def day_type(self, day: date) -> str: ...


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of a price table. `prices_e4[rate][tier]` in 10⁻⁴ yuan/kWh.

    `steps_wh` are the upper ends of all tiers but the last, ascending: n steps make n + 1 tiers.
    """

    tariff_id: str
    version: int
    effective_from_ms: int
    day_types: Mapping[str, tuple[Slot, ...]]
    prices_e4: Mapping[Rate, tuple[int, ...]]
    steps_wh: tuple[int, ...] = ()
    period: Literal["month", "year"] = "month"


@dataclass(frozen=True, slots=True)
class Pricing:
    """All that prices an interval: versions of one tariff by start, the calendar, local time."""

    versions: tuple[Tariff, ...]
    calendar: Calendar
    zone: Zone


@dataclass(frozen=True, slots=True)
class Position:
    """Where a point stands in its tier period: watt-hours used since `period_start_ms`."""

    period_start_ms: int
    used_wh: int


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of energy at one price. `tier` counts from 0."""

    rate: Rate
    tier: int
    wh: int
    price_e4: int
    estimated: bool

    @property
    def ticks(self) -> int:
        return self.wh * self.price_e4


@dataclass(frozen=True, slots=True)
class Charge:
    """The price of an interval: its parts (none of 0 Wh), their sum, and the position after it."""

    parts: tuple[Part, ...]
    ticks: int
    position: Position


def faults(tariff: Tariff) -> list[str]:
    """Everything wrong with a price table, in words that name the field; empty when it is sound."""
    raise NotImplementedError


def in_force(pricing: Pricing, at_ms: int) -> Tariff:
    """The version whose start is the latest at or before `at_ms` (the first, before all starts)."""
    raise NotImplementedError


def needs_hour(pricing: Pricing) -> bool:
    """Whether the price depends on the time at all: more than one rate, tier, or version."""
    raise NotImplementedError


def charge(pricing: Pricing, position: Position, wh: int, from_ms: int, to_ms: int) -> Charge:
    """Price `wh` used between two instants, starting from a tier position."""
    raise NotImplementedError


def price_now(pricing: Pricing, position: Position, at_ms: int) -> int:
    """The price in 10⁻⁴ yuan/kWh of the next watt-hour."""
    raise NotImplementedError


def cheapest(pricing: Pricing) -> int:
    """The lowest price of any version, rate and tier: what an unknown hour may be counted at."""
    raise NotImplementedError


def next_boundary_ms(pricing: Pricing, at_ms: int) -> int:
    """The first instant after `at_ms` at which the price could change by time alone."""
    raise NotImplementedError
