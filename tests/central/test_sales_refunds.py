"""Money back: asked of the gateway first, settled by its one answer, paid only then."""

from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from central import audit, books
from central.database import Database
from central.metering.tables import purse_states
from central.sales import service as sales
from domain.ledger import Kind, Method
from domain.refusals import Refusal
from domain.units import TICKS_PER_FEN
from tests.central.campus import CASHIER, NOW_MS, SUPERVISOR, build, ids, open_room
from tests.central.sound import check_books

NEW = ids(1 << 40)


def stand(connection: Connection) -> sales.Receipt:
    """A campus with one open room that has bought 50.00 in cash; returns that receipt."""
    new_id = ids()
    campus = build(connection, new_id)
    receipt = open_room(connection, campus.room_ids[0], new_id).receipt
    assert receipt is not None
    return receipt


def refund(
    connection: Connection, /, purse_id: str, fen: int, request_id: str = "r1", **more: Any
) -> sales.Asked | Refusal:
    usual: dict[str, Any] = {
        "actor": CASHIER,
        "now_ms": NOW_MS + 1,
        "new_id": NEW,
        "method": Method.cash,
    }
    usual |= {"reason": "搬走"} | more
    return sales.ask_refund(connection, **usual, request_id=request_id, purse_id=purse_id, fen=fen)


def reverse(
    connection: Connection, /, event_id: str, request_id: str = "v1", **more: Any
) -> sales.Asked | sales.Receipt | Refusal:
    usual: dict[str, Any] = {
        "actor": SUPERVISOR,
        "now_ms": NOW_MS + 2,
        "new_id": NEW,
        "reason": "输错",
    } | more
    return sales.ask_reversal(connection, **usual, request_id=request_id, event_id=event_id)


def answer(connection: Connection, reservation_id: str, accepted: bool) -> sales.Receipt | None:
    return sales.reservation_answered(
        connection,
        reservation_id=reservation_id,
        accepted=accepted,
        now_ms=NOW_MS + 3,
        new_id=NEW,
    )


def cancel(connection: Connection, reservation_id: str) -> sales.Asked | Refusal:
    return sales.cancel_reservation(
        connection, actor=CASHIER, now_ms=NOW_MS + 4, reservation_id=reservation_id
    )


def sell(connection: Connection, purse_id: str, fen: int, method: Method) -> sales.Receipt:
    receipt = sales.sell(
        connection,
        actor=CASHIER,
        now_ms=NOW_MS + 1,
        new_id=NEW,
        request_id=NEW(),
        purse_id=purse_id,
        fen=fen,
        method=method,
    )
    assert isinstance(receipt, sales.Receipt)
    return receipt


def asked(value: object) -> sales.Asked:
    assert isinstance(value, sales.Asked), value
    return value


async def test_a_refund_waits_for_the_gateway_and_then_pays(either: Database) -> None:
    bought = await either.write(stand)
    open_one = asked(await either.write(refund, bought.purse_id, 2_000))
    assert (open_one.state, open_one.purpose, open_one.receipt) == ("open", "refund", None)
    waiting = await either.read(sales.credit_body, bought.purse_id)
    assert (waiting.count, waiting.granted_fen) == (1, 5_000)
    assert [(r.reservation_id, r.fen) for r in waiting.reservations] == [
        (open_one.reservation_id, 2_000)
    ]

    slip = await either.write(answer, open_one.reservation_id, True)
    assert slip is not None
    assert (slip.kind, slip.count, slip.total_fen) == (Kind.refund, 2, -2_000)
    assert (slip.title_zh, slip.total_words) == ("退款票据", "负贰拾元整")
    assert (slip.operator, slip.lines[0].remark) == ("王丽", "搬走")
    paid = await either.read(sales.credit_body, bought.purse_id)
    assert (paid.count, paid.granted_fen, paid.reservations) == (2, 3_000, ())
    settled = await either.read(sales.asked, open_one.reservation_id)
    assert (settled.state, settled.receipt) == ("posted", slip)
    assert await either.read(books.balance_fen, "cash:cash") == 3_000
    await either.read(check_books)


