"""What energy costs: worked examples, an independent model, and what must hold for any tariff."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.instants import DAY_MS, HOUR_MS, MINUTE_MS, NEVER_MS, Zone
from domain.tariff import (
    Calendar,
    Charge,
    Position,
    Pricing,
    Rate,
    Slot,
    Tariff,
    charge,
    cheapest,
    faults,
    in_force,
    needs_hour,
    next_boundary_ms,
    price_now,
)
from tests.domain.naive_tariff import Moment, bill, moment
from tests.domain.table import name_of, rows

CHINA = Zone(((0, 480),))
LONG_AGO_MS = CHINA.instant(date(2020, 1, 1))


def when(text: str) -> int:
    """A local wall-clock time such as `2026-06-30 23:30` or `… 24:00` in China, in UTC ms."""
    day, clock = text.split()
    hour, minute = clock.split(":")
    return CHINA.instant(date.fromisoformat(day), int(hour) * 60 + int(minute))


FLAT = Tariff("f", 1, LONG_AGO_MS, {"workday": (Slot(0, Rate.flat),)}, {Rate.flat: (6_170,)})
TIME_OF_USE = Tariff(
    "t",
    1,
    LONG_AGO_MS,
    {
        "workday": (Slot(0, Rate.valley), Slot(480, Rate.peak), Slot(1320, Rate.valley)),
        "weekend": (Slot(0, Rate.valley),),
        "holiday": (Slot(0, Rate.deep), Slot(1320, Rate.valley)),
    },
    {Rate.valley: (3_000,), Rate.peak: (9_000,), Rate.deep: (2_000,)},
)
TIERED = replace(
    FLAT, tariff_id="s", prices_e4={Rate.flat: (5_000, 6_000, 9_000)}, steps_wh=(100, 300)
)
BY_YEAR = replace(TIERED, period="year")
BOTH = replace(
    TIME_OF_USE,
    prices_e4={Rate.valley: (3_000, 4_000), Rate.peak: (9_000, 9_500), Rate.deep: (2_000, 2_500)},
    steps_wh=(100,),
)
DEARER = replace(
    FLAT, version=2, effective_from_ms=when("2026-07-01 00:00"), prices_e4={Rate.flat: (7_000,)}
)
NAMED_DAYS = Calendar({date(2026, 10, 1): "holiday", date(2026, 10, 10): "workday"})
TABLES = {
    "flat": Pricing((FLAT,), NAMED_DAYS, CHINA),
    "time": Pricing((TIME_OF_USE,), NAMED_DAYS, CHINA),
    "tiers": Pricing((TIERED,), NAMED_DAYS, CHINA),
    "year": Pricing((BY_YEAR,), NAMED_DAYS, CHINA),
    "both": Pricing((BOTH,), NAMED_DAYS, CHINA),
    "dearer": Pricing((DEARER, FLAT), NAMED_DAYS, CHINA),
}

# parts are rate tier×Wh@price; ~ marks an estimate. `used` is the position before and after.
# 2026-10-01 is a Thursday and a holiday, 10-09 a Friday, 10-10 a Saturday worked, 10-11 a Sunday.
PRICED = rows("""
table  | used | wh   | from             | to               | parts                                | after
flat   | 0    | 1000 | 2026-10-09 12:00 | 2026-10-09 12:30 | flat 0×1000@6170                     | 1000
flat   | 5    | 0    | 2026-10-09 12:00 | 2026-10-09 12:30 |                                      | 5
flat   | 5    | 60   | 2026-10-09 12:00 | 2026-12-25 12:00 | flat 0×60@6170                       | 20
time   | 0    | 10   | 2026-10-09 07:50 | 2026-10-09 08:00 | valley 0×10@3000                     | 10
time   | 0    | 10   | 2026-10-09 08:00 | 2026-10-09 08:10 | peak 0×10@9000                       | 10
time   | 0    | 10   | 2026-10-09 07:50 | 2026-10-09 08:10 | ~valley 0×5@3000 ~peak 0×5@9000      | 10
# floor of the running share: the odd watt-hour falls to the later part, one alone to the last
time   | 0    | 11   | 2026-10-09 07:50 | 2026-10-09 08:10 | ~valley 0×5@3000 ~peak 0×6@9000      | 11
time   | 0    | 1    | 2026-10-09 07:50 | 2026-10-09 08:10 | ~peak 0×1@9000                       | 1
time   | 0    | 2    | 2026-10-09 07:59 | 2026-10-09 22:01 | ~peak 0×1@9000 ~valley 0×1@3000      | 2
# a midnight between equal slots is no boundary, a change of the day's kind is one if prices differ
time   | 0    | 10   | 2026-10-08 23:00 | 2026-10-09 01:00 | valley 0×10@3000                     | 10
time   | 0    | 10   | 2026-10-10 23:00 | 2026-10-11 01:00 | valley 0×10@3000                     | 10
time   | 0    | 10   | 2026-09-30 23:00 | 2026-10-01 01:00 | ~valley 0×5@3000 ~deep 0×5@2000      | 5
time   | 0    | 10   | 2026-10-01 23:00 | 2026-10-02 01:00 | valley 0×10@3000                     | 10
# a Saturday that is worked, a Sunday that is not
time   | 0    | 10   | 2026-10-10 09:00 | 2026-10-10 10:00 | peak 0×10@9000                       | 10
time   | 0    | 10   | 2026-10-11 09:00 | 2026-10-11 10:00 | valley 0×10@3000                     | 10
# no time between two readings: all of it at that instant; a clock set back counts as none
time   | 0    | 10   | 2026-10-09 08:00 | 2026-10-09 08:00 | peak 0×10@9000                       | 10
time   | 0    | 10   | 2026-10-09 07:59 | 2026-10-09 07:59 | valley 0×10@3000                     | 10
time   | 0    | 10   | 2026-10-09 08:10 | 2026-10-09 07:50 | valley 0×10@3000                     | 10
# tiers step exactly in watt-hours, and no estimate is made for it
tiers  | 0    | 100  | 2026-10-09 12:00 | 2026-10-09 12:30 | flat 0×100@5000                      | 100
tiers  | 0    | 101  | 2026-10-09 12:00 | 2026-10-09 12:30 | flat 0×100@5000 flat 1×1@6000        | 101
tiers  | 100  | 1    | 2026-10-09 12:00 | 2026-10-09 12:30 | flat 1×1@6000                        | 101
tiers  | 90   | 250  | 2026-10-09 12:00 | 2026-10-09 12:30 | flat 0×10@5000 flat 1×200@6000 flat 2×40@9000 | 340
tiers  | 900  | 5    | 2026-10-09 12:00 | 2026-10-09 12:30 | flat 2×5@9000                        | 905
# a new month starts at tier 0, at its own midnight
tiers  | 900  | 10   | 2026-10-31 24:00 | 2026-11-01 01:00 | flat 0×10@5000                       | 10
tiers  | 900  | 10   | 2026-10-31 23:00 | 2026-11-01 01:00 | ~flat 2×5@9000 ~flat 0×5@5000        | 5
tiers  | 900  | 10   | 2026-10-31 23:00 | 2026-10-31 24:00 | flat 2×10@9000                       | 910
tiers  | 0    | 10   | 2026-10-31 23:00 | 2026-11-01 01:00 | ~flat 0×10@5000                      | 5
year   | 900  | 10   | 2026-10-31 23:00 | 2026-11-01 01:00 | flat 2×10@9000                       | 910
year   | 900  | 10   | 2026-12-31 23:00 | 2027-01-01 01:00 | ~flat 2×5@9000 ~flat 0×5@5000        | 5
# both at once; a part that is gone by time comes back as a part of its own
both   | 95   | 20   | 2026-10-09 07:30 | 2026-10-09 08:30 | ~valley 0×5@3000 ~valley 1×5@4000 ~peak 1×10@9500 | 115
both   | 0    | 30   | 2026-10-09 07:00 | 2026-10-09 23:00 | ~valley 0×1@3000 ~peak 0×27@9000 ~valley 0×2@3000 | 30
# a version starts on time, and the position goes on
dearer | 0    | 10   | 2026-06-30 23:00 | 2026-06-30 24:00 | flat 0×10@6170                       | 10
dearer | 0    | 10   | 2026-07-01 00:00 | 2026-07-01 01:00 | flat 0×10@7000                       | 10
dearer | 0    | 10   | 2026-06-30 23:00 | 2026-07-01 01:00 | ~flat 0×5@6170 ~flat 0×5@7000        | 5
dearer | 0    | 10   | 2019-06-30 23:00 | 2019-07-01 01:00 | flat 0×10@6170                       | 5
""")  # noqa: E501


def shown(priced: Charge) -> str:
    return " ".join(
        f"{'~' if p.estimated else ''}{p.rate.name} {p.tier}×{p.wh}@{p.price_e4}"
        for p in priced.parts
    )


@pytest.mark.parametrize("row", PRICED, ids=name_of)
def test_worked_examples(row: dict[str, str]) -> None:
    pricing, from_ms = TABLES[row["table"]], when(row["from"])
    start = CHINA.local(from_ms - 1).date().replace(day=1)
    if row["table"] == "year":
        start = start.replace(month=1)
    position = Position(CHINA.instant(start), int(row["used"]))
    priced = charge(pricing, position, int(row["wh"]), from_ms, when(row["to"]))
    assert shown(priced) == row["parts"]
    assert str(priced.position.used_wh) == row["after"]
    assert priced.ticks == sum(part.wh * part.price_e4 for part in priced.parts)


def test_a_new_period_is_entered_even_without_use() -> None:
    before = Position(when("2026-10-01 00:00"), 900)
    after = charge(TABLES["tiers"], before, 0, when("2026-11-02 00:00"), when("2026-11-02 01:00"))
    assert after.position == Position(when("2026-11-01 00:00"), 0)


def test_a_position_of_a_later_period_is_kept() -> None:
    """An interval booked late does not throw the new month back to the old one."""
    november = Position(when("2026-11-01 00:00"), 150)
    late = charge(TABLES["tiers"], november, 5, when("2026-10-31 22:00"), when("2026-10-31 23:00"))
    assert late.position == Position(november.period_start_ms, 155)


def test_energy_never_runs_backwards() -> None:
    with pytest.raises(AssertionError):
        charge(TABLES["flat"], Position(0, 0), -1, 0, 1)


# ---- any tariff ----------------------------------------------------------------------------------

MONTH_END_MS = when("2026-09-30 24:00")  # a holiday follows; 60 h around it cross a weekend at most
SPAN_MS = 60 * HOUR_MS


@st.composite
def slots(draw: st.DrawFn) -> tuple[Slot, ...]:
    starts = [0, *sorted(draw(st.sets(st.integers(1, 1439), max_size=13)))]
    chosen: list[Slot] = []
    for start_min in starts:
        taken = chosen[-1].rate if chosen else None
        rate = draw(st.sampled_from([rate for rate in Rate if rate is not taken]))
        chosen.append(Slot(start_min, rate))
    return tuple(chosen)


@st.composite
def tariffs(draw: st.DrawFn, version: int, effective_from_ms: int) -> Tariff:
    kinds = {"workday", *draw(st.sets(st.sampled_from(["weekend", "holiday"])))}
    one_slot = st.builds(lambda rate: (Slot(0, rate),), st.sampled_from(list(Rate)))
    day_types = {kind: draw(st.one_of(one_slot, slots())) for kind in sorted(kinds)}
    steps_wh = tuple(sorted(draw(st.sets(st.integers(1, 400), max_size=2))))
    price = st.integers(0, 20_000)
    prices_e4 = {rate: tuple(draw(price) for _ in range(len(steps_wh) + 1)) for rate in Rate}
    period = draw(st.sampled_from(["month", "year"]))
    return Tariff("t", version, effective_from_ms, day_types, prices_e4, steps_wh, period)  # type: ignore[arg-type]


@st.composite
def pricings(draw: st.DrawFn) -> Pricing:
    starts = [LONG_AGO_MS]
    around = st.integers(MONTH_END_MS - SPAN_MS, MONTH_END_MS + SPAN_MS)
    starts += sorted(draw(st.sets(around, max_size=2)))
    versions = tuple(draw(tariffs(n, start_ms)) for n, start_ms in enumerate(starts, start=1))
    shift_ms = MONTH_END_MS + draw(st.integers(3, 20)) * HOUR_MS
    shifted = [Zone(((0, 480), (shift_ms, offset_min))) for offset_min in (420, 540)]
    zone = draw(st.sampled_from([CHINA, *shifted]))
    return Pricing(versions, draw(st.sampled_from([Calendar(), NAMED_DAYS])), zone)


@st.composite
def intervals(draw: st.DrawFn) -> tuple[int, int]:
    from_ms = draw(st.integers(MONTH_END_MS - SPAN_MS // 2, MONTH_END_MS + SPAN_MS // 2))
    length = st.one_of(st.integers(0, 2 * HOUR_MS), st.integers(0, SPAN_MS // 2))
    return from_ms, from_ms + draw(length)


POSITIONS = st.builds(
    Position,
    st.sampled_from([when("2026-01-01 00:00"), when("2026-09-01 00:00"), MONTH_END_MS]),
    st.integers(0, 500),
)


@settings(deadline=None, max_examples=250)
@given(pricings(), POSITIONS, st.integers(0, 600), intervals())
def test_an_independent_model_agrees(
    pricing: Pricing, position: Position, wh: int, interval: tuple[int, int]
) -> None:
    priced, expected = (
        charge(pricing, position, wh, *interval),
        bill(pricing, position, wh, *interval),
    )
    assert [(p.rate, p.tier, p.price_e4, p.wh) for p in priced.parts] == expected.lines
    assert (priced.ticks, priced.position.used_wh) == (expected.ticks, expected.used_wh)
    if priced.parts:
        assert {part.estimated for part in priced.parts} == {expected.estimated}


@settings(deadline=None)
@given(pricings(), POSITIONS, st.integers(0, 600), intervals())
def test_no_watt_hour_is_lost_and_none_is_cheaper_than_the_cheapest(
    pricing: Pricing, position: Position, wh: int, interval: tuple[int, int]
) -> None:
    priced = charge(pricing, position, wh, *interval)
    assert sum(part.wh for part in priced.parts) == wh
    assert all(part.wh > 0 for part in priced.parts)
    assert priced.ticks >= wh * cheapest(pricing)


@settings(deadline=None)
@given(pricings(), POSITIONS, st.lists(st.integers(0, 300), min_size=1, max_size=8), intervals())
def test_within_one_price_segment_a_charge_telescopes(
    pricing: Pricing, position: Position, deltas_wh: list[int], interval: tuple[int, int]
) -> None:
    """However many readings fall between two instants, and whenever: the sum is the same."""
    from_ms = interval[0]
    to_ms = min(from_ms + SPAN_MS, next_boundary_ms(pricing, from_ms))
    whole = charge(pricing, position, sum(deltas_wh), from_ms, to_ms)
    at_ms, at, ticks = from_ms, position, 0
    for n, delta_wh in enumerate(deltas_wh, start=1):
        until_ms = from_ms + (to_ms - from_ms) * n // len(deltas_wh)
        step = charge(pricing, at, delta_wh, at_ms, until_ms)
        assert not any(part.estimated for part in step.parts)
        at_ms, at, ticks = until_ms, step.position, ticks + step.ticks
    assert ticks == whole.ticks
    if in_force(pricing, from_ms).steps_wh:  # without tiers a period's start is no boundary
        assert at == whole.position


@settings(deadline=None)
@given(pricings(), intervals())
def test_the_next_boundary_is_where_the_price_changes_and_not_before(
    pricing: Pricing, interval: tuple[int, int]
) -> None:
    def price(at_ms: int) -> Moment:
        here = moment(pricing, at_ms)
        tiers = {tariff.version: tariff.steps_wh for tariff in pricing.versions}[here.version]
        return here if tiers else replace(here, period=())

    at_ms = interval[0]
    boundary_ms = next_boundary_ms(pricing, at_ms)
    assert boundary_ms > at_ms
    until_ms = min(boundary_ms, at_ms + SPAN_MS)
    assert {price(t) for t in range(at_ms, until_ms, 7 * MINUTE_MS)} == {price(until_ms - 1)}
    if boundary_ms < NEVER_MS:
        assert price(boundary_ms) != price(boundary_ms - 1)


@settings(deadline=None)
@given(pricings(), POSITIONS, intervals())
def test_the_price_now_is_the_price_of_the_next_watt_hour(
    pricing: Pricing, position: Position, interval: tuple[int, int]
) -> None:
    at_ms = interval[0]
    assert price_now(pricing, position, at_ms) == charge(pricing, position, 1, at_ms, at_ms).ticks


@settings(deadline=None)
@given(pricings())
def test_generated_price_tables_are_sound(pricing: Pricing) -> None:
    assert [faults(tariff) for tariff in pricing.versions] == [[]] * len(pricing.versions)


# ---- the smaller questions -----------------------------------------------------------------------


def test_a_gap_of_weeks_is_charged_whole() -> None:
    busy = tuple(Slot(n * 100, Rate.peak if n % 2 else Rate.valley) for n in range(14))
    pricing = Pricing((replace(BOTH, day_types={"workday": busy}),), Calendar(), CHINA)
    from_ms = when("2026-08-03 00:00")
    priced = charge(pricing, Position(0, 0), 1_000_000, from_ms, from_ms + 70 * DAY_MS)
    assert sum(part.wh for part in priced.parts) == 1_000_000
    october = priced.position
    assert october.period_start_ms == when("2026-10-01 00:00")
    assert october.used_wh == 1_000_000 - 1_000_000 * 59 // 70


@pytest.mark.parametrize(
    ("table", "needed"),
    [("flat", False), ("time", True), ("tiers", True), ("year", True), ("dearer", True)],
)
def test_whether_the_hour_is_needed(table: str, needed: bool) -> None:
    assert needs_hour(TABLES[table]) is needed


def test_the_version_in_force() -> None:
    pricing, start_ms = TABLES["dearer"], DEARER.effective_from_ms
    assert in_force(pricing, start_ms) is DEARER
    assert in_force(pricing, start_ms - 1) is FLAT
    assert in_force(pricing, LONG_AGO_MS - 1) is FLAT
    twin = replace(DEARER, version=3)
    assert in_force(Pricing((twin, FLAT, DEARER), Calendar(), CHINA), start_ms) is twin


def test_the_cheapest_price_is_one_that_a_slot_can_have() -> None:
    spare = replace(TIME_OF_USE, prices_e4={**TIME_OF_USE.prices_e4, Rate.sharp: (0,)})
    assert cheapest(Pricing((spare,), Calendar(), CHINA)) == 2_000


def test_a_flat_price_has_no_boundary_and_tiers_have_their_period() -> None:
    at_ms = when("2026-10-09 12:00")
    assert next_boundary_ms(TABLES["flat"], at_ms) == NEVER_MS
    assert next_boundary_ms(TABLES["tiers"], at_ms) == when("2026-11-01 00:00")
    assert next_boundary_ms(TABLES["year"], at_ms) == when("2027-01-01 00:00")
    assert next_boundary_ms(TABLES["dearer"], when("2026-06-01 00:00")) == DEARER.effective_from_ms
    assert next_boundary_ms(TABLES["dearer"], at_ms) == NEVER_MS


UNSOUND = {
    "day_types.workday: ": replace(FLAT, day_types={"weekend": (Slot(0, Rate.flat),)}),
    "day_types.sunday: ": replace(
        FLAT, day_types={**FLAT.day_types, "sunday": (Slot(0, Rate.flat),)}
    ),
    "day_types.weekend: ": replace(FLAT, day_types={**FLAT.day_types, "weekend": ()}),
    "at most 14": replace(
        TIME_OF_USE,
        day_types={"workday": tuple(Slot(n, Rate(2 + 2 * (n % 2))) for n in range(15))},
    ),
    "workday[0].start_min: ": replace(FLAT, day_types={"workday": (Slot(1, Rate.flat),)}),
    "workday[1].start_min: 1440": replace(
        TIME_OF_USE, day_types={"workday": (Slot(0, Rate.peak), Slot(1440, Rate.valley))}
    ),
    "workday[2].start_min: ": replace(
        TIME_OF_USE,
        day_types={"workday": (Slot(0, Rate.peak), Slot(60, Rate.valley), Slot(60, Rate.peak))},
    ),
    "workday[1].rate: ": replace(
        FLAT, day_types={"workday": (Slot(0, Rate.flat), Slot(9, Rate.flat))}
    ),
    "prices_e4.flat: ": replace(FLAT, prices_e4={}),
    "2 prices for 1 tiers": replace(FLAT, prices_e4={Rate.flat: (1, 2)}),
    "prices_e4.flat[0]: -1": replace(FLAT, prices_e4={Rate.flat: (-1,)}),
    "prices_e4.flat[0]: 1000001": replace(FLAT, prices_e4={Rate.flat: (1_000_001,)}),
    "steps_wh[0]: ": replace(TIERED, steps_wh=(0, 300)),
    "steps_wh[1]: ": replace(TIERED, steps_wh=(300, 300)),
    "period: 'week'": replace(FLAT, period="week"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("words", UNSOUND)
def test_an_unsound_price_table_says_where(words: str) -> None:
    assert words in "; ".join(faults(UNSOUND[words]))


def test_all_faults_are_named_at_once() -> None:
    broken = replace(FLAT, day_types={"weekend": (Slot(5, Rate.peak),)}, steps_wh=(0,))
    found = faults(broken)
    assert len(found) == 5
    assert not faults(FLAT)
