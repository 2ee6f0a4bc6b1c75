"""Whatever is done with money, in whatever order, the books stay whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select

from central import books, tally
from central.sales import service as sales
from central.sales import tables
from central.schema import metadata
from domain.ledger import Method
from domain.refusals import Refusal
from tests.central.campus import CASHIER, NOW_MS, SUPERVISOR, build, ids, open_room
from tests.central.sound import check_books

Step = tuple[str, int, int]  # what, which of the possible ones, how much
CAP_FEN = 20_000

steps = st.lists(
    st.tuples(
        st.sampled_from(["sell", "refund", "reverse", "accept", "refuse", "cancel", "again"]),
        st.integers(0, 5),
        st.sampled_from([-1, 0, 1, 700, 5_000, 19_000]),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
def empty() -> Iterator[Connection]:
    """A connection to a database in memory, with one purse in it and nothing else."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        with _guarded(connection):
            metadata.create_all(connection)
            new_id = ids()
            campus = build(connection, new_id)
            open_room(connection, campus.room_ids[0], new_id, fen=None)
        connection.commit()
        yield connection
    engine.dispose()


@contextmanager
def _guarded(connection: Connection) -> Iterator[None]:
    tally.begin(connection)
    yield
    tally.check(connection)
    tally.end(connection)


class Desk:
    """Everything a till and a gateway can do to one purse."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.new_id = ids(1 << 50)
        self.purse_id = connection.execute(select(tables.purses.c.purse_id)).scalar_one()
        self.last: Callable[[], object] | None = None
        self.paid_in_fen: dict[str, int] = {}

    def do(self, step: Step) -> None:
        what, which, fen = step
        with _guarded(self.connection):
            getattr(self, what)(which, fen)
        check_books(self.connection)

    def who(self) -> dict[str, Any]:
        return {"actor": SUPERVISOR, "now_ms": NOW_MS, "new_id": self.new_id}

    def sell(self, which: int, fen: int) -> None:
        method = list(Method)[which % 2]
        request: dict[str, Any] = {
            "request_id": self.new_id(),
            "purse_id": self.purse_id,
            "fen": fen,
        }
        till = sales.Till(issuing_point="ab"[which % 2], cap_fen=CAP_FEN)
        self.last = lambda: self._noted(
            sales.sell(self.connection, **self.who(), **request, method=method, till=till)
        )
        self.last()

    def refund(self, which: int, fen: int) -> None:
        method = list(Method)[which % 2]
        request: dict[str, Any] = {
            "request_id": self.new_id(),
            "purse_id": self.purse_id,
            "fen": fen,
        }
        self.last = lambda: sales.ask_refund(
            self.connection, **self.who(), **request, method=method, reason="退"
        )
        self.last()

    def reverse(self, which: int, fen: int) -> None:
        events = tables.money_events
        found = select(events.c.event_id).order_by(events.c.count.desc()).offset(which % 2).limit(1)
        event_id = self.connection.scalar(found) or "none"
        request: dict[str, Any] = {
            "request_id": self.new_id(),
            "event_id": event_id,
            "below_zero": fen < 0,
        }
        self.last = lambda: sales.ask_reversal(
            self.connection, **self.who(), **request, reason="错"
        )
        self.last()

    def accept(self, which: int, fen: int) -> None:
        self._answer(which, accepted=True)

    def refuse(self, which: int, fen: int) -> None:
        self._answer(which, accepted=False)

    def cancel(self, which: int, fen: int) -> None:
        reservation_id = self._asked(which)
        sales.cancel_reservation(
            self.connection, actor=CASHIER, now_ms=NOW_MS, reservation_id=reservation_id
        )

    def again(self, which: int, fen: int) -> None:
        """The last form once more: a repeat of what was done changes nothing."""
        before = self._counted()
        first = None if self.last is None else repr(self.last())
        if "Refusal" not in (first or ""):
            assert self._counted() == before

    def _noted(self, sold: sales.Receipt | Refusal) -> sales.Receipt | Refusal:
        if isinstance(sold, sales.Receipt):
            self.paid_in_fen[sold.event_id] = sold.total_fen
        return sold

    def _answer(self, which: int, *, accepted: bool) -> None:
        sales.reservation_answered(
            self.connection,
            reservation_id=self._asked(which),
            accepted=accepted,
            now_ms=NOW_MS,
            new_id=self.new_id,
        )

    def _asked(self, which: int) -> str:
        asked = tables.reservations
        found = list(
            self.connection.execute(
                select(asked.c.reservation_id).order_by(asked.c.reservation_id)
            ).scalars()
        )
        return found[which % len(found)] if found else "none"

    def _counted(self) -> tuple[int, int]:
        body = sales.credit_body(self.connection, self.purse_id)
        return body.count, len(body.reservations)


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_the_books_stay_whole(empty: Connection, steps: list[Step]) -> None:
    with empty.begin() as everything:
        desk = Desk(empty)
        for step in steps:
            desk.do(step)
        cash = sum(books.balance_fen(empty, f"cash:{method}") for method in Method)
        granted = sales.credit_body(empty, desk.purse_id).granted_fen
        assert cash == granted, "without openings, what the house holds is what it owes"
        assert granted <= sum(desk.paid_in_fen.values())
        for method in list(Method)[:2]:
            held = books.balance_fen(empty, f"cash:{method}")
            assert held >= 0, f"more went out by {method} than came in"
        everything.rollback()
