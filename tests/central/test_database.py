"""What `Database` promises: no write is lost, nothing half done is kept, readers only read."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text, update

from central.books import idempotency
from central.database import Database, StorageFault, bulk_insert, lock_rows

COUNTER = {"request_id": "counter", "input_hash": "", "result": "0", "at_ms": 0}


def _increment(connection: Connection) -> None:
    lock_rows(connection, idempotency.c.request_id, ["counter"])
    value = connection.scalar(select(idempotency.c.result))
    assert value is not None
    connection.execute(update(idempotency).values(result=str(int(value) + 1)))


def _put(connection: Connection, request_id: str) -> None:
    connection.execute(insert(idempotency).values({**COUNTER, "request_id": request_id}))


def _ids(connection: Connection) -> list[str]:
    return list(connection.scalars(select(idempotency.c.request_id).order_by("request_id")))


async def test_a_hundred_concurrent_increments_all_count(either: Database) -> None:
    await either.write(lambda connection: connection.execute(insert(idempotency).values(COUNTER)))
    await asyncio.gather(*(either.write(_increment) for _ in range(100)))
    assert await either.read(lambda c: c.scalar(select(idempotency.c.result))) == "100"


async def test_a_write_that_raises_leaves_nothing(either: Database) -> None:
    def half(connection: Connection) -> None:
        _put(connection, "half")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await either.write(half)
    assert await either.read(_ids) == []
    await either.write(_put, "next")
    assert await either.read(_ids) == ["next"]


async def test_a_reader_cannot_write(either: Database) -> None:
    with pytest.raises(Exception, match=r"readonly|read-only"):
        await either.read(_put, "sneaky")
    assert await either.read(_ids) == []


async def test_a_reader_sees_one_moment(either: Database) -> None:
    loop = asyncio.get_running_loop()

    def look_twice(connection: Connection) -> tuple[list[str], list[str]]:
        first = _ids(connection)
        if either.dialect == "sqlite":
            asyncio.run_coroutine_threadsafe(either.write(_put, "between"), loop).result()
        return first, _ids(connection)

    assert await either.read(look_twice) == ([], [])


async def test_bulk_insert_takes_what_the_driver_takes(either: Database) -> None:
    columns = ("request_id", "input_hash", "result", "at_ms")
    rows = [(f"r{n:03}", "水", "", 2**53 - n) for n in range(200)]
    await either.write(bulk_insert, idempotency, columns, rows)
    await either.write(bulk_insert, idempotency, columns, [])
    again = [("r000", "other", "", 0), ("r200", "", "", 0)]
    await either.write(bulk_insert, idempotency, columns, again, skip_known=True)
    with pytest.raises(Exception, match=r"UNIQUE|unique"):
        await either.write(bulk_insert, idempotency, columns, again)
    assert len(await either.read(_ids)) == 201
    kept = select(idempotency.c.input_hash).where(idempotency.c.request_id == "r000")
    assert await either.read(lambda connection: connection.scalar(kept)) == "水"


async def test_postgres_runs_a_deadlocked_transaction_again(postgres: Database) -> None:
    for request_id in ("a", "b"):
        await postgres.write(_put, request_id)
    met = [0, 0]

    def crossing(connection: Connection, who: int, order: str) -> None:
        met[who] += 1
        for request_id in order:
            connection.execute(
                update(idempotency)
                .where(idempotency.c.request_id == request_id)
                .values(at_ms=idempotency.c.at_ms + 1)
            )
            connection.execute(text("SELECT pg_sleep(0.2)"))

    await asyncio.gather(postgres.write(crossing, 0, "ab"), postgres.write(crossing, 1, "ba"))
    assert sum(met) > 2, "there was no deadlock to solve"
    times = await postgres.read(lambda c: list(c.scalars(select(idempotency.c.at_ms))))
    assert times == [2, 2]


async def test_sqlite_is_durable_and_the_only_checkpointer(database: Database) -> None:
    def pragmas(connection: Connection, *names: str) -> list[object]:
        return [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]

    names = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
    assert await database.write(pragmas, *names) == ["wal", 2, 1, 1]
    assert await database.read(pragmas, "query_only") == [1]


async def test_a_second_server_is_refused_in_words(database: Database, tmp_path: Path) -> None:
    with pytest.raises(StorageFault, match="being served by another"):
        await Database.open(f"sqlite:///{tmp_path / 'central.db'}")


async def test_a_visitor_writes_and_reads_beside_the_server(
    database: Database, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'central.db'}"
    visitor = await Database.open(url, access="visit")
    writes = [(database if n % 2 else visitor).write(_put, f"w{n:02}") for n in range(40)]
    await asyncio.gather(*writes)
    await visitor.close()
    onlooker = await Database.open(url, access="read")
    assert len(await onlooker.read(_ids)) == 40
    with pytest.raises(StorageFault, match="opened to be read only"):
        await onlooker.write(_put, "x")
    await onlooker.close()
    await database.write(_put, "still here")


async def test_what_was_answered_survives_a_killed_server(tmp_path: Path) -> None:
    script = """
import asyncio, os, sys
from sqlalchemy import text
from central.database import Database

async def main():
    database = await Database.open(sys.argv[1])
    await database.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER)")))
    for n in range(50):
        await database.write(lambda c: c.execute(text("INSERT INTO t VALUES (:n)"), {"n": n}))
    print("answered", flush=True)
    await database.write(lambda c: (c.execute(text("DELETE FROM t")), os.kill(os.getpid(), 9)))

asyncio.run(main())
"""
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, url, stdout=pipe, stderr=pipe
    )
    said, complained = await server.communicate()
    assert (said, server.returncode) == (b"answered\n", -9), complained.decode()
    reopened = await Database.open(url)
    count = await reopened.read(lambda c: c.scalar(text("SELECT count(*) FROM t")))
    await reopened.close()
    assert count == 50


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://root@localhost/x", "write sqlite:///path or"),
        ("sqlite://", "needs a file"),
        ("sqlite:////no/such/place/central.db", "/no/such/place does not exist"),
        ("postgresql+asyncpg://nobody:secret@127.0.0.1:1/x", "127.0.0.1:1/x"),
    ],
)
async def test_a_url_that_cannot_be_opened_is_named(url: str, words: str) -> None:
    with pytest.raises(StorageFault) as caught:
        await Database.open(url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
