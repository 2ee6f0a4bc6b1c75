"""Starting, watching and stopping the processes of a campus on one machine.

Each child writes its own log, dies with its parent, and is stopped in the reverse order of its
start, so that gateways can still say goodbye to the broker.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.demo.files import Folder, Ports
from simulator.demo.plan import Plan

BROKER, METERS, CENTRE = "broker", "meters", "centre"
STOP_S = 10.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class StartFault(Exception):  # noqa: N818 - faults are called faults throughout
    """A process could not be started or ended too soon; the message says which and why."""


@dataclass(slots=True)
class Child:
    """One process of the campus, the log it writes and the folder it runs in."""

    name: str
    argv: Sequence[str]
    log: Path
    home: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it (again); its output is appended to its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                env=dict(environment),
                cwd=self.home,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Ask it to end; kill it where it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True)
class Fleet:
    """All processes of a campus by name: broker, meters, centre, and a gateway a building.

    `python` is the interpreter that has wattledger installed.
    """

    folder: Folder
    plan: Plan
    ports: Ports
    python: str = sys.executable
    children: dict[str, Child] = field(default_factory=dict)

    def __post_init__(self) -> None:
        here, python = self.folder, self.python
        self._add(BROKER, ["mosquitto", "-c", str(here.broker_conf)])
        self._add(METERS, [python, "-m", "simulator", "run", str(here.campus_toml)])
        self._add(CENTRE, [python, "-m", "central", "serve", "--config", str(here.central_toml)])
        for gateway_id in self.gateways:
            edge_toml = str(here.edge_toml(gateway_id))
            self._add(gateway_id, [python, "-m", "edge", "run", "--config", edge_toml])

    @property
    def gateways(self) -> list[str]:
        return [self.plan.gateway_id(building) for building in self.plan.building_numbers()]

    def _add(self, name: str, argv: Sequence[str]) -> None:
        self.children[name] = Child(name, argv, self.folder.log(name), self.folder.root)

    def __getitem__(self, name: str) -> Child:
        return self.children[name]

    def start(self, name: str) -> None:
        """Start one process; the broker is waited for, because it answers at once or never."""
        environment = os.environ | {
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "PYTHONUNBUFFERED": "1",
        }
        self[name].start(environment)
        if name == BROKER:
            self.wait_for_port(name, self.ports.mqtt)

    def wait_for_port(self, name: str, port: int, timeout_s: float = 15.0) -> None:
        """Until something listens there; raises StartFault when `name` ended or time is up."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.check(name)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise StartFault(f"{name}: 端口 {port} 无应答 / nothing answers on port {port}")

    def wait_for_meters(self, timeout_s: float = 30.0) -> None:
        """Until every serial device of the virtual meters stands."""
        wanted = [
            self.folder.ports_dir / self.plan.bus_id(building, bus)
            for building in self.plan.building_numbers()
            for bus in self.plan.bus_numbers()
        ]
        deadline = time.monotonic() + timeout_s
        while not all(link.exists() for link in wanted):
            self.check(METERS)
            if time.monotonic() > deadline:
                raise StartFault("meters: 串口没有出现 / the serial devices did not appear")
            time.sleep(0.05)

    def check(self, *names: str) -> None:
        """Raise StartFault for any of these (all, where none is named) that has ended."""
        for name in names or tuple(self.children):
            child = self[name]
            if child.process is not None and not child.running:
                raise StartFault(
                    f"{name}: 进程意外结束 / ended unexpectedly "
                    f"({child.process.returncode}); {child.log}:\n{child.last_words()}"
                )

    def stop(self) -> None:
        """Stop everything, last started first."""
        for child in reversed(self.children.values()):
            child.stop()
