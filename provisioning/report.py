"""How facts and findings look: a table for eyes, a value for scripts."""

from dataclasses import asdict
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from provisioning.facts import Facts, SerialPort
from provisioning.findings import LATENCY_TIMER_MS, Finding

_UNKNOWN = "—"


def as_value(host: str, facts: Facts, found: tuple[Finding, ...]) -> dict[str, Any]:
    """For JSON. `blocked` says whether a gateway cannot stand there yet."""
    return {
        "host": host,
        "blocked": any(finding.blocks for finding in found),
        "facts": asdict(facts),
        "findings": [asdict(finding) for finding in found],
    }


def show(console: Console, host: str, facts: Facts, found: tuple[Finding, ...]) -> None:
    """Facts, then findings with what to do. Needs no colour; fits 80 columns."""
    console.print(_facts(host, facts))
    for line in _ports(facts.ports):
        # Whole, even where a terminal must break it: these names are there to be copied.
        console.print(Text(line), soft_wrap=True)
    console.print()
    for finding in found:
        console.print(_finding(finding))
    blocking = sum(finding.blocks for finding in found)
    if blocking:
        console.print(
            Text(f"还有 {blocking} 项阻碍 / {blocking} in the way of a gateway", style="bold red")
        )
    else:
        console.print(
            Text("可以作为网关 / nothing stands in the way of a gateway", style="bold green")
        )


def _facts(host: str, facts: Facts) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in (
        ("主机 host", host),
        ("型号 model", _or_unknown(facts.model)),
        ("系统 system", _or_unknown(facts.system)),
        ("架构 architecture", _architecture(facts)),
        ("内核 kernel", _or_unknown(facts.kernel)),
        ("Python", _or_unknown(facts.python)),
        ("磁盘剩余 disk free", _size(facts.disk_free_kib)),
        ("内存 memory", _memory(facts)),
        ("时间同步 time in step", _yes_no(facts.clock_synchronised)),
        ("服务 services", _services(facts)),
        ("版本 version", facts.version or "未安装 not installed"),
    ):
        # Text, not str: a machine's words are never markup.
        table.add_row(Text(label), Text(value))
    return table


def _finding(finding: Finding) -> Group:
    mark, style = ("✗ 阻碍 blocks", "red") if finding.blocks else ("! 建议 advice", "yellow")
    head = Table.grid(padding=(0, 2))
    head.add_column(no_wrap=True)
    head.add_column(overflow="fold")
    head.add_row(Text(mark, style=style), Text(f"{finding.zh}\n{finding.en}"))
    to_do = finding.do_zh if finding.do_zh == finding.do_en else f"{finding.do_zh}\n{finding.do_en}"
    head.add_row(Text("→ 处理 do"), Text(to_do))
    return Group(head, Text())


def _or_unknown(value: str | None) -> str:
    return _UNKNOWN if value is None else value


def _yes_no(value: bool | None) -> str:
    return _UNKNOWN if value is None else "是 yes" if value else "否 no"


def _size(kib: int | None) -> str:
    if kib is None:
        return _UNKNOWN
    return f"{kib / 1024**2:.1f} GiB" if kib >= 1024**2 else f"{kib // 1024} MiB"


def _memory(facts: Facts) -> str:
    free = _size(facts.memory_available_kib)
    return f"{_size(facts.memory_total_kib)}（可用 available {free}）"


def _architecture(facts: Facts) -> str:
    bits = "" if facts.bits is None else f" {facts.bits} 位 bit"
    kernel = "" if facts.machine is None else f"（内核 kernel {facts.machine}）"
    return f"{_or_unknown(facts.architecture)}{bits}{kernel}"


def _ports(ports: tuple[SerialPort, ...]) -> list[str]:
    lines = ["串口 serial ports" + ("" if ports else "      无 none")]
    for port in ports:
        timer = port.latency_timer_ms
        wrong = "" if timer is None or timer <= LATENCY_TIMER_MS else f" ≠ {LATENCY_TIMER_MS} ms"
        lines.append(
            f"  {port.device}" + ("" if timer is None else f"  latency_timer {timer} ms{wrong}")
        )
        lines += [f"    {name}" for name in (port.by_path, port.by_id, port.on_board) if name]
    return lines


def _services(facts: Facts) -> str:
    if facts.services is None:
        return _UNKNOWN
    running = [f"{service.name}: {service.state}" for service in facts.services]
    return "\n".join(running) or "无 none"
