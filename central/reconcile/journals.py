"""What the gateways said: every journal's facts in order and chained, every charge row as said.

Walks each journal once in its order, in pieces, beside the rows that were booked from it. What is
found on the way (the charges of every purse, the booked energy of every meter) is compared at the
cut afterwards.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from central.gateways.tables import journals
from central.metering import tables
from central.metering.tables import WHOLE_FACT
from central.reconcile.report import Cut, Found, Kind
from domain.wire.facts import chain
from domain.wire.fields import CHAIN_START

_AT_ONCE = 2_000
_COPIED = (
    "purse_id", "point_id", "meter_id", "incarnation", "from_wh", "to_wh", "from_ms", "to_ms",
    "tariff_version", "ticks", "charged_ticks",
)  # fmt: skip
_PART = ("rate", "tier", "wh", "price_e4", "estimated")

RowId = tuple[str, int, int]  # journal, seq, row
Meter = tuple[str, int]  # meter, incarnation


@dataclass(slots=True)
class Path:
    """Steps that should follow one another, in whatever order they are met.

    Each step leaves one figure and reaches another; where all of them join, only the first left
    and the last reached remain.
    """

    ends: Counter[int] = field(default_factory=Counter)

    def step(self, before: int, after: int) -> None:
        """Go from `before` to `after`."""
        for figure, by in ((before, 1), (after, -1)):
            self.ends[figure] += by
            if not self.ends[figure]:
                del self.ends[figure]

    @property
    def starts(self) -> list[int]:
        """Figures that were left and never reached."""
        return sorted(figure for figure, by in self.ends.items() if by > 0)

    @property
    def stops(self) -> list[int]:
        """Figures that were reached and never left."""
        return sorted(figure for figure, by in self.ends.items() if by < 0)


@dataclass(slots=True)
class Walked:
    """What was met on the way through all journals."""

    facts: int = 0
    charge_rows: int = 0
    charges: defaultdict[str, Path] = field(default_factory=lambda: defaultdict(Path))
    ticks: Counter[str] = field(default_factory=Counter)  # purse → sum of its booked rows
    energy: defaultdict[Meter, Path] = field(default_factory=lambda: defaultdict(Path))
    opened: set[Meter] = field(default_factory=set)
    said: dict[RowId, int] = field(default_factory=dict)  # charged_ticks in the gateway's words


def cuts(connection: Connection) -> tuple[Cut, ...]:
    """How far every gateway's open journal is in the books."""
    rows = connection.execute(
        select(journals).where(journals.c.state == "open").order_by(journals.c.gateway_id)
    )
    return tuple(
        Cut(row.gateway_id, row.journal_id, row.held_seq, row.head_seq, row.last_seen_ms)
        for row in rows
    )


def walk(connection: Connection, found: Found, wanted: frozenset[RowId]) -> Walked:
    """Check all journals. `wanted`: the rows whose words are needed at the cut."""
    walked = Walked()
    known = connection.execute(select(journals).order_by(journals.c.opened_at_ms)).all()
    for journal in known:
        _Walk(connection, found, walked, wanted, journal).go()
    _openings(connection, walked)
    _corrections(connection, walked)
    for table, seen, kind in (
        (tables.facts, walked.facts, Kind.fact_stray),
        (tables.charges, walked.charge_rows, Kind.charge_stray),
    ):
        stands = connection.scalar(select(func.count()).select_from(table)) or 0
        found.compare(kind, "journals unknown to the books", expected=seen, found=stands)
    return walked


