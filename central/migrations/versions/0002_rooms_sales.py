"""Places, prices, accounts, purses, money events and receipts.

Revision ID: 0002_rooms_sales
Revises: 0001_core
"""

import sqlalchemy as sa
from alembic import op

from central import append_only

revision = "0002_rooms_sales"
down_revision = "0001_core"
branch_labels = None
depends_on = None

_ONLY_GROW = ("tariffs", "policies", "calendars", "money_events", "receipts")
_AS_ASKED = ("purse_id", "fen", "purpose", "method", "event_id", "operator_id")


def upgrade() -> None:
    """Create the tables; those that only grow get their triggers."""
    _places()
    _versions()
    _accounts()
    _money()
    connection = op.get_bind()
    dialect = connection.dialect.name
    triggers = [statement for t in _ONLY_GROW for statement in append_only.statements(t, dialect)]
    triggers += append_only.statements("reservations", dialect, frozen=_AS_ASKED)
    for statement in triggers:
        connection.exec_driver_sql(statement)


def _places() -> None:
    op.create_table(
        "sites",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", name="pk_sites"),
    )
    op.create_table(
        "buildings",
        sa.Column("building_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.site_id"], name="fk_buildings_site_id"),
        sa.PrimaryKeyConstraint("building_id", name="pk_buildings"),
        sa.UniqueConstraint("site_id", "name", name="uq_buildings_site_id_name"),
    )
    op.create_table(
        "rooms",
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("building_id", sa.Text(), nullable=False),
        sa.Column("floor", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["building_id"], ["buildings.building_id"], name="fk_rooms_building_id"
        ),
        sa.PrimaryKeyConstraint("room_id", name="pk_rooms"),
        sa.UniqueConstraint("building_id", "name", name="uq_rooms_building_id_name"),
    )
    op.create_table(
        "buses",
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("bus_id", sa.Text(), nullable=False),
        sa.Column("port", sa.Text(), nullable=False),
        sa.Column("baud", sa.Integer(), nullable=False),
        sa.Column("parity", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "bus_id", name="pk_buses"),
    )


def _versions() -> None:
    op.create_table(
        "tariffs",
        sa.Column("tariff_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("effective_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tariff_id", "version", name="pk_tariffs"),
    )
    op.create_table(
        "policies",
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("policy_id", "version", name="pk_policies"),
    )
    op.create_table(
        "calendars",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.site_id"], name="fk_calendars_site_id"),
        sa.PrimaryKeyConstraint("site_id", "version", name="pk_calendars"),
    )


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("pin_hash", sa.Text(), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.room_id"], name="fk_accounts_room_id"),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
    )
    op.create_index(
        "ix_accounts_one_open_a_room",
        "accounts",
        ["room_id"],
        unique=True,
        sqlite_where=sa.text("closed_at_ms IS NULL"),
        postgresql_where=sa.text("closed_at_ms IS NULL"),
    )
    op.create_table(
        "purses",
        sa.Column("purse_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("granted_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'closing', 'closed')", name=op.f("ck_purses_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_purses_account_id"
        ),
        sa.PrimaryKeyConstraint("purse_id", name="pk_purses"),
    )
    op.create_index("ix_purses_account_id", "purses", ["account_id"])
    op.create_index("ix_purses_gateway_id", "purses", ["gateway_id"])
    op.create_table(
        "points",
        sa.Column("point_id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("circuit", sa.Text(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("bus_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Integer(), nullable=False),
        sa.Column("meter_id", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("purse_id", sa.Text(), nullable=True),
        sa.Column("tariff_id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("pt", sa.Integer(), nullable=False),
        sa.Column("ct", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["gateway_id", "bus_id"],
            ["buses.gateway_id", "buses.bus_id"],
            name="fk_points_gateway_id_bus_id",
        ),
        sa.ForeignKeyConstraint(["purse_id"], ["purses.purse_id"], name="fk_points_purse_id"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.room_id"], name="fk_points_room_id"),
        sa.PrimaryKeyConstraint("point_id", name="pk_points"),
        sa.UniqueConstraint(
            "gateway_id", "bus_id", "address", name="uq_points_gateway_id_bus_id_address"
        ),
        sa.UniqueConstraint("meter_id", name="uq_points_meter_id"),
        sa.UniqueConstraint("room_id", "circuit", name="uq_points_room_id_circuit"),
    )
    op.create_index("ix_points_purse_id", "points", ["purse_id"])
    op.create_index("ix_points_room_id", "points", ["room_id"])


def _money() -> None:
    op.create_table(
        "money_events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("purse_id", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("receipt_no", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reverses", sa.Text(), nullable=True),
        sa.Column("reservation_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("intent_version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.entry_id"], name="fk_money_events_entry_id"
        ),
        sa.ForeignKeyConstraint(["purse_id"], ["purses.purse_id"], name="fk_money_events_purse_id"),
        sa.ForeignKeyConstraint(
            ["reverses"], ["money_events.event_id"], name="fk_money_events_reverses"
        ),
        sa.PrimaryKeyConstraint("event_id", name="pk_money_events"),
        sa.UniqueConstraint("entry_id", name="uq_money_events_entry_id"),
        sa.UniqueConstraint("purse_id", "count", name="uq_money_events_purse_id_count"),
        sa.UniqueConstraint("receipt_no", name="uq_money_events_receipt_no"),
        sa.UniqueConstraint("reservation_id", name="uq_money_events_reservation_id"),
        sa.UniqueConstraint("reverses", name="uq_money_events_reverses"),
    )
    op.create_index("ix_money_events_at_ms", "money_events", ["at_ms"])
    op.create_table(
        "reservations",
        sa.Column("reservation_id", sa.Text(), nullable=False),
        sa.Column("purse_id", sa.Text(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("operator_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("issuing_point", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'posted', 'void')", name=op.f("ck_reservations_state_known")
        ),
        sa.CheckConstraint("fen > 0", name=op.f("ck_reservations_of_something")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["money_events.event_id"], name="fk_reservations_event_id"
        ),
        sa.ForeignKeyConstraint(["purse_id"], ["purses.purse_id"], name="fk_reservations_purse_id"),
        sa.PrimaryKeyConstraint("reservation_id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_purse_id", "reservations", ["purse_id"])
    op.create_table(
        "receipts",
        sa.Column("receipt_no", sa.Text(), nullable=False),
        sa.Column("issuing_point", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["money_events.event_id"], name="fk_receipts_event_id"
        ),
        sa.PrimaryKeyConstraint("receipt_no", name="pk_receipts"),
        sa.UniqueConstraint("event_id", name="uq_receipts_event_id"),
        sa.UniqueConstraint("issuing_point", "n", name="uq_receipts_issuing_point_n"),
    )
    op.create_table(
        "receipt_counters",
        sa.Column("issuing_point", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("issuing_point", name="pk_receipt_counters"),
    )
