"""What arrives from the gateways: opened, counted, and handed on to the board or to the books.

Nothing that arrives can stop anything. A message that is not what it should be is refused and
counted by gateway and reason; a flood fills a queue with a bound, from which the gateways will send
again whatever the books do not hold. This module knows neither MQTT nor the database.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from central.gateways.service import NOBODY
from central.metering.ingest import Arrived
from central.metering.live import LiveBoard
from domain.wire.envelope import Opened, Opener, Reject, Rejected
from domain.wire.facts import parse_batch
from domain.wire.messages import Pulse, decode_live, decode_pulse
from domain.wire.topics import Kind, Parsed, parse

BYTES_WAITING_MAX = 16 * 2**20  # of all gateways, until the books have room again
BATCHES_A_GATEWAY = 16  # twice what a gateway keeps in flight
GROUP_FACTS = 2_000  # booked in one transaction


@dataclass(frozen=True, slots=True)
class Heard:
    """What a pulse that counts has said, and whether its gateway has just come (back)."""

    gateway_id: str
    pulse: Pulse
    received_ms: int
    back: bool


class Inbox:
    """The gateways' messages. All methods run on the event loop."""

    def __init__(self, cell_id: str, board: LiveBoard) -> None:
        self._cell_id = cell_id
        self._board = board
        self._secrets: dict[str, Mapping[int, bytes]] = {}
        self._openers: dict[str, Opener] = {}
        self._places: Mapping[str, str] = {}
        self._past: Collection[str] = ()
        self._waiting: deque[tuple[Arrived, int]] = deque()  # with the size in bytes
        self._bytes_waiting = 0
        self._batches_of: Counter[str] = Counter()
        self._something = asyncio.Event()
        self._counts: dict[str, Counter[str]] = {}
        self._told: Counter[tuple[str, str]] = Counter()
        self.pulses: dict[str, Heard] = {}  # newest of each gateway since `take_pulses`
        self.epoch_heard: dict[str, int] = {}  # newest key epoch that a gateway was heard under
        self.unplaced = False  # a gateway showed a point that is not known to be its own

    def know(
        self, secrets: Mapping[str, Mapping[int, bytes]], *, past: Collection[str] = ()
    ) -> None:
        """The gateways of the cell with the secrets of their valid epochs (none: revoked).

        `past` are the journals that are closed or a twin's: their pulses say nothing of now.
        """
        for gateway_id in [known for known in self._secrets if known not in secrets]:
            del self._openers[gateway_id]
            self._board.forget(gateway_id)
        for gateway_id, valid in secrets.items():
            if self._secrets.get(gateway_id) != valid:
                self._openers[gateway_id] = Opener(valid, "up", counts=self._counts_of(gateway_id))
                if not valid:
                    self._board.forget(gateway_id)
        self._secrets, self._past = dict(secrets), past

    def know_places(self, places: Mapping[str, str]) -> None:
        """Which gateway each point hangs on: no other is believed about it."""
        self._places = places
        self.unplaced = False

    def take(self, topic: str, payload: bytes, *, retained: bool, received_ms: int) -> None:
        """Deal with one message; never raises."""
        parsed = parse(topic)
        if parsed is None or (parsed.cell_id, parsed.direction) != (self._cell_id, "up"):
            self._counts_of(NOBODY)["foreign_topic"] += 1
            return
        opener = self._openers.get(parsed.gateway_id)
        if opener is None:
            self._counts_of(NOBODY)["unknown_gateway"] += 1
            return
        if not payload:  # the will, or somebody who says nothing
            if parsed.kind is None:
                self._board.gone(parsed.gateway_id)
            return
        try:
            self._dispatch(parsed, opener, opener.open(topic, payload), retained, received_ms)
        except Rejected:
            return  # counted by the opener
        except ValueError:
            opener.refuse(Reject.bad_schema)

    async def next_group(self) -> Sequence[Arrived]:
        """Wait for batches and take as many as one transaction should book, in their order."""
        while not self._waiting:
            self._something.clear()
            await self._something.wait()
        group, facts = [], 0
        while self._waiting and facts < GROUP_FACTS:
            arrived, size = self._waiting.popleft()
            facts += len(arrived.batch.facts)
            self._bytes_waiting -= size
            self._batches_of[arrived.gateway_id] -= 1
            group.append(arrived)
        return group

    def take_pulses(self) -> Sequence[Heard]:
        """The newest pulse of every gateway that pulsed since the last call."""
        heard, self.pulses = list(self.pulses.values()), {}
        return heard

    def count(self, gateway_id: str, reason: str) -> None:
        """Count one more message of a gateway that had no effect."""
        self._counts_of(gateway_id)[reason] += 1

    def refused(self) -> Mapping[tuple[str, str], int]:
        """How many messages had no effect since the start: (gateway or NOBODY, reason) → count."""
        return Counter(
            {
                (gateway_id, reason): count
                for gateway_id, counts in self._counts.items()
                for reason, count in counts.items()
            }
        )

    def refused_untold(self) -> Mapping[tuple[str, str], int]:
        """What was counted and not yet `told`."""
        return Counter(self.refused()) - self._told

    def told(self, counts: Mapping[tuple[str, str], int]) -> None:
        """These counts have been written down."""
        self._told.update(counts)

    def _dispatch(
        self, parsed: Parsed, opener: Opener, opened: Opened, retained: bool, received_ms: int
    ) -> None:
        gateway_id = parsed.gateway_id
        known = self.epoch_heard.get(gateway_id, opened.epoch)
        self.epoch_heard[gateway_id] = max(known, opened.epoch)
        if opened.kind is Kind.facts:
            batch = parse_batch(opened.data)
            self._enqueue(Arrived(gateway_id, opened.epoch, batch, received_ms), len(opened.data))
        elif retained:  # nobody retains what is said upwards: it is of an unknown past
            opener.counts["repeat"] += 1
        elif opened.kind is Kind.live:
            self._show(gateway_id, opener, opened, received_ms)
        elif opened.kind is Kind.pulse:
            self._hear(gateway_id, opener, opened, received_ms)

    def _enqueue(self, arrived: Arrived, size: int) -> None:
        full = self._bytes_waiting + size > BYTES_WAITING_MAX
        if full or self._batches_of[arrived.gateway_id] >= BATCHES_A_GATEWAY:
            self.count(arrived.gateway_id, "queue_full")
            return
        self._waiting.append((arrived, size))
        self._bytes_waiting += size
        self._batches_of[arrived.gateway_id] += 1
        self._something.set()

    def _show(self, gateway_id: str, opener: Opener, opened: Opened, received_ms: int) -> None:
        live = decode_live(opened.data)
        own = tuple(p for p in live.points if self._places.get(p.point_id) == gateway_id)
        if len(own) < len(live.points):
            self.unplaced = True
            live = live.model_copy(update={"points": own})
        if not self._board.take(gateway_id, live, received_ms) and not opened.repeat:
            opener.counts["repeat"] += 1

    def _hear(self, gateway_id: str, opener: Opener, opened: Opened, received_ms: int) -> None:
        pulse = decode_pulse(opened.data)
        if pulse.journal_id in self._past:
            opener.counts["old_journal"] += 1
            return
        before = self._board.gateway(gateway_id)
        if opened.repeat or not self._board.pulse(gateway_id, pulse, received_ms):
            opener.counts["repeat"] += not opened.repeat
            return
        back = before is None or before.gone or not before.online(received_ms)
        back = back or (before is not None and before.pulse.boot != pulse.boot)
        earlier = self.pulses.get(gateway_id)
        back = back or (earlier is not None and earlier.back)
        self.pulses[gateway_id] = Heard(gateway_id, pulse, received_ms, back)

    def _counts_of(self, gateway_id: str) -> Counter[str]:
        return self._counts.setdefault(gateway_id, Counter())
