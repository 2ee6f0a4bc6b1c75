"""Places and prices: what may be set up, what is refused, and what each gateway is told."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from central import audit, outbox
from central.database import Database
from central.rooms import service as rooms
from central.rooms import tables, zones
from domain.instants import DAY_MS, HOUR_MS, Zone
from domain.refusals import Refusal
from domain.tariff import Rate
from domain.wire.intents import CalendarBody, InstallationBody, PolicyBody, TariffBody
from tests.central.campus import FLAT, NOW_MS, POLICY, TECHNICIAN, Campus, build, ids, point

NEW = ids(1 << 40)
WHO: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS}
DEARER = FLAT.model_copy(update={"effective_from_ms": NOW_MS + DAY_MS, "price_e4": ((6_000,),)})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What was put in the outbox: (gateway, kind, key), in order; the outbox still gets it."""
    seen: list[tuple[str, str, str]] = []
    put = outbox.put

    def listening(connection: Connection, **more: Any) -> int:
        seen.append((more["gateway_id"], more["kind"], more["key"]))
        return int(put(connection, **more))

    monkeypatch.setattr(outbox, "put", listening)
    return seen


def stand(connection: Connection) -> Campus:
    return build(connection, ids())


async def test_a_gateway_is_told_of_its_meters_once(
    either: Database, told: list[tuple[str, str, str]]
) -> None:
    campus = await either.write(stand)
    assert told == [
        ("g1", "tariff", "flat"),
        ("g1", "policy", "usual"),
        ("g1", "installation", "g1"),
    ]
    body = await either.read(rooms.installation_body, "g1", now_ms=NOW_MS)
    assert isinstance(body, InstallationBody)
    assert [(bus.bus_id, bus.port, bus.baud, bus.parity) for bus in body.buses] == [
        ("u1", "/dev/b1", 9_600, "N")
    ]
    assert [place.point_id for place in body.points] == list(campus.point_ids)
    assert [place.meter_id for place in body.points] == ["000122305470", "000222305470"]
    assert body.utc_offsets[-1][1] == 480


BAD_METERS: list[tuple[dict[str, Any], Refusal]] = [
    ({"meter_id": "000122305470"}, Refusal.already_exists),
    ({"address": 1}, Refusal.already_exists),
    ({"circuit": "light"}, Refusal.already_exists),
    ({"meter_id": "no meter"}, Refusal.meter_number_malformed),
    ({"address": 0}, Refusal.setting_out_of_range),
    ({"address": 248}, Refusal.setting_out_of_range),
    ({"ct": 0}, Refusal.setting_out_of_range),
    ({"room_id": "nowhere"}, Refusal.not_found),
    ({"bus_id": "u9"}, Refusal.not_found),
    ({"tariff_id": "free"}, Refusal.not_found),
    ({"policy_id": "none"}, Refusal.not_found),
    ({"gateway_id": "G1"}, Refusal.id_malformed),
    ({"profile": " "}, Refusal.name_missing),
]


async def test_a_bad_meter_is_named_and_nothing_is_placed(database: Database) -> None:
    campus = await database.write(stand)
    room_id = campus.room_ids[0]
    good = point(room_id, 40, circuit="air", meter_id="40")
    for changed, refusal in BAD_METERS:
        usual: dict[str, Any] = {
            "room_id": room_id,
            "address": 41,
            "circuit": "socket",
            "meter_id": "41",
        }
        bad = replace(point(room_id, 41), **(usual | changed))
        answer = await database.write(rooms.add_points, **WHO, new_id=NEW, points=[good, bad])
        assert isinstance(answer, rooms.Refused), changed
        assert answer.refusal is refusal, changed
        assert [words.split(":")[0] for words in answer.details] == [f"2 · {bad.meter_id}"]
    body = await database.read(rooms.installation_body, "g1", now_ms=NOW_MS)
    assert len(body.points) == 2


async def test_two_meters_of_one_list_may_not_clash(database: Database) -> None:
    campus = await database.write(stand)
    room_id = campus.room_ids[0]
    twins = [point(room_id, 40 + n, circuit=f"c{n}", meter_id="0007") for n in (1, 2)]
    answer = await database.write(rooms.add_points, **WHO, new_id=NEW, points=twins)
    assert isinstance(answer, rooms.Refused)
    assert answer.details == (
        "2 · 0007: 已有同号或同名的记录 One of that number or name exists already",
    )


