"""A centre that does what a test says, and a gateway's uplink with a real journal before it."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from domain.wire.envelope import Opener, Sealer, gateway_secret
from domain.wire.facts import RawBatch, chain, parse_batch
from domain.wire.fields import CHAIN_START
from domain.wire.intents import Intent, PolicyBody
from domain.wire.messages import Live, Pulse, Watermark, decode_live, decode_pulse
from domain.wire.topics import Kind, Topics
from edge.clock import Clock, Sources
from edge.events import Event, WatermarkArrived
from edge.journal import Journal
from edge.memory import Commit, Written
from edge.uplink import Broker as Address
from edge.uplink import Uplink
from tests import broker as brokers

GATEWAY = "g1"
TOPICS = Topics(brokers.CELL, GATEWAY)
SECRET = gateway_secret(bytes(range(32)), GATEWAY, 1)
WITHIN_S = 10.0
T0 = 1_795_000_000_000  # what the gateway's floor says when it starts
_quiet = logging.getLogger("tests.centre")
_quiet.setLevel(logging.CRITICAL)


@dataclass
class Heard:
    """A message of the gateway as it came to the centre."""

    topic: str
    qos: int
    at_s: float
    content: RawBatch | Live | Pulse


@dataclass
class Centre:
    """Hears everything, says what the test wants, and wakes whoever waits for something."""

    client: aiomqtt.Client
    sealer: Sealer = field(default_factory=lambda: Sealer(SECRET, 1, "down", os.urandom))
    opener: Opener = field(default_factory=lambda: Opener({1: SECRET}, "up"))
    heard: list[Heard] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def batches(self) -> list[RawBatch]:
        return [one.content for one in self.heard if isinstance(one.content, RawBatch)]

    @property
    def pictures(self) -> list[Live]:
        return [one.content for one in self.heard if isinstance(one.content, Live)]

    @property
    def pulses(self) -> list[Pulse]:
        return [one.content for one in self.heard if isinstance(one.content, Pulse)]

    async def listen(self) -> None:
        decode: dict[Kind, Callable[[bytes], RawBatch | Live | Pulse]] = {
            Kind.facts: parse_batch,
            Kind.live: decode_live,
            Kind.pulse: decode_pulse,
        }
        async for message in self.client.messages:
            topic, payload = message.topic.value, message.payload
            if topic == TOPICS.gone:
                continue
            assert isinstance(payload, bytes)
            opened = self.opener.open(topic, payload)
            content = decode[opened.kind](opened.data)
            at_s = asyncio.get_running_loop().time()
            async with self.news:
                self.heard.append(Heard(topic, message.qos, at_s, content))
                self.news.notify_all()

    async def until(self, told: Callable[["Centre"], bool]) -> None:
        async with asyncio.timeout(WITHIN_S), self.news:
            await self.news.wait_for(lambda: told(self))

    async def until_beats(self, n: int = 2) -> None:
        """Wait for more pulses: what was said before them has arrived by then."""
        already = len(self.pulses)
        await self.until(lambda me: len(me.pulses) >= already + n)

    def mark(self, journal: Journal, held: int, *, epoch: int = 0, at_ms: int = T0) -> Watermark:
        link = CHAIN_START
        for seq in range(1, held + 1):
            link = chain(link, note(seq).text)
        journal_id = journal.series.journal_id
        return Watermark(
            journal_id=journal_id, books_epoch=epoch, held_seq=held, safe_seq=0, chain=link,
            centre_at_ms=at_ms,
        )  # fmt: skip

    async def say(self, what: Watermark | Intent, *, retain: bool = True) -> None:
        topic, sealed = self.sealed(what)
        await self.client.publish(topic, sealed, qos=1, retain=retain)

    def sealed(self, what: Watermark | Intent) -> tuple[str, bytes]:
        if isinstance(what, Watermark):
            topic = TOPICS.watermark(what.journal_id)
            return topic, self.sealer.seal(Kind.watermark, topic, what.encode())
        topic = TOPICS.intent(what.kind, what.key)
        return topic, self.sealer.seal(Kind.intent, topic, what.encode())


def intent(version: int) -> Intent:
    body = PolicyBody(alarm_1_fen=1_000 + version, alarm_2_fen=500)
    return Intent.of(body, key="dorm", version=version, issued_at_ms=T0)


def note(seq: int, size: int = 0) -> Written:
    """A small fact, the same for the same seq, or a large one that hardly shrinks."""
    text = os.urandom(size // 2).hex()
    return Written(seq, "noted", f'{{"kind":"noted","seq":{seq},"text":"{text}"}}')


class Speaker:
    """What the gateway knows: a picture whose cycle the test turns."""

    def __init__(self) -> None:
        self.cycle, self._said = 1, 0

    def live(self, *, full: bool) -> Live | None:
        if not full and self._said == self.cycle:
            return None
        self._said = self.cycle
        return Live(boot=1, cycle=self.cycle, full=full, points=())

    def intents_digest(self) -> str:
        return "ab" * 32


@dataclass
class Gateway:
    """An uplink, its journal, its clock, and the events that came down."""

    uplink: Uplink
    journal: Journal
    clock: Clock
    speaker: Speaker
    events: "asyncio.Queue[Event]"
    arrived: list[Event]
    running: "asyncio.Task[None] | None" = None

    async def write(self, last_seq: int, *, size: int = 0) -> None:
        """The journal grows up to `last_seq`, as by a cycle."""
        first = self.journal.series.head_seq + 1
        await self.journal.commit(
            Commit(facts=tuple(note(seq, size) for seq in range(first, last_seq + 1)))
        )
        self.uplink.wake()

    async def heed(self) -> None:
        """Do with what arrives what the cycle and the performer do."""
        while True:
            event = await self.events.get()
            if isinstance(event, WatermarkArrived):
                await self.journal.watermark(event.watermark)
                self.uplink.wake()
            self.arrived.append(event)

    async def until(self, told: Callable[["Gateway"], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not told(self):  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # what is asked about has no event

    def start(self) -> None:
        self.running = asyncio.get_running_loop().create_task(self.uplink.run())

    async def stop(self) -> None:
        assert self.running is not None
        self.running.cancel()
        await asyncio.wait([self.running])
        assert self.running.cancelled()


@asynccontextmanager
async def gateway(
    broker: brokers.Broker,
    directory: Path,
    *,
    live_period_ms: int = 50,
    password: str | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway that is not started yet; its clock knows only a floor."""
    ids, began = count(1), asyncio.get_running_loop().time()

    def mono_ms() -> int:
        return int((asyncio.get_running_loop().time() - began) * 1_000)

    journal, known = await Journal.open(directory / "journal.db", new_id=lambda: f"j{next(ids)}")
    sources = Sources(
        mono_ms=mono_ms, boottime_ms=mono_ms, wall_ms=lambda: 0, ntp_synchronised=lambda: False,
        kernel_boot_id="k",
    )  # fmt: skip
    clock = Clock(sources, boot=known.series.boot, floor_ms=T0, carried=None)
    speaker, events = Speaker(), asyncio.Queue[Event]()
    account = brokers.gateway(GATEWAY)
    uplink = Uplink(
        Address(broker.host, broker.port, password or account.password, None),
        topics=TOPICS,
        gateway_id=GATEWAY,
        sealer=Sealer(SECRET, 1, "up", os.urandom),
        opener=Opener({1: SECRET}, "down"),
        journal=journal,
        clock=clock,
        speaker=speaker,
        emit=events.put_nowait,
        software="test",
        live_period_ms=live_period_ms,
        state_dir=directory,
    )
    made = Gateway(uplink, journal, clock, speaker, events, [])
    heeding = asyncio.get_running_loop().create_task(made.heed())
    try:
        yield made
    finally:
        heeding.cancel()
        if made.running is not None:
            made.running.cancel()
            await asyncio.wait([made.running])
        await asyncio.gather(heeding, return_exceptions=True)
        await journal.close()


@asynccontextmanager
async def centre(broker: brokers.Broker) -> AsyncIterator[Centre]:
    """Connected and listening to everything that gateways say."""
    account = brokers.centre()
    async with connected(broker, account) as client:
        await client.subscribe(f"wl1/{brokers.CELL}/+/up/#", qos=1)
        made = Centre(client)
        listening = asyncio.get_running_loop().create_task(made.listen())
        try:
            yield made
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def connected(
    broker: brokers.Broker, account: brokers.Account, *, session_s: int = 0
) -> AsyncIterator[aiomqtt.Client]:
    """A client of the broker, which keeps its session for `session_s` after it has gone."""
    lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    lasting.SessionExpiryInterval = session_s
    async with aiomqtt.Client(
        broker.host, broker.port, username=account.user, password=account.password,
        identifier=account.user, protocol=aiomqtt.ProtocolVersion.V5, clean_start=True,
        properties=lasting, logger=_quiet,
    ) as client:  # fmt: skip
        yield client
