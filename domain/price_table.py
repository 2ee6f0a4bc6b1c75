"""The price table: which rate holds when on which day, and what each rate and tier costs.

Data only, and what can be wrong with it; what an interval costs by it is `domain.tariff`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from itertools import pairwise
from typing import Literal

SLOTS_MAX = 14  # as many as the meters themselves can hold for one day
PRICE_MAX_E4 = 1_000_000  # 100 yuan/kWh: above this a price is a slip
DAY_TYPES = ("workday", "weekend", "holiday")

_DAY_MINUTES = 24 * 60


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

    def day_type(self, day: date) -> str:
        """The day type of a local day: as named, else weekend on Saturday and Sunday."""
        named = self.days.get(day)
        if named is not None:
            return named
        return "weekend" if day.weekday() >= 5 else "workday"


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


def faults(tariff: Tariff) -> list[str]:
    """Everything wrong with a price table, in words that name the field; empty when it is sound."""
    found = []
    if "workday" not in tariff.day_types:
        found.append("day_types.workday: 缺少工作日时段 / the workday's slots are missing")
    for name, slots in tariff.day_types.items():
        if name not in DAY_TYPES:
            found.append(f"day_types.{name}: 未知日类型 / not one of {', '.join(DAY_TYPES)}")
        found += _slot_faults(f"day_types.{name}", slots)
    for rate in sorted(rates_used(tariff)):
        if rate not in tariff.prices_e4:
            found.append(
                f"prices_e4.{rate.name}: 时段用到的费率没有价格 / a slot's rate has no price"
            )
    for rate, prices in tariff.prices_e4.items():
        found += _price_faults(f"prices_e4.{rate.name}", prices, tiers=len(tariff.steps_wh) + 1)
    for n, (low, high) in enumerate(pairwise((0, *tariff.steps_wh))):
        if high <= low:
            found.append(f"steps_wh[{n}]: 阶梯须为正且递增 / steps are positive and ascending")
    if tariff.period not in ("month", "year"):
        found.append(f"period: {tariff.period!r} 须为 month 或 year / is month or year")
    return found


def rates_used(tariff: Tariff) -> set[Rate]:
    """The rates that a slot of any day type uses."""
    return {slot.rate for slots in tariff.day_types.values() for slot in slots}


def _slot_faults(where: str, slots: Sequence[Slot]) -> list[str]:
    if not slots:
        return [f"{where}: 没有时段 / has no slots"]
    found = []
    if len(slots) > SLOTS_MAX:
        found.append(f"{where}: 最多 {SLOTS_MAX} 个时段 / has {len(slots)}, at most {SLOTS_MAX}")
    if slots[0].start_min != 0:
        found.append(f"{where}[0].start_min: 首时段须从 0 开始 / the first slot starts at 0")
    for n, slot in enumerate(slots):
        if not 0 <= slot.start_min < _DAY_MINUTES:
            found.append(f"{where}[{n}].start_min: {slot.start_min} 不在 0–1439 / is not in a day")
    for n, (before, after) in enumerate(pairwise(slots), start=1):
        if after.start_min <= before.start_min:
            found.append(f"{where}[{n}].start_min: 须递增 / is not after the slot before it")
        if after.rate == before.rate:
            found.append(f"{where}[{n}].rate: 与前一时段相同 / is the same as in the slot before")
    return found


def _price_faults(where: str, prices_e4: Sequence[int], *, tiers: int) -> list[str]:
    found = []
    if len(prices_e4) != tiers:
        found.append(
            f"{where}: 应有 {tiers} 档价格 / has {len(prices_e4)} prices for {tiers} tiers"
        )
    for n, price_e4 in enumerate(prices_e4):
        if not 0 <= price_e4 <= PRICE_MAX_E4:
            found.append(f"{where}[{n}]: {price_e4} 不在 0–{PRICE_MAX_E4} / is out of range")
    return found
