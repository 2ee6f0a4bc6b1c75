"""What one transaction of ingest is about to write, and the states it goes by.

States are read once for all that a group of batches speaks of, changed here row by row in the order
of the facts, and written at the end in a few statements. The only mutable thing of ingest.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Table

from central.metering import tables
from central.metering.bulk import Row, insert_rows, rows_where, select_all, upsert_rows
from central.metering.prices import Place, gateways_of, places_of
from domain.tariff import Position, Pricing

NOWHERE = Position(0, 0)
_ONCE = (
    tables.facts,
    tables.charges,
    tables.corrections,
    tables.openings,
    tables.supply_log,
    tables.differences,
)
_KEPT_ALREADY = (tables.quarantine, tables.readings)


@dataclass(slots=True)
class PurseState:
    """A row of purse_states, fields in its order."""

    purse_id: str
    charged_ticks: int = 0
    charged_journal_id: str | None = None
    charged_seq: int | None = None
    charged_row: int | None = None
    gateway_version: int | None = None
    gateway_count: int | None = None
    gateway_granted_fen: int | None = None
    gateway_source: str | None = None
    taken_at_ms: int | None = None
    closed_seq: int | None = None
    closed_charged_ticks: int | None = None
    at_ms: int = 0


@dataclass(slots=True)
class PointState:
    """A row of point_states, fields in its order."""

    point_id: str
    gateway_id: str
    meter_id: str | None = None
    incarnation: int | None = None
    register_wh: int | None = None
    total_wh: int | None = None
    read_at_ms: int | None = None
    read_journal_id: str | None = None
    read_seq: int | None = None
    supply: str | None = None
    supply_reason: str | None = None
    supply_at_ms: int | None = None
    relay: str | None = None
    relay_at_ms: int | None = None


@dataclass(slots=True)
class Wanted:
    """What the facts of a group speak of."""

    point_ids: set[str] = field(default_factory=set)
    purse_ids: set[str] = field(default_factory=set)
    meter_ids: set[str] = field(default_factory=set)
    charged_point_ids: set[str] = field(default_factory=set)


class Draft:
    """See the module. Made for one transaction; `write` ends it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.places: dict[str, Place] = {}
        self.gateway_of_purse: dict[str, str] = {}
        self.pricings: Mapping[tuple[str, str], Pricing] = {}
        self._new: dict[Table, list[Row]] = {table: [] for table in (*_ONCE, *_KEPT_ALREADY)}
        self._purses: dict[str, PurseState] = {}
        self._points: dict[str, PointState] = {}
        self._totals: dict[tuple[str, int], tuple[str, int]] = {}
        self._positions: dict[str, Position] = {}
        self._changed: dict[str, set[Any]] = {}
        self._forget_changes()

    def load(self, wanted: Wanted) -> None:
        """Read the states of all that is spoken of."""
        connection = self.connection
        self.places |= places_of(connection, wanted.point_ids)
        self.gateway_of_purse |= gateways_of(connection, wanted.purse_ids)
        for row in rows_where(connection, _PURSES, "purse_id", wanted.purse_ids):
            self._purses[row[0]] = PurseState(*row)
        for row in rows_where(connection, _POINTS, "point_id", wanted.point_ids):
            self._points[row[0]] = PointState(*row)
        for row in rows_where(connection, _TOTALS, "meter_id", wanted.meter_ids):
            self._totals[row[0], row[1]] = (row[2], row[3])
        for row in rows_where(connection, _POSITIONS, "point_id", wanted.charged_point_ids):
            self._positions[row[0]] = Position(row[1], row[2])

    # --- states ------------------------------------------------------------------------------

    def purse(self, purse_id: str) -> PurseState:
        """A purse's booked state, to be read."""
        return self._purses.get(purse_id) or PurseState(purse_id)

    def change_purse(self, purse_id: str) -> PurseState:
        """A purse's booked state, to be changed."""
        self._changed["purses"].add(purse_id)
        return self._purses.setdefault(purse_id, PurseState(purse_id))

    def change_point(self, point_id: str, gateway_id: str) -> PointState:
        """A point's newest state, to be changed."""
        self._changed["points"].add(point_id)
        state = self._points.setdefault(point_id, PointState(point_id, gateway_id))
        state.gateway_id = gateway_id
        return state

    def booked_to_wh(self, meter_id: str, incarnation: int) -> int | None:
        """Where the booked energy of a meter ends; None before its first."""
        known = self._totals.get((meter_id, incarnation))
        return None if known is None else known[1]

    def book_to(self, meter_id: str, incarnation: int, *, point_id: str, to_wh: int) -> None:
        """Move the end of a meter's booked energy."""
        self._totals[meter_id, incarnation] = (point_id, to_wh)
        self._changed["totals"].add((meter_id, incarnation))

    def position(self, point_id: str) -> Position:
        """Where a point stands in its tiers, by the centre's own pricing."""
        return self._positions.get(point_id, NOWHERE)

    def move_position(self, point_id: str, position: Position) -> None:
        self._positions[point_id] = position
        self._changed["positions"].add(point_id)

    # --- rows --------------------------------------------------------------------------------

    def add(self, table: Table, *row: Any) -> None:
        """A row to be inserted, in column order."""
        self._new[table].append(row)

    def add_all(self, table: Table, rows: Iterable[Row]) -> None:
        self._new[table].extend(rows)

    def write(self) -> None:
        """Write everything that is waiting; what was read stays known."""
        connection, changed = self.connection, self._changed
        for table in _ONCE:
            insert_rows(connection, table, self._new[table])
        for table in _KEPT_ALREADY:
            insert_rows(connection, table, self._new[table], skip_known=True)
        purses, points = sorted(changed["purses"]), sorted(changed["points"])
        totals, positions = sorted(changed["totals"]), sorted(changed["positions"])
        upsert_rows(
            connection, tables.purse_states, [_purse_row(self._purses[purse]) for purse in purses]
        )
        upsert_rows(
            connection, tables.point_states, [_point_row(self._points[point]) for point in points]
        )
        upsert_rows(
            connection, tables.meter_totals, [(*meter, *self._totals[meter]) for meter in totals]
        )
        upsert_rows(
            connection,
            tables.tier_positions,
            [
                (point, self._positions[point].period_start_ms, self._positions[point].used_wh)
                for point in positions
            ],
        )
        for rows in self._new.values():
            rows.clear()
        self._forget_changes()

    def _forget_changes(self) -> None:
        self._changed = {name: set() for name in ("purses", "points", "totals", "positions")}


def _cells(kind: type) -> Callable[[Any], Row]:
    return attrgetter(*(column.name for column in fields(kind)))


_purse_row, _point_row = _cells(PurseState), _cells(PointState)
_PURSES, _POINTS, _TOTALS, _POSITIONS = map(
    select_all,
    (tables.purse_states, tables.point_states, tables.meter_totals, tables.tier_positions),
)
