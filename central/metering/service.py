"""What other features may ask of metering: take facts, show what was set aside, what differs."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from central.metering import tables
from central.metering.ingest import Arrived, Ingested, Outcome, ingest, ingest_all
from central.metering.prices import Prices
from central.metering.quarantine import SetAside, reread, set_aside, settle

__all__ = [
    "Arrived",
    "Difference",
    "Ingested",
    "Outcome",
    "Prices",
    "SetAside",
    "differences",
    "ingest",
    "ingest_all",
    "reread",
    "set_aside",
    "settle",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """A booked row that the centre prices differently; `centre_ticks` None: it has no price."""

    journal_id: str
    seq: int
    row: int
    purse_id: str
    point_id: str
    edge_ticks: int
    centre_ticks: int | None
    reason: str
    at_ms: int


def differences(connection: Connection, *, limit: int | None = None) -> list[Difference]:
    """Rows that the centre prices differently, newest first."""
    table = tables.differences
    newest = select(table).order_by(table.c.at_ms.desc(), table.c.seq.desc(), table.c.row)
    return [Difference(**row) for row in connection.execute(newest.limit(limit)).mappings()]
