"""Money moves with its entry, its audit row and its credit intent in one commit, or not at all."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from central import audit, books
from central.database import Database
from central.security import SYSTEM
from central.tally import ForgottenError
from domain.ledger import Entry, Kind, Method, Posting, reversal, sale

SALE = sale("p1", 5_000, Method.cash)


def _post(connection: Connection, entry: Entry = SALE, entry_id: str = "e1") -> None:
    books.post(connection, entry, entry_id=entry_id, at_ms=1, operator_id="o1", memo="till 1")


def _audit(connection: Connection) -> None:
    audit.record(connection, SYSTEM, action="sale", obj="purse:p1", after={"fen": 5_000}, at_ms=1)


def _whole(connection: Connection, entry: Entry = SALE, entry_id: str = "e1") -> None:
    _post(connection, entry, entry_id)
    _audit(connection)
    books.note_intent(connection, "p1")


def _counts(connection: Connection) -> list[int | None]:
    tables = (books.entries, books.postings, audit.audit_rows)
    return [connection.scalar(select(func.count()).select_from(table)) for table in tables]


async def test_a_whole_sale_commits_and_reads_back(either: Database) -> None:
    await either.write(_whole)
    assert await either.read(_counts) == [1, 2, 1]
    assert await either.read(books.entry_of, "e1") == SALE
    assert await either.read(books.balance_fen, "purse:p1") == -5_000
    assert await either.read(books.balance_fen, "cash:cash") == 5_000
    with pytest.raises(LookupError):
        await either.read(books.entry_of, "e2")


def _without_audit(connection: Connection) -> None:
    _post(connection)
    books.note_intent(connection, "p1")


def _without_intent(connection: Connection) -> None:
    _post(connection)
    _audit(connection)


def _intent_of_another_purse(connection: Connection) -> None:
    _without_intent(connection)
    books.note_intent(connection, "p2")


def _unbalanced(connection: Connection) -> None:
    _whole(connection, Entry(Kind.sale, (Posting("cash:cash", 1), Posting("purse:p1", -2))))


def _granted_alone(connection: Connection) -> None:
    books.note_granted(connection, "p9")


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (_without_audit, "without an audit row"),
        (_without_intent, "purse p1 changed without a credit intent"),
        (_intent_of_another_purse, "purse p1 changed without a credit intent"),
        (_unbalanced, "e1 cannot be booked"),
        (_granted_alone, "p9"),
    ],
)
async def test_what_is_forgotten_stops_the_commit(
    either: Database, service: Callable[[Connection], None], words: str
) -> None:
    with pytest.raises(ForgottenError, match=words):
        await either.write(service)
    assert await either.read(_counts) == [0, 0, 0]
    await either.write(_whole)  # and the next transaction starts with a clean tally


async def test_nothing_is_posted_outside_a_guarded_transaction(either: Database) -> None:
    with pytest.raises(ForgottenError, match=r"inside Database\.write"):
        await either.read(_post)


async def test_an_entry_is_reversed_once(either: Database) -> None:
    await either.write(_whole)
    undo = reversal(SALE, "e1")
    await either.write(_whole, undo, "e2")
    assert await either.read(books.entry_of, "e2") == undo
    with pytest.raises(IntegrityError):
        await either.write(_whole, undo, "e3")
    assert await either.read(books.balance_fen, "purse:p1") == 0


@pytest.mark.parametrize("table", ["entries", "postings", "audit_rows", "audit_seals"])
@pytest.mark.parametrize("deed", ["UPDATE {table} SET {key} = {key}", "DELETE FROM {table}"])
async def test_the_books_only_grow(either: Database, table: str, deed: str) -> None:
    await either.write(_whole)
    await either.write(audit.seal)
    key = {"entries": "kind", "postings": "fen"}.get(table, "audit_id")
    with pytest.raises(DBAPIError, match=f"{table} is append-only"):
        await either.write(lambda c: c.execute(text(deed.format(table=table, key=key))))


async def test_the_books_are_not_replaced_or_emptied(either: Database) -> None:
    await either.write(_whole)
    deed = "INSERT OR REPLACE INTO entries SELECT * FROM entries"
    if either.dialect == "postgresql":
        deed = "TRUNCATE entries CASCADE"
    with pytest.raises(DBAPIError, match="is append-only"):
        await either.write(lambda c: c.execute(text(deed)))


async def test_a_request_is_answered_once(either: Database) -> None:
    inputs = {"purse": "p1", "fen": 5_000, "备注": "现金"}
    done: list[int] = []

    def sell(connection: Connection) -> dict[str, object]:
        known = books.answered(connection, "r1", inputs)
        if known is not None:
            return dict(known)
        done.append(1)
        result: dict[str, object] = {"receipt": len(done)}
        books.remember(connection, "r1", inputs, result=result, at_ms=1)
        return result

    answers = await asyncio.gather(*(either.write(sell) for _ in range(10)))
    assert answers == [{"receipt": 1}] * 10
    assert done == [1]
    with pytest.raises(books.RequestReusedError):
        await either.write(books.answered, "r1", {**inputs, "fen": 6_000})
