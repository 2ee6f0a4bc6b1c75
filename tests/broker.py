"""A real mosquitto on a free loopback port, which tests may kill and start again.

Every user has a password and a block of rights of its own, as in the field. Nothing is kept on
disk by the broker: one that was killed has forgotten every retained message.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CELL = "c1"
CENTRE = "centre"
_MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
_READY_S = 10.0


@dataclass(frozen=True)
class Account:
    """Who may sign in, and what for: lines of rights as `write wl1/c1/g1/up/#`."""

    user: str
    password: str
    rights: tuple[str, ...]


def gateway(gateway_id: str, *, cell: str = CELL) -> Account:
    """A gateway: says its own `up`, hears its own `down`."""
    start = f"wl1/{cell}/{gateway_id}"
    rights = (f"write {start}/up/#", f"read {start}/down/#")
    return Account(gateway_id, f"secret of {gateway_id}", rights)


def centre(*, cell: str = CELL) -> Account:
    """The centre of a cell: hears every `up`, says every `down`."""
    rights = (f"read wl1/{cell}/+/up/#", f"write wl1/{cell}/+/down/#")
    return Account(CENTRE, "secret of the centre", rights)


INTRUDER = Account("intruder", "secret of the intruder", ("readwrite #",))  # a broker turned bad


class Broker:
    """One mosquitto. `kill` and `start` may follow one another; the port stays."""

    host = "127.0.0.1"

    def __init__(self, directory: Path, accounts: Sequence[Account]) -> None:
        if _MOSQUITTO is None:
            raise FileNotFoundError(
                "mosquitto is missing: apt-get install mosquitto (make test does)"
            )
        self.port = _free_port()
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.allow(accounts)
        as_root = ["user root"] if os.geteuid() == 0 else []  # or it could not read its own files
        lines = [f"listener {self.port} {self.host}", "allow_anonymous false", "persistence false",
                 f"password_file {directory / 'passwords'}", f"acl_file {directory / 'rights'}",
                 "set_tcp_nodelay true", "log_dest stderr", *as_root]  # fmt: skip
        (directory / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def allow(self, accounts: Sequence[Account]) -> None:
        """Write who may do what; a running broker hears of it by `reload`."""
        passwords, rights = self._directory / "passwords", self._directory / "rights"
        passwords.write_text("".join(f"{each.user}:{each.password}\n" for each in accounts))
        passwords.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
        blocks = ([f"user {each.user}", *(f"topic {right}" for right in each.rights)]
                  for each in accounts)  # fmt: skip
        rights.write_text("\n\n".join("\n".join(block) for block in blocks) + "\n")
        rights.chmod(0o600)

    async def start(self) -> None:
        """Start, and return once it accepts connections."""
        assert self._process is None, "it runs already"
        self._process = process = self._spawn()
        async with asyncio.timeout(_READY_S):
            while not await self._accepts():
                if process.poll() is not None:
                    raise RuntimeError((self._directory / "log").read_text())
                await asyncio.sleep(0.01)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        configuration = str(self._directory / "mosquitto.conf")
        command = ["setpriv", "--pdeathsig=KILL", str(_MOSQUITTO), "-c", configuration]
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def reload(self) -> None:
        """Read passwords and rights again, as after a revocation."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Gone at once, without a word to anyone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    async def __aenter__(self) -> "Broker":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
