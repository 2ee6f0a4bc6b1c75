"""A gateway that does what a test says: a journal of facts, and a real connection to the broker."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt

from domain.supply import Relay, State
from domain.wire.envelope import Opener, Sealer, gateway_secret
from domain.wire.facts import RawBatch, canonical, chain, encode_batch, parse_batch
from domain.wire.fields import CHAIN_START
from domain.wire.intents import Intent, decode_intent, digest
from domain.wire.messages import Live, LivePoint, Pulse, Watermark, decode_watermark
from domain.wire.topics import Kind, Topics, parse
from tests.broker import CELL, Account, Broker
from tests.broker import gateway as account_of

MASTER = bytes(range(32))
WITHIN_S = 5.0
_quiet = logging.getLogger("tests.scripted")
_quiet.setLevel(logging.CRITICAL)


class Journal:
    """A series of facts with its chain, as a gateway keeps it."""

    def __init__(self, journal_id: str, at_ms: int, *, boot: int = 1) -> None:
        self.journal_id, self.at_ms, self.boot = journal_id, at_ms, boot
        self.texts: list[str] = []
        self.chains = [CHAIN_START]

    @property
    def head_seq(self) -> int:
        return len(self.texts)

    def add(self, kind: str, **fields: Any) -> int:
        """Write a fact; returns its seq."""
        seq = self.head_seq + 1
        stamp = {"at_ms": self.at_ms + seq, "trust": 3, "boot": self.boot, "mono_ms": seq}
        text = canonical({"kind": kind, "seq": seq} | stamp | fields)
        self.texts.append(text)
        self.chains.append(chain(self.chains[-1], text))
        return seq

    def open(self, *, previous: str | None = None, reason: str = "first") -> int:
        """Write the fact that every journal begins with."""
        return self.add(
            "journal_opened", previous_journal_id=previous, reason=reason, software="0.1.0",
            snapshot_version=None,
        )  # fmt: skip

    def note(self, n: int = 1) -> None:
        """Write facts that change nothing."""
        for _ in range(n):
            self.add("interval_missing", point_id="nowhere", from_ms=0, to_ms=1, reason="test")

    def encoded(self, first_seq: int = 1, last_seq: int | None = None) -> bytes:
        """The batch from `first_seq` to `last_seq` (the head), as it is sealed."""
        return encode_batch(
            journal_id=self.journal_id,
            first_seq=first_seq,
            chain_before=self.chains[first_seq - 1],
            texts=self.texts[first_seq - 1 : last_seq],
        )

    def batch(self, first_seq: int = 1, last_seq: int | None = None) -> RawBatch:
        """The same, as the centre reads it."""
        return parse_batch(self.encoded(first_seq, last_seq))


class ScriptedGateway:
    """Speaks and hears as a gateway, and keeps what it hears."""

    def __init__(self, gateway_id: str, *, epoch: int = 1, at_ms: int = 0) -> None:
        self.gateway_id, self.epoch = gateway_id, epoch
        self.topics = Topics(CELL, gateway_id)
        self.journal = Journal(f"journal-{gateway_id}", at_ms)
        secret = gateway_secret(MASTER, gateway_id, epoch)
        self.sealer = Sealer(secret, epoch, "up", os.urandom)
        self.opener = Opener({epoch: secret}, "down")
        self.watermarks: list[Watermark] = []
        self.intents: list[Intent] = []
        self.cycle = 0
        self._client: aiomqtt.Client | None = None
        self._heard = asyncio.Condition()

    @property
    def account(self) -> Account:
        return account_of(self.gateway_id)

    @asynccontextmanager
    async def at(self, broker: Broker) -> AsyncIterator["ScriptedGateway"]:
        """Connected; leaves with its will unsaid."""
        async with connected(broker, self.account, will=self.topics.gone) as client:
            await client.subscribe(self.topics.down_filter, qos=1)
            self._client = client
            listening = asyncio.create_task(self._listen(client))
            try:
                yield self
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    def sealed_facts(self, first_seq: int = 1, last_seq: int | None = None) -> bytes:
        return self.sealer.seal(
            Kind.facts, self.topics.facts, self.journal.encoded(first_seq, last_seq)
        )

    async def send_facts(self, first_seq: int = 1, last_seq: int | None = None) -> None:
        await self.publish(self.topics.facts, self.sealed_facts(first_seq, last_seq), qos=1)

    def sealed_pulse(self, **changed: Any) -> bytes:
        usual: dict[str, Any] = {
            "journal_id": self.journal.journal_id,
            "head_seq": self.journal.head_seq,
            "held_seq": 0,
            "boot": self.journal.boot,
            "trust": 3,
            "at_ms": self.journal.at_ms,
            "intents_digest": digest({(i.kind, i.key): i.version for i in self.intents}),
            "software": "0.1.0",
            "profile": 1,
            "disk_free_mib": 100,
        }
        data = Pulse(**(usual | changed)).encode()
        return self.sealer.seal(Kind.pulse, self.topics.pulse, data)

    async def send_pulse(self, **changed: Any) -> None:
        await self.publish(self.topics.pulse, self.sealed_pulse(**changed))

    def sealed_live(self, *points: LivePoint, full: bool = True) -> bytes:
        self.cycle += 1
        live = Live(boot=self.journal.boot, cycle=self.cycle, full=full, points=points)
        return self.sealer.seal(Kind.live, self.topics.live, live.encode())

    async def send_live(self, *points: LivePoint, full: bool = True) -> None:
        await self.publish(self.topics.live, self.sealed_live(*points, full=full))

    async def publish(self, topic: str, payload: bytes, *, qos: int = 0) -> None:
        assert self._client is not None
        await self._client.publish(topic, payload, qos=qos)

    async def until(self, told: Callable[["ScriptedGateway"], bool]) -> None:
        """Wait until what was heard satisfies `told`."""
        async with asyncio.timeout(WITHIN_S), self._heard:
            await self._heard.wait_for(lambda: told(self))

    async def until_held(self, seq: int) -> Watermark:
        """Wait for the watermark that holds `seq`."""
        await self.until(lambda me: any(mark.held_seq >= seq for mark in me.watermarks))
        return self.watermarks[-1]

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic, payload = message.topic.value, message.payload
            assert isinstance(payload, bytes)
            opened, parsed = self.opener.open(topic, payload), parse(topic)
            assert parsed is not None
            async with self._heard:
                if opened.kind is Kind.watermark:
                    self.watermarks.append(decode_watermark(opened.data, parsed.key))
                else:
                    self.intents.append(decode_intent(opened.data, parsed.name, parsed.key))
                self._heard.notify_all()


@asynccontextmanager
async def connected(
    broker: Broker, account: Account, *, will: str | None = None
) -> AsyncIterator[aiomqtt.Client]:
    """A client of the broker; a connection that breaks on the way out is no failure."""
    client = aiomqtt.Client(
        broker.host,
        broker.port,
        username=account.user,
        password=account.password,
        identifier=account.user,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        will=None if will is None else aiomqtt.Will(will, b"", qos=0),
        logger=_quiet,
    )
    async with client:
        yield client


def shown(point_id: str, *, power_w: int = 120) -> LivePoint:
    """A point of a picture."""
    return LivePoint(
        point_id=point_id, at_ms=1_795_305_600_000, total_wh=1_000, power_w=power_w, pf_pct=98,
        available_ticks=0, relay=Relay.closed, supply=State.on, alarms=(), version=1, count=1,
    )  # fmt: skip
