"""Persist, then switch, then speak: the performer and the engine with a real journal and file."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from domain.supply import Relay
from domain.wire.fields import CHAIN_START
from domain.wire.intents import InstallationBody
from domain.wire.messages import Watermark
from edge import engine as engines
from edge.effects import Note, Persist, ReadSoon, RebuildBuses, StoreIntent, SwitchRelay
from edge.engine import Engine
from edge.events import Event, IntentArrived, Missed, WatermarkArrived
from edge.faults import InstallationFault, JournalFault
from edge.installation import InstallationFile
from edge.installing import begin
from edge.journal import Journal
from edge.memory import Commit, Written
from edge.performer import Performer
from edge.picture import Rules
from tests.edge.playbook import GATEWAY, PROFILES, Playbook, place

SWITCH = SwitchRelay("p1", "bus-1", Relay.open, 2)


@dataclass
class Diary:
    """Buses and uplink that write down what they are told, and what the journal held then."""

    journal: Journal | None = None
    said: list[tuple[str, int]] = field(default_factory=list)

    def _note(self, what: str) -> None:
        self.said.append((what, -1 if self.journal is None else self.journal.series.head_seq))

    def rebuild(self, installation: InstallationBody) -> None:
        self._note(f"rebuild {len(installation.points)}")

    def switch(self, effect: SwitchRelay) -> None:
        self._note(f"switch {effect.point_id} {effect.wanted}")

    def read_soon(self, effect: ReadSoon) -> None:
        self._note(f"read {effect.point_id}")

    def wake(self) -> None:
        self._note("wake")


@dataclass
class House:
    journal: Journal
    file: InstallationFile
    diary: Diary
    performer: Performer
    engine: Engine


@asynccontextmanager
async def house(tmp_path: Path, book: Playbook) -> AsyncIterator[House]:
    """A gateway over files in `tmp_path`; its clock is the book's."""
    ids = count(1)
    journal, known = await Journal.open(tmp_path / "journal.db", new_id=lambda: f"{next(ids):026d}")
    file = InstallationFile(tmp_path / "installation.json")
    diary = Diary(journal)
    performer = Performer(
        journal=journal,
        installation=file,
        buses=diary,
        wake=diary.wake,
        log=logging.getLogger("test"),
    )
    picture = begin(
        known, file.load(), profiles=PROFILES, rules=Rules(gateway_id=GATEWAY, lost_ms=10**9)
    )
    engine = Engine(picture, performer, now=book.stamp)
    try:
        yield House(journal, file, diary, performer, engine)
    finally:
        await journal.close()


def fact(seq: int) -> Persist:
    return Persist(Commit(facts=(Written(seq, "meter_seen", f'{{"seq":{seq}}}'),)))


@pytest.mark.clause("facts-9", "supply-1")
async def test_a_relay_moves_only_after_its_reason_is_durable(tmp_path: Path) -> None:
    async with house(tmp_path, Playbook()) as it:
        await it.performer.perform((fact(1), SWITCH, ReadSoon("p1", "bus-1")))
        assert it.diary.said == [("wake", 1), ("switch p1 open", 1), ("read p1", 1)]


@pytest.mark.clause("facts-9")
async def test_a_failed_commit_moves_no_relay_and_ends_the_service(tmp_path: Path) -> None:
    async with house(tmp_path, Playbook()) as it:
        broken = Persist(Commit(alarms_cleared=(["no key"],)))  # type: ignore[arg-type]
        with pytest.raises(JournalFault):
            await it.performer.perform((broken, SWITCH))
        assert it.diary.said == []


@pytest.mark.clause("intents-7")
async def test_a_file_that_cannot_be_written_is_not_said_to_be_held(tmp_path: Path) -> None:
    book = Playbook()
    intent = next(iter(book.stored.values()))
    async with house(tmp_path, book) as it:
        (tmp_path / "installation.json.new").mkdir()
        with pytest.raises(InstallationFault):
            await it.performer.perform((StoreIntent(intent), fact(1)))
        assert it.journal.series.head_seq == 0


async def test_notes_reach_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with house(tmp_path, Playbook()) as it:
        with caplog.at_level(logging.INFO, logger="test"):
            await it.performer.perform((Note("warning", "intent_refused", {"kind": "text"}),))
        assert caplog.messages == ["intent_refused kind=text"]


