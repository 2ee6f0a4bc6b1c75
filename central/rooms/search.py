"""Finding a room by whatever somebody knows of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Join, Select, and_, case, func, or_, select

from central.rooms import tables as places
from central.sales import tables as money

FOUND_MAX = 20
_TAIL_MIN = 3  # digits of a phone or meter number that are worth looking for


@dataclass(frozen=True, slots=True)
class Found:
    """A room that fits what was typed, and who holds it now (None: nobody).

    `by` says what fitted: room, holder, phone, meter, account or receipt.
    """

    room_id: str
    building: str
    floor: int
    room: str
    account_id: str | None
    holder: str | None
    phone: str | None
    purse_ids: tuple[str, ...]
    meter_ids: tuple[str, ...]
    by: str


def find(connection: Connection, text: str) -> list[Found]:
    """Rooms by room (with or without building), holder, phone tail, meter, account or receipt.

    At most FOUND_MAX, in the order of the wall. Letters of either case are the same.
    """
    typed = " ".join(text.split())
    if not typed:
        return []
    by: dict[str, str] = {}
    for name, wanted in _ways(typed).items():
        for room_id in connection.execute(wanted.limit(FOUND_MAX)).scalars():
            if len(by) < FOUND_MAX:
                by.setdefault(room_id, name)
    rooms, buildings, accounts = places.rooms, places.buildings, money.accounts
    rows = connection.execute(
        select(
            rooms.c.room_id,
            buildings.c.name.label("building"),
            rooms.c.floor,
            rooms.c.name.label("room"),
            accounts.c.account_id,
            accounts.c.holder,
            accounts.c.phone,
        )
        .select_from(_held_rooms())
        .where(rooms.c.room_id.in_(by))
        .order_by(
            buildings.c.sort,
            buildings.c.name,
            rooms.c.floor,
            func.length(rooms.c.name),
            rooms.c.name,
        )
    ).all()
    purses, meters = _hanging(connection, [row.room_id for row in rows])
    return [
        Found(*row, tuple(purses[row.room_id]), tuple(meters[row.room_id]), by[row.room_id])
        for row in rows
    ]


def _held_rooms() -> Join:
    """Rooms with their buildings and, where there is one, the open account."""
    rooms, buildings, accounts = places.rooms, places.buildings, money.accounts
    holds = and_(accounts.c.room_id == rooms.c.room_id, accounts.c.closed_at_ms.is_(None))
    return rooms.join(buildings, buildings.c.building_id == rooms.c.building_id).outerjoin(
        accounts, holds
    )


def _ways(typed: str) -> Mapping[str, Select[str]]:
    """What was typed may be any of these; the first that fits a room names the way."""
    rooms, buildings, accounts = places.rooms, places.buildings, money.accounts
    held = select(rooms.c.room_id).select_from(_held_rooms())
    full, tight = buildings.c.name + " " + rooms.c.name, buildings.c.name + rooms.c.name
    names = [column.icontains(typed, autoescape=True) for column in (full, tight)]
    ways = {
        "room": held.where(or_(*names)).order_by(case((rooms.c.name == typed, 0), else_=1)),
        "holder": held.where(accounts.c.holder.icontains(typed, autoescape=True)),
        "account": held.where(accounts.c.account_id == typed),
        "receipt": select(accounts.c.room_id)
        .join(money.purses, money.purses.c.account_id == accounts.c.account_id)
        .join(money.money_events, money.money_events.c.purse_id == money.purses.c.purse_id)
        .where(money.money_events.c.receipt_no == typed.upper()),
    }
    if len(typed) >= _TAIL_MIN:
        ways["phone"] = held.where(accounts.c.phone.endswith(typed, autoescape=True))
        ways["meter"] = select(places.points.c.room_id).where(
            places.points.c.meter_id.icontains(typed, autoescape=True)
        )
    return ways


def _hanging(
    connection: Connection, room_ids: Sequence[str]
) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    """Purses and meters of each room, in the order of their circuits, each once."""
    points = places.points
    purses: dict[str, list[str]] = defaultdict(list)
    meters: dict[str, list[str]] = defaultdict(list)
    rows = connection.execute(
        select(points.c.room_id, points.c.purse_id, points.c.meter_id)
        .where(points.c.room_id.in_(room_ids))
        .order_by(points.c.circuit, points.c.point_id)
    )
    for row in rows:
        meters[row.room_id].append(row.meter_id)
        if row.purse_id is not None and row.purse_id not in purses[row.room_id]:
            purses[row.room_id].append(row.purse_id)
    return purses, meters
