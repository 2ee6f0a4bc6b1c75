"""The gateway put together: the only place where its parts are made and joined.

Everything that could surprise (clocks, chance, the environment) is an argument.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from domain.ids import IdSource
from domain.wire.envelope import Opener, Sealer
from domain.wire.messages import Live
from domain.wire.topics import Topics
from edge import installing
from edge import live as told
from edge.buses import BuildingBuses
from edge.clock import Clock, Sources
from edge.engine import Engine
from edge.events import Event
from edge.faults import Fault
from edge.installation import InstallationFile
from edge.journal import Journal
from edge.local import LocalDoor
from edge.memory import Recollection
from edge.meters import profile
from edge.meters.file_faults import FileFaultsError
from edge.performer import Performer
from edge.picture import Picture, Rules
from edge.settings import Settings
from edge.uplink import Broker, Uplink
from edge.watchdog import Watchdog

CLOCK_EVERY_S = 15.0

log = logging.getLogger("wattledger.edge")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a computer offers: its clocks, chance, ids, environment, and the software's version."""

    clocks: Sources
    random_bytes: Callable[[int], bytes]
    new_id: IdSource
    environment: Mapping[str, str]
    software: str


class ProfilesFault(Fault):
    """A meter profile is faulty; the message names every fault with file and key."""


async def serve(settings: Settings, machine: Machine, stop: asyncio.Event) -> None:
    """Run the gateway until `stop` is set. Raises Fault (in a group) where it cannot go on."""
    profiles = _profiles(settings)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    journal, known = await Journal.open(settings.state_dir / "journal.db", new_id=machine.new_id)
    try:
        await _Gateway(settings, machine, profiles, journal, known).run(stop)
    finally:
        await journal.close()


def _profiles(settings: Settings) -> dict[str, profile.Profile]:
    try:
        return profile.load_all(settings.profiles_dir or profile.default_directory())
    except FileFaultsError as error:
        raise ProfilesFault(str(error)) from error


class _Speaker:
    """What the uplink may say: the newest picture, and what of it was said already."""

    def __init__(self, picture: Callable[[], Picture]) -> None:
        self._picture = picture
        self._said_cycle = -1

    def live(self, *, full: bool) -> Live | None:
        picture = self._picture()
        said = told.live(picture, since_cycle=None if full else self._said_cycle)
        self._said_cycle = picture.cycle
        return said

    def intents_digest(self) -> str:
        return told.intents_digest(self._picture())


class _Stopped(Exception):  # noqa: N818 - not an error: somebody asked
    """Ends the task group, and with it every task of the gateway."""


class _Gateway:
    """The parts of one start. `run` joins them in one task group, so that no failure is lost."""

    def __init__(
        self,
        settings: Settings,
        machine: Machine,
        profiles: dict[str, profile.Profile],
        journal: Journal,
        known: Recollection,
    ) -> None:
        self._settings, self._machine = settings, machine
        self._profiles, self._journal, self._known = profiles, journal, known
        self._clock = Clock(
            machine.clocks, boot=known.series.boot, floor_ms=known.floor_ms, carried=known.carried
        )
        self._watchdog = Watchdog(machine.environment)
        self._installation = InstallationFile(settings.state_dir / "installation.json")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. A restart moves no relay: it goes on with what was decided."""
        picture = await self._remembered()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(tasks, picture)
                self._watchdog.ready(f"{len(picture.points)} points")
                log.info("gateway %s runs, boot %d", picture.rules.gateway_id, picture.boot)
                await stop.wait()
                self._watchdog.stopping()
                await self._keep_clock()
                raise _Stopped
        except* _Stopped:
            log.info("gateway %s stopped", picture.rules.gateway_id)

    async def _remembered(self) -> Picture:
        stored = await asyncio.to_thread(self._installation.load)
        if (why := self._installation.recovered()) is not None:
            log.warning("installation file: the generation before was taken: %s", why)
        rules = Rules(
            gateway_id=self._settings.gateway_id,
            software=self._machine.software,
            interval_ms=self._settings.interval_ms,
        )
        return installing.begin(self._known, stored, profiles=self._profiles, rules=rules)

    def _start(self, tasks: asyncio.TaskGroup, picture: Picture) -> None:
        """Make every part and set it running. The engine comes first: the others speak to it."""
        arrived: list[Engine] = []

        def emit(event: Event) -> None:
            arrived[0].emit(event)

        buses = BuildingBuses(
            tasks, profiles=self._profiles, emit=emit, mono_ms=self._machine.clocks.mono_ms
        )
        speaker = _Speaker(lambda: arrived[0].picture)
        uplink = self._uplink(speaker, emit)
        performer = Performer(
            journal=self._journal,
            installation=self._installation,
            buses=buses,
            wake=uplink.wake,
            log=log,
        )
        engine = Engine(picture, performer, now=self._clock.now, finished=self._watchdog.fed)
        arrived.append(engine)
        door = LocalDoor(
            self._settings.socket_path,
            picture=lambda: engine.picture,
            read_soon=buses.read_soon,
            journal=self._journal,
            uplink=uplink,
            clock=self._clock,
        )
        if picture.installation is not None:
            buses.rebuild(picture.installation)
        tasks.create_task(engine.run(), name="engine")
        tasks.create_task(uplink.run(), name="uplink")
        tasks.create_task(door.run(), name="local door")
        tasks.create_task(self._tend_clock(emit), name="clock")

    def _uplink(self, speaker: _Speaker, emit: Callable[[Event], None]) -> Uplink:
        settings = self._settings
        secrets = settings.gateway_secrets
        newest = max(secrets)
        sealer = Sealer(secrets[newest], newest, "up", random_bytes=self._machine.random_bytes)
        return Uplink(
            Broker(
                settings.broker_host,
                settings.broker_port,
                settings.broker_password,
                settings.broker_ca_file,
            ),
            topics=Topics(settings.cell_id, settings.gateway_id),
            gateway_id=settings.gateway_id,
            sealer=sealer,
            opener=Opener(secrets, "down"),
            journal=self._journal,
            clock=self._clock,
            speaker=speaker,
            emit=emit,
            software=self._machine.software,
            live_period_ms=settings.live_period_ms,
            state_dir=settings.state_dir,
        )

    async def _tend_clock(self, emit: Callable[[Event], None]) -> None:
        """Ask NTP, and keep what a restart may go on from."""
        while True:
            stepped = self._clock.ask_ntp()
            if stepped is not None:
                emit(stepped)
            await self._keep_clock()
            await asyncio.sleep(CLOCK_EVERY_S)

    async def _keep_clock(self) -> None:
        await self._journal.keep_clock(self._clock.now().at_ms, self._clock.carried())
