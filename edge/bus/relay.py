"""A relay command from its first write to the position that was read back.

A command may arrive though its acknowledgement is lost, so nothing is ever written again before
the meter has been read. The proof is the contact as the poll block shows it, or, where the type
shows none, power and energy of two polls. Waiting for a contact to move leaves the line to others:
a move advances a step at a time, and says when it wants to go on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from domain.supply import Relay
from edge.bus.conversation import Reason
from edge.meters.profile import RelayCommand as RelayWords
from edge.meters.snapshot import Snapshot, prove_over_two_polls

TRIES_MAX = 3
CONTACT_MS = 200  # a latching relay and the meter's own look at it
FLOW_MS = 1000  # until a meter's power register shows what flows
_READS = 2  # looks at the contact before the command counts as failed


@dataclass(frozen=True, slots=True)
class RelayCommand:
    """Bring a point's relay to a position; `decided_seq` names the decision behind it."""

    point_id: str
    wanted: Relay
    decided_seq: int


Poll = Callable[[], Awaitable[Snapshot | Reason]]
Write = Callable[[tuple[int, ...]], Awaitable[bool]]


class RelayMove:
    """A command under way. `due_ms`: do not advance it before."""

    def __init__(self, command: RelayCommand) -> None:
        self.command = command
        self.due_ms = 0
        self.tries = 0
        self._reads = 0
        self._acknowledged = False
        self._before: Snapshot | None = None

    async def advance(
        self, words: RelayWords, *, poll: Poll, write: Write, mono_ms: Callable[[], int]
    ) -> Relay | None:
        """Take the next step; where the relay stands once that is settled, or None: go on later."""
        if self._reads == 0:
            self.tries += 1
            self._acknowledged = await write(words.words_for(self.command.wanted))
            self._before = None
            if words.proof == "energy":
                self._reads = 1
                self.due_ms = mono_ms() + FLOW_MS
                return None
        taken = await _read_back(poll)
        if taken is None:
            return Relay.unknown
        self._reads += 1
        if words.proof == "energy":
            return self._judge_flow(taken, mono_ms())
        if not self._acknowledged:
            # A poll from before the write may have answered late: only the second is after it.
            taken = await _read_back(poll)
            if taken is None:
                return Relay.unknown
        return self._judge_contact(taken.relay, mono_ms())

    def _judge_contact(self, seen: Relay, now_ms: int) -> Relay | None:
        if seen is self.command.wanted:
            return seen
        if self._reads < _READS:
            self.due_ms = now_ms + CONTACT_MS
            return None
        return self._again_or(seen)

    def _judge_flow(self, taken: Snapshot, now_ms: int) -> Relay | None:
        before, self._before = self._before, taken
        if before is None:
            self.due_ms = now_ms + FLOW_MS
            return None
        seen = prove_over_two_polls(before, taken, commanded=self.command.wanted)
        if seen in (self.command.wanted, Relay.unknown):  # writing again would not tell more
            return seen
        return self._again_or(seen)

    def _again_or(self, seen: Relay) -> Relay | None:
        if self.tries >= TRIES_MAX:
            return seen
        self._reads = 0
        return None


async def _read_back(poll: Poll) -> Snapshot | None:
    for _ in range(2):
        taken = await poll()
        if not isinstance(taken, Reason):
            return taken
    return None
