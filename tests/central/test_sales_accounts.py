"""Opening an account: purses, PIN, first money and the gateway's intents in one commit."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from central.database import Database
from central.rooms import service as rooms
from central.rooms import tables as places
from central.sales import service as sales
from central.sales import tables
from domain.ledger import Kind, Method
from domain.refusals import Refusal
from tests.central.campus import (
    CASHIER,
    NOW_MS,
    SUPERVISOR,
    TECHNICIAN,
    Campus,
    build,
    ids,
    pin,
    point,
)
from tests.central.sound import check_books

NEW = ids(1 << 40)


def stand(connection: Connection) -> Campus:
    return build(connection, ids())


def open_account(
    connection: Connection, /, opening: sales.Opening, request_id: str = "r1", **more: Any
) -> sales.OpenedAccount | Refusal:
    usual: dict[str, Any] = {
        "actor": CASHIER,
        "now_ms": NOW_MS,
        "new_id": NEW,
        "pin": pin(864_209),
    } | more
    return sales.open_account(connection, **usual, request_id=request_id, opening=opening)


def opening(room_id: str, **more: Any) -> sales.Opening:
    return sales.Opening(room_id, **({"holder": "周子涵", "phone": "13800138000"} | more))


def opened(value: object) -> sales.OpenedAccount:
    assert isinstance(value, sales.OpenedAccount), value
    return value


def purses_at(connection: Connection, gateway_id: str) -> list[str | None]:
    body = rooms.installation_body(connection, gateway_id, now_ms=NOW_MS)
    return [place.purse_id for place in body.points]


def add_point(connection: Connection, /, room_id: str, **more: Any) -> tuple[str, ...]:
    placed = rooms.add_points(
        connection, actor=TECHNICIAN, now_ms=NOW_MS, new_id=NEW, points=[point(room_id, 9, **more)]
    )
    assert isinstance(placed, tuple)
    return placed


async def test_an_account_opens_with_its_first_sale(either: Database) -> None:
    campus = await either.write(stand)
    form = opening(campus.room_ids[0], first_sale_fen=5_000, method=Method.alipay)
    account = opened(await either.write(open_account, form))
    assert account.account_id == "000001"
    assert account.pin == "864209"
    assert account.receipt is not None
    assert (account.receipt.pin, account.receipt.kind) == ("864209", Kind.sale)
    assert (account.receipt.account_id, account.receipt.count) == ("000001", 1)
    assert await either.read(purses_at, "g1") == [account.purse_ids[0], None]
    body = await either.read(sales.credit_body, account.purse_ids[0])
    assert (body.count, body.granted_fen) == (1, 5_000)
    await either.read(check_books)


async def test_the_pin_is_shown_once_and_kept_as_a_hash(database: Database) -> None:
    campus = await database.write(stand)
    form = opening(campus.room_ids[0], first_sale_fen=5_000, method=Method.cash)
    first = opened(await database.write(open_account, form))
    again = opened(await database.write(open_account, form))
    assert again.pin is None
    assert again.receipt is not None
    assert again == replace(first, pin=None, receipt=again.receipt)
    assert replace(again.receipt, pin="864209") == first.receipt
    kept = await database.read(sales.pin_hash_of_room, campus.room_ids[0])
    assert kept == ("000001", "hash of 864209")

    def everything(connection: Connection) -> str:
        content = connection.execute(select(tables.receipts.c.content)).scalars().all()
        audits = connection.exec_driver_sql("SELECT after FROM audit_rows").scalars().all()
        answers = connection.exec_driver_sql("SELECT result FROM idempotency").scalars().all()
        return f"{content} {audits} {answers}"

    assert "864209" not in await database.read(everything)
    renewed = await database.write(
        sales.renew_pin, actor=CASHIER, now_ms=NOW_MS, pin=pin(42), account_id="000001"
    )
    assert renewed == "000042"
    kept = await database.read(sales.pin_hash_of_room, campus.room_ids[0])
    assert kept == ("000001", "hash of 000042")


async def test_an_account_may_open_without_money(database: Database) -> None:
    campus = await database.write(stand)
    account = opened(await database.write(open_account, opening(campus.room_ids[0])))
    assert account.receipt is None
    body = await database.read(sales.credit_body, account.purse_ids[0])
    assert (body.count, body.granted_fen, body.state) == (0, 0, "open")


async def test_an_old_meters_balance_is_no_sale(either: Database) -> None:
    campus = await either.write(stand)
    form = opening(
        campus.room_ids[0],
        opening_balance_fen=300_000,  # the cap does not stand against it
        evidence="旧表照片 12",
    )
    assert await either.write(open_account, form) is Refusal.not_permitted
    account = opened(await either.write(open_account, form, actor=SUPERVISOR))
    assert account.receipt is not None
    assert (account.receipt.kind, account.receipt.lines[0].method_zh) == (Kind.opening, "—")
    assert account.receipt.lines[0].remark == "旧表照片 12"
    methods = await either.read(sales.paid_by_method, account.purse_ids[0])
    assert methods == {}
    await either.read(check_books)


async def test_balance_carried_in_then_first_sale(database: Database) -> None:
    campus = await database.write(stand)
    form = opening(
        campus.room_ids[0],
        opening_balance_fen=1_234,
        evidence="旧表照片 12",
        first_sale_fen=5_000,
        method=Method.cash,
    )
    account = opened(await database.write(open_account, form, actor=SUPERVISOR))
    assert account.receipt is not None
    assert (account.receipt.kind, account.receipt.count) == (Kind.sale, 2)
    body = await database.read(sales.credit_body, account.purse_ids[0])
    assert (body.count, body.granted_fen) == (2, 6_234)


WRONG_FORMS: list[tuple[dict[str, Any], Refusal]] = [
    ({"holder": "  "}, Refusal.holder_missing),
    ({"phone": "138-call-me"}, Refusal.phone_malformed),
    ({"first_sale_fen": 0, "method": Method.cash}, Refusal.amount_not_positive),
    ({"first_sale_fen": 100}, Refusal.method_missing),
    ({"first_sale_fen": 200_001, "method": Method.cash}, Refusal.above_hoarding_cap),
    ({"opening_balance_fen": -1, "evidence": "旧表照片"}, Refusal.amount_not_positive),
    ({"opening_balance_fen": 100, "evidence": " "}, Refusal.evidence_missing),
    ({"room_id": "nowhere"}, Refusal.not_found),
]


async def test_what_is_wrong_with_a_form_is_said(database: Database) -> None:
    campus = await database.write(stand)
    for changed, refusal in WRONG_FORMS:
        form = replace(opening(campus.room_ids[0]), **changed)
        answer = await database.write(open_account, form, actor=SUPERVISOR)
        assert answer is refusal, changed
    assert await database.read(purses_at, "g1") == [None, None]


async def test_a_room_opens_once(either: Database) -> None:
    campus = await either.write(stand)
    form = opening(campus.room_ids[0])
    opened(await either.write(open_account, form))
    assert await either.write(open_account, form, "r2") is Refusal.room_already_open
    other = replace(form, holder="赵一鸣")
    assert await either.write(open_account, other) is Refusal.same_request_other_input


async def test_a_room_needs_a_meter(database: Database) -> None:
    await database.write(stand)
    empty = await database.write(
        rooms.add_room,
        actor=TECHNICIAN,
        now_ms=NOW_MS,
        new_id=NEW,
        building_id="b1",
        floor=3,
        name="301",
    )
    assert isinstance(empty, str)
    assert await database.write(open_account, opening(empty)) is Refusal.room_without_meter


async def test_several_meters_share_a_purse_or_have_one_each(database: Database) -> None:
    campus = await database.write(stand)
    for room_id, meter in zip(campus.room_ids, ("77", "78"), strict=True):
        address = 20 + int(meter)
        await database.write(add_point, room_id, circuit="socket", meter_id=meter, address=address)
    shared = opened(await database.write(open_account, opening(campus.room_ids[0])))
    apart = opened(
        await database.write(open_account, opening(campus.room_ids[1], per_point=True), "r2")
    )
    assert (len(shared.purse_ids), len(apart.purse_ids)) == (1, 2)

    def purse_of(connection: Connection) -> dict[str, str | None]:
        points = places.points
        rows = connection.execute(select(points.c.meter_id, points.c.purse_id))
        return {row.meter_id: row.purse_id for row in rows}

    purses = await database.read(purse_of)
    assert purses["000122305470"] == purses["77"] == shared.purse_ids[0]
    assert (purses["000222305470"], purses["78"]) == apart.purse_ids


async def test_a_shared_purse_stays_on_one_gateway(database: Database) -> None:
    campus = await database.write(stand)

    def second_gateway(connection: Connection) -> None:
        add: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS}
        bus: dict[str, Any] = {"gateway_id": "g2", "bus_id": "u1", "port": "/dev/b2"}
        assert rooms.add_bus(connection, **add, **bus) is None
        add_point(connection, campus.room_ids[0], gateway_id="g2", circuit="socket", meter_id="88")

    await database.write(second_gateway)
    form = opening(campus.room_ids[0])
    assert await database.write(open_account, form) is Refusal.purse_spans_gateways
    apart = opened(await database.write(open_account, replace(form, per_point=True)))
    assert await database.read(purses_at, "g1") == [apart.purse_ids[0], None]
    assert await database.read(purses_at, "g2") == [apart.purse_ids[1]]
