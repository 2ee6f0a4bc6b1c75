"""A sale: one commit with every trace, once per request, in turn on one purse, within the cap."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from central import audit, books, outbox
from central.database import Database
from central.sales import service as sales
from central.sales import tables
from central.tally import ForgottenError
from domain.ledger import Method
from domain.refusals import Refusal
from domain.units import parse_yuan
from tests.central.campus import CASHIER, NOW_MS, build, ids, open_room
from tests.central.sound import check_books


def stand(connection: Connection) -> str:
    """A campus with one open room that has bought 50.00; returns its purse."""
    new_id = ids()
    campus = build(connection, new_id)
    return open_room(connection, campus.room_ids[0], new_id).purse_ids[0]


def sell(
    connection: Connection, /, purse_id: str, fen: int, request_id: str = "r1", **more: Any
) -> sales.Receipt | Refusal:
    seed = int.from_bytes(f"{request_id}{fen}".encode()) << 8
    usual: dict[str, Any] = {
        "actor": CASHIER,
        "now_ms": NOW_MS + 1,
        "new_id": ids(seed),
        "method": Method.cash,
    }
    return sales.sell(
        connection, **(usual | more), request_id=request_id, purse_id=purse_id, fen=fen
    )


def rows_of_everything(connection: Connection) -> dict[str, int | None]:
    kept = (books.entries, books.postings, books.idempotency, audit.audit_rows, tables.money_events,
            tables.receipts, tables.receipt_counters, tables.reservations)  # fmt: skip
    return {t.name: connection.scalar(select(func.count()).select_from(t)) for t in kept}


@pytest.mark.clause("credit-11")
async def test_a_sale_leaves_every_trace(either: Database) -> None:
    purse_id = await either.write(stand)
    receipt = await either.write(sell, purse_id, 12_345, memo="第二次")
    assert isinstance(receipt, sales.Receipt)
    assert (receipt.receipt_no, receipt.count, receipt.total_fen) == ("A-000002", 2, 12_345)
    assert receipt.total_words == "壹佰贰拾叁元肆角伍分"
    assert (receipt.site, receipt.payer, receipt.operator) == ("东区学生公寓", "周子涵", "王丽")
    line = receipt.lines[0]
    assert (line.item_zh, line.room, line.method_zh) == ("售电", "1号楼 101", "现金")
    assert (line.meter_ids, line.remark) == (("000122305470",), "第二次")

    def look(connection: Connection) -> tuple[Any, ...]:
        check_books(connection)
        event = connection.execute(select(tables.money_events).filter_by(count=2)).mappings().one()
        entry = books.entry_of(connection, event["entry_id"])
        deed = connection.execute(select(audit.audit_rows).filter_by(action="sale")).all()[-1]
        return event, entry, deed, sales.credit_body(connection, purse_id)

    event, entry, deed, body = await either.read(look)
    assert (event["kind"], event["fen"], event["receipt_no"]) == ("sale", 12_345, "A-000002")
    assert {(p.account, p.fen) for p in entry.postings} == {
        ("cash:cash", 12_345),
        (f"purse:{purse_id}", -12_345),
    }
    assert (deed.operator_name, deed.object) == ("王丽", f"purse:{purse_id}")
    assert (body.count, body.granted_fen) == (2, 17_345)


UNSELLABLE = [
    ("0", Refusal.amount_not_positive),
    ("-1", Refusal.amount_not_positive),
    ("0.001", Refusal.amount_finer_than_a_fen),
    ("1e9", Refusal.amount_not_a_number),
    ("1000000000", Refusal.amount_too_large),
    ("fifty", Refusal.amount_not_a_number),
    ("", Refusal.amount_not_a_number),
    ("1950.01", Refusal.above_hoarding_cap),
]


async def test_what_cannot_be_sold_is_refused_and_leaves_nothing(database: Database) -> None:
    purse_id = await database.write(stand)
    before = await database.read(rows_of_everything)
    for typed, refusal in UNSELLABLE:
        fen = parse_yuan(typed)
        answer = fen if isinstance(fen, Refusal) else await database.write(sell, purse_id, fen)
        assert answer is refusal, typed
    for fen in (0, -100, 10**11):
        assert isinstance(await database.write(sell, purse_id, fen), Refusal), fen
    assert await database.write(sell, "nobody", 100) is Refusal.not_found
    assert await database.read(rows_of_everything) == before


async def test_up_to_the_cap_and_not_a_fen_more(database: Database) -> None:
    purse_id = await database.write(stand)
    assert isinstance(await database.write(sell, purse_id, 195_000), sales.Receipt)
    assert await database.write(sell, purse_id, 1, "r2") is Refusal.above_hoarding_cap
    no_cap = sales.Till(cap_fen=None)
    sold = await database.write(sell, purse_id, 1, "r3", till=no_cap)
    assert isinstance(sold, sales.Receipt)


@pytest.mark.clause("credit-11")
async def test_the_same_request_sells_once(either: Database) -> None:
    purse_id = await either.write(stand)
    first = await either.write(sell, purse_id, 700)
    again = await either.write(sell, purse_id, 700, now_ms=NOW_MS + 60_000)
    assert again == first
    other = await either.write(sell, purse_id, 800)
    assert other is Refusal.same_request_other_input
    by_other_means = await either.write(sell, purse_id, 700, method=Method.wechat)
    assert by_other_means is Refusal.same_request_other_input
    await either.read(check_books)


async def test_a_double_click_sells_once(either: Database) -> None:
    purse_id = await either.write(stand)
    receipts = await asyncio.gather(*(either.write(sell, purse_id, 700) for _ in range(20)))
    assert len({repr(receipt) for receipt in receipts}) == 1
    assert isinstance(receipts[0], sales.Receipt)
    body = await either.read(sales.credit_body, purse_id)
    assert (body.count, body.granted_fen) == (2, 5_700)


@pytest.mark.clause("credit-10")
async def test_two_tills_take_turns(either: Database) -> None:
    purse_id = await either.write(stand)
    fens = [100 + n for n in range(20)]
    tills = [sales.Till(issuing_point="a"), sales.Till(issuing_point="b")]
    receipts = await asyncio.gather(
        *(either.write(sell, purse_id, fen, f"r{fen}", till=tills[fen % 2]) for fen in fens)
    )
    counts = sorted(r.count for r in receipts if isinstance(r, sales.Receipt))
    assert counts == list(range(2, 22))
    body = await either.read(sales.credit_body, purse_id)
    assert (body.count, body.granted_fen) == (21, 5_000 + sum(fens))
    await either.read(check_books)


async def test_parallel_sales_cannot_pass_the_cap_together(either: Database) -> None:
    purse_id = await either.write(stand)
    answers = await asyncio.gather(
        *(either.write(sell, purse_id, 100_000, f"r{n}") for n in range(6))
    )
    assert sorted(isinstance(a, sales.Receipt) for a in answers) == [False] * 5 + [True]
    assert {a for a in answers if isinstance(a, Refusal)} == {Refusal.above_hoarding_cap}


@pytest.mark.clause("credit-11")
@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (audit, "record", "without an audit row"),
        (outbox, "put", "without a credit intent"),
    ],
)
async def test_a_forgotten_trace_undoes_the_sale(
    either: Database, monkeypatch: pytest.MonkeyPatch, module: object, name: str, words: str
) -> None:
    purse_id = await either.write(stand)
    before = await either.read(rows_of_everything)
    with monkeypatch.context() as forgetful:
        forgetful.setattr(module, name, lambda *_, **__: 1)
        with pytest.raises(ForgottenError, match=words):
            await either.write(sell, purse_id, 700)
    assert await either.read(rows_of_everything) == before
    await either.read(check_books)


@pytest.mark.clause("credit-11")
async def test_a_failure_gives_its_receipt_number_back(
    either: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    purse_id = await either.write(stand)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no disk")

    with monkeypatch.context() as failing:
        failing.setattr(books, "remember", fail)
        with pytest.raises(RuntimeError, match="no disk"):
            await either.write(sell, purse_id, 700)
    receipt = await either.write(sell, purse_id, 700)
    assert isinstance(receipt, sales.Receipt)
    assert receipt.receipt_no == "A-000002"


async def test_a_receipt_is_printed_again_as_it_was(database: Database) -> None:
    purse_id = await database.write(stand)
    receipt = await database.write(sell, purse_id, 700)
    assert isinstance(receipt, sales.Receipt)
    again = await database.write(
        sales.reprint, actor=CASHIER, now_ms=NOW_MS + 9, receipt_no=receipt.receipt_no
    )
    assert again == receipt
    nobody = await database.write(sales.reprint, actor=CASHIER, now_ms=NOW_MS, receipt_no="A-9")
    assert nobody is Refusal.not_found

    def deeds(connection: Connection) -> int | None:
        reprints = select(func.count()).where(audit.audit_rows.c.action == "reprint")
        return connection.scalar(reprints)

    assert await database.read(deeds) == 1


async def test_events_and_slips_are_never_changed(either: Database) -> None:
    purse_id = await either.write(stand)

    def edit(connection: Connection, table: str) -> None:
        connection.exec_driver_sql(f"UPDATE {table} SET receipt_no = 'X'")

    def erase(connection: Connection, table: str) -> None:
        connection.exec_driver_sql(f"DELETE FROM {table}")

    for table in ("money_events", "receipts"):
        for deed in (edit, erase):
            with pytest.raises(Exception, match="append-only"):
                await either.write(deed, table)
    body = await either.read(sales.credit_body, purse_id)
    assert body.granted_fen == 5_000
