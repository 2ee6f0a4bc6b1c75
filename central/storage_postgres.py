"""PostgreSQL as the office uses it: several write transactions at once, rows locked in one order.

Services stay synchronous functions: `AsyncConnection.run_sync` runs them over asyncpg. A deadlock
or a serialisation failure is PostgreSQL's way to say "once more", and the transaction is run again.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from central import tally
from central.database import Access, StorageFault

T = TypeVar("T")

CONNECTIONS = 8
TRIES = 5
_ONCE_MORE = {"40001", "40P01"}  # serialization_failure, deadlock_detected


class PostgresStorage:
    """See the module."""

    dialect = "postgresql"

    def __init__(self, engine: AsyncEngine, access: Access) -> None:
        self._engine = engine
        self._access = access
        self._snapshot = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    @classmethod
    async def open(cls, url: URL, access: Access) -> "PostgresStorage":
        """Connect once to see that the server is there. Raises StorageFault."""
        engine = create_async_engine(
            url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"server_settings": {"application_name": "wattledger", "timezone": "UTC"}},
        )
        storage = cls(engine, access)
        try:
            await storage.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        except (OSError, DBAPIError) as error:
            await engine.dispose()
            raise StorageFault(f"{url.render_as_string()}: {error}") from error
        return storage

    async def write(self, f: Callable[[Connection], T]) -> T:
        """One transaction, run again where PostgreSQL asks for it."""
        if self._access == "read":
            raise StorageFault(f"{self._engine.url.render_as_string()} was opened to be read only")
        for tried in range(1, TRIES + 1):
            try:
                async with self._engine.connect() as connection, connection.begin():
                    return await connection.run_sync(_guarded, f)
            except DBAPIError as error:
                if tried == TRIES or getattr(error.orig, "sqlstate", None) not in _ONCE_MORE:
                    raise
                await asyncio.sleep(0)
        raise AssertionError("the loop returns or raises")

    async def read(self, f: Callable[[Connection], T]) -> T:
        """One read-only snapshot."""
        connection: AsyncConnection
        async with self._snapshot.connect() as connection, connection.begin():
            return await connection.run_sync(f)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _guarded(connection: Connection, f: Callable[[Connection], T]) -> T:
    tally.begin(connection)
    try:
        result = f(connection)
        tally.check(connection)
    finally:
        tally.end(connection)
    return result
