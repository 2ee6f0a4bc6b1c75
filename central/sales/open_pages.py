"""Opening an account 开户: one form, one answer that shows the PIN once; a new PIN when lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from central import doors
from central.metering.picture import Shown, picture
from central.permissions import Permission
from central.rooms import queries as rooms
from central.rooms.queries import Room
from central.sales import receipts, service
from central.sales.forms import method_of, request_id_of, till_of
from central.sales.panel import QUICK_FEN
from central.sales.service import OpenedAccount, Opening, Pin
from central.web import SERVICES, actor_of, page, refused, route, said
from domain.ledger import Method
from domain.refusals import Refusal
from domain.units import parse_yuan

_FIELDS: Mapping[Refusal, str] = {
    Refusal.holder_missing: "holder",
    Refusal.phone_malformed: "phone",
    Refusal.evidence_missing: "evidence",
    Refusal.method_missing: "method",
    Refusal.opening_not_first: "old_amount",
    Refusal.above_hoarding_cap: "amount",
    Refusal.purse_spans_gateways: "purses",
}


def routes(app: web.Application) -> None:
    """Declare the routes of this part."""
    route(app, "GET", "/rooms/{room_id}/open", show_form, Permission.account_open)
    route(app, "POST", "/rooms/{room_id}/open", open_account, Permission.account_open)
    route(app, "GET", "/rooms/{room_id}/open/preview", show_preview, Permission.account_open)
    route(app, "POST", "/rooms/{room_id}/pin", renew_pin, Permission.account_edit)


@dataclass(frozen=True, slots=True)
class Form:
    """The form as typed. `purses`: "one" for the room, or "each" for every meter its own."""

    request_id: str
    holder: str = ""
    phone: str = ""
    amount: str = ""
    method: str = Method.cash
    old_amount: str = ""
    evidence: str = ""
    purses: str = "one"

    @classmethod
    def sent(cls, fields: Mapping[str, str]) -> Self:
        """The form as it came back. Raises Malformed where its id is not one of ours."""
        names = ("holder", "phone", "amount", "method", "old_amount", "evidence", "purses")
        kept = {name: fields.get(name, "") for name in names}
        return cls(request_id=request_id_of(fields), **kept)

    def opening(self, room_id: str) -> Opening | tuple[Refusal, str]:
        """What is to be opened, or what is wrong with what was typed, and in which field."""
        amounts = _amounts(self.amount, self.old_amount)
        if isinstance(amounts, tuple):
            return amounts
        method = method_of(self.method)
        return Opening(
            room_id=room_id,
            holder=self.holder,
            phone=self.phone,
            first_sale_fen=amounts.get("amount"),
            method=None if isinstance(method, Refusal) or "amount" not in amounts else method,
            opening_balance_fen=amounts.get("old_amount", 0),
            evidence=self.evidence.strip(),
            per_point=self.purses == "each",
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What the form would do: fen, None where nothing is typed or it cannot be read."""

    first_fen: int | None
    old_fen: int | None
    wrong: tuple[Refusal, str] | None

    @property
    def total_fen(self) -> int:
        """The balance that the account begins with."""
        return (self.first_fen or 0) + (self.old_fen or 0)

    @property
    def words(self) -> str | None:
        """The first sale as 大写."""
        return None if self.first_fen is None else receipts.words(self.first_fen)


def _amounts(amount: str, old_amount: str) -> dict[str, int] | tuple[Refusal, str]:
    found: dict[str, int] = {}
    for name, typed in (("amount", amount), ("old_amount", old_amount)):
        if typed.strip():
            fen = parse_yuan(typed)
            if isinstance(fen, Refusal):
                return fen, name
            found[name] = fen
    return found


def _preview(request: web.Request, amount: str, old_amount: str) -> Preview:
    amounts, cap_fen = _amounts(amount, old_amount), till_of(request).cap_fen
    if isinstance(amounts, tuple):
        return Preview(None, None, amounts)
    first, old = amounts.get("amount"), amounts.get("old_amount")
    above = first is not None and cap_fen is not None and first + (old or 0) > cap_fen
    wrong = (Refusal.above_hoarding_cap, "amount") if above else None
    return Preview(first, old, wrong)


