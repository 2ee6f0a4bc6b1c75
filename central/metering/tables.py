"""What is kept of metering. Facts stand as they came; everything else here follows from them.

Energy in Wh, money in ticks (10⁻⁷ yuan) unless a name says fen, time in UTC milliseconds. A row of
a fact is named (journal_id, seq, row). The hot tables carry no foreign keys: the writer is one.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from central.append_only import declare
from central.database import metadata

WHOLE_FACT = -1  # `row` of a quarantined fact that could not be taken apart

facts = declare(
    Table(
        "facts",
        metadata,
        Column("journal_id", Text, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),  # 0 where the fact could not be read
        Column("trust", Integer, nullable=False),
        Column("v", Integer, nullable=False),  # version of the protocol it came in
        Column("text", Text, nullable=False),  # canonical, as chained
        sqlite_with_rowid=False,
    )
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("journal_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("gateway_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("text", Text, nullable=False),  # of the fact, or of the row that was set aside
    Column("at_ms", BigInteger, nullable=False),  # when it was set aside
    Column("settled_at_ms", BigInteger, nullable=True),
)
_unsettled = text("settled_at_ms IS NULL")
Index(
    "ix_quarantine_unsettled",
    quarantine.c.at_ms,
    sqlite_where=_unsettled,
    postgresql_where=_unsettled,
)

readings = Table(
    "readings",
    metadata,
    Column("ts_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("point_id", Text, primary_key=True),
    Column("meter_id", Text, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("register_wh", BigInteger, nullable=False),
    Column("total_wh", BigInteger, nullable=False),
    Column("rate_wh", Text, nullable=True),  # JSON array
    Column("purpose", Text, nullable=False),
    Column("quality", Text, nullable=False),
    Column("journal_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

charges = declare(
    Table(
        "charges",
        metadata,
        Column("journal_id", Text, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("row", Integer, primary_key=True, autoincrement=False),
        Column("purse_id", Text, nullable=False),
        Column("point_id", Text, nullable=False),
        Column("meter_id", Text, nullable=False),
        Column("incarnation", Integer, nullable=False),
        Column("from_wh", BigInteger, nullable=False),
        Column("to_wh", BigInteger, nullable=False),
        Column("from_ms", BigInteger, nullable=False),
        Column("to_ms", BigInteger, nullable=False),
        Column("parts", Text, nullable=False),  # JSON: [[rate, tier, wh, price_e4, estimated]]
        Column("tariff_version", BigInteger, nullable=False),
        Column("ticks", BigInteger, nullable=False),
        Column("charged_ticks", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
)
Index("ix_charges_point_id_to_ms", charges.c.point_id, charges.c.to_ms)

corrections = declare(
    Table(
        "corrections",
        metadata,
        Column("journal_id", Text, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("corrects_seq", BigInteger, nullable=False),
        Column("row", Integer, nullable=False),
        Column("purse_id", Text, nullable=False, index=True),
        Column("ticks", BigInteger, nullable=False),
        Column("charged_ticks", BigInteger, nullable=False),
        Column("reason", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
    )
)

# Where a meter's booked energy begins (again): at its first sight, and when a new account begins
# at a meter whose energy was nobody's for a while.
openings = declare(
    Table(
        "openings",
        metadata,
        Column("journal_id", Text, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("row", Integer, primary_key=True, autoincrement=False),
        Column("point_id", Text, nullable=False),
        Column("meter_id", Text, nullable=False),
        Column("incarnation", Integer, nullable=False),
        Column("from_wh", BigInteger, nullable=True),  # booked end before; null: never seen before
        Column("to_wh", BigInteger, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
    )
)

meter_totals = Table(
    "meter_totals",
    metadata,
    Column("meter_id", Text, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("point_id", Text, nullable=False),
    Column("booked_to_wh", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

tier_positions = Table(
    "tier_positions",
    metadata,
    Column("point_id", Text, primary_key=True),
    Column("period_start_ms", BigInteger, nullable=False),
    Column("used_wh", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

purse_states = Table(
    "purse_states",
    metadata,
    Column("purse_id", Text, primary_key=True),
    Column("charged_ticks", BigInteger, nullable=False),
    Column("charged_journal_id", Text, nullable=True),  # the booked row that moved it last
    Column("charged_seq", BigInteger, nullable=True),
    Column("charged_row", Integer, nullable=True),
    Column("gateway_version", BigInteger, nullable=True),  # as the gateway said it holds
    Column("gateway_count", BigInteger, nullable=True),
    Column("gateway_granted_fen", BigInteger, nullable=True),
    Column("gateway_source", Text, nullable=True),
    Column("taken_at_ms", BigInteger, nullable=True),
    Column("closed_seq", BigInteger, nullable=True),  # its gateway charges nothing after this
    Column("closed_charged_ticks", BigInteger, nullable=True),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

point_states = Table(
    "point_states",
    metadata,
    Column("point_id", Text, primary_key=True),
    Column("gateway_id", Text, nullable=False),
    Column("meter_id", Text, nullable=True),  # last believed reading
    Column("incarnation", Integer, nullable=True),
    Column("register_wh", BigInteger, nullable=True),
    Column("total_wh", BigInteger, nullable=True),
    Column("read_at_ms", BigInteger, nullable=True),
    Column("read_journal_id", Text, nullable=True),
    Column("read_seq", BigInteger, nullable=True),
    Column("supply", Text, nullable=True),  # last decision
    Column("supply_reason", Text, nullable=True),
    Column("supply_at_ms", BigInteger, nullable=True),
    Column("relay", Text, nullable=True),  # last read back
    Column("relay_at_ms", BigInteger, nullable=True),
    sqlite_with_rowid=False,
)

supply_log = declare(
    Table(
        "supply_log",
        metadata,
        Column("journal_id", Text, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("point_id", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("what", Text, nullable=False),  # decided or relay
        Column("before", Text, nullable=False),  # state left, or position wanted
        Column("after", Text, nullable=False),  # state entered, or position read back
        Column("reason", Text, nullable=False),
        Column("available_ticks", BigInteger, nullable=True),
        Column("tries", Integer, nullable=True),
        Column("decided_seq", BigInteger, nullable=True),
        Column("command_id", Text, nullable=True),
    )
)
Index("ix_supply_log_point_id_at_ms", supply_log.c.point_id, supply_log.c.at_ms)

differences = declare(
    Table(
        "differences",
        metadata,
        Column("journal_id", Text, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("row", Integer, primary_key=True, autoincrement=False),
        Column("purse_id", Text, nullable=False),
        Column("point_id", Text, nullable=False),
        Column("edge_ticks", BigInteger, nullable=False),
        Column("centre_ticks", BigInteger, nullable=True),  # null: the centre cannot price it
        Column("reason", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
    )
)
