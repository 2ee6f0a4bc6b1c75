"""What may be done to places and prices. Every change is audited and sent to who must know it.

Buildings, rooms, buses and points are set up in that order; points are added many at once, and
their gateways are told once. Ids are given by people; meter numbers are text.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, Table, insert, select

from central import audit
from central.database import lock_name
from central.rooms import tables, versions, zones
from central.rooms.intents import (
    installation_body,
    lock_installation,
    push_all,
    push_calendar,
    push_installation,
    push_policy,
    push_tariff,
    site_of_gateway,
)
from central.rooms.placement import (
    NewPoint,
    Place,
    Refused,
    add_points,
    give_purse,
    lock_room,
    meters_of_purse,
    place_of,
    points_of_room,
)
from central.rooms.versions import add_version, pricing
from central.security import Actor
from domain import tariff
from domain.ids import IdSource, is_id
from domain.refusals import Refusal
from domain.wire.intents import CalendarBody, PolicyBody, TariffBody

__all__ = [
    "NewPoint",
    "Place",
    "Refused",
    "add_building",
    "add_bus",
    "add_points",
    "add_room",
    "add_site",
    "give_purse",
    "installation_body",
    "lock_installation",
    "lock_room",
    "meters_of_purse",
    "place_of",
    "points_of_room",
    "pricing",
    "push_all",
    "push_calendar",
    "push_installation",
    "push_policy",
    "push_tariff",
    "set_calendar",
    "set_policy",
    "set_tariff",
    "site_of_gateway",
]

BAUDS = (1200, 2400, 4800, 9600, 19200, 38400)
PARITIES = ("N", "E", "O")


def add_site(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    site_id: str,
    name: str,
    zone_name: str = "Asia/Shanghai",
) -> Refusal | None:
    """Add a site; its name stands on every receipt, its zone is every gateway's local time."""
    if not is_id(site_id):
        return Refusal.id_malformed
    if not name.strip():
        return Refusal.name_missing
    if not zones.is_zone(zone_name):
        return Refusal.setting_out_of_range
    row = {"site_id": site_id, "name": name.strip(), "zone_name": zone_name}
    return _add(connection, tables.sites, row, actor=actor, now_ms=now_ms, action="add_site")


def add_building(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    building_id: str,
    site_id: str,
    name: str,
    sort: int = 0,
) -> Refusal | None:
    """Add a building to a site; `sort` is its place in lists."""
    if not is_id(building_id):
        return Refusal.id_malformed
    if not name.strip():
        return Refusal.name_missing
    if not _stands(connection, tables.sites, site_id=site_id):
        return Refusal.not_found
    if _stands(connection, tables.buildings, site_id=site_id, name=name.strip()):
        return Refusal.already_exists
    row = {"building_id": building_id, "site_id": site_id, "name": name.strip(), "sort": sort}
    return _add(
        connection, tables.buildings, row, actor=actor, now_ms=now_ms, action="add_building"
    )


def add_room(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    new_id: IdSource,
    building_id: str,
    floor: int,
    name: str,
) -> str | Refusal:
    """Add a room to a building; returns its id. Its name 户号 is unique in the building."""
    name = name.strip()
    if not name:
        return Refusal.name_missing
    if not _stands(connection, tables.buildings, building_id=building_id):
        return Refusal.not_found
    if _stands(connection, tables.rooms, building_id=building_id, name=name):
        return Refusal.already_exists
    row = {"room_id": new_id(), "building_id": building_id, "floor": floor, "name": name}
    refusal = _add(connection, tables.rooms, row, actor=actor, now_ms=now_ms, action="add_room")
    return refusal or str(row["room_id"])


def add_bus(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    gateway_id: str,
    bus_id: str,
    port: str,
    baud: int = 9600,
    parity: str = "N",
) -> Refusal | None:
    """Add a serial line to a gateway; it is told with its first point."""
    if not is_id(gateway_id) or not is_id(bus_id):
        return Refusal.id_malformed
    if not port.strip():
        return Refusal.name_missing
    if baud not in BAUDS or parity not in PARITIES:
        return Refusal.setting_out_of_range
    row: dict[str, object] = {"gateway_id": gateway_id, "bus_id": bus_id, "port": port.strip()}
    row |= {"baud": baud, "parity": parity}
    return _add(connection, tables.buses, row, actor=actor, now_ms=now_ms, action="add_bus")


def set_tariff(
    connection: Connection, *, actor: Actor, now_ms: int, tariff_id: str, body: TariffBody
) -> int | Refusal | Refused:
    """Add a version of a price table and send it to the gateways that use it; its number.

    A change starts in the future and later than every version before it; only the first may start
    in the past. The body that is the newest already is not added again.
    """
    if not is_id(tariff_id):
        return Refusal.id_malformed
    lock_name(connection, f"tariff:{tariff_id}")
    bodies = versions.tariff_bodies(connection, tariff_id)
    if bodies and bodies[-1] == body:
        return len(bodies)
    faults = tariff.faults(body.to_tariff(tariff_id, len(bodies) + 1))
    if faults:
        return Refused(Refusal.tariff_faulty, tuple(faults))
    if bodies and body.effective_from_ms <= now_ms:
        return Refusal.starts_in_the_past
    if bodies and body.effective_from_ms <= bodies[-1].effective_from_ms:
        return Refusal.starts_too_early
    version = add_version(
        connection,
        tables.tariffs,
        key=tariff_id,
        body=body,
        actor=actor,
        now_ms=now_ms,
        effective_from_ms=body.effective_from_ms,
    )
    push_tariff(connection, tariff_id, now_ms=now_ms)
    return version


def set_policy(
    connection: Connection, *, actor: Actor, now_ms: int, policy_id: str, body: PolicyBody
) -> int | Refusal:
    """Add a version of a policy, in force at once, and send it to the gateways that use it."""
    if not is_id(policy_id):
        return Refusal.id_malformed
    if not body.alarm_1_fen > body.alarm_2_fen > 0:
        return Refusal.alarms_out_of_order
    lock_name(connection, f"policy:{policy_id}")
    version = add_version(
        connection, tables.policies, key=policy_id, body=body, actor=actor, now_ms=now_ms
    )
    push_policy(connection, policy_id, now_ms=now_ms)
    return version


def set_calendar(
    connection: Connection, *, actor: Actor, now_ms: int, site_id: str, body: CalendarBody
) -> int | Refusal:
    """Add a version of a site's calendar and send it to the site's gateways."""
    if not _stands(connection, tables.sites, site_id=site_id):
        return Refusal.not_found
    lock_name(connection, f"calendar:{site_id}")
    version = add_version(
        connection, tables.calendars, key=site_id, body=body, actor=actor, now_ms=now_ms
    )
    push_calendar(connection, site_id, now_ms=now_ms)
    return version


def _stands(connection: Connection, table: Table, **values: object) -> bool:
    found = select(table).filter_by(**values).limit(1)
    return connection.execute(found).first() is not None


def _add(
    connection: Connection,
    table: Table,
    row: Mapping[str, object],
    *,
    actor: Actor,
    now_ms: int,
    action: str,
) -> Refusal | None:
    """Insert a row unless its key stands already, and audit it under its key."""
    key = {column.name: row[column.name] for column in table.primary_key.columns}
    if _stands(connection, table, **key):
        return Refusal.already_exists
    connection.execute(insert(table).values(dict(row)))
    name = "/".join(str(value) for value in key.values())
    obj = f"{table.name.removesuffix('s')}:{name}"
    audit.record(connection, actor, action=action, obj=obj, after=row, at_ms=now_ms)
    return None
