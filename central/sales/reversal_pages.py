"""Reversals 冲正: undoing one mistaken sale or refund, once, while it is the latest."""

from dataclasses import dataclass

from aiohttp import web
from sqlalchemy import Connection

from central import doors
from central.permissions import Permission
from central.sales import events, queries, receipts, service
from central.sales.forms import request_id_of, till_of
from central.sales.queries import EventRow
from central.sales.receipts import Receipt
from central.sales.refund_pages import REASON_MAX
from central.sales.service import Asked
from central.web import SERVICES, actor_of, page, route, said
from domain.ledger import Kind
from domain.refusals import Refusal
from domain.sales import Approved, Reserve, decide_reversal
from domain.units import TICKS_PER_FEN


def routes(app: web.Application) -> None:
    """Declare the routes of this part."""
    route(app, "GET", "/events/{event_id}/reverse", show_reversal, Permission.reversal_make)
    route(app, "POST", "/events/{event_id}/reverse", ask_reversal, Permission.reversal_make)


@dataclass(frozen=True, slots=True)
class Undoing:
    """An event and what undoing it would do, decided on the books; `refusal` where it may not be.

    `below_zero_helps`: it may be asked all the same by somebody who may leave less than zero.
    """

    event: EventRow
    available_ticks: int
    refusal: Refusal | None
    at_once: bool  # no gateway has to agree: it adds to the purse

    @property
    def after_ticks(self) -> int:
        """The balance after it."""
        return self.available_ticks - self.event.fen * TICKS_PER_FEN

    @property
    def below_zero_helps(self) -> bool:
        """Whether a supervisor's word would let it pass."""
        return self.refusal is Refusal.needs_supervisor


def undoing(connection: Connection, event_id: str) -> Undoing | None:
    """What reversing an event would do; None where there is no such event."""
    row, known = queries.event_row(connection, event_id), events.event(connection, event_id)
    if row is None or known is None:
        return None
    purse_id, event = known
    view = events.looked_at(connection, purse_id)
    decided: Approved | Reserve | Refusal = decide_reversal(view, event, below_zero=False)
    return Undoing(
        event=row,
        available_ticks=view.available_ticks,
        refusal=decided if isinstance(decided, Refusal) else None,
        at_once=event.kind is Kind.refund,
    )


async def show_reversal(request: web.Request) -> web.Response:
    """What undoing an event would do, and the form that asks for it."""
    return await _reversal_page(request, request.app[SERVICES].new_id())


async def ask_reversal(request: web.Request) -> web.Response:
    """Undo an event, once: a sale when its gateway agrees, a refund at once."""
    services, fields = request.app[SERVICES], await doors.form(request)
    request_id, reason = request_id_of(fields), fields.get("reason", "")[:REASON_MAX].strip()
    below_zero = fields.get("below_zero") == "yes"
    outcome: Asked | Receipt | Refusal = await services.database.write(
        service.ask_reversal,
        actor=actor_of(request),
        now_ms=services.now_ms(),
        new_id=services.new_id,
        request_id=request_id,
        event_id=request.match_info["event_id"],
        reason=reason,
        below_zero=below_zero,
        till=till_of(request),
    )
    if isinstance(outcome, Refusal):
        return await _reversal_page(
            request, request_id, outcome, reason=reason, below_zero=below_zero
        )
    if isinstance(outcome, Receipt):
        raise web.HTTPSeeOther(f"/receipts/{outcome.receipt_no}")
    raise web.HTTPSeeOther(f"/reservations/{outcome.reservation_id}")


async def _reversal_page(
    request: web.Request,
    request_id: str,
    refusal: Refusal | None = None,
    *,
    reason: str = "",
    below_zero: bool = False,
) -> web.Response:
    found = await request.app[SERVICES].database.read(undoing, request.match_info["event_id"])
    if found is None:
        raise web.HTTPNotFound
    return page(
        request,
        "reverse.html",
        status=200 if refusal is None else 422,
        undoing=found,
        request_id=request_id,
        reason=reason,
        below_zero=below_zero,
        refusal=None if refusal is None else said(request, refusal),
        tick_helps=refusal is Refusal.needs_supervisor,
        refusal_field=""
        if refusal is None
        else "reason"
        if refusal is Refusal.reason_missing
        else "form",
        objection=None if found.refusal is None else said(request, found.refusal),
        items=receipts.ITEMS,
        methods=receipts.METHODS,
        reason_max=REASON_MAX,
    )
