"""How figures, instants and ages are written on pages. Pure: what it is now is an argument.

Numbers follow one rule everywhere: thousands with commas, a true minus, the unit in the heading and
not in the cell, — for what is not known. Times are 24 h local time, named by one zone a page.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context

from domain.instants import DAY_MS, HOUR_MS, MINUTE_MS
from domain.units import fen_floor, show_kwh, show_price, show_yuan

UNKNOWN = "—"
THEMES = ("system", "light", "dark")


def theme(asked: str | None, kept: str | None) -> str:
    """How light a page is: as asked for now, as chosen before, else as the system says."""
    return next((choice for choice in (asked, kept) if choice in THEMES), THEMES[0])


def local(at_ms: int, offset_min: int) -> datetime:
    """UTC milliseconds as local wall-clock time (its tzinfo is UTC by form)."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms, minutes=offset_min)


def zone_name(offset_min: int) -> str:
    """An offset as people write it: UTC+8, UTC−3:30."""
    hours, minutes = divmod(abs(offset_min), 60)
    sign = "−" if offset_min < 0 else "+"
    return f"UTC{sign}{hours}" + (f":{minutes:02d}" if minutes else "")


def clock(at_ms: int | None, *, now_ms: int, offset_min: int, seconds: bool = True) -> str:
    """The time where it is today, else the date with it; the year only where it is another."""
    if at_ms is None:
        return UNKNOWN
    there, now = local(at_ms, offset_min), local(now_ms, offset_min)
    if there.date() == now.date():
        return there.strftime("%H:%M:%S" if seconds else "%H:%M")
    return there.strftime("%m-%d %H:%M" if there.year == now.year else "%Y-%m-%d %H:%M")


def age(ms: int, language: str) -> str:
    """How long ago, in the two largest units: 3 时 26 分前, 26 min ago. Rounded down."""
    days, rest = divmod(max(ms, 0), DAY_MS)
    hours, rest = divmod(rest, HOUR_MS)
    minutes, rest = divmod(rest, MINUTE_MS)
    zh, en = ("天", "时", "分", "秒"), ("d", "h", "min", "s")
    counts = (days, hours, minutes, rest // 1000)
    first = next((n for n, count in enumerate(counts) if count), 3)
    shown = [n for n in (first, first + 1) if n < 4 and (counts[n] or n == first)]
    if first == 2:
        shown = [2]  # seconds say nothing beside minutes
    units = zh if language == "zh" else en
    text = " ".join(f"{counts[n]} {units[n]}" for n in shown)
    return f"{text}前" if language == "zh" else f"{text} ago"


def day_start_ms(now_ms: int, offset_min: int) -> int:
    """The instant at which today began here."""
    local_ms = now_ms + offset_min * MINUTE_MS
    return local_ms // DAY_MS * DAY_MS - offset_min * MINUTE_MS


def yuan(fen: int | None) -> str:
    """Money, or — where it is not known."""
    return UNKNOWN if fen is None else show_yuan(fen)


def yuan_of_ticks(ticks: int | None) -> str:
    """Ticks as money, rounded down to a fen."""
    return UNKNOWN if ticks is None else show_yuan(fen_floor(ticks))


def kwh(wh: int | None, decimals: int = 2) -> str:
    """Energy, or — where it is not known."""
    return UNKNOWN if wh is None else show_kwh(wh, decimals)


def worth_wh(ticks: int, price_e4: int) -> int | None:
    """What ticks buy at a price, in Wh towards zero; None where energy costs nothing."""
    if price_e4 <= 0:
        return None
    wh = abs(ticks) // price_e4
    return -wh if ticks < 0 else wh


def whole(number: int | None) -> str:
    """A whole number with thousands, such as watts."""
    return UNKNOWN if number is None else f"{number:,}".replace("-", "−")


def filters(offset_min: int) -> Mapping[str, Callable[..., Any]]:
    """The filters of the templates. Those of time take what it is now from the page."""

    @pass_context
    def _clock(context: Context, at_ms: int | None, seconds: bool = True) -> str:
        return clock(at_ms, now_ms=context["now_ms"], offset_min=offset_min, seconds=seconds)

    @pass_context
    def _age(context: Context, at_ms: int) -> str:
        return age(context["now_ms"] - at_ms, context["language"])

    def _local(at_ms: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        return local(at_ms, offset_min).strftime(form)

    return {
        "age": _age,
        "clock": _clock,
        "kwh": kwh,
        "local": _local,
        "price": show_price,
        "ticks": yuan_of_ticks,
        "whole": whole,
        "yuan": yuan,
    }
