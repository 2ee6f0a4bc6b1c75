"""The audit chain: sealed in order, and every later change is found."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from central import audit
from central.database import Database
from central.schema import metadata
from central.security import SYSTEM


def _record(connection: Connection, action: str, at_ms: int = 1) -> None:
    before = {"备注": "旧"}
    audit.record(connection, SYSTEM, action=action, obj="room:1-101", before=before, at_ms=at_ms)


async def _sealed(database: Database, rows: int) -> None:
    for n in range(rows):
        await database.write(_record, f"deed {n}")
    assert await database.write(audit.seal) == rows


def _tamper(connection: Connection, *deeds: str) -> None:
    """As somebody with the file in hand would: triggers off, then the change."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
    else:
        for table in ("audit_rows", "audit_seals"):
            connection.execute(text(f"DROP TRIGGER {table}_no_update"))
            connection.execute(text(f"DROP TRIGGER {table}_no_delete"))
    for deed in deeds:
        connection.execute(text(deed))


async def test_rows_written_at_once_are_chained_in_one_order(either: Database) -> None:
    await asyncio.gather(*(either.write(_record, f"deed {n}") for n in range(30)))
    sealed = await asyncio.gather(*(either.write(audit.seal) for _ in range(3)))
    assert sum(sealed) == 30
    assert (await either.read(audit.head))[0] == 30
    assert await either.read(audit.verify, now_ms=10**9) == []
    await either.write(_record, "later")
    assert await either.write(audit.seal) == 1
    assert await either.read(audit.verify, now_ms=10**9) == []


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("UPDATE audit_rows SET action = 'nothing' WHERE audit_id = 2", "audit row 2 (seal 2) is"),
        ("UPDATE audit_rows SET before = NULL WHERE audit_id = 3", "audit row 3 (seal 3) is"),
        ("DELETE FROM audit_seals WHERE n = 2", "audit seal 2 is missing"),
        ("UPDATE audit_seals SET hash = 'x' WHERE n = 4", "audit row 4 (seal 4) is"),
    ],
)
async def test_a_change_is_found(either: Database, deed: str, words: str) -> None:
    await _sealed(either, 4)
    await either.write(_tamper, deed)
    assert words in "; ".join(await either.read(audit.verify, now_ms=2))


async def test_a_missing_row_is_found(tmp_path: Path) -> None:
    without_foreign_keys = f"sqlite:///{tmp_path / 'central.db'}"
    database = await Database.open(without_foreign_keys, access="migrate")
    await database.write(metadata.create_all)
    await _sealed(database, 3)
    await database.write(_tamper, "DELETE FROM audit_rows WHERE audit_id = 2")
    found = await database.read(audit.verify, now_ms=2)
    await database.close()
    assert "audit row 2 is gone, its seal 2 stands" in found


async def test_a_row_nobody_sealed_is_found_after_a_minute(either: Database) -> None:
    await either.write(_record, "waiting", 1_000)
    assert await either.read(audit.verify, now_ms=61_000) == []
    assert await either.read(audit.verify, now_ms=61_001) == ["audit row 1 was never sealed"]


async def test_a_late_commit_with_an_earlier_number_is_sealed_too(postgres: Database) -> None:
    began, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def slowly() -> None:
        def deed(connection: Connection) -> None:
            _record(connection, "slow")
            loop.call_soon(began.set)
            connection.execute(text("SELECT pg_sleep(0.3)"))

        await postgres.write(deed)
        go.set()

    slow = asyncio.create_task(slowly())
    await began.wait()
    await postgres.write(_record, "quick")
    assert await postgres.write(audit.seal) == 1
    await go.wait()
    await slow
    assert await postgres.write(audit.seal) == 1
    assert await postgres.read(audit.verify, now_ms=10**9) == []
