"""A line: byte by byte in its time, half duplex, strict about silence, and able to fail."""

import asyncio
import struct
from pathlib import Path

import pytest

from simulator import modbus
from simulator.bus import VirtualBus, Wire
from tests.simulator.conftest import Client

READ = struct.pack(">BBHH", 1, 3, 0x0200, 37)
REPLY_BYTES = 5 + 74
NUMBER_OF_2 = (0x3100, 0x0000, 0x0002)


async def quiet() -> None:
    await asyncio.sleep(0.006)


async def test_a_poll_takes_the_time_of_the_wire(bus: VirtualBus, client: Client) -> None:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    reply = await client.ask(READ, REPLY_BYTES)
    took_s = loop.time() - start_s
    assert modbus.sound(reply)
    ideal_s = (8 + 3.5 + REPLY_BYTES) * 10 / 9600 + 0.008
    assert ideal_s - 0.001 < took_s < ideal_s + 0.25
    assert bus.counts.requests == bus.counts.replies == 1


async def test_the_first_byte_comes_long_before_the_last(client: Client) -> None:
    loop = asyncio.get_running_loop()
    client.send(READ)
    assert len(await client.receive(1)) == 1
    first_s = loop.time()
    assert len(await client.receive(REPLY_BYTES - 1)) == REPLY_BYTES - 1
    assert loop.time() - first_s > 0.04


@pytest.mark.parametrize(
    ("wire", "byte_us", "t35_us"),
    [
        (Wire(), 1042, 3646),
        (Wire(baud=1200, char_bits=11), 9167, 32_083),
        (Wire(baud=38_400), 260, 1750),
    ],
)
def test_wire_times(wire: Wire, byte_us: int, t35_us: int) -> None:
    assert round(wire.byte_s * 1e6) == byte_us
    assert round(wire.t35_s * 1e6) == t35_us


async def test_relay_pair_as_raw_bytes(client: Client) -> None:
    reply = await client.ask(bytes.fromhex("01 10 0057 0002 04 0001 0001"), 8)
    assert reply[:6] == bytes.fromhex("01 10 0057 0002")
    await quiet()
    (flags,) = await client.registers(1, 0x0224, 1)
    assert not flags & 1 << 13
    assert (await client.registers(1, 0x020A, 1)) == (0,)
    reply = await client.ask(bytes.fromhex("01 10 0057 0002 04 0001 0000"), 8)
    await quiet()
    (flags,) = await client.registers(1, 0x0224, 1)
    assert flags & 1 << 13


async def test_a_request_without_silence_before_it_is_merged_and_ignored(
    slow_line: VirtualBus, slow_client: Client
) -> None:
    pdu = struct.pack(">BBHH", 2, 3, 0x0043, 3)
    assert modbus.sound(await slow_client.ask(pdu, 11))
    assert await slow_client.ask(pdu, 11, within_s=0.3) == b""
    assert slow_line.counts.merged == 1
    assert modbus.sound(await slow_client.ask(pdu, 11))


async def test_a_request_in_two_pieces_is_one(slow_client: Client) -> None:
    pdu = struct.pack(">BBHH", 2, 3, 0x0043, 3)
    whole = pdu + modbus.crc(pdu)
    slow_client.send_raw(whole[:3])
    await asyncio.sleep(0.005)  # less than the three bytes take on the wire
    slow_client.send_raw(whole[3:])
    assert modbus.sound(await slow_client.receive(11))


async def test_talking_during_a_reply_garbles_both(bus: VirtualBus, client: Client) -> None:
    client.send(READ)
    start = await client.receive(20)
    client.send(struct.pack(">BBHH", 2, 3, 0x0043, 3))
    rest = await client.receive(REPLY_BYTES - 20 + 11, within_s=0.2)
    assert len(start + rest) == REPLY_BYTES
    assert not modbus.sound(start + rest)
    assert bus.counts.collisions == 1
    await quiet()
    assert await client.registers(2, 0x0043, 3) == NUMBER_OF_2


async def test_a_slow_meter_answers_into_the_next_request(bus: VirtualBus, client: Client) -> None:
    bus.meters[0].faults.slow_ms = 200
    client.send(READ)
    await asyncio.sleep(0.130)
    client.send(struct.pack(">BBHH", 2, 3, 0x0200, 37))  # its answer will run into the late one
    heard = await client.receive(2 * REPLY_BYTES, within_s=0.5)
    assert len(heard) > REPLY_BYTES
    assert not modbus.sound(heard[:REPLY_BYTES])
    assert bus.counts.collisions == 1


async def test_faults_of_a_meter(bus: VirtualBus, client: Client) -> None:
    faults = bus.meters[0].faults
    faults.dead = True
    assert await client.ask(READ, REPLY_BYTES, within_s=0.05) == b""
    faults.dead, faults.crc_rate = False, 1.0
    damaged = await client.ask(READ, REPLY_BYTES)
    assert len(damaged) == REPLY_BYTES
    assert not modbus.sound(damaged)
    await quiet()
    faults.crc_rate, faults.noise_rate = 0.0, 1.0
    noisy = await client.ask(READ, REPLY_BYTES + 1)
    assert modbus.sound(noisy[1:])
    await quiet()
    faults.noise_rate = 0.0
    assert modbus.sound(await client.ask(READ, REPLY_BYTES))


async def test_others_and_damaged_requests_are_met_with_silence(
    bus: VirtualBus, client: Client
) -> None:
    assert await client.ask(struct.pack(">BBHH", 9, 3, 0, 1), 7, within_s=0.04) == b""
    client.send_raw(READ + b"\x00\x00")
    assert await client.receive(7, within_s=0.04) == b""
    assert bus.counts.damaged == 1


async def test_a_power_cut_silences_the_line_and_keeps_relays(
    bus: VirtualBus, client: Client
) -> None:
    await client.ask(bytes.fromhex("01 10 0057 0002 04 0001 0001"), 8)
    await quiet()
    client.send(READ)
    begun = await client.receive(5)
    bus.set_power(False)
    rest = await client.receive(REPLY_BYTES, within_s=0.1)
    assert len(begun) + len(rest) < REPLY_BYTES  # what was on its way, and not the end
    assert await client.ask(READ, REPLY_BYTES, within_s=0.05) == b""
    bus.set_power(True)
    (flags,) = await client.registers(1, 0x0224, 1)
    assert not flags & 1 << 13


async def test_clients_come_and_go(bus: VirtualBus) -> None:
    for _ in range(2):
        one = Client(bus.link)
        assert await one.registers(2, 0x0043, 3) == NUMBER_OF_2
        one.close()


async def test_close_takes_the_link_away_but_not_somebody_elses(
    bus: VirtualBus, tmp_path: Path
) -> None:
    mine = bus.link
    assert mine.is_symlink()
    other = VirtualBus(
        "b1-2",
        link=tmp_path / "b1-2",
        wire=Wire(),
        meters=[],
        chance=bus._chance,
        now_ms=lambda: 0,
    )
    other.open()
    other.link.unlink()
    other.link.symlink_to("elsewhere")
    other.close()
    assert (tmp_path / "b1-2").readlink() == Path("elsewhere")


async def test_a_file_in_the_links_place_is_left_alone(bus: VirtualBus, tmp_path: Path) -> None:
    (tmp_path / "b1-9").write_text("somebody's")
    other = VirtualBus(
        "b1-9",
        link=tmp_path / "b1-9",
        wire=Wire(),
        meters=[],
        chance=bus._chance,
        now_ms=lambda: 0,
    )
    with pytest.raises(FileExistsError):
        other.open()
    assert (tmp_path / "b1-9").read_text() == "somebody's"
