"""One line: silence kept, answers believed only when they are, and every way it can go wrong."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from edge.bus import codec
from edge.bus.codec import Refused
from edge.bus.line import Line, LineSettings
from edge.faults import BadReply, NoReply, PortLost
from edge.meters.profile import Block
from simulator import modbus
from tests.edge.scripted_meter import Script, ScriptedMeter, Sending, exception, reply

POLL, NAME = Block(3, 0x0200, 37), Block(3, 0x0043, 3)
POLL_WORDS, NAME_WORDS = tuple(range(37)), (0x3100, 0, 7)
FAST = 115_200
MakeMeter = Callable[[Script], ScriptedMeter]


def answers(address: int = 7) -> Script:
    """A meter that does as it should."""
    return lambda request: [(0.0, right(request, address))]


def right(request: bytes, address: int = 7) -> bytes:
    if request[1] == 16:
        return request[:6] + modbus.crc(request[:6])
    (count,) = struct.unpack(">H", request[4:6])
    return reply(address, POLL_WORDS if count == POLL.words else NAME_WORDS[:count])


@pytest.fixture
async def plug(tmp_path: Path) -> AsyncIterator[MakeMeter]:
    """Plugs a scripted meter in at always the same path; the one before is pulled out."""
    plugged: list[ScriptedMeter] = []

    def plug_in(script: Script) -> ScriptedMeter:
        if plugged and plugged[-1].link.exists():
            plugged[-1].close()
        meter = ScriptedMeter(tmp_path / "port", script)
        meter.open()
        plugged.append(meter)
        return meter

    yield plug_in
    if plugged and plugged[-1].link.exists():
        plugged[-1].close()


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    one = Line(LineSettings(str(tmp_path / "port"), baud=FAST))
    yield one
    one.close()


async def words(
    line: Line, block: Block = POLL, *, timeout_ms: int = 60, quiet_ms: int = 0, address: int = 7
) -> tuple[int, ...] | Refused:
    request = codec.read_request(address, block)
    answer = await line.transact(request, first_byte_timeout_ms=timeout_ms, quiet_ms=quiet_ms)
    return codec.words_in(request, answer.frame)


# --- answers ---------------------------------------------------------------------------------


async def test_a_question_and_its_answer(plug: MakeMeter, line: Line) -> None:
    meter = plug(answers())
    await line.open()
    assert await words(line) == POLL_WORDS
    assert await words(line, NAME) == NAME_WORDS
    write = codec.write_request(7, 0x57, (1, 1))
    answer = await line.transact(write, first_byte_timeout_ms=60)
    assert codec.refusal_in(answer.frame) is None
    assert [len(one) for one in meter.requests] == [8, 8, 13]


POLL_REPLY = reply(7, POLL_WORDS)


@pytest.mark.parametrize(
    ("name", "sendings"),
    [
        ("whole", [(0.0, POLL_REPLY)]),
        ("halves", [(0.0, POLL_REPLY[:40]), (0.012, POLL_REPLY[40:])]),
        ("bytes", [(n * 0.0005, POLL_REPLY[n : n + 1]) for n in range(79)]),
        ("one noise byte before", [(0.0, b"\x07" + POLL_REPLY)]),
        ("noise well before", [(0.0, b"\x00\xff"), (0.030, POLL_REPLY)]),
        ("noise after", [(0.0, POLL_REPLY + b"\x07\x03")]),
        ("noise soon after", [(0.0, POLL_REPLY), (0.001, b"\x55")]),
        ("echo", [(0.0, codec.read_request(7, POLL).frame), (0.010, POLL_REPLY)]),
        ("late within the time", [(0.045, POLL_REPLY)]),
    ],
)
async def test_however_an_answer_comes_it_is_heard(
    plug: MakeMeter, line: Line, name: str, sendings: Sequence[Sending]
) -> None:
    plug(lambda request: sendings)
    await line.open()
    for _ in range(3):
        assert await words(line) == POLL_WORDS, name


async def test_a_refusal_comes_back_before_a_whole_frame_would_have(
    plug: MakeMeter, tmp_path: Path
) -> None:
    plug(lambda request: [(0.0, exception(7, 3, 2))])
    slow = Line(LineSettings(str(tmp_path / "port"), baud=1200))
    await slow.open()
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    assert await words(slow, timeout_ms=500) == Refused(2)
    assert loop.time() - start_s < 0.4  # 79 bytes would have taken 0.66 s
    slow.close()


async def test_the_first_byte_is_timed_from_the_requests_end(plug: MakeMeter, line: Line) -> None:
    plug(lambda request: [(0.040, POLL_REPLY)])
    await line.open()
    request = codec.read_request(7, POLL)
    answer = await line.transact(request, first_byte_timeout_ms=200)
    assert 38 <= answer.first_byte_ms <= 80


# --- what is no answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("damaged", POLL_REPLY[:-1] + bytes((POLL_REPLY[-1] ^ 1,))),
        ("a byte lost", POLL_REPLY[:10] + POLL_REPLY[11:]),
        ("another meter", reply(8, POLL_WORDS)),
        ("another block", reply(7, NAME_WORDS)),
        ("another function", reply(7, POLL_WORDS, function=4)),
        ("an echo alone", codec.read_request(7, POLL).frame),
        ("too much", b"\x00" * 400),
    ],
)
async def test_what_is_no_answer_is_refused_and_the_next_question_is_not_harmed(
    plug: MakeMeter, line: Line, name: str, data: bytes
) -> None:
    bad = [data]
    plug(lambda request: [(0.0, bad.pop() if bad else right(request))])
    await line.open()
    with pytest.raises(BadReply, match="地址 7"):
        await words(line)
    assert await words(line, NAME) == NAME_WORDS, name


async def test_a_silent_meter_costs_the_time_for_a_first_byte(plug: MakeMeter, line: Line) -> None:
    plug(lambda request: [])
    await line.open()
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    with pytest.raises(NoReply, match="address 7 did not answer") as raised:
        await words(line, timeout_ms=50)
    assert 0.049 < loop.time() - start_s < 0.12
    assert raised.value.late_ms is None


async def test_a_late_reply_is_never_the_answer_to_another_question(
    plug: MakeMeter, line: Line
) -> None:
    """The reply to the first comes while the second waits, twenty times, and is refused each."""
    plug(lambda request: [(0.060, right(request))] if request[5] == NAME.words else [])
    await line.open()
    refused = 0
    for _ in range(20):
        with pytest.raises(NoReply):
            await words(line, NAME, timeout_ms=30)
        with pytest.raises(BadReply):
            await words(line, POLL, timeout_ms=60)
        refused += 1
    assert refused == 20


async def test_after_a_miss_the_line_waits_as_long_as_the_meter_ever_took(
    plug: MakeMeter, line: Line
) -> None:
    meter = plug(lambda request: [(0.080, right(request))])
    await line.open()
    with pytest.raises(NoReply) as raised:
        await words(line, POLL, timeout_ms=30, quiet_ms=120)
    assert raised.value.late_ms is not None
    assert 75 <= raised.value.late_ms <= 118
    assert await words(line, NAME, timeout_ms=120) == NAME_WORDS
    assert meter.asked_at_s[1] >= meter.sent_at_s[0]  # it was heard out first
    assert len(meter.requests) == 2


async def test_a_line_that_never_falls_silent_is_given_up_in_time(
    plug: MakeMeter, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.bus.line._SETTLE_MAX_S", 0.3)
    meter = plug(lambda request: [])
    await line.open()
    loop = asyncio.get_running_loop()
    babble = asyncio.ensure_future(_babble(meter))
    start_s = loop.time()
    with pytest.raises(BadReply):
        await words(line)
    assert 0.3 < loop.time() - start_s < 1
    assert not meter.requests  # nobody spoke into it
    babble.cancel()


async def _babble(meter: ScriptedMeter) -> None:
    while True:
        meter.send(b"\x2a")
        await asyncio.sleep(0.001)


# --- silence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baud", "parity", "t35_s"),
    [(9600, "none", 0.003646), (9600, "even", 0.00401), (38_400, "none", 0.00175)],
)
async def test_frames_are_held_apart(
    plug: MakeMeter, tmp_path: Path, baud: int, parity: str, t35_s: float
) -> None:
    meter = plug(lambda request: [(0.001, right(request)), (0.002, b"\x00")])
    one = Line(LineSettings(str(tmp_path / "port"), baud, "even" if parity == "even" else "none"))
    await one.open()
    for _ in range(12):
        await words(one, NAME)
    one.close()
    # The far end notes its own last byte before the line can have seen it.
    gaps_s = [
        asked_s - max(sent_s for sent_s in meter.sent_at_s if sent_s < asked_s)
        for asked_s in meter.asked_at_s[1:]
    ]
    assert len(gaps_s) == 11
    assert min(gaps_s) >= t35_s - 0.0001
    assert sorted(gaps_s)[5] < t35_s + 0.010


# --- cancelled, pulled out, taken ------------------------------------------------------------


async def test_a_cancelled_question_leaves_nothing_for_the_next(
    plug: MakeMeter, line: Line
) -> None:
    meter = plug(lambda request: [(0.040, right(request))])
    await line.open()
    for _ in range(3):
        meter.asked.clear()
        question = asyncio.ensure_future(words(line, POLL, timeout_ms=60))
        await meter.asked.wait()
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
        assert await words(line, NAME, timeout_ms=100) == NAME_WORDS


async def test_a_port_that_is_not_there_is_named(line: Line, tmp_path: Path) -> None:
    with pytest.raises(PortLost, match=f"串口 {tmp_path}/port 不可用"):
        await line.open()
    with pytest.raises(PortLost):
        await words(line)


async def test_a_port_belongs_to_one(plug: MakeMeter, line: Line, tmp_path: Path) -> None:
    plug(answers())
    await line.open()
    other = Line(LineSettings(str(tmp_path / "port"), baud=FAST))
    with pytest.raises(PortLost, match="exclusively lock"):
        await other.open()
    line.close()
    await other.open()
    assert await words(other) == POLL_WORDS
    other.close()


@pytest.mark.parametrize("when", ["between", "during"])
async def test_unplugged_and_plugged_in_again(plug: MakeMeter, line: Line, when: str) -> None:
    meter = plug(lambda request: [])
    await line.open()
    loop = asyncio.get_running_loop()
    if when == "between":
        meter.close()
    else:
        loop.call_later(0.03, meter.close)
    with pytest.raises(PortLost):
        await words(line, timeout_ms=500)
    line.close()
    with pytest.raises(PortLost):
        await line.open()
    plug(answers())
    await line.open()
    assert await words(line) == POLL_WORDS


def test_wire_times() -> None:
    assert round(LineSettings("p").t35_s * 1e6) == 3646
    assert round(LineSettings("p", 9600, "even").t35_s * 1e6) == 4010
    assert round(LineSettings("p", 1200, "none", 2).byte_s * 1e6) == 9167
    assert LineSettings("p", 19_201).t35_s == 0.00175
