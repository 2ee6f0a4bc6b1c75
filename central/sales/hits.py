"""Rooms as the till finds them while somebody types: place, holder, balance and state."""

from dataclasses import dataclass

from sqlalchemy import Connection

from central.metering.live import LiveBoard, WallState
from central.metering.picture import shown
from central.rooms import queries as rooms
from central.rooms import search
from central.rooms.queries import WallRow
from central.rooms.search import Found

MOST = search.FOUND_MAX
_URGENCY = list(WallState)


@dataclass(frozen=True, slots=True)
class Hit:
    """A room that fits. `state` None: it has no meter; `available_ticks` None: nobody holds it."""

    found: Found
    state: WallState | None
    available_ticks: int | None


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found for what was typed, each with its meters as booked."""

    typed: str
    found: tuple[tuple[Found, tuple[WallRow, ...]], ...]


def look(connection: Connection, typed: str) -> Looked:
    """Rooms that fit what was typed, at most MOST."""
    found = search.find(connection, typed)
    return Looked(
        typed,
        tuple((each, tuple(rooms.wall_rows(connection, room_id=each.room_id))) for each in found),
    )


def hits(looked: Looked, board: LiveBoard, *, now_ms: int) -> list[Hit]:
    """The same with the live picture over it; on the event loop."""
    return [_hit(found, rows, board, now_ms) for found, rows in looked.found]


def only(looked: Looked) -> str | None:
    """The room that Enter opens: the only one found, or the only one of exactly that name."""
    if len(looked.found) == 1:
        return looked.found[0][0].room_id
    typed = looked.typed.strip().casefold()
    exact = [found.room_id for found, _ in looked.found if typed in _names(found)]
    return exact[0] if len(exact) == 1 else None


def _names(found: Found) -> tuple[str, ...]:
    room, building = found.room.casefold(), found.building.casefold()
    return room, f"{building} {room}", f"{building}{room}"


def _hit(found: Found, rows: tuple[WallRow, ...], board: LiveBoard, now_ms: int) -> Hit:
    points = [shown(row, board, price_e4=None, now_ms=now_ms) for row in rows]
    worst = min((point.state for point in points), key=_URGENCY.index, default=None)
    purses = {
        point.row.purse_id: point.available_ticks
        for point in points
        if point.available_ticks is not None
    }
    return Hit(found, worst, sum(purses.values()) if purses else None)
