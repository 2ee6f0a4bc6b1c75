"""Opening an account 开户: one form, one answer that shows the PIN once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from aiohttp import web

from central import doors
from central.permissions import Permission
from central.rooms import queries as rooms
from central.sales import receipts, service
from central.sales.forms import method_of, request_id_of, till_of
from central.sales.service import OpenedAccount, Opening, Pin
from central.web import SERVICES, actor_of, page, route, said
from domain.ledger import Method
from domain.refusals import Refusal
from domain.units import parse_yuan

_FIELDS: Mapping[Refusal, str] = {
    Refusal.holder_missing: "holder",
    Refusal.phone_malformed: "phone",
    Refusal.method_missing: "method",
    Refusal.opening_not_first: "old_amount",
    Refusal.above_hoarding_cap: "amount",
    Refusal.purse_spans_gateways: "purses",
}


def routes(app: web.Application) -> None:
    """Declare the routes of this part."""
    route(app, "GET", "/rooms/{room_id}/open", show_form, Permission.account_open)
    route(app, "POST", "/rooms/{room_id}/open", open_account, Permission.account_open)


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
        """The form as it came back."""
        names = ("holder", "phone", "amount", "method", "old_amount", "evidence", "purses")
        kept = {name: fields.get(name, "") for name in names}
        return cls(request_id=request_id_of(fields), **kept)

    def opening(self, room_id: str) -> Opening | tuple[Refusal, str]:
        """What is to be opened, or what is wrong with what was typed, and in which field."""
        amounts: dict[str, int] = {}
        for name, typed in (("amount", self.amount), ("old_amount", self.old_amount)):
            if typed.strip():
                fen = parse_yuan(typed)
                if isinstance(fen, Refusal):
                    return fen, name
                amounts[name] = fen
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


async def show_form(request: web.Request) -> web.Response:
    """The form for a room that nobody holds."""
    return await _page(request, Form(request.app[SERVICES].new_id()))


async def open_account(request: web.Request) -> web.Response:
    """Open the account, once; the answer is its slip, with the PIN the first time only."""
    form = Form.sent(await doors.form(request))
    opening = form.opening(request.match_info["room_id"])
    if not isinstance(opening, Opening):
        return await _page(request, form, *opening)
    outcome = await _open(request, form.request_id, opening)
    if isinstance(outcome, Refusal):
        return await _page(request, form, outcome, _FIELDS.get(outcome, ""))
    room = await request.app[SERVICES].database.read(rooms.room, opening.room_id)
    return page(
        request, "opened.html", room=room, opened=outcome, slip=outcome.receipt, opening=opening
    )


async def _open(request: web.Request, request_id: str, opening: Opening) -> OpenedAccount | Refusal:
    services = request.app[SERVICES]
    drawn = Pin.draw(services.random_bytes, lambda _: "")
    digest = await services.passwords.hash(drawn.digits)
    return await services.database.write(
        service.open_account,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        new_id=services.new_id,
        pin=Pin(drawn.digits, digest),
        request_id=request_id,
        opening=opening,
        till=till_of(request),
    )


async def _page(
    request: web.Request, form: Form, refusal: Refusal | None = None, field: str = ""
) -> web.Response:
    services = request.app[SERVICES]
    room = await services.database.read(rooms.room, request.match_info["room_id"])
    if room is None:
        raise web.HTTPNotFound
    return page(
        request,
        "open.html",
        status=200 if refusal is None else 422,
        room=room,
        form=form,
        refusal=None if refusal is None else said(request, refusal),
        refusal_field=field,
        methods=receipts.METHODS,
    )
