"""One RS485 line: who may speak when, down to the byte.

The only module that knows pyserial. A line belongs to one `Line`, which puts one request at a time
on it. The discipline:

  * t3.5, the silence between frames, is kept from the last byte seen on the line, and looked after
    once more right before speaking, because noise may have come during the wait.
  * A reply's length is known, so it is complete with its last byte: no waiting for silence. While
    its bytes are certainly still on the wire, nobody is woken for them.
  * The first byte has a time limit of its own; a silent meter costs that, not a whole frame.
  * After a miss, a damaged reply or a cancelled request the line stays quiet for as long as a reply
    may still come, and what comes then is thrown away.

Times are the event loop's. Speaking to a port that is gone raises PortLost; `open` opens it again.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Literal

import serial

from edge.bus import codec
from edge.bus.codec import Request
from edge.faults import BadReply, NoReply, PortLost

_MARGIN_S = 0.0001
_ADAPTER_S = 0.016  # an adapter may hold bytes back this long (latency timer of common chips)
_WAKE_EARLY_S = 0.002  # timers fire up to 1 ms late; the last bytes are watched one by one
_SETTLE_MAX_S = 1.0
_READ_BYTES = 4096
_PARITY = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


@dataclass(frozen=True, slots=True)
class LineSettings:
    """A port and how it is set. `path` is a stable one (/dev/serial/by-path/…); 8 data bits."""

    path: str
    baud: int = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: int = 1

    @property
    def byte_s(self) -> float:
        """Time of one byte on the wire, in seconds."""
        return (9 + self.stop_bits + (self.parity != "none")) / self.baud

    @property
    def t35_s(self) -> float:
        """The silence that ends a frame, in seconds (fixed above 19200 baud)."""
        return 0.00175 if self.baud > 19_200 else 3.5 * self.byte_s


@dataclass(frozen=True, slots=True)
class Answer:
    """An intact reply, and when its first byte came, counted from the request's last."""

    frame: bytes
    first_byte_ms: int


