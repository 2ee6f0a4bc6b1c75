"""Modbus RTU frames: requests to put on the line, and the one reply that answers each.

The only module that knows pymodbus, of which it takes PDUs, framing and checksum and nothing else.
RTU has no transaction number, so a reply is recognised by all that it repeats of the request:
address, function, byte count or register range, and checksum. A profile's blocks differ in length,
so a late reply to one block never answers a request for another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
)

from edge.meters.profile import Block

READ_HOLDING, READ_INPUT, WRITE_SEVERAL = 3, 4, 16
EXCEPTION_BYTES = 5
# Noise, or the echo of an own request (13 bytes for a relay write), may precede a reply.
LEAD_MAX_BYTES = 16

_READS = {
    READ_HOLDING: (ReadHoldingRegistersRequest, ReadHoldingRegistersResponse),
    READ_INPUT: (ReadInputRegistersRequest, ReadInputRegistersResponse),
}
_FRAMER = FramerRTU(DecodePDU(False))


@dataclass(frozen=True, slots=True)
class Request:
    """A frame for the line, and how its reply begins (`reply_head`) and how long it is."""

    frame: bytes
    address: int
    function: int
    reply_head: bytes
    reply_bytes: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The meter answered with a Modbus exception: 1 function, 2 address, 3 value, 4 device …"""

    code: int


def read_request(address: int, block: Block) -> Request:
    """Ask the meter at an address (1–247) for a block.

    Raises ValueError where function, range or number of words is not Modbus.
    """
    if block.function not in _READS:
        raise ValueError(f"function {block.function} reads no registers")
    pdu = _READS[block.function][0]
    frame = _frame(pdu(address=block.address, count=block.words, dev_id=_meter(address)))
    head = bytes((address, block.function, 2 * block.words))
    return Request(frame, address, block.function, head, 5 + 2 * block.words)


def write_request(address: int, start: int, words: Sequence[int]) -> Request:
    """Tell the meter at an address (1–247) to set registers from `start` on, in one write.

    Raises ValueError where a word has more than 16 bits or their number is not Modbus.
    """
    if not all(0 <= word <= 0xFFFF for word in words):
        raise ValueError(f"not 16-bit words: {list(words)}")
    pdu = WriteMultipleRegistersRequest(
        address=start, registers=list(words), dev_id=_meter(address)
    )
    if not 1 <= len(words) <= 123:
        raise ValueError(f"{len(words)} words do not fit one write")
    frame = _frame(pdu)
    return Request(frame, address, WRITE_SEVERAL, frame[:6], 8)


def find_reply(request: Request, received: bytes | bytearray) -> bytes | None:
    """The first intact reply to a request in what came so far, or None."""
    refusal = request.function | 0x80
    last = min(LEAD_MAX_BYTES, len(received) - EXCEPTION_BYTES)
    for at in range(last + 1):
        if received[at] != request.address:
            continue
        if received[at + 1] == refusal:
            size = EXCEPTION_BYTES
        elif received.startswith(request.reply_head, at):
            size = request.reply_bytes
        else:
            continue
        frame = bytes(received[at : at + size])
        if len(frame) == size and _sound(frame):
            return frame
    return None


def missing_bytes(request: Request, received: bytes | bytearray) -> int:
    """How many bytes must certainly still come before `find_reply` can find anything.

    0 where that is not clear yet: watch every byte then.
    """
    if len(received) < 2:
        return 0
    for at in range(min(LEAD_MAX_BYTES + 1, len(received) - 1)):
        if received[at] != request.address:
            continue
        if received[at + 1] == request.function | 0x80:
            return max(0, at + EXCEPTION_BYTES - len(received))
        if received[at + 1] == request.function:
            return max(0, at + request.reply_bytes - len(received))
    return 0


def words_in(request: Request, reply: bytes) -> tuple[int, ...] | Refused:
    """The registers in a reply found by `find_reply`, or the meter's refusal."""
    refused = refusal_in(reply)
    if refused is not None:
        return refused
    pdu = _READS[request.function][1]()
    pdu.decode(reply[2:-2])
    return tuple(pdu.registers)


def refusal_in(reply: bytes) -> Refused | None:
    """The refusal that a reply found by `find_reply` is, or None."""
    return Refused(reply[2]) if reply[1] & 0x80 else None


def _meter(address: int) -> int:
    if not 1 <= address <= 247:
        raise ValueError(f"{address} is not the address of one meter (1–247)")
    return address


def _frame(pdu: ModbusPDU) -> bytes:
    return _FRAMER.buildFrame(pdu)


def _sound(frame: bytes) -> bool:
    return FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))
