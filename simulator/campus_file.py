"""The shape of campus.toml, and what must agree between its parts.

state_dir = "state"            # where the meters' memory is kept; paths are relative to this file
control = "control.sock"       # optional: faults on demand, JSON lines
seed = 1                       # the same seed, the same rooms
rate = 1                       # rooms burn this many times as fast
csv = "load.csv"               # optional: replay half-hours instead of the synthetic dormitory
profiles = "profiles"          # optional: another directory of meter profiles
turnaround_ms = 8

[[bus]]                        # one table for any number of equal lines
building = "b1"
id = "b1-{n}"                  # {n} counts from 1 where `repeat` is more than 1
link = "ports/b1-{n}"
repeat = 4
meters = 30                    # at addresses 1 … 30
first_number = "310000000001"  # numbers run on over the repeated lines

[[meter]]                      # optional: what is special about one of them
number = "310000000007"
load_w = 200
faults = { dead = true }
"""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[str, Field(pattern=r"^[0-9]{12}$")]
Text = Annotated[str, Field(min_length=1)]
SOCKET_PATH_MAX = 100  # the system's limit is 107 bytes


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FaultTable(_Table):
    dead: bool = False
    slow_ms: Annotated[int, Field(ge=0, le=10_000)] = 0
    crc_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    noise_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    stuck: bool = False
    mute_writes: bool = False


class MeterTable(_Table):
    """What is special about one meter, by its number."""

    number: Number
    profile: Text | None = None
    load_w: Annotated[int, Field(ge=0)] | None = None
    register_wh: Annotated[int, Field(ge=0)] | None = None  # where it starts, when new
    own_prepaid: bool = False  # 费控, when new
    faults: FaultTable = FaultTable()


class BusTable(_Table):
    building: Text
    id: Annotated[str, Field(pattern=r"^[a-z0-9{}-]{1,40}$")]
    link: Text
    repeat: Annotated[int, Field(ge=1, le=64)] = 1
    meters: Annotated[int, Field(ge=1, le=247)]
    first_address: Annotated[int, Field(ge=1, le=247)] = 1
    first_number: Number
    profile: Text = "ddsy1352-nk"
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400] | None = None
    parity: Literal["none", "even", "odd"] | None = None


class CampusFile(_Table):
    state_dir: Text
    control: Text | None = None
    seed: int = 1
    rate: Annotated[int, Field(ge=1, le=3600)] = 1
    csv: Text | None = None
    profiles: Text | None = None
    turnaround_ms: Annotated[int, Field(ge=0, le=1000)] = 8
    bus: Annotated[list[BusTable], Field(min_length=1)]
    meter: list[MeterTable] = []


Finding = tuple[str, str, str]  # key, zh, en


def names_of(bus: BusTable) -> list[tuple[str, str]]:
    """Id and link of each line that a table stands for."""
    return [
        (bus.id.replace("{n}", str(n)), bus.link.replace("{n}", str(n)))
        for n in range(1, bus.repeat + 1)
    ]


def numbers_of(bus: BusTable) -> list[str]:
    """The meter numbers a table stands for, line by line."""
    first = int(bus.first_number)
    return [f"{first + n:012d}" for n in range(bus.repeat * bus.meters)]


def cross_check(table: CampusFile, profiles: frozenset[str]) -> list[Finding]:
    """What is wrong between the parts of a file that is right in each of its parts."""
    return [*_lines(table, profiles), *_twice(table), *_special(table, profiles)]


def _unknown_profile(key: str, name: str, profiles: frozenset[str]) -> Finding:
    return key, "没有这种表型", f"no profile {name}; there are {', '.join(sorted(profiles))}"


def _lines(table: CampusFile, profiles: frozenset[str]) -> Iterator[Finding]:
    for n, bus in enumerate(table.bus):
        for key in ("id", "link"):
            if bus.repeat > 1 and "{n}" not in getattr(bus, key):
                yield f"bus.{n}.{key}", "重复时须含 {n}", "needs {n} where repeat is more than 1"
        if bus.first_address + bus.meters - 1 > 247:
            yield f"bus.{n}.meters", "地址超过 247", "addresses run past 247"
        if len(numbers_of(bus)[-1]) > 12:
            yield f"bus.{n}.first_number", "表号超过 12 位", "meter numbers run past 12 digits"
        if bus.profile not in profiles:
            yield _unknown_profile(f"bus.{n}.profile", bus.profile, profiles)


def _twice(table: CampusFile) -> Iterator[Finding]:
    for key, one_each in (
        ("id", [[name for name, _ in names_of(bus)] for bus in table.bus]),
        ("link", [[link for _, link in names_of(bus)] for bus in table.bus]),
        ("first_number", [numbers_of(bus) for bus in table.bus]),
    ):
        taken: set[str] = set()
        for n, names in enumerate(one_each):
            # within one table only a missing {n} repeats a name, and that is said already
            again = sorted(taken & set(names))
            if again:
                yield f"bus.{n}.{key}", f"{again[0]} 重复", f"{again[0]} is taken already"
            taken |= set(names)


def _special(table: CampusFile, profiles: frozenset[str]) -> Iterator[Finding]:
    known = {number for bus in table.bus for number in numbers_of(bus)}
    count = Counter(meter.number for meter in table.meter)
    for n, meter in enumerate(table.meter):
        if meter.number not in known:
            yield f"meter.{n}.number", "没有这块表", f"no bus has a meter {meter.number}"
        if count[meter.number] > 1:
            yield f"meter.{n}.number", "重复", f"{meter.number} is described twice"
        if meter.profile is not None and meter.profile not in profiles:
            yield _unknown_profile(f"meter.{n}.profile", meter.profile, profiles)
