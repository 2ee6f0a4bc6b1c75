"""Whether a register reading can be believed, and the unwrapped total it stands for.

The total of an incarnation only grows; a rollover continues it, a swap or reset starts a new
incarnation, and anything implausible is suspect with a reason: it is shown, and never charged.
"""

from dataclasses import dataclass
from enum import StrEnum

SURE_MS = 60_000  # what can be used in it is believed at once, though the time be unknown


class Suspicion(StrEnum):
    """Why a reading is not believed."""

    other_meter = "other_meter"  # the serial is not the installed meter's: swap
    out_of_range = "out_of_range"  # beyond the register's modulus
    backwards = "backwards"  # lower than before and no rollover: reset or noise
    too_fast = "too_fast"  # more energy than the circuit can carry in the time


@dataclass(frozen=True, slots=True)
class Limits:
    """What the meter's profile says: register modulus and step, and what the circuit can carry."""

    modulus_wh: int
    step_wh: int
    p_max_w: int


@dataclass(frozen=True, slots=True)
class Last:
    """The last believed register of an incarnation and the total it stood for."""

    meter_id: str
    register_wh: int
    total_wh: int


@dataclass(frozen=True, slots=True)
class Believed:
    """A reading to go on from: the new unwrapped total, what was added, and whether it rolled.

    Where it is not `sure`, nothing but this one poll says so: it waits for another that `agrees`.
    """

    total_wh: int
    delta_wh: int
    rolled_over: bool
    sure: bool = True


def judge(
    last: Last | None, *, meter_id: str, register_wh: int, elapsed_ms: int | None, limits: Limits
) -> Believed | Suspicion:
    """Believe a reading or say why not.

    `elapsed_ms` is the time since `last` by a monotonic clock or one trusted at both ends; None
    where unknown (after a restart without a clock), and less than 0 is not known either: then only
    direction and range are judged, and what is more than a minute's energy is not sure. A first
    reading (`last` None) starts the total at the register, and is never sure.
    0 ≤ ΔE ≤ 1.1·P_max·Δt + 2 steps; a lower register is a rollover only where the energy it would
    mean fits that bound, or, the time being unknown, where the last tenth of the register was
    left for the first. `last` must not age while readings are suspect by a jump: the bound grows
    with time, so whoever keeps `last` keeps the suspicion too until the register returns or staff
    decide.
    """
    if last is not None and last.meter_id != meter_id:
        return Suspicion.other_meter
    if not 0 <= register_wh < limits.modulus_wh:
        return Suspicion.out_of_range
    if last is None:
        return Believed(total_wh=register_wh, delta_wh=0, rolled_over=False, sure=False)
    if elapsed_ms is not None and elapsed_ms < 0:  # a clock was wrong at one of the ends
        elapsed_ms = None
    delta_wh = register_wh - last.register_wh
    rolled_over = delta_wh < 0
    if rolled_over:
        delta_wh += limits.modulus_wh
        if not _rollover_fits(last.register_wh, register_wh, delta_wh, elapsed_ms, limits):
            return Suspicion.backwards
    elif elapsed_ms is not None and not _fits(delta_wh, elapsed_ms, limits):
        return Suspicion.too_fast
    sure = elapsed_ms is not None or _fits(delta_wh, SURE_MS, limits)
    return Believed(last.total_wh + delta_wh, delta_wh, rolled_over, sure)


def agrees(before_wh: int, after_wh: int, *, elapsed_ms: int, limits: Limits) -> bool:
    """Whether a later register goes on from an earlier one as the circuit can (over its end too).

    `elapsed_ms` ≥ 0 is the time between the two by a monotonic clock.
    """
    return _fits((after_wh - before_wh) % limits.modulus_wh, elapsed_ms, limits)


def _fits(delta_wh: int, elapsed_ms: int, limits: Limits) -> bool:
    """ΔE ≤ 1.1·P_max·Δt + 2 steps, in whole numbers (an hour is 3 600 000 ms)."""
    spare_wh = delta_wh - 2 * limits.step_wh
    return spare_wh * 36_000_000 <= 11 * limits.p_max_w * elapsed_ms


def _rollover_fits(
    before_wh: int, after_wh: int, delta_wh: int, elapsed_ms: int | None, limits: Limits
) -> bool:
    if elapsed_ms is not None:
        return _fits(delta_wh, elapsed_ms, limits)
    return before_wh * 10 >= limits.modulus_wh * 9 and after_wh * 10 <= limits.modulus_wh
