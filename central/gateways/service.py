"""What may be done to gateways, and how they stand: added, renewed, revoked, heard, refused."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from central.alarms import service as alarms
from central.gateways import journals
from central.gateways.broker_rules import acl_text, password_line
from central.gateways.keys import keys_text, secrets, write_keys
from central.gateways.registry import (
    Gateway,
    add_gateway,
    all_gateways,
    find,
    renew_keys,
    revoke,
)
from central.gateways.tables import refused_messages

__all__ = [
    "NOBODY",
    "ONLINE_MS",
    "Gateway",
    "Overview",
    "RefusedCount",
    "acl_text",
    "add_gateway",
    "all_gateways",
    "count_refused",
    "find",
    "keys_text",
    "overview",
    "password_line",
    "refused_counts",
    "renew_keys",
    "revoke",
    "secrets",
    "write_keys",
]

ONLINE_MS = 60_000  # without a pulse for longer, a gateway is lost
NOBODY = "-"  # refused messages that name no gateway of ours


@dataclass(frozen=True, slots=True)
class Overview:
    """A gateway and its open journal, as the books know them; `last_seen_ms` None: never heard."""

    gateway: Gateway
    journal_id: str | None
    held_seq: int
    head_seq: int
    last_seen_ms: int | None
    online: bool
    is_booking: bool  # False: the newest charges were all set aside

    @property
    def backlog(self) -> int:
        """Facts that the gateway has and the books do not hold yet."""
        return max(self.head_seq - self.held_seq, 0)


@dataclass(frozen=True, slots=True)
class RefusedCount:
    """How many messages of a gateway were refused for a reason, and when last."""

    gateway_id: str
    reason: str
    count: int
    last_ms: int


def overview(connection: Connection, *, now_ms: int) -> list[Overview]:
    """Every gateway with its open journal, by id."""
    listed = []
    halted = alarms.own_standing(connection, alarms.CHARGES_NOT_BOOKING)
    for gateway in all_gateways(connection):
        journal = journals.open_journal(connection, gateway.gateway_id)
        seen_ms = None if journal is None else journal.last_seen_ms
        is_heard = seen_ms is not None and now_ms - seen_ms <= ONLINE_MS
        listed.append(
            Overview(
                gateway=gateway,
                journal_id=None if journal is None else journal.journal_id,
                held_seq=0 if journal is None else journal.held_seq,
                head_seq=0 if journal is None else journal.head_seq,
                last_seen_ms=seen_ms,
                online=is_heard and gateway.revoked_at_ms is None,
                is_booking=gateway.gateway_id not in halted,
            )
        )
    return listed


def count_refused(
    connection: Connection, counts: Mapping[tuple[str, str], int], *, now_ms: int
) -> None:
    """Add to what was refused: (gateway_id or NOBODY, reason) → how many more."""
    table = refused_messages
    for (gateway_id, reason), more in sorted(counts.items()):
        where = (table.c.gateway_id == gateway_id) & (table.c.reason == reason)
        raised = {"count": table.c.count + more, "last_ms": now_ms}
        if connection.execute(update(table).where(where).values(raised)).rowcount == 0:
            values = {"gateway_id": gateway_id, "reason": reason, "count": more, "last_ms": now_ms}
            connection.execute(insert(table).values(values))


def refused_counts(connection: Connection) -> list[RefusedCount]:
    """What was refused so far, newest first."""
    table = refused_messages
    rows = connection.execute(select(table).order_by(table.c.last_ms.desc())).mappings()
    return [RefusedCount(**row) for row in rows]
