"""Many rows at once, at driver level: the hot path of ingest. Rows are tuples in column order."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table

from central.database import bulk_insert
from central.metering.states import Piece

Row = tuple[Any, ...]


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Row], *, skip_known: bool = False
) -> None:
    """Insert whole rows; with `skip_known` one whose key stands already is left as it is."""
    bulk_insert(connection, table, _names(table), rows, skip_known=skip_known)


def upsert_rows(connection: Connection, piece: Piece, rows: Sequence[Row]) -> None:
    """Put a piece of each row (key, then the piece's columns) in place; the rest stays as it is."""
    if rows:
        connection.exec_driver_sql(_upsert(piece, connection.dialect.name), list(rows))


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


@cache
def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


@cache
def _upsert(piece: Piece, dialect: str) -> str:
    names = (*piece.keys, *piece.columns)
    places = ["?" if dialect == "sqlite" else f"${n + 1}" for n in range(len(names))]
    fresh = [str(value) for value in piece.fresh.values()]
    changed = ", ".join(f"{name} = excluded.{name}" for name in piece.columns)
    return (
        f"INSERT INTO {piece.table.name} ({', '.join((*names, *piece.fresh))})"  # noqa: S608
        f" VALUES ({', '.join((*places, *fresh))})"
        f" ON CONFLICT ({', '.join(piece.keys)}) DO UPDATE SET {changed}"
    )
