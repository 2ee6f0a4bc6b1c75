"""The office put together: real clock, real randomness, database, jobs and pages.

Everything below this module is handed what it needs. A feature joins here: its `routes` in
`FEATURES`, its work beside the pages by `jobs`.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import structlog

from central import audit, migrations
from central.connections import listening
from central.database import Database, StorageFault
from central.gateways import pages as gateways_pages
from central.jobs import Jobs
from central.link import Broker, Link
from central.metering import pages as metering_pages
from central.metering import service as metering
from central.people import pages as people_pages
from central.people import sign_in
from central.reports import pages as reports_pages
from central.rooms import pages as rooms_pages
from central.sales import asked_pages, refund_pages, reversal_pages
from central.sales import pages as sales_pages
from central.security import Passwords
from central.settings import Settings
from central.web import Services, make_app
from domain.ids import ulid

_log = structlog.get_logger("office")

FEATURES = (
    reports_pages.routes,
    people_pages.routes,
    metering_pages.routes,
    rooms_pages.routes,
    gateways_pages.routes,
    sales_pages.routes,
    refund_pages.routes,
    reversal_pages.routes,
    asked_pages.routes,
)
SEAL_EVERY_S = 0.5
CONTAINERS_A_COLLECTION = 20_000
FORGET_EVERY_S = 3600.0


def now_ms() -> int:
    """The real clock: UTC milliseconds."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """A new ULID."""
    return ulid(now_ms(), os.urandom(10))


def collect_seldom() -> None:
    """Look for garbage cycles less often than Python does by itself.

    A batch of facts is tens of thousands of small containers and not one cycle; looking at them
    again and again would take a sixth of what booking them takes. For a process that serves.
    """
    gc.freeze()
    gc.set_threshold(CONTAINERS_A_COLLECTION, 20, 50)


async def serve(
    settings: Settings, *, stop: asyncio.Event, announce: Callable[[str], None]
) -> None:
    """Run the office until `stop`; `announce` is given the address once pages are served.

    Raises StorageFault (database), OSError (port taken) before anything is served, and whatever
    mistake of ours ended a job.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(settings.database.url))
        await refuse_unmigrated(database)
        # Run last: nothing that was done in the final second may stay unsealed.
        stack.push_async_callback(seal_audit, database, everywhere=True)
        passwords = Passwords()
        stack.callback(passwords.close)
        jobs = Jobs()
        stack.push_async_callback(jobs.stop)
        _keep_house(jobs, database)
        jobs.start("read again what could not be read", lambda: _read_again(database))
        services = Services(
            settings=settings,
            database=database,
            passwords=passwords,
            now_ms=now_ms,
            new_id=new_id,
            random_bytes=os.urandom,
        )
        link = _link(services)
        jobs.start("link", link.run)
        app = make_app(services, FEATURES, health=link.health)
        host = settings.web.host
        port = await stack.enter_async_context(listening(app, host=host, port=settings.web.port))
        announce(f"http://{host}:{port}")
        await _until(stop, jobs)


def _link(services: Services) -> Link:
    """The door to the broker, told where it is and which keys are ours."""
    settings = services.settings
    mqtt = settings.mqtt
    password = mqtt.password_file.read_text(encoding="utf-8").strip()
    return Link(
        Broker(mqtt.host, mqtt.port, mqtt.username, password),
        cell_id=settings.site.cell_id,
        master=settings.keys.master_file.read_bytes(),
        database=services.database,
        board=services.board,
        now_ms=services.now_ms,
        new_id=services.new_id,
        random_bytes=services.random_bytes,
        sent=services.sent,
    )


async def refuse_unmigrated(database: Database) -> None:
    """Raise StorageFault, in words, on a database that has steps before it."""
    behind = await database.read(migrations.pending)
    if behind:
        raise StorageFault(
            f"the database is not up to date (next step: {behind[0]});"
            " run: wattledger-central migrate --config FILE"
        )


async def seal_audit(database: Database, *, everywhere: bool = False) -> None:
    """Chain the audit rows that are waiting; costs one read where there is none."""
    while await database.read(audit.unsealed, everywhere=everywhere):
        await database.write(audit.seal, everywhere=everywhere)


async def _read_again(database: Database) -> None:
    """After an upgrade: facts that an older version could not read are booked now."""
    prices = metering.Prices()
    await database.write(metering.reread, new_id=new_id, prices=prices, now_ms=now_ms())


def _keep_house(jobs: Jobs, database: Database) -> None:
    async def seal_what_was_left() -> None:
        await seal_audit(database, everywhere=True)

    async def seal() -> None:
        await seal_audit(database)

    async def forget() -> None:
        await database.write(sign_in.forget_old, now_ms=now_ms())

    jobs.start("audit seal at start", seal_what_was_left)
    jobs.every("audit seal", SEAL_EVERY_S, seal)
    jobs.every("forget old sessions", FORGET_EVERY_S, forget)


async def _until(stop: asyncio.Event, jobs: Jobs) -> None:
    asked = asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[Any]] = {asked, jobs.fatal}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if jobs.fatal.done():
        jobs.fatal.result()
    _log.info("stopping")
