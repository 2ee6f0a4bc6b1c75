"""A whole campus as a journey drives it: its processes, its meters, its gateways, its pages."""

import json
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from central.database import Database
from simulator.demo import files, seed
from simulator.demo.files import Folder
from simulator.demo.plan import Plan
from simulator.demo.processes import BROKER, CENTRE, METERS, Fleet

T = TypeVar("T")


@dataclass(slots=True)
class Campus:
    """Real processes in one folder, all started from the same Python."""

    folder: Folder
    plan: Plan
    fleet: Fleet
    logins: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.fleet.ports.web}"

    def meter(self, meter_id: str, **request: object) -> dict[str, Any]:
        """What a virtual meter truly is (or is told to be), past every wire of the system."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.folder.root / "campus.sock"))
            asked = {"meter": meter_id} | (request or {"get": True})
            control.sendall(json.dumps(asked).encode() + b"\n")
            with control.makefile(encoding="utf-8") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        assert answer["ok"], answer
        return answer

    def relay(self, meter_id: str) -> str:
        """Where a meter's contact truly stands."""
        return str(self.truth(meter_id)["relay"])

    def truth(self, meter_id: str) -> dict[str, Any]:
        answer = self.meter(meter_id)
        inner = answer.get("meter")
        return inner if isinstance(inner, dict) else answer

    def gateway(self, gateway_id: str) -> dict[str, Any]:
        """What a gateway says of itself at its own door."""
        done = self.command(
            "edge", "status", "--json", "--config", str(self.folder.edge_toml(gateway_id))
        )
        assert done.returncode == 0, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def point(self, gateway_id: str, meter_id: str) -> dict[str, Any]:
        points = self.gateway(gateway_id)["points"]
        (found,) = [point for point in points if point["meter_id"] == meter_id]
        return dict(found)

    def command(self, module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command line of the installed wheel."""
        return subprocess.run(
            [self.fleet.python, "-m", module, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder.root,
            timeout=60,
        )

    def audit(self) -> "subprocess.CompletedProcess[str]":
        return self.command("central", "audit", "--json", "--config", str(self.folder.central_toml))

    def stop(self) -> None:
        self.fleet.stop()


def wait_for(what: str, probe: Callable[[], T | None], timeout_s: float) -> T:
    """What `probe` returns once it is not None or False; fails in words when time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.05)


async def open_campus(root: Path, plan: Plan, python: Path) -> Campus:
    """Everything started as `make demo` starts it; the meters may not all be live yet."""
    folder = Folder(root)
    ports = files.prepare(folder, plan, web_port=None)
    logins = files.logins(folder)
    campus = Campus(folder, plan, Fleet(folder, plan, ports, str(python)), logins)
    try:
        campus.fleet.start(BROKER)
        migrated = campus.command("central", "migrate", "--config", str(folder.central_toml))
        assert migrated.returncode == 0, migrated.stderr
        database = await Database.open(f"sqlite:///{folder.root / 'books.db'}")
        async with database:
            await seed.fill(
                database, plan, ports_dir=folder.ports_dir, logins=logins, progress=lambda _: None
            )
        campus.fleet.start(METERS)
        campus.fleet.wait_for_meters()
        campus.fleet.start(CENTRE)
        campus.fleet.wait_for_port(CENTRE, ports.web)
        for gateway_id in campus.fleet.gateways:
            campus.fleet.start(gateway_id)
    except BaseException:
        campus.stop()
        raise
    return campus
