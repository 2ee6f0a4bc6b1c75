"""What the money forms carry, as typed, and how it is read.

The form keeps text; `order()` makes of it what the service takes, or names the refusal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from aiohttp import web

from central import doors
from central.sales.service import Till
from central.web import SERVICES
from domain.ids import is_ulid
from domain.ledger import Method
from domain.refusals import Refusal
from domain.units import parse_yuan

_METHOD = frozenset({Refusal.method_missing})


def till_of(request: web.Request) -> Till:
    """The till of this office, with the site's hoarding cap."""
    return Till(cap_fen=request.app[SERVICES].settings.sales.hoarding_cap_fen)


def method_of(text: str) -> Method | Refusal:
    """The method that was chosen, or that none was."""
    return Method(text) if text in set(Method) else Refusal.method_missing


def request_id_of(fields: Mapping[str, str]) -> str:
    """The id that was drawn with the form. Raises Malformed where it is not one of ours."""
    request_id = fields.get("request_id", "")
    if not is_ulid(request_id):
        raise doors.Malformed(text="request_id")
    return request_id


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sold: fen, and how it is paid."""

    fen: int
    method: Method


@dataclass(frozen=True, slots=True)
class Sale:
    """The till's form as typed."""

    request_id: str
    room_id: str = ""
    purse_id: str = ""
    amount: str = ""
    method: str = Method.cash

    @classmethod
    def drawn(cls, request: web.Request) -> Self:
        """A fresh form for the room in the address."""
        query = request.query
        return cls(
            request_id=request.app[SERVICES].new_id(),
            room_id=query.get("room", ""),
            purse_id=query.get("purse", ""),
            amount=query.get("amount", "")[:20],
            method=query.get("method", Method.cash),
        )

    @classmethod
    def sent(cls, fields: Mapping[str, str]) -> Self:
        """The form as it came back. Raises Malformed where its id is not one of ours."""
        return cls(
            request_id=request_id_of(fields),
            room_id=fields.get("room", ""),
            purse_id=fields.get("purse", ""),
            amount=fields.get("amount", ""),
            method=fields.get("method", ""),
        )

    def redrawn(self, request_id: str) -> "Sale":
        """The same contents on a new form."""
        return replace(self, request_id=request_id)

    def order(self) -> Order | Refusal:
        """What the form orders, or what is wrong with what was typed."""
        fen, method = parse_yuan(self.amount), method_of(self.method)
        if isinstance(fen, Refusal):
            return fen
        if isinstance(method, Refusal):
            return method
        return Order(fen, method)

    def field_of(self, refusal: Refusal) -> str:
        """The field that a refusal is shown beside."""
        return "method" if refusal in _METHOD else "amount"