class Line:
    """The owner of one port. One coroutine at a time may use it."""

    def __init__(self, settings: LineSettings) -> None:
        self.settings = settings
        self._byte_s, self._t35_s = settings.byte_s, settings.t35_s
        self._port: serial.Serial | None = None
        self._fd = -1
        self._last_byte_s = 0.0  # when the last byte known of was on the line
        self._quiet_until_s = 0.0  # until then a reply that nobody waits for may begin
        self._doubtful = True  # it may have begun: only a silence beyond the adapter's delay counts
        self._busy = False

    @property
    def is_open(self) -> bool:
        return self._port is not None

    async def open(self) -> None:
        """Take the port for this process alone and set it; PortLost where that fails."""
        assert self._port is None, "the line is open"
        self._loop = asyncio.get_running_loop()
        try:
            port = serial.Serial(
                self.settings.path,
                self.settings.baud,
                parity=_PARITY[self.settings.parity],
                stopbits=self.settings.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError) as error:  # serial's own exception is an OSError
            raise PortLost(self.settings.path, str(error)) from error
        self._port, self._fd = port, port.fileno()
        self._last_byte_s = self._loop.time()
        self._quiet_until_s = 0.0
        self._doubtful = True

    def close(self) -> None:
        """Give the port back. Does nothing where it is closed."""
        port, self._port, self._fd = self._port, None, -1
        if port is not None:
            with contextlib.suppress(OSError):  # it may be gone already; nothing is owed to it
                port.close()

    async def transact(
        self, request: Request, *, first_byte_timeout_ms: int, quiet_ms: int = 0
    ) -> Answer:
        """Put a request on the line and return its reply.

        The first byte must come within `first_byte_timeout_ms` of the request's end. After a miss
        the line is kept quiet until `quiet_ms` after the request's end (the meter's worst known
        delay), before anybody speaks again. Raises NoReply, BadReply or PortLost; a cancelled
        request leaves the line in order for the next.
        """
        if self._port is None:
            raise PortLost(self.settings.path, "closed")
        assert not self._busy, "two requests at once on one line"
        self._busy = True
        try:
            await self._settle(request.address)
            end_s = self._send(request.frame)
            # In force unless the reply lifts it, so also for a request that is cancelled.
            within_s = first_byte_timeout_ms / 1000
            self._quiet_until_s = end_s + max(within_s, quiet_ms / 1000)
            self._doubtful = True
            try:
                answer = await self._reply(request, end_s=end_s, within_s=within_s)
            except BadReply:  # most likely that was the reply, but the next must not meet it
                self._quiet_until_s = end_s + quiet_ms / 1000
                raise
            self._quiet_until_s = 0.0
            self._doubtful = False
            return answer
        finally:
            self._busy = False

    async def _settle(self, address: int) -> None:
        """Wait until the line has been silent long enough to speak; throw away what comes."""
        silence_s = self._t35_s + (_ADAPTER_S if self._doubtful else _MARGIN_S)
        give_up_s = max(self._loop.time(), self._quiet_until_s) + _SETTLE_MAX_S
        while True:
            free_s = max(self._last_byte_s + silence_s, self._quiet_until_s)
            wait_s = free_s - self._loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            noise = self._read()
            if not noise:
                return
            if self._loop.time() > give_up_s:
                raise BadReply(address, len(noise))

    def _send(self, frame: bytes) -> float:
        """Put a frame on the line; returns when its last byte will have left, at the earliest."""
        try:
            written = os.write(self._fd, frame)
        except OSError as error:
            raise PortLost(self.settings.path, str(error)) from error
        if written != len(frame):
            raise PortLost(self.settings.path, f"{written} of {len(frame)} bytes written")
        self._last_byte_s = self._loop.time() + len(frame) * self._byte_s
        return self._last_byte_s

    async def _reply(self, request: Request, *, end_s: float, within_s: float) -> Answer:
        """The reply to a request that ended at `end_s`; NoReply or BadReply where none comes."""
        received = bytearray()
        first_byte_s = 0.0
        longest = codec.LEAD_MAX_BYTES + request.reply_bytes
        hard_s = end_s + within_s + longest * self._byte_s + _ADAPTER_S
        until_s = end_s + within_s
        while await self._readable(until_s):
            received += self._read_what_came()
            first_byte_s = first_byte_s or self._last_byte_s
            frame = codec.find_reply(request, received)
            if frame is not None:
                return Answer(frame, max(0, round((first_byte_s - end_s) * 1000)))
            if len(received) > longest:
                break
            doze_s = codec.missing_bytes(request, received) * self._byte_s - _WAKE_EARLY_S
            if doze_s > 0.001:
                await asyncio.sleep(doze_s)
            # A silence in the middle ends the frame, whatever its head promised; but what came
            # so early may have been noise.
            silence_s = self._t35_s + _ADAPTER_S + _WAKE_EARLY_S
            until_s = min(hard_s, max(end_s + within_s, self._loop.time() + silence_s))
        if received:
            raise BadReply(request.address, len(received))
        raise NoReply(request.address, late_ms=await self._late_byte_ms(end_s))

    async def _late_byte_ms(self, end_s: float) -> int | None:
        """Listen while the line must stay quiet: when a late reply began after all, or None."""
        if not await self._readable(self._quiet_until_s):
            return None
        self._read_what_came()
        return round((self._last_byte_s - end_s) * 1000)

    async def _readable(self, until_s: float) -> bool:
        """Wait for bytes, at most until then; True when some came."""
        if until_s <= self._loop.time():
            return self._waiting()
        future: asyncio.Future[bool] = self._loop.create_future()
        timer = self._loop.call_at(until_s, _settle_with, future, False)
        self._loop.add_reader(self._fd, _settle_with, future, True)
        try:
            return await future
        finally:
            timer.cancel()
            self._loop.remove_reader(self._fd)

    def _waiting(self) -> bool:
        assert self._port is not None
        try:
            return self._port.in_waiting > 0
        except OSError as error:
            raise PortLost(self.settings.path, str(error)) from error

    def _read_what_came(self) -> bytes:
        data = self._read()
        if not data:  # readable, and nothing to read: the far end hung up
            raise PortLost(self.settings.path, "hung up")
        return data

    def _read(self) -> bytes:
        """What has come, and note that the line was not silent until now."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortLost(self.settings.path, str(error)) from error
        if data:
            self._last_byte_s = self._loop.time()
        return data


def _settle_with(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
