"""The books, the audit chain, requests, operators.

Revision ID: 0001_core
Revises: None
"""

import sqlalchemy as sa
from alembic import op

from central import append_only

revision = "0001_core"
down_revision = None
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ROLES = "role IN ('cashier', 'supervisor', 'technician', 'auditor', 'administrator')"


def upgrade() -> None:
    """Create the tables; those that only grow get their triggers."""
    _books()
    _audit()
    _people()
    connection = op.get_bind()
    for table in ("entries", "postings", "audit_rows", "audit_seals"):
        for statement in append_only.statements(table, connection.dialect.name):
            connection.exec_driver_sql(statement)


def _books() -> None:
    op.create_table(
        "entries",
        sa.Column("seq", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("reverses", sa.Text()),
        sa.PrimaryKeyConstraint("seq", name="pk_entries"),
        sa.UniqueConstraint("entry_id", name="uq_entries_entry_id"),
        sa.UniqueConstraint("reverses", name="uq_entries_reverses"),
        sa.ForeignKeyConstraint(["reverses"], ["entries.entry_id"], name="fk_entries_reverses"),
    )
    op.create_index("ix_entries_at_ms", "entries", ["at_ms"])
    op.create_table(
        "postings",
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "n", name="pk_postings"),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.entry_id"], name="fk_postings_entry_id"),
        sa.CheckConstraint("fen <> 0", name=op.f("ck_postings_not_zero")),
    )
    op.create_index("ix_postings_account", "postings", ["account"])
    op.create_table(
        "idempotency",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_at_ms", "idempotency", ["at_ms"])


def _audit() -> None:
    op.create_table(
        "audit_rows",
        sa.Column("audit_id", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("operator_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit_rows"),
    )
    op.create_index("ix_audit_rows_at_ms", "audit_rows", ["at_ms"])
    op.create_index("ix_audit_rows_object", "audit_rows", ["object"])
    op.create_table(
        "audit_seals",
        sa.Column("n", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("audit_id", _ROW_NUMBER, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_audit_seals"),
        sa.UniqueConstraint("audit_id", name="uq_audit_seals_audit_id"),
        sa.ForeignKeyConstraint(
            ["audit_id"], ["audit_rows.audit_id"], name="fk_audit_seals_audit_id"
        ),
    )


def _people() -> None:
    op.create_table(
        "operators",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("password_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("operator_id", name="pk_operators"),
        sa.UniqueConstraint("login", name="uq_operators_login"),
        sa.CheckConstraint(_ROLES, name=op.f("ck_operators_role")),
    )
    op.create_table(
        "operator_sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_operator_sessions"),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operators.operator_id"], name="fk_operator_sessions_operator_id"
        ),
    )
    op.create_index("ix_operator_sessions_operator_id", "operator_sessions", ["operator_id"])
    op.create_table(
        "sign_in_failures",
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name="pk_sign_in_failures"),
    )
