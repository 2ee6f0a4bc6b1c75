"""The demonstration's books at their first run: rooms, meters, prices, people, accounts, credit.

Everything goes through the services of the centre, as a person would do it through its pages.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from sqlalchemy import Connection, func, select

from central.database import Database
from central.gateways import service as gateways
from central.people import service as people
from central.rooms import service as rooms
from central.rooms.placement import NewPoint, Refused, add_points
from central.rooms.tables import sites
from central.sales.accounts import Opening, Pin, open_account
from central.security import Actor
from domain.ids import ulid
from domain.instants import DAY_MS
from domain.ledger import Method
from domain.refusals import Refusal
from domain.tariff import Rate, Slot, Tariff
from domain.wire.intents import CalendarBody, PolicyBody, TariffBody
from simulator.demo.plan import PROFILE, SITE_ID, SITE_NAME, Plan

T = TypeVar("T")

ACTOR = Actor(operator_id="system", name="demo", role=None, origin="make demo")
TARIFF_ID, POLICY_ID = "dormitory", "dormitory"
NAMES = {
    "administrator": "管理员",
    "supervisor": "主管",
    "cashier": "收费员",
    "technician": "技术员",
    "auditor": "审计员",
}
PRICE_E4 = 5_600  # 0.5600 yuan/kWh
_SURNAMES = "赵钱孙李周吴郑王冯陈蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜"
_GIVEN = "思远雨桐浩然子墨欣怡宇航佳宁嘉懿俊杰可欣一鸣雨泽天宇梓涵志远博文文轩雅琪诗涵"


@dataclass(frozen=True, slots=True)
class Amounts:
    """First payments in fen: most rooms have plenty, a few are about to be warned."""

    plenty: tuple[int, ...] = (5_000, 8_000, 10_000, 15_000, 20_000)
    nearly_out: tuple[int, ...] = (2_010, 520, 30)  # just above alarm 1, alarm 2, zero


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_id() -> str:
    return ulid(now_ms(), secrets.token_bytes(10))


def granted(value: T | Refusal | Refused | None) -> T:
    """The value of a service that must not refuse here."""
    if isinstance(value, Refusal):
        raise RuntimeError(f"{value.name}: {value.zh} / {value.en}")
    if isinstance(value, Refused):
        raise RuntimeError(f"{value.refusal.name}: {'; '.join(value.details[:5])}")
    return value  # type: ignore[return-value]  # None is a service's plain yes


async def fill(
    database: Database,
    plan: Plan,
    *,
    ports_dir: Path,
    logins: dict[str, str],
    progress: Callable[[str], None],
) -> bool:
    """Fill empty books; returns False where they were filled before."""
    if await database.read(_is_filled):
        return False
    hasher = PasswordHasher()
    hashes = {login: hasher.hash(password) for login, password in logins.items()}
    progress("写入楼栋、房间、电表、电价 / buildings, rooms, meters, prices")
    room_ids = await database.write(_campus, plan, ports_dir, hashes)
    pins = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
    chance = random.Random(plan.seed)
    total = len(room_ids)
    for first in range(0, total, 60):
        some = [
            (Pin.draw(secrets.token_bytes, pins.hash), opening)
            for opening in _openings(plan, room_ids[first : first + 60], first, chance)
        ]
        await database.write(_accounts, some)
        progress(f"开户 {min(first + 60, total)}/{total} / opening accounts")
    return True


def _is_filled(connection: Connection) -> bool:
    return connection.scalar(select(func.count()).select_from(sites)) != 0


def _campus(
    connection: Connection, plan: Plan, ports_dir: Path, hashes: dict[str, str]
) -> list[str | None]:
    """Everything but the accounts; returns the room ids in order, None for rooms left vacant."""
    at_ms = now_ms()
    granted(rooms.add_site(connection, actor=ACTOR, now_ms=at_ms, site_id=SITE_ID, name=SITE_NAME))
    for login, digest in hashes.items():
        new = people.NewOperator(new_id(), login, NAMES[login], login, digest)
        granted(people.add_operator(connection, ACTOR, new, now_ms=at_ms))
    granted(
        rooms.set_tariff(
            connection, actor=ACTOR, now_ms=at_ms, tariff_id=TARIFF_ID, body=_tariff(at_ms)
        )
    )
    policy = PolicyBody(alarm_1_fen=2_000, alarm_2_fen=500)
    granted(
        rooms.set_policy(connection, actor=ACTOR, now_ms=at_ms, policy_id=POLICY_ID, body=policy)
    )
    granted(
        rooms.set_calendar(
            connection, actor=ACTOR, now_ms=at_ms, site_id=SITE_ID, body=CalendarBody(days={})
        )
    )
    room_ids: list[str | None] = []
    for building in plan.building_numbers():
        room_ids += _building(connection, plan, building, ports_dir, at_ms)
    return room_ids


def _building(
    connection: Connection, plan: Plan, building: int, ports_dir: Path, at_ms: int
) -> Iterator[str | None]:
    building_id, gateway_id = plan.building_id(building), plan.gateway_id(building)
    name = f"{building} 号楼"
    granted(
        rooms.add_building(
            connection,
            actor=ACTOR,
            now_ms=at_ms,
            building_id=building_id,
            site_id=SITE_ID,
            name=name,
            sort=building,
        )
    )
    granted(
        gateways.add_gateway(
            connection,
            actor=ACTOR,
            now_ms=at_ms,
            gateway_id=gateway_id,
            building_id=building_id,
            name=name,
        )
    )
    for bus in plan.bus_numbers():
        bus_id = plan.bus_id(building, bus)
        port = str((ports_dir / bus_id).resolve())
        granted(
            rooms.add_bus(
                connection,
                actor=ACTOR,
                now_ms=at_ms,
                gateway_id=gateway_id,
                bus_id=bus_id,
                port=port,
            )
        )
    placed, points = [], []
    for room in plan.rooms(building):
        room_id = granted(
            rooms.add_room(
                connection,
                actor=ACTOR,
                now_ms=at_ms,
                new_id=new_id,
                building_id=building_id,
                floor=room.floor,
                name=room.name,
            )
        )
        placed.append(None if room.vacant else room_id)
        points.append(
            NewPoint(
                room_id=room_id,
                circuit="main",
                gateway_id=gateway_id,
                bus_id=plan.bus_id(building, room.bus),
                address=room.address,
                meter_id=room.meter_id,
                profile=PROFILE,
                tariff_id=TARIFF_ID,
                policy_id=POLICY_ID,
            )
        )
    granted(add_points(connection, actor=ACTOR, now_ms=at_ms, new_id=new_id, points=points))
    yield from placed


def _tariff(at_ms: int) -> TariffBody:
    """One price all day, in force since yesterday."""
    table = Tariff(
        tariff_id=TARIFF_ID,
        version=1,
        effective_from_ms=at_ms - DAY_MS,
        day_types={"workday": (Slot(0, Rate.flat),)},
        prices_e4={Rate.flat: (PRICE_E4,)},
    )
    return TariffBody.of(table)


def _openings(
    plan: Plan, room_ids: list[str | None], first: int, chance: random.Random
) -> Iterator[Opening]:
    amounts = Amounts()
    for n, room_id in enumerate(room_ids, first):
        holder = chance.choice(_SURNAMES) + "".join(chance.sample(_GIVEN, 2))
        fen = chance.choice(amounts.nearly_out if n % 20 == 7 else amounts.plenty)
        if room_id is not None:
            yield Opening(
                room_id=room_id,
                holder=holder,
                phone=f"1380000{n:04d}",
                first_sale_fen=fen,
                method=chance.choice((Method.cash, Method.alipay, Method.wechat)),
            )


def _accounts(connection: Connection, some: list[tuple[Pin, Opening]]) -> None:
    for pin, opening in some:
        granted(
            open_account(
                connection,
                actor=ACTOR,
                now_ms=now_ms(),
                new_id=new_id,
                pin=pin,
                request_id=new_id(),
                opening=opening,
            )
        )
