"""A far end of a line that does exactly what a test says, however a real one should not."""

import asyncio
import os
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator import modbus

Sending = tuple[float, bytes]  # seconds after the request's last byte, and what comes then
Script = Callable[[bytes], Sequence[Sending]]


def reply(address: int, words: Sequence[int], *, function: int = 3) -> bytes:
    """An intact answer to a read."""
    data = b"".join(word.to_bytes(2, "big") for word in words)
    head = bytes((address, function, len(data)))
    return head + data + modbus.crc(head + data)


def exception(address: int, function: int, code: int) -> bytes:
    """A refusal."""
    body = bytes((address, function | 0x80, code))
    return body + modbus.crc(body)


@dataclass
class ScriptedMeter:
    """A pseudo-terminal whose far end answers each request by a script."""

    link: Path
    script: Script
    requests: list[bytes] = field(default_factory=list)
    asked_at_s: list[float] = field(default_factory=list)
    sent_at_s: list[float] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._slave))
        self._loop.add_reader(self._master, self._on_request)

    def close(self) -> None:
        """Pull the plug: whoever has the port open notices."""
        self._loop.remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)
        self._master = -1
        self.link.unlink(missing_ok=True)

    def send(self, data: bytes) -> None:
        if self._master >= 0:
            os.write(self._master, data)
            self.sent_at_s.append(self._loop.time())

    def _on_request(self) -> None:
        request = os.read(self._master, 300)
        self.requests.append(request)
        self.asked_at_s.append(self._loop.time())
        self.asked.set()
        for delay_s, data in self.script(request):
            if delay_s:
                self._loop.call_later(delay_s, self.send, data)
            else:
                self.send(data)
