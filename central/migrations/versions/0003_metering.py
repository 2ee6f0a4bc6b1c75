"""Outbox, gateways, facts and what follows from them, alarms.

Revision ID: 0003_metering
Revises: 0002_rooms_sales
"""

import sqlalchemy as sa
from alembic import op

from central import append_only

revision = "0003_metering"
down_revision = "0002_rooms_sales"
branch_labels = None
depends_on = None

_GROWING = ("facts", "charges", "corrections", "openings", "supply_log", "differences")


def upgrade() -> None:
    """Create the tables; those that only grow get their triggers."""
    _outbox()
    _gateways()
    _facts()
    _energy()
    _states()
    _alarms()
    connection = op.get_bind()
    for table in _GROWING:
        for statement in append_only.statements(table, connection.dialect.name):
            connection.exec_driver_sql(statement)


def _outbox() -> None:
    op.create_table(
        "intents",
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("held_version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("issued_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger()),
        sa.Column("refused_version", sa.BigInteger(), nullable=False),
        sa.Column("refused_reason", sa.Text()),
        sa.PrimaryKeyConstraint("gateway_id", "kind", "key", name="pk_intents"),
    )
    op.create_table(
        "books_meta",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("books_epoch", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_books_meta"),
    )


def _gateways() -> None:
    op.create_table(
        "gateways",
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("building_id", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_epoch", sa.Integer(), nullable=False),
        sa.Column("old_key_epoch", sa.Integer()),
        sa.Column("old_key_until_ms", sa.BigInteger()),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("gateway_id", name="pk_gateways"),
    )
    op.create_table(
        "journals",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text()),
        sa.Column("key_epoch", sa.Integer(), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger()),
        sa.Column("held_seq", sa.BigInteger(), nullable=False),
        sa.Column("safe_seq", sa.BigInteger()),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("head_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", name="pk_journals"),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateways.gateway_id"], name="fk_journals_gateway_id"
        ),
        sa.CheckConstraint(
            "state IN ('open', 'closed', 'twin')", name=op.f("ck_journals_state_known")
        ),
    )
    op.create_index("ix_journals_gateway_id", "journals", ["gateway_id"])
    op.create_table(
        "refused_messages",
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "reason", name="pk_refused_messages"),
    )


def _facts() -> None:
    op.create_table(
        "facts",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("trust", sa.Integer(), nullable=False),
        sa.Column("v", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_facts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("journal_id", "seq", "row", name="pk_quarantine"),
    )
    op.create_index(
        "ix_quarantine_unsettled",
        "quarantine",
        ["at_ms"],
        sqlite_where=sa.text("settled_at_ms IS NULL"),
        postgresql_where=sa.text("settled_at_ms IS NULL"),
    )
    op.create_table(
        "differences",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("purse_id", sa.Text(), nullable=False),
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("edge_ticks", sa.BigInteger(), nullable=False),
        sa.Column("centre_ticks", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "seq", "row", name="pk_differences"),
    )


def _energy() -> None:
    op.create_table(
        "readings",
        sa.Column("ts_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("meter_id", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("register_wh", sa.BigInteger(), nullable=False),
        sa.Column("total_wh", sa.BigInteger(), nullable=False),
        sa.Column("rate_wh", sa.Text()),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ts_ms", "point_id", name="pk_readings"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "charges",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("purse_id", sa.Text(), nullable=False),
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("meter_id", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("from_wh", sa.BigInteger(), nullable=False),
        sa.Column("to_wh", sa.BigInteger(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("tariff_version", sa.BigInteger(), nullable=False),
        sa.Column("ticks", sa.BigInteger(), nullable=False),
        sa.Column("charged_ticks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "seq", "row", name="pk_charges"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_charges_point_id_to_ms", "charges", ["point_id", "to_ms"])
    op.create_table(
        "corrections",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("corrects_seq", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("purse_id", sa.Text(), nullable=False),
        sa.Column("ticks", sa.BigInteger(), nullable=False),
        sa.Column("charged_ticks", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_corrections"),
    )
    op.create_index("ix_corrections_purse_id", "corrections", ["purse_id"])
    op.create_table(
        "openings",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("meter_id", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("from_wh", sa.BigInteger()),
        sa.Column("to_wh", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "seq", "row", name="pk_openings"),
    )


def _states() -> None:
    op.create_table(
        "meter_totals",
        sa.Column("meter_id", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("booked_to_wh", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("meter_id", "incarnation", name="pk_meter_totals"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tier_positions",
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("period_start_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_wh", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("point_id", name="pk_tier_positions"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "purse_states",
        sa.Column("purse_id", sa.Text(), nullable=False),
        sa.Column("charged_ticks", sa.BigInteger(), nullable=False),
        sa.Column("charged_journal_id", sa.Text()),
        sa.Column("charged_seq", sa.BigInteger()),
        sa.Column("charged_row", sa.Integer()),
        sa.Column("gateway_version", sa.BigInteger()),
        sa.Column("gateway_count", sa.BigInteger()),
        sa.Column("gateway_granted_fen", sa.BigInteger()),
        sa.Column("gateway_source", sa.Text()),
        sa.Column("taken_at_ms", sa.BigInteger()),
        sa.Column("closed_seq", sa.BigInteger()),
        sa.Column("closed_charged_ticks", sa.BigInteger()),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purse_id", name="pk_purse_states"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "point_states",
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("meter_id", sa.Text()),
        sa.Column("incarnation", sa.Integer()),
        sa.Column("register_wh", sa.BigInteger()),
        sa.Column("total_wh", sa.BigInteger()),
        sa.Column("read_at_ms", sa.BigInteger()),
        sa.Column("read_journal_id", sa.Text()),
        sa.Column("read_seq", sa.BigInteger()),
        sa.Column("supply", sa.Text()),
        sa.Column("supply_reason", sa.Text()),
        sa.Column("supply_at_ms", sa.BigInteger()),
        sa.Column("relay", sa.Text()),
        sa.Column("relay_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("point_id", name="pk_point_states"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "supply_log",
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("available_ticks", sa.BigInteger()),
        sa.Column("tries", sa.Integer()),
        sa.Column("decided_seq", sa.BigInteger()),
        sa.Column("command_id", sa.Text()),
        sa.PrimaryKeyConstraint("journal_id", "seq", name="pk_supply_log"),
    )
    op.create_index("ix_supply_log_point_id_at_ms", "supply_log", ["point_id", "at_ms"])


def _alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("alarm_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_ms", sa.BigInteger()),
        sa.Column("acked_by", sa.Text()),
        sa.Column("acked_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("gateway_id", "alarm_id", name="pk_alarms"),
    )
    op.create_index(
        "ix_alarms_standing",
        "alarms",
        ["raised_at_ms"],
        sqlite_where=sa.text("cleared_at_ms IS NULL"),
        postgresql_where=sa.text("cleared_at_ms IS NULL"),
    )
    op.create_index("ix_alarms_subject_id", "alarms", ["subject_id"])
