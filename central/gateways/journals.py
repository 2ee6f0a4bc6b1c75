"""Journals: which series of facts a gateway may go on with, and how far each is in the books.

A new journal is taken where the gateway has none, where it comes with a new key epoch, where the
one before has been silent for a minute, or where a card went back in time (`rolled_back`). Anything
else is a twin: two devices say that they are the same gateway, and the newcomer is set aside.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from central.gateways.tables import gateways, journals
from domain.wire.fields import CHAIN_START

SILENT_MS = 60_000


class Opening(StrEnum):
    """What became of a new journal."""

    taken = "taken"
    twin = "twin"


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal as the books hold it."""

    journal_id: str
    gateway_id: str
    state: str
    reason: str
    key_epoch: int
    held_seq: int
    backed_up_seq: int | None  # None: this site has no backup
    chain: str
    head_seq: int
    last_seen_ms: int

    @property
    def is_open(self) -> bool:
        return self.state == "open"

    @property
    def safe_seq(self) -> int:
        """Up to where the gateway may forget: what a verified backup has, never more than held."""
        if self.backed_up_seq is None:
            return self.held_seq
        return min(self.backed_up_seq, self.held_seq)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A journal that begins, as its first fact says; `key_epoch` is the envelope's."""

    journal_id: str
    gateway_id: str
    reason: str
    previous: str | None
    key_epoch: int


def find(connection: Connection, journal_id: str) -> Journal | None:
    """A journal by its id, or None."""
    row = (
        connection.execute(select(journals).where(journals.c.journal_id == journal_id))
        .mappings()
        .one_or_none()
    )
    return None if row is None else _journal(row)


def found(connection: Connection, journal_ids: Collection[str]) -> dict[str, Journal]:
    """Those of these journals that are known, by id."""
    wanted = select(journals).where(journals.c.journal_id.in_(sorted(set(journal_ids))))
    rows = connection.execute(wanted).mappings()
    return {row["journal_id"]: _journal(row) for row in rows}


def open_journal(connection: Connection, gateway_id: str) -> Journal | None:
    """The journal in which the gateway is heard, or None."""
    row = (
        connection.execute(
            select(journals).where(journals.c.gateway_id == gateway_id, journals.c.state == "open")
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else _journal(row)


def of_valid_gateways(connection: Connection) -> list[Journal]:
    """Every journal that a watermark is said for: taken once, its gateway not revoked."""
    rows = connection.execute(
        select(journals)
        .join(gateways, gateways.c.gateway_id == journals.c.gateway_id)
        .where(gateways.c.revoked_at_ms.is_(None), journals.c.state != "twin")
        .order_by(journals.c.journal_id)
    ).mappings()
    return [_journal(row) for row in rows]


def begin(connection: Connection, newcomer: Newcomer, *, now_ms: int, heard_ms: int = 0) -> Opening:
    """Take a new journal and close the one before, or set it aside as a twin.

    `heard_ms` is when the one before was last heard as far as this process knows, for pulses that
    are not in the books yet; where nothing could be heard, since when it can be. The caller
    holds the gateway's row.
    """
    before = open_journal(connection, newcomer.gateway_id)
    if before is not None and not _may_follow(before, newcomer, now_ms, heard_ms):
        _keep(connection, newcomer, "twin", now_ms)
        return Opening.twin
    if before is not None:
        connection.execute(
            update(journals)
            .where(journals.c.journal_id == before.journal_id)
            .values(state="closed", closed_at_ms=now_ms)
        )
    _keep(connection, newcomer, "open", now_ms)
    return Opening.taken


def advance(connection: Connection, moved: Iterable[tuple[Journal, int]]) -> None:
    """Write how far each of these journals is in the books, and when it was heard."""
    values = [
        {
            "id": journal.journal_id,
            "held_seq": journal.held_seq,
            "chain": journal.chain,
            "head_seq": max(journal.head_seq, journal.held_seq),
            "last_seen_ms": max(journal.last_seen_ms, heard_ms),
        }
        for journal, heard_ms in moved
    ]
    if values:
        statement = update(journals).where(journals.c.journal_id == bindparam("id"))
        connection.execute(statement, values)


def note_pulses(connection: Connection, heard: Mapping[str, tuple[str, int, int]]) -> None:
    """Keep what pulses said: journal_id → (gateway_id, head_seq, heard at).

    A journal that is not this gateway's, or not known yet, changes nothing.
    """
    for journal_id, (gateway_id, head_seq, heard_ms) in sorted(heard.items()):
        connection.execute(
            update(journals)
            .where(journals.c.journal_id == journal_id, journals.c.gateway_id == gateway_id)
            .values(head_seq=head_seq, last_seen_ms=heard_ms)
        )


def _may_follow(before: Journal, newcomer: Newcomer, now_ms: int, heard_ms: int) -> bool:
    if newcomer.key_epoch > before.key_epoch:
        return True
    if newcomer.reason == "rolled_back" and newcomer.previous == before.journal_id:
        return True
    return now_ms - max(before.last_seen_ms, heard_ms) >= SILENT_MS


def _keep(connection: Connection, newcomer: Newcomer, state: str, now_ms: int) -> None:
    values = {
        "gateway_id": newcomer.gateway_id,
        "state": state,
        "reason": newcomer.reason,
        "previous": newcomer.previous,
        "key_epoch": newcomer.key_epoch,
        "opened_at_ms": now_ms,
        "held_seq": 0,
        "chain": CHAIN_START,
        "head_seq": 0,
        "last_seen_ms": now_ms,
    }
    changed = connection.execute(
        update(journals).where(journals.c.journal_id == newcomer.journal_id).values(values)
    )
    if changed.rowcount == 0:
        connection.execute(insert(journals).values(values | {"journal_id": newcomer.journal_id}))


def _journal(row: RowMapping) -> Journal:
    return Journal(
        journal_id=row["journal_id"],
        gateway_id=row["gateway_id"],
        state=row["state"],
        reason=row["reason"],
        key_epoch=row["key_epoch"],
        held_seq=row["held_seq"],
        backed_up_seq=row["safe_seq"],
        chain=row["chain"],
        head_seq=row["head_seq"],
        last_seen_ms=row["last_seen_ms"],
    )
