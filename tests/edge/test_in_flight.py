"""Which batches are on their way, without a wire: the clock is a number."""

from dataclasses import replace

import pytest

from edge.in_flight import InFlight
from edge.memory import Series

SERIES = Series("j1", "first", None, boot=1, head_seq=10_000)


def sending(in_flight: InFlight, now_s: float) -> list[int]:
    """Send batches of 100 facts until enough is on its way; the last seq of each."""
    ends = []
    while (after_seq := in_flight.after_seq) is not None:
        in_flight.sent(after_seq + 100, now_s)
        ends.append(after_seq + 100)
    return ends


@pytest.mark.clause("watermark-2")
def test_eight_batches_at_most_and_one_more_for_each_that_is_held() -> None:
    in_flight = InFlight()
    in_flight.follow(SERIES, 0.0)
    assert sending(in_flight, 0.0) == [100 * n for n in range(1, 9)]
    in_flight.follow(replace(SERIES, held_seq=300), 1.0)
    assert sending(in_flight, 1.0) == [900, 1_000, 1_100]
    in_flight.follow(replace(SERIES, held_seq=350), 2.0)  # within a batch
    assert sending(in_flight, 2.0) == []


@pytest.mark.clause("watermark-2")
def test_silence_is_answered_after_10_s_doubling_to_5_min() -> None:
    in_flight = InFlight()
    in_flight.follow(SERIES, 0.0)
    sent_at = []
    for now_s in range(2_000):
        in_flight.follow(SERIES, float(now_s))
        if in_flight.after_seq == 0:
            in_flight.sent(100, float(now_s))
            sent_at.append(now_s)
    assert sent_at == [0, 10, 30, 70, 150, 310, 610, 910, 1_210, 1_510, 1_810]
    in_flight.follow(replace(SERIES, held_seq=100), 2_000.0)
    in_flight.sent(200, 2_000.0)
    assert in_flight.due_in_s(2_000.0) == 10.0, "it answers again: patience begins anew"


def test_what_is_sent_later_does_not_put_off_what_is_overdue() -> None:
    in_flight = InFlight()
    in_flight.follow(SERIES, 0.0)
    for now_s in range(7):
        in_flight.sent(now_s + 1, now_s * 1.5)
    assert in_flight.due_in_s(9.5) == 0.5
    in_flight.follow(SERIES, 10.0)
    assert in_flight.after_seq == 0


def test_progress_counts_from_itself() -> None:
    in_flight = InFlight()
    in_flight.follow(SERIES, 0.0)
    sending(in_flight, 0.0)
    in_flight.follow(replace(SERIES, held_seq=100), 9.0)
    assert in_flight.due_in_s(9.0) == 10.0
    in_flight.follow(replace(SERIES, held_seq=100), 19.0)
    assert in_flight.after_seq == 100


@pytest.mark.clause("watermark-2")
def test_a_watermark_said_again_starts_sending_unless_all_was_sent_just_now() -> None:
    in_flight = InFlight()
    series = replace(SERIES, held_seq=100)
    in_flight.follow(series, 0.0)
    sending(in_flight, 0.0)
    in_flight.said_again(series, 0.9)
    assert in_flight.after_seq is None
    in_flight.said_again(series, 1.0)
    assert in_flight.after_seq == 100


@pytest.mark.clause("watermark-3")
def test_restored_books_and_a_new_journal_begin_where_they_say() -> None:
    in_flight = InFlight()
    in_flight.follow(replace(SERIES, held_seq=500), 0.0)
    sending(in_flight, 0.0)
    in_flight.follow(replace(SERIES, held_seq=200, books_epoch=1), 0.1)
    assert in_flight.after_seq == 200
    sending(in_flight, 0.1)
    in_flight.follow(replace(SERIES, journal_id="j2", head_seq=1), 0.2)
    assert (in_flight.after_seq, in_flight.journal_id) == (0, "j2")
    assert in_flight.due_in_s(0.2) is None
