"""Intents on their way to the gateways: absolute, versioned, kept until they are settled.

The table is the queue: `put` writes in the transaction that wants something, the publisher says
what is not settled yet, and the gateway's facts settle it. An intent is settled when the gateway
holds its version, or has refused it; a refused version is shown and not said again for ever.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Table,
    Text,
    and_,
    insert,
    select,
    update,
)

from central import books
from central.database import lock_name, metadata
from domain.wire.intents import digest, version_of

CREDIT = "credit"
_EPOCH_SHIFT = 32

intents = Table(
    "intents",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("held_version", BigInteger, nullable=False),  # highest the gateway said it holds; 0 none
    Column("body", Text, nullable=False),  # JSON, keys sorted
    Column("issued_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=True),
    Column("refused_version", BigInteger, nullable=False),  # highest the gateway refused; 0 none
    Column("refused_reason", Text, nullable=True),
)

books_meta = Table(
    "books_meta",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1: there is one book
    Column("books_epoch", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An intent as it stands in the outbox. `body` is JSON."""

    gateway_id: str
    kind: str
    key: str
    version: int
    held_version: int
    body: str
    issued_at_ms: int
    expires_at_ms: int | None
    refused_version: int
    refused_reason: str | None

    @property
    def settled(self) -> bool:
        """Whether nothing has to be said again: this version is held, or was refused."""
        return self.version in (self.held_version, self.refused_version)


def books_epoch(connection: Connection) -> int:
    """How often these books were restored from a backup."""
    return int(connection.scalar(select(books_meta.c.books_epoch)) or 0)


def raise_epoch(connection: Connection) -> int:
    """Say that the books were restored: all intents get versions above everything before.

    Returns the new epoch. To be run once by a restore, before the server starts.
    """
    epoch = books_epoch(connection) + 1
    if connection.execute(update(books_meta).values(books_epoch=epoch)).rowcount == 0:
        connection.execute(insert(books_meta).values(id=1, books_epoch=epoch))
    restated = {"version": version_of(epoch, 1), "held_version": 0, "refused_version": 0}
    connection.execute(update(intents).values(restated | {"refused_reason": None}))
    return epoch


def put(
    connection: Connection,
    *,
    gateway_id: str,
    kind: str,
    key: str,
    body: BaseModel,
    now_ms: int,
    expires_at_ms: int | None = None,
) -> int:
    """State what a gateway should hold under (kind, key); returns the version that says so.

    The version rises where body or expiry changed, where the version that stands was refused, and
    always for a credit intent, which also answers to the commit guard of the books.
    """
    if kind == CREDIT:
        books.note_intent(connection, key)
    lock_name(connection, f"intent:{gateway_id}/{kind}/{key}")
    text = json.dumps(
        body.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    where = _named(gateway_id, kind, key)
    row = connection.execute(select(intents).where(where)).mappings().one_or_none()
    said = {"body": text, "issued_at_ms": now_ms, "expires_at_ms": expires_at_ms}
    if row is None:
        version = version_of(books_epoch(connection), 1)
        named = {"gateway_id": gateway_id, "kind": kind, "key": key, "version": version}
        none_yet = {"held_version": 0, "refused_version": 0}
        connection.execute(insert(intents).values(named | said | none_yet))
        return version
    if kind != CREDIT and not _differs(row, text, expires_at_ms):
        return int(row["version"])
    version = _next(row["version"], books_epoch(connection))
    connection.execute(update(intents).where(where).values(said | {"version": version}))
    return version


def outstanding(connection: Connection, gateway_id: str | None = None) -> list[Stored]:
    """What is not settled yet, of one gateway or of all, in a stable order."""
    unsettled = and_(
        intents.c.held_version < intents.c.version, intents.c.refused_version < intents.c.version
    )
    return _stored(connection, gateway_id, unsettled)


def everything(connection: Connection, gateway_id: str) -> list[Stored]:
    """All that a gateway should hold."""
    return _stored(connection, gateway_id)


def refused(connection: Connection, gateway_id: str | None = None) -> list[Stored]:
    """Intents whose newest version a gateway has refused, with its reason: for people to see."""
    return _stored(
        connection,
        gateway_id,
        and_(
            intents.c.refused_version == intents.c.version,
            intents.c.held_version < intents.c.version,
        ),
    )


def held(connection: Connection, *, gateway_id: str, kind: str, key: str, version: int) -> None:
    """Note that the gateway holds this version; an older one than known changes nothing."""
    connection.execute(
        update(intents)
        .where(_named(gateway_id, kind, key), intents.c.held_version < version)
        .where(intents.c.version >= version)
        .values(held_version=version)
    )


def refuse(
    connection: Connection, *, gateway_id: str, kind: str, key: str, version: int, reason: str
) -> None:
    """Note that the gateway refused this version and why; an older one changes nothing."""
    connection.execute(
        update(intents)
        .where(_named(gateway_id, kind, key), intents.c.refused_version < version)
        .where(intents.c.version >= version)
        .values(refused_version=version, refused_reason=reason)
    )


def digests(rows: Sequence[Stored]) -> frozenset[str]:
    """What a gateway's pulse may say once all of `rows` is settled.

    Of a refused version it holds the one before, if any; a gateway that counts what it has answered
    names the refused version itself. Both say that it has heard everything.
    """
    answered = {(row.kind, row.key): row.version for row in rows}
    holding = {
        (row.kind, row.key): row.held_version if _only_refused(row) else row.version for row in rows
    }
    return frozenset((digest(answered), digest({k: v for k, v in holding.items() if v})))


def _only_refused(row: Stored) -> bool:
    return row.refused_version == row.version != row.held_version


def _differs(row: RowMapping, text: str, expires_at_ms: int | None) -> bool:
    was_refused = row["refused_version"] == row["version"] != row["held_version"]
    return was_refused or (row["body"], row["expires_at_ms"]) != (text, expires_at_ms)


def _next(version: int, epoch: int) -> int:
    if version >> _EPOCH_SHIFT < epoch:
        return version_of(epoch, 1)
    return version_of(epoch, (version & (2**_EPOCH_SHIFT - 1)) + 1)


def _named(gateway_id: str, kind: str, key: str) -> ColumnElement[bool]:
    return and_(intents.c.gateway_id == gateway_id, intents.c.kind == kind, intents.c.key == key)


def _stored(
    connection: Connection, gateway_id: str | None, *conditions: ColumnElement[bool]
) -> list[Stored]:
    wanted = select(intents).where(*conditions)
    if gateway_id is not None:
        wanted = wanted.where(intents.c.gateway_id == gateway_id)
    rows = connection.execute(wanted.order_by(*intents.primary_key.columns)).mappings()
    return [Stored(**row) for row in rows]
