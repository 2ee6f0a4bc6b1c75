"""Intents: what the centre wants to be true, taken once per version, refused in words or held.

An intent may come again, late or out of order; its version decides, and an old one has no effect.
What is taken here and now is written as a fact in the same commit as its effect.
"""

from dataclasses import replace

from pydantic import ValidationError

from domain import credit, tariff
from domain.refusals import Refusal
from domain.wire import facts
from domain.wire.intents import (
    CalendarBody,
    CreditBody,
    InstallationBody,
    Intent,
    PolicyBody,
    SupplyBody,
    TariffBody,
)
from edge import closing, installing, metering, supplying
from edge.draft import Draft
from edge.memory import SupplyHeld, Taken
from edge.picture import Policy

CREDIT_REFUSED = "credit_refused"
_REASON_MAX = 300


def take(draft: Draft, intent: Intent) -> None:
    """Take an intent of a version not answered before."""
    held = draft.taken.get((intent.kind, intent.key))
    if held is not None and intent.version <= held.version:
        draft.old_intents += 1
        return
    refusal = _untimely(draft, intent)
    if refusal is not None:
        _refuse(draft, intent, refusal.name)
        return
    try:
        body = intent.typed()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        _refuse(draft, intent, f"bad_body: {where}: {first['msg']}")
        return
    match body:
        case CreditBody():
            _take_credit(draft, intent, body)
        case SupplyBody():
            _take_supply(draft, intent, body)
        case TariffBody():
            _take_tariff(draft, intent, body)
        case CalendarBody():
            installing.put_calendar(draft, body)
            _hold_in_file(draft, intent)
        case PolicyBody():
            policy = Policy(intent.version, body)
            policies = {**draft.picture.policies, intent.key: policy}
            draft.picture = replace(draft.picture, policies=policies)
            _hold_in_file(draft, intent)
            for point in draft.points.values():
                if point.place.policy_id == intent.key:
                    draft.touched[point.point_id] = None
        case InstallationBody():
            _take_installation(draft, intent, body)
        case _:
            _refuse(draft, intent, Refusal.not_supported.name)


def _untimely(draft: Draft, intent: Intent) -> Refusal | None:
    """An order with an expiry is never carried out late, nor while the hour is not known."""
    if intent.expires_at_ms is None:
        return None
    if not draft.hour_known:
        return Refusal.clock_unknown
    return Refusal.expired if draft.now.at_ms >= intent.expires_at_ms else None


def _refuse(draft: Draft, intent: Intent, reason: str) -> None:
    _answer(draft, intent, reason[:_REASON_MAX])
    draft.warn("intent_refused", kind=intent.kind, key=intent.key, reason=reason[:_REASON_MAX])


def _hold(draft: Draft, intent: Intent) -> None:
    _answer(draft, intent, None)


def _hold_in_file(draft: Draft, intent: Intent) -> None:
    draft.store(intent)
    _answer(draft, intent, None)


def _answer(draft: Draft, intent: Intent, refused: str | None) -> None:
    draft.write(
        facts.IntentTaken,
        intent_kind=intent.kind,
        key=intent.key,
        version=intent.version,
        outcome="held" if refused is None else "refused",
        reason=refused or "",
    )
    _remember(draft, intent, refused)


def _remember(draft: Draft, intent: Intent, refused: str | None) -> None:
    draft.put_taken(
        Taken(
            kind=intent.kind,
            key=intent.key,
            version=intent.version,
            outcome="held" if refused is None else "refused",
            reason=refused,
        )
    )


# --- credit ----------------------------------------------------------------------------------


def _take_credit(draft: Draft, intent: Intent, body: CreditBody) -> None:
    purse_id = intent.key
    wanted = body.to_intent(intent.version)
    known = draft.purse(purse_id)
    if any(r.reservation_id not in known.purse.reservations for r in wanted.reservations):
        # A reservation is answered from what is available now, not at the last interval's end.
        used = [p for p in draft.points_of(purse_id) if _has_used(draft, p)]
        metering.close(draft, used, "evidence")
        known = draft.purse(purse_id)
    adoption = credit.adopt(known.purse, wanted, known.answered)
    if isinstance(adoption, Refusal):
        _refuse_credit(draft, intent, adoption)
        return
    draft.clear_alarm(purse_id, CREDIT_REFUSED)
    answered = {a.reservation_id: a.accepted for a in adoption.answers}
    draft.put_purse(replace(known, purse=adoption.purse, answered={**known.answered, **answered}))
    draft.write(
        facts.CreditTaken,
        purse_id=purse_id,
        version=intent.version,
        count=adoption.purse.count,
        granted_fen=adoption.purse.granted_fen,
        source="intent",
    )
    for answer in adoption.answers:
        draft.write(
            facts.ReservationAnswered,
            purse_id=purse_id,
            reservation_id=answer.reservation_id,
            accepted=answer.accepted,
            available_ticks=answer.available_ticks,
        )
    _remember(draft, intent, None)
    _follow_state(draft, purse_id, before=known.purse.state)


