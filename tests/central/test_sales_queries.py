"""What the pages read of money: an account's events, a shift's takings, how far a sale has come."""

from typing import Any

from sqlalchemy import Connection, insert, update

from central import outbox
from central.database import Database
from central.metering import tables as metering
from central.sales import queries
from central.sales import service as sales
from domain.ledger import Kind, Method
from tests.central.campus import CASHIER, NOW_MS, SUPERVISOR, build, ids, open_room

NEW = ids(1 << 40)


def stand(connection: Connection) -> sales.Receipt:
    """One room: 50.00 in cash by the cashier, 30.00 by WeChat and a paid refund of 10.00."""
    campus = build(connection, ids())
    bought = open_room(connection, campus.room_ids[0], NEW).receipt
    assert bought is not None
    usual: dict[str, Any] = {"new_id": NEW, "purse_id": bought.purse_id}
    sold: dict[str, Any] = {"fen": 3_000, "method": Method.wechat, "request_id": "r1"}
    sales.sell(connection, **usual, **sold, actor=SUPERVISOR, now_ms=NOW_MS + 10)
    back: dict[str, Any] = {"fen": 1_000, "method": Method.cash, "request_id": "r2", "reason": "退"}
    asked = sales.ask_refund(connection, **usual, **back, actor=CASHIER, now_ms=NOW_MS + 20)
    assert isinstance(asked, sales.Asked)
    sales.reservation_answered(
        connection,
        reservation_id=asked.reservation_id,
        accepted=True,
        now_ms=NOW_MS + 30,
        new_id=NEW,
    )
    return bought


def taken(connection: Connection, purse_id: str, count: int, at_ms: int) -> None:
    """The gateway says that it holds the purse at `count`."""
    states = metering.purse_states
    connection.execute(states.delete())
    row = {"purse_id": purse_id, "charged_ticks": 0, "at_ms": at_ms}
    connection.execute(insert(states).values(row | {"gateway_count": count, "taken_at_ms": at_ms}))


def relay(connection: Connection, point_id: str, seq: int, after: str, at_ms: int) -> None:
    """The gateway says that a relay was commanded and read back."""
    log = {"journal_id": "j1", "seq": seq, "point_id": point_id, "at_ms": at_ms, "what": "relay"}
    said = {"before": after, "after": after, "reason": "", "tries": 1}
    connection.execute(insert(metering.supply_log).values(log | said))


async def test_an_accounts_events_newest_first(either: Database) -> None:
    bought = await either.write(stand)
    events = await either.read(queries.events_of_account, bought.account_id)
    assert [(e.kind, e.fen, e.method, e.count) for e in events] == [
        (Kind.refund, -1_000, Method.cash, 3),
        (Kind.sale, 3_000, Method.wechat, 2),
        (Kind.sale, 5_000, Method.cash, 1),
    ]
    assert [e.receipt_no for e in events] == ["A-000003", "A-000002", "A-000001"]
    assert {(e.holder, e.building, e.room) for e in events} == {("周子涵", "1号楼", "101")}
    assert [e.in_the_room for e in events] == [False, False, False]
    await either.write(taken, bought.purse_id, 2, NOW_MS + 15)
    events = await either.read(queries.events_of_account, bought.account_id)
    assert [e.in_the_room for e in events] == [False, True, True]
    mine = await either.read(queries.recent_events, operator_id=CASHIER.operator_id)
    assert [e.count for e in mine] == [3, 1]
    assert len(await either.read(queries.recent_events, limit=2)) == 2
    assert await either.read(queries.events_of_account, "nobody") == []


async def test_a_reversal_is_shown_on_both_events(database: Database) -> None:
    bought = await database.write(stand)
    refund = (await database.read(queries.events_of_account, bought.account_id))[0]
    undone = await database.write(
        sales.ask_reversal,
        actor=SUPERVISOR,
        now_ms=NOW_MS + 40,
        new_id=NEW,
        request_id="v1",
        event_id=refund.event_id,
        reason="错",
    )
    assert isinstance(undone, sales.Receipt)
    newest, before, *_ = await database.read(queries.events_of_account, bought.account_id)
    assert (newest.reverses, before.reversed_by) == (refund.event_id, undone.event_id)


