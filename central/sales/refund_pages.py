"""Refunds 退电: the form with its effect shown first, and what is asked of the gateway.

Nothing is paid by asking: the gateway sets the money aside first, and the page of the request says
when cash may leave the drawer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from central import doors
from central.permissions import Permission
from central.sales import receipts, service
from central.sales.forms import method_of, request_id_of, till_of
from central.sales.panel import Panel, Purse, booked, panel
from central.sales.service import Asked
from central.web import SERVICES, actor_of, page, refused, route, said
from domain.ledger import Method
from domain.refusals import Refusal
from domain.sales import decide_refund
from domain.units import TICKS_PER_FEN, parse_yuan

REASON_MAX = 120
_FIELDS: Mapping[Refusal, str] = {
    Refusal.method_missing: "method",
    Refusal.exceeds_paid_by_method: "method",
    Refusal.reason_missing: "reason",
}


def routes(app: web.Application) -> None:
    """Declare the routes of this part."""
    route(app, "GET", "/rooms/{room_id}/refund", show_refund, Permission.refund_make)
    route(app, "POST", "/rooms/{room_id}/refund", ask_refund, Permission.refund_make)
    route(app, "GET", "/rooms/{room_id}/refund/preview", show_effect, Permission.refund_make)


@dataclass(frozen=True, slots=True)
class Refund:
    """The refund form as typed."""

    request_id: str
    purse_id: str = ""
    amount: str = ""
    method: str = ""
    reason: str = ""

    @classmethod
    def sent(cls, fields: Mapping[str, str]) -> Self:
        """The form as it came back. Raises Malformed where its id is not one of ours."""
        return cls(
            request_id=request_id_of(fields),
            purse_id=fields.get("purse", ""),
            amount=fields.get("amount", "")[:20],
            method=fields.get("method", ""),
            reason=fields.get("reason", "")[:REASON_MAX],
        )


@dataclass(frozen=True, slots=True)
class Effect:
    """What giving back would do. `fen` None: nothing sensible is typed yet."""

    purse: Purse
    paid: Mapping[Method, int]  # what can go back by each method, fen
    fen: int | None = None
    refusal: Refusal | None = None

    @property
    def after_ticks(self) -> int | None:
        """The balance after it, where it may be asked."""
        if self.fen is None or self.refusal is not None:
            return None
        return self.purse.available_ticks - self.fen * TICKS_PER_FEN


def _effect(purse: Purse, paid: Mapping[Method, int], form: Refund) -> Effect:
    if not form.amount.strip():
        return Effect(purse, paid)
    fen = parse_yuan(form.amount)
    if isinstance(fen, Refusal):
        return Effect(purse, paid, refusal=fen)
    decided = decide_refund(purse.view, fen=fen)
    if isinstance(decided, Refusal):
        return Effect(purse, paid, fen, decided)
    method = method_of(form.method)
    if isinstance(method, Refusal):
        return Effect(purse, paid, fen, method)
    exceeds = fen > paid.get(method, 0)
    return Effect(purse, paid, fen, Refusal.exceeds_paid_by_method if exceeds else None)


async def show_refund(request: web.Request) -> web.Response:
    """The refund form of a room that somebody holds."""
    form = Refund(request.app[SERVICES].new_id(), purse_id=request.query.get("purse", ""))
    return await _refund_page(request, form)


async def show_effect(request: web.Request) -> web.Response:
    """What the form would do, as a part of the page; nothing is asked by it."""
    query = request.query
    form = Refund("", query.get("purse", ""), query.get("amount", ""), query.get("method", ""))
    found = await _panel(request, request.match_info["room_id"])
    purse = found.purse(form.purse_id)
    if purse is None:
        raise web.HTTPNotFound
    effect = _effect(purse, await _paid(request, purse), form)
    return page(request, "refund_sure.html", **_shown(request, effect))


async def ask_refund(request: web.Request) -> web.Response:
    """Ask the gateway to set the money aside, once; what comes of it has a page of its own."""
    services, form = request.app[SERVICES], Refund.sent(await doors.form(request))
    fen, method = parse_yuan(form.amount), method_of(form.method)
    if isinstance(fen, Refusal):
        return await _refund_page(request, form, fen)
    if isinstance(method, Refusal):
        return await _refund_page(request, form, method)
    outcome: Asked | Refusal = await services.database.write(
        service.ask_refund,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        new_id=services.new_id,
        request_id=form.request_id,
        purse_id=form.purse_id,
        fen=fen,
        method=method,
        reason=form.reason.strip(),
        till=till_of(request),
    )
    if isinstance(outcome, Refusal):
        return await _refund_page(request, form, outcome)
    raise web.HTTPSeeOther(f"/reservations/{outcome.reservation_id}")


async def _refund_page(
    request: web.Request, form: Refund, refusal: Refusal | None = None
) -> web.Response:
    found = await _panel(request, request.match_info["room_id"])
    purse = found.purse(form.purse_id)
    if purse is None:
        return refused(request, Refusal.not_found, status=404)
    paid = await _paid(request, purse)
    return page(
        request,
        "refund.html",
        status=200 if refusal is None else 422,
        panel=found,
        form=form,
        refusal=None if refusal is None else said(request, refusal),
        refusal_field="" if refusal is None else _FIELDS.get(refusal, "amount"),
        methods={method: receipts.METHODS[method] for method, fen in paid.items() if fen > 0},
        reason_max=REASON_MAX,
        **_shown(request, _effect(purse, paid, form)),
    )


def _shown(request: web.Request, effect: Effect) -> dict[str, Any]:
    refusal = effect.refusal
    return {
        "purse": effect.purse,
        "effect": effect,
        "objection": None if refusal is None else said(request, refusal),
    }


async def _panel(request: web.Request, room_id: str) -> Panel:
    services, now_ms = request.app[SERVICES], request.app[SERVICES].now_ms()
    books = await services.database.read(booked, room_id=room_id, now_ms=now_ms)
    if books is None:
        raise web.HTTPNotFound
    return panel(books, services.board, cap_fen=None, now_ms=now_ms)


async def _paid(request: web.Request, purse: Purse) -> Mapping[Method, int]:
    return await request.app[SERVICES].database.read(service.paid_by_method, purse.purse_id)
