"""Sits between the socket and aiohttp, which waits for ever for a request that never ends.

A client has 10 s to send a request's head and 30 s for its body, and must keep reading what it
asked for; an address may hold so many connections and no more. The guard sees only bytes and
times; what a request means is decided further in. It is found again from a request by
`guard_of(request)`, because the transport's protocol is the guard.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take, in seconds, and how many connections it may hold."""

    head_s: float = 10.0
    body_s: float = 30.0
    read_s: float = 60.0  # without taking a byte of what is being sent to it
    idle_s: float = 30.0  # between two requests
    an_address: int = 256
    in_all: int = 2_000


class Guard(asyncio.Protocol):
    """One connection: passes everything on to `inner` and closes on those who keep it waiting."""

    def __init__(self, inner: asyncio.Protocol, patience: Patience, open_now: Counter[str]) -> None:
        self._inner = inner
        self._patience = patience
        self._open_now = open_now
        self._address = ""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = str((transport.get_extra_info("peername") or ("",))[0])
        self._open_now[self._address] += 1
        self._inner.connection_made(transport)
        too_many = self._open_now[self._address] > self._patience.an_address
        if too_many or self._open_now.total() > self._patience.in_all:
            transport.abort()
            return
        self._arm(self._patience.head_s, self._give_up_politely)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and not self._busy:
            self._arm(self._patience.head_s, self._give_up_politely)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        self._open_now[self._address] -= 1
        if not self._open_now[self._address]:
            del self._open_now[self._address]
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        loop = asyncio.get_running_loop()
        self._unread = loop.call_later(self._patience.read_s, self._give_up)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
            self._inner.resume_writing()

    def request_begins(self, request: web.BaseRequest) -> None:
        """The head is here; now the body has its time."""
        self._busy = True
        self._disarm()
        if request.body_exists and not request.content.is_eof():
            self._arm(self._patience.body_s, self._give_up)
            request.content.on_eof(self._disarm)

    def request_ends(self) -> None:
        """The answer is given; the next request may take its time to begin, not to be sent."""
        self._busy = False
        self._disarm()

    def _arm(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._disarm()
        self._deadline = asyncio.get_running_loop().call_later(seconds, give_up)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up_politely(self) -> None:
        assert self._transport is not None
        self._transport.write(_TOO_SLOW)
        self._transport.close()

    def _give_up(self) -> None:
        assert self._transport is not None
        self._transport.abort()


def guard_of(request: web.BaseRequest) -> Guard | None:
    """The guard of this request's connection; None where it was served without one (in tests)."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Guard) else None


@asynccontextmanager
async def listening(
    app: web.Application, *, host: str, port: int, patience: Patience | None = None
) -> AsyncIterator[int]:
    """Serve `app` behind guards; yields the port (a free one for 0). Raises OSError."""
    patience = patience or Patience()
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=patience.idle_s, shutdown_timeout=3
    )
    await runner.setup()
    inner, open_now = runner.server, Counter[str]()
    assert inner is not None
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: Guard(inner(), patience, open_now), host, port, backlog=128
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()
