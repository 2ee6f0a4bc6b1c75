"""What is kept of accounts and money. Events and receipts are only ever added, never changed.

A purse row is the lock under which its next count is given; its `count` and `granted_fen` are
moved in the same commit as the event that moves them, and the audit sums the events again.
Whether an event was reversed is found by asking for the event that names it in `reverses`.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from central.append_only import declare
from central.database import metadata

RESERVATION_AS_ASKED = ("purse_id", "fen", "purpose", "method", "event_id", "operator_id")

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("room_id", Text, ForeignKey("rooms.room_id"), nullable=False),
    Column("holder", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("pin_hash", Text, nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("closed_at_ms", BigInteger, nullable=True),
)
_open = text("closed_at_ms IS NULL")
Index(
    "ix_accounts_one_open_a_room",
    accounts.c.room_id,
    unique=True,
    sqlite_where=_open,
    postgresql_where=_open,
)

purses = Table(
    "purses",
    metadata,
    Column("purse_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False, index=True),
    Column("gateway_id", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("granted_fen", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'closing', 'closed')", name="state_known"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("reservation_id", Text, primary_key=True),
    Column("purse_id", Text, ForeignKey("purses.purse_id"), nullable=False, index=True),
    Column("fen", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("method", Text, nullable=True),
    Column("event_id", Text, ForeignKey("money_events.event_id"), nullable=True),  # to be undone
    Column("state", Text, nullable=False),
    Column("void_reason", Text, nullable=True),  # refused by the gateway, or cancelled by staff
    Column("asked_at_ms", BigInteger, nullable=False),
    Column("answered_at_ms", BigInteger, nullable=True),
    Column("operator_id", Text, nullable=False),
    Column("operator_name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("issuing_point", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    CheckConstraint("fen > 0", name="of_something"),
    CheckConstraint("state IN ('open', 'posted', 'void')", name="state_known"),
)
declare(reservations, frozen=RESERVATION_AS_ASKED)

money_events = declare(
    Table(
        "money_events",
        metadata,
        Column("event_id", Text, primary_key=True),
        Column("purse_id", Text, ForeignKey("purses.purse_id"), nullable=False),
        Column("count", Integer, nullable=False),
        Column("kind", Text, nullable=False),
        Column("fen", BigInteger, nullable=False),  # what it added to granted
        Column("method", Text, nullable=True),
        Column("entry_id", Text, ForeignKey("entries.entry_id"), nullable=False, unique=True),
        Column("receipt_no", Text, nullable=False, unique=True),
        Column("at_ms", BigInteger, nullable=False, index=True),
        Column("operator_id", Text, nullable=False),
        Column("reverses", Text, ForeignKey("money_events.event_id"), nullable=True, unique=True),
        Column("reservation_id", Text, nullable=True, unique=True),
        Column("request_id", Text, nullable=False),
        Column(
            "intent_version", BigInteger, nullable=False
        ),  # of the credit intent that carries it
        UniqueConstraint("purse_id", "count"),
    )
)

receipts = declare(
    Table(
        "receipts",
        metadata,
        Column("receipt_no", Text, primary_key=True),
        Column("issuing_point", Text, nullable=False),
        Column("n", Integer, nullable=False),
        Column("event_id", Text, ForeignKey("money_events.event_id"), nullable=False, unique=True),
        Column("at_ms", BigInteger, nullable=False),
        Column("content", Text, nullable=False),
        UniqueConstraint("issuing_point", "n"),
    )
)

receipt_counters = Table(
    "receipt_counters",
    metadata,
    Column("issuing_point", Text, primary_key=True),
    Column("n", Integer, nullable=False),
)
