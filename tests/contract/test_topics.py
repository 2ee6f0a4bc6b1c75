"""Where messages travel."""

import pytest

from domain.wire.topics import Kind, Parsed, Topics, kind_of, parse, up_filter

TOPICS = Topics("cell-1", "gw-1")
AT = "wl1/cell-1/gw-1"


@pytest.mark.clause("topics-1")
def test_the_topics_of_a_gateway_are_those_of_the_table() -> None:
    assert (TOPICS.facts, TOPICS.live) == (f"{AT}/up/facts", f"{AT}/up/live")
    assert (TOPICS.pulse, TOPICS.gone) == (f"{AT}/up/pulse", f"{AT}/up/gone")
    assert TOPICS.watermark("01jh") == f"{AT}/down/watermark/01jh"
    assert TOPICS.intent("credit", "p1") == f"{AT}/down/intent/credit/p1"
    assert (TOPICS.down_filter, up_filter("cell-1")) == (f"{AT}/down/#", "wl1/cell-1/+/up/#")


@pytest.mark.clause("topics-1", "topics-3")
def test_a_topic_says_who_what_and_which_way() -> None:
    assert parse(TOPICS.facts) == Parsed("cell-1", "gw-1", "up", Kind.facts)
    assert parse(TOPICS.gone) == Parsed("cell-1", "gw-1", "up", None)
    mark = Parsed("cell-1", "gw-1", "down", Kind.watermark, key="01jh")
    assert parse(TOPICS.watermark("01jh")) == mark
    intent = Parsed("cell-1", "gw-1", "down", Kind.intent, "credit", "p1")
    assert parse(TOPICS.intent("credit", "p1")) == intent
    kinds = [kind_of(topic) for topic in (TOPICS.live, TOPICS.pulse, TOPICS.gone, "elsewhere")]
    assert kinds == [Kind.live, Kind.pulse, None, None]
    assert [kind.value for kind in Kind] == [1, 2, 3, 16, 17]


@pytest.mark.clause("topics-2")
@pytest.mark.parametrize("part", ["", "A", "a/b", "+", "#", "a b", "室", "x" * 41, "a\n", "a_b"])
def test_what_is_no_id_makes_no_topic(part: str) -> None:
    for make in (
        lambda: Topics(part, "gw-1"),
        lambda: Topics("cell-1", part),
        lambda: TOPICS.watermark(part),
        lambda: TOPICS.intent("credit", part),
        lambda: up_filter(part),
    ):
        with pytest.raises(ValueError, match="cannot stand in a topic"):
            make()
    assert parse(f"wl1/cell-1/{part}/up/facts") is None


@pytest.mark.clause("topics-2")
@pytest.mark.parametrize(
    "topic",
    [
        "wl2/cell-1/gw-1/up/facts",
        f"{AT}/up/watermark",
        f"{AT}/down/facts",
        f"{AT}/up/facts/",
        f"/{AT}/up/facts",
        f"{AT}/down/intent/credit",
        f"{AT}/down/intent/credit/p1/more",
        f"{AT}/up/facts\n",
        "$SYS/broker",
        "",
    ],
)
def test_a_foreign_topic_is_none_of_ours(topic: str) -> None:
    assert parse(topic) is None
    assert kind_of(topic) is None