async def show_form(request: web.Request) -> web.Response:
    """The form for a room that nobody holds."""
    return await _page(request, Form(request.app[SERVICES].new_id()))


async def show_preview(request: web.Request) -> web.Response:
    """What the form would do, as a part of the page; nothing is booked by asking."""
    query = request.query
    preview = _preview(request, query.get("amount", ""), query.get("old_amount", ""))
    return page(request, "open_sure.html", **_weighed(request, preview))


async def open_account(request: web.Request) -> web.Response:
    """Open the account, once; the answer is its slip, with the PIN the first time only."""
    form = Form.sent(await doors.form(request))
    room_id = request.match_info["room_id"]
    opening = form.opening(room_id)
    if not isinstance(opening, Opening):
        return await _page(request, form, *opening)
    services, pin = request.app[SERVICES], await _draw_pin(request)
    outcome: OpenedAccount | Refusal = await services.database.write(
        service.open_account,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        new_id=services.new_id,
        pin=pin,
        request_id=form.request_id,
        opening=opening,
        till=till_of(request),
    )
    if isinstance(outcome, Refusal):
        return await _page(request, form, outcome, _FIELDS.get(outcome, ""))
    room, points = await _room(request, room_id)
    return page(
        request,
        "opened.html",
        room=room,
        points=points,
        slip=outcome.receipt,
        pin=outcome.pin,
        account_id=outcome.account_id,
        renewed=False,
    )


async def renew_pin(request: web.Request) -> web.Response:
    """A new PIN for the room's account, shown once; the old one ends."""
    services = request.app[SERVICES]
    room, points = await _room(request, request.match_info["room_id"])
    if room.account is None:
        return refused(request, Refusal.not_found, status=404)
    outcome = await services.database.write(
        service.renew_pin,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        pin=await _draw_pin(request),
        account_id=room.account.account_id,
    )
    if isinstance(outcome, Refusal):
        return refused(request, outcome)
    return page(
        request,
        "opened.html",
        room=room,
        points=points,
        slip=None,
        pin=outcome,
        account_id=room.account.account_id,
        renewed=True,
    )


async def _draw_pin(request: web.Request) -> Pin:
    """Drawn and hashed before the transaction: a good hash is slow on purpose."""
    services = request.app[SERVICES]
    drawn = Pin.draw(services.random_bytes, lambda _: "")
    return Pin(drawn.digits, await services.passwords.hash(drawn.digits))


async def _page(
    request: web.Request, form: Form, refusal: Refusal | None = None, field: str = ""
) -> web.Response:
    room, points = await _room(request, request.match_info["room_id"])
    cap_fen = till_of(request).cap_fen
    return page(
        request,
        "open.html",
        status=200 if refusal is None else 422,
        room=room,
        points=points,
        form=form,
        refusal=None if refusal is None else said(request, refusal),
        refusal_field=field,
        methods=receipts.METHODS,
        quick=[(fen, cap_fen is None or fen <= cap_fen) for fen in QUICK_FEN],
        **_weighed(request, _preview(request, form.amount, form.old_amount)),
    )


def _weighed(request: web.Request, preview: Preview) -> dict[str, Any]:
    wrong = preview.wrong
    return {
        "preview": preview,
        "cap_fen": till_of(request).cap_fen,
        "objections": {} if wrong is None else {wrong[1]: said(request, wrong[0])},
    }


async def _room(request: web.Request, room_id: str) -> tuple[Room, list[Shown]]:
    services = request.app[SERVICES]
    room = await services.database.read(rooms.room, room_id)
    if room is None:
        raise web.HTTPNotFound
    now_ms = services.now_ms()
    return room, await picture(services.database, services.board, now_ms=now_ms, room_id=room_id)
