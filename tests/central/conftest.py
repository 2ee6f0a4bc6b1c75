"""Databases for the office's tests: a fresh SQLite file, and a PostgreSQL server of our own.

The PostgreSQL server is started once per test process on a Unix socket, without fsync, and each
test gets a fresh database copied from a template. A machine without PostgreSQL fails these tests;
it does not skip them.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from central.database import Database
from central.schema import metadata

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_COUNT = itertools.count(1)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A fresh SQLite database with every table of the office."""
    opened = await Database.open(f"sqlite:///{tmp_path / 'central.db'}")
    await opened.write(metadata.create_all)
    yield opened
    await opened.close()


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server that listens on a Unix socket in `socket_dir`."""

    socket_dir: Path

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://wattledger@/{name}?host={self.socket_dir}"

    async def sql(self, statement: str) -> None:
        """Run a statement that no transaction may hold (CREATE DATABASE …)."""
        connection = await asyncpg.connect(
            host=str(self.socket_dir), user="wattledger", database="postgres"
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
def template(cluster: Cluster) -> str:
    """The name of a database that has every table and is only copied from."""

    async def make() -> None:
        await cluster.sql("CREATE DATABASE template_office")
        opened = await Database.open(cluster.url("template_office"))
        await opened.write(metadata.create_all)
        await opened.close()

    asyncio.run(make())
    return "template_office"


@pytest.fixture
async def postgres_url(cluster: Cluster) -> str:
    """The URL of a fresh, empty PostgreSQL database."""
    name = f"empty_{next(_COUNT)}"
    await cluster.sql(f"CREATE DATABASE {name}")
    return cluster.url(name)


@pytest.fixture
async def postgres(cluster: Cluster, template: str) -> AsyncIterator[Database]:
    """A fresh PostgreSQL database with every table of the office."""
    name = f"office_{next(_COUNT)}"
    await cluster.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    opened = await Database.open(cluster.url(name))
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest) -> Database:
    """The same test on both: a fresh SQLite database, then a fresh PostgreSQL database."""
    opened: Database = request.getfixturevalue(
        "database" if request.param == "sqlite" else "postgres"
    )
    return opened
