"""What a group of batches is about to change: read once at its start, changed in memory row by row
in the order of the facts, and written at the end in a few statements. The only mutable thing of
ingest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table

from central.database import lock_rows
from central.metering import states, tables
from central.metering.bulk import Row, insert_rows, rows_where, upsert_rows
from central.metering.prices import Place
from central.metering.states import Piece
from central.sales.tables import purses
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
_PLACES = (
    "SELECT points.point_id, points.gateway_id, points.tariff_id, buildings.site_id,"
    " tier_positions.period_start_ms, tier_positions.used_wh FROM points"
    " JOIN rooms ON rooms.room_id = points.room_id"
    " JOIN buildings ON buildings.building_id = rooms.building_id"
    " LEFT JOIN tier_positions ON tier_positions.point_id = points.point_id"
)
_PURSES = (
    "SELECT purses.purse_id, purses.gateway_id, purse_states.charged_ticks FROM purses"
    " LEFT JOIN purse_states ON purse_states.purse_id = purses.purse_id"
)
_TOTALS = "SELECT meter_id, incarnation, booked_to_wh FROM meter_totals"


@dataclass(slots=True)
class Wanted:
    """What the facts of a group speak of."""

    point_ids: set[str] = field(default_factory=set)
    purse_ids: set[str] = field(default_factory=set)
    meter_ids: set[str] = field(default_factory=set)


class Draft:
    """See the module. Made for one transaction; `write` ends it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.places: dict[str, Place] = {}
        self.gateway_of_purse: dict[str, str] = {}
        self.pricings: Mapping[tuple[str, str], Pricing] = {}
        self._positions: dict[str, Position] = {}
        self._charged_ticks: dict[str, int] = {}
        self._booked_to_wh: dict[tuple[str, int], int] = {}
        self._new: dict[Table, list[Row]] = {table: [] for table in (*_ONCE, *_KEPT_ALREADY)}
        self._changed: dict[Piece, dict[Any, Row]] = {piece: {} for piece in states.PIECES}

    def load(self, wanted: Wanted) -> None:
        """Read what the books know of all that is spoken of, and hold its purses: a sale that has
        one waits here, instead of for what these facts change besides (intents, receipts)."""
        connection = self.connection
        lock_rows(connection, purses.c.purse_id, wanted.purse_ids)
        for row in rows_where(connection, _PLACES, "points.point_id", wanted.point_ids):
            self.places[row[0]] = Place(row[1], row[2], row[3])
            if row[4] is not None:
                self._positions[row[0]] = Position(row[4], row[5])
        for row in rows_where(connection, _PURSES, "purses.purse_id", wanted.purse_ids):
            self.gateway_of_purse[row[0]] = row[1]
            self._charged_ticks[row[0]] = row[2] or 0
        for row in rows_where(connection, _TOTALS, "meter_id", wanted.meter_ids):
            self._booked_to_wh[row[0], row[1]] = row[2]

    # --- states ------------------------------------------------------------------------------

    def charged_ticks(self, purse_id: str) -> int:
        """What is booked as charged to a purse."""
        return self._charged_ticks.get(purse_id, 0)

    def charge(
        self, purse_id: str, charged_ticks: int, *, journal_id: str, seq: int, row: int, at_ms: int
    ) -> None:
        """Move what is booked as charged to a purse; by which row of which fact."""
        self._charged_ticks[purse_id] = charged_ticks
        changed = (purse_id, charged_ticks, journal_id, seq, row, at_ms)
        self._changed[states.CHARGED][purse_id] = changed

    def booked_to_wh(self, meter_id: str, incarnation: int) -> int | None:
        """Where the booked energy of a meter ends; None before its first."""
        return self._booked_to_wh.get((meter_id, incarnation))

    def book_to(self, meter_id: str, incarnation: int, *, point_id: str, to_wh: int) -> None:
        """Move the end of a meter's booked energy."""
        meter = (meter_id, incarnation)
        self._booked_to_wh[meter] = to_wh
        self._changed[states.METER_TOTAL][meter] = (meter_id, incarnation, point_id, to_wh)

    def position(self, point_id: str) -> Position:
        """Where a point stands in its tiers, by the centre's own pricing."""
        return self._positions.get(point_id, NOWHERE)

    def move_position(self, point_id: str, position: Position) -> None:
        self._positions[point_id] = position
        self._changed[states.POSITION][point_id] = (point_id, *position)

    def state(self, piece: Piece, key: str, *values: Any) -> None:
        """What stands in a piece of a state from now on, in the order of its columns."""
        self._changed[piece][key] = (key, *values)

    # --- rows --------------------------------------------------------------------------------

    def add(self, table: Table, *row: Any) -> None:
        """A row to be inserted, in column order."""
        self._new[table].append(row)

    def add_all(self, table: Table, rows: Iterable[Row]) -> None:
        self._new[table].extend(rows)

    def write(self) -> None:
        """Write everything that is waiting; what was read stays known."""
        for table, rows in self._new.items():
            insert_rows(self.connection, table, rows, skip_known=table in _KEPT_ALREADY)
            rows.clear()
        for piece, changed in self._changed.items():
            upsert_rows(self.connection, piece, [row for _, row in sorted(changed.items())])
            changed.clear()
