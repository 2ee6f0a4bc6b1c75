"""However the broker treats batches (lost, doubled, cut, reordered), the books end the same."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from central.database import Database, metadata
from central.gateways import service as gateways
from central.metering import service as metering
from central.metering.service import Prices
from tests.central.campus import NOW_MS, TECHNICIAN, Campus, build, ids, open_room
from tests.central.voice import MINUTE_MS, Voice, charge

KWH = 5_600_000
NEW_JOURNAL = "01jh2kzzzzzzzzzzzzzzzzzzz1"
FOLLOWS_FROM = (
    "facts", "readings", "charges", "purse_states", "point_states", "meter_totals",
    "tier_positions", "quarantine", "supply_log", "openings", "differences", "alarms",
)  # fmt: skip


class Books:
    """Books that are rolled back after each story, so that hundreds can be told."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.new_id, self.prices = connection, ids(10_000), Prices()
        self.campus: Campus = build(connection, self.new_id)
        for gateway_id in ("g1", "g2"):
            gateways.add_gateway(
                connection, actor=TECHNICIAN, now_ms=NOW_MS, gateway_id=gateway_id, name=gateway_id
            )
        self.purse = open_room(connection, self.campus.room_ids[0], self.new_id).purse_ids[0]

    def hears(self, arrived: Sequence[metering.Arrived]) -> list[metering.Ingested]:
        return metering.ingest_all(self.connection, arrived, new_id=self.new_id, prices=self.prices)

    def all_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        tables = (metadata.tables[name] for name in FOLLOWS_FROM)
        return {
            table.name: sorted(map(tuple, self.connection.execute(select(table))), key=str)
            for table in tables
        }


def _story(books: Books) -> Voice:
    """Fifteen intervals, one of them overlapping, with unreadable facts and alarms between."""
    voice, point = Voice(), books.campus.point_ids[0]
    voice.opens()
    total_wh = charged = 0
    for n in range(15):
        voice.reads(point, total_wh + 100 * n)
        again = n == 9  # charged already: set aside, whatever way it comes
        from_wh = total_wh - 50 if again else total_wh
        row = charge(books.purse, point, from_wh, total_wh + 100 * n, charged)
        voice.charges(row)
        if not again:
            total_wh, charged = row["to_wh"], row["charged_ticks"]
        if n % 5 == 3:
            voice.say("weather", n=n)
            alarm = {"alarm_id": f"a-{n}", "code": "lost_meter", "subject_id": point}
            voice.say("alarm_raised", **alarm, severity="warning", detail="")
    return voice


@st.composite
def _ways(draw: st.DrawFn, head_seq: int = 37) -> list[list[tuple[int, int]]]:
    """Groups of batches (first, last) as a broker may hand them on: any cut, any order, repeats."""
    batch = st.tuples(st.integers(1, head_seq), st.integers(0, 12)).map(
        lambda cut: (cut[0], min(cut[0] + cut[1], head_seq))
    )
    return draw(st.lists(st.lists(batch, min_size=1, max_size=4), max_size=25))


async def _in_a_transaction(database: Database, tell: Any) -> None:
    class UndoError(Exception):
        pass

    def told(connection: Connection) -> None:
        tell(Books(connection))
        raise UndoError

    with pytest.raises(UndoError):
        await database.write(told)


async def _fresh(folder: Path) -> Database:
    database = await Database.open(f"sqlite:///{folder / 'central.db'}")
    await database.write(metadata.create_all)
    return database


@pytest.mark.clause("facts-7", "facts-11")
def test_whatever_the_broker_does_the_books_end_the_same(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(_fresh(tmp_path))
        straight: dict[str, list[tuple[Any, ...]]] = {}

        def straight_through(books: Books) -> None:
            voice = _story(books)
            assert voice.head_seq == 37
            books.hears([voice.arrives()])
            straight.update(books.all_rows())
            assert len(straight["quarantine"]) == 5
            assert len(straight["charges"]) == 13

        runner.run(_in_a_transaction(database, straight_through))

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(ways=_ways())
        def any_way(ways: list[list[tuple[int, int]]]) -> None:
            def tell(books: Books) -> None:
                voice = _story(books)
                held = 0
                for group in ways:
                    for answer in books.hears([voice.arrives(*cut) for cut in group]):
                        assert answer.held_seq >= held, "a watermark never goes back"
                        assert answer.chain == voice.chains[answer.held_seq]
                        held = answer.held_seq
                books.hears([voice.arrives(held + 1)] if held < voice.head_seq else [])
                assert books.all_rows() == straight

            runner.run(_in_a_transaction(database, tell))

        any_way()
        runner.run(database.close())


async def test_a_story_split_between_two_cards_books_each_watt_hour_once(
    tmp_path: Path,
) -> None:
    """The old card's last facts come late: its successor has charged from the hand-over."""
    database = await _fresh(tmp_path)

    def tell(books: Books) -> None:
        point = books.campus.point_ids[0]
        old, new = Voice(), Voice(NEW_JOURNAL, key_epoch=2, at_ms=NOW_MS + 90 * MINUTE_MS)
        old.opens()
        for n in range(4):
            old.charges(charge(books.purse, point, n * 1_000, n * 1_000 + 1_000, n * KWH))
        new.opens("replaced", old.journal_id)
        new.charges(charge(books.purse, point, 2_000, 5_000, 2 * KWH))
        books.hears([old.arrives(1, 3)])
        books.hears([new.arrives(1, 1)])
        books.hears([old.arrives(4)])
        books.hears([new.arrives(2)])
        rows = books.all_rows()
        assert [(row[7], row[8]) for row in rows["charges"]] == [(0, 1_000), (1_000, 2_000),
                                                               (2_000, 5_000)]  # fmt: skip
        assert [row[5] for row in rows["quarantine"]] == ["journal_closed", "energy_gap"]

    await _in_a_transaction(database, tell)
    await database.close()
