"""Placing meters: all of a list or none, each bad one named, and every gateway told once."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from central import audit
from central.database import lock_rows
from central.rooms import tables
from central.rooms.intents import push_all
from central.security import Actor
from domain.ids import IdSource, is_id, is_meter_id
from domain.refusals import Refusal, first

RATIO_MAX = 10_000  # a transformer of more is a slip


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A meter to be placed. `pt` and `ct` are transformer ratios, 1 where there is none."""

    room_id: str
    circuit: str
    gateway_id: str
    bus_id: str
    address: int
    meter_id: str
    profile: str
    tariff_id: str
    policy_id: str
    pt: int = 1
    ct: int = 1
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal with the places it is about, each in words."""

    refusal: Refusal
    details: tuple[str, ...]


@dataclass(slots=True)
class _Known:
    """What stands already, so that a list of hundreds asks the database once."""

    site_of_room: dict[str, str] = field(default_factory=dict)
    site_of_gateway: dict[str, str] = field(default_factory=dict)
    buses: set[tuple[str, str]] = field(default_factory=set)
    tariffs: set[str] = field(default_factory=set)
    policies: set[str] = field(default_factory=set)
    taken: set[tuple[object, ...]] = field(default_factory=set)


def add_points(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    new_id: IdSource,
    points: Sequence[NewPoint],
) -> tuple[str, ...] | Refused:
    """Place meters and tell each gateway concerned once; returns the point ids in order.

    Where some cannot be placed none is: the refusal that takes precedence, and every bad one by
    its number in the list and its meter.
    """
    known = _known(connection)
    found = [
        (refusal, f"{number} · {point.meter_id}: {refusal.zh} {refusal.en}")
        for number, point in enumerate(points, start=1)
        if (refusal := first(_refusals(point, known))) is not None
    ]
    refusal = first(refusal for refusal, _ in found)
    if refusal is not None:
        return Refused(refusal, tuple(words for _, words in found))
    rows = [asdict(point) | {"point_id": new_id(), "purse_id": None} for point in points]
    if rows:
        connection.execute(insert(tables.points), rows)
    for row in rows:
        obj = f"point:{row['point_id']}"
        audit.record(connection, actor, action="add_point", obj=obj, after=row, at_ms=now_ms)
    for gateway_id in sorted({point.gateway_id for point in points}):
        push_all(connection, gateway_id, now_ms=now_ms)
    return tuple(str(row["point_id"]) for row in rows)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a room is, in the words of its people."""

    site: str
    building: str
    room: str


def place_of(connection: Connection, room_id: str) -> Place:
    """The names of a room, its building and its site. Raises NoResultFound where there is none."""
    sites, buildings, rooms = tables.sites, tables.buildings, tables.rooms
    row = connection.execute(
        select(sites.c.name, buildings.c.name, rooms.c.name)
        .select_from(rooms)
        .join(buildings, buildings.c.building_id == rooms.c.building_id)
        .join(sites, sites.c.site_id == buildings.c.site_id)
        .where(rooms.c.room_id == room_id)
    ).one()
    return Place(*row)


def lock_room(connection: Connection, room_id: str) -> bool:
    """Hold a room until the transaction ends; whether there is one."""
    lock_rows(connection, tables.rooms.c.room_id, [room_id])
    found = select(tables.rooms.c.room_id).where(tables.rooms.c.room_id == room_id)
    return connection.scalar(found) is not None


def points_of_room(connection: Connection, room_id: str) -> list[tuple[str, str]]:
    """`(point_id, gateway_id)` of every point in a room, in the order of their circuits."""
    points = tables.points
    rows = connection.execute(
        select(points.c.point_id, points.c.gateway_id)
        .where(points.c.room_id == room_id)
        .order_by(points.c.circuit, points.c.point_id)
    )
    return [(row.point_id, row.gateway_id) for row in rows]


def give_purse(connection: Connection, point_ids: Sequence[str], purse_id: str | None) -> None:
    """Let points draw on a purse (None: on nobody's); their gateway is not told here."""
    points = tables.points
    connection.execute(
        update(points).where(points.c.point_id.in_(point_ids)).values(purse_id=purse_id)
    )


def meters_of_purse(connection: Connection, purse_id: str) -> tuple[str, ...]:
    """The meters that draw on a purse, in the order of their circuits."""
    points = tables.points
    return tuple(
        connection.execute(
            select(points.c.meter_id)
            .where(points.c.purse_id == purse_id)
            .order_by(points.c.circuit, points.c.point_id)
        ).scalars()
    )


def _known(connection: Connection) -> _Known:
    rooms, buildings, points = tables.rooms, tables.buildings, tables.points
    known = _Known()
    known.site_of_room = {
        row.room_id: row.site_id
        for row in connection.execute(
            select(rooms.c.room_id, buildings.c.site_id).join(
                buildings, buildings.c.building_id == rooms.c.building_id
            )
        )
    }
    known.buses = {
        (row.gateway_id, row.bus_id)
        for row in connection.execute(select(tables.buses.c.gateway_id, tables.buses.c.bus_id))
    }
    known.tariffs = set(connection.execute(select(tables.tariffs.c.tariff_id)).scalars())
    known.policies = set(connection.execute(select(tables.policies.c.policy_id)).scalars())
    for row in connection.execute(select(points)):
        known.site_of_gateway[row.gateway_id] = known.site_of_room[row.room_id]
        known.taken |= _places(row)
    return known


def _refusals(point: NewPoint, known: _Known) -> Iterator[Refusal]:
    """Everything against one point; a sound one is added to what is known."""
    if not is_meter_id(point.meter_id):
        yield Refusal.meter_number_malformed
    if not point.circuit.strip() or not point.profile.strip():
        yield Refusal.name_missing
    if not all(map(is_id, (point.gateway_id, point.tariff_id, point.policy_id))):
        yield Refusal.id_malformed
    ratios = 1 <= point.pt <= RATIO_MAX and 1 <= point.ct <= RATIO_MAX
    if not (1 <= point.address <= 247 and ratios and 0 <= point.incarnation < 2**16):
        yield Refusal.setting_out_of_range
    site_id = known.site_of_room.get(point.room_id)
    bus = (point.gateway_id, point.bus_id)
    rules = point.tariff_id in known.tariffs and point.policy_id in known.policies
    if site_id is None or bus not in known.buses or not rules:
        yield Refusal.not_found
        return
    if known.site_of_gateway.setdefault(point.gateway_id, site_id) != site_id:
        yield Refusal.other_site
    places = _places(point)
    if places & known.taken:
        yield Refusal.already_exists
    known.taken |= places


def _places(point: NewPoint | Row[Any]) -> set[tuple[object, ...]]:
    """What only one point may hold: its meter, its address on the bus, its circuit in the room."""
    return {
        ("meter", point.meter_id),
        ("address", point.gateway_id, point.bus_id, point.address),
        ("circuit", point.room_id, point.circuit),
    }
