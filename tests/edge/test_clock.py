"""What time it is, and how far to trust it."""

from dataclasses import dataclass

from domain.instants import DAY_MS, HOUR_MS, Trust
from edge.clock import Clock, Sources
from edge.memory import CarriedClock

T0 = 1_795_000_000_000


@dataclass
class Machine:
    """A machine whose clocks are turned by hand."""

    mono_ms: int = 0
    boottime_ms: int = 1_000_000
    wall_ms: int = 0
    ntp: bool = False
    boot_id: str = "kernel-1"

    def run(self, ms: int) -> None:
        self.mono_ms += ms
        self.boottime_ms += ms
        self.wall_ms += ms

    def sources(self) -> Sources:
        return Sources(
            mono_ms=lambda: self.mono_ms,
            boottime_ms=lambda: self.boottime_ms,
            wall_ms=lambda: self.wall_ms,
            ntp_synchronised=lambda: self.ntp,
            kernel_boot_id=self.boot_id,
        )


def clock(machine: Machine, *, floor_ms: int = T0, carried: CarriedClock | None = None) -> Clock:
    return Clock(machine.sources(), boot=3, floor_ms=floor_ms, carried=carried)


def test_without_a_source_only_the_floor_is_known() -> None:
    machine = Machine()
    here = clock(machine)
    machine.run(5_000)
    now = here.now()
    assert (now.at_ms, now.trust, now.boot, now.mono_ms) == (T0 + 5_000, Trust.unknown, 3, 5_000)
    assert here.carried() is None


def test_the_centre_sets_the_clock_and_trust_ages() -> None:
    machine = Machine()
    here = clock(machine)
    machine.run(1_000)
    change = here.heard_centre(T0 + HOUR_MS)
    assert change is not None
    assert (change.before_ms, change.trust_before) == (T0 + 1_000, Trust.unknown)
    assert here.now().trust is Trust.synchronised
    machine.run(DAY_MS + 1)
    assert here.now().trust is Trust.carried
    machine.run(30 * DAY_MS)
    assert here.now().trust is Trust.unknown


def test_small_drift_is_corrected_without_a_fact() -> None:
    machine = Machine()
    here = clock(machine)
    here.heard_centre(T0)
    machine.run(10_000)
    assert here.heard_centre(T0 + 10_400) is None
    assert here.now().at_ms == T0 + 10_400


def test_ntp_goes_before_the_centre() -> None:
    machine = Machine(wall_ms=T0, ntp=True)
    here = clock(machine, floor_ms=0)
    assert here.ask_ntp() is not None
    assert here.heard_centre(T0 + DAY_MS) is None
    assert here.now().at_ms == T0


def test_a_restart_carries_the_time_while_the_kernel_runs() -> None:
    machine = Machine()
    first = clock(machine)
    first.heard_centre(T0)
    machine.run(HOUR_MS)
    kept = first.carried()
    machine.run(60_000)  # dead for a minute
    machine.mono_ms = 0
    second = clock(machine, floor_ms=T0, carried=kept)
    assert second.now().at_ms == T0 + HOUR_MS + 60_000
    assert second.now().trust is Trust.carried


def test_carrying_again_and_again_does_not_renew_trust() -> None:
    machine = Machine()
    here = clock(machine)
    here.heard_centre(T0)
    for _ in range(31):
        machine.run(DAY_MS)
        kept = here.carried()
        machine.mono_ms = 0
        here = clock(machine, floor_ms=T0, carried=kept)
    assert here.now().trust is Trust.unknown


def test_another_kernel_boot_carries_nothing() -> None:
    machine = Machine()
    here = clock(machine)
    here.heard_centre(T0)
    kept = here.carried()
    other = Machine(boottime_ms=500, boot_id="kernel-2")
    assert clock(other, floor_ms=T0, carried=kept).now().trust is Trust.unknown
