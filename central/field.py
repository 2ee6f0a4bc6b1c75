"""What the link reads from the books and writes into them: gateways, places, watermarks, counts.

Plain functions on a connection; the link decides when they run.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from central import outbox
from central.gateways import journals
from central.gateways import service as gateways
from central.gateways.service import Gateway
from central.gateways.tables import journals as journal_rows
from central.inbox import Heard
from central.outbox import Stored
from central.rooms.tables import points
from domain.wire.intents import Intent
from domain.wire.messages import Watermark


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a journal is in the books, to be said to its gateway."""

    gateway_id: str
    journal_id: str
    books_epoch: int
    held_seq: int
    safe_seq: int
    chain: str

    def watermark(self, now_ms: int) -> Watermark:
        """The message; `now_ms` is the centre's time when it is sent."""
        return Watermark(
            journal_id=self.journal_id,
            books_epoch=self.books_epoch,
            held_seq=self.held_seq,
            safe_seq=self.safe_seq,
            chain=self.chain,
            centre_at_ms=now_ms,
        )


@dataclass(frozen=True, slots=True)
class Field:
    """Gateways as added by people, and the journals that nobody goes on with."""

    gateways: tuple[Gateway, ...]
    past: frozenset[str]


def look(connection: Connection) -> Field:
    """The gateways, and which journals are closed or a twin's."""
    past = select(journal_rows.c.journal_id).where(journal_rows.c.state != "open")
    return Field(
        tuple(gateways.all_gateways(connection)), frozenset(connection.execute(past).scalars())
    )


def places(connection: Connection) -> Mapping[str, str]:
    """Which gateway each point hangs on."""
    rows = connection.execute(select(points.c.point_id, points.c.gateway_id))
    return dict(rows.all())


def held(connection: Connection) -> Mapping[str, int]:
    """How far each journal is in the books."""
    rows = connection.execute(select(journal_rows.c.journal_id, journal_rows.c.held_seq))
    return dict(rows.all())


def marks(connection: Connection, gateway_ids: Collection[str] | None = None) -> list[Mark]:
    """The watermark of every journal of valid gateways, or of these."""
    epoch = outbox.books_epoch(connection)
    return [
        _mark(journal, epoch)
        for journal in journals.of_valid_gateways(connection)
        if gateway_ids is None or journal.gateway_id in gateway_ids
    ]


def marks_of(connection: Connection, journal_ids: Iterable[str]) -> list[Mark]:
    """The watermarks of these journals, as far as they were taken."""
    epoch = outbox.books_epoch(connection)
    found = [journals.find(connection, journal_id) for journal_id in sorted(set(journal_ids))]
    return [_mark(each, epoch) for each in found if each is not None and each.state != "twin"]


def all_intents(
    connection: Connection, gateway_ids: Collection[str]
) -> Mapping[str, Sequence[Stored]]:
    """Everything that each of these gateways should hold."""
    return {
        gateway_id: outbox.everything(connection, gateway_id)
        for gateway_id in sorted(set(gateway_ids))
    }


def encoded(row: Stored) -> bytes:
    """An intent of the outbox as it travels."""
    intent = Intent.model_validate(
        {
            "kind": row.kind,
            "key": row.key,
            "version": row.version,
            "issued_at_ms": row.issued_at_ms,
            "expires_at_ms": row.expires_at_ms,
            "body": json.loads(row.body),
        }
    )
    return intent.encode()


def write_down(
    connection: Connection,
    *,
    refused: Mapping[tuple[str, str], int],
    heard: Collection[Heard],
    now_ms: int,
) -> None:
    """Keep what had no effect and what pulses said."""
    gateways.count_refused(connection, refused, now_ms=now_ms)
    pulses = {
        each.pulse.journal_id: (each.gateway_id, each.pulse.head_seq, each.received_ms)
        for each in heard
    }
    journals.note_pulses(connection, pulses)


def _mark(journal: journals.Journal, epoch: int) -> Mark:
    return Mark(
        gateway_id=journal.gateway_id,
        journal_id=journal.journal_id,
        books_epoch=epoch,
        held_seq=journal.held_seq,
        safe_seq=journal.safe_seq,
        chain=journal.chain,
    )
