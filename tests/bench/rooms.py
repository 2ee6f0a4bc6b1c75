"""A campus as its cashier sees it: the wall, a sale, and what the books say of it since."""

import json
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from tests.journeys.campus import Campus
from tests.journeys.till import Browser

WITHIN_S = 30.0
LOOK_AGAIN_S = 0.01


def meters_live(campus: Campus) -> int:
    """How many meters the office calls live."""
    with urllib.request.urlopen(f"{campus.url}/healthz", timeout=WITHIN_S) as answer:
        live: int = json.load(answer)["meters_live"]
    return live


@dataclass(frozen=True, slots=True)
class Room:
    """A room of the books with its one meter."""

    room_id: str
    purse_id: str
    point_id: str
    meter_id: str


class Till:
    """A signed-in cashier, and the books read beside the office."""

    def __init__(self, campus: Campus) -> None:
        self._campus = campus
        self._browser = Browser(campus.url)
        self._browser.sign_in("cashier", campus.logins["cashier"])
        self._books = sqlite3.connect(f"file:{campus.folder.root / 'books.db'}?mode=ro", uri=True)
        self._hand = ThreadPoolExecutor(1)

    def close(self) -> None:
        self._hand.shutdown()
        self._books.close()

    def rooms(self, *, granted_fen: int | None = None, at_least_fen: int = 0) -> list[Room]:
        """Rooms that were sold exactly this, or at least that."""
        rows = self._books.execute(
            "SELECT room_id, purse_id, point_id, meter_id FROM points JOIN purses USING (purse_id)"
            " WHERE granted_fen = coalesce(?, granted_fen) AND granted_fen >= ? ORDER BY meter_id",
            (granted_fen, at_least_fen),
        )
        return [Room(*row) for row in rows]

    def held_count(self, room: Room) -> int:
        """The purchase count that the books know to be in the gateway's journal."""
        return int(
            self._cell("SELECT gateway_count FROM purse_states WHERE purse_id = ?", room.purse_id)
        )

    def relay(self, room: Room) -> str:
        """The contact as read back last, as booked."""
        return str(self._cell("SELECT relay FROM point_states WHERE point_id = ?", room.point_id))

    def _cell(self, sql: str, key: str) -> Any:
        (cell,) = self._books.execute(sql, (key,)).fetchone()
        return cell

    def sell_held_s(self, room: Room, yuan: str) -> float:
        """Sell; the seconds until the books know that the gateway's journal holds it."""
        count = self.held_count(room)
        return self._sell(room, yuan, lambda: self.held_count(room) > count)

    def sell_lit_s(self, room: Room, yuan: str) -> float:
        """Sell to a dark room; the seconds until the books know that its relay reads closed."""
        return self._sell(room, yuan, lambda: self.relay(room) == "closed")

    def wait_dark(self, room: Room) -> None:
        """Until the books know that the room's relay reads open."""
        wait_until(lambda: self.relay(room) == "open")

    def _sell(self, room: Room, yuan: str, until: Callable[[], bool]) -> float:
        """From the moment at which the form is sent."""
        form = self._browser.get(f"/sell?room={room.room_id}").form("request_id", "amount")
        fields = form.fields | {"amount": yuan, "method": "cash"}
        began_s = time.monotonic()
        sent = self._hand.submit(self._browser.send, form.action, fields)
        taken_s = wait_until(until) - began_s
        page = sent.result()
        assert page.status == 200, page.text
        return taken_s

    def wall(self) -> "Generator[Wall, None, None]":
        """The wall after every message that a browser gets, from now on; close it."""
        request = urllib.request.Request(urljoin(self._campus.url, "/wall/live"))
        wall = Wall()
        with closing(self._browser._opener.open(request, timeout=WITHIN_S)) as stream:
            for line in stream:
                if line.startswith(b"data: "):
                    wall.hear(json.loads(line.removeprefix(b"data: ")))
                    yield wall


@dataclass(slots=True)
class Wall:
    """What stands on the wall. `oldest_ms`: the oldest reading that stood there until `now_ms`."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    now_ms: int = 0
    oldest_ms: int = 0

    def hear(self, said: dict[str, Any]) -> None:
        self.now_ms = said["now_ms"]
        if self.rows:
            self.oldest_ms = self.now_ms - min(row["read_ms"] or 0 for row in self.rows.values())
        rows = said["rows"]
        if said["full"]:
            rows = [dict(zip(said["names"], row, strict=True)) for row in rows]
        for row in rows:
            self.rows[row["id"]] = self.rows.get(row["id"], {}) | row


def wait_until(holds: Callable[[], bool]) -> float:
    """When it first held, on the monotonic clock; fails when that takes too long."""
    deadline_s = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline_s, "waited too long"
        time.sleep(LOOK_AGAIN_S)
    return time.monotonic()
