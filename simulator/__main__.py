"""`wattledger-sim`: a campus of virtual meters on serial devices.

wattledger-sim campus.toml             the same as `wattledger-sim run campus.toml`
wattledger-sim fault campus.toml 310000000007 dead
wattledger-sim show campus.toml [310000000007]
"""

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edge.meters.file_faults import Fault, FileFaultsError
from simulator import campus as campuses
from simulator.campus import Campus, Plan
from simulator.control import Control
from simulator.demo.run import demo, link

app = typer.Typer(help="虚拟园区：真实串口上的电表 / a campus of virtual meters on serial devices")
app.command()(demo)
app.command()(link)

CampusPath = Annotated[Path, typer.Argument(help="campus.toml", metavar="CAMPUS")]


@app.command()
def run(path: CampusPath) -> None:
    """运行至 Ctrl-C / Serve the meters until Ctrl-C."""
    try:
        asyncio.run(serve(_plan(path)))
    except FileFaultsError as error:
        _refuse(error)


@app.command()
def fault(
    path: CampusPath,
    meter: str,
    name: str,
    value: Annotated[str | None, typer.Argument()] = None,
) -> None:
    """给一块表设故障 / Give a meter a fault: dead, slow, crc, noise, stuck, mute_writes, reset,
    swapped, none; or a bus power_cut."""
    request: dict[str, object] = {"meter": meter, "fault": name}
    if name == "power_cut":
        request = {"bus": meter, "fault": name}
    if value is not None:
        request["value"] = _typed(value)
    _ask(path, request)


@app.command()
def show(path: CampusPath, meter: Annotated[str | None, typer.Argument()] = None) -> None:
    """显示电表真实状态 / Show what meters truly are, beside what they answer."""
    _ask(path, {"all": True} if meter is None else {"meter": meter, "get": True})


async def serve(plan: Plan) -> None:
    """Serve a campus until SIGINT or SIGTERM; raises FileFaultsError where it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # wall time at the start, then the monotonic clock: a step of the wall clock burns no energy
    offset_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def now_ms() -> int:
        return time.monotonic_ns() // 1_000_000 + offset_ms

    campus = Campus(plan, now_ms=now_ms)
    campus.open()
    ticking = asyncio.create_task(campus.tick())
    stopping = asyncio.create_task(stop.wait())
    server: asyncio.Server | None = None
    try:
        server = await _control(campus, now_ms)
        _announce(campus)
        await asyncio.wait((ticking, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ticking, stopping):
            task.cancel()
        if server and plan.control:
            server.close()
            await server.wait_closed()
            plan.control.unlink(missing_ok=True)
        campus.close()
    if ticking.done() and not ticking.cancelled():
        ticking.result()  # it never ends by itself: this raises what ended it


async def _control(campus: Campus, now_ms: Callable[[], int]) -> asyncio.Server | None:
    path = campus.plan.control
    if path is None:
        return None
    try:
        return await Control(campus, now_ms=now_ms).open(path)
    except OSError as error:
        fault = Fault(str(campus.plan.path), "control", "无法建立", f"{path}: {error}")
        raise FileFaultsError([fault]) from error


def _announce(campus: Campus) -> None:
    for line in campus.lines:
        meters = line.bus.meters
        wire = line.bus.wire
        typer.echo(
            f"{line.building}  {line.bus.bus_id}  {line.bus.link}  {wire.baud} Bd  "
            f"{len(meters)} 表 meters  {meters[0].number} … {meters[-1].number}"
        )
    if campus.plan.control:
        typer.echo(f"control  {campus.plan.control}")
    total = len(campus.meters)
    typer.echo(f"{len(campus.lines)} 条总线 buses, {total} 块表 meters; Ctrl-C 停止 stops", nl=True)
    sys.stdout.flush()


def _plan(path: Path) -> Plan:
    try:
        return campuses.load(path)
    except FileFaultsError as error:
        _refuse(error)


def _refuse(error: FileFaultsError) -> NoReturn:
    for one in error.faults:
        typer.echo(str(one), err=True)
    raise typer.Exit(2)


def _typed(value: str) -> object:
    """A value as JSON where it is a number or a word of JSON; else text, like a meter number."""
    if len(value) == 12 and value.isdecimal():
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _ask(path: Path, request: dict[str, object]) -> None:
    control = _plan(path).control
    if control is None:
        typer.echo(f"{path}: control: 未设置 / is not set", err=True)
        raise typer.Exit(2)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(control))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile(encoding="utf-8") as answers:
                answer = json.loads(answers.readline())
    except OSError as error:
        typer.echo(f"{control}: 模拟器未运行 / the simulator is not running: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(json.dumps(answer, ensure_ascii=False, indent=2), err=not answer["ok"])
    if not answer["ok"]:
        raise typer.Exit(1)


def main() -> None:
    """The command; a campus file in place of a subcommand means `run`."""
    if len(sys.argv) > 1 and sys.argv[1].endswith(".toml"):
        sys.argv.insert(1, "run")
    app()


if __name__ == "__main__":
    main()
