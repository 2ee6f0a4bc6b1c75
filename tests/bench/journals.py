"""Journals as gateways write them: the gateway's own rules, fed with polls that nobody waits for.

Every gateway of a campus gets the intents that stand in the books, sees its meters, and closes one
interval after the other. Nothing runs but its brain, so a month is written in seconds.
"""

import os
import random
from collections.abc import Iterator
from itertools import zip_longest

from sqlalchemy import Connection

from central import field
from domain.instants import DAY_MS, MINUTE_MS, Stamp, Trust
from domain.supply import Relay
from domain.wire.envelope import Sealer, TooLargeError, gateway_secret
from domain.wire.facts import chain, encode_batch, how_many
from domain.wire.fields import CHAIN_START
from domain.wire.intents import Intent, decode_intent
from domain.wire.topics import Kind, Topics
from edge.cycle import step
from edge.effects import Persist
from edge.events import Event, Identified, IntentArrived, Polled
from edge.installing import begin
from edge.memory import Recollection, Series
from edge.meters.profile import default_directory, load_all
from edge.meters.snapshot import Snapshot
from edge.picture import Rules
from simulator.demo.files import KEY_EPOCH

INTERVAL_MS = 30 * MINUTE_MS
WH_MAX = 150  # of one room in one interval
POLL_MS, ROUND_MS = 106, 5_000  # of one meter; before the end of an interval


def intents_of(connection: Connection, gateway_id: str) -> list[Intent]:
    """Everything the books want this gateway to hold."""
    rows = field.all_intents(connection, [gateway_id])[gateway_id]
    return [decode_intent(field.encoded(row), row.kind, row.key) for row in rows]


class Gateway:
    """A gateway without buses, disk or link: it writes facts and seals them."""

    def __init__(
        self, gateway_id: str, intents: list[Intent], *, topics: Topics, master: bytes, at_ms: int
    ) -> None:
        self.gateway_id, self.topics, self.at_ms = gateway_id, topics, at_ms
        self.journal_id = f"bench-{gateway_id}"
        self._sealer = Sealer(
            gateway_secret(master, gateway_id, KEY_EPOCH), KEY_EPOCH, "up", os.urandom
        )
        self._chance = random.Random(gateway_id)
        self._mono_ms = 0
        self._texts: list[str] = []
        self._chains = [CHAIN_START]
        self._sent = 0
        self._picture = begin(
            Recollection(Series(self.journal_id, "first", None, boot=1)),
            (),
            profiles=load_all(default_directory()),
            rules=Rules(gateway_id=gateway_id, software="bench", lost_ms=DAY_MS),
        )
        self._turn(*(IntentArrived(intent) for intent in intents))
        points = self._picture.points.values()
        self._wh = {point.point_id: self._chance.randrange(10**6) for point in points}
        self._turn(
            *(Identified(point.point_id, point.place.meter_id, False, 0) for point in points)
        )
        self._round()

    @property
    def facts(self) -> int:
        """How many facts were written."""
        return len(self._texts)

    def interval(self) -> None:
        """Half an hour passes; every meter is read in its last seconds, then it is closed."""
        self._until(self.at_ms + INTERVAL_MS - self.at_ms % INTERVAL_MS - ROUND_MS)
        self._round()
        self._until(self.at_ms + INTERVAL_MS - self.at_ms % INTERVAL_MS)
        self._turn()

    def envelopes(self) -> Iterator[tuple[str, bytes]]:
        """Topic and payload of what was not sent yet, as full as a gateway fills its batches."""
        while self._sent < self.facts:
            waiting = self._texts[self._sent :]
            texts = waiting[: how_many(waiting)]
            while (sealed := self._sealed(texts)) is None:
                texts = texts[: len(texts) // 2]
            self._sent += len(texts)
            yield self.topics.facts, sealed

    def _sealed(self, texts: list[str]) -> bytes | None:
        data = encode_batch(
            journal_id=self.journal_id,
            first_seq=self._sent + 1,
            chain_before=self._chains[self._sent],
            texts=texts,
        )
        try:
            return self._sealer.seal(Kind.facts, self.topics.facts, data)
        except TooLargeError:
            return None

    def _until(self, at_ms: int) -> None:
        self._mono_ms += at_ms - self.at_ms
        self.at_ms = at_ms

    def _round(self) -> None:
        """Every meter is read, one after the other on each bus."""
        buses: dict[str, list[str]] = {}
        for point in self._picture.points.values():
            buses.setdefault(point.bus_id, []).append(point.point_id)
        for at_once in zip_longest(*buses.values()):
            self._turn(*(self._polled(point_id) for point_id in at_once if point_id))
            self._until(self.at_ms + POLL_MS)

    def _polled(self, point_id: str) -> Polled:
        self._wh[point_id] += self._chance.randrange(1, WH_MAX)
        wh = self._wh[point_id]
        quarter = wh // 4
        snapshot = Snapshot(
            register_wh=wh,
            rate_wh=(quarter, quarter, quarter, wh - 3 * quarter),
            power_w=2 * WH_MAX,
            voltage_dv=2200,
            current_ca=136,
            pf_milli=990,
            relay=Relay.closed,
            forced=None,
            own_prepaid_on=None,
            meter_balance_fen=None,
            meter_count=0,
            type_code=7,
        )
        meter_id = self._picture.points[point_id].place.meter_id
        return Polled(point_id, meter_id, snapshot, self._mono_ms)

    def _turn(self, *events: Event) -> None:
        now = Stamp(self.at_ms, Trust.synchronised, 1, self._mono_ms)
        self._picture, effects = step(self._picture, events, now)
        for effect in effects:
            if isinstance(effect, Persist):
                for fact in effect.commit.facts:
                    self._texts.append(fact.text)
                    self._chains.append(chain(self._chains[-1], fact.text))
