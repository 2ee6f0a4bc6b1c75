"""A meter as pages show it: what the books know of it, under what its gateway shows now.

Nothing here asks a building anything, and what is not known stays None. A figure of the gateway is
shown for a minute after its meter was read; after that the books' own figure is, with its age.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from central.database import Database
from central.metering.live import LOST_MS, LiveBoard, LiveState, WallState, wall_state
from central.metering.tables import tier_positions
from central.rooms import queries, versions
from central.rooms import tables as places
from central.rooms.queries import WallRow
from domain import supply, tariff
from domain.credit import Thresholds
from domain.supply import Relay, State
from domain.tariff import Position, Pricing

Control = Literal["closing", "opening", "sending", "hold_on", "force_off", "prepaid"]

_BY_MODE: Mapping[State, Control] = {State.held_on: "hold_on", State.held_off: "force_off"}
_NEVER_WARNS = Thresholds(alarm_1_fen=0, alarm_2_fen=0)


@dataclass(frozen=True, slots=True)
class Shown:
    """A point as it is shown. Ticks, Wh, W; None: not known, or nobody's.

    `live`: as its gateway last showed it; `is_live`: with a reading of the last minute, else the
    figures are the last known. `read_ms`: when its meter was read, by our clock as far as known.
    `at_gateway`: its gateway holds every purchase of its purse. `price_e4`: of the next watt-hour,
    in 10⁻⁴ yuan/kWh.
    """

    row: WallRow
    live: LiveState | None
    is_live: bool
    state: WallState
    available_ticks: int | None
    total_wh: int | None
    power_w: int | None
    relay: Relay
    supply: State | None
    control: Control | None
    read_ms: int | None
    at_gateway: bool
    price_e4: int | None
    alarms: tuple[str, ...]

    @property
    def held_count(self) -> int:
        """The purchase count that the gateway is known to hold."""
        seen = 0 if self.live is None else self.live.point.count or 0
        return max(self.row.gateway_count or 0, seen)

    @property
    def wants_power(self) -> bool:
        """Whether somebody holds the room, so that an open relay is one too many."""
        return self.row.purse_id is not None


async def picture(
    database: Database, board: LiveBoard, *, now_ms: int, room_id: str | None = None
) -> list[Shown]:
    """Every point (or those of a room) as it is shown now, in the order of the wall."""
    rows = await database.read(priced, now_ms=now_ms, room_id=room_id)
    return [shown(row, board, price_e4=price_e4, now_ms=now_ms) for row, price_e4 in rows]


def priced(
    connection: Connection, *, now_ms: int, room_id: str | None = None
) -> list[tuple[WallRow, int | None]]:
    """Points as booked, each with the price of its next watt-hour."""
    rows = queries.wall_rows(connection, room_id=room_id)
    prices = _prices(connection, rows, now_ms)
    return [(row, prices.get(row.point_id)) for row in rows]


def shown(row: WallRow, board: LiveBoard, *, price_e4: int | None, now_ms: int) -> Shown:
    """A booked row with the live picture over it; to be called on the event loop."""
    kept = board.point(row.point_id)
    seen = None if kept is None else kept.point
    live = kept if kept is not None and kept.fresh(now_ms, within_ms=LOST_MS) else None
    booked_ticks = row.booked_ticks or 0
    available = booked_ticks
    if live is not None and live.point.available_ticks is not None:
        available = live.point.available_ticks
    opened = row.purse_id is not None and row.purse_state != "closed"
    at_gateway = row.in_the_room or _holds(kept, row)
    return Shown(
        row=row,
        live=kept,
        is_live=live is not None,
        state=wall_state(
            kept,
            opened=opened,
            booked_ticks=booked_ticks,
            thresholds=_thresholds(row),
            now_ms=now_ms,
        ),
        available_ticks=available if opened else None,
        total_wh=_first_known(None if seen is None else seen.total_wh, row.total_wh),
        power_w=None if live is None else live.point.power_w,
        relay=Relay.unknown if live is None else live.point.relay,
        supply=_supply(row) if seen is None else seen.supply,
        control=_control(row, live, waiting=opened and not at_gateway),
        read_ms=_first_known(None if kept is None else kept.read_ms, row.read_at_ms),
        at_gateway=at_gateway,
        price_e4=price_e4,
        alarms=() if live is None else live.point.alarms,
    )


def _holds(kept: LiveState | None, row: WallRow) -> bool:
    return kept is not None and row.count is not None and (kept.point.count or 0) >= row.count


def _supply(row: WallRow) -> State | None:
    return None if row.supply is None else State(row.supply)


def _first_known(*figures: int | None) -> int | None:
    return next((figure for figure in figures if figure is not None), None)


def _thresholds(row: WallRow) -> Thresholds:
    if row.alarm_1_fen is None or row.alarm_2_fen is None:
        return _NEVER_WARNS
    return Thresholds(row.alarm_1_fen, row.alarm_2_fen, row.overdraft_fen or 0)


def _control(row: WallRow, live: LiveState | None, *, waiting: bool) -> Control | None:
    """The command that is under way until it is read back, else what decides about supply."""
    if live is not None and live.point.relay is not Relay.unknown:
        wanted = supply.wanted(live.point.supply)
        if wanted is not None and wanted is not live.point.relay:
            return "closing" if wanted is Relay.closed else "opening"
    if waiting:
        return "sending"
    state = _supply(row) if live is None else live.point.supply
    if state is not None and state in _BY_MODE:
        return _BY_MODE[state]
    return None if row.purse_id is None else "prepaid"


def _prices(connection: Connection, rows: Iterable[WallRow], now_ms: int) -> Mapping[str, int]:
    """The price of the next watt-hour at each point; none where no price table was set."""
    buildings = places.buildings
    known = connection.execute(select(buildings.c.building_id, buildings.c.site_id))
    site_of = {row.building_id: row.site_id for row in known}
    pricings: dict[tuple[str, str], Pricing | None] = {}
    found, positions = {}, None
    for row in rows:
        key = (row.tariff_id, site_of[row.building_id])
        if key not in pricings:
            pricings[key] = _pricing(connection, *key, now_ms)
        pricing = pricings[key]
        if pricing is None:
            continue
        if pricing.flat is not None:
            found[row.point_id] = pricing.flat[1]
            continue
        if positions is None:
            positions = _positions(connection)
        position = positions.get(row.point_id, Position(0, 0))
        found[row.point_id] = tariff.price_now(pricing, position, now_ms)
    return found


def _pricing(connection: Connection, tariff_id: str, site_id: str, now_ms: int) -> Pricing | None:
    try:
        return versions.pricing(connection, tariff_id=tariff_id, site_id=site_id, now_ms=now_ms)
    except LookupError:
        return None


def _positions(connection: Connection) -> Mapping[str, Position]:
    rows = connection.execute(select(tier_positions))
    return {row.point_id: Position(row.period_start_ms, row.used_wh) for row in rows}
