"""A small campus for the office's tests: one site, two gateways, a few rooms, one price."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from central.permissions import Role
from central.rooms import service as rooms
from central.sales import service as sales
from central.security import Actor
from domain.ids import ulid
from domain.ledger import Method
from domain.refusals import Refusal
from domain.wire.intents import PolicyBody, TariffBody

NOW_MS = 1_795_305_600_000  # 2026-11-22 00:00 UTC
CASHIER = Actor("o-wang", "王丽", Role.cashier, "till 1")
SUPERVISOR = Actor("o-zhao", "赵敏", Role.supervisor, "till 2")
TECHNICIAN = Actor("o-sun", "孙强", Role.technician, "desk")
FLAT = TariffBody(
    effective_from_ms=0,
    rates=(3,),
    day_types=dict.fromkeys(("workday", "weekend", "holiday"), ((0, 3),)),
    price_e4=((5_600,),),
    steps_wh=(),
    period="month",
)
POLICY = PolicyBody(alarm_1_fen=2_000, alarm_2_fen=500)


def ids(start: int = 0) -> Callable[[], str]:
    """An id source whose ids are all different and in order."""
    numbers = itertools.count(start)
    return lambda: ulid(NOW_MS, next(numbers).to_bytes(10))


def pin(digits: int = 123_456) -> sales.Pin:
    """A PIN that tests can know; its hash is not a real one."""
    return sales.Pin.draw(lambda n: digits.to_bytes(n), lambda text: f"hash of {text}")


@dataclass(frozen=True)
class Campus:
    """What `build` made."""

    room_ids: tuple[str, ...]
    point_ids: tuple[str, ...]


def build(
    connection: Connection, new_id: Callable[[], str], *, doors: Sequence[str] = ("101", "102")
) -> Campus:
    """Site s1, building b1, one meter in each of the rooms, all on gateway g1."""
    add: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS}
    assert rooms.add_site(connection, **add, site_id="s1", name="东区学生公寓") is None
    building: dict[str, Any] = {"building_id": "b1", "site_id": "s1", "name": "1号楼"}
    assert rooms.add_building(connection, **add, **building) is None
    assert rooms.add_bus(connection, **add, gateway_id="g1", bus_id="u1", port="/dev/b1") is None
    assert rooms.set_tariff(connection, **add, tariff_id="flat", body=FLAT) == 1
    assert rooms.set_policy(connection, **add, policy_id="usual", body=POLICY) == 1
    room_ids = []
    for door in doors:
        place: dict[str, Any] = {"building_id": "b1", "floor": int(door[0]), "name": door}
        room_id = rooms.add_room(connection, **add, new_id=new_id, **place)
        assert isinstance(room_id, str)
        room_ids.append(room_id)
    points = [point(room_id, n) for n, room_id in enumerate(room_ids, start=1)]
    placed = rooms.add_points(connection, **add, new_id=new_id, points=points)
    assert isinstance(placed, tuple)
    return Campus(tuple(room_ids), placed)


def point(room_id: str, address: int, /, **changed: Any) -> rooms.NewPoint:
    """A meter in a room, at an address of bus u1 of gateway g1 unless said otherwise."""
    usual: dict[str, Any] = {
        "room_id": room_id,
        "circuit": "light",
        "gateway_id": "g1",
        "bus_id": "u1",
        "address": address,
        "meter_id": f"{address:04d}22305470",
        "profile": "ddsy1352-nk",
        "tariff_id": "flat",
        "policy_id": "usual",
    }
    return rooms.NewPoint(**(usual | changed))


def open_room(
    connection: Connection,
    room_id: str,
    new_id: Callable[[], str],
    *,
    fen: int | None = 5_000,
    holder: str = "周子涵",
    actor: Actor = CASHIER,
) -> sales.OpenedAccount:
    """Open a room's account with a first sale in cash (None: without)."""
    method = None if fen is None else Method.cash
    opened = sales.open_account(
        connection,
        actor=actor,
        now_ms=NOW_MS,
        new_id=new_id,
        pin=pin(),
        request_id=new_id(),
        opening=sales.Opening(room_id, holder, "13800138000", fen, method),
    )
    assert not isinstance(opened, Refusal), opened
    return opened
