"""Virtual meters with a fixed load, and a raw client on a pseudo-terminal."""

import asyncio
import os
import random
import struct
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from edge.meters import profile as profiles
from edge.meters.profile import Profile
from simulator import modbus
from simulator.bus import VirtualBus, Wire
from simulator.load import Fixed, Load
from simulator.meter import UJ_PER_WH, Memory, VirtualMeter
from simulator.registers import RegisterMap

START_MS = 1_790_000_000_000
MakeMeter = Callable[..., VirtualMeter]


class Client:
    """A master that writes bytes and waits for bytes, without any rule of its own."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def send(self, pdu: bytes) -> None:
        os.write(self._fd, pdu + modbus.crc(pdu))

    def send_raw(self, data: bytes) -> None:
        os.write(self._fd, data)

    async def receive(self, count: int, *, within_s: float = 2.0) -> bytes:
        """`count` bytes, or what came of them within the time."""
        loop = asyncio.get_running_loop()
        got = bytearray()
        done = asyncio.Event()

        def on_bytes() -> None:
            got.extend(os.read(self._fd, count - len(got)))
            if len(got) >= count:
                done.set()
                loop.remove_reader(self._fd)

        loop.add_reader(self._fd, on_bytes)
        try:
            async with asyncio.timeout(within_s):
                await done.wait()
        except TimeoutError:
            loop.remove_reader(self._fd)
        return bytes(got)

    async def ask(self, pdu: bytes, count: int, *, within_s: float = 2.0) -> bytes:
        self.send(pdu)
        return await self.receive(count, within_s=within_s)

    async def registers(self, address: int, first: int, count: int) -> tuple[int, ...]:
        reply = await self.ask(struct.pack(">BBHH", address, 3, first, count), 5 + 2 * count)
        assert reply[:3] == bytes((address, 3, 2 * count)), reply.hex()
        assert modbus.sound(reply)
        await asyncio.sleep(0.005)  # t3.5, rounded up
        return struct.unpack(f">{count}H", reply[3:-2])


@pytest.fixture(scope="session")
def nk() -> Profile:
    return profiles.load(profiles.default_directory() / "ddsy1352-nk.toml")


@pytest.fixture
def kept() -> list[Mapping[str, object]]:
    """Everything the meters of a test gave to be kept, in order."""
    return []


@pytest.fixture
def make_meter(nk: Profile, kept: list[Mapping[str, object]]) -> MakeMeter:
    def make(
        address: int = 1,
        *,
        load: Load | None = None,
        wh: int = 1_000_000,
        profile: Profile = nk,
        rate: int = 1,
        now_ms: int = START_MS,
    ) -> VirtualMeter:
        number = f"31000000{address:04d}"
        memory = Memory(number=number, energy_uj=wh * UJ_PER_WH, rate_uj=[wh * UJ_PER_WH // 4] * 4)
        return VirtualMeter(
            number=number,
            address=address,
            profile=profile,
            registers=RegisterMap(profile),
            load=load or Fixed(360),
            rate=rate,
            memory=memory,
            now_ms=now_ms,
            keep=kept.append,
        )

    return make


@pytest.fixture
async def bus(make_meter: MakeMeter, tmp_path: Path) -> AsyncIterator[VirtualBus]:
    """A line of three meters, fast enough not to wait for and slow enough to interrupt."""
    line = VirtualBus(
        "b1-1",
        link=tmp_path / "b1-1",
        wire=Wire(baud=9600, turnaround_ms=8),
        meters=[make_meter(address) for address in (1, 2, 3)],
        chance=random.Random(1),
        now_ms=lambda: START_MS,
    )
    line.open()
    yield line
    line.close()


@pytest.fixture
async def slow_line(make_meter: MakeMeter, tmp_path: Path) -> AsyncIterator[VirtualBus]:
    """A line whose t3.5 is 29 ms, which a busy machine does not miss."""
    line = VirtualBus(
        "slow",
        link=tmp_path / "slow",
        wire=Wire(baud=1200),
        meters=[make_meter(2)],
        chance=random.Random(1),
        now_ms=lambda: START_MS,
    )
    line.open()
    yield line
    line.close()


@pytest.fixture
def slow_client(slow_line: VirtualBus) -> Iterator[Client]:
    one = Client(slow_line.link)
    yield one
    one.close()


@pytest.fixture
def client(bus: VirtualBus) -> Iterator[Client]:
    one = Client(bus.link)
    yield one
    one.close()
