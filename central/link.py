"""The centre's only door to the broker: facts, live and pulse come in; watermarks, intents go out.

The broker is a lossy wire, and nothing relies on its acknowledgement: the gateways send again what
no watermark covers, and an intent is said until a fact settles it. One connection at a time is made
again for ever. This is the only file that knows aiomqtt.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import aiomqtt
import structlog

from central.conversation import Conversation
from central.database import Database
from central.gateways.service import NOBODY
from central.inbox import Inbox
from central.metering.live import LiveBoard
from central.sending import Sent
from domain.ids import IdSource
from domain.wire.envelope import TooLargeError
from domain.wire.topics import up_filter

RECONNECT_FIRST_S, RECONNECT_LAST_S = 0.5, 3.0
KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 10.0
SENT_AT_ONCE = 16
LISTENING_MAX = 1_000  # messages between the socket and the inbox; the picture may take half

_log = structlog.get_logger("link")
_quiet = logging.getLogger("central.link.mqtt")  # the library warns of what is usual here
_quiet.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how it knows the centre."""

    host: str
    port: int
    username: str
    password: str


class Link:
    """Every gateway of a cell. `run` ends only by cancellation or by a mistake of ours.

    `connected` and `faults` say how it goes; `inbox.refused()` counts what had no effect.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        cell_id: str,
        master: bytes,
        database: Database,
        board: LiveBoard,
        now_ms: Callable[[], int],
        new_id: IdSource,
        random_bytes: Callable[[int], bytes],
        sent: Sent | None = None,
    ) -> None:
        self._broker, self._filter, self._now_ms = broker, up_filter(cell_id), now_ms
        self.connected = False
        self._conversation = Conversation(
            cell_id=cell_id,
            master=master,
            database=database,
            board=board,
            now_ms=now_ms,
            new_id=new_id,
            random_bytes=random_bytes,
            sent=sent or Sent(),
        )
        self._inbox, self._sending = self._conversation.inbox, self._conversation.sending

    @property
    def inbox(self) -> Inbox:
        """What arrived, and what was refused of it."""
        return self._inbox

    @property
    def faults(self) -> dict[str, str]:
        """What ails the link now, by part."""
        return self._conversation.faults

    async def health(self) -> Mapping[str, int]:
        """What `/healthz` says of the field."""
        return await self._conversation.health()

    async def run(self) -> None:
        """Speak with every gateway, for ever."""
        await self._conversation.look()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._conversation.run())
                tasks.create_task(self._stay_connected())
        except BaseExceptionGroup as faults:
            raise _leaves(faults)[0] from faults

    async def _stay_connected(self) -> None:
        delay_s = RECONNECT_FIRST_S
        while True:
            try:
                async with self._client() as client:
                    client.pending_calls_threshold = 2 * SENT_AT_ONCE
                    delay_s = RECONNECT_FIRST_S
                    await self._speak(client)
            except* (aiomqtt.MqttError, OSError) as faults:
                self._lost("; ".join(sorted({str(fault) for fault in _leaves(faults)})))
            finally:
                self.connected = False
                self._conversation.disconnected()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RECONNECT_LAST_S)

    def _client(self) -> aiomqtt.Client:
        dropped = partial(self._inbox.count, NOBODY, "queue_full")
        queue_type = cast("type[asyncio.Queue[aiomqtt.Message]]", partial(_Listening, dropped))
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.username,
            password=self._broker.password,
            identifier=self._broker.username,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_TIMEOUT_S,
            queue_type=queue_type,
            logger=_quiet,
        )

    async def _speak(self, client: aiomqtt.Client) -> None:
        granted: Any = await client.subscribe(self._filter, qos=1)
        if any(code.is_failure for code in granted):
            raise aiomqtt.MqttError(f"the broker does not let us hear {self._filter}")
        await self._conversation.connected()
        self.connected = True
        self.faults.pop("broker", None)
        _log.info("connected", host=self._broker.host, port=self._broker.port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(client))
            for _ in range(SENT_AT_ONCE):
                tasks.create_task(self._send(client))

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload
            self._inbox.take(
                message.topic.value,
                payload if isinstance(payload, bytes) else b"",
                retained=message.retain,
                received_ms=self._now_ms(),
            )

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            try:
                ready = await self._sending.next()
            except TooLargeError as error:  # a body that no envelope holds: ours to mend
                self.faults["sending"] = str(error)
                _log.exception("not sent: too large")
                continue
            await client.publish(ready.topic, ready.envelope, qos=1, retain=True)
            ready.sent()

    def _lost(self, why: str) -> None:
        if self.connected or "broker" not in self.faults:
            _log.warning("no broker", host=self._broker.host, port=self._broker.port, why=why)
        self.faults["broker"] = why


class _Listening(asyncio.Queue[aiomqtt.Message]):
    """Messages between the socket and the inbox: bounded, and the picture gives way to facts."""

    def __init__(self, dropped: Callable[[], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._dropped = dropped

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if self.qsize() >= (LISTENING_MAX if item.qos else LISTENING_MAX // 2):
            self._dropped()
        else:
            super().put_nowait(item)


def _leaves(faults: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for fault in faults.exceptions:
        found += _leaves(fault) if isinstance(fault, BaseExceptionGroup) else [fault]
    return found
