"""What each kind of fact changes in the books. A kind that is not named here is kept and no more.

A journal whose gateway was replaced is kept, and still says what was read and what alarmed; it
moves no purse, settles no intent and answers nothing.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from central import outbox
from central.alarms import service as alarms
from central.metering import states, tables
from central.metering.charging import book_charges, book_correction
from central.metering.context import Context
from central.metering.dating import date_earlier
from central.metering.draft import Draft, Wanted
from central.sales import service as sales
from domain.wire.facts import (
    AlarmCleared,
    AlarmRaised,
    ChargeCorrected,
    Charges,
    ClockSet,
    CreditTaken,
    Fact,
    IntentTaken,
    MeterSeen,
    PurseClosed,
    Readings,
    RelayResult,
    ReservationAnswered,
    SupplyDecided,
)

GOOD = "good"


def apply(draft: Draft, context: Context, fact: Fact) -> None:
    """Carry one fact into the books."""
    effect = _EFFECTS.get(type(fact))
    if effect is not None:
        effect(draft, context, fact)


def wants(wanted: Wanted, fact: Fact) -> None:
    """Note what must be known before `apply`."""
    if isinstance(fact, Readings):
        wanted.point_ids.update(fact.point_id)
        if fact.purpose == "opening":
            wanted.meter_ids.update(fact.meter_id)
    elif isinstance(fact, Charges):
        wanted.point_ids.update(fact.point_id)
        wanted.purse_ids.update(fact.purse_id)
        wanted.meter_ids.update(fact.meter_id)
    elif isinstance(fact, MeterSeen):
        wanted.point_ids.add(fact.point_id)
        wanted.meter_ids.add(fact.meter_id)
    elif isinstance(fact, SupplyDecided | RelayResult):
        wanted.point_ids.add(fact.point_id)
    elif isinstance(fact, ChargeCorrected | CreditTaken | ReservationAnswered | PurseClosed):
        wanted.purse_ids.add(fact.purse_id)
    elif isinstance(fact, IntentTaken) and fact.intent_kind == outbox.CREDIT:
        wanted.purse_ids.add(fact.key)


# --- energy ------------------------------------------------------------------------------------


def _readings(draft: Draft, context: Context, fact: Readings) -> None:
    at_ms, seq, journal_id, purpose = fact.at_ms, fact.seq, context.journal_id, fact.purpose
    rates = fact.rate_wh or (None,) * len(fact.point_id)
    rows = []
    for n, (point_id, meter_id, incarnation, register_wh, total_wh, quality, rate) in enumerate(
        zip(
            fact.point_id, fact.meter_id, fact.incarnation, fact.register_wh, fact.total_wh,
            fact.quality, rates, strict=True,
        )
    ):  # fmt: skip
        if _is_foreign(draft, context, point_id):
            _set_aside_reading(draft, context, fact, n)
            continue
        rows.append((
            at_ms, point_id, meter_id, incarnation, register_wh, total_wh,
            None if rate is None else repr(list(rate)), purpose, quality, journal_id, seq,
        ))  # fmt: skip
        if quality != GOOD or not context.is_open:
            continue
        draft.state(
            states.READ, point_id, context.gateway_id, meter_id, incarnation, register_wh,
            total_wh, at_ms, journal_id, seq,
        )  # fmt: skip
        if purpose == "opening":
            _open_meter(draft, context, fact, row=n, meter=(meter_id, incarnation), to_wh=total_wh)
    draft.add_all(tables.readings, rows)


def _set_aside_reading(draft: Draft, context: Context, fact: Readings, n: int) -> None:
    row = {name: column[n] for name in fact.columns if (column := getattr(fact, name))}
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    context.set_aside(draft, fact, reason="foreign_point", row=n, text=text)


def _meter_seen(draft: Draft, context: Context, fact: MeterSeen) -> None:
    if _set_aside_foreign_point(draft, context, fact) or not context.is_open:
        return
    meter = (fact.meter_id, fact.incarnation)
    _open_meter(draft, context, fact, row=0, meter=meter, to_wh=fact.opening_wh)


def _open_meter(
    draft: Draft,
    context: Context,
    fact: MeterSeen | Readings,
    *,
    row: int,
    meter: tuple[str, int],
    to_wh: int,
) -> None:
    """Charging begins here (again): what was used since the booked end belongs to nobody.

    Never backwards: energy is not charged twice because a card forgot it.
    """
    booked_wh = draft.booked_to_wh(*meter)
    if booked_wh is not None and to_wh <= booked_wh:
        return
    point_id = fact.point_id if isinstance(fact, MeterSeen) else fact.point_id[row]
    draft.add(
        tables.openings, context.journal_id, fact.seq, row, point_id, *meter, booked_wh, to_wh,
        fact.at_ms,
    )  # fmt: skip
    draft.book_to(*meter, point_id=point_id, to_wh=to_wh)


# --- supply ------------------------------------------------------------------------------------


def _supply_decided(draft: Draft, context: Context, fact: SupplyDecided) -> None:
    if _set_aside_foreign_point(draft, context, fact):
        return
    draft.add(
        tables.supply_log, context.journal_id, fact.seq, fact.point_id,
        context.at_ms(fact), "decided",
        fact.from_.value, fact.to.value, fact.reason, fact.available_ticks, None, None, None,
    )  # fmt: skip
    if context.is_open:
        draft.state(
            states.SUPPLY, fact.point_id, context.gateway_id, fact.to.value, fact.reason,
            context.at_ms(fact),
        )  # fmt: skip


def _relay_result(draft: Draft, context: Context, fact: RelayResult) -> None:
    if _set_aside_foreign_point(draft, context, fact):
        return
    draft.add(
        tables.supply_log, context.journal_id, fact.seq, fact.point_id,
        context.at_ms(fact), "relay",
        fact.wanted.value, fact.seen.value, "", None, fact.tries, fact.decided_seq,
        fact.command_id,
    )  # fmt: skip
    if context.is_open:
        draft.state(
            states.RELAY, fact.point_id, context.gateway_id, fact.seen.value, context.at_ms(fact)
        )


# --- intents and money -------------------------------------------------------------------------


def _intent_taken(draft: Draft, context: Context, fact: IntentTaken) -> None:
    if not context.is_open:
        return
    connection, gateway_id = draft.connection, context.gateway_id
    if fact.outcome == "held":
        outbox.held(
            connection, gateway_id=gateway_id, kind=fact.intent_kind, key=fact.key,
            version=fact.version,
        )  # fmt: skip
    else:
        outbox.refuse(
            connection, gateway_id=gateway_id, kind=fact.intent_kind, key=fact.key,
            version=fact.version, reason=fact.reason,
        )  # fmt: skip


def _credit_taken(draft: Draft, context: Context, fact: CreditTaken) -> None:
    if _set_aside_foreign_purse(draft, context, fact) or not context.is_open:
        return
    at_ms = context.at_ms(fact)
    draft.state(
        states.TAKEN, fact.purse_id, fact.count, fact.granted_fen, fact.source, at_ms, at_ms
    )
    if fact.version is not None:
        draft.state(states.TAKEN_VERSION, fact.purse_id, fact.version)
        outbox.held(
            draft.connection, gateway_id=context.gateway_id, kind=outbox.CREDIT, key=fact.purse_id,
            version=fact.version,
        )  # fmt: skip


def _reservation_answered(draft: Draft, context: Context, fact: ReservationAnswered) -> None:
    if _set_aside_foreign_purse(draft, context, fact) or not context.is_open:
        return
    draft.write()  # the answer is settled on the purse as booked up to here
    try:
        asked = sales.asked(draft.connection, fact.reservation_id)
    except LookupError:
        context.set_aside(draft, fact, reason="unknown_reservation")
        return
    if asked.purse_id != fact.purse_id:
        context.set_aside(draft, fact, reason="reservation_of_another_purse")
        return
    sales.reservation_answered(
        draft.connection,
        reservation_id=fact.reservation_id,
        accepted=fact.accepted,
        now_ms=context.received_ms,
        new_id=context.new_id,
    )


def _purse_closed(draft: Draft, context: Context, fact: PurseClosed) -> None:
    if _set_aside_foreign_purse(draft, context, fact) or not context.is_open:
        return
    at_ms = context.at_ms(fact)
    draft.state(states.CLOSED, fact.purse_id, fact.final_seq, fact.charged_ticks, at_ms)


# --- alarms ------------------------------------------------------------------------------------


def _alarm_raised(draft: Draft, context: Context, fact: AlarmRaised) -> None:
    alarms.raise_alarm(
        draft.connection,
        alarms.Alarm(
            alarm_id=fact.alarm_id,
            gateway_id=context.gateway_id,
            code=fact.code,
            subject_id=fact.subject_id,
            severity=fact.severity,
            detail=fact.detail,
            raised_at_ms=context.at_ms(fact),
        ),
    )


def _alarm_cleared(draft: Draft, context: Context, fact: AlarmCleared) -> None:
    alarms.clear_alarm(
        draft.connection, fact.alarm_id, gateway_id=context.gateway_id, at_ms=context.at_ms(fact)
    )


def _clock_set(draft: Draft, context: Context, fact: ClockSet) -> None:
    date_earlier(draft, context, fact)


# --- whose -------------------------------------------------------------------------------------


def _is_foreign(draft: Draft, context: Context, point_id: str) -> bool:
    """Whether the books say that the point hangs on another gateway."""
    place = draft.places.get(point_id)
    return place is not None and place.gateway_id != context.gateway_id


def _set_aside_foreign_point(
    draft: Draft, context: Context, fact: MeterSeen | SupplyDecided | RelayResult
) -> bool:
    is_foreign = _is_foreign(draft, context, fact.point_id)
    if is_foreign:
        context.set_aside(draft, fact, reason="foreign_point")
    return is_foreign


def _set_aside_foreign_purse(
    draft: Draft, context: Context, fact: CreditTaken | ReservationAnswered | PurseClosed
) -> bool:
    is_foreign = draft.gateway_of_purse.get(fact.purse_id) != context.gateway_id
    if is_foreign:
        context.set_aside(draft, fact, reason="foreign_purse")
    return is_foreign


_EFFECTS: Mapping[type, Callable[[Draft, Context, Any], None]] = {
    Readings: _readings,
    Charges: book_charges,
    ChargeCorrected: book_correction,
    MeterSeen: _meter_seen,
    SupplyDecided: _supply_decided,
    RelayResult: _relay_result,
    IntentTaken: _intent_taken,
    CreditTaken: _credit_taken,
    ReservationAnswered: _reservation_answered,
    PurseClosed: _purse_closed,
    AlarmRaised: _alarm_raised,
    AlarmCleared: _alarm_cleared,
    ClockSet: _clock_set,
}
