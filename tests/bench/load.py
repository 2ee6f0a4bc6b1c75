"""What a process takes of the machine, and what it could not take less of."""

import os
import subprocess
import sys
import time
import tty
from dataclasses import dataclass

import psutil

from tests.bench import wire

MB = 1_000_000
_POLLS = 300


@dataclass(frozen=True, slots=True)
class Load:
    """The share of one core that processes took over a while, each in percent; and their RSS."""

    cpu_pct: list[float]
    rss_mb: list[float]


class Watch:
    """Looks at processes between its making and `load`."""

    def __init__(self, pids: list[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._began_s = time.monotonic()
        self._before_s = [_cpu_s(process) for process in self._processes]

    def load(self) -> Load:
        """What they took since."""
        passed_s = time.monotonic() - self._began_s
        spent = zip(self._processes, self._before_s, strict=True)
        return Load(
            [(_cpu_s(process) - before_s) / passed_s * 100 for process, before_s in spent],
            [rss_mb(process.pid) for process in self._processes],
        )


def rss_mb(pid: int) -> float:
    """What a process has in memory, shared pages included."""
    return float(psutil.Process(pid).memory_info().rss / MB)


def bare_rss_mb(module: str) -> float:
    """What an interpreter has in memory that has imported this module and does nothing."""
    code = f"import sys, {module}; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        taken = rss_mb(process.pid)
        process.stdin.close()
    return taken


def bare_polling_pct(buses: int) -> float:
    """What polling takes without a thought: one write, one wait, one read at the wire's pace."""
    meter, line = os.openpty()
    try:
        tty.setraw(line)
        began_s = time.process_time()
        for _ in range(_POLLS):
            os.write(line, bytes(8))
            os.read(meter, 8)
            os.write(meter, bytes(79))
            time.sleep(0.001)
            os.read(line, 79)
        each_s = (time.process_time() - began_s) / _POLLS
    finally:
        os.close(meter)
        os.close(line)
    return buses * each_s / wire.poll_s() * 100


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
