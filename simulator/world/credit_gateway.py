"""The building's side of the credit world: the purse in its journal, and a meter that keeps money.

What a `Gateway` holds is its journal: durable, changed only by `_commit`. It can be killed before
and after each commit and between a write to the meter and reading it back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from domain import credit
from domain.refusals import Refusal
from domain.units import TICKS_PER_FEN
from domain.wire import facts
from domain.wire.intents import CreditBody, decode_intent
from simulator.world.credit_faults import DivergenceError, KillError, Plant
from simulator.world.credit_office import PURSE, Code, Snapshot

METER = "000012345678"
POINT = "point-1"
PRICE_E4 = TICKS_PER_FEN  # a watt-hour costs a fen: small numbers make small worlds
_KILL = 0.05
_LOSS = 0.2

Draft = tuple[Callable[..., facts.Fact], Mapping[str, Any]]


@dataclass
class Meter:
    """A meter that keeps money: energy used, purchases taken, and their sum."""

    total_wh: int = 0
    purchases: int = 0
    fed_fen: int = 0

    def purchase(self, number: int, fen: int) -> None:
        """Take a purchase iff it is the next one; a repeated or skipped number does nothing."""
        if number == self.purchases + 1:
            self.purchases = number
            self.fed_fen += fen


class Gateway:
    """One journal, from first fact to last."""

    def __init__(
        self, meter: Meter, rng: Random, snapshot: Snapshot, plant: Plant | None = None
    ) -> None:
        self.journal_id = snapshot.journal_id
        self.facts: list[facts.Fact] = []
        self.purse = credit.Purse(PURSE, charged_ticks=snapshot.charged_ticks)
        self.answered: dict[str, bool] = {}
        self.frozen = False
        self._to_wh = snapshot.to_wh
        self._fed_fen, self._purchases = snapshot.fed_fen, snapshot.purchases
        self._open_feed: tuple[int, int] | None = None
        self._meter, self._rng, self._plant = meter, rng, plant
        self._take_over_meter()
        if plant is not Plant.nosnapshot:
            self._adopt(snapshot.intent, source="snapshot")

    @property
    def available_fen(self) -> int:
        """Whole fen left after everything that the meter has used."""
        used_ticks = (self._meter.total_wh - self._to_wh) * PRICE_E4
        return (credit.available_ticks(self.purse) - used_ticks) // TICKS_PER_FEN

    def adopt(self, message: bytes) -> None:
        """Take a credit intent as it came over the wire.

        What was used so far is charged first: a reservation is answered from what is truly left.
        """
        self.charge()
        self._maybe_die()
        self._adopt(message, source="intent")
        self._maybe_die()

    def type_code(self, code: Code) -> None:
        """A code typed at the building: count above the held one, total stated, nothing open.

        What a code drops stays void: an older intent that arrives late may list it once more.
        """
        self._maybe_die()
        purse: credit.Purse | Refusal
        if self._plant is Plant.codereplay and code.count <= self.purse.count:
            purse = credit.redeem(
                replace(self.purse, count=-1), count=code.count, granted_fen=code.granted_fen
            )
        elif self._plant is Plant.codedelta:
            total_fen = self.purse.granted_fen + 100
            purse = credit.redeem(self.purse, count=code.count, granted_fen=total_fen)
        else:
            purse = credit.redeem(self.purse, count=code.count, granted_fen=code.granted_fen)
        if purse is Refusal.lowers_credit:
            raise DivergenceError("a code would have lowered available")
        if isinstance(purse, credit.Purse):
            self.answered |= dict.fromkeys(self.purse.reservations, False)
            self._commit(purse, _taken(purse, None, "code"))

    def charge(self) -> None:
        """Close an interval: read the meter and charge what it used since the last one."""
        wh = self._meter.total_wh - self._to_wh
        if not wh:
            return
        self._maybe_die()
        purse = credit.charged(self.purse, wh * PRICE_E4)
        part = {"rate": 3, "tier": 0, "wh": wh, "price_e4": PRICE_E4, "estimated": False}
        row = {"purse_id": PURSE, "point_id": POINT, "meter_id": METER, "incarnation": 0}
        row |= {"from_wh": self._to_wh, "to_wh": self._meter.total_wh, "from_ms": 0, "to_ms": 1}
        row |= {"parts": (part,), "tariff_version": 1, "ticks": wh * PRICE_E4}
        row |= {"charged_ticks": purse.charged_ticks}
        self._to_wh = self._meter.total_wh
        self._commit(purse, (facts.Charges, {name: (value,) for name, value in row.items()}))

    def feed(self) -> None:
        """One step of bringing the meter to what was granted; reads before it writes again."""
        if self.frozen:
            return
        if self._open_feed:
            self._maybe_die()
            if self._settle_feed():
                return
        elif not self._start_feed():
            return
        assert self._open_feed
        number, fen = self._open_feed
        if self._rng.random() < _LOSS:
            return  # the request was lost on the bus
        self._meter.purchase(number, fen)
        if self._plant is Plant.blindretry and self._rng.random() < _LOSS:
            self._meter.purchase(self._meter.purchases + 1, fen)
        self._maybe_die()  # carried out, not read back

    def _start_feed(self) -> bool:
        fen = self.purse.granted_fen - self._fed_fen
        if not fen:
            return False
        self._open_feed = (self._purchases + 1, fen)
        self._commit(self.purse, self._feed_fact("started", fen, None))
        self._maybe_die()
        return True

    def _settle_feed(self) -> bool:
        """Read back an open feed; whether there is nothing to write."""
        assert self._open_feed
        number, fen = self._open_feed
        if self._meter.purchases == number:
            self._open_feed = None
            self._purchases, self._fed_fen = number, self._fed_fen + fen
            self._commit(self.purse, self._feed_fact("done", fen, number))
        elif self._meter.purchases != number - 1:
            self.frozen = True
            self._commit(self.purse, self._feed_fact("frozen", fen, self._meter.purchases))
        return self._open_feed is None or self.frozen

    def _take_over_meter(self) -> None:
        """A new journal reads its meter before anything else: energy, then purchases.

        Feeds of the lost journal may be missing in the books; the meter's own total settles them.
        """
        while self._to_wh != self._meter.total_wh:
            try:
                self.charge()
            except KillError:
                continue
        if self._meter.purchases > self._purchases:
            fen = self._meter.fed_fen - self._fed_fen
            self._purchases, self._fed_fen = self._meter.purchases, self._meter.fed_fen
            self._commit(self.purse, self._feed_fact("done", fen, self._purchases))
        self.frozen = self._meter.purchases < self._purchases

    def _adopt(self, message: bytes, source: str) -> None:
        decoded = decode_intent(message, "credit", PURSE)
        body = decoded.typed()
        assert isinstance(body, CreditBody)
        intent = body.to_intent(decoded.version)
        adoption = self._decide(intent)
        if adoption is Refusal.lowers_credit or adoption is Refusal.other_total_at_count:
            raise DivergenceError(f"version {intent.version} refused: {adoption.en}")
        if isinstance(adoption, Refusal):
            return
        self._check(adoption)
        self.answered |= {answer.reservation_id: answer.accepted for answer in adoption.answers}
        answers = (_answered(answer) for answer in adoption.answers)
        self._commit(adoption.purse, _taken(adoption.purse, intent.version, source), *answers)

    def _decide(self, intent: credit.CreditIntent) -> credit.Adoption | Refusal:
        purse = self.purse
        if self._plant is Plant.noversion:
            purse = replace(purse, version=-1)
        if self._plant is Plant.nocount and intent.count < purse.count:
            purse = replace(purse, count=-1)
        if self._plant is Plant.noreservecheck:
            below = credit.REVERSAL_BELOW_ZERO
            asked = tuple(replace(asked, purpose=below) for asked in intent.reservations)
            intent = replace(intent, reservations=asked)
        return credit.adopt(purse, intent, self.answered)

    def _check(self, adoption: credit.Adoption) -> None:
        """Adoption lowers available by what it accepted and by nothing else, and not below zero."""
        held = adoption.purse.reservations
        accepted = {a.reservation_id for a in adoption.answers if a.accepted}
        accepted_ticks = sum(held[key].fen * TICKS_PER_FEN for key in accepted)
        left = credit.available_ticks(adoption.purse)
        if left + accepted_ticks < credit.available_ticks(self.purse):
            raise DivergenceError("adoption lowered available")
        if accepted and left < 0:
            raise DivergenceError("a reservation overdraws the purse")

    def _feed_fact(self, state: str, fen: int, register_after: int | None) -> Draft:
        return facts.Feed, {
            "purse_id": PURSE,
            "point_id": POINT,
            "state": state,
            "register_before": self._purchases,
            "register_after": register_after,
            "fen": fen,
            "fed_fen": self._fed_fen,
            "meter_balance_before_fen": None,
            "meter_balance_after_fen": None,
        }

    def _commit(self, purse: credit.Purse, *drafts: Draft) -> None:
        self.purse = purse
        for make, fields in drafts:
            seq = len(self.facts) + 1
            self.facts.append(make(seq=seq, at_ms=seq, trust=3, boot=1, mono_ms=seq, **fields))

    def _maybe_die(self) -> None:
        if self._rng.random() < _KILL:
            raise KillError


def _taken(purse: credit.Purse, version: int | None, source: str) -> Draft:
    return facts.CreditTaken, {
        "purse_id": PURSE,
        "version": version,
        "count": purse.count,
        "granted_fen": purse.granted_fen,
        "source": source,
    }


def _answered(answer: credit.Answer) -> Draft:
    return facts.ReservationAnswered, {
        "purse_id": PURSE,
        "reservation_id": answer.reservation_id,
        "accepted": answer.accepted,
        "available_ticks": answer.available_ticks,
    }
