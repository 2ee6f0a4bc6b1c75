"""Facts into the books: each once, in the order of its journal, and whatever comes of it.

A batch that was heard before changes nothing, one beyond a gap waits for the gap (the watermark
says from where), one that does not continue the chain is refused whole. A fact that cannot be read
is set aside and the rest goes on. Several batches that queue share one transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection

from central import outbox
from central.alarms import service as alarms
from central.database import lock_rows
from central.gateways import journals
from central.gateways.journals import Journal, Newcomer, Opening
from central.gateways.tables import gateways
from central.metering import quarantine, standstill, tables
from central.metering.context import Context
from central.metering.draft import Draft
from central.metering.effects import apply
from central.metering.prices import Prices
from central.metering.readable import Unreadable, load, read
from domain.wire.facts import Fact, JournalOpened, RawBatch, RawFact
from domain.wire.fields import CHAIN_START
from domain.wire.messages import Watermark


class Outcome(StrEnum):
    """What became of a batch."""

    taken = "taken"
    repeat = "repeat"  # held already
    gap = "gap"  # begins beyond what is held
    other_chain = "other_chain"  # not the journal that we hold: the card went back in time
    twin = "twin"  # another device speaks for this gateway
    not_opened = "not_opened"  # a new journal that does not begin with its opening
    foreign_journal = "foreign_journal"  # another gateway's


@dataclass(frozen=True, slots=True)
class Arrived:
    """A batch as it came: from whom, under which key epoch, and when."""

    gateway_id: str
    key_epoch: int
    batch: RawBatch
    received_ms: int


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch, and how far its journal is in the books now.

    `opened`: this batch began a journal that was taken. `repeats` counts facts that were held.
    """

    gateway_id: str
    journal_id: str
    outcome: Outcome
    accepted: int
    repeats: int
    set_aside: int
    opened: bool
    books_epoch: int
    held_seq: int
    safe_seq: int
    chain: str

    @property
    def says_watermark(self) -> bool:
        """Whether the gateway should be told: nothing is promised to a journal not taken."""
        return self.outcome not in (Outcome.twin, Outcome.foreign_journal, Outcome.not_opened)

    def watermark(self, centre_at_ms: int) -> Watermark:
        """What to tell the gateway after the commit."""
        return Watermark(
            journal_id=self.journal_id,
            books_epoch=self.books_epoch,
            held_seq=self.held_seq,
            safe_seq=self.safe_seq,
            chain=self.chain,
            centre_at_ms=centre_at_ms,
        )


def ingest(
    connection: Connection,
    arrived: Arrived,
    *,
    new_id: Callable[[], str],
    prices: Prices,
    heard_ms: Mapping[str, int] | None = None,
) -> Ingested:
    """Take one batch; see `ingest_all`."""
    return ingest_all(connection, [arrived], new_id=new_id, prices=prices, heard_ms=heard_ms)[0]


def ingest_all(
    connection: Connection,
    group: Sequence[Arrived],
    *,
    new_id: Callable[[], str],
    prices: Prices,
    heard_ms: Mapping[str, int] | None = None,
) -> list[Ingested]:
    """Take batches in their order, in the transaction of `connection`; one answer for each.

    `heard_ms` says when a journal was last heard as far as the caller knows (pulses). Raises only
    where the database does, or where we are wrong; then none of the group is taken.
    """
    lock_rows(connection, gateways.c.gateway_id, {arrived.gateway_id for arrived in group})
    draft = Draft(connection)
    facts = [[read(raw, arrived.batch.v) for raw in arrived.batch.facts] for arrived in group]
    now_ms = max((arrived.received_ms for arrived in group), default=0)
    load(draft, prices, (fact for batch in facts for fact in batch), now_ms=now_ms)
    session = _Session(
        draft,
        new_id,
        outbox.books_epoch(connection),
        journals.found(connection, {arrived.batch.journal_id for arrived in group}),
        dict(heard_ms or {}),
    )
    taken = [session.take(arrived, batch) for arrived, batch in zip(group, facts, strict=True)]
    draft.write()
    journals.advance(connection, session.moved())
    standstill.show(connection, session.heard)
    return taken