async def test_a_gateway_stays_in_one_site(database: Database) -> None:
    await database.write(stand)

    def elsewhere(connection: Connection) -> Any:
        assert rooms.add_site(connection, **WHO, site_id="s2", name="西区") is None
        building: dict[str, Any] = {"building_id": "b9", "site_id": "s2", "name": "9号楼"}
        assert rooms.add_building(connection, **WHO, **building) is None
        place: dict[str, Any] = {"building_id": "b9", "floor": 1, "name": "101"}
        room_id = rooms.add_room(connection, **WHO, new_id=NEW, **place)
        assert isinstance(room_id, str)
        return rooms.add_points(connection, **WHO, new_id=NEW, points=[point(room_id, 50)])

    answer = await database.write(elsewhere)
    assert isinstance(answer, rooms.Refused)
    assert answer.refusal is Refusal.other_site


async def test_places_are_checked(database: Database) -> None:
    await database.write(stand)
    write = database.write
    site, building, room = rooms.add_site, rooms.add_building, rooms.add_room
    assert await write(site, **WHO, site_id="s1", name="x") is Refusal.already_exists
    assert await write(site, **WHO, site_id="S 1", name="x") is Refusal.id_malformed
    moon = await write(site, **WHO, site_id="s3", name="x", zone_name="Moon/Tycho")
    assert moon is Refusal.setting_out_of_range
    b1: dict[str, Any] = {"building_id": "b1", "site_id": "s1"}
    assert await write(building, **WHO, **b1, name="新楼") is Refusal.already_exists
    b2: dict[str, Any] = {"building_id": "b2", "site_id": "s1"}
    assert await write(building, **WHO, **b2, name="1号楼") is Refusal.already_exists
    assert await write(building, **WHO, **b2, name="") is Refusal.name_missing
    b3: dict[str, Any] = {"building_id": "b3", "site_id": "s9", "name": "3号楼"}
    assert await write(building, **WHO, **b3) is Refusal.not_found
    r1: dict[str, Any] = {"building_id": "b1", "floor": 1}
    assert await write(room, **WHO, new_id=NEW, **r1, name="101 ") is Refusal.already_exists
    assert await write(room, **WHO, new_id=NEW, **r1, name=" ") is Refusal.name_missing
    bus: dict[str, Any] = {"gateway_id": "g1", "bus_id": "u2", "port": "/dev/b2"}
    odd = await write(rooms.add_bus, **WHO, **bus, baud=9_601)
    assert odd is Refusal.setting_out_of_range
    assert await write(rooms.add_bus, **WHO, **bus, parity="E") is None
    assert await write(rooms.add_bus, **WHO, **bus) is Refusal.already_exists


async def test_a_price_change_starts_later_and_is_sent(
    either: Database, told: list[tuple[str, str, str]]
) -> None:
    await either.write(stand)
    told.clear()
    assert await either.write(rooms.set_tariff, **WHO, tariff_id="flat", body=DEARER) == 2
    assert told == [("g1", "tariff", "flat")]
    assert await either.write(rooms.set_tariff, **WHO, tariff_id="flat", body=DEARER) == 2
    pricing = await either.read(rooms.pricing, tariff_id="flat", site_id="s1", now_ms=NOW_MS)
    assert [v.version for v in pricing.versions] == [1, 2]
    assert [v.prices_e4[Rate.flat] for v in pricing.versions] == [(5_600,), (6_000,)]


async def test_a_price_cannot_change_what_was(database: Database) -> None:
    await database.write(stand)
    assert await database.write(rooms.set_tariff, **WHO, tariff_id="flat", body=DEARER) == 2
    for start_ms, refusal in [
        (NOW_MS, Refusal.starts_in_the_past),
        (NOW_MS - HOUR_MS, Refusal.starts_in_the_past),
        (NOW_MS + HOUR_MS, Refusal.starts_too_early),
        (NOW_MS + DAY_MS, Refusal.starts_too_early),
    ]:
        sooner = DEARER.model_copy(update={"effective_from_ms": start_ms, "price_e4": ((1,),)})
        answer = await database.write(rooms.set_tariff, **WHO, tariff_id="flat", body=sooner)
        assert answer is refusal, start_ms


