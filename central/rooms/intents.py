"""What a gateway must know of its rooms, as intents: installation, prices, calendar, policy.

Each body is absolute and built from the books at the moment of the push. Putting the same body
again is harmless: it is what the gateway should hold anyway.
"""

from sqlalchemy import ColumnElement, Connection, Select, select

from central import outbox
from central.database import lock_name
from central.rooms import tables, versions, zones
from domain.wire.intents import Bus, InstallationBody, Place


def installation_body(connection: Connection, gateway_id: str, *, now_ms: int) -> InstallationBody:
    """Everything that hangs on a gateway. Raises LookupError where nothing does."""
    buses = connection.execute(
        select(tables.buses)
        .where(tables.buses.c.gateway_id == gateway_id)
        .order_by(tables.buses.c.bus_id)
    )
    points = connection.execute(
        select(tables.points)
        .where(tables.points.c.gateway_id == gateway_id)
        .order_by(tables.points.c.bus_id, tables.points.c.address)
    )
    zone_name = versions.zone_name(connection, site_of_gateway(connection, gateway_id))
    return InstallationBody(
        utc_offsets=zones.utc_offsets(zone_name, now_ms),
        buses=tuple(
            Bus(bus_id=row.bus_id, port=row.port, baud=row.baud, parity=row.parity) for row in buses
        ),
        points=tuple(
            Place(**{name: getattr(row, name) for name in Place.model_fields}) for row in points
        ),
    )


def push_installation(connection: Connection, gateway_id: str, *, now_ms: int) -> int:
    """Put the gateway's installation intent as the books stand now; returns its version.

    Transactions that change one gateway's installation wait for one another here, before the body
    is built, so that the later one carries both changes.
    """
    lock_installation(connection, gateway_id)
    body = installation_body(connection, gateway_id, now_ms=now_ms)
    return outbox.put(
        connection,
        gateway_id=gateway_id,
        kind="installation",
        key=gateway_id,
        body=body,
        now_ms=now_ms,
    )


def lock_installation(connection: Connection, gateway_id: str) -> None:
    """Hold a gateway's installation until the transaction ends."""
    lock_name(connection, f"installation:{gateway_id}")


def push_tariff(connection: Connection, tariff_id: str, *, now_ms: int) -> None:
    """Put the newest version of a price table for every gateway with points that use it."""
    for gateway_id in _gateways_where(connection, tables.points.c.tariff_id == tariff_id):
        _put_tariff(connection, gateway_id, tariff_id, now_ms=now_ms)


def push_policy(connection: Connection, policy_id: str, *, now_ms: int) -> None:
    """Put the policy in force for every gateway with points that use it."""
    for gateway_id in _gateways_where(connection, tables.points.c.policy_id == policy_id):
        _put_policy(connection, gateway_id, policy_id, now_ms=now_ms)


def push_calendar(connection: Connection, site_id: str, *, now_ms: int) -> None:
    """Put the site's calendar for every gateway of the site."""
    for gateway_id in _gateways_where(connection, tables.buildings.c.site_id == site_id):
        _put_calendar(connection, gateway_id, site_id, now_ms=now_ms)


def push_all(connection: Connection, gateway_id: str, *, now_ms: int) -> None:
    """Put everything a gateway needs before its first room can be opened, prices first."""
    points = tables.points
    mine = points.c.gateway_id == gateway_id
    for tariff_id in _distinct(connection, select(points.c.tariff_id).where(mine)):
        _put_tariff(connection, gateway_id, tariff_id, now_ms=now_ms)
    for policy_id in _distinct(connection, select(points.c.policy_id).where(mine)):
        _put_policy(connection, gateway_id, policy_id, now_ms=now_ms)
    site_id = site_of_gateway(connection, gateway_id)
    _put_calendar(connection, gateway_id, site_id, now_ms=now_ms)
    push_installation(connection, gateway_id, now_ms=now_ms)


def site_of_gateway(connection: Connection, gateway_id: str) -> str:
    """The site a gateway's points stand in. Raises LookupError where it has none."""
    sites = _distinct(
        connection,
        select(tables.buildings.c.site_id)
        .join(tables.rooms, tables.rooms.c.building_id == tables.buildings.c.building_id)
        .join(tables.points, tables.points.c.room_id == tables.rooms.c.room_id)
        .where(tables.points.c.gateway_id == gateway_id),
    )
    if not sites:
        raise LookupError(f"gateway {gateway_id} has no points")
    return sites[0]


def _put_tariff(connection: Connection, gateway_id: str, tariff_id: str, *, now_ms: int) -> None:
    body = versions.tariff_bodies(connection, tariff_id)[-1]
    outbox.put(
        connection, gateway_id=gateway_id, kind="tariff", key=tariff_id, body=body, now_ms=now_ms
    )


def _put_policy(connection: Connection, gateway_id: str, policy_id: str, *, now_ms: int) -> None:
    body = versions.policy_body(connection, policy_id)
    if body is not None:
        outbox.put(
            connection,
            gateway_id=gateway_id,
            kind="policy",
            key=policy_id,
            body=body,
            now_ms=now_ms,
        )


def _put_calendar(connection: Connection, gateway_id: str, site_id: str, *, now_ms: int) -> None:
    body = versions.calendar_body(connection, site_id)
    if body is not None:
        outbox.put(
            connection,
            gateway_id=gateway_id,
            kind="calendar",
            key=site_id,
            body=body,
            now_ms=now_ms,
        )


def _gateways_where(connection: Connection, condition: ColumnElement[bool]) -> list[str]:
    return _distinct(
        connection,
        select(tables.points.c.gateway_id)
        .join(tables.rooms, tables.rooms.c.room_id == tables.points.c.room_id)
        .join(tables.buildings, tables.buildings.c.building_id == tables.rooms.c.building_id)
        .where(condition),
    )


def _distinct(connection: Connection, wanted: Select[str]) -> list[str]:
    """The different values of a one-column select, in order: gateways are locked in one order."""
    return sorted(set(connection.execute(wanted).scalars()))
