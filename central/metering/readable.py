"""Facts as far as this version can read them, and the states that they speak of."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from central.metering.draft import Draft, Wanted
from central.metering.effects import wants
from central.metering.prices import Prices
from domain.wire.facts import Fact, RawFact, known_kinds, parse_fact

UNKNOWN_KIND, BAD_FACT = "unknown_kind", "bad_fact"
_KINDS = frozenset(known_kinds())


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a fact cannot be read, and what is wrong with it."""

    reason: str
    detail: str


def read(raw: RawFact, v: int) -> Fact | Unreadable:
    """A fact, or why it is none that this version knows."""
    if raw.kind not in _KINDS:
        return Unreadable(UNKNOWN_KIND, raw.kind[:80])
    try:
        return parse_fact(raw.raw, v)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Unreadable(BAD_FACT, f"{where}: {first['msg']}")
    except RecursionError:
        return Unreadable(BAD_FACT, "nested too deeply")


def load(draft: Draft, prices: Prices, facts: Iterable[Fact | Unreadable], *, now_ms: int) -> None:
    """Read the states of all that these facts speak of, and the prices of what they charge."""
    wanted = Wanted()
    for fact in facts:
        if not isinstance(fact, Unreadable):
            wants(wanted, fact)
    draft.load(wanted)
    draft.pricings = prices.load(draft.connection, draft.places.values(), now_ms=now_ms)
