"""What is to be said to the gateways: the newest message of every topic, sealed when it is sent.

A later watermark or a later version of an intent takes the place of one that was not sent yet.
This module knows neither MQTT nor the database.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from domain.wire.envelope import Sealer
from domain.wire.topics import Kind

KEPT = 20_000  # topics whose sending is remembered; the oldest go first
_KEPT_A_TOPIC = 8


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Message:
    gateway_id: str
    kind: Kind
    data: Callable[[], bytes]
    sent: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Ready:
    """A sealed message; `sent` is to be called when the broker has taken it."""

    topic: str
    envelope: bytes
    sent: Callable[[], None]


class Sent:
    """When versions of intents first reached the broker, while this process lives; UTC ms."""

    def __init__(self) -> None:
        self._first: OrderedDict[tuple[str, str, str], dict[int, int]] = OrderedDict()

    def note(self, gateway_id: str, kind: str, key: str, *, version: int, at_ms: int) -> None:
        """The broker took this version now; a later time of the same version changes nothing."""
        first = self._first.setdefault((gateway_id, kind, key), {})
        first.setdefault(version, at_ms)
        if len(first) > _KEPT_A_TOPIC:
            del first[min(first)]
        self._first.move_to_end((gateway_id, kind, key))
        if len(self._first) > KEPT:
            self._first.popitem(last=False)

    def first_ms(self, gateway_id: str, kind: str, key: str, *, version: int) -> int | None:
        """When this version, or one that holds it, was first said; None where that is not known."""
        first = self._first.get((gateway_id, kind, key), {})
        return min((ms for known, ms in first.items() if known >= version), default=None)


class Sending:
    """Messages that wait for a connection. All methods run on the event loop."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._sealers: dict[str, tuple[int, Sealer]] = {}
        self._waiting: OrderedDict[str, _Message] = OrderedDict()
        self._something = asyncio.Event()

    def seal_under(self, gateway_id: str, secrets: Mapping[int, bytes], epoch: int | None) -> bool:
        """Seal for a gateway under this epoch (None: it is not spoken to). Whether that is new."""
        known = self._sealers.get(gateway_id)
        if epoch is None:
            return self._sealers.pop(gateway_id, None) is not None
        if known is not None and known[0] == epoch:
            return False
        sealer = Sealer(secrets[epoch], epoch, "down", self._random_bytes)
        self._sealers[gateway_id] = (epoch, sealer)
        return True

    def put(
        self,
        gateway_id: str,
        kind: Kind,
        topic: str,
        data: Callable[[], bytes],
        *,
        sent: Callable[[], None] = _nothing,
    ) -> None:
        """Say `data()`, called when it is sent; nothing where the gateway is not spoken to.

        `sent` is called when the broker has taken it.
        """
        if gateway_id in self._sealers:
            self._waiting[topic] = _Message(gateway_id, kind, data, sent)
            self._something.set()

    def clear(self) -> None:
        """Forget what waits: the connection is new, and everything will be put again."""
        self._waiting.clear()

    async def next(self) -> Ready:
        """Wait for the oldest message that waits, and seal it.

        Raises TooLargeError for a message that fits no envelope; it waits no longer.
        """
        while True:
            while not self._waiting:
                self._something.clear()
                await self._something.wait()
            topic, message = self._waiting.popitem(last=False)
            sealer = self._sealers.get(message.gateway_id)
            if sealer is not None:  # else it was revoked meanwhile
                envelope = sealer[1].seal(message.kind, topic, message.data())
                return Ready(topic, envelope, message.sent)
