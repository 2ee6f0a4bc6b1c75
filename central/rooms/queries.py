"""Reads for the pages: the wall and a room, as booked.

A page shows what is known and as of when; nothing here asks a building anything. Reads may join any
table; whatever writes goes through a service.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from central.metering import tables as metering
from central.outbox import intents
from central.rooms import tables as places
from central.rooms.versions import policies_in_force
from central.sales import tables as money
from domain.supply import Mode
from domain.units import TICKS_PER_FEN


@dataclass(frozen=True, slots=True)
class WallRow:
    """A meter and all that is booked of it. Figures the gateway has not reported are None.

    `granted_fen` and `charged_ticks` are the purse's; `charged_ticks` is as booked, live runs ahead
    of it. `mode` is what staff want. Times are UTC milliseconds of the thing they stand beside.
    """

    building_id: str
    building: str
    floor: int
    room_id: str
    room: str
    point_id: str
    circuit: str
    gateway_id: str
    bus_id: str
    address: int
    meter_id: str
    profile: str
    tariff_id: str
    policy_id: str
    account_id: str | None
    holder: str | None
    purse_id: str | None
    purse_state: str | None
    count: int | None
    granted_fen: int | None
    charged_ticks: int | None
    gateway_count: int | None
    register_wh: int | None
    total_wh: int | None
    read_at_ms: int | None
    supply: str | None
    supply_reason: str | None
    supply_at_ms: int | None
    relay: str | None
    relay_at_ms: int | None
    alarm_1_fen: int | None
    alarm_2_fen: int | None
    overdraft_fen: int | None
    mode: Mode

    @property
    def booked_ticks(self) -> int | None:
        """What the purse holds by the books: granted − charged. None where nobody holds it."""
        if self.granted_fen is None:
            return None
        return self.granted_fen * TICKS_PER_FEN - (self.charged_ticks or 0)

    @property
    def in_the_room(self) -> bool:
        """Whether the gateway holds every purchase of this purse."""
        return self.count is not None and (self.gateway_count or 0) >= self.count


def wall_rows(connection: Connection, *, room_id: str | None = None) -> list[WallRow]:
    """Every meter (of one room, where it is named) in the order of the wall."""
    wanted = _WALL if room_id is None else _WALL.where(places.rooms.c.room_id == room_id)
    policies = policies_in_force(connection)
    found = []
    for row in connection.execute(wanted).mappings():
        policy = policies.get(row["policy_id"])
        values: dict[str, Any] = {name: getattr(policy, name, None) for name in _POLICY}
        values |= row
        values["mode"] = _mode(values.pop("staff"))
        found.append(WallRow(**values))
    return found


_POLICY = ("alarm_1_fen", "alarm_2_fen", "overdraft_fen")


def _mode(body: str | None) -> Mode:
    return Mode.prepaid if body is None else Mode(json.loads(body)["mode"])


def _wall() -> Select[Any]:
    rooms, buildings, points = places.rooms, places.buildings, places.points
    accounts, purses = money.accounts, money.purses
    charged, states = metering.purse_states, metering.point_states
    staff = and_(
        intents.c.kind == "supply",
        intents.c.key == points.c.point_id,
        intents.c.gateway_id == points.c.gateway_id,
    )
    place = [column for column in points.columns if column.name in WallRow.__slots__]
    state = ("register_wh", "total_wh", "read_at_ms", "supply", "supply_reason", "supply_at_ms",
             "relay", "relay_at_ms")  # fmt: skip
    return (
        select(
            buildings.c.building_id,
            buildings.c.name.label("building"),
            rooms.c.floor,
            rooms.c.name.label("room"),
            *place,
            accounts.c.account_id,
            accounts.c.holder,
            purses.c.state.label("purse_state"),
            purses.c.count,
            purses.c.granted_fen,
            charged.c.charged_ticks,
            charged.c.gateway_count,
            *(states.c[name] for name in state),
            intents.c.body.label("staff"),
        )
        .select_from(points)
        .join(rooms, rooms.c.room_id == points.c.room_id)
        .join(buildings, buildings.c.building_id == rooms.c.building_id)
        .outerjoin(purses, purses.c.purse_id == points.c.purse_id)
        .outerjoin(accounts, accounts.c.account_id == purses.c.account_id)
        .outerjoin(charged, charged.c.purse_id == points.c.purse_id)
        .outerjoin(states, states.c.point_id == points.c.point_id)
        .outerjoin(intents, staff)
        .order_by(
            buildings.c.sort,
            buildings.c.name,
            rooms.c.floor,
            func.length(rooms.c.name),
            rooms.c.name,
            points.c.circuit,
            points.c.point_id,
        )
    )


_WALL = _wall()


@dataclass(frozen=True, slots=True)
class Holder:
    """The open account of a room."""

    account_id: str
    holder: str
    phone: str
    opened_at_ms: int


@dataclass(frozen=True, slots=True)
class Room:
    """A room, who holds it now, and its meters in the order of their circuits."""

    room_id: str
    site_id: str
    building_id: str
    building: str
    floor: int
    name: str
    account: Holder | None
    meters: tuple[WallRow, ...]


def room(connection: Connection, room_id: str) -> Room | None:
    """One room as booked, or None where there is none."""
    rooms, buildings = places.rooms, places.buildings
    row = connection.execute(
        select(
            rooms.c.room_id,
            buildings.c.site_id,
            buildings.c.building_id,
            buildings.c.name.label("building"),
            rooms.c.floor,
            rooms.c.name,
        )
        .join(buildings, buildings.c.building_id == rooms.c.building_id)
        .where(rooms.c.room_id == room_id)
    ).one_or_none()
    if row is None:
        return None
    meters = tuple(wall_rows(connection, room_id=room_id))
    return Room(*row, account=_holder(connection, room_id), meters=meters)


def room_named(connection: Connection, building: str, name: str) -> str | None:
    """The id of a room by the names of its building and its door, for the student's page."""
    rooms, buildings = places.rooms, places.buildings
    return connection.scalar(
        select(rooms.c.room_id)
        .join(buildings, buildings.c.building_id == rooms.c.building_id)
        .where(buildings.c.name == building.strip(), rooms.c.name == name.strip())
    )


def _holder(connection: Connection, room_id: str) -> Holder | None:
    accounts = money.accounts
    row = connection.execute(
        select(
            accounts.c.account_id, accounts.c.holder, accounts.c.phone, accounts.c.opened_at_ms
        ).where(accounts.c.room_id == room_id, accounts.c.closed_at_ms.is_(None))
    ).one_or_none()
    return None if row is None else Holder(*row)
