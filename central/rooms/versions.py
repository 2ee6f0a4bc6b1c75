"""Price tables, policies and calendars as set: every version, the newest, and what prices a point.

Versions are only added. Which price table is in force follows from their starts; of policies and
calendars the newest counts.
"""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection, Table, func, insert, select

from central import audit
from central.rooms import tables, zones
from central.security import Actor
from domain import tariff
from domain.wire.intents import CalendarBody, PolicyBody, TariffBody

B = TypeVar("B", bound=BaseModel)


def tariff_bodies(connection: Connection, tariff_id: str) -> list[TariffBody]:
    """All versions of a price table, oldest first; the n-th is version n."""
    return _all(connection, tables.tariffs, tariff_id, TariffBody)


def policy_body(connection: Connection, policy_id: str) -> PolicyBody | None:
    """The policy in force, or None where none was set."""
    return _newest(connection, tables.policies, policy_id, PolicyBody)


def policies_in_force(connection: Connection) -> Mapping[str, PolicyBody]:
    """Every policy by its id, as in force."""
    policies = tables.policies
    newest = (
        select(policies.c.policy_id, func.max(policies.c.version).label("version"))
        .group_by(policies.c.policy_id)
        .subquery()
    )
    rows = connection.execute(
        select(policies.c.policy_id, policies.c.body).join(
            newest,
            (policies.c.policy_id == newest.c.policy_id) & (policies.c.version == newest.c.version),
        )
    )
    return {row.policy_id: PolicyBody.model_validate_json(row.body) for row in rows}


def calendar_body(connection: Connection, site_id: str) -> CalendarBody | None:
    """The site's calendar in force, or None where weekdays alone count."""
    return _newest(connection, tables.calendars, site_id, CalendarBody)


def pricing(connection: Connection, *, tariff_id: str, site_id: str, now_ms: int) -> tariff.Pricing:
    """All that prices energy under a tariff at a site. Raises LookupError where none was set."""
    bodies = tariff_bodies(connection, tariff_id)
    if not bodies:
        raise LookupError(f"tariff {tariff_id} has no version")
    calendar = calendar_body(connection, site_id)
    return tariff.Pricing(
        versions=tuple(body.to_tariff(tariff_id, n) for n, body in enumerate(bodies, start=1)),
        calendar=calendar.to_calendar() if calendar else tariff.Calendar(),
        zone=zones.zone(zone_name(connection, site_id), now_ms),
    )


def zone_name(connection: Connection, site_id: str) -> str:
    """The IANA zone of a site. Raises LookupError where there is no such site."""
    sites = tables.sites
    name = connection.scalar(select(sites.c.zone_name).where(sites.c.site_id == site_id))
    if name is None:
        raise LookupError(f"no site {site_id}")
    return str(name)


def add_version(
    connection: Connection,
    table: Table,
    *,
    key: str,
    body: BaseModel,
    actor: Actor,
    now_ms: int,
    **more: int,
) -> int:
    """Append the next version of `key` to one of the three tables; audited; returns its number."""
    column = table.primary_key.columns[0]
    newest = connection.scalar(select(func.max(table.c.version)).where(column == key)) or 0
    row = {
        column.name: key,
        "version": newest + 1,
        "body": body.model_dump_json(),
        "at_ms": now_ms,
        "operator_id": actor.operator_id,
    }
    connection.execute(insert(table).values(row | more))
    audit.record(
        connection,
        actor,
        action="set_version",
        obj=f"{table.name}:{key}",
        after={"version": newest + 1, "body": body.model_dump(mode="json")},
        at_ms=now_ms,
    )
    return int(newest) + 1


def _all(connection: Connection, table: Table, key: str, model: type[B]) -> list[B]:
    column = table.primary_key.columns[0]
    rows = connection.execute(
        select(table.c.body).where(column == key).order_by(table.c.version)
    ).scalars()
    return [model.model_validate_json(body) for body in rows]


def _newest(connection: Connection, table: Table, key: str, model: type[B]) -> B | None:
    column = table.primary_key.columns[0]
    body = connection.execute(
        select(table.c.body).where(column == key).order_by(table.c.version.desc()).limit(1)
    ).scalar_one_or_none()
    return None if body is None else model.model_validate_json(body)
