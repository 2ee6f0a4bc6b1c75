"""Frames: what goes on the line, and what may count as the answer to it."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bus import codec
from edge.bus.codec import LEAD_MAX_BYTES, Refused
from edge.meters.profile import Block
from simulator import modbus
from tests.edge.scripted_meter import exception, reply

POLL = Block(3, 0x0200, 37)
WORDS = tuple(range(1000, 1037))


def sealed(body: bytes) -> bytes:
    return body + modbus.crc(body)


def test_a_read_is_the_bytes_of_the_standard() -> None:
    request = codec.read_request(7, POLL)
    assert request.frame == sealed(bytes.fromhex("07 03 0200 0025"))
    assert request.reply_bytes == 79


def test_a_write_is_the_bytes_of_the_standard() -> None:
    request = codec.write_request(7, 0x57, (1, 0))
    assert request.frame == sealed(bytes.fromhex("07 10 0057 0002 04 0001 0000"))
    assert request.reply_bytes == 8


@pytest.mark.parametrize("address", [0, 248, -1])
def test_only_one_meter_is_ever_addressed(address: int) -> None:
    with pytest.raises(ValueError, match="1–247"):
        codec.read_request(address, POLL)
    with pytest.raises(ValueError, match="1–247"):
        codec.write_request(address, 0x57, (1, 1))


@pytest.mark.parametrize("words", [(), (0x10000,), (-1,), (0,) * 124])
def test_a_write_that_is_not_modbus_is_not_built(words: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        codec.write_request(1, 0x57, words)


@pytest.mark.parametrize("block", [Block(3, 0, 0), Block(3, 0, 126), Block(6, 0, 1)])
def test_a_read_that_is_not_modbus_is_not_built(block: Block) -> None:
    with pytest.raises(ValueError):
        codec.read_request(1, block)


@pytest.mark.parametrize("function", [3, 4])
@pytest.mark.parametrize("address", [1, 16, 247])
def test_words_come_back(address: int, function: int) -> None:
    request = codec.read_request(address, Block(function, 0, 37))
    found = codec.find_reply(request, reply(address, WORDS, function=function))
    assert found is not None
    assert codec.words_in(request, found) == WORDS


def test_a_refusal_is_an_answer() -> None:
    request = codec.read_request(9, POLL)
    found = codec.find_reply(request, exception(9, 3, 2))
    assert found is not None
    assert codec.words_in(request, found) == Refused(2)
    write = codec.write_request(9, 0x57, (1, 1))
    found = codec.find_reply(write, exception(9, 16, 4))
    assert found is not None
    assert codec.refusal_in(found) == Refused(4)


def test_a_write_is_acknowledged_by_its_own_range_only() -> None:
    request = codec.write_request(9, 0x57, (1, 1))
    right = sealed(struct.pack(">BBHH", 9, 16, 0x57, 2))
    assert codec.find_reply(request, right) == right
    for other in ((9, 16, 0x57, 1), (9, 16, 0x59, 2), (8, 16, 0x57, 2)):
        assert codec.find_reply(request, sealed(struct.pack(">BBHH", *other))) is None


@pytest.mark.parametrize(
    "other",
    [
        reply(8, WORDS),  # another meter
        reply(9, WORDS[:36]),  # another block
        reply(9, (*WORDS, 1)),
        reply(9, WORDS, function=4),
        exception(9, 4, 2),
        exception(8, 3, 2),
        reply(9, WORDS)[:-1] + b"\x00",  # damaged
        reply(9, WORDS)[:-1],  # a byte short
        b"",
        b"\x09",
    ],
)
def test_what_does_not_answer_is_not_taken(other: bytes) -> None:
    assert codec.find_reply(codec.read_request(9, POLL), other) is None


def test_noise_before_and_after_costs_nothing_at_any_address() -> None:
    for address in range(1, 248):
        request = codec.read_request(address, POLL)
        right = reply(address, WORDS)
        chance = random.Random(address)
        for count in (1, 2, LEAD_MAX_BYTES):
            noise = chance.randbytes(count)
            assert codec.find_reply(request, noise + right + noise) == right, (address, count)
        lost = [b for b in range(256) if codec.find_reply(request, bytes((b,)) + right) != right]
        assert not lost, (address, lost)


def test_an_echo_of_the_request_is_not_the_reply() -> None:
    request = codec.write_request(9, 0x57, (1, 1))
    right = sealed(struct.pack(">BBHH", 9, 16, 0x57, 2))
    assert codec.find_reply(request, request.frame) is None
    assert codec.find_reply(request, request.frame + right) == right


def test_missing_bytes_are_known_as_soon_as_the_head_is() -> None:
    request = codec.read_request(9, POLL)
    right = reply(9, WORDS)
    assert codec.missing_bytes(request, right[:1]) == 0  # not clear yet
    assert codec.missing_bytes(request, right[:2]) == 77
    assert codec.missing_bytes(request, b"\xff" + right[:2]) == 77
    assert codec.missing_bytes(request, exception(9, 3, 2)[:2]) == 3
    assert codec.missing_bytes(request, right) == 0


@given(st.binary(max_size=200), st.integers(1, 247), st.data())
def test_hostile_bytes_never_raise_and_are_never_taken_unsound(
    received: bytes, address: int, data: st.DataObject
) -> None:
    request = codec.read_request(address, POLL)
    if data.draw(st.booleans()):  # closer to the truth than chance ever comes
        mutated = bytearray(reply(address, WORDS))
        mutated[data.draw(st.integers(0, len(mutated) - 1))] ^= data.draw(st.integers(1, 255))
        received = received[:20] + bytes(mutated) + received[20:]
    assert 0 <= codec.missing_bytes(request, received) <= 79 + LEAD_MAX_BYTES
    found = codec.find_reply(request, received)
    if found is not None:
        assert modbus.sound(found)
        assert found[0] == address
        words = codec.words_in(request, found)
        assert isinstance(words, Refused) or len(words) == 37
