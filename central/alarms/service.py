"""What may be done with alarms: raised and cleared by facts or by the office, seen by people."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from central import audit
from central.alarms.tables import alarms
from central.security import Actor
from domain.refusals import Refusal

CHARGES_NOT_BOOKING = "charges_not_booking"
_OWN = "centre:"  # an id that travels has no colon: no gateway can name an alarm of the office


@dataclass(frozen=True, slots=True)
class Alarm:
    """One occurrence of an alarm; `cleared_at_ms` None: it stands."""

    gateway_id: str
    alarm_id: str
    code: str
    subject_id: str
    severity: str
    detail: str
    raised_at_ms: int
    cleared_at_ms: int | None = None
    acked_by: str | None = None
    acked_at_ms: int | None = None


def own_id(name: str) -> str:
    """The id of an alarm that the office itself raises."""
    return _OWN + name


def raise_alarm(connection: Connection, alarm: Alarm) -> None:
    """Keep an alarm; one that its gateway, or the office of it, has named before stays as it is."""
    known = select(alarms.c.alarm_id).where(
        alarms.c.gateway_id == alarm.gateway_id, alarms.c.alarm_id == alarm.alarm_id
    )
    if connection.scalar(known) is None:
        values = {name: getattr(alarm, name) for name in alarms.columns.keys()}  # noqa: SIM118
        connection.execute(insert(alarms).values(values))


def own_standing(connection: Connection, code: str) -> dict[str, str]:
    """The office's own alarms of this code that have not ended: gateway → the id of one."""
    wanted = select(alarms.c.gateway_id, alarms.c.alarm_id).where(
        alarms.c.code == code,
        alarms.c.alarm_id.startswith(_OWN, autoescape=True),
        alarms.c.cleared_at_ms.is_(None),
    )
    return {row.gateway_id: row.alarm_id for row in connection.execute(wanted)}


def clear_alarm(connection: Connection, alarm_id: str, *, gateway_id: str, at_ms: int) -> None:
    """End an alarm of a gateway; one that has ended or is another's is left as it is."""
    connection.execute(
        update(alarms)
        .where(alarms.c.alarm_id == alarm_id, alarms.c.gateway_id == gateway_id)
        .where(alarms.c.cleared_at_ms.is_(None))
        .values(cleared_at_ms=at_ms)
    )


def acknowledge(
    connection: Connection, *, actor: Actor, now_ms: int, gateway_id: str, alarm_id: str
) -> Refusal | None:
    """Say that a person has seen an alarm; the first one to say so stands."""
    named = (alarms.c.gateway_id == gateway_id) & (alarms.c.alarm_id == alarm_id)
    if connection.scalar(select(alarms.c.alarm_id).where(named)) is None:
        return Refusal.not_found
    seen = connection.execute(
        update(alarms)
        .where(named, alarms.c.acked_at_ms.is_(None))
        .values(acked_by=actor.operator_id, acked_at_ms=now_ms)
    )
    if seen.rowcount:
        obj = f"alarm:{gateway_id}/{alarm_id}"
        audit.record(connection, actor, action="acknowledge_alarm", obj=obj, at_ms=now_ms)
    return None


def standing(connection: Connection, *, subject_id: str | None = None) -> list[Alarm]:
    """Alarms that have not ended, newest first; of one subject or of all."""
    wanted = select(alarms).where(alarms.c.cleared_at_ms.is_(None))
    if subject_id is not None:
        wanted = wanted.where(alarms.c.subject_id == subject_id)
    rows = connection.execute(wanted.order_by(alarms.c.raised_at_ms.desc())).mappings()
    return [Alarm(**row) for row in rows]
