"""A sale and an ingest of the same purse: one waits for the other, and neither is run again."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.util import await_only

from central.database import Database
from central.gateways import service as gateways
from central.metering import service as metering
from central.metering import tables
from central.metering.service import Prices
from central.sales import events
from central.sales import service as sales
from domain.ledger import Method
from domain.refusals import Refusal
from tests.central.campus import CASHIER, NOW_MS, SUPERVISOR, TECHNICIAN, build, ids, open_room
from tests.central.sound import check_books
from tests.central.voice import Voice, charge

WITHIN_S = 10.0
NEW = ids(1 << 50)


def stand(connection: Connection) -> tuple[str, str, str]:
    """An open room whose refund waits for an answer: its purse, point and reservation."""
    campus = build(connection, NEW)
    added = gateways.add_gateway(
        connection, actor=TECHNICIAN, now_ms=NOW_MS, gateway_id="g1", name="g1"
    )
    assert added is None
    purse_id = open_room(connection, campus.room_ids[0], NEW).purse_ids[0]
    asked = sales.ask_refund(
        connection, actor=SUPERVISOR, now_ms=NOW_MS, new_id=NEW, request_id="ask",
        purse_id=purse_id, fen=1_000, method=Method.cash, reason="moving out",
    )  # fmt: skip
    assert not isinstance(asked, Refusal)
    return purse_id, campus.point_ids[0], asked.reservation_id


def said(how: str, purse_id: str, point_id: str, reservation_id: str) -> Voice:
    """A journal that touches the purse's intent before anything that takes the purse itself."""
    voice = Voice()
    voice.opens()
    if how == "credit":
        voice.takes_credit(purse_id, 2)
    else:
        voice.say("intent_taken", intent_kind="credit", key=purse_id, version=2,
                  outcome="refused", reason="count_behind")  # fmt: skip
    voice.charges(charge(purse_id, point_id, 0, 1_000, 0))
    voice.say("reservation_answered", purse_id=purse_id, reservation_id=reservation_id,
              accepted=True, available_ticks=0)  # fmt: skip
    return voice


@pytest.mark.postgres
@pytest.mark.parametrize("how", ["credit", "refusal"])
async def test_an_ingest_waits_for_a_sale_and_neither_is_run_twice(
    postgres: Database, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    purse_id, point_id, reservation_id = await postgres.write(stand)
    arrived = said(how, purse_id, point_id, reservation_id).arrives()
    held, runs = asyncio.Event(), {"sale": 0, "ingest": 0}
    lock_purse = events.lock_purse

    def lock_and_wait(connection: Connection, locked_id: str) -> Any:
        view = lock_purse(connection, locked_id)
        if not held.is_set():
            held.set()
            await_only(until_somebody_waits(postgres))
        return view

    def sell(connection: Connection) -> sales.Receipt | Refusal:
        runs["sale"] += 1
        return sales.sell(
            connection, actor=CASHIER, now_ms=NOW_MS, new_id=NEW, request_id="sell",
            purse_id=purse_id, fen=700, method=Method.cash,
        )  # fmt: skip

    def ingest(connection: Connection) -> metering.Ingested:
        runs["ingest"] += 1
        return metering.ingest(connection, arrived, new_id=NEW, prices=Prices())

    monkeypatch.setattr("central.sales.service.lock_purse", lock_and_wait)
    async with asyncio.timeout(WITHIN_S):
        selling = asyncio.ensure_future(postgres.write(sell))
        await held.wait()
        done = await postgres.write(ingest)
        receipt = await selling
    assert isinstance(receipt, sales.Receipt)
    assert done.held_seq == 4
    assert runs == {"sale": 1, "ingest": 1}
    body = await postgres.read(sales.credit_body, purse_id)
    assert (body.count, body.granted_fen) == (3, 4_700)
    await postgres.read(check_books)


@pytest.mark.postgres
async def test_what_is_read_again_waits_for_the_ingest_that_runs(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, point_id, _ = await postgres.write(stand)
    old, new, prices = Voice(), Voice("successor", key_epoch=2), Prices()
    old.opens()
    old.reads(point_id, 1_000)  # no purse is spoken of, whose row would be held in any case
    new.opens("replaced", old.journal_id)
    with monkeypatch.context() as older:
        older.setattr("central.metering.readable._KINDS", frozenset({"journal_opened"}))
        await postgres.write(metering.ingest, old.arrives(), new_id=NEW, prices=prices)
    held = asyncio.Event()

    def ingest(connection: Connection) -> None:
        metering.ingest(connection, new.arrives(), new_id=NEW, prices=prices)
        held.set()
        await_only(until_somebody_waits(postgres))

    def states(connection: Connection) -> int:
        return len(connection.execute(select(tables.point_states)).all())

    async with asyncio.timeout(WITHIN_S):
        taking = asyncio.ensure_future(postgres.write(ingest))
        await held.wait()
        done = await postgres.write(metering.reread, new_id=NEW, prices=prices, now_ms=NOW_MS)
        await taking
    assert done == 1
    assert await postgres.read(states) == 0, "the journal was closed when it was read again"


async def until_somebody_waits(database: Database) -> None:
    """Until a transaction waits for a lock of another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def count(connection: Connection) -> int:
        return int(connection.exec_driver_sql(waiting).scalar_one())

    while not await database.read(count):  # noqa: ASYNC110 - another transaction has no event
        await asyncio.sleep(0.005)
