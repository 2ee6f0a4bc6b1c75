"""What is kept of alarms: each occurrence once, with when it began and ended and who saw it.

A gateway numbers its own alarms, so an id is its gateway's alone; what the office raises about a
gateway carries an id that no gateway can send (`service.own_id`).
"""

from sqlalchemy import BigInteger, Column, Index, Table, Text, text

from central.database import metadata

alarms = Table(
    "alarms",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("alarm_id", Text, primary_key=True),
    Column("code", Text, nullable=False),
    Column("subject_id", Text, nullable=False, index=True),  # point, bus, purse, journal, gateway
    Column("severity", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("raised_at_ms", BigInteger, nullable=False),
    Column("cleared_at_ms", BigInteger, nullable=True),
    Column("acked_by", Text, nullable=True),
    Column("acked_at_ms", BigInteger, nullable=True),
)
_standing = text("cleared_at_ms IS NULL")
Index(
    "ix_alarms_standing",
    alarms.c.raised_at_ms,
    sqlite_where=_standing,
    postgresql_where=_standing,
)
