"""What a meter answers to a request frame: its own small Modbus RTU, independent of the gateway's.

A frame that is not for this meter, or damaged, is answered by silence; a request the meter does
not know is answered by a Modbus exception, as devices do.
"""

import struct
from datetime import datetime

from simulator.meter import ILLEGAL_ADDRESS, ILLEGAL_VALUE, VirtualMeter

ILLEGAL_FUNCTION = 1
READ, WRITE = 0x03, 0x10
READ_MAX, WRITE_MAX = 125, 123
CLOCK_ADDRESS, CLOCK_WORDS = 0x0354, 5  # vendor write: s mi h weekday d mo yy


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc(data: bytes) -> bytes:
    """The two checksum bytes that follow these on the wire."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return struct.pack("<H", value)


def sound(frame: bytes) -> bool:
    """Whether these bytes are a frame at all: long enough, and the checksum fits."""
    return len(frame) >= 4 and crc(frame[:-2]) == frame[-2:]


def answer(meter: VirtualMeter, frame: bytes, now_ms: int) -> bytes | None:
    """The reply to a sound frame with this meter's address; None where it keeps silent."""
    function, body = frame[1], frame[2:-2]
    purchase = meter.profile.purchase
    if function == READ:
        reply = _read(meter, body, now_ms)
    elif function == WRITE:
        reply = _write(meter, body, now_ms)
    elif purchase and function == purchase.function:
        reply = _vendor_write(meter, body, now_ms)
    else:
        reply = ILLEGAL_FUNCTION
    if isinstance(reply, int):
        head = bytes((frame[0], function | 0x80, reply))
    elif meter.faults.mute_writes and function != READ:
        return None
    else:
        head = bytes((frame[0], function)) + reply
    return head + crc(head)


def _read(meter: VirtualMeter, body: bytes, now_ms: int) -> bytes | int:
    if len(body) != 4:
        return ILLEGAL_VALUE
    first, count = struct.unpack(">HH", body)
    if not 1 <= count <= READ_MAX:
        return ILLEGAL_VALUE
    words = meter.read(first, count, now_ms)
    if isinstance(words, int):
        return words
    return struct.pack(f">B{count}H", 2 * count, *words)


def _payload(body: bytes) -> tuple[int, int, bytes] | None:
    """First register, count and data of a write of several registers; None where they disagree."""
    if len(body) < 5:
        return None
    first, count, size = struct.unpack(">HHB", body[:5])
    if not 1 <= count <= WRITE_MAX or size != 2 * count or len(body) != 5 + size:
        return None
    return first, count, body[5:]


def _write(meter: VirtualMeter, body: bytes, now_ms: int) -> bytes | int:
    payload = _payload(body)
    if payload is None:
        return ILLEGAL_VALUE
    first, count, data = payload
    refused = meter.write(first, list(struct.unpack(f">{count}H", data)), now_ms)
    return body[:4] if refused is None else refused


def _vendor_write(meter: VirtualMeter, body: bytes, now_ms: int) -> bytes | int:
    payload = _payload(body)
    if payload is None:
        return ILLEGAL_VALUE
    first, count, data = payload
    purchase = meter.profile.purchase
    assert purchase is not None
    if (first, count) == (purchase.address, purchase.words):
        fen, purchases = struct.unpack(">IH", data[:6])
        status = meter.buy(fen, purchases, now_ms)
    elif (first, count) == (CLOCK_ADDRESS, CLOCK_WORDS):
        second, minute, hour, _, day, month, year = data[:7]
        try:
            local = datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001
        except ValueError:
            return ILLEGAL_VALUE
        meter.set_clock(local, now_ms)
        status = purchase.accepted
    else:
        return ILLEGAL_ADDRESS
    balance_fen = max(-(2**31), min(2**31 - 1, meter.balance_fen))
    rest = struct.pack(">BHi", status, meter.memory.count, balance_fen)
    return (body[:4] + rest).ljust(purchase.reply_bytes - 4, b"\0")
