"""Which batches of facts are on their way to the centre, and when they must be sent again.

The broker may lose what it acknowledged; only the watermark counts. At most eight batches are
beyond it, and where it stands still they go again from there: after 10 s, doubling to 5 min. Times
are seconds of one monotonic clock, given by the caller.
"""

from collections import deque

from edge.memory import Series

BATCHES_MAX = 8
RESEND_FIRST_S, RESEND_LAST_S = 10.0, 300.0
ROUND_TRIP_S = 1.0


class InFlight:
    """What was sent over one connection and is not held yet."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque()  # the last seq of each batch, oldest first
        self._waiting_since_s = 0.0  # since when the watermark has not moved past the oldest
        self._pause_s = RESEND_FIRST_S
        self._of = ("", 0)  # journal and books epoch
        self._sent_seq = 0

    @property
    def journal_id(self) -> str:
        """The journal that is followed."""
        return self._of[0]

    def follow(self, series: Series, now_s: float) -> None:
        """Take note of how far the journal is held; what is overdue is on its way no more."""
        of = (series.journal_id, series.books_epoch)
        if of != self._of:  # another journal, or restored books, which may hold less
            self._of, self._pause_s = of, RESEND_FIRST_S
            self._start_over(series)
        elif self._ends and self._ends[0] <= series.held_seq:
            while self._ends and self._ends[0] <= series.held_seq:
                self._ends.popleft()
            self._waiting_since_s, self._pause_s = now_s, RESEND_FIRST_S
        elif self._ends and now_s >= self._waiting_since_s + self._pause_s:
            self._pause_s = min(2 * self._pause_s, RESEND_LAST_S)
            self._start_over(series)
        self._sent_seq = max(self._sent_seq, series.held_seq)

    def said_again(self, series: Series, now_s: float) -> None:
        """The centre repeated its watermark: it is back, or got a batch that did not join.

        What was sent a moment ago may still be under way; what is older is sent again.
        """
        if self._ends and now_s - self._waiting_since_s >= ROUND_TRIP_S:
            self._pause_s = RESEND_FIRST_S
            self._start_over(series)

    @property
    def after_seq(self) -> int | None:
        """The seq after which to send next; None while enough is on its way."""
        return None if len(self._ends) >= BATCHES_MAX else self._sent_seq

    def sent(self, last_seq: int, now_s: float) -> None:
        """A batch up to `last_seq` was sent."""
        if not self._ends:
            self._waiting_since_s = now_s
        self._ends.append(last_seq)
        self._sent_seq = last_seq

    def due_in_s(self, now_s: float) -> float | None:
        """How long to wait for the watermark; None while nothing is on its way."""
        if not self._ends:
            return None
        return max(self._waiting_since_s + self._pause_s - now_s, 0.0)

    def _start_over(self, series: Series) -> None:
        self._ends.clear()
        self._sent_seq = series.held_seq
