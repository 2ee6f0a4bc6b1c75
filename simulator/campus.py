"""A campus put together from its file: profiles, loads, memories, meters and lines."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.meters import profile as meter_profile
from edge.meters.file_faults import Fault, FileFaultsError, of_validation, read_toml
from edge.meters.profile import Profile
from simulator.bus import VirtualBus, Wire
from simulator.campus_file import (
    SOCKET_PATH_MAX,
    BusTable,
    CampusFile,
    MeterTable,
    cross_check,
    names_of,
    numbers_of,
)
from simulator.faults import Faults
from simulator.load import Days, Dormitory, Fixed, Load, read_csv, replay_for
from simulator.meter import RATES, UJ_PER_WH, Memory, VirtualMeter
from simulator.nvram import Nvram
from simulator.registers import RegisterMap

_CHAR_BITS = {("none", 1): 10, ("none", 2): 11, ("even", 1): 11, ("odd", 1): 11}


@dataclass(frozen=True)
class Plan:
    """A campus file that was found sound, and all that it refers to."""

    path: Path
    table: CampusFile
    profiles: Mapping[str, Profile]
    households: Mapping[str, Days] | None

    def beside(self, name: str) -> Path:
        """A path of the file, which is relative to it."""
        return self.path.parent / name

    @property
    def control(self) -> Path | None:
        """Where the control socket is put up, if it is."""
        return self.beside(self.table.control) if self.table.control else None


def load(path: Path) -> Plan:
    """The plan in a campus file; raises FileFaultsError naming every fault with file and key."""
    path = path.absolute()
    try:
        table = CampusFile.model_validate(read_toml(path))
    except ValidationError as error:
        raise FileFaultsError(of_validation(path, error)) from error
    faults: list[Fault] = []
    profiles: dict[str, Profile] = {}
    households: Mapping[str, Days] | None = None
    try:
        chosen = path.parent / table.profiles if table.profiles else None
        profiles = meter_profile.load_all(chosen or meter_profile.default_directory())
    except FileFaultsError as error:
        faults += error.faults
    try:
        households = read_csv(path.parent / table.csv) if table.csv else None
    except FileFaultsError as error:
        faults += error.faults
    names = frozenset(profiles)
    for key, zh, en in cross_check(table, names):
        if names or not key.endswith(".profile"):  # no profile at all is said already
            faults.append(Fault(str(path), key, zh, en))
    plan = Plan(path, table, profiles, households)
    if plan.control and len(str(plan.control).encode()) > SOCKET_PATH_MAX:
        en = f"is longer than {SOCKET_PATH_MAX} bytes: {plan.control}"
        faults.append(Fault(str(path), "control", "路径过长", en))
    if faults:
        raise FileFaultsError(faults)
    return plan


@dataclass(frozen=True)
class Line:
    """A bus, the building it is in, and the memory of its meters."""

    building: str
    bus: VirtualBus
    nvram: Nvram


class Campus:
    """All lines of a plan. `open` them within a running loop; `close` leaves the memories only."""

    def __init__(self, plan: Plan, *, now_ms: Callable[[], int]) -> None:
        """Build everything and touch nothing but the memories; raises FileFaultsError for those."""
        self.plan = plan
        self.lines: list[Line] = []
        self._now_ms = now_ms
        self._start_ms = now_ms()
        self._maps = {name: RegisterMap(one) for name, one in plan.profiles.items()}
        self._special = {meter.number: meter for meter in plan.table.meter}
        self._room = 0
        self._made: list[Path] = []  # directories for links, removed again
        try:
            for table in plan.table.bus:
                self.lines += self._lines(table)
        except FileFaultsError:
            self._let_go()
            raise
        self.meters = {meter.number: meter for line in self.lines for meter in line.bus.meters}
        self.buses = {line.bus.bus_id: line.bus for line in self.lines}

    def open(self) -> None:
        """Put all lines up; raises FileFaultsError where a link cannot be made."""
        opened: list[VirtualBus] = []
        for line in self.lines:
            try:
                self._make_directory(line.bus.link.parent)
                line.bus.open()
            except OSError as error:
                for bus in opened:
                    bus.close()
                self._let_go()
                where = f"link of {line.bus.bus_id}"
                fault = Fault(str(self.plan.path), where, "串口无法建立", f"{error}")
                raise FileFaultsError([fault]) from error
            opened.append(line.bus)

    def _make_directory(self, directory: Path) -> None:
        if not directory.exists():
            self._make_directory(directory.parent)
            directory.mkdir()
            self._made.append(directory)

    async def tick(self) -> None:
        """Let meters that count down themselves notice it, once a second, until cancelled."""
        while True:
            await asyncio.sleep(1)
            for line in self.lines:
                line.bus.tick()

    def close(self) -> None:
        """Take all lines down and keep what every meter knows now."""
        now_ms = self._now_ms()
        for line in self.lines:
            line.bus.close()
            for meter in line.bus.meters:
                meter.advance(now_ms)
                meter.save()
        self._let_go()

    def _let_go(self) -> None:
        for line in self.lines:
            line.nvram.close()
        for directory in reversed(self._made):
            with contextlib.suppress(OSError):  # somebody put something into it: theirs
                directory.rmdir()

    def _lines(self, table: BusTable) -> Iterator[Line]:
        numbers = iter(numbers_of(table))
        for bus_id, link in names_of(table):
            nvram = Nvram(self.plan.beside(self.plan.table.state_dir) / f"{bus_id}.nvram")
            yield Line(table.building, self._bus(table, bus_id, link, numbers, nvram), nvram)

    def _bus(
        self, table: BusTable, bus_id: str, link: str, numbers: Iterator[str], nvram: Nvram
    ) -> VirtualBus:
        serial = self.plan.profiles[table.profile].serial
        bits = _CHAR_BITS[table.parity or serial.parity, 1 if table.parity else serial.stop_bits]
        return VirtualBus(
            bus_id,
            link=self.plan.beside(link),
            wire=Wire(
                baud=table.baud or serial.baud,
                char_bits=bits,
                turnaround_ms=self.plan.table.turnaround_ms,
            ),
            meters=[
                self._meter(table, next(numbers), table.first_address + n, nvram)
                for n in range(table.meters)
            ],
            chance=random.Random(f"{self.plan.table.seed}/{bus_id}"),
            now_ms=self._now_ms,
        )

    def _meter(self, table: BusTable, number: str, address: int, nvram: Nvram) -> VirtualMeter:
        special = self._special.get(number, MeterTable(number=number))
        profile = self.plan.profiles[special.profile or table.profile]
        kept = nvram.recall(number)
        return VirtualMeter(
            number=number,
            address=address,
            profile=profile,
            registers=self._maps[profile.name],
            load=self._load(special),
            rate=self.plan.table.rate,
            memory=self._remembered(number, kept) if kept else self._new(special),
            now_ms=self._start_ms,
            keep=lambda record: nvram.keep(number, record),
            faults=Faults(**special.faults.model_dump()),
        )

    def _load(self, special: MeterTable) -> Load:
        room, self._room = self._room, self._room + 1
        table = self.plan.table
        if special.load_w is not None:
            return Fixed(special.load_w)
        if self.plan.households:
            return replay_for(room, self.plan.households, start_ms=self._start_ms, rate=table.rate)
        return Dormitory(seed=table.seed, room=room)

    def _remembered(self, number: str, record: Mapping[str, Any]) -> Memory:
        try:
            return Memory(**record)
        except TypeError as error:
            where, en = f"memory of {number}", f"is of another version: {error}"
            fault = Fault(str(self.plan.path), where, "存储记录版本不符", en)
            raise FileFaultsError([fault]) from error

    def _new(self, special: MeterTable) -> Memory:
        """A meter fresh from another house: it has burnt before, and knows of no purchase."""
        chance = random.Random(f"{self.plan.table.seed}/{special.number}")
        wh = (
            chance.randrange(50_000, 4_000_000)
            if special.register_wh is None
            else special.register_wh
        )
        energy_uj = wh * UJ_PER_WH
        return Memory(
            number=special.number,
            energy_uj=energy_uj,
            rate_uj=[energy_uj // len(RATES)] * len(RATES),
            own_prepaid=special.own_prepaid,
        )
