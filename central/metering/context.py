"""Where a fact comes from while it is booked, and how it is set aside."""

from collections.abc import Callable
from dataclasses import dataclass, field

from central.metering import tables
from central.metering.draft import Draft
from domain.instants import Trust
from domain.wire.facts import Fact, Stamped, canonical


@dataclass(slots=True)
class Context:
    """The journal that speaks. `is_open` False: its successor has taken over; it only is kept."""

    gateway_id: str
    journal_id: str
    is_open: bool
    received_ms: int
    new_id: Callable[[], str]
    set_aside_rows: int = 0
    whole_set_aside: str | None = None  # why the fact as a whole was set aside
    charges: list[tuple[int, bool]] = field(default_factory=list)  # if open: seq, did a row book

    def at_ms(self, fact: Stamped) -> int:
        """When a fact happened, for people to read: where the gateway did not know the time, when
        the office heard of it, which is nearer than the floor that the gateway wrote."""
        return self.received_ms if fact.trust == Trust.unknown else fact.at_ms

    def set_aside(
        self,
        draft: Draft,
        fact: Fact,
        *,
        reason: str,
        row: int = tables.WHOLE_FACT,
        detail: str = "",
        text: str | None = None,
    ) -> None:
        """Keep a fact, or one row of it, in quarantine with the reason."""
        content = canonical(fact) if text is None else text
        self.keep_aside(
            draft, seq=fact.seq, kind=fact.kind, reason=reason, row=row, detail=detail, text=content
        )

    def keep_aside(
        self,
        draft: Draft,
        *,
        seq: int,
        kind: str,
        reason: str,
        text: str,
        row: int = tables.WHOLE_FACT,
        detail: str = "",
    ) -> None:
        """Keep the text of what could not be read, or may not be booked."""
        draft.add(
            tables.quarantine, self.journal_id, seq, row, self.gateway_id, kind[:80], reason,
            detail[:500], text, self.received_ms, None,
        )  # fmt: skip
        self.set_aside_rows += 1
        if row == tables.WHOLE_FACT:
            self.whole_set_aside = reason
