"""A gateway whose charges do not go into the books any more is said aloud.

A card that went back in time has forgotten what it charged: its rows begin before the end of what
is booked, and every one is set aside until somebody looks. One row that joins ends the alarm.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from central.alarms import service as alarms
from central.metering.context import Context


def show(connection: Connection, heard: Sequence[Context]) -> None:
    """Raise and clear the alarm of each gateway as the charges that were `heard` of it went."""
    if not any(each.charges for each in heard):
        return
    standing = alarms.own_standing(connection, alarms.CHARGES_NOT_BOOKING)
    for context in heard:
        for seq, is_booked in context.charges:
            alarm_id = standing.get(context.gateway_id)
            if alarm_id is None and not is_booked:
                alarm = _alarm(context, seq)
                alarms.raise_alarm(connection, alarm)
                standing[context.gateway_id] = alarm.alarm_id
            elif alarm_id is not None and is_booked:
                alarms.clear_alarm(
                    connection,
                    standing.pop(context.gateway_id),
                    gateway_id=context.gateway_id,
                    at_ms=context.received_ms,
                )


def _alarm(context: Context, seq: int) -> alarms.Alarm:
    where = f"{context.journal_id}/{seq}"
    return alarms.Alarm(
        gateway_id=context.gateway_id,
        alarm_id=alarms.own_id(f"{alarms.CHARGES_NOT_BOOKING}-{where}"),
        code=alarms.CHARGES_NOT_BOOKING,
        subject_id=context.gateway_id,
        severity="critical",
        detail=f"自 {where} 起没有可入账的行 / no row joins the books since {where}",
        raised_at_ms=context.received_ms,
    )
