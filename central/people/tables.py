"""What is kept about operators: who they are, where they are signed in, and who guessed wrongly."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, Table, Text

from central.database import metadata
from central.permissions import Role

_ROLES = ", ".join(f"'{role}'" for role in Role)

operators = Table(
    "operators",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("login", Text, nullable=False, unique=True),  # kept in lower case
    Column("name", Text, nullable=False),
    Column("role", Text, CheckConstraint(f"role IN ({_ROLES})", name="role"), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("password_at_ms", BigInteger, nullable=False),
    Column("disabled_at_ms", BigInteger),
)

operator_sessions = Table(
    "operator_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),  # the token itself is only in the cookie
    Column("operator_id", Text, ForeignKey("operators.operator_id"), nullable=False, index=True),
    Column("address", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("bucket", Text, primary_key=True),  # "login …", "login … from …" or "address …"
    Column("failures", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
)
