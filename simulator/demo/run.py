"""`wattledger-sim demo`: set up, start, watch and stop a whole campus; what `make demo` runs."""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import IO, Annotated, Any

import typer
from rich.console import Console

from simulator.demo import files
from simulator.demo.files import Folder
from simulator.demo.plan import Plan
from simulator.demo.processes import BROKER, CENTRE, METERS, Fleet, StartFault

LIVE_WAIT_S = 90.0
console = Console(highlight=False, soft_wrap=True)


class Cut(StrEnum):
    """What may be done to the link."""

    apart = "cut"
    together = "join"


class StoppedError(Exception):
    """Somebody asked us to stop."""


def demo(
    state: Annotated[Path, typer.Option(help="状态目录 / where its state lives")] = Path(".demo"),
    rate: Annotated[int, typer.Option(min=1, max=3600, help="房间用电快几倍 / times as fast")] = 1,
    load_csv: Annotated[
        Path | None, typer.Option("--load", help="半小时 Wh 的 CSV / half-hourly Wh to replay")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="网页端口 / web port")] = None,
    buildings: Annotated[int, typer.Option(min=1, max=9)] = 4,
    buses: Annotated[int, typer.Option(min=1, max=8)] = 4,
    meters: Annotated[int, typer.Option(min=1, max=32)] = 30,
) -> None:
    """演示整个园区，Ctrl-C 停止 / Run a whole campus until Ctrl-C."""
    plan = Plan(buildings, buses, meters, rate, None if load_csv is None else str(load_csv))
    if load_csv is not None and not load_csv.is_file():
        _refuse(f"LOAD: 没有文件 / there is no file {load_csv}")
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
        _refuse(
            "缺少 mosquitto，请用 make demo 启动 / mosquitto is missing: start with `make demo`"
        )
    folder = Folder(state.resolve())
    folder.root.mkdir(parents=True, exist_ok=True)
    with (folder.root / "lock").open("w") as lock:
        _alone(lock, folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        try:
            _run(folder, plan, port)
        except StoppedError:
            console.print("\n已停止；再次 make demo 接着用同一套账 / stopped; the books are kept")
        except StartFault as fault:
            _refuse(str(fault))


def _alone(lock: IO[str], folder: Folder) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _refuse(f"已在运行 / already running in {folder.root}")


def _refuse(words: str) -> None:
    Console(stderr=True, highlight=False).print(words)
    raise typer.Exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError


def _run(folder: Folder, plan: Plan, port: int | None) -> None:
    _step(
        f"{plan.buildings} 栋楼, {plan.meters_total} 块表 / buildings and meters in {folder.root}"
    )
    folder.cut.unlink(missing_ok=True)
    ports = files.prepare(folder, plan, web_port=port)
    logins = files.logins(folder)
    fleet = Fleet(folder, plan, ports)
    try:
        _step("消息代理 / broker")
        fleet.start(BROKER)
        _step("账簿 / books")
        _books(folder, plan, logins)
        _step("电表 / meters")
        fleet.start(METERS)
        fleet.wait_for_meters()
        _step("中心 / centre")
        fleet.start(CENTRE)
        fleet.wait_for_port(CENTRE, ports.web)
        _step("通讯管理机 / gateways")
        for gateway_id in fleet.gateways:
            fleet.start(gateway_id)
        url = f"http://127.0.0.1:{ports.web}"
        _wait_until_live(fleet, url)
        _welcome(folder, plan, url, logins)
        _watch(fleet)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # stopping is not to be stopped half-way
        fleet.stop()


def _watch(fleet: Fleet) -> None:
    """Until something ends by itself. The broker is down for as long as the file `cut` stands."""
    cut = fleet.folder.cut
    while True:
        if cut.exists() and fleet[BROKER].running:
            fleet[BROKER].stop()
            _step("链路已断 / the link is cut: every building goes on by itself")
        elif not cut.exists() and not fleet[BROKER].running:
            fleet.start(BROKER)
            _step("链路已通 / the link is back")
        fleet.check(METERS, CENTRE, *fleet.gateways)
        time.sleep(0.5)


def link(
    what: Annotated[Cut, typer.Argument(help="cut 断开 / join 接通")],
    state: Annotated[Path, typer.Option(help="状态目录 / where its state lives")] = Path(".demo"),
) -> None:
    """断开或接通演示园区的消息链路 / Cut or join the link between buildings and office."""
    folder = Folder(state.resolve())
    if not (folder.root / "lock").exists():
        _refuse(f"{folder.root} 不是演示目录 / is not a demonstration's folder: run `make demo`")
    if what is Cut.apart:
        folder.cut.touch()
    else:
        folder.cut.unlink(missing_ok=True)


def _step(words: str) -> None:
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {words}")


def _books(folder: Folder, plan: Plan, logins: dict[str, str]) -> None:
    migrate = [sys.executable, "-m", "central", "migrate", "--config", str(folder.central_toml)]
    done = subprocess.run(migrate, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartFault(f"migrate: {done.stderr or done.stdout}")
    asyncio.run(_seed(folder, plan, logins))


async def _seed(folder: Folder, plan: Plan, logins: dict[str, str]) -> None:
    # Only the first run needs the office's code; the other commands start without it.
    from central.database import Database
    from central.settings import load
    from simulator.demo import seed

    url = load(folder.central_toml, os.environ).database.url
    async with await Database.open(url) as database:
        await seed.fill(database, plan, ports_dir=folder.ports_dir, logins=logins, progress=_step)


def _wait_until_live(fleet: Fleet, url: str) -> None:
    """Show how many meters answer until all do; go on after a while all the same."""
    deadline = time.monotonic() + LIVE_WAIT_S
    with console.status("等待电表 / waiting for the meters") as status:
        while time.monotonic() < deadline:
            fleet.check()
            health = _health(url)
            live, total = health.get("meters_live", 0), health.get("meters_total", 0)
            status.update(f"在线电表 / meters live {live}/{total}")
            if total and live == total:
                return
            time.sleep(0.5)


def _health(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:  # noqa: S310 - our own
            health: dict[str, Any] = json.load(answer)
            return health
    except (urllib.error.URLError, OSError, ValueError):
        return {}


def _welcome(folder: Folder, plan: Plan, url: str, logins: dict[str, str]) -> None:
    room = next(room for room in plan.rooms(1) if not room.vacant)
    print(f"ready {url}", flush=True)  # noqa: T201 - the one line that scripts wait for
    console.print(f"\n登录 / logins (in {folder.logins}, mode 0600)")
    for login, password in logins.items():
        console.print(f"  {login:14} {password}")
    console.print(
        f"\n三件事可以试试 / three things to try\n"
        f"  1. 用 cashier 登录，给 {room.name} 售电 50 元，看它从“已付”变为“已到表” /\n"
        f"     sign in as cashier, sell 50 yuan to room {room.name}, watch it reach the meter\n"
        f"  2. RATE=600 make demo，看房间报警、断电；付款后复电 /\n"
        f"     start with RATE=600: rooms are warned and cut; pay, and see the light come on\n"
        f"  3. .venv/bin/wattledger-sim link cut（再 link join）：断网时楼栋照常计费、断电 /\n"
        f"     cut the link: every building goes on by itself; sell, join, see it light up\n\n"
        f"对账 / audit   .venv/bin/wattledger-central audit --config {folder.central_toml}\n"
        f"日志 / logs    {folder.log_dir}\n"
        f"Ctrl-C 停止 / stops everything\n"
    )
