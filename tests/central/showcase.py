"""A campus with a life of its own: rooms in every state, a week of readings, gateways that speak.

Rooms, accounts and money are set up through the services; what gateways would report is written
as ingest would leave it, and their pictures are shown to the board as the link would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from central import outbox
from central.gateways import service as gateways
from central.metering import tables as metering
from central.metering.live import LiveBoard
from central.rooms import service as rooms
from central.sales import service as sales
from central.sales import tables as money
from central.security import SYSTEM
from domain.instants import DAY_MS, HOUR_MS, MINUTE_MS
from domain.ledger import Method
from domain.refusals import Refusal
from domain.supply import Relay, State
from domain.units import TICKS_PER_FEN
from domain.wire.intents import CalendarBody, PolicyBody, TariffBody
from domain.wire.messages import Live, LivePoint, Pulse

NAMES = (
    "陈思远", "李雨桐", "王浩然", "刘子墨", "赵欣怡", "张宇航", "吴佳宁", "黄思琪",
    "孙嘉懿", "周俊杰", "郑可欣", "赵一鸣", "徐子轩", "何雨泽", "马天宇", "高梓涵",
    "林志远", "谢文博", "宋雅琪", "罗文轩", "韩诗涵", "朱晨曦", "秦悦", "周子涵",
    "许文静",
)  # fmt: skip
TARIFF = TariffBody(
    effective_from_ms=0,
    rates=(3,),
    day_types=dict.fromkeys(("workday", "weekend", "holiday"), ((0, 3),)),
    price_e4=((5_600,),),
    steps_wh=(),
    period="month",
)
PRICE_E4 = 5_600
# what is left in the rooms of a floor, in fen; the first is the room with a week of history
LEFT_FEN = (1_485, 8_642, 14_210, 5_830, -318, 20_366, 340, 7_795, 6_408, 12_333)


@dataclass(frozen=True)
class Showcase:
    """What was built: rooms and points in the order of the wall; None: nobody's."""

    room_ids: tuple[str, ...]
    point_ids: tuple[str, ...]
    purse_ids: tuple[str | None, ...]
    gateway_of: tuple[str, ...]
    per_building: int


def furnish(
    connection: Connection,
    new_id: Callable[[], str],
    *,
    now_ms: int,
    buildings: int = 2,
    floors: int = 2,
    doors: int = 10,
    history: bool = True,
) -> Showcase:
    """Build the campus; the last room of each floor is vacant."""
    start_ms = now_ms - 8 * DAY_MS
    add: dict[str, Any] = {"actor": SYSTEM, "now_ms": start_ms}
    assert rooms.add_site(connection, **add, site_id="east", name="东方大学") is None
    assert rooms.set_tariff(connection, **add, tariff_id="flat", body=TARIFF) == 1
    policy = PolicyBody(alarm_1_fen=2_000, alarm_2_fen=500)
    assert rooms.set_policy(connection, **add, policy_id="usual", body=policy) == 1
    assert rooms.set_calendar(connection, **add, site_id="east", body=CalendarBody(days={})) == 1
    room_ids: list[str] = []
    point_ids: list[str] = []
    for house in range(1, buildings + 1):
        gateway_id, name = f"gw-{house}", f"{house} 号楼"
        place: dict[str, Any] = {"building_id": f"b{house}", "site_id": "east", "name": name}
        assert rooms.add_building(connection, **add, **place, sort=house) is None
        known: dict[str, Any] = {"gateway_id": gateway_id, "building_id": f"b{house}"}
        assert gateways.add_gateway(connection, **add, **known, name=name) is None
        bus: dict[str, Any] = {"gateway_id": gateway_id, "bus_id": "bus-1", "port": "/dev/rs485"}
        assert rooms.add_bus(connection, **add, **bus) is None
        mine = _rooms(connection, new_id, house, floors, doors, start_ms)
        placed = rooms.add_points(connection, **add, new_id=new_id, points=_meters(mine, house))
        assert isinstance(placed, tuple), placed
        room_ids += mine
        point_ids += placed
    per_building = floors * doors
    gateway_of = tuple(f"gw-{n // per_building + 1}" for n in range(len(room_ids)))
    vacant = {n for n in range(len(room_ids)) if n % doors == doors - 1}
    purse_ids = _accounts(connection, new_id, room_ids, vacant, now_ms=now_ms)
    made = Showcase(tuple(room_ids), tuple(point_ids), purse_ids, gateway_of, per_building)
    _report(connection, made, now_ms=now_ms)
    if history:
        _week(connection, made, now_ms=now_ms)
    return made


def _rooms(
    connection: Connection,
    new_id: Callable[[], str],
    house: int,
    floors: int,
    doors: int,
    now_ms: int,
) -> list[str]:
    made = []
    for floor in range(1, floors + 1):
        for door in range(1, doors + 1):
            place: dict[str, Any] = {"building_id": f"b{house}", "floor": floor}
            name = f"{house}-{floor}{door:02d}"
            room_id = rooms.add_room(
                connection, actor=SYSTEM, now_ms=now_ms, new_id=new_id, **place, name=name
            )
            assert isinstance(room_id, str), room_id
            made.append(room_id)
    return made


