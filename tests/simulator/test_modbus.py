"""Frames a meter answers, refuses, or keeps silent about."""

import struct
from collections.abc import Callable

import pytest

from simulator import modbus
from simulator.meter import VirtualMeter

START_MS = 1_790_000_000_000
MakeMeter = Callable[..., VirtualMeter]


def ask(meter: VirtualMeter, pdu: str | bytes) -> bytes | None:
    frame = bytes.fromhex(pdu) if isinstance(pdu, str) else pdu
    reply = modbus.answer(meter, frame + modbus.crc(frame), START_MS)
    assert reply is None or modbus.sound(reply)
    return None if reply is None else reply[:-2]


def test_checksum_is_the_published_one() -> None:
    assert modbus.crc(bytes.fromhex("010300000001")).hex() == "840a"
    assert modbus.sound(bytes.fromhex("010300000001840a"))
    assert not modbus.sound(bytes.fromhex("010300000001840b"))
    assert not modbus.sound(b"\xff\xff")


def test_read(make_meter: MakeMeter) -> None:
    assert ask(make_meter(7), "07 03 0043 0003") == bytes.fromhex("07 03 06 310000000007")


@pytest.mark.parametrize(
    ("pdu", "exception"),
    [
        ("01 04 0000 0001", "01 84 01"),  # input registers: not this meter
        ("01 06 0057 0001", "01 86 01"),
        ("01 03 0064 0001", "01 83 02"),
        ("01 03 0000 0000", "01 83 03"),
        ("01 03 0000 007E", "01 83 03"),
        ("01 03 0000", "01 83 03"),
        ("01 10 0057 0001 02 0001", "01 90 02"),
        ("01 10 0057 0002 02 0001", "01 90 03"),  # byte count and words disagree
        ("01 10 0046 0002 04 00000001", "01 90 02"),
        ("01 20 0200 0001 02 0001", "01 A0 02"),
    ],
)
def test_exceptions(make_meter: MakeMeter, pdu: str, exception: str) -> None:
    assert ask(make_meter(), pdu) == bytes.fromhex(exception)


def test_relay_pair(make_meter: MakeMeter) -> None:
    meter = make_meter()
    assert ask(meter, "01 10 0057 0002 04 0001 0001") == bytes.fromhex("01 10 0057 0002")
    assert not meter.memory.relay_closed
    assert ask(meter, "01 10 0057 0002 04 0001 0000") == bytes.fromhex("01 10 0057 0002")
    assert meter.memory.relay_closed


def test_a_mute_meter_carries_a_write_out_and_says_nothing(make_meter: MakeMeter) -> None:
    meter = make_meter()
    meter.faults.mute_writes = True
    assert ask(meter, "01 10 0057 0002 04 0001 0001") is None
    assert not meter.memory.relay_closed
    assert ask(meter, "01 03 0057 0002") == bytes.fromhex("01 03 04 0001 0001")


@pytest.mark.parametrize(("count", "status", "fen"), [(1, 0x00, 5000), (2, 0x20, 0)])
def test_purchase_by_the_vendor_function(
    make_meter: MakeMeter, count: int, status: int, fen: int
) -> None:
    meter = make_meter()
    pdu = struct.pack(">BBHHBIHH", 1, 0x20, 0x0100, 4, 8, 5000, count, 0)
    reply = ask(meter, pdu)
    own = 1 if fen else 0
    assert reply == bytes.fromhex("01 20 0100 0004") + struct.pack(">BHi", status, own, fen)
    assert len(reply) + 2 == 15


def test_clock_by_the_vendor_function(make_meter: MakeMeter) -> None:
    meter = make_meter()
    good = "01 20 0354 0005 0A 05 04 03 05 02 01 1A 00 00 00"
    assert ask(meter, good) is not None
    assert meter.values()["clock_month"] == 1
    assert meter.values()["clock_second"] == 5
    bad = "01 20 0354 0005 0A 05 04 03 05 32 01 1A 00 00 00"
    assert ask(meter, bad) == bytes.fromhex("01 A0 03")
