"""Money and energy as integers, and how people read and write them.

Money inside the rules is counted in ticks of 10⁻⁷ yuan, because one watt-hour at a price in
10⁻⁴ yuan/kWh is exactly that many ticks; it is sold and shown in fen. Energy is in watt-hours.
This module does not know tariffs, accounts or languages.
"""

import re

from domain.refusals import Refusal

TICKS_PER_FEN = 100_000
FEN_PER_YUAN = 100
INT_MAX = 2**53 - 1  # largest integer that every JSON reader keeps exactly
AMOUNT_MAX_FEN = 99_999_999  # 999 999.99 yuan: above this a typed amount is a slip, not a sale

_AMOUNT = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", re.ASCII)
_FULL_WIDTH = str.maketrans("０１２３４５６７８９．，－＋", "0123456789.,-+")


def parse_yuan(text: str) -> int | Refusal:
    """Typed yuan ("50", "1,234.5", "５０．００") as fen, or the refusal that says what is wrong."""
    typed = text.strip().translate(_FULL_WIDTH).replace("−", "-")
    if not _AMOUNT.fullmatch(typed):
        return Refusal.amount_not_a_number
    sign = -1 if typed.startswith("-") else 1
    whole, _, part = typed.lstrip("+-").replace(",", "").partition(".")
    if part.rstrip("0")[2:]:
        return Refusal.amount_finer_than_a_fen
    if len(whole.lstrip("0")) > 12:
        return Refusal.amount_too_large
    fen = sign * (int(whole) * FEN_PER_YUAN + int((part + "00")[:2]))
    if fen <= 0:
        return Refusal.amount_not_positive
    if fen > AMOUNT_MAX_FEN:
        return Refusal.amount_too_large
    return fen


def fen_floor(ticks: int) -> int:
    """Ticks as whole fen, rounded towards minus infinity (never in the house's disfavour twice)."""
    return ticks // TICKS_PER_FEN


def show_yuan(fen: int) -> str:
    """Fen as people read money: two decimals, comma thousands, a true minus (−3.18)."""
    yuan, rest = divmod(abs(fen), FEN_PER_YUAN)
    return f"{'−' if fen < 0 else ''}{yuan:,}.{rest:02d}"


def show_kwh(wh: int, decimals: int = 2) -> str:
    """Watt-hours as kWh with `decimals` decimals, cut (not rounded up), comma thousands."""
    scale = 10 ** (3 - decimals)
    whole, rest = divmod(abs(wh) // scale, 10**decimals)
    sign = "−" if wh < 0 and (whole or rest) else ""
    return f"{sign}{whole:,}.{rest:0{decimals}d}" if decimals else f"{sign}{whole:,}"


def show_price(price_e4: int) -> str:
    """10⁻⁴ yuan/kWh as yuan/kWh with four decimals."""
    return f"{price_e4 // 10_000}.{price_e4 % 10_000:04d}"
