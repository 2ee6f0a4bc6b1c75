"""The journal: numbered facts, and the rows that must survive with them, kept on one worker thread.

The performer waits for a commit; the buses do not. What the file is and why stands in
`edge/journal_file.py`.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from domain.ids import IdSource
from domain.wire.facts import BATCH_FACTS_MAX, BATCH_TEXT_MAX
from domain.wire.messages import Watermark
from edge.faults import JournalFault
from edge.journal_file import JournalFile, Outgoing, WatermarkOutcome
from edge.memory import CarriedClock, Commit, Recollection, Series

P = ParamSpec("P")
T = TypeVar("T")


class Journal:
    """The journal as the rest of the gateway sees it. Made by `Journal.open`.

    Every method raises JournalFault when the disk or the file fails; after a failed write nothing
    more is written, because what is in memory no longer matches what is kept.
    """

    def __init__(self, worker: ThreadPoolExecutor, file: JournalFile) -> None:
        self._worker, self._file = worker, file
        self._broken = False

    @classmethod
    async def open(cls, path: Path, *, new_id: IdSource) -> tuple["Journal", Recollection]:
        """Open or make the journal at `path`; counts this start (`boot`) and returns what it knows.

        A fresh one gets its journal_id from `new_id`; its first fact is written by the first cycle.
        """
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        try:
            loop = asyncio.get_running_loop()
            file = await loop.run_in_executor(worker, JournalFile, path, new_id)
        except BaseException:
            worker.shutdown(wait=False)
            raise
        return cls(worker, file), file.recollection

    @property
    def series(self) -> Series:
        """Which journal this is, how far it goes, and how far the centre holds it."""
        return self._file.series

    async def commit(self, commit: Commit) -> int:
        """Write everything in one durable transaction; the new head seq. Facts must join."""
        return await self._do(self._file.commit, commit)

    async def facts_after(
        self, seq: int, *, limit_facts: int = BATCH_FACTS_MAX, limit_bytes: int = BATCH_TEXT_MAX
    ) -> Outgoing:
        """The facts after `seq`, at least one where there is one, within both limits."""
        return await self._do(self._file.facts_after, seq, limit_facts, limit_bytes)

    async def watermark(self, mark: Watermark) -> WatermarkOutcome:
        """Take the centre's word: forget what is safe, or begin a new series if the card is older
        than the books. A lower (books_epoch, held_seq) and another journal's are ignored."""
        return await self._do(self._file.watermark, mark)

    async def prune(self, safe_seq: int) -> None:
        """Forget facts up to `safe_seq`, never one that the centre does not hold."""
        await self._do(self._file.prune, safe_seq)

    async def keep_clock(self, floor_ms: int, carried: CarriedClock | None) -> None:
        """Remember an instant that has passed, and how to carry the clock over a restart."""
        await self._do(self._file.keep_clock, floor_ms, carried)

    async def close(self) -> None:
        """Close the file and let the lock go. Closing twice does nothing."""
        self._broken = True
        worker, file = self._worker, self._file
        try:
            await asyncio.get_running_loop().run_in_executor(worker, file.close)
        except RuntimeError:
            return  # the worker is gone: closed before
        worker.shutdown()

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._broken:
            raise JournalFault("日志账已停用 / the journal is closed or has failed before")
        call = asyncio.get_running_loop().run_in_executor(
            self._worker, lambda: work(*args, **kwargs)
        )
        try:
            return await call
        except (sqlite3.Error, OSError) as error:
            self._broken = True
            raise JournalFault(f"日志账写入失败 / the journal failed: {error}") from error