async def test_a_shift_is_summed_by_method_and_kind(either: Database) -> None:
    await either.write(stand)
    day: dict[str, Any] = {"from_ms": NOW_MS, "to_ms": NOW_MS + 100}
    sums = {
        (t.method, t.kind): (t.events, t.fen) for t in await either.read(queries.takings, **day)
    }
    assert sums == {
        (Method.cash, Kind.sale): (1, 5_000),
        (Method.cash, Kind.refund): (1, -1_000),
        (Method.wechat, Kind.sale): (1, 3_000),
    }
    mine = await either.read(queries.takings, **day, operator_id=SUPERVISOR.operator_id)
    assert [(t.method, t.fen) for t in mine] == [(Method.wechat, 3_000)]
    early = await either.read(queries.takings, from_ms=NOW_MS, to_ms=NOW_MS + 10)
    assert [t.fen for t in early] == [5_000]


async def test_what_was_asked_is_listed(database: Database) -> None:
    bought = await database.write(stand)
    listed = await database.read(queries.asked_of_account, bought.account_id)
    assert [(asked.state, asked.fen) for asked in listed] == [("posted", 1_000)]
    assert listed[0].receipt is not None


async def test_a_sale_is_traced_to_the_light(either: Database) -> None:
    bought = await either.write(stand)
    booked = await either.read(queries.trace, bought.event_id)
    assert booked is not None
    (point_id,) = booked.relays
    assert (booked.booked_at_ms, booked.at_gateway_ms, booked.lit_at_ms) == (NOW_MS, None, None)
    await either.write(taken, bought.purse_id, 1, NOW_MS + 3_000)
    await either.write(relay, point_id, 1, "closed", NOW_MS - 9)  # of an earlier day
    await either.write(relay, point_id, 2, "open", NOW_MS + 3_100)
    at_gateway = await either.read(queries.trace, bought.event_id, sent_at_ms=NOW_MS + 2)
    assert at_gateway is not None
    assert (at_gateway.sent_at_ms, at_gateway.at_gateway_ms) == (NOW_MS + 2, NOW_MS + 3_000)
    assert at_gateway.lit_at_ms is None
    await either.write(relay, point_id, 3, "closed", NOW_MS + 4_000)
    lit = await either.read(queries.trace, bought.event_id)
    assert lit is not None
    assert lit.lit_at_ms == NOW_MS + 4_000
    assert await either.read(queries.trace, "nothing") is None


async def test_the_time_of_a_later_taking_is_not_shown_as_the_payments_own(
    either: Database,
) -> None:
    bought = await either.write(stand)

    def at_gateway(connection: Connection) -> int | None:
        traced = queries.trace(connection, bought.event_id)
        assert traced is not None
        return traced.at_gateway_ms

    def stated(connection: Connection, /, **said: Any) -> None:
        connection.execute(update(metering.purse_states).values(**said))

    await either.write(taken, bought.purse_id, 1, NOW_MS + 3_000)
    assert await either.read(at_gateway) == NOW_MS + 3_000
    await either.write(stated, gateway_source="snapshot")
    assert await either.read(at_gateway) is None
    await either.write(stated, gateway_source="intent", gateway_version=2**53)
    assert await either.read(at_gateway) is None
    await either.write(taken, bought.purse_id, 2, NOW_MS + 9_000)
    assert await either.read(at_gateway) is None


async def test_a_refused_credit_is_shown_in_the_trace(database: Database) -> None:
    bought = await database.write(stand)

    def refuse(connection: Connection) -> None:
        mine = outbox.intents.c.key == bought.purse_id
        connection.execute(
            update(outbox.intents)
            .where(mine)
            .values(refused_version=outbox.intents.c.version, refused_reason="count_behind")
        )

    await database.write(refuse)
    trace = await database.read(queries.trace, bought.event_id)
    assert trace is not None
    assert trace.refused_reason == "count_behind"
