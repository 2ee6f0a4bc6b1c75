"""The units of systemd: each line with its reason, tight, and wide enough for the services."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from central import migrations
from central.database import Database
from provisioning.facts import INSTALLED, SERVICES
from tests.provisioning import confined
from tests.provisioning.confined import settings

SYSTEMD = Path(__file__).parent.parent.parent / "systemd"
EDGE, CENTRAL = (SYSTEMD / name for name in SERVICES)
BIN = Path(sys.executable).parent
EDGE_TOML = """\
cell_id = "campus"
gateway_id = "gw-1"
state_dir = "state"
keys_file = "keys"
[broker]
host = "127.0.0.1"
port = {port}
password_file = "password"
"""
CENTRAL_TOML = """\
[site]
name = "test"
site_id = "site"
cell_id = "campus"
[database]
url = "sqlite:///books.db"
[web]
port = 0
[mqtt]
port = {port}
username = "centre"
password_file = "password"
[keys]
master_file = "master"
[state]
directory = "state"
"""


both = pytest.mark.parametrize("unit", [EDGE, CENTRAL], ids=["edge", "central"])


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@both
def test_every_line_has_its_reason_above_it(unit: Path) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if line and line[0] not in "#[" and not before.startswith("# ")
    ]
    assert bare == []


@both
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    """As installed, but that the program stands somewhere else."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(f"ExecStart={INSTALLED}/bin/", "ExecStart=/bin/true "))
    seen = analyze("verify", "--man=no", str(copy))
    assert (seen.returncode, seen.stdout + seen.stderr) == (0, "")


def test_a_line_that_systemd_does_not_know_is_seen(tmp_path: Path) -> None:
    copy = tmp_path / EDGE.name
    copy.write_text(EDGE.read_text().replace("ProtectClock=yes", "ProtectCloak=yes"))
    assert "ProtectCloak" in analyze("verify", "--man=no", str(copy)).stderr


@both
def test_the_exposure_is_small(unit: Path) -> None:
    seen = analyze("security", "--offline=true", "--threshold=15", str(unit))
    assert seen.returncode == 0, seen.stdout


def test_the_gateway_is_notified_watched_and_never_given_up() -> None:
    told = dict(settings(EDGE))
    assert (told["Type"], told["Restart"], told["StartLimitIntervalSec"]) == (
        "notify",
        "always",
        "0",
    )
    assert int(told["WatchdogSec"]) >= 30
    waits = [value for key, value in settings(EDGE) if key in ("After", "Wants", "Requires")]
    assert "network-online" not in " ".join(waits), "a building starts without a network"


@both
def test_the_users_are_made_and_are_two(unit: Path) -> None:
    users = [line.split() for line in (SYSTEMD / "wattledger.sysusers").read_text().splitlines()]
    names = {words[1] for words in users if words[0] == "u"}
    assert len(names) == 2
    assert dict(settings(unit))["User"] in names


def test_systemd_would_make_the_users(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", "--dry-run", f"--root={tmp_path}"]
    command.append(str(SYSTEMD / "wattledger.sysusers"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "wattledger-edge" in done.stderr + done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def secret(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What a technician puts into /etc/wattledger; no broker answers."""
    secret(tmp_path / "password", b"word")
    secret(tmp_path / "keys", b"1 " + b"ab" * 32)
    secret(tmp_path / "master", bytes(32))
    (tmp_path / "edge.toml").write_text(EDGE_TOML.format(port=free_port()))
    (tmp_path / "central.toml").write_text(CENTRAL_TOML.format(port=free_port()))
    return tmp_path


def start_line(unit: Path, etc: Path) -> list[str]:
    """The unit's own command, with this environment's programs and that folder's settings."""
    line = dict(settings(unit))["ExecStart"]
    assert line.startswith(f"{INSTALLED}/bin/")
    line = line.replace(f"{INSTALLED}/bin", str(BIN)).replace("/etc/wattledger", str(etc))
    return [sys.executable, confined.__file__, str(unit), *line.split()]


@contextlib.contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_confinement_confines() -> None:
    """Else the two tests below would prove nothing."""
    tries = """
import ctypes, mmap, os, socket
def refused(f, *a):
    try: f(*a)
    except PermissionError: return True
print([
    refused(mmap.mmap, -1, 4096, mmap.MAP_PRIVATE, mmap.PROT_WRITE | mmap.PROT_EXEC),
    refused(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW),
    refused(os.chown, '/dev/null', 0, 0),
    refused(os.nice, 1),
    ctypes.CDLL(None).mount(b'/', b'/', b'', 0, b''),
])
"""
    command = [sys.executable, confined.__file__, str(EDGE), sys.executable, "-c", tries]
    seen = subprocess.run(command, capture_output=True, text=True, check=False)
    assert seen.stdout == "[True, True, True, True, -1]\n", seen.stderr


def test_the_gateway_runs_confined_and_tells_systemd(etc: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(etc / "notify"))
        notified.settimeout(20)
        with running(start_line(EDGE, etc), NOTIFY_SOCKET=str(etc / "notify")) as process:
            said = [notified.recv(4096) for _ in range(3)]
            process.send_signal(signal.SIGTERM)
            words, _ = process.communicate(timeout=20)
    assert said[0].startswith(b"READY=1\n")
    assert said[1:] == [b"WATCHDOG=1", b"WATCHDOG=1"], "one for each finished cycle"
    assert process.returncode == 0, words
    assert "not permitted" not in words
    assert (etc / "state" / "journal.db").exists()


def test_a_faulty_file_ends_with_the_code_that_is_not_started_again(etc: Path) -> None:
    (etc / "edge.toml").write_text("colour = 1\n")
    with running(start_line(EDGE, etc)) as process:
        words, _ = process.communicate(timeout=20)
    assert str(process.returncode) == dict(settings(EDGE))["RestartPreventExitStatus"], words


async def migrated(url: str) -> None:
    async with await Database.open(url, access="migrate") as database:
        await database.write(migrations.upgrade)


def test_the_office_runs_confined(etc: Path) -> None:
    asyncio.run(migrated(f"sqlite:///{etc}/books.db"))
    with running(start_line(CENTRAL, etc)) as process:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("serving ")), "")
        assert line, "it ended before it served"
        with urllib.request.urlopen(f"{line.split()[1]}/healthz", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        words, _ = process.communicate(timeout=20)
    assert process.returncode == 0, words
    assert "not permitted" not in words
