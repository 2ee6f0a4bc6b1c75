"""Which readings are believed: a register of 1 000 kWh in steps of 10 Wh, 60 A at 220 V."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.instants import DAY_MS, HOUR_MS
from domain.readings import Believed, Last, Limits, Suspicion, agrees, judge
from tests.domain.table import name_of, rows

LIMITS = Limits(modulus_wh=1_000_000, step_wh=10, p_max_w=13_200)  # 14 520 Wh an hour at most
TIMES = {"1 h": HOUR_MS, "1 s": 1_000, "0": 0, "-5 ms": -5, "60 d": 60 * DAY_MS, "unknown": None}

READ = rows("""
last    | read    | elapsed | meter | outcome
# an ordinary step, none, and the most the circuit can carry (2 steps of grace)
500000  | 501000  | 1 h     | own   | total 5501000 +1000
500000  | 500000  | 1 h     | own   | total 5500000 +0
500000  | 514540  | 1 h     | own   | total 5514540 +14540
500000  | 514541  | 1 h     | own   | too_fast
500000  | 500020  | 0       | own   | total 5500020 +20
500000  | 500030  | 0       | own   | too_fast
500000  | 500030  | 1 s     | own   | too_fast
# time unknown: only direction and range, and what a minute cannot hold is not sure
500000  | 500262  | unknown | own   | total 5500262 +262
500000  | 500263  | unknown | own   | total 5500263 +263 unsure
500000  | 999990  | unknown | own   | total 5999990 +499990 unsure
500000  | 500262  | -5 ms   | own   | total 5500262 +262
500000  | 999990  | -5 ms   | own   | total 5999990 +499990 unsure
500000  | 499990  | -5 ms   | own   | backwards
500000  | 499990  | unknown | own   | backwards
# rollover
999900  | 100     | 1 h     | own   | total 6000100 +200 rolled
999900  | 20000   | 1 h     | own   | backwards
900000  | 100000  | unknown | own   | total 6100000 +200000 rolled unsure
999990  | 100     | unknown | own   | total 6000100 +110 rolled
899990  | 0       | unknown | own   | backwards
900000  | 100010  | unknown | own   | backwards
600000  | 500000  | 60 d    | own   | total 6500000 +900000 rolled
# a step back by one digit, a reset
500000  | 499990  | 1 h     | own   | backwards
500000  | 0       | 1 h     | own   | backwards
# another meter goes before everything else, the range before the direction
500000  | 501000  | 1 h     | other | other_meter
500000  | 1000000 | 1 h     | other | other_meter
500000  | 1000000 | 1 h     | own   | out_of_range
500000  | -10     | 1 h     | own   | out_of_range
# the first reading of an incarnation opens it
none    | 501000  | unknown | own   | total 501000 +0 unsure
none    | 1000000 | unknown | own   | out_of_range
""")


def shown(judged: Believed | Suspicion) -> str:
    if isinstance(judged, Suspicion):
        return judged.value
    rolled = " rolled" if judged.rolled_over else ""
    unsure = "" if judged.sure else " unsure"
    return f"total {judged.total_wh} +{judged.delta_wh}{rolled}{unsure}"


@pytest.mark.parametrize(
    ("before_wh", "after_wh", "elapsed_ms", "outcome"),
    [
        (500_000, 500_000, 0, True),
        (500_000, 500_020, 0, True),
        (500_000, 500_021, 0, False),
        (500_000, 499_990, HOUR_MS, False),
        (500_000, 514_540, HOUR_MS, True),
        (999_990, 10, 0, True),
    ],
)
def test_two_polls_agree_where_the_circuit_allows_it(
    before_wh: int, after_wh: int, elapsed_ms: int, *, outcome: bool
) -> None:
    assert agrees(before_wh, after_wh, elapsed_ms=elapsed_ms, limits=LIMITS) is outcome


@pytest.mark.parametrize("row", READ, ids=name_of)
def test_readings(row: dict[str, str]) -> None:
    last = None
    if row["last"] != "none":  # its total stands 5 MWh above: it rolled over five times before
        last = Last("0001", int(row["last"]), 5_000_000 + int(row["last"]))
    judged = judge(
        last,
        meter_id="0001" if row["meter"] == "own" else "0002",
        register_wh=int(row["read"]),
        elapsed_ms=TIMES[row["elapsed"]],
        limits=LIMITS,
    )
    assert shown(judged) == row["outcome"]


@given(st.integers(0, 999_999), st.integers(-2_000_000, 2_000_000), st.integers(0, 100 * DAY_MS))
def test_a_believed_total_never_falls_and_stays_within_the_circuit(
    before_wh: int, register_wh: int, elapsed_ms: int
) -> None:
    last = Last("0001", before_wh, 7_000_000 + before_wh)
    judged = judge(
        last, meter_id="0001", register_wh=register_wh, elapsed_ms=elapsed_ms, limits=LIMITS
    )
    if isinstance(judged, Believed):
        assert judged.total_wh == last.total_wh + judged.delta_wh
        assert 0 <= judged.delta_wh - 20 <= 14_520 * elapsed_ms / HOUR_MS or judged.delta_wh <= 20
        assert judged.total_wh % LIMITS.modulus_wh == register_wh


@given(st.lists(st.integers(0, 14_000), max_size=200))
def test_an_honest_meter_is_believed_over_rollovers(hourly_wh: list[int]) -> None:
    last, truth_wh = Last("0001", 990_000, 990_000), 990_000
    for used_wh in hourly_wh:
        truth_wh += used_wh
        judged = judge(
            last,
            meter_id="0001",
            register_wh=truth_wh % LIMITS.modulus_wh,
            elapsed_ms=HOUR_MS,
            limits=LIMITS,
        )
        assert isinstance(judged, Believed)
        last = Last("0001", truth_wh % LIMITS.modulus_wh, judged.total_wh)
    assert last.total_wh == truth_wh
