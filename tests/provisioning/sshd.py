"""A real OpenSSH server on loopback, with keys and a configuration of its own."""

import contextlib
import getpass
import os
import queue
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SSHD = Path("/usr/sbin/sshd")
_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
HostKey {folder}/host-ecdsa
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel INFO
# Whatever this user's shell does at home is not part of the test.
SetEnv HOME={folder}
"""


@dataclass(frozen=True)
class Server:
    """A running server and the keys it knows. `pi` signs in to a played Raspberry Pi, `sleeper`
    to a machine that answers no command in time, `mute` to one that runs none."""

    folder: Path
    port: int
    _log: "queue.SimpleQueue[str]"

    def says(self, text: str) -> None:
        """Wait until the server has logged `text`."""
        seen = []
        while text not in (line := self._log.get(timeout=10)):
            seen.append(line)
            assert line, f"the server ended and never said {text!r}: {seen}"

    def forget(self) -> None:
        """Drop what was logged so far."""
        while not self._log.empty():
            self._log.get_nowait()

    @property
    def user(self) -> str:
        return getpass.getuser()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.folder / "host.pub")

    def known_hosts(self, name: str, *, key: str = "host", mark: str = "") -> Path:
        """A known_hosts file of that name that records `key` for this server."""
        path = self.folder / name
        public = (self.folder / f"{key}.pub").read_text()
        path.write_text(f"{mark}[127.0.0.1]:{self.port} {public}")
        return path


def make_key(path: Path, *, passphrase: str = "", kind: str = "ed25519", bits: int = 256) -> None:
    """A key pair at `path` and `path`.pub."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", passphrase, "-f", str(path)],
        check=True,
    )


def fingerprint(public: Path) -> str:
    """As a technician reads it on the machine itself."""
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(public)], check=True, capture_output=True, text=True
    ).stdout
    return printed.split()[1]


@contextlib.contextmanager
def serving(folder: Path, *, played: Mapping[str, str]) -> Iterator[Server]:
    """Serve until the block ends. `played`: what the Raspberry Pi behind key `pi` answers to each
    command, beside the greeting."""
    for name in ("host", "stranger", "pi", "real", "sleeper", "mute", "unknown"):
        make_key(folder / name)
    make_key(folder / "host-ecdsa", kind="ecdsa")
    _authorize(folder, played)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, folder=folder))
    with subprocess.Popen(
        [SSHD, "-D", "-e", "-f", config], stderr=subprocess.PIPE, text=True
    ) as process:
        log: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=_drain, args=(process, log))
        reader.start()
        try:
            server = Server(folder, port, log)
            server.says("listening")
            yield server
        finally:
            process.terminate()
            reader.join()


def _drain(process: subprocess.Popen[str], log: "queue.SimpleQueue[str]") -> None:
    """A full pipe would stop the server."""
    assert process.stderr is not None
    for line in process.stderr:
        log.put(line)
    log.put("")


def _authorize(folder: Path, played: Mapping[str, str]) -> None:
    commands = {
        "pi": f"sh {_player(folder, played)}",
        "sleeper": "sleep 60",
        "mute": "/usr/sbin/nologin",
    }
    lines = [
        f'command="{command}" {(folder / f"{name}.pub").read_text()}'
        for name, command in commands.items()
    ]
    lines.append((folder / "real.pub").read_text())
    (folder / "authorized").write_text("".join(lines))


def _player(folder: Path, played: Mapping[str, str]) -> Path:
    """A script that answers each command as another machine would, and fails the others."""
    cases = []
    for number, (command, answer) in enumerate(played.items()):
        (folder / f"answer-{number}").write_text(answer)
        cases.append(f"{shlex.quote(command)}) cat {folder}/answer-{number} ;;")
    path = folder / "player.sh"
    path.write_text("\n".join(['case "$SSH_ORIGINAL_COMMAND" in', *cases, "*) exit 1 ;;", "esac"]))
    return path
