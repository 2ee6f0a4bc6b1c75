"""A migrated database is the one that the code describes, on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from central import migrations
from central.database import Database, StorageFault
from central.schema import metadata


@pytest.fixture
def empty_url(either: Database, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database beside `either`, which has every table."""
    if either.dialect == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def _differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


def _described(connection: Connection) -> dict[str, object]:
    """What compare_metadata does not look at: checks, foreign keys, keys and triggers by name."""
    found = inspect(connection)
    described: dict[str, object] = {}
    for table in sorted(metadata.tables):
        checks = {check["name"] for check in found.get_check_constraints(table)}
        foreign = {key["name"] for key in found.get_foreign_keys(table)}
        key = found.get_pk_constraint(table)
        columns = [
            (column["name"], str(column["type"]), column["nullable"])
            for column in found.get_columns(table)
        ]
        described[table] = (
            checks, foreign, key["name"], key["constrained_columns"], sorted(columns)
        )  # fmt: skip
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.dialect.name == "postgresql":
        triggers = (
            "SELECT tgrelid::regclass || '.' || tgname FROM pg_trigger WHERE NOT tgisinternal"
        )
    described["triggers"] = sorted(connection.scalars(text(triggers)))
    return described


async def test_the_migrated_schema_is_the_described_one(empty_url: str, either: Database) -> None:
    async with await Database.open(empty_url, access="migrate") as migrated:
        steps = await migrated.read(migrations.pending)
        assert steps[0] == "0001_core"
        assert await migrated.write(migrations.upgrade) == steps
        assert await migrated.write(migrations.upgrade) == []
        assert await migrated.read(_differences) == []
        assert await migrated.read(_described) == await either.read(_described)


async def test_a_failed_step_leaves_the_database_as_it_was(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "central.append_only.statements", lambda *_: ["CREATE TRIGGER that is none"]
    )
    async with await Database.open(empty_url, access="migrate") as database:
        with pytest.raises(Exception, match="syntax"):
            await database.write(migrations.upgrade)
        assert (await database.read(migrations.pending))[0] == "0001_core"
        assert await database.read(lambda connection: inspect(connection).get_table_names()) == []


async def test_a_database_of_the_future_is_refused(empty_url: str) -> None:
    def from_the_future(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('9999_flying')"))

    async with await Database.open(empty_url, access="migrate") as database:
        await database.write(from_the_future)
        with pytest.raises(StorageFault, match="9999_flying"):
            await database.read(migrations.pending)
