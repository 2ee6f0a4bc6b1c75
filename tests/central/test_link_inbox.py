"""The inbox and the queue before it, without a broker: bounds, and messages of the past."""

import json

import aiomqtt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central import link
from central.inbox import BATCHES_A_GATEWAY, Inbox
from central.metering.live import LiveBoard
from domain.wire.envelope import gateway_secret
from domain.wire.topics import Kind, Topics
from tests.broker import CELL
from tests.central.campus import NOW_MS
from tests.central.scripted import MASTER, ScriptedGateway, shown

G1 = Topics(CELL, "g1")
NAMES = st.sampled_from(("v", "journal_id", "first_seq", "chain_before", "facts", "kind", "boot"))


def _inbox() -> Inbox:
    inbox = Inbox(CELL, LiveBoard())
    inbox.know({"g1": {1: gateway_secret(MASTER, "g1", 1)}})
    return inbox


async def test_a_flood_of_one_gateway_is_bounded_and_leaves_room_for_others() -> None:
    inbox, g1 = _inbox(), ScriptedGateway("g1")
    g1.journal.open()
    for _ in range(BATCHES_A_GATEWAY + 5):
        inbox.take(G1.facts, g1.sealed_facts(), retained=False, received_ms=NOW_MS)
    assert inbox.refused()["g1", "queue_full"] == 5
    group = await inbox.next_group()
    assert len(group) == BATCHES_A_GATEWAY
    inbox.take(G1.facts, g1.sealed_facts(), retained=False, received_ms=NOW_MS)
    assert len(await inbox.next_group()) == 1


async def test_a_retained_picture_or_pulse_is_of_the_past() -> None:
    board = LiveBoard()
    inbox, g1 = Inbox(CELL, board), ScriptedGateway("g1")
    inbox.know({"g1": {1: gateway_secret(MASTER, "g1", 1)}})
    inbox.know_places({"p": "g1"})
    inbox.take(G1.live, g1.sealed_live(shown("p")), retained=True, received_ms=NOW_MS)
    inbox.take(G1.pulse, g1.sealed_pulse(), retained=True, received_ms=NOW_MS)
    assert (board.point("p"), board.gateway("g1")) == (None, None)
    assert inbox.refused() == {("g1", "repeat"): 2}


async def test_the_pulse_of_a_closed_journal_says_nothing_of_now() -> None:
    inbox, g1 = _inbox(), ScriptedGateway("g1")
    inbox.know({"g1": {1: gateway_secret(MASTER, "g1", 1)}}, past={g1.journal.journal_id})
    inbox.take(G1.pulse, g1.sealed_pulse(), retained=False, received_ms=NOW_MS)
    assert inbox.refused() == {("g1", "old_journal"): 1}
    assert not inbox.take_pulses()


@pytest.mark.clause("envelope-11")
@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from((Kind.facts, Kind.live, Kind.pulse)),
    good=st.booleans(),
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
        max_leaves=12,
    ),
)
def test_whatever_a_gateway_seals_is_a_message_or_one_counted_refusal(
    kind: Kind, good: bool, content: object
) -> None:
    inbox, g1 = _inbox(), ScriptedGateway("g1")
    g1.journal.open()
    topic = {Kind.facts: G1.facts, Kind.live: G1.live, Kind.pulse: G1.pulse}[kind]
    if good and isinstance(content, dict):  # one field of a sound batch is something else
        content = json.loads(g1.journal.encoded()) | content
    sealed = g1.sealer.seal(kind, topic, json.dumps(content).encode())
    inbox.take(topic, sealed, retained=False, received_ms=NOW_MS)
    assert sum(inbox.refused().values()) + len(inbox._waiting) == 1


async def test_what_was_not_written_down_is_not_forgotten() -> None:
    inbox = _inbox()
    inbox.count("g1", "bad_tag")
    first = inbox.refused_untold()
    inbox.count("g1", "bad_tag")
    inbox.told(first)
    assert inbox.refused_untold() == {("g1", "bad_tag"): 1}


async def test_between_socket_and_inbox_the_picture_gives_way_to_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "LISTENING_MAX", 4)
    dropped: list[None] = []
    queue = link._Listening(lambda: dropped.append(None))
    for qos in (0, 0, 0, 1, 1, 1):
        queue.put_nowait(aiomqtt.Message("t", b"", qos, False, 0, None))
    assert [queue.get_nowait().qos for _ in range(queue.qsize())] == [0, 0, 1, 1]
    assert len(dropped) == 2
