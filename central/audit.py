"""Who did what: rows that only grow, chained in order by one sealer within a second.

`record` inserts an unchained row in the transaction of the deed, so that writers never wait for
one another; `seal` gives every new row its place in one SHA-256 chain; `verify` walks the chain.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Row, Table, Text, func, select

from central import tally
from central.append_only import declare
from central.database import RowNumber, lock_name, metadata
from central.security import Actor

audit_rows = declare(
    Table(
        "audit_rows",
        metadata,
        Column("audit_id", RowNumber, primary_key=True, autoincrement=True),
        Column("at_ms", BigInteger, nullable=False, index=True),
        Column("operator_id", Text, nullable=False),
        Column("operator_name", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("origin", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("object", Text, nullable=False, index=True),
        Column("before", Text),
        Column("after", Text),
    )
)

audit_seals = declare(
    Table(
        "audit_seals",
        metadata,
        Column("n", RowNumber, primary_key=True, autoincrement=False),
        Column(
            "audit_id", RowNumber, ForeignKey("audit_rows.audit_id"), nullable=False, unique=True
        ),
        Column("hash", Text, nullable=False),
    )
)

START = "0" * 64  # the hash before the first row
SEALED_WITHIN_MS = 60_000  # an older row without a seal is a difference
_LATE = 10_000  # how far behind the newest sealed row a late commit is still looked for
_AT_ONCE = 1_000


def record(
    connection: Connection,
    actor: Actor,
    *,
    action: str,
    obj: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    at_ms: int,
) -> None:
    """Write that `actor` did `action` (e.g. "sale") to `obj` (e.g. "purse:p1"), in this commit.

    `before` and `after` hold plain JSON values; never a password, a PIN or a key.
    """
    connection.execute(
        audit_rows.insert(),
        {
            "at_ms": at_ms,
            "operator_id": actor.operator_id,
            "operator_name": actor.name,
            "role": actor.role or "system",
            "origin": actor.origin,
            "action": action,
            "object": obj,
            "before": _json(before),
            "after": _json(after),
        },
    )
    tally.of(connection).audit_rows += 1


def unsealed(connection: Connection, *, everywhere: bool = False) -> Sequence[Row[Any]]:
    """Audit rows without a seal, in order of their ids; recent ones, or `everywhere`."""
    wanted = (
        select(audit_rows)
        .outerjoin(audit_seals, audit_seals.c.audit_id == audit_rows.c.audit_id)
        .where(audit_seals.c.n.is_(None))
        .order_by(audit_rows.c.audit_id)
        .limit(_AT_ONCE)
    )
    if not everywhere:
        newest = connection.scalar(select(func.max(audit_seals.c.audit_id))) or 0
        wanted = wanted.where(audit_rows.c.audit_id > newest - _LATE)
    return connection.execute(wanted).all()


def seal(connection: Connection, *, everywhere: bool = False) -> int:
    """Chain the rows that have no seal yet; returns how many. Only one transaction at a time."""
    lock_name(connection, "audit seal")
    rows = unsealed(connection, everywhere=everywhere)
    n, before = head(connection)
    seals = []
    for row in rows:
        n, before = n + 1, _chain(before, row)
        seals.append({"n": n, "audit_id": row.audit_id, "hash": before})
    if seals:
        connection.execute(audit_seals.insert(), seals)
    return len(seals)


def head(connection: Connection) -> tuple[int, str]:
    """The newest seal's number and hash; (0, START) where there is none."""
    row = connection.execute(
        select(audit_seals.c.n, audit_seals.c.hash).order_by(audit_seals.c.n.desc()).limit(1)
    ).one_or_none()
    return (0, START) if row is None else (row.n, row.hash)


def verify(connection: Connection, *, now_ms: int) -> list[str]:
    """What is wrong with the chain, in words; empty when every row stands as it was sealed."""
    faults = []
    before, expected = START, 1
    chained = (
        select(audit_seals.c.n, audit_seals.c.hash, audit_seals.c.audit_id.label("of"), audit_rows)
        .outerjoin(audit_rows, audit_rows.c.audit_id == audit_seals.c.audit_id)
        .order_by(audit_seals.c.n)
    )
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(chained):
        if row.n != expected:
            faults.append(f"audit seal {expected} is missing before seal {row.n}")
        if row.audit_id is None:
            faults.append(f"audit row {row.of} is gone, its seal {row.n} stands")
        elif _chain(before, row) != row.hash:
            faults.append(f"audit row {row.of} (seal {row.n}) is not what was sealed")
        before, expected = row.hash, row.n + 1
    faults += [
        f"audit row {row.audit_id} was never sealed"
        for row in unsealed(connection, everywhere=True)
        if row.at_ms < now_ms - SEALED_WITHIN_MS
    ]
    return faults


def _chain(before: str, row: Row[Any]) -> str:
    text = json.dumps(
        [getattr(row, column.name) for column in audit_rows.columns],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _json(values: Mapping[str, object] | None) -> str | None:
    if values is None:
        return None
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
