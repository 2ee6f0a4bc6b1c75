"""Databases for the office's tests: a fresh SQLite file, and a PostgreSQL server of our own.

The PostgreSQL server is started once per test process on a Unix socket, without fsync, and each
test gets it emptied. A machine without PostgreSQL fails these tests; it does not skip them.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher
from sqlalchemy import Connection

from central.app import FEATURES
from central.database import Database
from central.people import service as people
from central.people import sign_in
from central.people.service import NewOperator
from central.permissions import Role
from central.schema import metadata
from central.security import SYSTEM, Passwords, form_token, new_token
from central.settings import load
from central.web import SERVICES, Health, Services, make_app, nothing_known
from domain.ids import ulid
from tests.central.showcase import Field, Showcase, furnish

SETTINGS = """
[site]
name = "东方大学"
site_id = "east"
cell_id = "c1"
[database]
url = "sqlite:///central.db"
[mqtt]
username = "centre"
password_file = "mqtt.password"
[keys]
master_file = "master.key"
"""

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with every table of the office, only to be copied."""
    path = tmp_path_factory.mktemp("blank") / "central.db"

    async def make() -> None:
        async with await Database.open(f"sqlite:///{path}") as opened:
            await opened.write(metadata.create_all)

    asyncio.run(make())
    return path


@pytest.fixture
async def database(tmp_path: Path, blank: Path) -> AsyncIterator[Database]:
    """A fresh SQLite database with every table of the office."""
    shutil.copy(blank, tmp_path / "central.db")
    async with await Database.open(f"sqlite:///{tmp_path / 'central.db'}") as opened:
        yield opened


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server that listens on a Unix socket in `socket_dir`."""

    socket_dir: Path

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://wattledger@/{name}?host={self.socket_dir}"

    async def sql(self, statement: str, database: str = "postgres") -> None:
        """Run statements beside SQLAlchemy (CREATE DATABASE …)."""
        connection = await asyncpg.connect(
            host=str(self.socket_dir), user="wattledger", database=database
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _as_postgres() -> list[str]:
    # initdb and postgres refuse to run as root. setpriv becomes the server itself (no fork), and
    # the server dies with the test process however that one ends.
    drop = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *drop, "--pdeathsig=KILL"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A private PostgreSQL server, gone with the test process."""
    if not _BINARIES:
        pytest.fail("PostgreSQL is missing: apt-get install postgresql (make test does)")
    home = Path(tempfile.mkdtemp(prefix="wl-pg-", dir="/tmp"))  # a socket's path must be short
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
    data = home / "data"
    initdb = [_BINARIES[0] / "initdb", "-D", data, "-U", "wattledger", "-A", "trust", "-E", "UTF8"]
    subprocess.run(
        [*_as_postgres(), *map(str, initdb), "--no-sync", "--locale=C"],
        check=True, capture_output=True, cwd=home,
    )  # fmt: skip
    options = ("listen_addresses=", f"unix_socket_directories={home}", "fsync=off",
               "synchronous_commit=off", "full_page_writes=off", "max_connections=60",
               "shared_buffers=32MB", "autovacuum=off", "deadlock_timeout=50ms")  # fmt: skip
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [*_as_postgres(), str(_BINARIES[0] / "postgres"), "-D", str(data)]
            + [word for option in options for word in ("-c", option)],
            stdout=log, stderr=log, cwd=home,
        )  # fmt: skip
    try:
        made = Cluster(home)
        try:
            asyncio.run(_wait_ready(made, server))
        except RuntimeError as error:
            pytest.fail(f"{error}:\n{(home / 'log').read_text()}")
        yield made
    finally:
        server.send_signal(3)  # immediate shutdown: nothing here is kept
        server.wait(20)
        shutil.rmtree(home)


async def _wait_ready(made: Cluster, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(400):
        if server.poll() is not None:
            break
        try:
            return await made.sql("SELECT 1")
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.05)
    raise RuntimeError("PostgreSQL did not start")


@pytest.fixture(scope="session")
def office(cluster: Cluster) -> str:
    """The name of a database that has every table; emptied before each test that uses it."""

    async def make() -> None:
        await cluster.sql("CREATE DATABASE office")
        async with await Database.open(cluster.url("office")) as opened:
            await opened.write(metadata.create_all)

    asyncio.run(make())
    return "office"


# As a replica would: neither the append-only triggers nor the foreign keys are asked.
_EMPTY = """
SET session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    PERFORM setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';
END $$
"""


@pytest.fixture
async def postgres_url(cluster: Cluster) -> str:
    """The URL of a fresh, empty PostgreSQL database."""
    name = f"empty_{next(_COUNT)}"
    await cluster.sql(f"CREATE DATABASE {name}")
    return cluster.url(name)


@pytest.fixture
async def postgres(cluster: Cluster, office: str) -> AsyncIterator[Database]:
    """An empty PostgreSQL database with every table of the office (tests change no schema)."""
    await cluster.sql(_EMPTY, office)
    async with await Database.open(cluster.url(office)) as opened:
        yield opened


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest) -> Database:
    """The same test on both: a fresh SQLite database, then a fresh PostgreSQL database."""
    opened: Database = request.getfixturevalue(
        "database" if request.param == "sqlite" else "postgres"
    )
    return opened


