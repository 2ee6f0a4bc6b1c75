"""A till killed at any moment loses no acknowledged sale and makes none twice."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from central.database import Database
from central.rooms import service as rooms
from central.sales import service as sales
from central.sales import tables
from central.schema import metadata
from tests.central.campus import NOW_MS, build, ids, open_room
from tests.central.sound import check_books

ROOT = Path(__file__).parent.parent.parent
KILLS = 50


def stand(connection: Connection) -> str:
    metadata.create_all(connection)
    new_id = ids()
    campus = build(connection, new_id)
    assert rooms.installation_body(connection, "g1", now_ms=NOW_MS).points
    return open_room(connection, campus.room_ids[0], new_id, fen=None).purse_ids[0]


def booked(connection: Connection) -> dict[str, tuple[str, int]]:
    check_books(connection)
    events = tables.money_events
    rows = connection.execute(select(events.c.request_id, events.c.receipt_no, events.c.fen)).all()
    assert len({row.request_id for row in rows}) == len(rows), "a request was booked twice"
    return {row.request_id: (row.receipt_no, row.fen) for row in rows}


@pytest.mark.clause("credit-11")
async def test_killed_tills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'central.db'}"
    database = await Database.open(url)
    purse_id = await database.write(stand)
    await database.close()

    book = tmp_path / "acknowledged"
    command = ["-m", "tests.central.killed_sales", url, str(book), purse_id, str(KILLS)]
    parent = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT)
    assert await asyncio.wait_for(parent.wait(), 60) == 0

    database = await Database.open(url)
    in_the_books = await database.read(booked)
    body = await database.read(sales.credit_body, purse_id)
    await database.close()
    acknowledged = [line.split() for line in book.read_text().splitlines()]
    assert len(acknowledged) >= KILLS
    lost = [
        request_id
        for request_id, receipt_no, fen in acknowledged
        if in_the_books.get(request_id) != (receipt_no, int(fen))
    ]
    assert lost == []
    assert len(in_the_books) <= len(acknowledged) + KILLS, "at most one a kill was in flight"
    assert (body.count, body.granted_fen) == (
        len(in_the_books),
        sum(fen for _, fen in in_the_books.values()),
    )