async def test_an_answer_counts_once(database: Database) -> None:
    bought = await database.write(stand)
    open_one = asked(await database.write(refund, bought.purse_id, 2_000))
    assert await database.write(answer, open_one.reservation_id, True) is not None
    assert await database.write(answer, open_one.reservation_id, True) is None
    assert await database.write(answer, open_one.reservation_id, False) is None
    assert await database.write(answer, "asked-by-nobody", True) is None
    body = await database.read(sales.credit_body, bought.purse_id)
    assert (body.count, body.granted_fen) == (2, 3_000)


async def test_a_refused_refund_is_void_and_moves_nothing(database: Database) -> None:
    bought = await database.write(stand)
    open_one = asked(await database.write(refund, bought.purse_id, 2_000))
    assert await database.write(answer, open_one.reservation_id, False) is None
    settled = await database.read(sales.asked, open_one.reservation_id)
    assert (settled.state, settled.void_reason, settled.receipt) == ("void", "refused", None)
    body = await database.read(sales.credit_body, bought.purse_id)
    assert (body.count, body.granted_fen, body.reservations) == (1, 5_000, ())
    withdrawn = await database.write(cancel, open_one.reservation_id)
    assert withdrawn is Refusal.reservation_settled


async def test_a_late_answer_to_a_cancelled_refund_does_nothing(database: Database) -> None:
    bought = await database.write(stand)
    open_one = asked(await database.write(refund, bought.purse_id, 2_000))
    first = asked(await database.write(cancel, open_one.reservation_id))
    assert (first.state, first.void_reason) == ("void", "cancelled")
    assert await database.write(cancel, open_one.reservation_id) == first
    assert await database.write(answer, open_one.reservation_id, True) is None
    body = await database.read(sales.credit_body, bought.purse_id)
    assert (body.count, body.granted_fen, body.reservations) == (1, 5_000, ())
    await database.read(check_books)


async def test_a_paid_refund_cannot_be_cancelled(database: Database) -> None:
    bought = await database.write(stand)
    open_one = asked(await database.write(refund, bought.purse_id, 2_000))
    await database.write(answer, open_one.reservation_id, True)
    assert await database.write(cancel, open_one.reservation_id) is Refusal.reservation_settled
    assert await database.write(cancel, "nothing") is Refusal.not_found


async def test_the_same_refund_request_asks_once(either: Database) -> None:
    bought = await either.write(stand)
    first = await either.write(refund, bought.purse_id, 2_000)
    assert await either.write(refund, bought.purse_id, 2_000) == first
    other = await either.write(refund, bought.purse_id, 2_001)
    assert other is Refusal.same_request_other_input
    body = await either.read(sales.credit_body, bought.purse_id)
    assert len(body.reservations) == 1


async def test_money_goes_back_the_way_it_came(database: Database) -> None:
    bought = await database.write(stand)  # 50.00 in cash
    purse_id = bought.purse_id
    await database.write(sell, purse_id, 3_000, Method.wechat)
    ask = database.write
    assert await ask(refund, purse_id, 5_001) is Refusal.exceeds_paid_by_method
    assert await ask(refund, purse_id, 1, method=Method.alipay) is Refusal.exceeds_paid_by_method
    asked(await ask(refund, purse_id, 3_000, "r2", method=Method.wechat))
    again = await ask(refund, purse_id, 1, "r3", method=Method.wechat)
    assert again is Refusal.exceeds_paid_by_method, "what is asked for counts as gone"
    assert await ask(refund, purse_id, 8_001, "r4") is Refusal.exceeds_balance
    assert await ask(refund, purse_id, 0, "r5") is Refusal.amount_not_positive
    assert await ask(refund, "nobody", 100, "r6") is Refusal.not_found


