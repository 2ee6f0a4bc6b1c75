"""One bus of virtual meters on a pseudo-terminal: what its owner tells, and what it never does."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from domain.supply import Relay
from edge.bus.line import Line, LineSettings
from edge.bus.relay import RelayCommand
from edge.bus.scheduler import HEALTH_EVERY_MS, BusTask
from edge.bus.station import IDENTIFY_EVERY_MS, MeterSlot
from edge.events import (
    BusEvent,
    BusHealth,
    Identified,
    Missed,
    Polled,
    PortBack,
    PortLost,
    RelayMoved,
)
from edge.meters import profile as profiles
from edge.meters.profile import Profile
from simulator.bus import VirtualBus, Wire
from simulator.load import Fixed
from simulator.meter import UJ_PER_WH, Memory, VirtualMeter
from simulator.registers import RegisterMap

START_MS = 1_790_000_000_000
NK = profiles.load(profiles.default_directory() / "ddsy1352-nk.toml")
CLASSIC = profiles.load(profiles.default_directory() / "ddsy1352-classic.toml")
BAUD = 115_200
E = TypeVar("E")


@dataclass
class CountingMeter(VirtualMeter):
    """A meter that notes what it was asked, in order."""

    asked: list[str] = field(default_factory=list)

    def read(self, first: int, count: int, now_ms: int) -> list[int] | int:
        self.asked.append("read")
        return super().read(first, count, now_ms)

    def write(self, first: int, words: list[int], now_ms: int) -> int | None:
        self.asked.append("write")
        return super().write(first, words, now_ms)


def make_meter(address: int, profile: Profile = NK, *, load_w: int = 360) -> CountingMeter:
    number = f"31000000{address:04d}"
    memory = Memory(number=number, energy_uj=1000 * UJ_PER_WH, rate_uj=[250 * UJ_PER_WH] * 4)
    return CountingMeter(
        number=number,
        address=address,
        profile=profile,
        registers=RegisterMap(profile),
        load=Fixed(load_w),
        rate=1,
        memory=memory,
        now_ms=START_MS,
        keep=lambda memory: None,
    )


class Site:
    """A bus under test: its meters, its owner, everything that was told, and a clock to turn."""

    def __init__(self, directory: Path, meters: Sequence[CountingMeter]) -> None:
        self.meters = {f"p{meter.address}": meter for meter in meters}
        self.told: list[BusEvent] = []
        self.ahead_ms = 0
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.bus = VirtualBus(
            "b1",
            link=directory / "b1",
            wire=Wire(baud=BAUD, turnaround_ms=2),
            meters=meters,
            chance=random.Random(1),
            now_ms=lambda: START_MS,  # registers stand still
        )
        self.owner = BusTask(
            "b1",
            line=Line(LineSettings(str(directory / "b1"), baud=BAUD)),
            slots=self.slots(),
            emit=self._emit,
            mono_ms=self.mono_ms,
            round_ms=20,
        )

    def mono_ms(self) -> int:
        return int(self._loop.time() * 1000) + self.ahead_ms

    def slots(self) -> list[MeterSlot]:
        return [
            MeterSlot(point_id, meter.address, meter.number, meter.profile)
            for point_id, meter in self.meters.items()
        ]

    def _emit(self, event: BusEvent) -> None:
        self.told.append(event)
        self._news.set()

    async def expect(
        self,
        kind: type[E],
        fits: Callable[[E], bool] = lambda event: True,
        *,
        count: int = 1,
        within_s: float = 5.0,
    ) -> E:
        """The count-th such event told from now on."""
        seen = len(self.told)
        async with asyncio.timeout(within_s):
            while True:
                while seen < len(self.told):
                    event = self.told[seen]
                    seen += 1
                    if isinstance(event, kind) and fits(event):
                        count -= 1
                        if count == 0:
                            return event
                self._news.clear()
                await self._news.wait()

    async def rounds(self, count: int, *, point_id: str = "p1") -> None:
        await self.expect(Polled, lambda event: event.point_id == point_id, count=count)

    def of(self, point_id: str) -> list[BusEvent]:
        return [event for event in self.told if getattr(event, "point_id", "") == point_id]

    def move(self, point_id: str, wanted: Relay, decided_seq: int = 5) -> None:
        self.owner.command(RelayCommand(point_id, wanted, decided_seq))

    async def moved(self, point_id: str) -> RelayMoved:
        return await self.expect(RelayMoved, lambda event: event.point_id == point_id)


Start = Callable[..., Site]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    running: list[tuple[Site, asyncio.Task[None]]] = []

    def begin(*meters: CountingMeter, put_up: bool = True) -> Site:
        site = Site(tmp_path, meters)
        if put_up:
            site.bus.open()
        running.append((site, asyncio.ensure_future(site.owner.run())))
        return site

    yield begin
    for site, task in running:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if site.bus.link.exists():
            site.bus.close()


# --- polling ---------------------------------------------------------------------------------


async def test_every_meter_says_who_it_is_before_it_counts(start: Start) -> None:
    site = start(*(make_meter(address) for address in (1, 2, 3)))
    await site.rounds(3)
    for point_id, meter in site.meters.items():
        first, second, *rest = site.of(point_id)
        assert isinstance(first, Identified)
        assert (first.meter_id_read, first.own_prepaid_on) == (meter.number, False)
        assert isinstance(second, Polled)
        assert second.meter_id == meter.number
        assert second.snapshot.register_wh == 1000
        assert second.snapshot.relay is Relay.closed
        assert all(isinstance(event, Polled) for event in rest)
    assert site.bus.counts.merged == site.bus.counts.collisions == site.bus.counts.damaged == 0


async def test_another_meter_is_named_and_never_counts(start: Start) -> None:
    stranger = make_meter(2)
    site = start(make_meter(1), stranger)
    stranger.swap("310000009999", START_MS)
    await site.rounds(4)
    identified, missed = site.of("p2")
    assert isinstance(identified, Identified)
    assert identified.meter_id_read == "310000009999"
    assert isinstance(missed, Missed)
    assert missed.reason == "other_meter"
    site.move("p2", Relay.open)
    assert await site.moved("p2") == RelayMoved("p2", Relay.open, Relay.unknown, 0, 5)
    assert stranger.memory.relay_closed
    stranger.memory.number = stranger.number
    site.ahead_ms += 60_000
    await site.rounds(2, point_id="p2")


async def test_leading_zeros_of_a_meter_number_do_not_matter(start: Start) -> None:
    site = start(make_meter(1))
    (slot,) = site.slots()
    await site.rounds(1)
    written = replace(slot, point_id="p9", meter_id=f"0{slot.meter_id}")
    site.owner.replace_meters([written])
    polled = await site.expect(Polled, lambda event: event.point_id == "p9")
    assert polled.meter_id == written.meter_id
    assert not [event for event in site.told if isinstance(event, Missed)]


async def test_a_meter_with_its_own_prepaid_control_is_said_to_have_it(start: Start) -> None:
    meter = make_meter(1)
    site = start(meter)
    meter.memory.own_prepaid, meter.memory.balance_ticks = True, 10_000_000
    first = await site.expect(Identified)
    assert first.own_prepaid_on
    meter.set_own_prepaid(False, START_MS)
    site.ahead_ms += 30_000
    second = await site.expect(Identified)
    assert not second.own_prepaid_on


async def test_an_hour_later_it_is_asked_again_and_health_is_told(start: Start) -> None:
    site = start(make_meter(1), make_meter(2))
    await site.rounds(3, point_id="p2")
    site.ahead_ms += max(IDENTIFY_EVERY_MS, HEALTH_EVERY_MS)
    health = await site.expect(BusHealth)
    assert [point.point_id for point in health.points] == ["p1", "p2"]
    for point in health.points:
        assert point.good >= 5
        assert point.bad == 0
        assert point.p50_ms is not None
        assert point.p99_ms is not None
        assert 2 <= point.p50_ms <= point.p99_ms < 100
    await site.rounds(1)
    assert sum(isinstance(event, Identified) for event in site.of("p1")) == 2


async def test_nonsense_is_missed_with_its_reason_and_the_bus_goes_on(start: Start) -> None:
    odd = make_meter(2)
    site = start(make_meter(1), odd)
    odd.profile = replace(NK, type_code=10)
    await site.expect(Missed, lambda event: (event.point_id, event.reason) == ("p2", "nonsense"))
    await site.rounds(3)
    assert not any(isinstance(event, Polled) for event in site.of("p2"))


async def test_a_block_that_the_meter_does_not_know_is_refused(start: Start) -> None:
    classic = make_meter(2, CLASSIC)
    classic.registers = RegisterMap(replace(CLASSIC, spaces=((0x0000, 2),)))
    site = start(make_meter(1), classic)
    missed = await site.expect(Missed)
    assert (missed.point_id, missed.reason) == ("p2", "refused")
    await site.rounds(2)


async def test_soon_is_before_anybody_else(start: Start) -> None:
    site = start(*(make_meter(address) for address in range(1, 7)))
    await site.rounds(2)
    site.owner.read_soon("p1")
    site.owner.read_soon("nowhere")
    told = len(site.told)
    await site.rounds(1)
    assert len(site.told) - told <= 2  # the one in flight, and then it


# --- dead, slow and noisy --------------------------------------------------------------------


def bad_of(site: Site, point_id: str) -> int:
    (health,) = (point for point in site.owner.health() if point.point_id == point_id)
    return health.bad


async def test_a_dead_meter_is_probed_ever_less_and_seen_when_it_is_back(start: Start) -> None:
    dead = make_meter(2)
    site = start(make_meter(1), dead, make_meter(3))
    await site.rounds(2, point_id="p2")
    dead.faults.dead = True
    await site.expect(Missed, lambda event: event.point_id == "p2", count=3)
    missed = bad_of(site, "p2")
    await site.rounds(14)
    assert 2 <= bad_of(site, "p2") - missed <= 3  # probes 2, 4 and 8 rounds apart
    dead.faults.dead = False
    rounds = len([event for event in site.of("p1") if isinstance(event, Polled)])
    back = await site.expect(Identified, lambda event: event.point_id == "p2")
    assert back.meter_id_read == dead.number
    assert len([event for event in site.of("p1") if isinstance(event, Polled)]) - rounds <= 10
    await site.rounds(2, point_id="p2")


async def test_a_slow_meter_is_waited_for_and_harms_nobody(start: Start) -> None:
    slow = make_meter(2)
    site = start(make_meter(1), slow, make_meter(3))
    await site.rounds(2)
    slow.faults.slow_ms = 150
    await site.rounds(2, point_id="p2")  # it has been learned by now
    missed = [bad_of(site, point_id) for point_id in site.meters]
    await site.rounds(3, point_id="p2")
    assert [bad_of(site, point_id) for point_id in site.meters] == missed
    assert not [event for event in site.told if isinstance(event, Missed)]


async def test_damaged_and_noisy_replies_cost_a_turn_and_never_a_wrong_value(start: Start) -> None:
    meters = [make_meter(address) for address in range(1, 5)]
    site = start(*meters)
    for meter in meters:
        meter.faults.crc_rate, meter.faults.noise_rate = 0.2, 0.3
    await site.rounds(5)
    polled = [event for event in site.told if isinstance(event, Polled)]
    assert all(event.snapshot.register_wh == 1000 for event in polled)
    assert sum(point.bad for point in site.owner.health()) > 0
    assert {event.reason for event in site.told if isinstance(event, Missed)} <= {"bad_reply"}


# --- relays ----------------------------------------------------------------------------------


async def test_a_relay_is_written_once_and_read_back(start: Start) -> None:
    meter = make_meter(1)
    site = start(meter, make_meter(2))
    await site.rounds(1)
    for seq, wanted in enumerate((Relay.open, Relay.closed, Relay.closed), 7):
        meter.asked.clear()
        site.move("p1", wanted, seq)
        assert await site.moved("p1") == RelayMoved("p1", wanted, wanted, 1, seq)
        assert meter.memory.relay_closed == (wanted is Relay.closed)
        assert meter.asked.count("write") == 1
        proof = next(e for e in reversed(site.of("p1")[:-1]) if isinstance(e, Polled))
        assert proof.snapshot.relay is wanted


async def test_a_lost_acknowledgement_is_looked_into_not_repeated(start: Start) -> None:
    meter = make_meter(1)
    site = start(meter)
    await site.rounds(1)
    meter.faults.mute_writes = True
    meter.asked.clear()
    site.move("p1", Relay.open)
    assert await site.moved("p1") == RelayMoved("p1", Relay.open, Relay.open, 1, 5)
    assert meter.asked.count("write") == 1
    assert meter.asked[meter.asked.index("write") :].count("read") >= 2


async def test_a_stuck_relay_is_tried_three_times_and_told_as_it_stands(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.bus.relay.CONTACT_MS", 80)
    meter = make_meter(1)
    site = start(meter, make_meter(2))
    await site.rounds(1)
    meter.set_stuck(True)
    meter.asked.clear()
    site.move("p1", Relay.open)
    assert await site.moved("p1") == RelayMoved("p1", Relay.open, Relay.closed, 3, 5)
    writes = [n for n, what in enumerate(meter.asked) if what == "write"]
    assert len(writes) == 3
    assert all(later - earlier > 1 for earlier, later in pairwise(writes))
    waited = [e for e in site.told if isinstance(e, Polled) and e.point_id == "p2"]
    assert len(waited) > 3  # the others were polled while the contact had its time


async def test_a_newer_command_takes_the_older_ones_place(start: Start) -> None:
    meter = make_meter(1)
    site = start(meter)
    await site.rounds(1)
    site.move("p1", Relay.open, 8)
    site.move("p1", Relay.closed, 9)
    assert await site.moved("p1") == RelayMoved("p1", Relay.closed, Relay.closed, 1, 9)
    await site.rounds(2)
    assert len([event for event in site.told if isinstance(event, RelayMoved)]) == 1
    assert meter.memory.relay_closed


async def test_a_dead_meters_relay_is_told_unknown(start: Start) -> None:
    meter = make_meter(1)
    meter.faults.dead = True
    site = start(meter, make_meter(2))
    site.move("p1", Relay.open)
    assert await site.moved("p1") == RelayMoved("p1", Relay.open, Relay.unknown, 0, 5)
    assert "write" not in meter.asked
    site.move("nowhere", Relay.open)
    assert (await site.moved("nowhere")).seen is Relay.unknown


async def test_a_contact_that_is_not_shown_is_proved_by_what_flows(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.bus.relay.FLOW_MS", 30)
    busy, idle = make_meter(1, CLASSIC, load_w=2000), make_meter(2, CLASSIC, load_w=0)
    site = start(busy, idle)
    await site.rounds(1)
    site.move("p1", Relay.open)
    assert await site.moved("p1") == RelayMoved("p1", Relay.open, Relay.open, 1, 5)
    site.move("p1", Relay.closed)
    assert await site.moved("p1") == RelayMoved("p1", Relay.closed, Relay.closed, 1, 5)
    site.move("p2", Relay.closed)  # nothing flows in an idle room, so nothing is proved
    assert await site.moved("p2") == RelayMoved("p2", Relay.closed, Relay.unknown, 1, 5)
    busy.set_stuck(True)
    site.move("p1", Relay.open)
    assert await site.moved("p1") == RelayMoved("p1", Relay.open, Relay.closed, 3, 5)


# --- the port and the installation -----------------------------------------------------------


async def test_a_lost_port_is_told_and_taken_again(start: Start) -> None:
    site = start(make_meter(1), make_meter(2))
    await site.rounds(2)
    site.bus.close()
    lost = await site.expect(PortLost)
    assert lost.bus_id == "b1"
    assert {e.point_id for e in site.told if isinstance(e, Missed)} == {"p1", "p2"}
    site.move("p1", Relay.open)
    assert (await site.moved("p1")).seen is Relay.unknown
    site.bus.open()
    back_s = asyncio.get_running_loop().time()
    await site.expect(PortBack)
    who = await site.expect(Identified, lambda event: event.point_id == "p1")
    assert who.meter_id_read == site.meters["p1"].number
    await site.rounds(1)
    assert asyncio.get_running_loop().time() - back_s < 1
    assert sum(isinstance(event, PortLost) for event in site.told) == 1


async def test_a_port_that_is_not_there_yet_is_awaited(start: Start) -> None:
    site = start(make_meter(1), put_up=False)
    await site.expect(PortLost)
    site.bus.open()
    await site.rounds(1)


async def test_other_meters_from_now_on(start: Start) -> None:
    meters = [make_meter(address) for address in (1, 2, 3)]
    site = start(*meters)
    await site.rounds(2)
    moved_in = replace(site.slots()[2], point_id="p9")
    site.owner.replace_meters([site.slots()[1], moved_in])
    told = len(site.told)
    await site.rounds(3, point_id="p9")
    after = site.told[told:]
    assert not [event for event in after if getattr(event, "point_id", "") in ("p1", "p3")]
    identified = [event.point_id for event in after if isinstance(event, Identified)]
    assert identified == ["p9"]  # p2 is known already


async def test_a_command_waits_for_the_request_in_flight_only(start: Start) -> None:
    meters = [make_meter(address) for address in range(1, 9)]
    site = start(*meters)
    await site.rounds(1)
    loop = asyncio.get_running_loop()
    worst_s = 0.0
    for n in range(10):
        meters[n % 8].asked.clear()
        start_s = loop.time()
        site.move(f"p{n % 8 + 1}", Relay.closed)
        await site.moved(f"p{n % 8 + 1}")
        worst_s = max(worst_s, loop.time() - start_s)
        await asyncio.sleep(0.007 * n % 0.03)
    assert worst_s < 0.25  # a poll takes 0.015 s here, write and read-back 0.03 s more
