"""The meter wall 电表墙: all meters as rows for a browser, and what changed since it last heard.

A row holds codes and integers only, so that one message serves every browser in either language;
words, units and colours stand in the page. Rows are written once a round for all who look.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from central.database import Database
from central.display import worth_wh
from central.metering.live import LiveBoard
from central.metering.picture import Shown, picture
from domain.units import fen_floor

PERIOD_S = 2.0  # a round at most this often
Row = Mapping[str, str | int | None]


def as_row(shown: Shown) -> Row:
    """A meter in codes and integers: fen, Wh, W, 10⁻⁴ yuan/kWh, UTC ms; null is not known."""
    row, ticks = shown.row, shown.available_ticks
    worth = None if ticks is None or shown.price_e4 is None else worth_wh(ticks, shown.price_e4)
    opened = ticks is not None
    return {
        "id": row.point_id,
        "room_id": row.room_id,
        "building": row.building_id,
        "floor": row.floor,
        "house": row.building,
        "room": row.room,
        "circuit": row.circuit,
        "meter": row.meter_id,
        "account": row.account_id,
        "holder": row.holder,
        "state": shown.state.name,
        "wh": shown.total_wh,
        "used_fen": fen_floor(row.charged_ticks or 0) if opened else None,
        "left_fen": None if ticks is None else fen_floor(ticks),
        "left_wh": worth,
        "w": shown.power_w,
        "relay": shown.relay.value,
        "control": shown.control,
        "alarm_1_fen": row.alarm_1_fen if opened else None,
        "alarm_2_fen": row.alarm_2_fen if opened else None,
        "count": row.count if opened else None,
        "price_e4": shown.price_e4,
        "profile": row.profile,
        "read_ms": shown.read_ms,
    }


def message(rows: Iterable[Row], *, now_ms: int, full: bool) -> str:
    """One message to browsers: all rows (names once, then values), or what changed of some."""
    listed = list(rows)
    body: dict[str, object] = {"now_ms": now_ms, "full": full}
    if full:
        body["names"] = list(listed[0]) if listed else []
        body["rows"] = [list(row.values()) for row in listed]
    else:
        body["rows"] = listed
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def changes(before: Mapping[str, Row], after: Iterable[Row]) -> list[Row]:
    """Of each row that differs: its id and the fields that do; whole rows where one is new."""
    found: list[Row] = []
    for row in after:
        known = before.get(str(row["id"]))
        if known is None:
            found.append(row)
        elif known != row:
            differing = {name: value for name, value in row.items() if known[name] != value}
            found.append({"id": row["id"], **differing})
    return found


@dataclass(eq=False, slots=True)
class _Round:
    """What was said, and a promise of what comes next (None: nothing, the office closes)."""

    said: str
    following: "asyncio.Future[_Round | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class WallFeed:
    """The rounds that all walls share. They run only while somebody looks.

    A browser that is slow misses nothing: it is told the rounds it has not heard one by one.
    """

    def __init__(
        self,
        database: Database,
        board: LiveBoard,
        now_ms: Callable[[], int],
        *,
        period_s: float = PERIOD_S,
    ) -> None:
        self._database, self._board, self._now_ms = database, board, now_ms
        self._period_s = period_s
        self._viewers = 0
        self._rows: Mapping[str, Row] = {}  # as last said
        self._last: _Round | None = None
        self._task: asyncio.Task[None] | None = None

    async def rows(self) -> list[Row]:
        """All meters as they are now."""
        shown = await picture(self._database, self._board, now_ms=self._now_ms())
        return [as_row(each) for each in shown]

    async def listen(self) -> AsyncGenerator[str]:
        """A whole picture, then every round that changes something, for ever."""
        self._viewers += 1
        try:
            heard = await self._joined()
            yield message(self._rows.values(), now_ms=self._now_ms(), full=True)
            while (following := await asyncio.shield(heard.following)) is not None:
                heard = following
                yield heard.said
        finally:
            self._viewers -= 1
            if not self._viewers:
                await self.close()

    async def close(self) -> None:
        """Stop the rounds and let go of those who listen."""
        task, last = self._task, self._last
        self._task = self._last = None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if last is not None and not last.following.done():
            last.following.set_result(None)

    async def _joined(self) -> _Round:
        if self._last is None:
            rows = await self.rows()
            if self._last is None:  # nobody else began meanwhile
                self._rows, self._last = _by_id(rows), _Round("")
                # Nobody waits for it: its failure is handed to whoever listens to the rounds.
                rounds = self._run(self._last)
                self._task = asyncio.get_running_loop().create_task(rounds, name="wall")
        return self._last

    async def _run(self, last: _Round) -> None:
        try:
            rounds = self._board.subscribe(period_s=self._period_s, idle_s=self._period_s)
            async with aclosing(rounds) as each:
                async for _ in each:
                    last = await self._round(last)
        except Exception as error:  # noqa: BLE001 - raised again at those who listen
            self._task = self._last = None  # whoever comes next begins anew
            last.following.set_exception(error)

    async def _round(self, last: _Round) -> _Round:
        rows = await self.rows()
        gone = not self._rows.keys() <= {str(row["id"]) for row in rows}
        differing = rows if gone else changes(self._rows, rows)
        self._rows = _by_id(rows)
        self._last = following = _Round(message(differing, now_ms=self._now_ms(), full=gone))
        last.following.set_result(following)
        return following


def _by_id(rows: Iterable[Row]) -> Mapping[str, Row]:
    return {str(row["id"]): row for row in rows}
