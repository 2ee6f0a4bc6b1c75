"""When to say an intent again: one `Publisher` a gateway, which keeps the time and knows no wire.

The broker may lose what it acknowledged, so an intent is said until the gateway's own facts settle
it: at once when it is new, then after 5 s, doubling to 5 min. A reconnect says all that is
outstanding at once; a pulse whose digest differs for 30 s says everything.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from central.outbox import Stored

FIRST_MS, LAST_MS = 5_000, 300_000
DIFFERS_MS = 30_000


@dataclass(frozen=True, slots=True)
class _Said:
    version: int
    again_ms: int
    wait_ms: int


class Publisher:
    """The intents of one gateway as this process has said them. Times are UTC milliseconds."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], _Said] = {}
        self._differs_since_ms: int | None = None
        self._patience_ms = DIFFERS_MS

    def reconnected(self) -> None:
        """The centre or the gateway has a new connection: all that is outstanding is due."""
        self._said.clear()

    def heard(self, digest: str, expected: Container[str], *, now_ms: int) -> bool:
        """A pulse said what the gateway holds; whether everything must be said again now.

        True after 30 s of difference, then after twice as long each time, up to 5 min.
        """
        if digest in expected:
            self._differs_since_ms, self._patience_ms = None, DIFFERS_MS
            return False
        if self._differs_since_ms is None:
            self._differs_since_ms = now_ms
        if now_ms - self._differs_since_ms < self._patience_ms:
            return False
        self._differs_since_ms = now_ms
        self._patience_ms = min(2 * self._patience_ms, LAST_MS)
        return True

    def due(self, outstanding: Iterable[Stored], *, now_ms: int) -> list[Stored]:
        """Which of all outstanding intents to say now; the caller says them."""
        standing = {(row.kind, row.key): row for row in outstanding}
        self._said = {key: said for key, said in self._said.items() if key in standing}
        return [row for key, row in standing.items() if self._is_due(key, row, now_ms)]

    def _is_due(self, key: tuple[str, str], row: Stored, now_ms: int) -> bool:
        said = self._said.get(key)
        if said is None or said.version != row.version:
            wait_ms = FIRST_MS
        elif now_ms >= said.again_ms:
            wait_ms = min(2 * said.wait_ms, LAST_MS)
        else:
            return False
        self._said[key] = _Said(row.version, now_ms + wait_ms, wait_ms)
        return True