def _has_used(draft: Draft, point_id: str) -> bool:
    point = draft.points[point_id]
    return draft.is_fresh(point) and point.provisional_ticks > 0


def _refuse_credit(draft: Draft, intent: Intent, refusal: Refusal) -> None:
    _refuse(draft, intent, refusal.name)
    if refusal in (Refusal.other_total_at_count, Refusal.lowers_credit):
        detail = f"{refusal.zh} / {refusal.en} (version {intent.version})"
        draft.raise_alarm(intent.key, CREDIT_REFUSED, detail, severity="critical")


def _follow_state(draft: Draft, purse_id: str, *, before: str) -> None:
    memory = draft.purse(purse_id)
    if memory.purse.state == "open" and memory.closed_seq:
        draft.put_purse(replace(memory, closed_seq=0))  # opened again: charged again, from now on
    if memory.purse.state == "closing" and not memory.closed_seq:
        closing.begin(draft, purse_id)
    for point_id in draft.points_of(purse_id):
        draft.touched[point_id] = None
        if memory.purse.state != before:
            metering.reprice(draft, point_id)


# --- supply ----------------------------------------------------------------------------------


def _take_supply(draft: Draft, intent: Intent, body: SupplyBody) -> None:
    """Kept also for a point not installed yet: its intent may come before the installation."""
    point_id = intent.key
    before = draft.supply.get(point_id) or SupplyHeld(point_id, 0)
    draft.put_supply(
        SupplyHeld(
            point_id=point_id,
            version=intent.version,
            mode=body.mode,
            until_ms=body.until_ms,
            clear_lock_n=body.clear_lock_n,
            read_now_n=body.read_now_n,
            command_id=body.command_id,
        )
    )
    _hold(draft, intent)
    if point_id not in draft.points:
        return
    if body.clear_lock_n > before.clear_lock_n:
        supplying.unlock(draft, point_id)
    if body.read_now_n > before.read_now_n:
        draft.change(point_id, read_wanted=True)
        draft.read_soon(point_id)
    draft.touched[point_id] = None


# --- what hangs here, and what it costs --------------------------------------------------------


def _take_tariff(draft: Draft, intent: Intent, body: TariffBody) -> None:
    table = body.to_tariff(intent.key, intent.version)
    if wrong := tariff.faults(table):
        _refuse(draft, intent, "; ".join(wrong))
        return
    versions = draft.picture.tariffs.get(intent.key, ())
    if any(_rewrites(draft, kept, table) for kept in versions):
        _refuse(draft, intent, Refusal.tariff_in_the_past.name)
        return
    installing.put_tariff(draft, table)
    _hold_in_file(draft, intent)


def _rewrites(draft: Draft, kept: tariff.Tariff, table: tariff.Tariff) -> bool:
    """Whether a table changes prices that have been charged by: a change starts later."""
    same = replace(kept, version=table.version) == table
    in_force = not draft.hour_known or kept.effective_from_ms <= draft.now.at_ms
    return in_force and not same and table.effective_from_ms <= kept.effective_from_ms


def _take_installation(draft: Draft, intent: Intent, body: InstallationBody) -> None:
    if intent.key != draft.picture.rules.gateway_id:
        _refuse(draft, intent, Refusal.other_gateway.name)
        return
    faults = installing.put_installation(draft, body)
    for point_id, reason in faults.items():
        draft.write(
            facts.SettingsApplied,
            point_id=point_id,
            what="installation",
            version=intent.version,
            outcome="refused",
        )
        draft.raise_alarm(point_id, installing.FAULTY, reason, severity="critical")
    _hold_in_file(draft, intent)
