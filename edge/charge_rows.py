"""What a stretch of energy costs as rows of facts, each within what one fact may hold.

Months without a reading that could be charged make one row of thousands of parts, and a building
of them makes facts that no envelope holds. So a row that would have too many parts is halved in
time, as often as it takes, and each half is priced by itself: to whoever checks the rows they are
intervals like any other, one joining the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain import tariff
from domain.tariff import Charge, Position, Pricing

ROWS_MAX = 200  # of one fact, readings and charges alike
PARTS_MAX = 400  # of one row
_FACT_WEIGHT_MAX = 1_000  # a part weighs 1: at most 90 bytes of text; so a fact stays under 100 KB
_ROW_WEIGHT = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """A row's share: totals in Wh, instants in UTC ms, and its price (never without a part)."""

    from_wh: int
    to_wh: int
    from_ms: int
    to_ms: int
    charge: Charge


def pieces(
    pricing: Pricing, position: Position, *, totals_wh: tuple[int, int], span_ms: tuple[int, int]
) -> tuple[Piece, ...]:
    """The price of the energy between two totals, used in this span, as rows; none of 0 Wh."""
    (from_wh, to_wh), (from_ms, to_ms) = totals_wh, span_ms
    charge = tariff.charge(pricing, position, to_wh - from_wh, from_ms, to_ms)
    if not charge.parts:
        return ()
    if len(charge.parts) <= PARTS_MAX or to_ms - from_ms < 2:
        return (Piece(from_wh, to_wh, from_ms, to_ms, charge),)
    half_ms = (from_ms + to_ms) // 2
    half_wh = from_wh + (to_wh - from_wh) * (half_ms - from_ms) // (to_ms - from_ms)
    first = pieces(pricing, position, totals_wh=(from_wh, half_wh), span_ms=(from_ms, half_ms))
    if first:
        position = first[-1].charge.position
    return (
        *first,
        *pieces(pricing, position, totals_wh=(half_wh, to_wh), span_ms=(half_ms, to_ms)),
    )


def packed(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The rows in their order, as many at once as one fact holds."""
    start, weight = 0, 0
    for n, row in enumerate(rows):
        row_weight = _ROW_WEIGHT + len(row["parts"])
        if n - start >= ROWS_MAX or (n > start and weight + row_weight > _FACT_WEIGHT_MAX):
            yield rows[start:n]
            start, weight = n, 0
        weight += row_weight
    if rows:
        yield rows[start:]