async def test_a_sale_is_reversed_by_the_gateways_answer(either: Database) -> None:
    bought = await either.write(stand)
    open_one = asked(await either.write(reverse, bought.event_id))
    assert (open_one.purpose, open_one.fen, open_one.state) == ("reversal", 5_000, "open")
    assert await either.write(reverse, bought.event_id) == open_one
    busy = await either.write(reverse, bought.event_id, "v2")
    assert busy is Refusal.reservation_open
    slip = await either.write(answer, open_one.reservation_id, True)
    assert slip is not None
    assert (slip.kind, slip.total_fen, slip.count) == (Kind.reversal, -5_000, 2)
    assert slip.reverses_receipt_no == bought.receipt_no
    assert (slip.operator, slip.lines[0].method_zh) == ("赵敏", "现金")
    twice = await either.write(reverse, bought.event_id, "v3")
    assert twice is Refusal.already_reversed
    assert await either.read(books.balance_fen, "cash:cash") == 0
    await either.read(check_books)


async def test_what_was_used_already_needs_a_supervisor(database: Database) -> None:
    bought = await database.write(stand)
    first = asked(await database.write(reverse, bought.event_id))
    await database.write(answer, first.reservation_id, False)
    assert (await database.read(sales.asked, first.reservation_id)).void_reason == "refused"
    by_cashier = await database.write(
        reverse, bought.event_id, "v2", actor=CASHIER, below_zero=True
    )
    assert by_cashier is Refusal.needs_supervisor
    again = asked(await database.write(reverse, bought.event_id, "v3", below_zero=True))
    assert again.purpose == "reversal_below_zero"
    assert await database.write(answer, again.reservation_id, True) is not None
    await database.read(check_books)


async def test_a_refund_is_reversed_at_once(either: Database) -> None:
    bought = await either.write(stand)
    open_one = asked(await either.write(refund, bought.purse_id, 2_000))
    paid = await either.write(answer, open_one.reservation_id, True)
    assert paid is not None
    slip = await either.write(reverse, paid.event_id)
    assert isinstance(slip, sales.Receipt)
    assert (slip.kind, slip.total_fen, slip.count) == (Kind.reversal, 2_000, 3)
    assert await either.write(reverse, paid.event_id) == slip
    assert await either.write(reverse, paid.event_id, "v2") is Refusal.already_reversed
    assert await either.write(reverse, slip.event_id, "v3") is Refusal.not_reversible
    assert await either.read(books.balance_fen, "cash:cash") == 5_000
    await either.read(check_books)


async def test_only_the_latest_event_is_reversed(database: Database) -> None:
    bought = await database.write(stand)
    await database.write(sell, bought.purse_id, 100, Method.cash)
    assert await database.write(reverse, bought.event_id) is Refusal.not_the_latest_event
    assert await database.write(reverse, "nothing", "v2") is Refusal.not_found


async def test_what_was_asked_is_never_rewritten(either: Database) -> None:
    bought = await either.write(stand)
    open_one = asked(await either.write(refund, bought.purse_id, 2_000))

    def inflate(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE reservations SET fen = 5000")

    with pytest.raises(Exception, match="append-only"):
        await either.write(inflate)
    assert (await either.read(sales.asked, open_one.reservation_id)).fen == 2_000


async def test_every_step_is_audited(database: Database) -> None:
    bought = await database.write(stand)
    open_one = asked(await database.write(refund, bought.purse_id, 2_000))
    await database.write(cancel, open_one.reservation_id)

    def deeds(connection: Connection) -> list[str]:
        rows = audit.audit_rows
        about = rows.c.object == f"purse:{bought.purse_id}"
        return list(connection.execute(select(rows.c.action).where(about)).scalars())

    assert await database.read(deeds) == ["sale", "ask_refund", "void_reservation"]


async def test_consumption_lowers_what_can_be_refunded(database: Database) -> None:
    bought = await database.write(stand)

    def burn(connection: Connection) -> None:
        row = {"purse_id": bought.purse_id, "charged_ticks": 3_000 * TICKS_PER_FEN}
        connection.execute(insert(purse_states).values(row | {"at_ms": NOW_MS}))

    await database.write(burn)
    assert await database.write(refund, bought.purse_id, 2_001) is Refusal.exceeds_balance
    asked(await database.write(refund, bought.purse_id, 2_000))
