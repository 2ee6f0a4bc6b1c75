"""The journal's layout: its tables, and the rows of each as the values they hold.

Facts are kept as the text that was chained; memories as JSON of their dataclasses, one row each.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from pydantic import TypeAdapter

from domain.wire.fields import CHAIN_START
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
)

T = TypeVar("T")

APPLICATION_ID = 0x574C4A31  # "WLJ1": another program's database is not ours to write
LAYOUT = 1
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


def create(db: sqlite3.Connection, *, journal_id: str) -> None:
    """Make the tables of a new journal, inside the caller's transaction."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={LAYOUT}")
    db.execute(
        "INSERT INTO series VALUES (1, ?, 'first', NULL, 0, 0, ?, 0, 0, 0, 0, NULL)",
        (journal_id, CHAIN_START),
    )


def recall(db: sqlite3.Connection) -> Recollection | None:
    """Everything a start needs to know; None where the journal does not say which one it is.

    Raises pydantic.ValidationError for a row that is not what it should be.
    """
    row = db.execute(
        "SELECT journal_id, reason, previous_journal_id, boot, base_seq, books_epoch,"
        " held_seq, safe_seq, floor_ms, carried FROM series"
    ).fetchone()
    if row is None:
        return None
    head = db.execute("SELECT max(seq) FROM facts").fetchone()[0]
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
        points=_rows(db, "points", _POINT),
        purses=tuple(_with_answers(db, purse) for purse in _rows(db, "purses", _PURSE)),
        supply=_rows(db, "supply_intents", _SUPPLY),
        taken=_rows(db, "intents_taken", _TAKEN),
        alarms=_rows(db, "alarms", _ALARM),
    )


def write_rows(db: sqlite3.Connection, commit: Commit) -> None:
    """Write a commit's rows (its facts are chained by the journal itself)."""
    _put(db, "points", ((p.point_id, _POINT.dump_json(p)) for p in commit.points))
    for memory in commit.purses:
        _write_purse(db, memory)
    _put(db, "supply_intents", ((s.point_id, _SUPPLY.dump_json(s)) for s in commit.supply))
    db.executemany(
        "INSERT OR REPLACE INTO intents_taken VALUES (?, ?, ?)",
        [(t.kind, t.key, _TAKEN.dump_json(t).decode()) for t in commit.taken],
    )
    _put(db, "alarms", ((a.alarm_id, _ALARM.dump_json(a)) for a in commit.alarms_raised))
    db.executemany(
        "DELETE FROM alarms WHERE alarm_id = ?", [(key,) for key in commit.alarms_cleared]
    )
    db.execute("UPDATE series SET floor_ms = max(floor_ms, ?)", (commit.floor_ms,))


def write_clock(db: sqlite3.Connection, floor_ms: int, carried: CarriedClock | None) -> None:
    """Keep a floor of time, which never goes back, and what a restart may carry the clock by."""
    text = None if carried is None else _CARRIED.dump_json(carried).decode()
    db.execute("UPDATE series SET floor_ms = max(floor_ms, ?), carried = ?", (floor_ms, text))


def _rows(db: sqlite3.Connection, table: str, adapter: TypeAdapter[T]) -> tuple[T, ...]:
    found = db.execute(f"SELECT memory FROM {table}")  # noqa: S608 (our own names)
    return tuple(adapter.validate_json(text) for (text,) in found)


def _with_answers(db: sqlite3.Connection, memory: PurseMemory) -> PurseMemory:
    rows = db.execute(
        "SELECT reservation_id, accepted FROM reservations_answered WHERE purse_id = ?",
        (memory.purse.purse_id,),
    )
    return replace(memory, answered={key: bool(accepted) for key, accepted in rows})


def _write_purse(db: sqlite3.Connection, memory: PurseMemory) -> None:
    purse_id = memory.purse.purse_id
    _put(db, "purses", [(purse_id, _PURSE.dump_json(replace(memory, answered={})))])
    db.executemany(
        "INSERT OR IGNORE INTO reservations_answered VALUES (?, ?, ?)",
        [(purse_id, key, int(accepted)) for key, accepted in memory.answered.items()],
    )


def _put(db: sqlite3.Connection, table: str, rows: Iterable[tuple[str, bytes]]) -> None:
    db.executemany(
        f"INSERT OR REPLACE INTO {table} VALUES (?, ?)",  # noqa: S608 (our own names)
        [(key, memory.decode()) for key, memory in rows],
    )
