"""Money that is to leave a purse: asked of its gateway first, and settled by the one answer.

A refund and the reversal of a sale open a reservation; nothing is posted, and no cash leaves the
drawer, until the gateway has set the money aside. Cancelling is always safe, because nothing was
paid; an answer that comes after that does nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, RowMapping, insert, select, update

from central import audit, books
from central.permissions import Permission
from central.sales import receipts, requests, tables
from central.sales.events import (
    FRONT_DESK,
    Booking,
    Till,
    book,
    event,
    lock_purse,
    looked_at,
    paid_by_method,
    put_credit,
)
from central.sales.receipts import Receipt
from central.security import SYSTEM, Actor
from domain.ids import IdSource
from domain.ledger import Method
from domain.refusals import Refusal
from domain.sales import (
    Approved,
    PurseView,
    Reserve,
    decide_refund,
    decide_reversal,
    post_refund,
    post_reversal,
)

REFUSED, CANCELLED = "refused", "cancelled"  # why a reservation is void


@dataclass(frozen=True, slots=True)
class Asked:
    """A reservation as it stands: open until the gateway answers, then posted or void.

    `void_reason`: "refused" by the gateway, "cancelled" by staff, or the name of the refusal that
    kept an accepted one from being posted. `receipt` once it is posted.
    """

    reservation_id: str
    purse_id: str
    fen: int
    purpose: str
    state: str
    void_reason: str | None
    receipt: Receipt | None


def ask_refund(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    new_id: IdSource,
    request_id: str,
    purse_id: str,
    fen: int,
    method: Method,
    reason: str,
    till: Till = FRONT_DESK,
) -> Asked | Refusal:
    """Ask the gateway to set `fen` aside for a refund by the method that paid; pay nothing yet."""
    inputs = {"act": "refund", "purse_id": purse_id, "fen": fen, "method": method, "reason": reason}
    before = requests.earlier(connection, request_id, inputs)
    if isinstance(before, Refusal):
        return before
    if before is not None:
        return asked(connection, str(before["reservation_id"]))
    view = lock_purse(connection, purse_id)
    if view is None:
        return Refusal.not_found
    if not reason.strip():
        return Refusal.reason_missing
    decision = decide_refund(view, fen=fen)
    if isinstance(decision, Refusal):
        return decision
    if fen > paid_by_method(connection, purse_id).get(method, 0):
        return Refusal.exceeds_paid_by_method
    booking = Booking.by(actor, till, request_id=request_id, memo=reason)
    reservation_id = _reserve(
        connection, view, decision, replace(booking, method=method), now_ms=now_ms, new_id=new_id
    )
    result = {"reservation_id": reservation_id}
    books.remember(connection, request_id, inputs, result=result, at_ms=now_ms)
    return asked(connection, reservation_id)


def ask_reversal(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    new_id: IdSource,
    request_id: str,
    event_id: str,
    reason: str,
    below_zero: bool = False,
    till: Till = FRONT_DESK,
) -> Asked | Receipt | Refusal:
    """Undo a purse's latest event: a sale is asked of the gateway, a refund is undone at once.

    `below_zero` lets the gateway agree to a balance below zero; only a supervisor may ask for it.
    """
    inputs = {"act": "reversal", "event_id": event_id, "reason": reason, "below_zero": below_zero}
    before = requests.earlier(connection, request_id, inputs)
    if isinstance(before, Refusal):
        return before
    if before is not None:
        return _as_before(connection, before)
    known = event(connection, event_id)
    view = None if known is None else lock_purse(connection, known[0])
    known = event(connection, event_id)
    if known is None or view is None:
        return Refusal.not_found
    if not reason.strip():
        return Refusal.reason_missing
    if below_zero and actor.role is not None and not actor.may(Permission.reversal_below_zero):
        return Refusal.needs_supervisor
    decision = decide_reversal(view, known[1], below_zero=below_zero)
    if isinstance(decision, Refusal):
        return decision
    booking = Booking.by(actor, till, request_id=request_id, memo=reason)
    booking = replace(booking, method=known[1].method, reverses=event_id)
    if isinstance(decision, Approved):
        receipt = book(connection, view, decision, booking, now_ms=now_ms, new_id=new_id)
        result = {"receipt_no": receipt.receipt_no}
    else:
        reservation_id = _reserve(connection, view, decision, booking, now_ms=now_ms, new_id=new_id)
        result = {"reservation_id": reservation_id}
    books.remember(connection, request_id, inputs, result=result, at_ms=now_ms)
    return _as_before(connection, result)


def reservation_answered(
    connection: Connection,
    *,
    reservation_id: str,
    accepted: bool,
    now_ms: int,
    new_id: IdSource,
    actor: Actor = SYSTEM,
) -> Receipt | None:
    """Settle a gateway's answer in the transaction that books the fact; the slip if money moves.

    Nothing happens for a reservation that is not open any more, or that nobody asked for.
    """
    row = _row(connection, reservation_id)
    if row is None or lock_purse(connection, row["purse_id"]) is None:
        return None
    row = _row(connection, reservation_id)
    if row is None or row["state"] != "open":
        return None
    if not accepted:
        _void(connection, row, REFUSED, actor=actor, now_ms=now_ms)
        return None
    view = looked_at(connection, row["purse_id"])
    decision = _post(connection, view, row)
    if isinstance(decision, Refusal):
        _void(connection, row, decision.name, actor=actor, now_ms=now_ms)
        return None
    _settle(connection, reservation_id, now_ms=now_ms, state="posted", void_reason=None)
    booking = Booking(
        actor=actor,
        operator_id=row["operator_id"],
        operator_name=row["operator_name"],
        issuing_point=row["issuing_point"],
        request_id=row["request_id"],
        method=Method(row["method"]) if row["method"] else None,
        memo=row["reason"],
        reverses=row["event_id"],
        reservation_id=reservation_id,
    )
    return book(connection, view, decision, booking, now_ms=now_ms, new_id=new_id)


def cancel_reservation(
    connection: Connection, *, actor: Actor, now_ms: int, reservation_id: str
) -> Asked | Refusal:
    """Withdraw what was asked; safe at any time, because nothing was paid. Twice is once."""
    row = _row(connection, reservation_id)
    if row is None or lock_purse(connection, row["purse_id"]) is None:
        return Refusal.not_found
    row = _row(connection, reservation_id)
    assert row is not None, "reservations are never deleted"
    if row["state"] == "posted" or row["void_reason"] not in (None, CANCELLED):
        return Refusal.reservation_settled
    if row["state"] == "open":
        _void(connection, row, CANCELLED, actor=actor, now_ms=now_ms)
    return asked(connection, reservation_id)


def asked(connection: Connection, reservation_id: str) -> Asked:
    """A reservation as it stands. Raises LookupError where there is none."""
    row = _row(connection, reservation_id)
    if row is None:
        raise LookupError(f"no reservation {reservation_id}")
    events = tables.money_events
    event_id = connection.scalar(
        select(events.c.event_id).where(events.c.reservation_id == reservation_id)
    )
    return Asked(
        reservation_id=reservation_id,
        purse_id=row["purse_id"],
        fen=row["fen"],
        purpose=row["purpose"],
        state=row["state"],
        void_reason=row["void_reason"],
        receipt=None if event_id is None else receipts.of_event(connection, event_id),
    )


def _as_before(connection: Connection, result: Mapping[str, object]) -> Asked | Receipt:
    if "receipt_no" in result:
        return receipts.of_number(connection, str(result["receipt_no"]))
    return asked(connection, str(result["reservation_id"]))


def _row(connection: Connection, reservation_id: str) -> RowMapping | None:
    wanted = select(tables.reservations).where(
        tables.reservations.c.reservation_id == reservation_id
    )
    return connection.execute(wanted).mappings().one_or_none()


def _reserve(
    connection: Connection,
    view: PurseView,
    reserve: Reserve,
    booking: Booking,
    *,
    now_ms: int,
    new_id: IdSource,
) -> str:
    row = {
        "reservation_id": new_id(),
        "purse_id": view.purse_id,
        "fen": reserve.fen,
        "purpose": reserve.purpose,
        "method": booking.method,
        "event_id": booking.reverses,
        "state": "open",
        "asked_at_ms": now_ms,
        "operator_id": booking.operator_id,
        "operator_name": booking.operator_name,
        "reason": booking.memo,
        "issuing_point": booking.issuing_point,
        "request_id": booking.request_id,
    }
    connection.execute(insert(tables.reservations).values(row))
    put_credit(connection, view.purse_id, now_ms=now_ms)
    obj = f"purse:{view.purse_id}"
    action = f"ask_{reserve.purpose}"
    audit.record(connection, booking.actor, action=action, obj=obj, after=row, at_ms=now_ms)
    return str(row["reservation_id"])


def _post(connection: Connection, view: PurseView, row: RowMapping) -> Approved | Refusal:
    if row["event_id"] is None:
        return post_refund(view, fen=row["fen"], method=Method(row["method"]))
    known = event(connection, row["event_id"])
    assert known is not None, "events are never deleted"
    return post_reversal(view, known[1])


def _void(
    connection: Connection, row: RowMapping, reason: str, *, actor: Actor, now_ms: int
) -> None:
    reservation_id = row["reservation_id"]
    _settle(connection, reservation_id, now_ms=now_ms, state="void", void_reason=reason)
    put_credit(connection, row["purse_id"], now_ms=now_ms)
    audit.record(
        connection,
        actor,
        action="void_reservation",
        obj=f"purse:{row['purse_id']}",
        before={"reservation_id": reservation_id, "state": "open"},
        after={"reservation_id": reservation_id, "state": "void", "void_reason": reason},
        at_ms=now_ms,
    )


def _settle(
    connection: Connection,
    reservation_id: str,
    *,
    now_ms: int,
    state: str,
    void_reason: str | None,
) -> None:
    connection.execute(
        update(tables.reservations)
        .where(tables.reservations.c.reservation_id == reservation_id)
        .values(state=state, void_reason=void_reason, answered_at_ms=now_ms)
    )
