"""Whether a register reading can be believed, and the unwrapped total it stands for.

The total of an incarnation only grows; a rollover continues it, a swap or reset starts a new
incarnation, and anything implausible is suspect with a reason: it is shown, and never charged.
"""

from dataclasses import dataclass
from enum import StrEnum


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
    """A reading to go on from: the new unwrapped total, what was added, and whether it rolled."""

    total_wh: int
    delta_wh: int
    rolled_over: bool


def judge(
    last: Last | None, *, meter_id: str, register_wh: int, elapsed_ms: int | None, limits: Limits
) -> Believed | Suspicion:
    """Believe a reading or say why not.

    `elapsed_ms` is the time since `last` by a monotonic clock or one trusted at both ends; None
    where unknown (after a restart without a clock): then only direction and range are judged.
    A first reading (`last` None) starts the total at the register. 0 ≤ ΔE ≤ 1.1·P_max·Δt + 2 steps.
    """
    raise NotImplementedError
