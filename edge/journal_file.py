"""The journal's file: one SQLite connection and everything that is said over it.

Write-ahead log, synchronous FULL, exclusive lock: a commit is durable when it returns. NORMAL would
lose acknowledged commits at a power cut, and a second connection can corrupt a write-ahead log on
SQLite before 3.51.3. A file that cannot be trusted is a fault and never an empty start: forgotten
charges would be charged again. Everything here blocks and runs on the journal's worker thread.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from domain.ids import IdSource
from domain.wire.facts import chain
from domain.wire.fields import CHAIN_START
from domain.wire.messages import Watermark
from edge import journal_layout
from edge.faults import JournalFault
from edge.memory import CarriedClock, Commit, Recollection, Series, Written

T = TypeVar("T")

WatermarkOutcome = Literal["ignored", "taken", "rolled_back"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Facts to send, in order and without gaps; `texts` are canonical and may be empty."""

    journal_id: str
    first_seq: int
    chain_before: str
    texts: tuple[str, ...]

    @property
    def last_seq(self) -> int:
        """The seq of the last fact; `first_seq` − 1 where there is none."""
        return self.first_seq + len(self.texts) - 1


class JournalFile:
    """The connection and everything said over it. Every method runs on the worker thread."""

    def __init__(self, path: Path, new_id: IdSource) -> None:
        self._path, self._new_id = path, new_id
        self._lock = self._take_lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise self._fault(error) from error
        try:
            self.recollection = self._start()
        except (sqlite3.Error, ValidationError) as error:
            self.close()
            raise self._fault(error) from error
        except JournalFault:
            self.close()
            raise
        self.series = self.recollection.series

    def _fault(self, error: object) -> JournalFault:
        return JournalFault(f"日志账无法使用 / the journal cannot be used: {self._path}: {error}")

    def _take_lock(self) -> int:
        """Hold a lock file for as long as the process lives, so that nobody writes beside us."""
        try:
            lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._fault(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise self._fault("另一进程正在使用 / another process holds it") from error
        return lock

    def _pragma(self, text: str, expected: object = None) -> None:
        row = self._db.execute(f"PRAGMA {text}").fetchone()
        if expected is not None and (row is None or row[0] != expected):
            raise self._fault(f"PRAGMA {text}: {row} ≠ {expected}")

    def _start(self) -> Recollection:
        self._pragma("locking_mode=EXCLUSIVE", "exclusive")
        self._pragma("quick_check", "ok")
        fresh = not self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if not fresh:
            self._pragma("application_id", journal_layout.APPLICATION_ID)
            self._pragma("user_version", journal_layout.LAYOUT)
        self._pragma("journal_mode=WAL", "wal")
        self._pragma("synchronous=FULL")
        self._pragma("synchronous", 2)
        self._db.execute("BEGIN IMMEDIATE")
        if fresh:
            journal_layout.create(self._db, journal_id=self._new_id())
        self._db.execute("UPDATE series SET boot = boot + 1")
        found = journal_layout.recall(self._db)
        if found is None:
            raise self._fault("series")
        self._check_chain(found.series)
        self._db.execute("COMMIT")
        return found

    def _check_chain(self, series: Series) -> None:
        """What still has to be sent must be what was written: a changed fact would be booked."""
        seq = max(series.held_seq, self._base()[0])
        before = self._chain_at(seq)
        for found, text, kept in self._db.execute(
            "SELECT seq, text, chain FROM facts WHERE seq > ? ORDER BY seq", (seq,)
        ):
            seq += 1
            before = chain(before or CHAIN_START, text)
            if found != seq or before != kept:
                raise self._fault(f"第 {seq} 条不连续或被改动 / fact {seq} is missing or altered")

    def _base(self) -> tuple[int, str]:
        row = self._db.execute("SELECT base_seq, base_chain FROM series").fetchone()
        return int(row[0]), str(row[1])

    def _chain_at(self, seq: int) -> str | None:
        """The chain after fact `seq`; None where that fact is not kept any more, or not yet."""
        base_seq, base_chain = self._base()
        if seq == base_seq:
            return base_chain
        row = self._db.execute("SELECT chain FROM facts WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else str(row[0])

    def _transaction(self, work: Callable[[], T]) -> T:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = work()
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return result

    # --- what the journal is asked -------------------------------------------------------------

    def commit(self, commit: Commit) -> int:
        head = self.series.head_seq
        numbers = [fact.seq for fact in commit.facts]
        assert numbers == list(range(head + 1, head + 1 + len(numbers))), (head, numbers)
        self._transaction(lambda: self._write(commit))
        self.series = replace(self.series, head_seq=head + len(numbers))
        return self.series.head_seq

    def _write(self, commit: Commit) -> None:
        self._write_facts(commit.facts)
        journal_layout.write_rows(self._db, commit)

    def _write_facts(self, facts: Iterable[Written]) -> None:
        before = self._chain_at(self.series.head_seq)
        assert before is not None
        rows = []
        for fact in facts:
            before = chain(before, fact.text)
            rows.append((fact.seq, fact.kind, fact.text, before))
        self._db.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", rows)

    def facts_after(self, seq: int, limit_facts: int, limit_bytes: int) -> Outgoing:
        seq = max(seq, self._base()[0])
        before = self._chain_at(seq)
        texts: list[str] = []
        size = 0
        for (text,) in self._db.execute(
            "SELECT text FROM facts WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit_facts)
        ):
            size += len(text.encode())
            if texts and size > limit_bytes:
                break
            texts.append(text)
        return Outgoing(self.series.journal_id, seq + 1, before or CHAIN_START, tuple(texts))

    def watermark(self, mark: Watermark) -> WatermarkOutcome:
        series = self.series
        if mark.journal_id != series.journal_id:
            return "ignored"
        if (mark.books_epoch, mark.held_seq) < (series.books_epoch, series.held_seq):
            return "ignored"
        known = self._chain_at(mark.held_seq) if mark.held_seq else None
        if mark.held_seq > series.head_seq or known not in (None, mark.chain):
            self.series = self._transaction(self._new_series)
            return "rolled_back"
        held = replace(
            series,
            books_epoch=mark.books_epoch,
            held_seq=mark.held_seq,
            safe_seq=max(series.safe_seq, min(mark.safe_seq, mark.held_seq)),
        )
        if held != series:
            self._transaction(lambda: self._hold(held))
            self.series = held
        return "taken"

    def _hold(self, held: Series) -> None:
        self._db.execute(
            "UPDATE series SET books_epoch = ?, held_seq = ?, safe_seq = ?",
            (held.books_epoch, held.held_seq, held.safe_seq),
        )
        self._prune(held.safe_seq)

    def _prune(self, safe_seq: int) -> None:
        kept = self._chain_at(safe_seq)
        if kept is None or safe_seq <= self._base()[0]:
            return
        self._db.execute("UPDATE series SET base_seq = ?, base_chain = ?", (safe_seq, kept))
        self._db.execute("DELETE FROM facts WHERE seq <= ?", (safe_seq,))

    def prune(self, safe_seq: int) -> None:
        self._transaction(lambda: self._prune(min(safe_seq, self.series.held_seq)))

    def _new_series(self) -> Series:
        """Put this journal's facts aside and begin another: the card went back in time, or was
        cloned, and numbers that the centre has seen must not be given again."""
        old = self.series
        self._db.execute(
            "INSERT OR IGNORE INTO closed_facts SELECT ?, seq, kind, text, chain FROM facts",
            (old.journal_id,),
        )
        self._db.execute("DELETE FROM facts")
        new = Series(self._new_id(), "rolled_back", old.journal_id, old.boot)
        self._db.execute(
            "UPDATE series SET journal_id = ?, reason = ?, previous_journal_id = ?, base_seq = 0,"
            " base_chain = ?, books_epoch = 0, held_seq = 0, safe_seq = 0",
            (new.journal_id, new.reason, new.previous_journal_id, CHAIN_START),
        )
        return new

    def keep_clock(self, floor_ms: int, carried: CarriedClock | None) -> None:
        self._transaction(lambda: journal_layout.write_clock(self._db, floor_ms, carried))

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)
