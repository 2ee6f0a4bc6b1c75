"""What a bus knows of one meter: where it is, how fast it answers, whether it is there at all."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.bus import codec
from edge.bus.codec import Request
from edge.events import PointHealth
from edge.meters.profile import Profile
from edge.meters.snapshot import same_meter

GENEROUS_MS = 300  # first-byte limit for a meter that is not known, or has just missed
LEAST_MS = 100  # an adapter's delay, t3.5, a typical turnaround and a busy machine fit in
MOST_MS = 1000
ABSENT_AFTER = 3  # rounds missed in a row; one is enough for a meter that has never answered
PROBE_ROUNDS_MAX = 8
PROBE_MS_MAX = 30_000
GENEROUS_PROBE = 4  # every so many probes wait the generous time
IDENTIFY_EVERY_MS = 3_600_000
DOUBT_EVERY_MS = 30_000  # while the meter may not be charged: another one, or its 费控 is on
_RECENT = 64


@dataclass(frozen=True, slots=True)
class MeterSlot:
    """A place on a bus: the point it serves, its address (1–247), the meter installed there."""

    point_id: str
    address: int
    meter_id: str
    profile: Profile


class Station:
    """A slot and what was learned of its meter. Requests are built once."""

    def __init__(self, slot: MeterSlot) -> None:
        profile = slot.profile
        self.slot = slot
        self.poll = codec.read_request(slot.address, profile.poll)
        self.identity = codec.read_request(slot.address, profile.identity)
        self.own_prepaid = codec.read_request(slot.address, profile.own_prepaid)
        self.introduced = False  # it is the installed meter, and its 费控 has been read
        self.stranger = False  # another meter than the installed one answers here
        self.identify_at_ms = 0
        self.missed_rounds = 0
        self.due_round = 0
        self.due_ms = 0
        self._probes = 0
        self._recent_ms: deque[int] = deque(maxlen=_RECENT)
        self._worst_ms = 0
        self._silent = False  # the last request stayed without an answer
        self._good, self._bad = 0, 0
        self._reply_ms: Counter[int] = Counter()

    def command(self, words: Sequence[int]) -> Request:
        """The relay command of this meter's type, with these words."""
        return codec.write_request(self.slot.address, self.slot.profile.relay.address, words)

    @property
    def absent(self) -> bool:
        """Whether it is only probed, ever less often, until it answers."""
        return self.missed_rounds >= (ABSENT_AFTER if self._recent_ms else 1)

    @property
    def first_byte_timeout_ms(self) -> int:
        """How long the next reply may take to begin: what this meter's own past suggests."""
        learned_ms = max(LEAST_MS, 2 * max(self._recent_ms, default=0))
        if self.absent and self._probes % GENEROUS_PROBE:
            return min(MOST_MS, learned_ms)
        if self._silent or not self._recent_ms:
            return min(MOST_MS, max(GENEROUS_MS, learned_ms))
        return min(MOST_MS, learned_ms)

    @property
    def quiet_ms(self) -> int:
        """How long after a request this meter's reply may begin, at the worst ever seen."""
        return min(MOST_MS, self._worst_ms)

    def answered(self, first_byte_ms: int) -> None:
        """A request was answered, its first byte so long after the request."""
        self._silent = False
        self._recent_ms.append(first_byte_ms)
        self._worst_ms = max(self._worst_ms, first_byte_ms)
        self._good += 1
        self._reply_ms[min(first_byte_ms, MOST_MS)] += 1

    def kept_silent(self, late_ms: int | None) -> None:
        """A request was not answered in time; `late_ms` if a byte came after all."""
        self._silent = True
        self._bad += 1
        if late_ms is not None:
            self._worst_ms = max(self._worst_ms, late_ms)

    def garbled(self) -> None:
        """What came to a request was no intact answer."""
        self._bad += 1

    def met(self, meter_id: str, *, own_prepaid_on: bool, mono_ms: int) -> None:
        """A meter said who it is. It is asked again, soon where it cannot be charged yet."""
        self.introduced = same_meter(meter_id, self.slot.meter_id)
        self.stranger = not self.introduced
        sure = self.introduced and not own_prepaid_on
        self.identify_at_ms = mono_ms + (IDENTIFY_EVERY_MS if sure else DOUBT_EVERY_MS)

    def present(self) -> None:
        """A round's poll succeeded: it takes part in every round."""
        self.missed_rounds = self._probes = 0
        self.due_round = self.due_ms = 0

    def missed(self, *, round_no: int, mono_ms: int) -> None:
        """A round went by without a usable poll; a meter that is absent is probed ever less."""
        self.missed_rounds += 1
        if self.absent:
            self.introduced = False
            self._probes += 1
            wait = min(PROBE_ROUNDS_MAX, 1 << min(self._probes, 10))
            self.due_round, self.due_ms = round_no + wait, mono_ms + PROBE_MS_MAX

    def is_due(self, round_no: int, mono_ms: int) -> bool:
        """Whether it takes part in this round."""
        if self.stranger:
            return mono_ms >= self.identify_at_ms
        return not self.absent or round_no >= self.due_round or mono_ms >= self.due_ms

    def take_health(self) -> PointHealth:
        """What happened since it was last taken."""
        health = self.health()
        self._good = self._bad = 0
        self._reply_ms.clear()
        return health

    def health(self) -> PointHealth:
        """What happened since health was last taken: answers, and how soon they began."""
        return PointHealth(
            self.slot.point_id, self._good, self._bad, self._percentile(50), self._percentile(99)
        )

    def _percentile(self, percent: int) -> int | None:
        left = self._reply_ms.total() * percent
        for ms in sorted(self._reply_ms):
            left -= self._reply_ms[ms] * 100
            if left <= 0:
                return ms
        return None
