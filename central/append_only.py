"""Tables that only grow: the database itself refuses to change or delete their rows.

One definition serves both ways a schema comes to be: `declare(table)` adds the triggers after
`metadata.create_all`, and a migration executes `statements(...)` for the same table.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, event

_FUNCTION = """
CREATE OR REPLACE FUNCTION wattledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END
$$"""


def statements(table: str, dialect: str, *, frozen: Sequence[str] = ()) -> list[str]:
    """DDL that makes `table` append-only on `dialect` ("sqlite" or "postgresql").

    With `frozen` only those columns may never be updated; without, none may. Rows are never
    deleted in either case. To be executed as they are (`exec_driver_sql`).
    """
    update = f"UPDATE OF {', '.join(frozen)}" if frozen else "UPDATE"
    if dialect == "sqlite":
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        return [
            f"CREATE TRIGGER {table}_no_update BEFORE {update} ON {table} {refuse}",
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        ]
    call = "EXECUTE FUNCTION wattledger_append_only()"
    return [
        _FUNCTION,
        f"CREATE TRIGGER {table}_no_update BEFORE {update} ON {table} FOR EACH ROW {call}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {call}",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}",
    ]


def declare(table: Table, *, frozen: Sequence[str] = ()) -> Table:
    """Make `table` append-only wherever `metadata.create_all` creates it; returns the table."""

    def after_create(target: Table, connection: Connection, **_: object) -> None:
        for statement in statements(target.name, connection.dialect.name, frozen=frozen):
            connection.exec_driver_sql(statement)

    event.listen(table, "after_create", after_create)
    return table