class _Walk:
    """Through one journal."""

    def __init__(
        self,
        connection: Connection,
        found: Found,
        walked: Walked,
        wanted: frozenset[RowId],
        journal: Row[Any],
    ) -> None:
        self._connection, self._found, self._walked = connection, found, walked
        self._wanted, self._journal = wanted, journal
        self._id: str = journal.journal_id
        self._seq, self._chain = 0, CHAIN_START

    def go(self) -> None:
        held, place = self._journal.held_seq, f"journal:{self._id}"
        for facts in self._pieces():
            first, last = facts[0].seq, facts[-1].seq
            booked = {(r.seq, r.row): r for r in self._rows(tables.charges, first, last)}
            aside = {(r.seq, r.row) for r in self._rows(tables.quarantine, first, last)}
            for fact in facts:
                self._chained(fact)
                if fact.kind == "charges":
                    self._charges(fact, booked, aside)
            self._booked(booked)
        if self._seq < held:
            self._found.add(
                Kind.fact_missing, f"{place} seq {self._seq + 1}", detail=f"up to {held}"
            )
        elif self._chain != self._journal.chain and self._seq == held:
            self._found.add(
                Kind.fact_changed, place, expected=self._journal.chain, found=self._chain,
                detail=f"the chain at {held}",
            )  # fmt: skip
        self._stray_charges()

    def _pieces(self) -> Iterator[Sequence[Any]]:
        facts, seq = tables.facts, 0
        while rows := self._connection.execute(
            select(facts.c.seq, facts.c.kind, facts.c.text)
            .where(facts.c.journal_id == self._id, facts.c.seq > seq)
            .order_by(facts.c.seq)
            .limit(_AT_ONCE)
        ).all():
            yield rows
            seq = rows[-1].seq

    def _rows(self, table: Table, first: int, last: int) -> Sequence[Row[Any]]:
        return self._connection.execute(
            select(table)
            .where(table.c.journal_id == self._id, table.c.seq.between(first, last))
            .order_by(table.c.seq, table.c.row)
        ).all()

    def _chained(self, fact: Any) -> None:
        place = f"journal:{self._id} seq {fact.seq}"
        self._walked.facts += 1
        if fact.seq != self._seq + 1:
            self._found.add(
                Kind.fact_missing, f"journal:{self._id} seq {self._seq + 1}",
                detail=f"up to {fact.seq - 1}",
            )  # fmt: skip
        if fact.seq > self._journal.held_seq:
            self._found.add(Kind.fact_stray, place, expected=self._journal.held_seq)
        self._seq, self._chain = fact.seq, chain(self._chain, fact.text)

    def _charges(
        self,
        fact: Any,
        booked: dict[tuple[int, int], Row[Any]],
        aside: set[tuple[int, int]],
    ) -> None:
        """Every row that was said is booked as it was said, or was set aside."""
        for n, said in enumerate(_said_rows(fact.text)):
            row_id = (self._id, fact.seq, n)
            if row_id in self._wanted:
                self._walked.said[row_id] = said["charged_ticks"]
            place = f"journal:{self._id} seq {fact.seq} row {n}"
            row = booked.pop((fact.seq, n), None)
            if row is not None:
                self._meet(row)
                self._as_said(row, said, place)
            elif not aside & {(fact.seq, n), (fact.seq, WHOLE_FACT)}:
                self._found.add(Kind.charge_not_booked, place, expected=said["ticks"])

    def _as_said(self, row: Row[Any], said: Mapping[str, Any], place: str) -> None:
        for name in _COPIED:
            self._found.compare(
                Kind.charge_changed, f"{place} {name}", expected=said[name],
                found=getattr(row, name),
            )  # fmt: skip
        parts = [[int(part[name]) for name in _PART] for part in said["parts"]]
        if json.loads(row.parts) != parts:
            self._found.add(Kind.charge_changed, f"{place} parts")

    def _booked(self, left: dict[tuple[int, int], Row[Any]]) -> None:
        """Rows that stand among these facts and that none of them said."""
        for row in left.values():
            self._meet(row)
            self._found.add(
                Kind.charge_stray, f"journal:{self._id} seq {row.seq} row {row.row}",
                found=row.ticks,
            )  # fmt: skip

    def _stray_charges(self) -> None:
        """Rows that stand beyond the last fact, or between facts that are gone."""
        beyond = self._rows(tables.charges, self._seq + 1, 2**62)
        self._booked({(row.seq, row.row): row for row in beyond})

    def _meet(self, row: Row[Any]) -> None:
        walked = self._walked
        walked.charge_rows += 1
        walked.ticks[row.purse_id] += row.ticks
        walked.charges[row.purse_id].step(row.charged_ticks - row.ticks, row.charged_ticks)
        walked.energy[row.meter_id, row.incarnation].step(row.from_wh, row.to_wh)


def _said_rows(text: str) -> list[dict[str, Any]]:
    """The rows of a charges fact; none where its text was spoilt, which the chain tells."""
    try:
        said = json.loads(text)
        columns = {name: said[name] for name in (*_COPIED, "parts")}
        return [
            {name: column[n] for name, column in columns.items()} for n in range(len(said["parts"]))
        ]
    except (ValueError, LookupError, TypeError):
        return []


def _openings(connection: Connection, walked: Walked) -> None:
    for row in connection.execute(select(tables.openings)):
        meter = (row.meter_id, row.incarnation)
        walked.opened.add(meter)
        if row.from_wh is not None:
            walked.energy[meter].step(row.from_wh, row.to_wh)
        else:
            walked.energy[meter].step(BEFORE, row.to_wh)


def _corrections(connection: Connection, walked: Walked) -> None:
    for row in connection.execute(select(tables.corrections)):
        walked.ticks[row.purse_id] += row.ticks
        walked.charges[row.purse_id].step(row.charged_ticks - row.ticks, row.charged_ticks)
        walked.said[row.journal_id, row.seq, WHOLE_FACT] = row.charged_ticks


BEFORE = -1  # where a meter stands before it is first seen
