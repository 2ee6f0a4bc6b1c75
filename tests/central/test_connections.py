"""A client that never ends its request, or never reads the answer, is sent away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from central.answers import answered
from central.connections import Patience, listening

SHORT = Patience(head_s=0.15, body_s=0.3, read_s=0.3, idle_s=0.3, an_address=3)


async def _length(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(2 * SHORT.head_s)
    return web.Response(text="slow but served")


async def _flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65_536)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = web.Application(middlewares=[answered])
    app.router.add_post("/", _length)
    app.router.add_get("/slow", _slow)
    app.router.add_get("/flood", _flood)
    async with listening(app, host="127.0.0.1", port=0, patience=SHORT) as chosen:
        yield chosen


async def _ask(port: int, *pieces: bytes, pause_s: float = 0.0) -> tuple[bytes, float]:
    """Send the pieces with pauses; the answer, and how long the connection lasted."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        answer = await reader.read()
    except ConnectionError:
        answer = b""
    writer.close()
    return answer, loop.time() - began


@pytest.mark.parametrize(
    "pieces", [(b"",), (b"POST / HT",), (b"POST / HTTP/1.1\r\n", *[b"X: y\r\n"] * 9)]
)
async def test_a_head_that_never_ends(port: int, pieces: tuple[bytes, ...]) -> None:
    answer, lasted_s = await _ask(port, *pieces, pause_s=0.03)
    assert answer.startswith(b"HTTP/1.1 408") or answer == b""
    assert lasted_s < 5


async def test_a_body_that_never_ends(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"
    answer, lasted_s = await _ask(port, head, *[b"b"] * 20, pause_s=0.03)
    assert answer == b""
    assert 0.25 < lasted_s < 5


async def test_a_second_request_that_never_ends(port: int) -> None:
    whole = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    answer, lasted_s = await _ask(port, whole, whole + b"POST / H")
    assert answer.count(b"HTTP/1.1 200") == 2
    assert lasted_s < 5
    answer, lasted_s = await _ask(port, whole, b"P", b"O", pause_s=0.1)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"HTTP/1.1 408" in answer
    assert lasted_s < 5


async def test_an_honest_client_is_left_alone(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
    answer, _ = await _ask(port, head, b"ab", b"cd", pause_s=0.05)
    assert answer.endswith(b"\r\n\r\n4")
    slow = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await _ask(port, slow))[0].endswith(b"slow but served")


async def _ends(reader: asyncio.StreamReader) -> bool:
    """Whether what is sent comes to an end within seconds."""
    try:
        async with asyncio.timeout(5):
            while await reader.read(1 << 20):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


async def test_a_client_that_does_not_read(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(2 * SHORT.read_s)
    assert await _ends(reader)
    writer.close()


async def test_an_address_holds_only_so_many_connections(port: int) -> None:
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SHORT.an_address)]
    answer, _ = await _ask(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert answer == b""
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
