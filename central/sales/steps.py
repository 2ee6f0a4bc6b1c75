"""How far a payment has come, hop by hop: paid, booked, sent, at the gateway, lit.

What the books know (`queries.trace`) is joined with what the gateway shows now, which runs a few
seconds ahead of them. A hop without a time of its own has happened, but nobody noted when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from central.metering.picture import Shown
from central.sales.queries import Trace
from domain.supply import Relay, State

Hop = Literal["paid", "booked", "sent", "gateway", "lit"]
Mark = Literal["done", "now", "next", "stopped"]


@dataclass(frozen=True, slots=True)
class Step:
    """A hop. `why` says what a hop that is not done waits for: a code the page has words for."""

    hop: Hop
    mark: Mark
    at_ms: int | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Steps:
    """All five hops of a payment; `arrived`: at the gateway, and its relays are where they stay."""

    steps: tuple[Step, ...]
    arrived: bool
    booked_at_ms: int


def steps(trace: Trace, count: int, points: Sequence[Shown], *, online: bool) -> Steps:
    """`count` is the payment's purchase count, `points` are those that draw on its purse."""
    held = trace.at_gateway_ms is not None or (
        bool(points) and all(point.held_count >= count for point in points)
    )
    booked_ms = trace.booked_at_ms
    sent = held or trace.sent_at_ms is not None
    waits = "" if online else "offline"
    gateway = _gateway(trace, held=held, sent=sent, waits=waits)
    lit = _lit(trace, count, points, held=held)
    found = (
        Step("paid", "done", booked_ms),
        Step("booked", "done", booked_ms),
        Step("sent", "done" if sent else "now", trace.sent_at_ms, "" if sent else waits),
        gateway,
        lit,
    )
    return Steps(found, arrived=held and lit.mark in ("done", "stopped"), booked_at_ms=booked_ms)


def _gateway(trace: Trace, *, held: bool, sent: bool, waits: str) -> Step:
    if held:
        return Step("gateway", "done", trace.at_gateway_ms)
    if trace.refused_reason is not None:
        return Step("gateway", "stopped", None, "refused")
    return Step("gateway", "now", None, waits) if sent else Step("gateway", "next", None)


def _lit(trace: Trace, count: int, points: Sequence[Shown], *, held: bool) -> Step:
    if not held:
        return Step("lit", "next", None)
    if trace.lit_at_ms is not None:
        return Step("lit", "done", trace.lit_at_ms)
    if any(point.supply is State.held_off for point in points):
        return Step("lit", "stopped", None, "held_off")
    if any(_stayed_dark(point, count, trace.booked_at_ms) for point in points):
        return Step("lit", "stopped", None, "not_enough")
    if any(point.relay is Relay.unknown for point in points):
        return Step("lit", "stopped", None, "lost")
    if all(point.relay is Relay.closed or point.supply is State.tripped for point in points):
        return Step("lit", "done", None, "was_on")
    return Step("lit", "now", None)


def _stayed_dark(point: Shown, count: int, booked_ms: int) -> bool:
    """Whether the gateway, with this payment in hand, still has reason to keep a room dark.

    A room that was cut later was lit by it all the same.
    """
    knows = point.live is not None and (point.live.point.count or 0) >= count
    return knows and point.supply is State.tripped and (point.row.supply_at_ms or 0) < booked_ms
