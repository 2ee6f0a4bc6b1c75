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

from pydantic import TypeAdapter, ValidationError

from domain.ids import IdSource
from domain.wire.facts import chain
from domain.wire.fields import CHAIN_START
from domain.wire.messages import Watermark
from edge.faults import JournalFault
from edge.memory import (
    Alarm,
    CarriedClock,
    Commit,
    PointMemory,
    PurseMemory,
    Recollection,
    Series,
    SupplyHeld,
    Taken,
    Written,
)

T = TypeVar("T")

WatermarkOutcome = Literal["ignored", "taken", "rolled_back"]

_APPLICATION_ID = 0x574C4A31  # "WLJ1": another program's database is not ours to write
_LAYOUT = 1
_TABLES = """
CREATE TABLE series (
    one INTEGER PRIMARY KEY CHECK (one = 1), journal_id TEXT NOT NULL, reason TEXT NOT NULL,
    previous_journal_id TEXT, boot INTEGER NOT NULL, base_seq INTEGER NOT NULL,
    base_chain TEXT NOT NULL, books_epoch INTEGER NOT NULL, held_seq INTEGER NOT NULL,
    safe_seq INTEGER NOT NULL, floor_ms INTEGER NOT NULL, carried TEXT) STRICT;
CREATE TABLE facts (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, chain TEXT NOT NULL) STRICT;
CREATE TABLE closed_facts (
    journal_id TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
    chain TEXT NOT NULL, PRIMARY KEY (journal_id, seq)) STRICT;
CREATE TABLE points (point_id TEXT PRIMARY KEY, memory TEXT NOT NULL) STRICT;
CREATE TABLE purses (purse_id TEXT PRIMARY KEY, memory TEXT NOT NULL) STRICT;
CREATE TABLE reservations_answered (
    purse_id TEXT NOT NULL, reservation_id TEXT NOT NULL, accepted INTEGER NOT NULL,
    PRIMARY KEY (purse_id, reservation_id)) STRICT;
CREATE TABLE supply_intents (point_id TEXT PRIMARY KEY, memory TEXT NOT NULL) STRICT;
CREATE TABLE intents_taken (
    kind TEXT NOT NULL, key TEXT NOT NULL, memory TEXT NOT NULL, PRIMARY KEY (kind, key)) STRICT;
CREATE TABLE alarms (alarm_id TEXT PRIMARY KEY, memory TEXT NOT NULL) STRICT;
"""
_POINT = TypeAdapter(PointMemory)
_PURSE = TypeAdapter(PurseMemory)
_SUPPLY = TypeAdapter(SupplyHeld)
_TAKEN = TypeAdapter(Taken)
_ALARM = TypeAdapter(Alarm)
_CARRIED = TypeAdapter(CarriedClock)


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
            self._pragma("application_id", _APPLICATION_ID)
            self._pragma("user_version", _LAYOUT)
        self._pragma("journal_mode=WAL", "wal")
        self._pragma("synchronous=FULL")
        self._pragma("synchronous", 2)
        self._db.execute("BEGIN IMMEDIATE")
        if fresh:
            self._create()
        self._db.execute("UPDATE series SET boot = boot + 1")
        found = self._recall()
        self._check_chain(found.series)
        self._db.execute("COMMIT")
        return found

    def _create(self) -> None:
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                self._db.execute(statement)
        self._pragma(f"application_id={_APPLICATION_ID}")
        self._pragma(f"user_version={_LAYOUT}")
        self._db.execute(
            "INSERT INTO series VALUES (1, ?, 'first', NULL, 0, 0, ?, 0, 0, 0, 0, NULL)",
            (self._new_id(), CHAIN_START),
        )

    def _recall(self) -> Recollection:
        row = self._db.execute(
            "SELECT journal_id, reason, previous_journal_id, boot, base_seq, books_epoch,"
            " held_seq, safe_seq, floor_ms, carried FROM series"
        ).fetchone()
        if row is None:
            raise self._fault("series")
        head = self._db.execute("SELECT max(seq) FROM facts").fetchone()[0]
        series = Series(
            journal_id=row[0],
            reason=row[1],
            previous_journal_id=row[2],
            boot=row[3],
            head_seq=row[4] if head is None else head,
            books_epoch=row[5],
            held_seq=row[6],
            safe_seq=row[7],
        )
        return Recollection(
            series=series,
            floor_ms=row[8],
            carried=None if row[9] is None else _CARRIED.validate_json(row[9]),
            points=self._rows("points", _POINT),
            purses=tuple(self._with_answers(p) for p in self._rows("purses", _PURSE)),
            supply=self._rows("supply_intents", _SUPPLY),
            taken=self._rows("intents_taken", _TAKEN),
            alarms=self._rows("alarms", _ALARM),
        )

    def _rows(self, table: str, adapter: TypeAdapter[T]) -> tuple[T, ...]:
        found = self._db.execute(f"SELECT memory FROM {table}")  # noqa: S608 (our own names)
        return tuple(adapter.validate_json(text) for (text,) in found)

    def _with_answers(self, memory: PurseMemory) -> PurseMemory:
        rows = self._db.execute(
            "SELECT reservation_id, accepted FROM reservations_answered WHERE purse_id = ?",
            (memory.purse.purse_id,),
        )
        return replace(memory, answered={key: bool(accepted) for key, accepted in rows})

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
        self._put("points", ((p.point_id, _POINT.dump_json(p)) for p in commit.points))
        for memory in commit.purses:
            self._write_purse(memory)
        self._put("supply_intents", ((s.point_id, _SUPPLY.dump_json(s)) for s in commit.supply))
        self._db.executemany(
            "INSERT OR REPLACE INTO intents_taken VALUES (?, ?, ?)",
            [(t.kind, t.key, _TAKEN.dump_json(t).decode()) for t in commit.taken],
        )
        self._put("alarms", ((a.alarm_id, _ALARM.dump_json(a)) for a in commit.alarms_raised))
        self._db.executemany(
            "DELETE FROM alarms WHERE alarm_id = ?", [(key,) for key in commit.alarms_cleared]
        )
        self._db.execute("UPDATE series SET floor_ms = max(floor_ms, ?)", (commit.floor_ms,))

    def _write_facts(self, facts: Iterable[Written]) -> None:
        before = self._chain_at(self.series.head_seq)
        assert before is not None
        rows = []
        for fact in facts:
            before = chain(before, fact.text)
            rows.append((fact.seq, fact.kind, fact.text, before))
        self._db.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", rows)

    def _write_purse(self, memory: PurseMemory) -> None:
        purse_id = memory.purse.purse_id
        self._put("purses", [(purse_id, _PURSE.dump_json(replace(memory, answered={})))])
        self._db.executemany(
            "INSERT OR IGNORE INTO reservations_answered VALUES (?, ?, ?)",
            [(purse_id, key, int(accepted)) for key, accepted in memory.answered.items()],
        )

    def _put(self, table: str, rows: Iterable[tuple[str, bytes]]) -> None:
        self._db.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?)",  # noqa: S608 (our own names)
            [(key, memory.decode()) for key, memory in rows],
        )

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
        text = None if carried is None else _CARRIED.dump_json(carried).decode()
        self._transaction(
            lambda: self._db.execute(
                "UPDATE series SET floor_ms = max(floor_ms, ?), carried = ?", (floor_ms, text)
            )
        )

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)
