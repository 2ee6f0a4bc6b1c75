"""`bus`: how near the gateway's bus tasks come to what the wire allows, on one bus and on four.

The buses are pseudo-terminals of a simulator process of their own, as strict as meters may be:
a request that comes within t3.5 of the last byte is ignored there, and counted.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from edge.bus.line import Line, LineSettings
from edge.bus.scheduler import BusTask
from edge.bus.station import MeterSlot
from edge.events import BusEvent, Missed, Polled
from tests.bench import wire
from tests.bench.figures import Figure, tell

BUSES, METERS, CYCLES = 4, 30, 5
START_S = 15.0
GOAL = 1.05
CAMPUS = f"""
state_dir = "state"
control = "control.sock"
turnaround_ms = {wire.WIRE.turnaround_ms}
[[bus]]
building = "b1"
id = "u{{n}}"
link = "u{{n}}"
repeat = {BUSES}
meters = {METERS}
first_number = "310000000001"
"""


def run() -> Iterator[Figure]:
    """All figures of this bench."""
    with tempfile.TemporaryDirectory(prefix="wl-") as root, _meters(Path(root)):
        for count in (1, BUSES):
            yield from asyncio.run(_cycles(Path(root), count))


@contextmanager
def _meters(root: Path) -> Iterator[None]:
    (root / "campus.toml").write_text(CAMPUS)
    argv = [sys.executable, "-m", "simulator", "run", str(root / "campus.toml")]
    with (root / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while not all((root / f"u{n}").exists() for n in range(1, BUSES + 1)):
            assert process.poll() is None, (root / "log").read_text()
            assert time.monotonic() < deadline, "the serial devices did not appear"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


class _Polling:
    """The owner of one bus, and when its first meter was read."""

    def __init__(self, root: Path, bus: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._first = f"p{bus}-1"
        self.read_s: list[float] = []
        self.missed = 0
        profile = wire.meter_profile()
        self.task = BusTask(
            f"u{bus}",
            line=Line(LineSettings(str(root / f"u{bus}"))),
            slots=[
                MeterSlot(f"p{bus}-{n}", n, f"{310000000000 + (bus - 1) * METERS + n}", profile)
                for n in range(1, METERS + 1)
            ],
            emit=self._emit,
            mono_ms=lambda: int(self._loop.time() * 1000),
        )

    def _emit(self, event: BusEvent) -> None:
        if isinstance(event, Polled) and event.point_id == self._first:
            self.read_s.append(self._loop.time())
        self.missed += isinstance(event, Missed)

    @property
    def cycle_s(self) -> float:
        """The median cycle; the first one also asks every meter who it is, and does not count."""
        return median(after - before for before, after in pairwise(self.read_s[1:]))


async def _cycles(root: Path, count: int) -> list[Figure]:
    tell(f"bus: {CYCLES} cycles of {METERS} meters on {count}")
    before = [_counts(root, n) for n in range(1, count + 1)]
    buses = [_Polling(root, n) for n in range(1, count + 1)]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(bus.task.run()) for bus in buses]
        while min(len(bus.read_s) for bus in buses) < CYCLES + 2:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        for task in running:
            task.cancel()
    wrong = sum(bus.missed for bus in buses)
    for n, counts in enumerate(before, 1):
        now = _counts(root, n)
        wrong += sum(now[kind] - counts[kind] for kind in ("merged", "collisions", "damaged"))
    slowest_s = max(bus.cycle_s for bus in buses)
    polls = METERS * sum(len(bus.read_s) for bus in buses)
    note = f"median of {CYCLES} cycles, slowest of {count} buses; limit: the wire"
    return [
        Figure(f"bus.cycle_{count}", slowest_s, "s", wire.round_s(METERS), GOAL, "ratio <=", note),
        Figure(
            f"bus.wrong_{count}", wrong, "polls", polls, 0, "value <=",
            "lost, damaged, or begun within t3.5; limit: all polls",
        ),
    ]  # fmt: skip


def _counts(root: Path, bus: int) -> Mapping[str, Any]:
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(root / "control.sock"))
        control.sendall(json.dumps({"bus": f"u{bus}", "get": True}).encode() + b"\n")
        with control.makefile(encoding="utf-8") as answers:
            counts: Mapping[str, Any] = json.loads(answers.readline())["counts"]
    return counts
