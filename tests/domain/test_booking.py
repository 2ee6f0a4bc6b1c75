"""Which charge rows join what is booked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.booking import Misfit, joins

PRICE = 5583


@pytest.mark.clause("facts-7")
def test_a_row_joins_where_energy_and_money_go_on() -> None:
    assert joins(
        booked_to_wh=100, booked_charged_ticks=900, from_wh=100, charged_ticks=950, ticks=50
    ) is None  # fmt: skip


@pytest.mark.clause("facts-7")
@pytest.mark.parametrize(
    ("booked_to_wh", "booked_ticks", "misfit"),
    [
        (99, 900, Misfit.energy_gap),
        (101, 900, Misfit.energy_overlap),
        (0, 900, Misfit.energy_gap),
        (100, 899, Misfit.money_mismatch),
        (100, 901, Misfit.money_mismatch),
        (101, 899, Misfit.energy_overlap),
        (None, 900, None),
        (None, 901, Misfit.money_mismatch),
    ],
)
def test_a_row_that_does_not_go_on_says_why(
    booked_to_wh: int | None, booked_ticks: int, misfit: Misfit | None
) -> None:
    found = joins(
        booked_to_wh=booked_to_wh,
        booked_charged_ticks=booked_ticks,
        from_wh=100,
        charged_ticks=950,
        ticks=50,
    )
    assert found is misfit


@pytest.mark.clause("facts-7", "facts-8")
def test_a_closed_journal_joins_nothing_even_where_it_fits() -> None:
    fit = {"booked_to_wh": 100, "booked_charged_ticks": 900, "from_wh": 100}
    late = joins(**fit, charged_ticks=950, ticks=50, journal_closed=True)
    assert late is Misfit.journal_closed
    wrong = joins(**fit, charged_ticks=951, ticks=50, journal_closed=True)
    assert wrong is Misfit.money_mismatch


@pytest.mark.clause("facts-7")
@given(
    used=st.lists(st.integers(1, 500), min_size=1, max_size=30),
    heard=st.lists(st.integers(0, 29), max_size=120),
)
def test_rows_heard_in_any_order_and_number_book_each_watt_hour_once(
    used: list[int], heard: list[int]
) -> None:
    """What is booked is always a run from the start, priced to the tick."""
    ends = [sum(used[: n + 1]) for n in range(len(used))]
    to_wh = ticks = 0
    for n in [*heard, *range(len(used))]:
        if n < len(used) and not joins(
            booked_to_wh=to_wh,
            booked_charged_ticks=ticks,
            from_wh=ends[n] - used[n],
            charged_ticks=ends[n] * PRICE,
            ticks=used[n] * PRICE,
        ):
            to_wh, ticks = ends[n], ticks + used[n] * PRICE
        assert ticks == to_wh * PRICE
    assert to_wh == ends[-1]