def _meters(room_ids: Sequence[str], house: int) -> list[rooms.NewPoint]:
    return [
        rooms.NewPoint(
            room_id=room_id,
            circuit="main",
            gateway_id=f"gw-{house}",
            bus_id="bus-1",
            address=n,
            meter_id=f"0316{house:02d}{n:06d}",
            profile="ddsy1352-nk",
            tariff_id="flat",
            policy_id="usual",
        )
        for n, room_id in enumerate(room_ids, start=1)
    ]


def _accounts(
    connection: Connection,
    new_id: Callable[[], str],
    room_ids: Sequence[str],
    vacant: set[int],
    *,
    now_ms: int,
) -> tuple[str | None, ...]:
    purse_ids: list[str | None] = []
    methods = (Method.cash, Method.alipay, Method.wechat, Method.unionpay)
    for n, room_id in enumerate(room_ids):
        if n in vacant:
            purse_ids.append(None)
            continue
        opened = sales.open_account(
            connection,
            actor=SYSTEM,
            now_ms=now_ms - 8 * DAY_MS + n * MINUTE_MS,
            new_id=new_id,
            pin=sales.Pin("123456", "no digest"),
            request_id=new_id(),
            opening=sales.Opening(
                room_id, NAMES[n % len(NAMES)], f"138{n:08d}", 20_000, methods[n % 4]
            ),
        )
        assert not isinstance(opened, Refusal), opened
        purse_ids.append(opened.purse_ids[0])
    return tuple(purse_ids)


def left_ticks(n: int) -> int:
    """What is left in room `n` of the 200.00 that were paid."""
    return min(LEFT_FEN[n % len(LEFT_FEN)], 20_000) * TICKS_PER_FEN


def _report(connection: Connection, made: Showcase, *, now_ms: int) -> None:
    """What ingest would have left: purses taken, energy charged, supply decided."""
    for n, point_id in enumerate(made.point_ids):
        state: dict[str, Any] = {"point_id": point_id, "gateway_id": made.gateway_of[n]}
        state |= {"total_wh": total_wh(n), "register_wh": total_wh(n), "read_at_ms": now_ms - 9_000}
        supply = supply_of(n, made)
        state |= {"supply": supply, "supply_reason": "credit_ok", "supply_at_ms": now_ms - DAY_MS}
        state |= {"relay": relay_of(n, made), "relay_at_ms": now_ms - DAY_MS}
        connection.execute(insert(metering.point_states).values(state))
        purse_id = made.purse_ids[n]
        if purse_id is not None:
            charged = 20_000 * TICKS_PER_FEN - left_ticks(n)
            purse: dict[str, Any] = {"purse_id": purse_id, "charged_ticks": charged}
            purse |= {"gateway_count": 1, "taken_at_ms": now_ms - 7 * DAY_MS, "at_ms": now_ms}
            connection.execute(insert(metering.purse_states).values(purse))
    intents = outbox.intents
    connection.execute(update(intents).values(held_version=intents.c.version))


def total_wh(n: int) -> int:
    return 1_876_400 + n * 137_210


def supply_of(n: int, made: Showcase) -> State:
    if made.purse_ids[n] is None:
        return State.not_opened
    if n % 20 == 12:
        return State.held_on
    if n % 20 == 17:
        return State.held_off
    fen = left_ticks(n) // TICKS_PER_FEN
    return State.tripped if fen <= 0 else State.warned if fen <= 2_000 else State.on


def relay_of(n: int, made: Showcase) -> Relay:
    return Relay.open if supply_of(n, made) in (State.tripped, State.held_off) else Relay.closed


