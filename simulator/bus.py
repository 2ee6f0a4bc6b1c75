"""One RS485 line with its meters on a pseudo-terminal, as slow and as strict as the real wire.

Every byte takes ten or eleven bit times, in both directions; a request ends after 3.5 characters
of silence (t3.5); the meter answers after its turnaround. A request that begins less than t3.5
after the last byte on the line is one merged frame to the meters, and ignored. Whoever talks while
somebody else does garbles both. All this is reckoned in ideal times of the loop's clock, so being
woken late does not add up.

A reply is handed over as an adapter does: the first byte in its time, then slices of `slice_ms`,
the last byte in its time. Waking up is rounded to whole milliseconds, so bytes arrive up to about
1 ms late, as behind an adapter with a latency timer of 1 ms.
"""

import asyncio
import contextlib
import os
import random
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator import modbus
from simulator.meter import VirtualMeter

_FRAME_MAX = 300
_EARLY_S = 1e-6  # a timer may fire this much before its time


@dataclass(frozen=True, slots=True)
class Wire:
    """How a line is set: `char_bits` counts start, parity and stop bits (10 or 11)."""

    baud: int = 9600
    char_bits: int = 10
    turnaround_ms: int = 8
    slice_ms: int = 4

    @property
    def byte_s(self) -> float:
        """Time of one byte, in seconds."""
        return self.char_bits / self.baud

    @property
    def t35_s(self) -> float:
        """The silence that ends a frame, in seconds (fixed above 19200 baud)."""
        return 0.00175 if self.baud > 19_200 else 3.5 * self.byte_s


@dataclass
class Counts:
    """What happened on the line since it was opened."""

    requests: int = 0
    replies: int = 0
    merged: int = 0  # requests that began less than t3.5 after the last byte
    collisions: int = 0
    damaged: int = 0  # requests with a wrong checksum


@dataclass(eq=False)
class _Reply:
    address: int
    data: bytes
    start_s: float
    end_s: float
    sent: int = 0
    begun: bool = False
    garbled: bool = False


