"""What the till knows of a room before money is taken: who, how much is left, how much may be sold.

A figure of the gateway leads where it is fresh; money that the gateway has not taken yet is added
to it, so that what is shown is what the holder has paid for. Whether a sale is allowed is decided
on the books, as `domain.sales` decides it.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from central.display import worth_wh
from central.metering.live import LiveBoard
from central.metering.picture import Shown, priced, shown
from central.rooms import queries as rooms
from central.rooms.queries import Room, WallRow
from central.sales import events, queries, receipts, tables
from central.sales.queries import EventRow
from domain import credit
from domain.credit import Level, Thresholds
from domain.ledger import Kind, Method
from domain.refusals import Refusal
from domain.sales import PurseView, decide_sale
from domain.supply import State
from domain.units import AMOUNT_MAX_FEN, TICKS_PER_FEN, fen_floor

RECENT = 5
QUICK_FEN = (2_000, 5_000, 10_000, 20_000, 30_000, 50_000)
Follows = Literal["", "held_off", "lights", "stays_dark", "clears", "still_low"]


@dataclass(frozen=True, slots=True)
class Purse:
    """A purse at the till. Ticks and fen; `available_ticks` as known now, paid money included.

    `waiting_fen`: of it, what the gateway has not taken yet. `gateway_count`: the purchase count
    as far as the gateway has said. `cap_fen` None: this site has no hoarding cap.
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
        """The point that was read last: its time stands for the purse."""
        return newest(self.points)

    @property
    def available_fen(self) -> int:
        """What is available now, rounded down."""
        return fen_floor(self.available_ticks)

    @property
    def room_fen(self) -> int | None:
        """The largest sale that the cap allows now, by the books; 0 where it allows none."""
        if self.cap_fen is None:
            return None
        held_fen = -(-self.view.available_ticks // TICKS_PER_FEN)
        return max(0, min(self.cap_fen - held_fen, AMOUNT_MAX_FEN))

    @property
    def quick(self) -> tuple[tuple[int, bool], ...]:
        """Usual amounts in fen, and whether each may be sold now."""
        return tuple((fen, self.room_fen is None or fen <= self.room_fen) for fen in QUICK_FEN)

    @property
    def price_e4(self) -> int | None:
        """The price of the next kWh, where all meters of the purse have the same."""
        prices = {point.price_e4 for point in self.points}
        return prices.pop() if len(prices) == 1 else None

    def worth_wh(self, ticks: int) -> int | None:
        """What an amount buys at the price of the next kWh, where that is known."""
        return None if self.price_e4 is None else worth_wh(ticks, self.price_e4)

    def refusal(self, fen: int) -> Refusal | None:
        """Why `fen` could not be sold now, or None."""
        decided = decide_sale(self.view, fen=fen, method=Method.cash, cap_fen=self.cap_fen)
        return decided if isinstance(decided, Refusal) else None

    def follows(self, after_ticks: int) -> Follows:
        """What a balance of `after_ticks` will do to the room, as a code."""
        supplies = {point.supply for point in self.points}
        if State.held_off in supplies:
            return "held_off"
        limits = _thresholds(self.newest.row)
        before = credit.level(self.available_ticks, limits)
        after = credit.level(after_ticks, limits)
        if State.tripped in supplies:
            return "stays_dark" if after is Level.spent else "lights"
        if after > Level.ok:
            return "still_low"
        return "clears" if before > Level.ok else ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What selling an amount would do. `fen` None: nothing sensible is typed yet."""

    purse: Purse
    fen: int | None = None
    refusal: Refusal | None = None

    @property
    def after_ticks(self) -> int | None:
        """The balance after the sale, where it is allowed."""
        if self.fen is None or self.refusal is not None:
            return None
        return self.purse.available_ticks + self.fen * TICKS_PER_FEN

    @property
    def after_fen(self) -> int | None:
        """The same in fen, rounded down."""
        return None if self.after_ticks is None else fen_floor(self.after_ticks)

    @property
    def bought_wh(self) -> int | None:
        """What the amount buys at the price of the next kWh."""
        return None if self.fen is None else self.purse.worth_wh(self.fen * TICKS_PER_FEN)

    @property
    def words(self) -> str | None:
        """The amount as 大写."""
        return None if self.fen is None else receipts.words(self.fen)

    @property
    def used_permille(self) -> tuple[int, int] | None:
        """How much of the cap is used now, and more after the sale; None without a cap."""
        if self.purse.cap_fen is None:
            return None
        now = _permille(self.purse.available_fen, self.purse.cap_fen)
        after = self.purse.available_fen + (self.fen or 0)
        return now, _permille(after, self.purse.cap_fen) - now


def _permille(fen: int, cap_fen: int) -> int:
    return min(1_000, max(0, fen) * 1_000 // cap_fen)


@dataclass(frozen=True, slots=True)
class Panel:
    """A room at the till: its purses in the order of their circuits, and its latest money."""

    room: Room
    points: tuple[Shown, ...]
    purses: tuple[Purse, ...]
    recent: tuple[EventRow, ...]

    @property
    def last_sale(self) -> EventRow | None:
        """The latest sale among the latest money; None where there is none."""
        return next((event for event in self.recent if event.kind is Kind.sale), None)

    def purse(self, purse_id: str | None) -> Purse | None:
        """The purse that was chosen, else the first; None where nobody holds the room."""
        chosen = (each for each in self.purses if each.purse_id == purse_id)
        return next(chosen, self.purses[0] if self.purses else None)


@dataclass(frozen=True, slots=True)
class Booked:
    """What `panel` needs of the books, read at one cut. `rows` come with their prices."""

    room: Room
    rows: tuple[tuple[WallRow, int | None], ...]
    views: dict[str, PurseView]
    added_fen: dict[str, dict[int, int]]  # purse → count → what that event added to granted
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
        added_fen={purse_id: _added(connection, purse_id) for purse_id in purse_ids},
        recent=recent,
    )


def _added(connection: Connection, purse_id: str) -> dict[int, int]:
    money = tables.money_events
    wanted = select(money.c["count"].label("n"), money.c.fen).where(money.c.purse_id == purse_id)
    return {row.n: row.fen for row in connection.execute(wanted)}


def panel(books: Booked, board: LiveBoard, *, cap_fen: int | None, now_ms: int) -> Panel:
    """The room as it is now; on the event loop, because the live picture is there."""
    points = tuple(
        shown(row, board, price_e4=price_e4, now_ms=now_ms) for row, price_e4 in books.rows
    )
    purses = tuple(_purse(books, purse_id, points, cap_fen=cap_fen) for purse_id in books.views)
    return Panel(books.room, points, purses, books.recent)


def newest(points: tuple[Shown, ...]) -> Shown:
    """The point that was read last."""
    return max(points, key=lambda point: (point.is_live, point.read_ms or 0))


def _purse(
    books: Booked, purse_id: str, points: tuple[Shown, ...], *, cap_fen: int | None
) -> Purse:
    mine = tuple(point for point in points if point.row.purse_id == purse_id)
    view, read_last = books.views[purse_id], newest(mine)
    waiting_fen, available = 0, view.available_ticks
    live = read_last.live.point if read_last.live is not None and read_last.is_live else None
    if live is not None and live.available_ticks is not None and live.count is not None:
        held = live.count
        waiting_fen = sum(fen for count, fen in books.added_fen[purse_id].items() if count > held)
        available = live.available_ticks + waiting_fen * TICKS_PER_FEN
    return Purse(
        purse_id=purse_id,
        points=mine,
        view=view,
        cap_fen=cap_fen,
        waiting_fen=waiting_fen,
        available_ticks=available,
        gateway_count=max(point.held_count for point in mine),
    )


def _thresholds(row: WallRow) -> Thresholds:
    if row.alarm_1_fen is None or row.alarm_2_fen is None:
        return Thresholds(alarm_1_fen=0, alarm_2_fen=0)
    return Thresholds(row.alarm_1_fen, row.alarm_2_fen, row.overdraft_fen or 0)
