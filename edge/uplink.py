"""The way to the centre: facts, live and pulse go up; watermark and intents come down.

The broker is a lossy wire. Facts stay in the journal until the centre's watermark says that the
books hold them; until then they are sent again. Nothing here decides anything: what comes down
becomes an event of the next cycle. This is the only file that knows aiomqtt.
"""

import asyncio
import logging
import math
import shutil
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiomqtt

from domain.wire.envelope import Opener, Profile, Reject, Rejected, Sealer, TooLargeError
from domain.wire.facts import BATCH_TEXT_MAX, encode_batch
from domain.wire.intents import decode_intent
from domain.wire.messages import Live, Pulse, Watermark, decode_watermark
from domain.wire.topics import Kind, Topics, parse
from edge.clock import Clock
from edge.events import Event, IntentArrived, WatermarkArrived
from edge.in_flight import BATCHES_MAX, InFlight
from edge.journal import Journal
from edge.journal_file import Outgoing

PULSE_S = 15.0
FULL_PICTURE_S = 30.0
RECONNECT_FIRST_S, RECONNECT_LAST_S = 0.5, 3.0
KEEPALIVE_S = 20
ANSWER_S = 10.0  # for a connection, and for the broker's receipt of a message
_MIB = 2**20
_BATCH_BYTES_MAX = BATCH_TEXT_MAX + 1024  # its frame and commas included

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how it knows us (the user name is the gateway's id)."""

    host: str
    port: int
    password: str
    ca_file: Path | None


class Speaker(Protocol):
    """What the gateway knows, ready to be said."""

    def live(self, *, full: bool) -> Live | None:
        """The picture: all points, or those changed since the last call; None if there are none."""

    def intents_digest(self) -> str:
        """Which intents are held, in one figure."""


class Uplink:
    """One connection at a time, made again for ever. `run` ends only by cancellation."""

    def __init__(
        self,
        broker: Broker,
        *,
        topics: Topics,
        gateway_id: str,
        sealer: Sealer,
        opener: Opener,
        journal: Journal,
        clock: Clock,
        speaker: Speaker,
        emit: Callable[[Event], None],
        software: str,
        live_period_ms: int,
        state_dir: Path,
    ) -> None:
        self._broker, self._topics, self._gateway_id = broker, topics, gateway_id
        self._sealer, self._opener = sealer, opener
        self._journal, self._clock, self._speaker = journal, clock, speaker
        self._emit, self._software, self._state_dir = emit, software, state_dir
        self._live_period_s = live_period_ms / 1000
        self._facts_waiting = asyncio.Event()
        self._mark_repeated = False  # the centre said again what it had said before
        self._noted = ""
        self._stuck: tuple[str, int] | None = None  # journal and seq of a fact too large to send
        self.connected = False

    @property
    def refused(self) -> dict[str, int]:
        """How many messages were refused or had no effect, by reason."""
        return dict(self._opener.counts)

    @property
    def stuck_seq(self) -> int | None:
        """The fact that no envelope holds and that keeps all after it from being sent."""
        return None if self._stuck is None else self._stuck[1]

    def wake(self) -> None:
        """The journal grew, or the centre moved its watermark."""
        self._facts_waiting.set()

    async def run(self) -> None:
        """Keep a connection; a broker that is gone is asked again every few seconds."""
        delay_s = RECONNECT_FIRST_S
        while True:
            try:
                async with self._client() as client:
                    self.connected, delay_s = True, RECONNECT_FIRST_S
                    self._note("broker reached")
                    await self._speak(client)
            except* (aiomqtt.MqttError, OSError) as faults:
                self._note(f"broker not reached: {'; '.join(_leaves(faults))}")
            finally:
                self.connected = False
            _heed_cancellation()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RECONNECT_LAST_S)

    def _note(self, state: str) -> None:
        """Log how it stands with the broker, where that is something new."""
        if state != self._noted:
            self._noted = state
            log.info(state)

    def _client(self) -> aiomqtt.Client:
        tls = None
        if self._broker.ca_file is not None:
            tls = ssl.create_default_context(cafile=self._broker.ca_file)
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._gateway_id,
            password=self._broker.password,
            identifier=self._gateway_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_S,
            tls_context=tls,
            will=aiomqtt.Will(self._topics.gone, b"", qos=0),
            max_queued_outgoing_messages=4 * BATCHES_MAX,
        )

    async def _speak(self, client: aiomqtt.Client) -> None:
        await client.subscribe(self._topics.down_filter, qos=1)
        _heed_cancellation()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_facts(client))
            tasks.create_task(self._send_live(client))
            tasks.create_task(self._send_pulse(client))
            # In the group's body, not as a task: only so does a failing task of Python 3.11's
            # groups leave no trace of a cancellation on us, which `run` would take for its end.
            await self._listen(client)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload
            # An empty payload is how a retained message is taken away; it says nothing.
            if isinstance(payload, bytes) and payload:
                with suppress(Rejected):  # counted by the opener, shown in the status
                    await self._take(message.topic.value, payload, retained=message.retain)

    async def _take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        opened = self._opener.open(topic, payload)
        parsed = parse(topic)
        assert parsed is not None, "the opener refuses topics that are not ours"
        try:
            if opened.kind is Kind.watermark:
                mark = decode_watermark(opened.data, parsed.key)
                if retained or not opened.repeat:  # a retained one may be older than an intent
                    self._take_watermark(mark, said_now=not retained)
            elif opened.kind is Kind.intent:
                self._emit(IntentArrived(decode_intent(opened.data, parsed.name, parsed.key)))
        except ValueError as error:
            log.warning("refused %s: %s", topic, error)
            raise self._opener.refuse(Reject.bad_schema) from error

    def _take_watermark(self, mark: Watermark, *, said_now: bool) -> None:
        """Heed the centre's word about this journal, unless it said more before."""
        series = self._journal.series
        told, held = (mark.books_epoch, mark.held_seq), (series.books_epoch, series.held_seq)
        if mark.journal_id != series.journal_id or told < held:
            return
        stepped = self._clock.heard_centre(mark.centre_at_ms) if said_now else None
        if stepped is not None:
            self._emit(stepped)
        if told == held:
            self._mark_repeated = True
            self.wake()
        self._emit(WatermarkArrived(mark))

    async def _send_facts(self, client: aiomqtt.Client) -> None:
        """What the centre does not hold, from its watermark on, as often as it takes."""
        loop, in_flight = asyncio.get_running_loop(), InFlight()
        while True:
            self._facts_waiting.clear()
            in_flight.follow(self._journal.series, loop.time())
            if self._mark_repeated:
                self._mark_repeated = False
                in_flight.said_again(self._journal.series, loop.time())
            after_seq = in_flight.after_seq
            if after_seq is not None and after_seq < self._journal.series.head_seq:
                out = await self._journal.facts_after(after_seq)
                if out.journal_id != in_flight.journal_id or not out.texts:
                    continue
                if (last_seq := await self._send_batch(client, out)) is not None:
                    in_flight.sent(last_seq, loop.time())
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(in_flight.due_in_s(loop.time())):
                    await self._facts_waiting.wait()

    async def _send_batch(self, client: aiomqtt.Client, out: Outgoing) -> int | None:
        """Send as many of these facts as one envelope holds; the seq of the last one sent.

        None where not even the first fits: the facts wait then, live and pulse go on.
        """
        texts = out.texts
        if self._stuck == (out.journal_id, out.first_seq):
            return None
        while True:
            data = encode_batch(
                journal_id=out.journal_id,
                first_seq=out.first_seq,
                chain_before=out.chain_before,
                texts=texts,
            )
            try:
                if len(data) > _BATCH_BYTES_MAX:
                    raise TooLargeError(f"{len(data)} bytes of facts")
                sealed = self._sealer.seal(Kind.facts, self._topics.facts, data)
            except TooLargeError:
                if len(texts) == 1:
                    self._stuck = (out.journal_id, out.first_seq)
                    log.error("fact %d is too large to be sent; facts wait", out.first_seq)
                    return None
                texts = texts[: len(texts) // 2]
            else:
                self._stuck = None
                await _publish(client, self._topics.facts, sealed, qos=1)
                return out.first_seq + len(texts) - 1

    async def _send_live(self, client: aiomqtt.Client) -> None:
        loop, full_at = asyncio.get_running_loop(), 0.0
        while True:
            full = loop.time() >= full_at
            live = self._speaker.live(full=full)
            if full:
                full_at = loop.time() + FULL_PICTURE_S
            if live is not None:
                sealed = self._sealer.seal(Kind.live, self._topics.live, live.encode())
                await _publish(client, self._topics.live, sealed, qos=0)
            await asyncio.sleep(self._live_period_s)

    async def _send_pulse(self, client: aiomqtt.Client) -> None:
        while True:
            sealed = self._sealer.seal(Kind.pulse, self._topics.pulse, self._pulse().encode())
            await _publish(client, self._topics.pulse, sealed, qos=0)
            await asyncio.sleep(PULSE_S)

    def _pulse(self) -> Pulse:
        series, now = self._journal.series, self._clock.now()
        return Pulse(
            journal_id=series.journal_id,
            head_seq=series.head_seq,
            held_seq=series.held_seq,
            boot=series.boot,
            trust=int(now.trust),
            at_ms=now.at_ms,
            intents_digest=self._speaker.intents_digest(),
            software=self._software,
            profile=int(Profile.aes_gcm),
            disk_free_mib=shutil.disk_usage(self._state_dir).free // _MIB,
        )


async def _publish(client: aiomqtt.Client, topic: str, sealed: bytes, *, qos: int) -> None:
    """Hand a message to the broker. Raises MqttError or TimeoutError where it does not take it."""
    async with asyncio.timeout(ANSWER_S):
        await client.publish(topic, sealed, qos=qos, timeout=math.inf)


def _heed_cancellation() -> None:
    """End here if asked to. On Python 3.11 the order is lost where an awaited answer comes in the
    same moment (`wait_for`, within aiomqtt), or where a task of a group fails in it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _leaves(faults: BaseExceptionGroup[Exception]) -> list[str]:
    """What happened, without the groups around it."""
    words = []
    for fault in faults.exceptions:
        words += _leaves(fault) if isinstance(fault, BaseExceptionGroup) else [str(fault)]
    return words