class Clock:
    """A clock that stands still until a test moves it: UTC milliseconds in `ms`."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(database: Database, clock: Clock, tmp_path: Path) -> Iterator[Services]:
    """What pages stand on, over the fresh SQLite database; passwords are cheap to check."""
    for name in ("mqtt.password", "master.key"):
        (tmp_path / name).write_bytes(b"k" * 32)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "central.toml").write_text(SETTINGS, encoding="utf-8")
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    numbers = itertools.count(1)
    yield Services(
        settings=load(tmp_path / "central.toml", {}, secrets=True),
        database=database,
        passwords=passwords,
        now_ms=clock,
        new_id=lambda: ulid(clock(), next(numbers).to_bytes(10)),
        random_bytes=os.urandom,
    )
    passwords.close()


OpenPages = Callable[..., Awaitable["Browser"]]


class Browser(TestClient[web.Request, web.Application]):
    """A client of the pages that can sign in as somebody of a role."""

    form_token = ""

    async def sign_in_as(self, role: Role | None) -> None:
        """Open a session without the form; its cookie and `form_token` are then ours."""
        self.session.cookie_jar.clear()
        self.form_token = ""
        if role is None:
            return
        assert self.app is not None
        services = self.app[SERVICES]
        token = new_token(services.random_bytes(32))
        await services.database.write(_open_session, role, token, services.now_ms())
        self.session.cookie_jar.update_cookies({"wl_session": token}, self.make_url("/"))
        self.form_token = form_token(token)

    async def send(self, path: str, **fields: str) -> ClientResponse:
        """POST a form as our own page would; redirects are not followed."""
        data = {"form_token": self.form_token, **fields}
        return await self.post(path, data=data, allow_redirects=False)


def _open_session(connection: Connection, role: Role, token: str, now_ms: int) -> None:
    login = f"the-{role}"
    new = NewOperator(f"id-{role}", login, f"张{role}", role, "no digest")
    people.add_operator(connection, SYSTEM, new, now_ms=now_ms)
    right = sign_in.attempt(connection, login=login, address="127.0.0.1", now_ms=now_ms)
    assert isinstance(right, sign_in.Attempt)
    refusal = sign_in.begin_session(
        connection, right, token=token, replaces=None, limits=sign_in.Limits(), now_ms=now_ms
    )
    assert refusal is None


@pytest.fixture
async def open_pages(services: Services) -> AsyncIterator[OpenPages]:
    """`await open_pages(*features)` serves the given features' pages; none: all of the office."""
    async with AsyncExitStack() as stack:

        async def opened(
            *features: Callable[[web.Application], None], health: Health = nothing_known
        ) -> Browser:
            app = make_app(services, features or FEATURES, health=health)
            return await stack.enter_async_context(Browser(TestServer(app)))

        yield opened


Rows = dict[str, list[dict[str, Any]]]


@dataclass
class Stage:
    """The pages over a furnished campus whose gateways speak when told to."""

    browser: Browser
    services: Services
    clock: Clock
    made: Showcase
    field: Field

    def speak(self, later_ms: int = 0) -> None:
        """Time passes, then every gateway shows its meters."""
        self.clock.ms += later_ms
        self.field.speak(self.clock.ms)

    def room(self, n: int) -> str:
        """The address of room `n`."""
        return f"/rooms/{self.made.room_ids[n]}"

    async def text(self, path: str, *, status: int = 200) -> str:
        """A page as text."""
        answer = await self.browser.get(path)
        text = await answer.text()
        assert answer.status == status, text
        return text


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Showcase, Rows]:
    """The campus of the stage, built once: what was made, and every row of its books."""
    path = tmp_path_factory.mktemp("furnished") / "central.db"
    numbers = itertools.count(1 << 60)  # other ids than those of the tests

    def everything(connection: Connection) -> Rows:
        return {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in metadata.sorted_tables
        }

    async def make() -> tuple[Showcase, Rows]:
        async with await Database.open(f"sqlite:///{path}") as opened:
            await opened.write(metadata.create_all)
            made = await opened.write(
                furnish, lambda: ulid(Clock().ms, next(numbers).to_bytes(10)), now_ms=Clock().ms
            )
            return made, await opened.read(everything)

    return asyncio.run(make())


def _pour(connection: Connection, rows: Rows) -> None:
    for table in metadata.sorted_tables:
        if rows[table.name]:
            connection.execute(table.insert(), rows[table.name])


@pytest.fixture
async def stage(
    services: Services, clock: Clock, open_pages: OpenPages, furnished: tuple[Showcase, Rows]
) -> Stage:
    """Two buildings of two floors with ten doors each, live, seen by a cashier."""
    made, rows = furnished
    await services.database.write(_pour, rows)
    browser = await open_pages()
    await browser.sign_in_as(Role.cashier)
    set_up = Stage(browser, services, clock, made, Field(services.board, made))
    set_up.speak()
    return set_up
