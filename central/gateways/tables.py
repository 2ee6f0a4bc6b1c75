"""What is kept of gateways. A journal is one series of facts; a gateway has one open at a time."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, Table, Text

from central.database import metadata

gateways = Table(
    "gateways",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("building_id", Text, nullable=True),
    Column("name", Text, nullable=False),
    Column("key_epoch", Integer, nullable=False),
    Column("old_key_epoch", Integer, nullable=True),  # valid as well until `old_key_until_ms`
    Column("old_key_until_ms", BigInteger, nullable=True),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger, nullable=True),
)

journals = Table(
    "journals",
    metadata,
    Column("journal_id", Text, primary_key=True),
    Column("gateway_id", Text, ForeignKey("gateways.gateway_id"), nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),  # first, replaced or rolled_back
    Column("previous", Text, nullable=True),  # as the journal says, not as we know
    Column("key_epoch", Integer, nullable=False),  # under which it was opened
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("closed_at_ms", BigInteger, nullable=True),
    Column("held_seq", BigInteger, nullable=False),
    Column("safe_seq", BigInteger, nullable=True),  # null: no backup here, as safe as held
    Column("chain", Text, nullable=False),  # after held_seq
    Column("head_seq", BigInteger, nullable=False),  # as the gateway last said
    Column("last_seen_ms", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'closed', 'twin')", name="state_known"),
)

refused_messages = Table(
    "refused_messages",
    metadata,
    Column("gateway_id", Text, primary_key=True),  # "-" where no gateway of ours is named
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)
