"""Reading and showing money and energy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.refusals import Refusal
from domain.units import (
    AMOUNT_MAX_FEN,
    TICKS_PER_FEN,
    fen_floor,
    parse_yuan,
    show_kwh,
    show_price,
    show_yuan,
)
from tests.domain.table import name_of, rows

TYPED = rows("""
typed                 | outcome
50                    | 5000
50.00                 | 5000
0.01                  | 1
+7.5                  | 750
1,234.5               | 123450
1,234,567             | amount_too_large
５０．００            | 5000
１，２３４            | 123400
007                   | 700
12.3400               | 1234
999999.99             | 99999999
1000000               | amount_too_large
1000000000            | amount_too_large
99999999999999999999  | amount_too_large
0                     | amount_not_positive
0.00                  | amount_not_positive
-1                    | amount_not_positive
−1                    | amount_not_positive
－１                  | amount_not_positive
0.001                 | amount_finer_than_a_fen
-0.001                | amount_finer_than_a_fen
1e9                   | amount_not_a_number
                      | amount_not_a_number
fifty                 | amount_not_a_number
五十                  | amount_not_a_number
50元                  | amount_not_a_number
1,23                  | amount_not_a_number
1 000                 | amount_not_a_number
1.2.3                 | amount_not_a_number
.5                    | amount_not_a_number
5.                    | amount_not_a_number
--5                   | amount_not_a_number
NaN                   | amount_not_a_number
٣                     | amount_not_a_number
""")


@pytest.mark.parametrize("row", TYPED, ids=name_of)
def test_typed_amounts(row: dict[str, str]) -> None:
    parsed = parse_yuan(row["typed"])
    assert (parsed.name if isinstance(parsed, Refusal) else str(parsed)) == row["outcome"]


@given(st.integers(1, AMOUNT_MAX_FEN))
def test_what_is_shown_can_be_typed_again(fen: int) -> None:
    assert parse_yuan(show_yuan(fen)) == fen


@given(st.text(max_size=20))
def test_no_text_breaks_the_till(text: str) -> None:
    parsed = parse_yuan(text)
    assert isinstance(parsed, Refusal) or 0 < parsed <= AMOUNT_MAX_FEN


@given(st.integers(-(10**15), 10**15))
def test_fen_floor_is_the_largest_fen_not_above(ticks: int) -> None:
    assert fen_floor(ticks) * TICKS_PER_FEN <= ticks < (fen_floor(ticks) + 1) * TICKS_PER_FEN


def test_figures_as_people_read_them() -> None:
    assert [show_yuan(fen) for fen in (-318, 0, 123_456_789)] == ["−3.18", "0.00", "1,234,567.89"]
    assert [show_kwh(wh) for wh in (1_234_567, 9, -9, -1_500)] == [
        "1,234.56",
        "0.00",
        "0.00",
        "−1.50",
    ]
    assert show_kwh(1_999, 0) == "1"
    assert show_price(6_170) == "0.6170"
