"""SQLite as the office uses it: one writing connection on one thread, read-only readers beside it.

Two locks, because SQLite before 3.51.3 can damage a database when two connections write or
checkpoint at the same instant, and because two servers must not serve one book:

* `<file>.lock` is held by a server for as long as it runs, and by a migration;
* `<file>.writing` is held around every single write transaction, checkpoint included, by whoever
  writes: so a short command (`visit`) can write beside a running server, one after the other.

Only the server's connection checkpoints. FULL synchronous is verified, not assumed: a commit that
was answered must survive a power cut.
"""

import asyncio
import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

from central import tally
from central.database import Access, StorageFault

T = TypeVar("T")

READERS = 4
WRITE_WAIT_S = 10.0  # how long a writer waits for a transaction of another process
_LOOK_EVERY_S = 0.005


class SqliteStorage:
    """See the module. `_writer` is None where the database was opened to be read only."""

    dialect = "sqlite"

    def __init__(self, path: Path, access: Access) -> None:
        self._path = path
        self._access = access
        self._serving: IO[bytes] | None = None
        self._writing: IO[bytes] | None = None
        self._writer: Connection | None = None
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="books")
        self._reader_threads = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._readers = _engine(lambda: _reading(path), QueuePool, "BEGIN", pool_size=READERS)

    @classmethod
    async def open(cls, database: str, access: Access) -> "SqliteStorage":
        """Open (and, unless only reading, create) the file. Raises StorageFault."""
        if database in ("", ":memory:"):
            raise StorageFault("a database URL needs a file, for example sqlite:////var/lib/w.db")
        storage = cls(_absolute(database), access)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(storage._writer_thread, storage._open)
        except BaseException:
            await storage.close()
            raise
        return storage

    def _open(self) -> None:
        if self._access == "read":
            if not self._path.exists():
                raise StorageFault(f"{self._path}: there is no database")
            return
        if not self._path.parent.is_dir():
            raise StorageFault(f"{self._path}: the directory {self._path.parent} does not exist")
        try:
            if self._access in ("serve", "migrate"):
                self._serving = _lock_file(self._path)
            self._writing = self._path.with_name(self._path.name + ".writing").open("ab")
            with self._turn():
                engine = _engine(lambda: _writing(self._path, self._access), StaticPool, _BEGIN)
                self._writer = engine.connect()
        except (OSError, sqlite3.Error) as error:
            raise StorageFault(f"{self._path}: {error}") from error

    async def write(self, f: Callable[[Connection], T]) -> T:
        """One transaction on the writer thread, in the order of the calls."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer_thread, self._transact, f)

    async def read(self, f: Callable[[Connection], T]) -> T:
        """One snapshot on a reader thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader_threads, self._look, f)

    def _transact(self, f: Callable[[Connection], T]) -> T:
        if self._writer is None:
            raise StorageFault(f"{self._path} was opened to be read only")
        with self._turn(), self._writer.begin():
            tally.begin(self._writer)
            try:
                result = f(self._writer)
                tally.check(self._writer)
            finally:
                tally.end(self._writer)
        return result

    def _look(self, f: Callable[[Connection], T]) -> T:
        with self._readers.connect() as connection, connection.begin():
            return f(connection)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        assert self._writing is not None
        for _ in range(int(WRITE_WAIT_S / _LOOK_EVERY_S)):
            if _try_lock(self._writing):
                break
            threading.Event().wait(_LOOK_EVERY_S)
        else:
            raise StorageFault(f"{self._path}: another process has been writing for too long")
        try:
            yield
        finally:
            fcntl.flock(self._writing, fcntl.LOCK_UN)

    async def close(self) -> None:
        """Close readers, then the writer on its own thread (the last one out checkpoints)."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader_threads, self._readers.dispose)
        self._reader_threads.shutdown()
        await loop.run_in_executor(self._writer_thread, self._close_writer)
        self._writer_thread.shutdown()

    def _close_writer(self) -> None:
        if self._writer is not None:
            with self._turn():
                self._writer.close()
                self._writer.engine.dispose()
            self._writer = None
        for file in (self._writing, self._serving):
            if file is not None:
                file.close()


_BEGIN = "BEGIN IMMEDIATE"


def _absolute(database: str) -> Path:
    return Path.cwd() / database


def _engine(
    connect: Callable[[], sqlite3.Connection], poolclass: Any, begin: str, **options: Any
) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=poolclass, **options)
    # The driver would begin late and never for DDL; we say when a transaction begins.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=WRITE_WAIT_S,
    )


def _writing(path: Path, access: Access) -> sqlite3.Connection:
    connection = _connect(path, "rwc")
    checkpoint_pages = 0 if access == "visit" else 1000
    # Migrations rebuild tables, which needs foreign keys off; they are checked before the commit.
    foreign_keys = 0 if access == "migrate" else 1
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={checkpoint_pages}",
        f"foreign_keys={foreign_keys}",
        "recursive_triggers=1",  # or INSERT OR REPLACE would delete past the append-only triggers
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}")
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys")
    }
    if found != {"journal_mode": "wal", "synchronous": 2, "foreign_keys": foreign_keys}:
        connection.close()
        raise StorageFault(f"{path}: this file system does not give a durable journal: {found}")
    return connection


def _reading(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "ro")
    connection.execute("PRAGMA query_only=1")
    return connection


def _lock_file(path: Path) -> IO[bytes]:
    lock = path.with_name(path.name + ".lock").open("ab")
    if _try_lock(lock):
        return lock
    lock.close()
    raise StorageFault(f"{path} is being served by another wattledger-central; stop that one first")


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
