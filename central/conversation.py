"""The conversation with the gateways: what came in is booked or shown, what is due is said.

It goes on whether or not there is a broker. This module does not know MQTT: `central.link` brings
what arrived to the inbox and carries away what waits in `sending`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

import structlog

from central import field, outbox
from central.database import Database
from central.gateways import service as gateways
from central.inbox import Heard, Inbox
from central.metering import service as metering
from central.metering.live import LiveBoard
from central.metering.service import Arrived, Ingested, Outcome, Prices
from central.outbox import Stored
from central.publisher import Publisher
from central.sending import Sending, Sent
from domain.ids import IdSource
from domain.instants import Trust
from domain.wire.messages import Watermark
from domain.wire.topics import Kind, Topics

LOOK_AGAIN_S = 1.0  # gateways added, renewed or revoked, pulses, intents that became due
PLACES_AGAIN_S = 60.0
WRITE_DOWN_S = 5.0
AFTER_FAULT_S = 1.0
TIME_AGAIN_MS = 15_000  # how often a gateway that does not know the time is told it

_log = structlog.get_logger("link")


class Conversation:
    """With every gateway of a cell. `faults` says what ails; nothing that arrives ends it."""

    def __init__(
        self,
        *,
        cell_id: str,
        master: bytes,
        database: Database,
        board: LiveBoard,
        now_ms: Callable[[], int],
        new_id: IdSource,
        random_bytes: Callable[[int], bytes],
        sent: Sent,
    ) -> None:
        self._cell_id, self._master = cell_id, master
        self._database, self._board = database, board
        self._now_ms, self._new_id = now_ms, new_id
        self.inbox = Inbox(cell_id, board)
        self.sending, self._sent = Sending(random_bytes), sent
        self._prices = Prices()
        self._publishers: defaultdict[str, Publisher] = defaultdict(Publisher)
        self._secrets: Mapping[str, Mapping[int, bytes]] = {}
        self._points: Mapping[str, str] = {}
        self._heard_ms: dict[str, int] = {}  # journal → when it was last heard
        self._to_note: dict[str, Heard] = {}
        self._time_told_ms: dict[str, int] = {}  # gateway → when it was last told the time
        self._newest: dict[str, tuple[int, ...]] = {}  # topic → version said last
        self._places_due = 0.0  # on the loop's clock
        self._committed = asyncio.Event()
        self._connected = False
        self.faults: dict[str, str] = {}
        database.on_commit(self._committed.set)

    async def run(self) -> None:
        """Book, look and say, for ever; only a mistake of ours ends it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forever("booking", self._book))
            tasks.create_task(self._forever("looking", self._look_again))
            tasks.create_task(self._forever("writing down", self._write_down_again))
            tasks.create_task(self._forever("intents", self._say_due))

    async def connected(self) -> None:
        """A broker is there, and knows nothing: say every watermark and all that is outstanding."""
        self.sending.clear()
        # Whom we could not hear was not silent: its journal is not another device's to take over.
        heard = dict.fromkeys(await self._database.read(field.held), self._now_ms())
        self._heard_ms = {**self._heard_ms, **heard}
        self._connected = self._board.reachable = True
        await self._say_all_marks(self._secrets)
        self._say_again(self._secrets)

    def disconnected(self) -> None:
        """Nothing can be said for now; what comes in meanwhile is booked all the same."""
        self._connected = self._board.reachable = False

    async def health(self) -> Mapping[str, int]:
        """What `/healthz` says of the field."""
        held = await self._database.read(field.held)
        health = self._board.health(self._now_ms(), points=self._points.keys(), held=held)
        return {
            "meters_total": health.meters_total,
            "meters_live": health.meters_live,
            "gateways_online": health.gateways_online,
            "backlog_facts": health.backlog_facts,
        }

    # --- facts -------------------------------------------------------------------------------

    async def _book(self) -> None:
        for done in await self._booked(await self.inbox.next_group()):
            if done.outcome not in (Outcome.taken, Outcome.gap):
                self.inbox.count(done.gateway_id, done.outcome.value)
            if done.says_watermark:
                self._say_watermark(done.gateway_id, done.journal_id, done.watermark)

    async def _booked(self, group: Sequence[Arrived]) -> Sequence[Ingested]:
        """Book in one transaction; where that fails, one by one, so that one batch stops no other.

        A batch that cannot be booked is counted and said aloud; its gateway will send it again.
        """
        try:
            done = await self._write(group)
        except Exception as error:  # noqa: BLE001 - said aloud, and tried again in smaller pieces
            if len(group) > 1:
                return [done for arrived in group for done in await self._booked([arrived])]
            gateway_id = group[0].gateway_id
            self.inbox.count(gateway_id, "not_booked")
            self.faults["not booked"] = f"{gateway_id}: {type(error).__name__}: {error}"
            _log.exception("not booked", gateway=gateway_id, first_seq=group[0].batch.first_seq)
            await asyncio.sleep(AFTER_FAULT_S)
            return []
        self.faults.pop("not booked", None)
        return done

    async def _write(self, group: Sequence[Arrived]) -> Sequence[Ingested]:
        return await self._database.write(
            metering.ingest_all,
            group,
            new_id=self._new_id,
            prices=self._prices,
            heard_ms=self._heard_ms,
        )

    def _say_watermark(
        self, gateway_id: str, journal_id: str, watermark: Callable[[int], Watermark]
    ) -> None:
        topic, mark = Topics(self._cell_id, gateway_id).watermark(journal_id), watermark(0)
        if self._is_newest(topic, (mark.books_epoch, mark.held_seq)):
            self.sending.put(
                gateway_id, Kind.watermark, topic, lambda: watermark(self._now_ms()).encode()
            )

    # --- intents -----------------------------------------------------------------------------

    async def _say_due(self) -> None:
        """Say what is due: at once after a commit, and as often as the publishers want."""
        self._committed.clear()
        if self._connected:
            standing: defaultdict[str, list[Stored]] = defaultdict(list)
            for row in await self._database.read(outbox.outstanding):
                standing[row.gateway_id].append(row)
            for gateway_id in self._secrets:
                publisher = self._publishers[gateway_id]
                for row in publisher.due(standing[gateway_id], now_ms=self._now_ms()):
                    self._say_intent(row)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._committed.wait(), LOOK_AGAIN_S)

    def _say_intent(self, row: Stored) -> None:
        topic = Topics(self._cell_id, row.gateway_id).intent(row.kind, row.key)
        if self._is_newest(topic, (row.version,)):
            data, sent = partial(field.encoded, row), partial(self._note_sent, row)
            self.sending.put(row.gateway_id, Kind.intent, topic, data, sent=sent)

    def _note_sent(self, row: Stored) -> None:
        named = (row.gateway_id, row.kind, row.key)
        self._sent.note(*named, version=row.version, at_ms=self._now_ms())

    def _is_newest(self, topic: str, version: tuple[int, ...]) -> bool:
        """Whether nothing newer was said on the topic: two readers of the books may overtake."""
        newest = self._newest.get(topic, version)
        self._newest[topic] = max(newest, version)
        return version >= newest

    def _say_again(self, gateway_ids: Collection[str]) -> None:
        for gateway_id in gateway_ids:
            self._publishers[gateway_id].reconnected()
        self._committed.set()

    # --- what is known -----------------------------------------------------------------------

    async def _look_again(self) -> None:
        await asyncio.sleep(LOOK_AGAIN_S)
        loop = asyncio.get_running_loop()
        places = self.inbox.unplaced or loop.time() >= self._places_due
        if places:
            self._places_due = loop.time() + PLACES_AGAIN_S
        await self.look(places=places)
        await self._hear(self.inbox.take_pulses())

    async def look(self, *, places: bool = True) -> None:
        """Learn of gateways, keys and places as the books know them now."""
        found, now_ms = await self._database.read(field.look), self._now_ms()
        if places:
            self._points = await self._database.read(field.places)
        known = self._secrets
        self._secrets = {
            gateway.gateway_id: known[gateway.gateway_id]
            if tuple(known.get(gateway.gateway_id, ())) == gateway.epochs(now_ms)
            else gateways.secrets(self._master, gateway, now_ms=now_ms)
            for gateway in found.gateways
        }
        self.inbox.know(self._secrets, past=found.past)
        if places:
            self.inbox.know_places(self._points)
        await self._choose_epochs()

    async def _choose_epochs(self) -> None:
        """Seal for each gateway under the newest key that it was heard under, else the newest."""
        changed = set()
        for gateway_id, secrets in self._secrets.items():
            heard = self.inbox.epoch_heard.get(gateway_id)
            epoch = heard if heard in secrets else max(secrets, default=None)
            if self.sending.seal_under(gateway_id, secrets, epoch) and epoch is not None:
                changed.add(gateway_id)
        if changed and self._connected:
            await self._say_all_marks(changed)
            self._say_again(changed)

    async def _hear(self, pulses: Sequence[Heard]) -> None:
        """Say again what a gateway that came back, or holds something else, should know."""
        if not pulses:
            return
        self._heard_ms |= {heard.pulse.journal_id: heard.received_ms for heard in pulses}
        self._to_note |= {heard.gateway_id: heard for heard in pulses}
        back = {heard.gateway_id for heard in pulses if heard.back}
        if back:
            await self._say_all_marks(back)
            self._say_again(back)
        await self._tell_time(pulses)
        holding = await self._database.read(field.all_intents, {h.gateway_id for h in pulses})
        for heard in pulses:
            rows = holding[heard.gateway_id]
            publisher, digest = self._publishers[heard.gateway_id], heard.pulse.intents_digest
            if publisher.heard(digest, outbox.digests(rows), now_ms=heard.received_ms):
                for row in rows:
                    self._say_intent(row)

    async def _tell_time(self, pulses: Sequence[Heard]) -> None:
        """A watermark carries the centre's time: say one to whoever lacks it, facts or none."""
        lacking = [
            heard
            for heard in pulses
            if heard.pulse.trust < Trust.synchronised
            and abs(heard.received_ms - self._time_told_ms.get(heard.gateway_id, -TIME_AGAIN_MS))
            >= TIME_AGAIN_MS
        ]
        if not lacking or not self._connected:
            return
        self._time_told_ms |= {heard.gateway_id: heard.received_ms for heard in lacking}
        journal_ids = [heard.pulse.journal_id for heard in lacking]
        for mark in await self._database.read(field.marks_of, journal_ids):
            self._say_watermark(mark.gateway_id, mark.journal_id, mark.watermark)

    async def _say_all_marks(self, gateway_ids: Collection[str]) -> None:
        for mark in await self._database.read(field.marks, gateway_ids):
            self._say_watermark(mark.gateway_id, mark.journal_id, mark.watermark)

    async def _write_down_again(self) -> None:
        await asyncio.sleep(WRITE_DOWN_S)
        await self.write_down()

    async def write_down(self) -> None:
        """Keep in the books what was refused, and what pulses said, since the last time."""
        refused, heard = self.inbox.refused_untold(), self._to_note
        if not refused and not heard:
            return
        self._to_note = {}
        await self._database.write(
            field.write_down, refused=refused, heard=list(heard.values()), now_ms=self._now_ms()
        )
        self.inbox.told(refused)

    async def _forever(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        """Do `step` again and again, also after a fault of the database; our mistakes pass."""
        while True:
            try:
                await step()
                self.faults.pop(name, None)
            except AssertionError:
                raise
            except Exception as error:  # noqa: BLE001 - said aloud, and tried again
                self.faults[name] = f"{type(error).__name__}: {error}"
                _log.exception("a task of the link failed", task=name)
                await asyncio.sleep(AFTER_FAULT_S)
