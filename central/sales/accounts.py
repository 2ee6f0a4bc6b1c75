"""Opening an account 开户: holder, purses, PIN, what an old meter still held, and the first sale.

One commit sets all of it up and tells the gateway: which purse its points draw on, and what that
purse holds. The PIN is shown once and kept as a hash.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from central import audit, books
from central.permissions import Permission
from central.rooms import service as rooms
from central.sales import requests, tables
from central.sales.events import FRONT_DESK, Booking, Till, book, looked_at, put_credit
from central.sales.receipts import Receipt, find, next_number
from central.security import Actor
from domain.ids import IdSource
from domain.ledger import Method
from domain.refusals import Refusal, first
from domain.sales import Approved, PurseView, decide_opening, decide_sale
from domain.units import TICKS_PER_FEN

_PHONE = re.compile(r"\+?[0-9]{5,20}")
_ACCOUNTS = "account:"  # the series of account numbers; no issuing point has a colon


@dataclass(frozen=True, slots=True)
class Pin:
    """A student's PIN before it is handed over: the six digits, and the hash that is kept.

    Drawn outside the transaction, because a good hash is slow on purpose.
    """

    digits: str
    hash: str

    @classmethod
    def draw(cls, random_bytes: Callable[[int], bytes], hash_pin: Callable[[str], str]) -> "Pin":
        """A new PIN from a source of random bytes."""
        digits = f"{int.from_bytes(random_bytes(8)) % 1_000_000:06d}"
        return cls(digits, hash_pin(digits))


@dataclass(frozen=True, slots=True)
class Opening:
    """What was typed to open an account. Amounts are fen, 0 for none; `phone` may be empty.

    With `per_point` every point gets a purse of its own, and what is paid goes to the first one's;
    without, all points of the room share one. `opening_balance_fen` is what an old meter still
    held, `evidence` where that figure comes from.
    """

    room_id: str
    holder: str
    phone: str = ""
    first_sale_fen: int | None = None
    method: Method | None = None
    opening_balance_fen: int = 0
    evidence: str = ""
    per_point: bool = False


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """An account as opened. `pin` is None when the same request is answered again: shown once.

    `receipt` is the first sale's, else the opening balance's, else None.
    """

    account_id: str
    purse_ids: tuple[str, ...]
    pin: str | None
    receipt: Receipt | None


def open_account(
    connection: Connection,
    *,
    actor: Actor,
    now_ms: int,
    new_id: IdSource,
    pin: Pin,
    request_id: str,
    opening: Opening,
    till: Till = FRONT_DESK,
) -> OpenedAccount | Refusal:
    """Open an account for a room that has none; the same request gives the same account."""
    inputs = {"act": "open_account"} | asdict(opening)
    before = requests.earlier(connection, request_id, inputs)
    if isinstance(before, Refusal):
        return before
    if before is not None:
        return _as_before(connection, before)
    if not rooms.lock_room(connection, opening.room_id):
        return Refusal.not_found
    refusal = first([*_typed(actor, opening), *_room(connection, opening), *_money(opening, till)])
    if refusal is not None:
        return refusal
    account_id = f"{next_number(connection, _ACCOUNTS):06d}"
    connection.execute(
        insert(tables.accounts).values(
            account_id=account_id,
            room_id=opening.room_id,
            holder=opening.holder.strip(),
            phone=opening.phone.strip(),
            pin_hash=pin.hash,
            opened_at_ms=now_ms,
        )
    )
    purse_ids = _add_purses(connection, account_id, opening, new_id=new_id)
    _tell_gateways(connection, opening.room_id, purse_ids, now_ms=now_ms)
    after = {"account_id": account_id, "purse_ids": purse_ids} | asdict(opening)
    audit.record(
        connection,
        actor,
        action="open_account",
        obj=f"room:{opening.room_id}",
        after=after,
        at_ms=now_ms,
    )
    booking = Booking.by(actor, till, request_id=request_id)
    receipt = _take(connection, purse_ids[0], opening, booking, now_ms=now_ms, new_id=new_id)
    result: dict[str, object] = {"account_id": account_id, "purse_ids": purse_ids}
    result["receipt_no"] = None if receipt is None else receipt.receipt_no
    books.remember(connection, request_id, inputs, result=result, at_ms=now_ms)
    with_pin = None if receipt is None else replace(receipt, pin=pin.digits)
    return OpenedAccount(account_id, purse_ids, pin.digits, with_pin)


def _as_before(connection: Connection, result: Mapping[str, Any]) -> OpenedAccount:
    number = result["receipt_no"]
    return OpenedAccount(
        account_id=result["account_id"],
        purse_ids=tuple(result["purse_ids"]),
        pin=None,
        receipt=None if number is None else find(connection, number),
    )


def renew_pin(
    connection: Connection, *, actor: Actor, now_ms: int, pin: Pin, account_id: str
) -> str | Refusal:
    """Give an open account a new PIN, to be shown once; the old one ends."""
    accounts = tables.accounts
    changed = connection.execute(
        update(accounts)
        .where(accounts.c.account_id == account_id, accounts.c.closed_at_ms.is_(None))
        .values(pin_hash=pin.hash)
    )
    if changed.rowcount == 0:
        return Refusal.not_found
    audit.record(connection, actor, action="renew_pin", obj=f"account:{account_id}", at_ms=now_ms)
    return pin.digits


def pin_hash_of_room(connection: Connection, room_id: str) -> tuple[str, str] | None:
    """`(account_id, pin_hash)` of the room's open account, for the student's page; or None."""
    accounts = tables.accounts
    row = connection.execute(
        select(accounts.c.account_id, accounts.c.pin_hash).where(
            accounts.c.room_id == room_id, accounts.c.closed_at_ms.is_(None)
        )
    ).one_or_none()
    return None if row is None else (row.account_id, row.pin_hash)


def _typed(actor: Actor, opening: Opening) -> Iterator[Refusal]:
    if not opening.holder.strip():
        yield Refusal.holder_missing
    if opening.phone.strip() and not _PHONE.fullmatch(opening.phone.strip()):
        yield Refusal.phone_malformed
    if opening.opening_balance_fen and not opening.evidence.strip():
        yield Refusal.evidence_missing
    staff = actor.role is not None
    if opening.opening_balance_fen and staff and not actor.may(Permission.opening_balance):
        yield Refusal.not_permitted


def _room(connection: Connection, opening: Opening) -> Iterator[Refusal]:
    points = rooms.points_of_room(connection, opening.room_id)
    if pin_hash_of_room(connection, opening.room_id) is not None:
        yield Refusal.room_already_open
    if not points:
        yield Refusal.room_without_meter
    if not opening.per_point and len({gateway_id for _, gateway_id in points}) > 1:
        yield Refusal.purse_spans_gateways


def _money(opening: Opening, till: Till) -> Iterator[Refusal]:
    """What speaks against the amounts, decided on the purse as it will be; nothing is written."""
    view = PurseView("new", "open", 0, 0, 0, 0, None)
    if opening.opening_balance_fen:
        carried = decide_opening(view, fen=opening.opening_balance_fen)
        if isinstance(carried, Refusal):
            yield carried
        else:
            ticks = carried.granted_fen * TICKS_PER_FEN
            view = replace(view, granted_fen=carried.granted_fen, available_ticks=ticks)
    if opening.first_sale_fen is None:
        return
    if opening.method is None:
        yield Refusal.method_missing
    method = opening.method or Method.cash
    sold = decide_sale(view, fen=opening.first_sale_fen, method=method, cap_fen=till.cap_fen)
    if isinstance(sold, Refusal):
        yield sold


def _add_purses(
    connection: Connection, account_id: str, opening: Opening, *, new_id: IdSource
) -> tuple[str, ...]:
    """One purse for all points of the room, or one for each in the order of their circuits."""
    points = rooms.points_of_room(connection, opening.room_id)
    shares = [[point] for point in points] if opening.per_point else [points]
    purse_ids = []
    for share in shares:
        purse_ids.append(new_id())
        row = {"purse_id": purse_ids[-1], "account_id": account_id, "gateway_id": share[0][1]}
        row_of_nothing = {"state": "open", "count": 0, "granted_fen": 0}
        connection.execute(insert(tables.purses).values(row | row_of_nothing))
        rooms.give_purse(connection, [point_id for point_id, _ in share], purse_ids[-1])
    return tuple(purse_ids)


def _tell_gateways(
    connection: Connection, room_id: str, purse_ids: Sequence[str], *, now_ms: int
) -> None:
    for gateway_id in sorted({gateway for _, gateway in rooms.points_of_room(connection, room_id)}):
        rooms.push_installation(connection, gateway_id, now_ms=now_ms)
    for purse_id in sorted(purse_ids):
        put_credit(connection, purse_id, now_ms=now_ms)


def _take(
    connection: Connection,
    purse_id: str,
    opening: Opening,
    booking: Booking,
    *,
    now_ms: int,
    new_id: IdSource,
) -> Receipt | None:
    """Book what an old meter still held, then the first sale; the slip of the last of the two."""
    receipt = None
    if opening.opening_balance_fen:
        view = looked_at(connection, purse_id)
        carried = _approved(decide_opening(view, fen=opening.opening_balance_fen))
        why = replace(booking, memo=opening.evidence)
        receipt = book(connection, view, carried, why, now_ms=now_ms, new_id=new_id)
    if opening.first_sale_fen is not None and opening.method is not None:
        view = looked_at(connection, purse_id)
        fen, method = opening.first_sale_fen, opening.method
        sold = _approved(decide_sale(view, fen=fen, method=method, cap_fen=None))
        how = replace(booking, method=method)
        receipt = book(connection, view, sold, how, now_ms=now_ms, new_id=new_id)
    return receipt


def _approved(decision: Approved | Refusal) -> Approved:
    assert isinstance(decision, Approved), f"{decision} came after the amounts had been approved"
    return decision