@pytest.mark.clause("facts-9", "intents-7")
async def test_a_gateway_over_real_files_goes_on_after_a_restart(tmp_path: Path) -> None:
    book = Playbook()
    async with house(tmp_path, book) as it:
        for intent in book.stored.values():
            it.engine.emit(IntentArrived(intent))
        await it.engine.turn()
        assert ("rebuild 1", 5) in it.diary.said, "after the intents are held"
        before = it.engine.picture
    book.boot = 2
    async with house(tmp_path, book) as it:
        after = it.engine.picture
        assert after.boot == 2
        assert after.next_seq == before.next_seq
        assert (after.installation, after.pricings, after.policies, after.taken) == (
            before.installation,
            before.pricings,
            before.policies,
            before.taken,
        )
        outgoing = await it.journal.facts_after(0)
        assert '"kind":"journal_opened"' in outgoing.texts[0]


@pytest.mark.clause("facts-9")
async def test_what_the_journal_gives_back_is_what_was_committed(tmp_path: Path) -> None:
    """A long story kept both in memory and in SQLite: the same is known from either."""
    book = Playbook(place(1, purse_id="both"), place(2, purse_id="both"), place(3))
    book.credit("both", 3_000, reservations={"r1": 100, "r2": 9_000})
    book.supply("p3", mode="hold_on", until_ms=book.at_ms + 10**7, command_id="c1")
    for n in (1, 2, 3):
        book.poll(f"p{n}", 1_000 * n)
    for wh in range(0, 400, 20):
        book.wait(10_000)
        for n in (1, 2, 3):
            book.poll(f"p{n}", 1_000 * n + wh)
        while book.switches:
            book.relay_moves(seen=Relay.unknown if wh % 40 else None)
    journal, _ = await Journal.open(tmp_path / "journal.db", new_id=lambda: "j" * 26)
    for commit in book.commits:
        await journal.commit(commit)
    await journal.close()
    again, known = await Journal.open(tmp_path / "journal.db", new_id=lambda: "k" * 26)
    await again.close()
    expected = book.kept.known
    assert {p.point_id: p for p in known.points} == {p.point_id: p for p in expected.points}
    assert {p.purse.purse_id: p for p in known.purses} == {
        p.purse.purse_id: p for p in expected.purses
    }
    assert set(known.taken) == set(expected.taken)
    assert set(known.alarms) == set(expected.alarms)
    assert known.supply == expected.supply
    assert known.series.head_seq == expected.series.head_seq > 20


@pytest.mark.clause("watermark-4")
async def test_a_card_older_than_the_books_opens_a_new_series_in_the_next_cycle(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, Playbook()) as it:
        await it.engine.turn()
        old = it.journal.series.journal_id
        ahead = Watermark(
            journal_id=old,
            books_epoch=0,
            held_seq=50,
            safe_seq=0,
            chain="ab" * 16,
            centre_at_ms=1,
        )
        await it.engine.turn([WatermarkArrived(ahead)])
        assert it.journal.series.head_seq == 0
        await it.engine.turn()
        outgoing = await it.journal.facts_after(0)
        assert outgoing.journal_id != old
        assert outgoing.chain_before == CHAIN_START
        assert '"reason":"rolled_back"' in outgoing.texts[0]
        assert it.engine.picture.journal_id == outgoing.journal_id


async def test_the_engine_turns_when_something_arrives_and_at_least_once_a_second(
    tmp_path: Path,
) -> None:
    book = Playbook()
    async with house(tmp_path, book) as it:
        turned = asyncio.Event()
        engine = Engine(it.engine.picture, it.performer, now=book.stamp, finished=turned.set)
        running = asyncio.ensure_future(engine.run())
        try:
            engine.emit(IntentArrived(next(iter(book.stored.values()))))
            await asyncio.wait_for(turned.wait(), 0.6)
            assert engine.picture.next_seq == 3
            turned.clear()
            await asyncio.wait_for(turned.wait(), 1.6)
        finally:
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_buses_are_told_of_what_is_installed(tmp_path: Path) -> None:
    body = Playbook().picture.installation
    assert body is not None
    async with house(tmp_path, Playbook()) as it:
        await it.performer.perform((RebuildBuses(body),))
        assert it.diary.said == [("rebuild 1", 0)]


async def test_what_waits_for_a_slow_cycle_is_bounded_and_no_intent_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert engines.ARRIVED_MAX == 10_000
    monkeypatch.setattr(engines, "ARRIVED_MAX", 3)
    book = Playbook()
    async with house(tmp_path, book) as it:
        intents = [IntentArrived(intent) for intent in book.stored.values()]
        polls = [Missed("p1", "no_reply", n) for n in range(5)]
        waiting: list[Event] = [*polls[:2], *intents[:2], *polls[2:], *intents[2:]]
        for event in waiting:
            it.engine.emit(event)
        await it.engine.turn()
        wanted = {(event.intent.kind, event.intent.key) for event in intents}
        assert wanted == set(it.engine.picture.taken)
    (said,) = [record.message for record in caplog.records if "dropped" in record.message]
    assert said.startswith("5 polls")
