"""What is kept of places and prices. Price tables, policies and calendars only gain versions."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from central.append_only import declare
from central.database import metadata

sites = Table(
    "sites",
    metadata,
    Column("site_id", Text, primary_key=True),
    Column("name", Text, nullable=False),  # stands on top of every receipt
    Column("zone_name", Text, nullable=False),  # IANA name, such as Asia/Shanghai
)

buildings = Table(
    "buildings",
    metadata,
    Column("building_id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("sites.site_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("sort", Integer, nullable=False),
    UniqueConstraint("site_id", "name"),
)

rooms = Table(
    "rooms",
    metadata,
    Column("room_id", Text, primary_key=True),
    Column("building_id", Text, ForeignKey("buildings.building_id"), nullable=False),
    Column("floor", Integer, nullable=False),
    Column("name", Text, nullable=False),  # 户号 as people say it, unique in its building
    UniqueConstraint("building_id", "name"),
)

buses = Table(
    "buses",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("bus_id", Text, primary_key=True),
    Column("port", Text, nullable=False),
    Column("baud", Integer, nullable=False),
    Column("parity", Text, nullable=False),
)

points = Table(
    "points",
    metadata,
    Column("point_id", Text, primary_key=True),
    Column("room_id", Text, ForeignKey("rooms.room_id"), nullable=False, index=True),
    Column("circuit", Text, nullable=False),
    Column("gateway_id", Text, nullable=False),
    Column("bus_id", Text, nullable=False),
    Column("address", Integer, nullable=False),
    Column("meter_id", Text, nullable=False, unique=True),
    Column("incarnation", Integer, nullable=False),
    Column("profile", Text, nullable=False),
    Column("purse_id", Text, ForeignKey("purses.purse_id"), nullable=True, index=True),
    Column("tariff_id", Text, nullable=False),
    Column("policy_id", Text, nullable=False),
    Column("pt", Integer, nullable=False),
    Column("ct", Integer, nullable=False),
    ForeignKeyConstraint(["gateway_id", "bus_id"], ["buses.gateway_id", "buses.bus_id"]),
    UniqueConstraint("gateway_id", "bus_id", "address"),
    UniqueConstraint("room_id", "circuit"),
)

tariffs = declare(
    Table(
        "tariffs",
        metadata,
        Column("tariff_id", Text, primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("effective_from_ms", BigInteger, nullable=False),
        Column("body", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("operator_id", Text, nullable=False),
    )
)

policies = declare(
    Table(
        "policies",
        metadata,
        Column("policy_id", Text, primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("body", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("operator_id", Text, nullable=False),
    )
)

calendars = declare(
    Table(
        "calendars",
        metadata,
        Column("site_id", Text, ForeignKey("sites.site_id"), primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("body", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("operator_id", Text, nullable=False),
    )
)