def _week(connection: Connection, made: Showcase, *, now_ms: int) -> None:
    """Half-hour readings of the first room for seven days, with a gap, and what was charged."""
    half_hour_ms = 30 * MINUTE_MS
    newest_ms = now_ms // half_hour_ms * half_hour_ms
    total = total_wh(0)
    readings, charges = [], []
    for back in range(7 * 48):
        ts_ms = newest_ms - back * half_hour_ms
        hour = (ts_ms // HOUR_MS + 8) % 24
        used = 40 + 12 * (hour % 7) + (220 if 18 <= hour < 23 else 0) + (back * 7) % 31
        if not 60 <= back < 66:
            row = {"ts_ms": ts_ms, "point_id": made.point_ids[0], "meter_id": "031601000001"}
            row |= {"incarnation": 0, "register_wh": total, "total_wh": total, "rate_wh": None}
            row |= {"purpose": "interval", "quality": "good"}
            row |= {"journal_id": "j1", "seq": 1000 - back}
            readings.append(row)
            charge = {"journal_id": "j1", "seq": 1000 - back, "row": 0, "tariff_version": 1}
            charge |= {"purse_id": made.purse_ids[0], "point_id": made.point_ids[0]}
            charge |= {"meter_id": "031601000001", "incarnation": 0, "from_wh": total - used}
            charge |= {"to_wh": total, "from_ms": ts_ms - half_hour_ms, "to_ms": ts_ms}
            charge |= {"parts": f"[[3,0,{used},{PRICE_E4},false]]", "ticks": used * PRICE_E4}
            charges.append(charge | {"charged_ticks": 0})
        total -= used
    connection.execute(insert(metering.readings), readings)
    connection.execute(insert(metering.charges), charges)
    log = {"journal_id": "j1", "point_id": made.point_ids[0], "reason": "credit_low"}
    decided = {"what": "decided", "before": "on", "after": "warned", "at_ms": now_ms - 5 * HOUR_MS}
    connection.execute(
        insert(metering.supply_log).values(
            log | decided | {"seq": 2000, "available_ticks": 1_999 * TICKS_PER_FEN}
        )
    )


def live_point(made: Showcase, n: int, *, now_ms: int, **changed: Any) -> LivePoint:
    """Room `n` as its gateway sees it, with some of it changed."""
    supply, relay = supply_of(n, made), relay_of(n, made)
    held = made.purse_ids[n] is not None
    point = LivePoint(
        point_id=made.point_ids[n],
        at_ms=now_ms - 1_000 - n % 3 * 1_000,
        total_wh=total_wh(n),
        power_w=0 if relay is Relay.open or not held else 97 + n * 41 % 1_300,
        pf_pct=96,
        available_ticks=left_ticks(n) if held else None,
        relay=relay,
        supply=supply,
        alarms=(),
        version=1 if held else None,
        count=1 if held else None,
    )
    return point.model_copy(update=changed)


class Field:
    """The gateways of the showcase: they pulse and show their meters when told to."""

    def __init__(self, board: LiveBoard, made: Showcase) -> None:
        self._board, self._made, self._cycle = board, made, 0
        self.silent: set[int] = set()  # rooms whose meter does not answer
        self.gone: set[str] = set()  # gateways that do not speak
        self.changed: dict[int, dict[str, Any]] = {}  # room → what differs from `live_point`

    def speak(self, now_ms: int) -> None:
        """Every gateway that is there pulses and shows all its meters, read just now."""
        self._cycle += 1
        for gateway_id in sorted(set(self._made.gateway_of) - self.gone):
            self._board.pulse(gateway_id, self._pulse(now_ms), now_ms)
            points = tuple(
                self._seen(n, now_ms)
                for n, mine in enumerate(self._made.gateway_of)
                if mine == gateway_id
            )
            live = Live(boot=1, cycle=self._cycle, full=True, points=points)
            self._board.take(gateway_id, live, now_ms)

    def _seen(self, n: int, now_ms: int) -> LivePoint:
        point = live_point(self._made, n, now_ms=now_ms, **self.changed.get(n, {}))
        long_ago = now_ms - 3 * HOUR_MS - 26 * MINUTE_MS
        return point.model_copy(update={"at_ms": long_ago}) if n in self.silent else point

    def _pulse(self, now_ms: int) -> Pulse:
        return Pulse(
            journal_id="j1",
            head_seq=self._cycle,
            held_seq=self._cycle,
            boot=1,
            trust=3,
            at_ms=now_ms,
            intents_digest="0" * 64,
            software="0.1.0",
            profile=1,
            disk_free_mib=20_000,
        )

    def take_credit(self, connection: Connection, n: int, *, now_ms: int) -> None:
        """The gateway takes what the centre last granted to room `n`, as ingest books it."""
        purse_id = self._made.purse_ids[n]
        purses, states, intents = money.purses, metering.purse_states, outbox.intents
        where = purses.c.purse_id == purse_id
        count, granted_fen = connection.execute(
            select(purses.c["count"], purses.c.granted_fen).where(where)
        ).one()
        taken = {"gateway_count": count, "gateway_granted_fen": granted_fen, "taken_at_ms": now_ms}
        connection.execute(update(states).where(states.c.purse_id == purse_id).values(taken))
        held = update(intents).where(intents.c.key == purse_id)
        connection.execute(held.values(held_version=intents.c.version))
        charged = connection.scalar(
            select(states.c.charged_ticks).where(states.c.purse_id == purse_id)
        )
        left = int(granted_fen) * TICKS_PER_FEN - int(charged or 0)
        seen = {"count": count, "available_ticks": left, "supply": State.on, "relay": Relay.closed}
        self.changed[n] = {**self.changed.get(n, {}), **seen}

    def close_relay(self, connection: Connection, n: int, *, now_ms: int) -> None:
        """The relay of room `n` is commanded and read back closed, as ingest books it."""
        log = {"journal_id": "j1", "seq": 5000 + n, "point_id": self._made.point_ids[n]}
        done = {"what": "relay", "before": "closed", "after": "closed", "at_ms": now_ms, "tries": 1}
        connection.execute(insert(metering.supply_log).values(log | done | {"reason": ""}))
        states = metering.point_states
        connection.execute(
            update(states)
            .where(states.c.point_id == self._made.point_ids[n])
            .values(relay="closed", relay_at_ms=now_ms)
        )
