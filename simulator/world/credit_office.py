"""The centre's side of the credit world: money events, reservations, codes, booking of facts."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from domain.booking import joins
from domain.credit import CreditIntent, Reservation
from domain.wire import facts
from domain.wire.intents import CreditBody, Intent
from simulator.world.credit_faults import Plant

PURSE = "purse-1"


@dataclass(frozen=True, slots=True)
class Event:
    """A money event of the purse: its number on the receipt, and what it added to granted."""

    count: int
    kind: Literal["sale", "refund", "reversal"]
    fen: int


@dataclass(frozen=True, slots=True)
class Code:
    """An offline code for the sale of number `count`: a credit intent in short."""

    count: int
    granted_fen: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a replaced gateway is handed: the books as they stand, and the credit intent."""

    journal_id: str
    charged_ticks: int
    to_wh: int
    fed_fen: int
    purchases: int
    intent: bytes


@dataclass
class Office:
    """The book of record of one purse. Every method is one commit."""

    plant: Plant | None = None
    version: int = 1
    count: int = 0
    granted_fen: int = 0
    cash_fen: int = 0
    waiting: dict[str, Reservation] = field(default_factory=dict)
    asked: int = 0
    history: dict[int, int] = field(default_factory=lambda: {0: 0})
    events: list[Event] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)
    journal_id: str = "journal-0"
    journals: int = 0
    held: Counter[str] = field(default_factory=Counter)
    held_version: int = 0
    charged_ticks: int = 0
    to_wh: int = 0
    fed_fen: int = 0
    purchases: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)

    def intent(self) -> bytes:
        """The purse as it should be, as it travels."""
        wanted = CreditIntent(
            self.version, self.count, self.granted_fen, tuple(self.waiting.values())
        )
        body = CreditBody.of(wanted)
        return Intent.of(body, key=PURSE, version=self.version, issued_at_ms=0).encode()

    def sell(self, fen: int) -> None:
        """Money over the counter."""
        self._post("sale", fen)

    def ask(self, fen: int, purpose: str) -> None:
        """Ask the gateway to set credit aside; nothing is paid yet."""
        self.asked += 1
        reservation_id = f"reservation-{self.asked}"
        self.waiting[reservation_id] = Reservation(reservation_id, fen, purpose)
        self.version += 1

    def cancel(self, reservation_id: str) -> None:
        """Void a reservation: always safe, because nothing was paid."""
        del self.waiting[reservation_id]
        self.version += 1

    def reverse_refund(self) -> None:
        """Undo the latest refund: an event at once."""
        self._post("reversal", -self.events[-1].fen)

    def issue_code(self) -> None:
        """A code for the latest sale; it voids what is still open."""
        if self.plant is not Plant.codewithres:
            for reservation_id in list(self.waiting):
                self.cancel(reservation_id)
        self.codes.append(Code(self.count, self.granted_fen))

    def replace_gateway(self) -> Snapshot:
        """Close the journal and hand over everything that a new gateway needs."""
        self.journals += 1
        self.journal_id = f"journal-{self.journals}"
        self.held_version = 0
        return Snapshot(
            self.journal_id,
            self.charged_ticks,
            self.to_wh,
            self.fed_fen,
            self.purchases,
            self.intent(),
        )

    def book(self, journal_id: str, batch: tuple[facts.Fact, ...]) -> None:
        """Take the facts of a batch that are next in their journal, each once and in order."""
        for fact in batch:
            if fact.seq == self.held[journal_id] + 1:
                self.held[journal_id] = fact.seq
                self._take(journal_id, fact)

    def _take(self, journal_id: str, fact: facts.Fact) -> None:
        believed = journal_id == self.journal_id or self.plant is Plant.oldjournal
        match fact:
            case facts.Charges():
                self._book_charge(journal_id, fact)
            case _ if not believed:
                self.set_aside["journal_closed"] += 1
            case facts.CreditTaken():
                self.held_version = max(self.held_version, fact.version or 0)
            case facts.ReservationAnswered():
                self._answered(fact.reservation_id, accepted=fact.accepted)
            case facts.Feed(state="done"):
                self.fed_fen, self.purchases = fact.fed_fen, fact.register_after or 0
            case _:
                pass

    def _book_charge(self, journal_id: str, fact: facts.Charges) -> None:
        misfit = joins(
            booked_to_wh=self.to_wh,
            booked_charged_ticks=self.charged_ticks,
            from_wh=fact.from_wh[0],
            charged_ticks=fact.charged_ticks[0],
            ticks=fact.ticks[0],
            journal_closed=journal_id != self.journal_id and self.plant is not Plant.closedjoins,
        )
        if misfit and self.plant is not Plant.oldjournal:
            self.set_aside[misfit.value] += 1
            return
        self.to_wh = fact.to_wh[0]
        self.charged_ticks += fact.ticks[0]

    def _answered(self, reservation_id: str, *, accepted: bool) -> None:
        reservation = self.waiting.pop(reservation_id, None)
        if reservation is None:
            return  # void: a late answer does nothing
        if accepted:
            self._post("refund", -reservation.fen)
        else:
            self.version += 1

    def _post(self, kind: Literal["sale", "refund", "reversal"], fen: int) -> None:
        self.count += 1
        self.version += 1
        self.granted_fen += fen
        self.cash_fen += fen
        self.history[self.count] = self.granted_fen
        self.events.append(Event(self.count, kind, fen))
