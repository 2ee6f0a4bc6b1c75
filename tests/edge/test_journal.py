"""The journal loses nothing that it acknowledged, forgets only what is safe, and never pretends."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from domain.credit import Held, Purse
from domain.instants import Stamp, Trust
from domain.supply import Mode, Relay, State
from domain.tariff import Position
from domain.wire.facts import chain
from domain.wire.fields import CHAIN_START
from domain.wire.messages import Watermark
from edge.faults import JournalFault
from edge.journal import Journal
from edge.memory import (
    Alarm,
    CarriedClock,
    Commit,
    Mark,
    PointMemory,
    PurseMemory,
    Recollection,
    SupplyHeld,
    Taken,
    Trips,
    Written,
)

STAMP = Stamp(1_760_000_000_000, Trust.synchronised, 1, 5_000)
POINT = PointMemory(
    point_id="p1",
    meter_id="000012345678",
    incarnation=0,
    register_wh=120_450,
    seen=Mark(120_450, STAMP),
    charged=Mark(120_000, STAMP),
    purse_id="purse1",
    position=Position(1_759_000_000_000, 52_000),
    state=State.tripped,
    decided_seq=7,
    relay=Relay.open,
    interval=42,
    trips=Trips(20_370, 2, 1_760_000_000_000),
)
PURSE = PurseMemory(
    Purse("purse1", 4, 2, 5_000, 123_456, {"r2": Held(100, True)}, "closing"),
    {"r1": False, "r2": True},
    9,
)


def ids() -> Iterator[str]:
    return (f"{n:026d}" for n in count(1))


@asynccontextmanager
async def opened(path: Path, made: Iterator[str]) -> AsyncIterator[tuple[Journal, Recollection]]:
    journal, known = await Journal.open(path, new_id=lambda: next(made))
    try:
        yield journal, known
    finally:
        await journal.close()


def fact(seq: int, size: int = 0) -> Written:
    return Written(seq, "meter_seen", f'{{"kind":"meter_seen","n":"{"电" * size}","seq":{seq}}}')


def facts(first: int, last: int, size: int = 0) -> Commit:
    return Commit(facts=tuple(fact(seq, size) for seq in range(first, last + 1)))


def mark(journal: Journal, held: int, link: str, safe: int = 0, epoch: int = 0) -> Watermark:
    return Watermark(
        journal_id=journal.series.journal_id,
        books_epoch=epoch,
        held_seq=held,
        safe_seq=safe,
        chain=link,
        centre_at_ms=0,
    )


def link_after(seq: int) -> str:
    link = CHAIN_START
    for n in range(1, seq + 1):
        link = chain(link, fact(n).text)
    return link


async def test_a_fresh_journal_gets_an_id_and_counts_its_starts(tmp_path: Path) -> None:
    made = ids()
    for boot in (1, 2, 3):
        async with opened(tmp_path / "journal.db", made) as (journal, known):
            assert (known.series.boot, known.series.head_seq) == (boot, 0)
            assert journal.series.journal_id == f"{1:026d}"
            assert (known.series.reason, known.series.previous_journal_id) == ("first", None)


async def test_everything_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    alarm = Alarm("j-3", "lost_meter", "p1", "warning", "…", 5)
    over = Alarm("j-2", "lost_meter", "p2", "warning", "…", 4)
    supply = SupplyHeld("p1", 9, Mode.hold_on, 1_760_000_100_000, 1, 2, "c1")
    taken = (Taken("credit", "purse1", 4, "held"), Taken("text", "t1", 1, "refused", "no modem"))
    carried = CarriedClock("boot-uuid", 1, 2, 3)
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(Commit(alarms_raised=(over,)))
        await journal.commit(
            Commit((fact(1), fact(2)), (POINT,), (PURSE,), (supply,), taken, (alarm,), ("j-2",), 77)
        )
        await journal.keep_clock(60, carried)
    async with opened(tmp_path / "journal.db", ids()) as (journal, known):
        assert known.points == (POINT,)
        assert known.purses == (PURSE,)
        assert known.supply == (supply,)
        assert set(known.taken) == set(taken)
        assert known.alarms == (alarm,)
        assert (known.floor_ms, known.carried) == (77, carried)  # a floor never goes back
        assert known.series.head_seq == 2
        assert (await journal.facts_after(0)).texts == (fact(1).text, fact(2).text)


@pytest.mark.clause("facts-1")
async def test_facts_leave_in_order_within_both_limits(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(facts(1, 250))
        first = await journal.facts_after(0)
        assert (first.first_seq, first.last_seq, first.chain_before) == (1, 200, CHAIN_START)
        rest = await journal.facts_after(first.last_seq)
        assert (rest.first_seq, rest.last_seq) == (201, 250)
        assert rest.chain_before == link_after(200)
        assert (await journal.facts_after(250)).texts == ()
        await journal.commit(facts(251, 255, size=40_000))  # 120 kB each: three bytes a character
        heavy = await journal.facts_after(250)
        assert (heavy.first_seq, heavy.last_seq) == (251, 252)
        one = await journal.facts_after(250, limit_bytes=10)
        assert one.last_seq == 251, "a fact larger than the limit still has to go"


async def test_facts_that_do_not_join_are_our_own_error(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(facts(1, 3))
        with pytest.raises(AssertionError):
            await journal.commit(facts(5, 5))


@pytest.mark.clause("facts-9")
async def test_a_commit_is_all_or_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(facts(1, 1))
        broken = Commit((fact(2),), (POINT,), alarms_cleared=(["not", "a", "key"],))  # type: ignore[arg-type]
        with pytest.raises(JournalFault):
            await journal.commit(broken)
        with pytest.raises(JournalFault, match="failed before"):
            await journal.commit(facts(2, 2))
    async with opened(tmp_path / "journal.db", ids()) as (_, known):
        assert (known.series.head_seq, known.points) == (1, ())


@pytest.mark.clause("watermark-2", "watermark-3")
async def test_the_watermark_moves_forward_and_prunes_what_is_safe(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(facts(1, 10))
        assert await journal.watermark(mark(journal, 6, link_after(6), safe=4)) == "taken"
        assert (journal.series.held_seq, journal.series.safe_seq) == (6, 4)
        assert await journal.watermark(mark(journal, 5, link_after(5))) == "ignored"
        assert journal.series.held_seq == 6
        left = await journal.facts_after(0)
        assert (left.first_seq, left.chain_before) == (5, link_after(4))
        await journal.prune(9)
        assert (await journal.facts_after(0)).first_seq == 7, "never beyond what is held"
    async with opened(tmp_path / "journal.db", ids()) as (journal, known):
        assert (known.series.held_seq, known.series.head_seq) == (6, 10)
        assert await journal.watermark(mark(journal, 10, link_after(10), safe=10)) == "taken"
        assert (await journal.facts_after(0)).texts == ()
        assert journal.series.head_seq == 10
        await journal.commit(facts(11, 11))
        assert (await journal.facts_after(10)).chain_before == link_after(10)


@pytest.mark.clause("watermark-3")
async def test_restored_books_ask_again_under_a_higher_epoch(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(facts(1, 10))
        await journal.watermark(mark(journal, 8, link_after(8), safe=3))
        assert await journal.watermark(mark(journal, 4, link_after(4), epoch=1)) == "taken"
        assert (journal.series.books_epoch, journal.series.held_seq) == (1, 4)
        assert (await journal.facts_after(4)).first_seq == 5
        assert await journal.watermark(mark(journal, 9, link_after(9), epoch=0)) == "ignored"


@pytest.mark.clause("watermark-4")
@pytest.mark.parametrize("beyond", [True, False], ids=["held beyond the head", "another chain"])
async def test_a_card_older_than_the_books_begins_a_new_series(
    tmp_path: Path, beyond: bool
) -> None:
    made = ids()
    async with opened(tmp_path / "journal.db", made) as (journal, _):
        await journal.commit(facts(1, 5))
        old = journal.series.journal_id
        held = 9 if beyond else 5
        assert await journal.watermark(mark(journal, held, "ab" * 16)) == "rolled_back"
        series = journal.series
        assert series.journal_id != old
        assert (series.reason, series.previous_journal_id, series.head_seq) == (
            "rolled_back",
            old,
            0,
        )
        await journal.commit(facts(1, 1))
        assert (await journal.facts_after(0)).chain_before == CHAIN_START
    with sqlite3.connect(tmp_path / "journal.db") as db:
        kept = db.execute("SELECT count(*) FROM closed_facts WHERE journal_id = ?", (old,))
        assert kept.fetchone()[0] == 5, "facts of the old series are put aside, not thrown away"
    db.close()


async def test_another_journals_watermark_has_no_effect(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(facts(1, 2))
        foreign = mark(journal, 9, "00" * 16).model_copy(update={"journal_id": "another"})
        assert await journal.watermark(foreign) == "ignored"
        assert journal.series.held_seq == 0


async def test_a_second_process_is_turned_away(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()):
        with pytest.raises(JournalFault, match="another process holds it"):
            async with opened(tmp_path / "journal.db", ids()):
                pytest.fail("two writers")
    async with opened(tmp_path / "journal.db", ids()) as (_, known):
        assert known.series.boot == 2


@pytest.mark.parametrize("damage", ["not a database", "another program's", "torn page", "altered"])
async def test_a_journal_that_cannot_be_trusted_is_a_fault(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "journal.db"
    async with opened(path, ids()) as (journal, _):
        await journal.commit(facts(1, 60, size=200))
    if damage == "not a database":
        path.write_bytes(b"wattledger" * 1000)
    elif damage == "another program's":
        path.unlink()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE mine (x)")
        db.close()
    elif damage == "torn page":
        content = bytearray(path.read_bytes())
        content[4096:] = bytes(len(content) - 4096)
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as db:
            db.execute("UPDATE facts SET text = replace(text, '电', '水') WHERE seq = 30")
        db.close()
    before = path.read_bytes()
    with pytest.raises(JournalFault, match=r"journal\.db"):
        async with opened(path, ids()):
            pytest.fail("opened")
    assert path.read_bytes() == before


async def test_the_file_is_opened_as_promised(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", ids()) as (journal, _):
        await journal.commit(facts(1, 1))
        file = journal._file
        answers = await journal._do(
            lambda: {
                name: file._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "locking_mode")
            }
        )
        assert answers == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}


def child(path: Path, acknowledged: int) -> None:
    """Commit one fact and its point after another, and say each number once it is durable."""

    async def commit_for_ever() -> None:
        journal, known = await Journal.open(path, new_id=lambda: "j")
        seq = known.series.head_seq
        while True:
            seq += 1
            await journal.commit(Commit((fact(seq),), (point_at(seq),)))
            os.write(acknowledged, seq.to_bytes(8, "big"))

    asyncio.run(commit_for_ever())


def point_at(seq: int) -> PointMemory:
    return PointMemory("p1", "m1", 0, seq, Mark(seq, STAMP), Mark(seq, STAMP), None, Position(0, 0))


@pytest.mark.clause("facts-9")
def test_no_acknowledged_commit_is_lost_over_fifty_kills(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    last = 0
    for round_ in range(50):
        read_end, write_end = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(read_end)
            try:
                child(path, write_end)
            finally:
                os._exit(1)
        os.close(write_end)
        with os.fdopen(read_end, "rb", buffering=0) as pipe:
            for _ in range(1 + round_ % 5):
                word = pipe.read(8)
                assert len(word) == 8, "the child died by itself"
                last = int.from_bytes(word, "big")
            os.kill(process, signal.SIGKILL)
            while word := pipe.read(8):
                last = int.from_bytes(word, "big")
        os.waitpid(process, 0)

    async def look() -> None:
        async with opened(path, ids()) as (journal, known):
            assert known.series.boot == 51
            assert known.series.head_seq in (last, last + 1), "one may be kept and not said"
            assert known.points[0].register_wh == known.series.head_seq, "fact without its row"
            link, seq = CHAIN_START, 0
            while texts := (await journal.facts_after(seq)).texts:
                for text in texts:
                    seq, link = seq + 1, chain(link, text)
            assert seq == known.series.head_seq
            assert (await journal.facts_after(seq)).chain_before == link

    asyncio.run(look())
