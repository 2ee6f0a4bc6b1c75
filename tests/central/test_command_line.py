"""wattledger-central as a person runs it: real processes on a real file."""

import asyncio
import sys
from io import StringIO
from pathlib import Path

import aiohttp
import pytest

from central import audit
from central.__main__ import main
from central.database import Database
from tests.central.conftest import SETTINGS

COMMAND = (sys.executable, "-m", "central")
PIPE = asyncio.subprocess.PIPE


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("mqtt.password", "master.key"):
        (tmp_path / name).write_bytes(b"k" * 32)
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "central.toml"
    path.write_text(SETTINGS + "[web]\nport = 0\n", encoding="utf-8")
    return path


def run(config: Path, command: str, *more: str) -> int:
    return main([command, "--config", str(config), *more])


LI = ("--login", "li", "--name", "李娜", "--role", "cashier")


def test_an_unmigrated_database_is_not_served(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "serve") == 2
    assert "run: wattledger-central migrate" in capsys.readouterr().err


def test_wrong_settings_start_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(SETTINGS.replace("east", "EAST") + "[web]\nport = -1\n", encoding="utf-8")
    (config.parent / "master.key").chmod(0o640)
    assert run(config, "serve") == 2
    said = capsys.readouterr().err
    for words in ("site.site_id", "web.port", "mode 0640"):
        assert words in said
    assert list(config.parent.glob("central.db*")) == []


def test_passwords_that_are_refused(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, "migrate")
    for typed in ("short\n", "", "x" * 129):
        monkeypatch.setattr("sys.stdin", StringIO(typed))
        assert run(config, "add-operator", *LI) == 2
    assert "密码至少 8 个字符" in capsys.readouterr().err


async def _line(server: asyncio.subprocess.Process) -> str:
    assert server.stdout is not None
    return (await asyncio.wait_for(server.stdout.readline(), 20)).decode()


async def test_an_operator_added_beside_the_running_server_signs_in(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(run, config, "migrate") == 0
    server = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", "--config", str(config), stdout=PIPE
    )
    try:
        address = (await _line(server)).removeprefix("serving ").strip()
        assert await asyncio.to_thread(run, config, "migrate") == 2
        assert "being served" in capsys.readouterr().err
        assert await asyncio.to_thread(run, config, "add-operator", *LI, "--generate") == 0
        login, password = capsys.readouterr().out.split()
        assert (login, len(password)) == ("li", 16)
        assert await asyncio.to_thread(run, config, "add-operator", *LI, "--generate") == 2
        form = {"login": login, "password": password, "next": "/healthz"}
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name
        async with aiohttp.ClientSession(cookie_jar=jar) as browser:
            async with browser.post(f"{address}/sign-in", data=form) as answer:
                assert (answer.status, (await answer.json())["version"]) == (200, "0.1.0")
            assert [cookie.key for cookie in jar] == ["wl_session"]
        await _sealed(config)
    finally:
        server.terminate()
        assert await asyncio.wait_for(server.wait(), 20) == 0


async def _sealed(config: Path) -> None:
    """Wait until the running server has chained every audit row; the design says a second."""
    url = f"sqlite:///{config.parent / 'central.db'}"
    async with await Database.open(url, access="read") as beside:
        for _ in range(100):
            if not await beside.read(audit.unsealed):
                break
            await asyncio.sleep(0.05)
        assert (await beside.read(audit.head))[0] == 2  # added, and signed in
        assert await beside.read(audit.verify, now_ms=2**53) == []
