"""The gateways as added, renewed and revoked by people. Every change is audited."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, insert, select, update

from central import audit
from central.database import lock_rows
from central.gateways.tables import gateways
from central.security import Actor
from domain.ids import is_id
from domain.refusals import Refusal, first

FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway of the cell. The old epoch is valid beside the new one until its time is over."""

    gateway_id: str
    building_id: str | None
    name: str
    key_epoch: int
    old_key_epoch: int | None
    old_key_until_ms: int | None
    added_at_ms: int
    revoked_at_ms: int | None

    def epochs(self, now_ms: int) -> tuple[int, ...]:
        """The key epochs that are valid now, newest first: at most two, none once revoked."""
        if self.revoked_at_ms is not None:
            return ()
        if self.old_key_epoch is None or now_ms >= (self.old_key_until_ms or 0):
            return (self.key_epoch,)
        return (self.key_epoch, self.old_key_epoch)


def add_gateway(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    gateway_id: str,
    name: str,
    building_id: str | None = None,
) -> Refusal | None:
    """Add a gateway with its first key epoch; its id must be unique over all cells."""
    refusals = []
    if not name.strip():
        refusals.append(Refusal.name_missing)
    if not is_id(gateway_id):
        refusals.append(Refusal.id_malformed)
    if find(connection, gateway_id) is not None:
        refusals.append(Refusal.already_exists)
    refusal = first(refusals)
    if refusal is not None:
        return refusal
    row = {"gateway_id": gateway_id, "building_id": building_id, "name": name.strip()}
    values = row | {"key_epoch": FIRST_EPOCH, "added_at_ms": now_ms}
    connection.execute(insert(gateways).values(values))
    _record(connection, actor, "add_gateway", gateway_id, values, now_ms)
    return None


def renew_keys(
    connection: Connection, *, actor: Actor, now_ms: int, gateway_id: str, overlap_ms: int = 0
) -> int | Refusal:
    """Begin a new key epoch; the one before stays valid for `overlap_ms`. Returns the new epoch.

    A gateway that was revoked speaks again, with the new key only.
    """
    lock_rows(connection, gateways.c.gateway_id, [gateway_id])
    gateway = find(connection, gateway_id)
    if gateway is None:
        return Refusal.not_found
    if overlap_ms < 0 or gateway.key_epoch + 1 >= 2**16:
        return Refusal.setting_out_of_range
    kept = overlap_ms > 0 and gateway.revoked_at_ms is None
    values = {
        "key_epoch": gateway.key_epoch + 1,
        "old_key_epoch": gateway.key_epoch if kept else None,
        "old_key_until_ms": now_ms + overlap_ms if kept else None,
        "revoked_at_ms": None,
    }
    _change(connection, gateway_id, values)
    _record(connection, actor, "renew_gateway_keys", gateway_id, values, now_ms)
    return gateway.key_epoch + 1


def revoke(connection: Connection, *, actor: Actor, now_ms: int, gateway_id: str) -> Refusal | None:
    """Stop hearing a gateway; its journals stay. Twice is once."""
    lock_rows(connection, gateways.c.gateway_id, [gateway_id])
    gateway = find(connection, gateway_id)
    if gateway is None:
        return Refusal.not_found
    if gateway.revoked_at_ms is None:
        values = {"revoked_at_ms": now_ms, "old_key_epoch": None, "old_key_until_ms": None}
        _change(connection, gateway_id, values)
        _record(connection, actor, "revoke_gateway", gateway_id, values, now_ms)
    return None


def find(connection: Connection, gateway_id: str) -> Gateway | None:
    """A gateway by its id, or None."""
    row = (
        connection.execute(select(gateways).where(gateways.c.gateway_id == gateway_id))
        .mappings()
        .one_or_none()
    )
    return None if row is None else _gateway(row)


def all_gateways(connection: Connection) -> list[Gateway]:
    """Every gateway, also the revoked ones, by id."""
    rows = connection.execute(select(gateways).order_by(gateways.c.gateway_id)).mappings()
    return [_gateway(row) for row in rows]


def _gateway(row: RowMapping) -> Gateway:
    return Gateway(**row)


def _change(connection: Connection, gateway_id: str, values: dict[str, int | None]) -> None:
    connection.execute(update(gateways).where(gateways.c.gateway_id == gateway_id).values(values))


def _record(
    connection: Connection,
    actor: Actor,
    action: str,
    gateway_id: str,
    after: Mapping[str, object],
    now_ms: int,
) -> None:
    obj = f"gateway:{gateway_id}"
    audit.record(connection, actor, action=action, obj=obj, after=after, at_ms=now_ms)
