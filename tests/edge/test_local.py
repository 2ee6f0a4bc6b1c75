"""The gateway's own door is its owner's alone from the first moment."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from edge.local import LocalDoor

NOBODY: Any = None  # what is not asked for in these tests


async def test_nobody_else_may_open_the_socket_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "door"
    modes: list[int] = []
    start = asyncio.start_unix_server

    async def looked_at(*args: Any, **kwargs: Any) -> asyncio.Server:
        server = await start(*args, **kwargs)
        modes.append(stat.S_IMODE(path.stat().st_mode))  # before anything can be done about it
        return server

    monkeypatch.setattr(asyncio, "start_unix_server", looked_at)
    door = LocalDoor(
        path, picture=NOBODY, read_soon=NOBODY, journal=NOBODY, uplink=NOBODY, clock=NOBODY
    )
    before = os.umask(0)
    try:
        running = asyncio.create_task(door.run())
        async with asyncio.timeout(5):
            while not modes:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # what is asked about has no event
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"[]\n")
        assert b"not understood" in await reader.readline()
        writer.close()
    finally:
        assert os.umask(before) == 0, "the process's own is as it was"
    running.cancel()
    await asyncio.wait([running])
    assert modes == [0o600]
    assert not path.exists()
