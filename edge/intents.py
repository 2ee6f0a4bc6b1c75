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
from edge import closing, installing, metering, reserving, supplying
from edge.draft import Draft
from edge.memory import SupplyHeld, Taken
from edge.picture import Policy

CREDIT_REFUSED = "credit_refused"
_REASON_MAX = 300


def take(draft: Draft, intent: Intent) -> None:
    """Take an intent of a version not answered before."""
    if intent.version <= _known_version(draft, intent):
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


def _known_version(draft: Draft, intent: Intent) -> int:
    """The newest version that was answered, or that waits for its answer; 0 before the first."""
    held = draft.taken.get((intent.kind, intent.key))
    version = 0 if held is None else held.version
    if intent.kind == "credit" and intent.key in draft.waiting:
        version = max(version, draft.waiting[intent.key].intent.version)
    return version


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
    if intent.kind == "credit":
        draft.waiting.pop(intent.key, None)  # this one, or an older one that it replaces
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
    wanted = body.to_intent(intent.version)
    if reserving.asks(draft.purse(intent.key), wanted):
        reserving.wait(draft, intent)
    else:
        _adopt(draft, intent, wanted, all_charged=True)


def take_waiting(draft: Draft) -> None:
    """Take the credit intents that waited for a reading and have waited enough."""
    for purse_id, waiting in tuple(draft.waiting.items()):
        all_charged = reserving.charge_what_is_read(draft, purse_id)
        if all_charged is None:
            continue
        body = waiting.intent.typed()
        assert isinstance(body, CreditBody)
        wanted = body.to_intent(waiting.intent.version)
        _adopt(draft, waiting.intent, wanted, all_charged=all_charged)
        if not all_charged:
            draft.warn("reservation_in_doubt", purse_id=purse_id, version=wanted.version)


def _adopt(draft: Draft, intent: Intent, wanted: credit.CreditIntent, *, all_charged: bool) -> None:
    purse_id, known = intent.key, draft.purse(intent.key)
    adoption = credit.adopt(known.purse, wanted, known.answered, all_charged=all_charged)
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
