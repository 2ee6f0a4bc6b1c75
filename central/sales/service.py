"""What may be done with money: open an account, sell, ask for a refund or a reversal.

Every function that takes a `request_id` answers the same request once. All of them are plain
functions for `Database.write`; a business refusal comes back as a value and leaves nothing behind.
"""

from dataclasses import replace

from sqlalchemy import Connection

from central import books
from central.sales import receipts, requests
from central.sales.accounts import (
    OpenedAccount,
    Opening,
    Pin,
    open_account,
    pin_hash_of_room,
    renew_pin,
)
from central.sales.events import (
    FRONT_DESK,
    Booking,
    Till,
    book,
    booked_charged_ticks,
    credit_body,
    lock_purse,
    paid_by_method,
    put_credit,
)
from central.sales.receipts import Line, Receipt, reprint
from central.sales.reservations import (
    Asked,
    ask_refund,
    ask_reversal,
    asked,
    cancel_reservation,
    reservation_answered,
)
from central.security import Actor
from domain.ids import IdSource
from domain.ledger import Method
from domain.refusals import Refusal
from domain.sales import decide_sale

__all__ = [
    "FRONT_DESK",
    "Asked",
    "Line",
    "OpenedAccount",
    "Opening",
    "Pin",
    "Receipt",
    "Till",
    "ask_refund",
    "ask_reversal",
    "asked",
    "booked_charged_ticks",
    "cancel_reservation",
    "credit_body",
    "open_account",
    "paid_by_method",
    "pin_hash_of_room",
    "put_credit",
    "renew_pin",
    "reprint",
    "reservation_answered",
    "sell",
]


def sell(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    new_id: IdSource,
    request_id: str,
    purse_id: str,
    fen: int,
    method: Method,
    memo: str = "",
    till: Till = FRONT_DESK,
) -> Receipt | Refusal:
    """Sell `fen` to a purse: entry, event, slip, audit row and credit intent, all or nothing."""
    inputs = {"act": "sale", "purse_id": purse_id, "fen": fen, "method": method, "memo": memo}
    before = requests.earlier(connection, request_id, inputs)
    if isinstance(before, Refusal):
        return before
    if before is not None:
        return receipts.of_number(connection, str(before["receipt_no"]))
    view = lock_purse(connection, purse_id)
    if view is None:
        return Refusal.not_found
    decision = decide_sale(view, fen=fen, method=method, cap_fen=till.cap_fen)
    if isinstance(decision, Refusal):
        return decision
    booking = replace(Booking.by(actor, till, request_id=request_id, memo=memo), method=method)
    receipt = book(connection, view, decision, booking, now_ms=now_ms, new_id=new_id)
    result = {"receipt_no": receipt.receipt_no}
    books.remember(connection, request_id, inputs, result=result, at_ms=now_ms)
    return receipt
