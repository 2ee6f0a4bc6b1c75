"""Many rows at once, at driver level: the hot path of ingest. Rows are tuples in column order."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table

from central.database import bulk_insert

Row = tuple[Any, ...]


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Row], *, skip_known: bool = False
) -> None:
    """Insert whole rows; with `skip_known` one whose key stands already is left as it is."""
    bulk_insert(connection, table, _names(table), rows, skip_known=skip_known)


def upsert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert whole rows, or replace what stands under their key."""
    if rows:
        connection.exec_driver_sql(_upsert(table, connection.dialect.name), list(rows))


def rows_where(connection: Connection, select: str, key: str, values: Collection[str]) -> list[Row]:
    """What `select` (SQL without WHERE) finds where the text column `key` is one of `values`."""
    if not values:
        return []
    if connection.dialect.name == "sqlite":
        among, wanted = "IN (SELECT value FROM json_each(?))", json.dumps(list(values))
        found = connection.exec_driver_sql(f"{select} WHERE {key} {among}", (wanted,))
    else:
        among = "= ANY($1::text[])"
        found = connection.exec_driver_sql(f"{select} WHERE {key} {among}", (list(values),))
    return list(found.cursor.fetchall())  # plain tuples: several times faster than named rows


def select_all(table: Table) -> str:
    """SQL that selects every column of a table in order."""
    return f"SELECT {', '.join(_names(table))} FROM {table.name}"  # noqa: S608


@cache
def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


@cache
def _upsert(table: Table, dialect: str) -> str:
    names = _names(table)
    keys = [column.name for column in table.primary_key.columns]
    places = ", ".join("?" if dialect == "sqlite" else f"${n + 1}" for n in range(len(names)))
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"
    )
