"""Work that goes on beside the pages, supervised: a fault is logged and tried again, more and more
slowly; our own mistake (an assert, something forgotten in the books) ends the process.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from central.tally import ForgottenError

_log = structlog.get_logger("jobs")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
CALM_S = 60.0  # a job that ran this long starts again with the first pause

Job = Callable[[], Awaitable[None]]


class Jobs:
    """The running jobs. `fatal` is done when the process must end; `faults` holds what ails."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.faults: dict[str, str] = {}
        self.fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, name: str, job: Job) -> None:
        """Run `job` until it returns; after a fault, run it again."""
        task = asyncio.get_running_loop().create_task(self._supervise(name, job), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def every(self, name: str, seconds: float, job: Job) -> None:
        """Run `job` now and then again `seconds` after each end."""

        async def repeat() -> None:
            while True:
                await job()
                self.faults.pop(name, None)
                await asyncio.sleep(seconds)

        self.start(name, repeat)

    async def stop(self) -> None:
        """Cancel every job and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self.fatal.done():
            self.fatal.cancel()

    async def _supervise(self, name: str, job: Job) -> None:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            began = loop.time()
            try:
                await job()
                self.faults.pop(name, None)
                return
            except (AssertionError, ForgottenError) as error:
                self._end_process(name, error)
                return
            except Exception as error:  # noqa: BLE001 - logged, shown, and tried again
                self.faults[name] = f"{type(error).__name__}: {error}"
                _log.exception("job failed", job=name, again_in_s=pause_s)
            if loop.time() - began > CALM_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _end_process(self, name: str, error: Exception) -> None:
        _log.critical("a mistake of ours; the process ends", job=name, exc_info=error)
        self.faults[name] = f"{type(error).__name__}: {error}"
        if not self.fatal.done():
            self.fatal.set_exception(error)
