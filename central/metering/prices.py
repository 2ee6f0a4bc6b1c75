"""What the centre knows of the places that facts speak of: whose they are, and what energy costs.

`Prices` outlives transactions: price tables are read again only where a version was added since.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from central.rooms import service as rooms
from central.rooms import tables as places
from domain.instants import DAY_MS
from domain.tariff import Charge, Position, Pricing, charge

INTERVAL_MAX_MS = 400 * DAY_MS
LAST_MS = 253_370_764_800_000  # the year 9999: no calendar goes further


class Place(NamedTuple):
    """A point as installed."""

    gateway_id: str
    tariff_id: str
    site_id: str


class Prices:
    """The centre's own price tables, ready to price by. One per writer."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[object, Pricing]] = {}

    def load(
        self, connection: Connection, wanted: Iterable[Place], *, now_ms: int
    ) -> Mapping[tuple[str, str], Pricing]:
        """(tariff_id, site_id) → prices, of every place that has any."""
        found = {}
        for place in {(place.tariff_id, place.site_id) for place in wanted}:
            pricing = self._pricing(connection, *place, now_ms=now_ms)
            if pricing is not None:
                found[place] = pricing
        return found

    def _pricing(
        self, connection: Connection, tariff_id: str, site_id: str, *, now_ms: int
    ) -> Pricing | None:
        edition = (_edition(connection, tariff_id, site_id), now_ms // DAY_MS)
        known = self._known.get((tariff_id, site_id))
        if known is not None and known[0] == edition:
            return known[1]
        try:
            pricing = rooms.pricing(connection, tariff_id=tariff_id, site_id=site_id, now_ms=now_ms)
        except LookupError:
            return None
        self._known[tariff_id, site_id] = (edition, pricing)
        return pricing


def priced(
    pricing: Pricing, position: Position, wh: int, span_ms: tuple[int, int]
) -> Charge | None:
    """What `wh` cost between two instants; None where no calendar reaches or it is too long ago."""
    from_ms, to_ms = span_ms
    if to_ms >= LAST_MS or from_ms >= LAST_MS or to_ms - from_ms > INTERVAL_MAX_MS:
        return None
    return charge(pricing, position, wh, from_ms, to_ms)


def _edition(connection: Connection, tariff_id: str, site_id: str) -> tuple[object, ...]:
    tariffs, calendars = places.tariffs, places.calendars
    newest_tariff = select(func.max(tariffs.c.version)).where(tariffs.c.tariff_id == tariff_id)
    newest_days = select(func.max(calendars.c.version)).where(calendars.c.site_id == site_id)
    zone = select(places.sites.c.zone_name).where(places.sites.c.site_id == site_id)
    both = select(
        newest_tariff.scalar_subquery(), newest_days.scalar_subquery(), zone.scalar_subquery()
    )
    return tuple(connection.execute(both).one())
