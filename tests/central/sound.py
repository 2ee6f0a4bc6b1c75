"""What must always hold of the money in the books, whatever was done: used by many tests."""

from collections import defaultdict

from sqlalchemy import Connection, func, select

from central import books
from central.sales import service as sales
from central.sales import tables
from domain.wire.intents import CreditBody


def check_books(connection: Connection) -> None:
    """Fail where an entry, a purse, a count, a receipt number or a credit body does not fit."""
    postings, events = books.postings, tables.money_events
    unbalanced = (
        select(postings.c.entry_id)
        .group_by(postings.c.entry_id)
        .having(func.sum(postings.c.fen) != 0)
    )
    assert connection.execute(unbalanced).all() == []
    counts: dict[str, list[int]] = defaultdict(list)
    granted: dict[str, int] = defaultdict(int)
    rows = connection.execute(select(events).order_by(events.c.purse_id, events.c.count)).mappings()
    for row in rows:
        counts[row["purse_id"]].append(row["count"])
        granted[row["purse_id"]] += row["fen"]
    for purse in connection.execute(select(tables.purses)).mappings():
        purse_id = purse["purse_id"]
        assert counts[purse_id] == list(range(1, purse["count"] + 1))
        assert granted[purse_id] == purse["granted_fen"]
        assert books.balance_fen(connection, f"purse:{purse_id}") == -purse["granted_fen"]
        body = sales.credit_body(connection, purse_id)
        assert isinstance(body, CreditBody)
        assert (body.count, body.granted_fen) == (purse["count"], purse["granted_fen"])
    check_receipts(connection)


def check_receipts(connection: Connection) -> None:
    """Every event has one receipt, and each issuing point's numbers run from 1 without a gap."""
    numbers: dict[str, list[int]] = defaultdict(list)
    receipts = connection.execute(select(tables.receipts).order_by(tables.receipts.c.n)).all()
    for row in receipts:
        numbers[row.issuing_point].append(row.n)
    for taken in numbers.values():
        assert taken == list(range(1, len(taken) + 1))
    events = set(connection.execute(select(tables.money_events.c.event_id)).scalars())
    assert {row.event_id for row in receipts} == events
