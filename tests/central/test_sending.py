"""What waits for the broker, and what is remembered of having been said."""

import os

from central.sending import KEPT, Sending, Sent
from domain.wire.topics import Kind, Topics


async def test_the_newest_message_of_a_topic_is_sent_and_tells_when_it_was() -> None:
    sending, told = Sending(os.urandom), list[str]()
    topic = Topics("c1", "g1").intent("credit", "p1")
    assert sending.seal_under("g1", {1: b"s" * 32}, 1)
    for text in ("old", "new"):
        sending.put("g1", Kind.intent, topic, text.encode, sent=lambda text=text: told.append(text))  # type: ignore[misc]
    ready = await sending.next()
    assert (ready.topic, told) == (topic, [])
    ready.sent()
    assert told == ["new"]


def test_the_first_time_that_a_version_or_a_later_one_was_said() -> None:
    sent = Sent()
    named = ("g1", "credit", "p1")
    assert sent.first_ms(*named, version=1) is None
    sent.note(*named, version=2, at_ms=20)
    sent.note(*named, version=2, at_ms=25)
    sent.note(*named, version=4, at_ms=40)
    told = {version: sent.first_ms(*named, version=version) for version in (1, 2, 3, 4, 5)}
    assert told == {1: 20, 2: 20, 3: 40, 4: 40, 5: None}
    assert sent.first_ms("g2", "credit", "p1", version=1) is None


def test_the_oldest_are_forgotten_first() -> None:
    sent = Sent()
    for n in range(KEPT + 1):
        sent.note("g1", "credit", f"p{n}", version=1, at_ms=n)
    assert sent.first_ms("g1", "credit", "p0", version=1) is None
    assert sent.first_ms("g1", "credit", "p1", version=1) == 1
    for version in range(2, 12):
        sent.note("g1", "credit", "p5", version=version, at_ms=version)
    assert sent.first_ms("g1", "credit", "p5", version=1) == 4  # of the last eight versions