async def test_a_faulty_price_table_is_refused_in_words(database: Database) -> None:
    await database.write(stand)
    late = TariffBody.model_validate(
        FLAT.model_dump() | {"day_types": {"workday": ((60, 3),), "weekend": (), "holiday": ()}}
    )
    answer = await database.write(rooms.set_tariff, **WHO, tariff_id="odd", body=late)
    assert isinstance(answer, rooms.Refused)
    assert answer.refusal is Refusal.tariff_faulty
    assert len(answer.details) >= 2
    malformed = await database.write(rooms.set_tariff, **WHO, tariff_id="A B", body=FLAT)
    assert malformed is Refusal.id_malformed


async def test_prices_once_set_are_never_changed(either: Database) -> None:
    await either.write(stand)

    def edit(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE tariffs SET body = '{}'")

    with pytest.raises(Exception, match="append-only"):
        await either.write(edit)
    pricing = await either.read(rooms.pricing, tariff_id="flat", site_id="s1", now_ms=NOW_MS)
    assert pricing.versions[0].prices_e4[Rate.flat] == (5_600,)


async def test_policy_and_calendar_are_sent_to_who_uses_them(
    database: Database, told: list[tuple[str, str, str]]
) -> None:
    await database.write(stand)
    told.clear()
    tight = PolicyBody(alarm_1_fen=1_000, alarm_2_fen=200)
    assert await database.write(rooms.set_policy, **WHO, policy_id="usual", body=tight) == 2
    assert await database.write(rooms.set_policy, **WHO, policy_id="other", body=POLICY) == 1
    feast = CalendarBody(days={"2027-01-01": "holiday"})
    assert await database.write(rooms.set_calendar, **WHO, site_id="s1", body=feast) == 1
    assert told == [("g1", "policy", "usual"), ("g1", "calendar", "s1")]
    nowhere = await database.write(rooms.set_calendar, **WHO, site_id="s9", body=feast)
    assert nowhere is Refusal.not_found
    pricing = await database.read(rooms.pricing, tariff_id="flat", site_id="s1", now_ms=NOW_MS)
    assert list(pricing.calendar.days.values()) == ["holiday"]


async def test_alarms_stand_in_order(database: Database) -> None:
    for alarm_1, alarm_2 in [(500, 500), (500, 600), (500, 0), (-1, -2)]:
        body = PolicyBody(alarm_1_fen=alarm_1, alarm_2_fen=alarm_2)
        answer = await database.write(rooms.set_policy, **WHO, policy_id="p", body=body)
        assert answer is Refusal.alarms_out_of_order, (alarm_1, alarm_2)


async def test_every_change_is_audited(database: Database) -> None:
    await database.write(stand)

    def deeds(connection: Connection) -> set[str]:
        return set(connection.execute(select(audit.audit_rows.c.action)).scalars())

    assert await database.read(deeds) == {
        "add_site",
        "add_building",
        "add_bus",
        "add_room",
        "add_point",
        "set_version",
    }

    def rooms_named(connection: Connection) -> list[str]:
        return list(connection.execute(select(tables.rooms.c.name)).scalars())

    assert sorted(await database.read(rooms_named)) == ["101", "102"]


@given(
    name=st.sampled_from(
        ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
    ),
    ahead_ms=st.integers(-300 * DAY_MS, 400 * DAY_MS),
    year_ms=st.integers(0, 20 * 365 * DAY_MS),
)
def test_offsets_are_the_zones_own(name: str, ahead_ms: int, year_ms: int) -> None:
    now_ms = NOW_MS + year_ms
    table = Zone(zones.utc_offsets(name, now_ms))
    at_ms = now_ms + ahead_ms
    local = zones._instant(at_ms).astimezone(ZoneInfo(name))
    assert table.local(at_ms).replace(tzinfo=None) == local.replace(tzinfo=None)


def test_a_zone_without_seasons_is_one_pair() -> None:
    assert len(zones.utc_offsets("Asia/Shanghai", NOW_MS)) == 1
    assert not zones.is_zone("Asia/Atlantis")
    assert not zones.is_zone("../etc/passwd")
