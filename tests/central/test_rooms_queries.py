"""What the pages read of rooms: the wall in order, one room, and finding it by anything known."""

from typing import Any

from sqlalchemy import Connection, event, insert

from central import outbox
from central.database import Database
from central.metering import tables as metering
from central.rooms import queries, search
from central.rooms import service as rooms
from central.sales import service as sales
from central.sales.tables import accounts
from domain.supply import Mode
from domain.units import TICKS_PER_FEN
from domain.wire.intents import SupplyBody
from tests.central.campus import NOW_MS, TECHNICIAN, Campus, build, ids, open_room, point

NEW = ids(1 << 40)
DOORS = ("102", "101", "201")


def stand(connection: Connection) -> tuple[Campus, sales.OpenedAccount]:
    """Three rooms; the one called 101 is held and has used 12.34 of 50.00."""
    campus = build(connection, ids(), doors=DOORS)
    account = open_room(connection, campus.room_ids[1], NEW)
    purse: dict[str, Any] = {
        "purse_id": account.purse_ids[0],
        "charged_ticks": 1_234 * TICKS_PER_FEN,
    }
    purse |= {"gateway_count": 1, "taken_at_ms": NOW_MS + 5, "at_ms": NOW_MS + 6}
    connection.execute(insert(metering.purse_states).values(purse))
    state: dict[str, Any] = {"point_id": campus.point_ids[1], "gateway_id": "g1", "relay": "closed"}
    state |= {
        "supply": "on",
        "supply_reason": "credit_ok",
        "total_wh": 98_765,
        "read_at_ms": NOW_MS,
    }
    connection.execute(insert(metering.point_states).values(state))
    held: dict[str, Any] = {"gateway_id": "g1", "kind": "supply", "key": campus.point_ids[2]}
    outbox.put(connection, **held, body=SupplyBody(mode=Mode.hold_on), now_ms=NOW_MS)
    return campus, account


async def test_the_wall_shows_every_meter_in_order(either: Database) -> None:
    campus, account = await either.write(stand)
    wall = await either.read(queries.wall_rows)
    assert [row.room for row in wall] == ["101", "102", "201"]
    first, second, third = wall
    assert (first.point_id, first.building) == (campus.point_ids[1], "1号楼")
    assert (first.holder, first.purse_id, first.count) == ("周子涵", account.purse_ids[0], 1)
    assert first.booked_ticks == (5_000 - 1_234) * TICKS_PER_FEN
    assert (first.supply, first.relay, first.total_wh) == ("on", "closed", 98_765)
    assert (first.alarm_1_fen, first.alarm_2_fen, first.overdraft_fen) == (2_000, 500, 0)
    assert first.in_the_room
    assert (second.holder, second.booked_ticks, second.supply) == (None, None, None)
    assert (first.mode, third.mode) == (Mode.prepaid, Mode.hold_on)


async def test_the_wall_asks_the_database_twice_however_many_meters(database: Database) -> None:
    await database.write(stand)

    def counted(connection: Connection) -> int:
        asked: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            asked.append(statement)

        event.listen(connection, "before_cursor_execute", note)
        queries.wall_rows(connection)
        event.remove(connection, "before_cursor_execute", note)
        return len(asked)

    assert await database.read(counted) == 2


async def test_a_purchase_the_gateway_has_not_taken_is_on_its_way(database: Database) -> None:
    campus = await database.write(build, ids())
    await database.write(open_room, campus.room_ids[0], NEW)
    row = (await database.read(queries.wall_rows))[0]
    assert not row.in_the_room
    assert row.booked_ticks == 5_000 * TICKS_PER_FEN


async def test_a_room_says_who_holds_it(database: Database) -> None:
    campus, account = await database.write(stand)
    held = await database.read(queries.room, campus.room_ids[1])
    assert held is not None
    assert held.account is not None
    assert (held.name, held.building, held.site_id) == ("101", "1号楼", "s1")
    assert (held.account.account_id, held.account.phone) == (account.account_id, "13800138000")
    assert [meter.meter_id for meter in held.meters] == ["000222305470"]
    vacant = await database.read(queries.room, campus.room_ids[0])
    assert vacant is not None
    assert vacant.account is None
    assert await database.read(queries.room, "nowhere") is None
    assert await database.read(queries.room_named, "1号楼", " 101") == campus.room_ids[1]
    assert await database.read(queries.room_named, "1号楼", "999") is None


FINDABLE = [
    ("101", ["101"], "room"),
    ("1号楼 101", ["101"], "room"),
    ("1号楼10", ["101", "102"], "room"),
    ("子涵", ["101"], "holder"),
    ("8000", ["101"], "phone"),
    ("000322305470", ["201"], "meter"),
    ("00032230", ["201"], "meter"),
    ("000001", ["101"], "account"),
    ("a-000001", ["101"], "receipt"),
    ("  A-000001 ", ["101"], "receipt"),
    ("00", [], ""),
    ("", [], ""),
    ("   ", [], ""),
    ("%", [], ""),
    ("_", [], ""),
    ("没有", [], ""),
    ("'; DROP TABLE rooms; --", [], ""),
]


async def test_a_room_is_found_by_what_is_known(database: Database) -> None:
    await database.write(stand)
    for typed, rooms_found, by in FINDABLE:
        found = await database.read(search.find, typed)
        assert [room.room for room in found] == rooms_found, typed
        assert {room.by for room in found} <= {by}, typed


async def test_what_is_found_can_be_sold_to(either: Database) -> None:
    campus, account = await either.write(stand)
    found = (await either.read(search.find, "周子"))[0]
    assert found.purse_ids == account.purse_ids
    assert found.meter_ids == ("000222305470",)
    assert (found.holder, found.account_id) == ("周子涵", account.account_id)
    vacant = (await either.read(search.find, "201"))[0]
    assert (vacant.holder, vacant.purse_ids) == (None, ())
    assert vacant.room_id == campus.room_ids[2]


async def test_a_closed_account_no_longer_finds_its_room(database: Database) -> None:
    campus, account = await database.write(stand)

    def close(connection: Connection) -> None:
        connection.execute(accounts.update().values(closed_at_ms=NOW_MS))

    await database.write(close)
    assert await database.read(search.find, "周子涵") == []
    assert await database.read(search.find, account.account_id) == []
    held = await database.read(queries.room, campus.room_ids[1])
    assert held is not None
    assert held.account is None
    by_receipt = await database.read(search.find, "A-000001")
    assert [room.room for room in by_receipt] == ["101"]


async def test_an_exact_door_comes_before_many_that_contain_it(database: Database) -> None:
    def many(connection: Connection) -> None:
        campus = build(connection, ids(), doors=[f"1{n:03d}" for n in range(search.FOUND_MAX + 5)])
        assert len(campus.room_ids) > search.FOUND_MAX
        place: dict[str, Any] = {"building_id": "b1", "floor": 9, "name": "10"}
        who: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS}
        room_id = rooms.add_room(connection, **who, new_id=NEW, **place)
        assert isinstance(room_id, str)
        placed = rooms.add_points(connection, **who, new_id=NEW, points=[point(room_id, 99)])
        assert isinstance(placed, tuple)

    await database.write(many)
    found = await database.read(search.find, "10")
    assert len(found) == search.FOUND_MAX
    assert "10" in [room.room for room in found]
