"""The purse: what was granted less what was charged, and the one rule by which it changes hands.

Granted is written only by the centre, charged only by the gateway. A credit intent is absolute and
versioned; adopting one never lowers what is available except by a reservation accepted in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

from domain.refusals import Refusal
from domain.units import TICKS_PER_FEN

REVERSAL_BELOW_ZERO = "reversal_below_zero"  # a supervisor's purpose: may leave less than nothing


@dataclass(frozen=True, slots=True)
class Reservation:
    """Credit the centre asks the gateway to set aside: refund, transfer_out, reversal, …"""

    reservation_id: str
    fen: int
    purpose: str


@dataclass(frozen=True, slots=True)
class CreditIntent:
    """What the centre wants a purse to be: absolute, versioned, counted."""

    version: int
    count: int
    granted_fen: int
    reservations: tuple[Reservation, ...] = ()
    state: Literal["open", "closing", "closed"] = "open"


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as answered: only an accepted one lowers what is available."""

    fen: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class Purse:
    """What the gateway holds of a purse. `version` is −1 before the first intent."""

    purse_id: str
    version: int = -1
    count: int = 0
    granted_fen: int = 0
    charged_ticks: int = 0
    reservations: Mapping[str, Held] = field(default_factory=dict)
    state: Literal["open", "closing", "closed"] = "open"


@dataclass(frozen=True, slots=True)
class Answer:
    """The one answer a reservation gets, and what was available after it."""

    reservation_id: str
    accepted: bool
    available_ticks: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """A purse after an intent, and the answers to the reservations that were new in it."""

    purse: Purse
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where warnings stand, and how far below zero supply goes on."""

    alarm_1_fen: int
    alarm_2_fen: int
    overdraft_fen: int = 0


class Level(IntEnum):
    """How a purse stands; each step is worse than the one before. Comparison is ≤ threshold."""

    ok = 0
    alarm_1 = 1
    alarm_2 = 2
    arrears = 3  # at or below zero, overdraft not used up
    spent = 4  # at or below −overdraft: supply ends


def available_ticks(purse: Purse) -> int:
    """granted − charged − accepted reservations, in ticks."""
    return _ticks_left(purse.granted_fen, purse.charged_ticks, purse.reservations)


def adopt(
    purse: Purse,
    intent: CreditIntent,
    answered: Mapping[str, bool] | None = None,
    *,
    all_charged: bool = True,
) -> Adoption | Refusal:
    """Adopt iff version > held version and count ≥ held count; else the refusal that says which.

    A reservation is answered once: accepted iff available ≥ fen or its purpose allows less than
    nothing; `answered` remembers ids answered before and dropped since. One that left the list is
    dropped. Where something that was used may not be charged yet (`all_charged` False), what is
    left is in doubt, and only a purpose that allows less than nothing is accepted.

    Two intents that no honest books can send are refused as well, because they would freeze or
    rob a room: another total at the held count (`other_total_at_count`), and a total so low that
    available would fall without a reservation (`lowers_credit`). The settlement of a closed purse
    may lower it: nothing is supplied from that purse any more.
    """
    kept = {r.reservation_id: r for r in intent.reservations}
    held = {key: value for key, value in purse.reservations.items() if key in kept}
    before = available_ticks(purse)
    settled = _ticks_left(intent.granted_fen, purse.charged_ticks, held)
    refusal = _refuse_intent(purse, intent, falls=settled < before)
    if refusal is not None:
        return refusal
    known = answered or {}
    left, answers, set_aside = settled, [], 0
    for reservation_id, reservation in kept.items():
        if reservation_id in held:
            continue
        accepted = known.get(reservation_id)
        if accepted is None:
            accepted = _acceptable(reservation, left, in_doubt=not all_charged)
            left -= reservation.fen * TICKS_PER_FEN if accepted else 0
            answers.append(Answer(reservation_id, accepted, left))
        elif accepted:
            left -= reservation.fen * TICKS_PER_FEN
        held[reservation_id] = Held(reservation.fen, accepted)
        set_aside += reservation.fen * TICKS_PER_FEN if accepted else 0
    adopted = replace(
        purse,
        version=intent.version,
        count=intent.count,
        granted_fen=intent.granted_fen,
        reservations=held,
        state=intent.state,
    )
    after = available_ticks(adopted)
    assert after == left
    assert after >= before - set_aside or intent.state == "closed", "adoption lowered credit"
    return Adoption(adopted, tuple(answers))


def redeem(purse: Purse, *, count: int, granted_fen: int) -> Purse | Refusal:
    """The purse after an offline code for sale number `count`, whose code has been verified.

    The version stays: the intent that follows merges by the rule of `adopt`. Reservations are
    dropped, because issuing a code voids the open ones.
    """
    if count <= purse.count:
        return Refusal.code_already_used
    redeemed = replace(purse, count=count, granted_fen=granted_fen, reservations={})
    if available_ticks(redeemed) < available_ticks(purse):
        return Refusal.lowers_credit
    return redeemed


def charged(purse: Purse, ticks: int) -> Purse:
    """The purse after a charge of `ticks` ≥ 0."""
    assert ticks >= 0, "a charge only ever grows; corrections are money events"
    return replace(purse, charged_ticks=purse.charged_ticks + ticks)


def level(available: int, thresholds: Thresholds) -> Level:
    """How `available` ticks stand against the thresholds; overdraft 0 and balance 0 is spent."""
    if available <= -thresholds.overdraft_fen * TICKS_PER_FEN:
        return Level.spent
    if available <= 0:
        return Level.arrears
    if available <= thresholds.alarm_2_fen * TICKS_PER_FEN:
        return Level.alarm_2
    if available <= thresholds.alarm_1_fen * TICKS_PER_FEN:
        return Level.alarm_1
    return Level.ok


def _ticks_left(granted_fen: int, charged_ticks: int, reservations: Mapping[str, Held]) -> int:
    set_aside_fen = sum(held.fen for held in reservations.values() if held.accepted)
    return (granted_fen - set_aside_fen) * TICKS_PER_FEN - charged_ticks


def _refuse_intent(purse: Purse, intent: CreditIntent, *, falls: bool) -> Refusal | None:
    if intent.version <= purse.version:
        return Refusal.old_version
    if intent.count < purse.count:
        return Refusal.count_behind
    if intent.count == purse.count and intent.granted_fen != purse.granted_fen:
        return Refusal.other_total_at_count
    if falls and intent.state != "closed":
        return Refusal.lowers_credit
    return None


def _acceptable(reservation: Reservation, left_ticks: int, *, in_doubt: bool) -> bool:
    if reservation.fen <= 0:
        return False
    if reservation.purpose == REVERSAL_BELOW_ZERO:
        return True
    return not in_doubt and left_ticks >= reservation.fen * TICKS_PER_FEN
