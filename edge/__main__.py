"""`wattledger-edge run | status | read METER`: the gateway's service and its two questions.

`run` reads edge.toml and serves until SIGTERM. `status` and `read` ask the running service over its
Unix socket. Exit codes: 0 well, 1 the service or the meter does not answer, 2 a faulty file.
"""

import argparse
import asyncio
import ctypes
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from domain.ids import ulid
from domain.units import TICKS_PER_FEN, show_kwh, show_yuan
from edge.app import Machine, serve
from edge.clock import Sources
from edge.faults import Fault
from edge.settings import Settings, SettingsFault, load

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMEX_BYTES = 512  # more than struct timex takes on any kernel
_TIME_ERROR = 5  # adjtimex(2): nobody keeps this clock
_ASK_TIMEOUT_S = 10.0


def main() -> None:
    """The command."""
    options = _options()
    try:
        settings = load(options.config)
    except SettingsFault as fault:
        sys.exit(_say(str(fault), 2))
    if options.command == "run":
        sys.exit(_run(settings))
    request = {"ask": options.command} | ({"meter": options.meter} if "meter" in options else {})
    answer = _ask(settings.socket_path, request)
    if options.json:
        _print(json.dumps(answer, ensure_ascii=False, indent=2))
    elif "error" not in answer:
        _print(_show_status(answer) if options.command == "status" else _show_point(answer))
    sys.exit(_say(answer["error"], 1) if "error" in answer else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="wattledger-edge", description="楼栋网关 / the gateway of a building"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (
        ("run", "运行服务 / run the service"),
        ("status", "查看运行状态 / how the running service stands"),
        ("read", "立即抄读一块表 / poll one meter now"),
    ):
        command = commands.add_parser(name, help=words, description=words)
        if name == "read":
            command.add_argument("meter", metavar="METER", help="表号 / the meter's number")
        command.add_argument(
            "--config", type=Path, default=Path("/etc/wattledger/edge.toml"), metavar="FILE"
        )
        command.add_argument("--json", action="store_true", help="JSON")
    return parser.parse_args()


def _run(settings: Settings) -> int:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    code = 0
    try:
        asyncio.run(_until_stopped(settings))
    except* Fault as faults:
        for fault in _leaves(faults):
            code = _say(str(fault), 1)
    return code


def _leaves(group: BaseExceptionGroup[Fault]) -> list[Fault]:
    found: list[Fault] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


async def _until_stopped(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, _machine(), stop)


def _machine() -> Machine:
    """The real clock, chance and environment of this computer."""
    started_ns = time.monotonic_ns()
    sources = Sources(
        mono_ms=lambda: (time.monotonic_ns() - started_ns) // 1_000_000,
        boottime_ms=lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
        wall_ms=lambda: time.time_ns() // 1_000_000,
        ntp_synchronised=_kernel_clock_is_kept,
        kernel_boot_id=_BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "",
    )
    return Machine(
        clocks=sources,
        random_bytes=secrets.token_bytes,
        # The time part of an id only sorts; a clock that is wrong makes no two ids equal.
        new_id=lambda: ulid(time.time_ns() // 1_000_000, secrets.token_bytes(10)),
        environment=os.environ,
        software=version("wattledger"),
    )


def _kernel_clock_is_kept() -> bool:
    """Whether somebody (timesyncd, chrony, ntpd …) keeps the kernel's clock to NTP."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return 0 <= state < _TIME_ERROR


def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_ASK_TIMEOUT_S)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile(encoding="utf-8") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
                return answer
    except (OSError, ValueError) as error:
        return {"error": f"服务未运行 / the service is not running: {path}: {error}"}


def _show_status(status: dict[str, Any]) -> str:
    points = status["points"]
    answering = sum(point["heard_ms_ago"] <= 10_000 and point["in_service"] for point in points)
    waiting = status["head_seq"] - status["held_seq"]
    lines = [
        f"网关 gateway      {status['gateway_id']} (boot {status['boot']})",
        f"时钟 clock        {status['trust']}",
        f"中心 centre       {'已连接 connected' if status['broker_connected'] else '未连接 cut'}",
        f"待送 waiting      {waiting} 条事实 facts (日志 journal {status['journal_id']})",
        f"电表 meters       {answering}/{len(points)} 应答 answer",
        f"告警 alarms       {len(status['alarms'])}",
    ]
    lines += [f"  {alarm['code']:24} {alarm['subject']}" for alarm in status["alarms"][:20]]
    refused = ", ".join(f"{k} {v}" for k, v in sorted(status["refused_messages"].items()))
    return "\n".join([*lines, f"拒收 refused      {refused or '0'}"])


def _show_point(point: dict[str, Any]) -> str:
    def or_dash(value: Any, unit: str = "") -> str:
        return "—" if value is None else f"{value}{unit}"

    available, total = point["available_ticks"], point["total_wh"]
    voltage, current = point["voltage_dv"], point["current_ca"]
    return "\n".join(
        [
            f"表号 meter        {point['meter_id']} (总线 bus {point['bus_id']}, "
            f"地址 address {point['address']})",
            f"表码 register     {or_dash(None if total is None else show_kwh(total), ' kWh')}",
            f"功率 power        {or_dash(point['power_w'], ' W')}",
            f"电压 voltage      {or_dash(None if voltage is None else voltage / 10, ' V')}",
            f"电流 current      {or_dash(None if current is None else current / 100, ' A')}",
            f"继电器 relay      {point['relay']}",
            f"供电 supply       {or_dash(point['supply'])}",
            "可用 available    "
            + or_dash(None if available is None else show_yuan(available // TICKS_PER_FEN), " 元"),
        ]
    )


def _say(words: str, code: int) -> int:
    sys.stderr.write(words + "\n")
    return code


def _print(words: str) -> None:
    sys.stdout.write(words + "\n")


if __name__ == "__main__":
    main()
