"""The one way to the database: `write(f)` and `read(f)` run plain functions f(connection, …).

Services are synchronous functions on SQLAlchemy Core and know nothing of threads or engines. On
SQLite (`central/storage_sqlite.py`) one thread owns the only writing connection; on PostgreSQL
(`central/storage_postgres.py`) several transactions run at once through `AsyncConnection.run_sync`.

Rows are locked in one order everywhere: gateway → purses by id → receipt counter. On SQLite the
single writer is the lock; on PostgreSQL `lock_rows` takes it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

P = ParamSpec("P")
T = TypeVar("T")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# An automatically counted key: SQLite counts only a column whose type is INTEGER.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")

Access = Literal["serve", "visit", "read", "migrate"]


class StorageFault(Exception):  # noqa: N818 - faults are called faults throughout
    """The database cannot be used as asked; says what, where and what to do."""


class _Storage(Protocol):
    """What an engine offers: whole transactions, in order where the engine has one writer."""

    dialect: str

    async def write(self, f: Callable[[Connection], T]) -> T: ...

    async def read(self, f: Callable[[Connection], T]) -> T: ...

    async def close(self) -> None: ...


class Database:
    """An open database. Made by `Database.open`, closed by `close`."""

    def __init__(self, storage: _Storage) -> None:
        self._storage = storage
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    async def open(cls, url: str, *, access: Access = "serve") -> "Database":
        """Open `sqlite:///path` or `postgresql+asyncpg://…`.

        `serve`: the server; on SQLite a second server on the same file is refused.
        `visit`: a short command that writes, also beside a running server.
        `read`: nothing can be written. `migrate`: alone, the schema may change.
        Raises StorageFault with words that name the file or address.
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StorageFault(f"not a database URL: {url!r} ({error})") from error
        if parsed.drivername == "sqlite":
            from central.storage_sqlite import SqliteStorage

            return cls(await SqliteStorage.open(parsed.database or "", access))
        if parsed.drivername == "postgresql+asyncpg":
            from central.storage_postgres import PostgresStorage

            return cls(await PostgresStorage.open(parsed, access))
        raise StorageFault(
            f"database URL {parsed.render_as_string()!r}: write sqlite:///path or"
            " postgresql+asyncpg://user:password@host/name"
        )

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._storage.dialect

    async def write(
        self, f: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run f(connection, …) in one transaction and commit it; an exception rolls it back.

        Raises ForgottenError instead of committing money without audit row or credit intent. The
        function must only touch the connection: on PostgreSQL it is run again after a deadlock. A
        cancelled caller does not know whether it was committed; a request id makes asking again
        safe.
        """
        result = await self._storage.write(lambda connection: f(connection, *args, **kwargs))
        for listener in self._listeners:
            listener()
        return result

    async def read(
        self, f: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run f(connection, …) on a read-only connection: all it selects is of one moment."""
        return await self._storage.read(lambda connection: f(connection, *args, **kwargs))

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop after every commit of this process; it must not fail.

        A hint for those who wait: a cancelled caller's commit is not announced.
        """
        self._listeners.append(listener)

    async def close(self) -> None:
        """Finish what runs, then close every connection and release the lock."""
        await self._storage.close()

    async def __aenter__(self) -> "Database":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def lock_rows(connection: Connection, key: Column[Any], values: Iterable[object]) -> None:
    """Hold the rows whose `key` is one of `values` until the transaction ends, in key order.

    Call it in the house's order (gateway → purses by id → receipt counter) before reading what
    will be changed. On SQLite there is nothing to do: the only writer already holds everything.
    """
    wanted = sorted(set(values), key=str)
    if connection.dialect.name == "sqlite" or not wanted:
        return
    connection.execute(select(key).where(key.in_(wanted)).order_by(key).with_for_update()).all()


def lock_name(connection: Connection, name: str) -> None:
    """Let one transaction at a time pass that names `name`, where no row stands yet to lock."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def bulk_insert(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    skip_known: bool = False,
) -> None:
    """Insert `rows` (tuples in the order of `columns`) at driver level, as fast as it goes.

    Values must already be what the driver takes (int, str, bytes, bool, None). With `skip_known`
    a row whose key already stands is left as it is, silently.
    """
    if not rows:
        return
    sqlite = connection.dialect.name == "sqlite"
    places = ", ".join("?" if sqlite else f"${n}" for n in range(1, len(columns) + 1))
    conflict = " ON CONFLICT DO NOTHING" if skip_known else ""
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places}){conflict}",  # noqa: S608
        list(rows),
    )