class VirtualBus:
    """A line and its meters. `open` needs a running loop; `close` leaves nothing behind."""

    def __init__(
        self,
        bus_id: str,
        *,
        link: Path,
        wire: Wire,
        meters: Sequence[VirtualMeter],
        chance: random.Random,
        now_ms: Callable[[], int],
    ) -> None:
        self.bus_id = bus_id
        self.link = link
        self.wire = wire
        self.meters = tuple(meters)
        self.counts = Counts()
        self._by_address = {meter.address: meter for meter in meters}
        assert len(self._by_address) == len(self.meters), f"{bus_id}: an address is taken twice"
        self._chance = chance
        self._now_ms = now_ms
        self._byte_s, self._t35_s = wire.byte_s, wire.t35_s
        self._frame = bytearray()
        self._spoilt = False
        self._frame_timer: asyncio.TimerHandle | None = None
        self._line_end_s = 0.0  # end of the last byte on the line, whoever sent it
        self._master_end_s = 0.0
        self._replies: list[_Reply] = []
        self._timers: set[asyncio.TimerHandle] = set()

    def open(self) -> None:
        """Put the line up at `link`. Both ends stay open here, so clients may come and go.

        Replaces a link left over there; raises FileExistsError where something else is in its
        place, and other OSErrors where the directory does not take it.
        """
        if self.link.exists() and not self.link.is_symlink():
            raise FileExistsError(f"{self.link} is not a link")
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._device = os.ttyname(self._slave)
        fresh = self.link.with_name(f".{self.link.name}.new")
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._device)
            fresh.replace(self.link)
        except OSError:
            os.close(self._slave)
            os.close(self._master)
            raise
        self._loop.add_reader(self._master, self._on_bytes)

    def close(self) -> None:
        """Take the line down, with its link and whatever was still to be sent."""
        self._loop.remove_reader(self._master)
        for timer in (*self._timers, self._frame_timer):
            if timer is not None:
                timer.cancel()
        self._timers.clear()
        self._replies.clear()
        with contextlib.suppress(OSError):  # somebody else's link, or gone already
            if str(self.link.readlink()) == self._device:
                self.link.unlink()
        os.close(self._slave)
        os.close(self._master)

    def tick(self) -> None:
        """Once a second: let meters that count down themselves notice that they are empty."""
        now_ms = self._now_ms()
        for meter in self.meters:
            if meter.memory.own_prepaid:
                meter.advance(now_ms)

    def set_power(self, powered: bool) -> None:
        """Mains of all its meters on or off; off also breaks off what they are sending."""
        now_ms = self._now_ms()
        for meter in self.meters:
            meter.set_power(powered, now_ms)
        if not powered:
            self._replies.clear()

    def _on_bytes(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        now_s = self._loop.time()
        begin_s = max(now_s, self._master_end_s)
        self._begin_replies(begin_s)
        if self._frame and begin_s >= self._line_end_s + self._t35_s:
            self._end_frame()  # its timer is late: the silence was there
        if any(reply.begun and begin_s < reply.end_s for reply in self._replies):
            self._collide()
            self._spoilt = True
        elif not self._frame and begin_s < self._line_end_s + self._t35_s - _EARLY_S:
            self._spoilt = True
            self.counts.merged += 1
        self._frame += data[: _FRAME_MAX - len(self._frame)]
        self._master_end_s = begin_s + len(data) * self._byte_s
        self._line_end_s = max(self._line_end_s, self._master_end_s)
        if self._frame_timer is None:
            self._await_silence()

    def _await_silence(self) -> None:
        due_s = self._line_end_s + self._t35_s
        self._frame_timer = self._loop.call_at(due_s, self._on_silence)

    def _on_silence(self) -> None:
        self._frame_timer = None
        if not self._frame:
            return
        if self._loop.time() < self._line_end_s + self._t35_s - _EARLY_S:
            self._await_silence()
        else:
            self._end_frame()

    def _end_frame(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None
        frame, spoilt = bytes(self._frame), self._spoilt
        self._frame.clear()
        self._spoilt = False
        if not spoilt:
            self._serve(frame, at_s=self._line_end_s + self._t35_s)

    def _serve(self, frame: bytes, *, at_s: float) -> None:
        self.counts.requests += 1
        if not modbus.sound(frame):
            self.counts.damaged += 1
            return
        meter = self._by_address.get(frame[0])
        if meter is None or meter.faults.dead or not meter.powered:
            return
        if any(reply.address == meter.address for reply in self._replies):
            return  # still preparing the last answer
        data = modbus.answer(meter, frame, self._now_ms())
        if data is None:
            return
        if self._chance.random() < meter.faults.crc_rate:
            data = data[:-1] + bytes((data[-1] ^ 0x5A,))
        if self._chance.random() < meter.faults.noise_rate:
            data = self._chance.randbytes(1) + data
        start_s = at_s + (self.wire.turnaround_ms + meter.faults.slow_ms) / 1000
        reply = _Reply(meter.address, data, start_s, start_s + len(data) * self._byte_s)
        self._replies.append(reply)
        self._at(start_s + self._byte_s, reply)

    def _at(self, when_s: float, reply: _Reply) -> None:
        def due() -> None:
            self._timers.discard(timer)
            self._begin_replies(self._loop.time())
            self._deliver(reply)

        timer = self._loop.call_at(when_s, due)
        self._timers.add(timer)

    def _begin_replies(self, now_s: float) -> None:
        """Put on the line what has begun by now; find out whether the line was free."""
        for reply in self._replies:
            if reply.begun or reply.start_s > now_s + _EARLY_S:
                continue
            reply.begun = True
            busy = self._line_end_s > reply.start_s + _EARLY_S or bool(self._frame)
            self._line_end_s = max(self._line_end_s, reply.end_s)
            if busy:
                self._collide()
                self._spoilt = self._spoilt or bool(self._frame)

    def _collide(self) -> None:
        """Two talk at once: whatever is being sent arrives garbled from here on."""
        self.counts.collisions += 1
        for reply in self._replies:
            reply.garbled = reply.garbled or reply.begun

    def _deliver(self, reply: _Reply) -> None:
        if reply not in self._replies:
            return  # broken off
        now_s = self._loop.time()
        due = min(len(reply.data), int((now_s - reply.start_s + _EARLY_S) / self._byte_s))
        chunk = reply.data[reply.sent : due]
        if reply.garbled:
            chunk = bytes(byte ^ 0xA5 for byte in chunk)
        with contextlib.suppress(BlockingIOError):  # nobody listens and the buffer is full: lost
            os.write(self._master, chunk)
        reply.sent = due
        if due == len(reply.data):
            self._replies.remove(reply)
            self.counts.replies += 1
            return
        self._at(min(reply.end_s, now_s + self.wire.slice_ms / 1000), reply)
