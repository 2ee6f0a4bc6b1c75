"""What the till knows of a room before money is taken: who, how much is left, how much may be sold.

A figure of the gateway leads where it is fresh; money that the gateway has not taken yet is added
to it, so that what is shown is what the holder has paid for. Whether a sale is allowed is decided
on the books, as `domain.sales` decides it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from central.metering.live import LiveBoard
from central.metering.picture import Shown, priced, shown
from central.rooms import queries as rooms
from central.rooms.queries import Room
from central.sales import events, queries, tables
from central.sales.queries import EventRow
from domain.ledger import Method
from domain.refusals import Refusal
from domain.sales import PurseView, decide_sale
from domain.units import AMOUNT_MAX_FEN, TICKS_PER_FEN, fen_floor

RECENT = 5


@dataclass(frozen=True, slots=True)
class Purse:
    """A purse at the till. Ticks and fen; `available_ticks` as known now, paid money included.

    `waiting_fen`: of it, what the gateway has not taken yet. `room_fen`: what may still be sold
    (None: this site has no cap), by the books. `gateway_count`: as far as the gateway has said.
    """

    purse_id: str
    points: tuple[Shown, ...]
    view: PurseView
    cap_fen: int | None
    waiting_fen: int
    available_ticks: int
    gateway_count: int

    @property
    def newest(self) -> Shown:
        """The point that was read last: whose state and time stand for the purse."""
        return max(self.points, key=lambda point: (point.is_live, point.read_ms or 0))

    @property
    def available_fen(self) -> int:
        """What is available now, rounded down."""
        return fen_floor(self.available_ticks)

    @property
    def room_fen(self) -> int | None:
        """The largest sale that the cap allows now."""
        if self.cap_fen is None:
            return None
        held_fen = -(-self.view.available_ticks // TICKS_PER_FEN)
        return max(0, min(self.cap_fen - held_fen, AMOUNT_MAX_FEN))

    @property
    def price_e4(self) -> int | None:
        """The price of the next kWh where all meters of the purse share one."""
        prices = {point.price_e4 for point in self.points}
        return prices.pop() if len(prices) == 1 else None

    def refusal(self, fen: int) -> Refusal | None:
        """Why `fen` could not be sold now, or None."""
        decided = decide_sale(self.view, fen=fen, method=Method.cash, cap_fen=self.cap_fen)
        return decided if isinstance(decided, Refusal) else None


@dataclass(frozen=True, slots=True)
class Panel:
    """A room at the till: its purses in the order of their circuits, and its latest money."""

    room: Room
    purses: tuple[Purse, ...]
    recent: tuple[EventRow, ...]

    def purse(self, purse_id: str | None) -> Purse | None:
        """The purse that was chosen, else the first; None where nobody holds the room."""
        chosen = (each for each in self.purses if each.purse_id == purse_id)
        return next(chosen, self.purses[0] if self.purses else None)


@dataclass(frozen=True, slots=True)
class Booked:
    """What `panel` needs of the books, read at one cut."""

    room: Room
    rows: tuple[tuple[rooms.WallRow, int | None], ...]
    views: dict[str, PurseView]
    granted_fen: dict[str, dict[int, int]]  # purse → count → what that event added
    recent: tuple[EventRow, ...]


def booked(connection: Connection, *, room_id: str, now_ms: int) -> Booked | None:
    """A room as the books know it; None where there is none."""
    room = rooms.room(connection, room_id)
    if room is None:
        return None
    rows = tuple(priced(connection, now_ms=now_ms, room_id=room_id))
    purse_ids = list(dict.fromkeys(row.purse_id for row, _ in rows if row.purse_id is not None))
    recent: tuple[EventRow, ...] = ()
    if room.account is not None:
        account_id = room.account.account_id
        recent = tuple(queries.events_of_account(connection, account_id, limit=RECENT))
    return Booked(
        room=room,
        rows=rows,
        views={purse_id: events.looked_at(connection, purse_id) for purse_id in purse_ids},
        granted_fen={purse_id: _granted(connection, purse_id) for purse_id in purse_ids},
        recent=recent,
    )


def _granted(connection: Connection, purse_id: str) -> dict[int, int]:
    money = tables.money_events
    wanted = select(money.c.count.label("n"), money.c.fen).where(money.c.purse_id == purse_id)
    return {row.n: row.fen for row in connection.execute(wanted)}


def panel(books: Booked, board: LiveBoard, *, cap_fen: int | None, now_ms: int) -> Panel:
    """The room as it is now; on the event loop, because the live picture is there."""
    points = [shown(row, board, price_e4=price_e4, now_ms=now_ms) for row, price_e4 in books.rows]
    purses = [
        _purse(books, board, purse_id, points, cap_fen=cap_fen, now_ms=now_ms)
        for purse_id in books.views
    ]
    return Panel(books.room, tuple(purses), books.recent)


def _purse(
    books: Booked,
    board: LiveBoard,
    purse_id: str,
    points: list[Shown],
    *,
    cap_fen: int | None,
    now_ms: int,
) -> Purse:
    mine = tuple(point for point in points if point.row.purse_id == purse_id)
    view = books.views[purse_id]
    newest = max(mine, key=lambda point: (point.is_live, point.read_ms or 0))
    kept = board.point(newest.row.point_id)
    counts = [newest.row.gateway_count or 0]
    waiting_fen, available = 0, view.available_ticks
    live = kept.point if kept is not None and newest.is_live else None
    if live is not None and live.available_ticks is not None and live.count is not None:
        later = [fen for count, fen in books.granted_fen[purse_id].items() if count > live.count]
        waiting_fen = sum(later)
        available = live.available_ticks + waiting_fen * TICKS_PER_FEN
        counts.append(live.count)
    return Purse(
        purse_id=purse_id,
        points=mine,
        view=view,
        cap_fen=cap_fen,
        waiting_fen=waiting_fen,
        available_ticks=available,
        gateway_count=max(counts),
    )
