"""The states that follow from facts, in the pieces in which they change: one kind of fact, one
piece. So a piece is written without reading the rest of its row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table

from central.metering import tables


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Columns of a table that change together, written after the key's.

    `fresh`: what a new row has in columns that are not of the piece and cannot be null.
    """

    table: Table
    columns: tuple[str, ...]
    fresh: Mapping[str, int] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.table.primary_key.columns)


CHARGED = Piece(
    tables.purse_states,
    ("charged_ticks", "charged_journal_id", "charged_seq", "charged_row", "at_ms"),
)
TAKEN = Piece(
    tables.purse_states,
    ("gateway_count", "gateway_granted_fen", "gateway_source", "taken_at_ms", "at_ms"),
    {"charged_ticks": 0},
)
TAKEN_VERSION = Piece(tables.purse_states, ("gateway_version",), {"charged_ticks": 0, "at_ms": 0})
CLOSED = Piece(
    tables.purse_states, ("closed_seq", "closed_charged_ticks", "at_ms"), {"charged_ticks": 0}
)
READ = Piece(
    tables.point_states,
    (
        "gateway_id", "meter_id", "incarnation", "register_wh", "total_wh", "read_at_ms",
        "read_journal_id", "read_seq",
    ),
)  # fmt: skip
SUPPLY = Piece(tables.point_states, ("gateway_id", "supply", "supply_reason", "supply_at_ms"))
RELAY = Piece(tables.point_states, ("gateway_id", "relay", "relay_at_ms"))
METER_TOTAL = Piece(tables.meter_totals, ("point_id", "booked_to_wh"))
POSITION = Piece(tables.tier_positions, ("period_start_ms", "used_wh"))

PIECES = (
    CHARGED, TAKEN, TAKEN_VERSION, CLOSED, READ, SUPPLY, RELAY, METER_TOTAL, POSITION,
)  # fmt: skip