class _Session:
    """The batches of one transaction, one after the other."""

    def __init__(
        self,
        draft: Draft,
        new_id: Callable[[], str],
        books_epoch: int,
        known: dict[str, Journal],
        heard_ms: dict[str, int],
    ) -> None:
        self._draft, self._new_id, self._books_epoch = draft, new_id, books_epoch
        self._journals, self._heard_ms = known, heard_ms
        self._moved: set[str] = set()
        self.heard: list[Context] = []

    def moved(self) -> list[tuple[Journal, int]]:
        """The journals that go further now, and when each was heard."""
        return [(self._journals[key], self._heard_ms[key]) for key in sorted(self._moved)]

    def take(self, arrived: Arrived, facts: Sequence[Fact | Unreadable]) -> Ingested:
        batch, journal = arrived.batch, self._journals.get(arrived.batch.journal_id)
        if journal is not None and journal.gateway_id != arrived.gateway_id:
            return self._answer(arrived, None, Outcome.foreign_journal)
        if journal is not None and journal.state != "twin":
            return self._go_on(arrived, journal, facts)
        if batch.first_seq != 1:
            return self._answer(arrived, None, Outcome.twin if journal else Outcome.gap)
        if batch.chain_before != CHAIN_START:
            return self._answer(arrived, None, Outcome.other_chain)
        opening = facts[0]
        if not isinstance(opening, JournalOpened):
            return self._answer(arrived, None, Outcome.not_opened)
        begun = self._begin(arrived, opening)
        if begun is None:
            return self._answer(arrived, None, Outcome.twin, set_aside=1)
        return replace(self._go_on(arrived, begun, facts), opened=True)

    def _begin(self, arrived: Arrived, opening: JournalOpened) -> Journal | None:
        """Take the new journal, or keep its opening aside: it is heard when the other is silent."""
        connection, batch = self._draft.connection, arrived.batch
        before = journals.open_journal(connection, arrived.gateway_id)
        heard_ms = 0 if before is None else self._heard_ms.get(before.journal_id, 0)
        newcomer = Newcomer(
            journal_id=batch.journal_id,
            gateway_id=arrived.gateway_id,
            reason=opening.reason,
            previous=opening.previous_journal_id,
            key_epoch=arrived.key_epoch,
        )
        now_ms = arrived.received_ms
        became = journals.begin(connection, newcomer, now_ms=now_ms, heard_ms=heard_ms)
        self._journals |= journals.found(connection, [batch.journal_id])
        if became is Opening.twin:
            self._context(arrived, is_open=False).keep_aside(
                self._draft, seq=1, kind=opening.kind, reason="twin", text=batch.facts[0].text
            )
            _warn(
                connection,
                arrived,
                "twin",
                "另一台设备以本管理机的身份通信 / another device speaks",
            )
            return None
        if before is not None and (known := self._journals.get(before.journal_id)) is not None:
            self._journals[before.journal_id] = replace(known, state="closed")
        _welcome(connection, arrived, opening, before)
        return self._journals[batch.journal_id]

    def _go_on(
        self, arrived: Arrived, journal: Journal, facts: Sequence[Fact | Unreadable]
    ) -> Ingested:
        batch = arrived.batch
        if batch.last_seq <= journal.held_seq:
            return self._answer(arrived, journal, Outcome.repeat, repeats=len(facts))
        known = journal.held_seq + 1 - batch.first_seq
        if known < 0:
            return self._answer(arrived, journal, Outcome.gap)
        chain_before = batch.facts[known - 1].chain if known else batch.chain_before
        if chain_before != journal.chain:
            if journal.is_open:
                words = f"第 {journal.held_seq} 号事实之后的链不同 / the chain differs after it"
                _warn(self._draft.connection, arrived, "other_chain", words)
            return self._answer(arrived, journal, Outcome.other_chain)
        context = self._context(arrived, is_open=journal.is_open)
        self.heard.append(context)
        for raw, fact in zip(batch.facts[known:], facts[known:], strict=True):
            self._take_fact(context, batch.v, raw, fact)
        journal = replace(journal, held_seq=batch.last_seq, chain=batch.chain_after)
        self._journals[journal.journal_id] = journal
        self._moved.add(journal.journal_id)
        self._heard_ms[journal.journal_id] = arrived.received_ms
        return self._answer(
            arrived,
            journal,
            Outcome.taken,
            accepted=len(facts) - known,
            repeats=known,
            set_aside=context.set_aside_rows,
        )

    def _take_fact(self, context: Context, v: int, raw: RawFact, fact: Fact | Unreadable) -> None:
        at_ms, trust = (0, 0) if isinstance(fact, Unreadable) else (fact.at_ms, fact.trust)
        self._draft.add(
            tables.facts, context.journal_id, raw.seq, raw.kind[:80], at_ms, trust, v, raw.text
        )
        if isinstance(fact, Unreadable):
            context.keep_aside(
                self._draft, seq=raw.seq, kind=raw.kind, reason=fact.reason, text=raw.text,
                detail=fact.detail,
            )  # fmt: skip
        else:
            apply(self._draft, context, fact)

    def _context(self, arrived: Arrived, *, is_open: bool) -> Context:
        journal_id = arrived.batch.journal_id
        return Context(arrived.gateway_id, journal_id, is_open, arrived.received_ms, self._new_id)

    def _answer(
        self,
        arrived: Arrived,
        journal: Journal | None,
        outcome: Outcome,
        *,
        accepted: int = 0,
        repeats: int = 0,
        set_aside: int = 0,
    ) -> Ingested:
        return Ingested(
            gateway_id=arrived.gateway_id,
            journal_id=arrived.batch.journal_id,
            outcome=outcome,
            accepted=accepted,
            repeats=repeats,
            set_aside=set_aside,
            opened=False,
            books_epoch=self._books_epoch,
            held_seq=0 if journal is None else journal.held_seq,
            safe_seq=0 if journal is None else journal.safe_seq,
            chain=CHAIN_START if journal is None else journal.chain,
        )


def _warn(connection: Connection, arrived: Arrived, code: str, detail: str) -> None:
    journal_id = arrived.batch.journal_id
    alarm = alarms.Alarm(
        alarm_id=alarms.own_id(f"{code}-{journal_id}"),
        gateway_id=arrived.gateway_id,
        code=code,
        subject_id=journal_id,
        severity="critical",
        detail=f"{journal_id}: {detail}",
        raised_at_ms=arrived.received_ms,
    )
    alarms.raise_alarm(connection, alarm)


def _welcome(
    connection: Connection, arrived: Arrived, opening: JournalOpened, before: Journal | None
) -> None:
    """End what was said against this journal and the one before; say that a card went back."""
    at_ms, gateway_id = arrived.received_ms, arrived.gateway_id
    over = [alarms.own_id(f"twin-{arrived.batch.journal_id}")]
    if before is not None:
        over.append(alarms.own_id(f"other_chain-{before.journal_id}"))
    for alarm_id in over:
        alarms.clear_alarm(connection, alarm_id, gateway_id=gateway_id, at_ms=at_ms)
    quarantine.settle_twin(connection, arrived.batch.journal_id, at_ms=at_ms)
    if opening.reason == "rolled_back":
        words = f"接续 {opening.previous_journal_id} / the card went back in time, or was cloned"
        _warn(connection, arrived, "rolled_back", words)
