"""What stands between a machine and its work as a gateway, in words, each with what to do.

Pure: facts in, findings out. A finding that blocks must be mended first; the others cost speed or
certainty and can be mended later.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from provisioning.facts import Facts

OLDEST_PYTHON = (3, 11)
LEAST_DISK_KIB = 1024 * 1024
LATENCY_TIMER_MS = 1

_RULE = (
    'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", '
    f'ATTR{{latency_timer}}="{LATENCY_TIMER_MS}"'
)
_RULE_FILE = "/etc/udev/rules.d/60-wattledger-latency.rules"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` for scripts; what is wrong and what to do, Chinese and English."""

    code: str
    blocks: bool
    zh: str
    en: str
    do_zh: str
    do_en: str


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Everything that stands in the way of a gateway, what blocks first."""
    every = [finding for check in _CHECKS for finding in check(facts)]
    return tuple(sorted(every, key=lambda finding: not finding.blocks))


def _bits(facts: Facts) -> Iterator[Finding]:
    if facts.bits is None:
        yield _unread("bits", "系统位数", "whether the system is 64 bit", "getconf LONG_BIT")
    elif facts.bits != 64:
        what = facts.architecture or facts.machine or "?"
        mixed = facts.machine in ("aarch64", "x86_64")
        # ARMv6 is the first Pi and the Zero: no 64-bit system runs there.
        renew = facts.machine != "armv6l"
        yield Finding(
            "system_32_bit",
            True,
            f"系统是 {facts.bits} 位（{what}）{'，虽然内核是 64 位' if mixed else ''}",
            f"the system is {facts.bits} bit ({what})"
            f"{', though its kernel is 64 bit' if mixed else ''}",
            "用 64 位 Raspberry Pi OS Lite（bookworm 或更新）重新写卡"
            if renew
            else "这块板只能运行 32 位系统，请换用 Raspberry Pi 3 或更新的型号",
            "write the card anew with 64-bit Raspberry Pi OS Lite, bookworm or newer"
            if renew
            else "this board runs 32-bit systems only: take a Raspberry Pi 3 or newer",
        )


def _python(facts: Facts) -> Iterator[Finding]:
    wanted = ".".join(map(str, OLDEST_PYTHON))
    if facts.python is None:
        yield Finding(
            "python_missing",
            True,
            "没有 Python 3",
            "there is no Python 3",
            "sudo apt install python3 python3-venv",
            "sudo apt install python3 python3-venv",
        )
    elif tuple(map(int, re.findall(r"\d+", facts.python)[:2])) < OLDEST_PYTHON:
        yield Finding(
            "python_too_old",
            True,
            f"Python {facts.python} 太旧，需要 {wanted} 或更新",
            f"Python {facts.python} is too old: {wanted} or newer is needed",
            "换用带 Python 3.11 的系统（Debian 12 bookworm 或更新）",
            "use a system that brings it: Debian 12 bookworm or newer",
        )


def _disk(facts: Facts) -> Iterator[Finding]:
    if facts.disk_free_kib is None:
        yield _unread("disk", "剩余磁盘空间", "how much disk is free", "df -Pk /opt /var/lib")
    elif facts.disk_free_kib < LEAST_DISK_KIB:
        free_mib = facts.disk_free_kib // 1024
        yield Finding(
            "disk_small",
            True,
            f"磁盘只剩 {free_mib} MiB，至少需要 1024 MiB",
            f"only {free_mib} MiB of disk are free; 1024 MiB are needed",
            "扩展分区（sudo raspi-config --expand-rootfs）、清理或换更大的卡",
            "expand the partition (sudo raspi-config --expand-rootfs), clean up, or take a "
            "larger card",
        )


def _ports(facts: Facts) -> Iterator[Finding]:
    on_board = [port.on_board for port in facts.ports if port.on_board]
    if any(port.by_path or port.by_id for port in facts.ports):
        return
    if on_board:
        yield Finding(
            "only_on_board_port",
            False,
            f"没有 USB 串口适配器，只有板上串口 {on_board[0]}",
            f"there is no USB serial adapter, only the port on the board, {on_board[0]}",
            "若总线接在 RS485 扩展板上即可使用；否则插上 USB-RS485 适配器",
            "well if the bus hangs on an RS485 hat; otherwise plug in a USB-RS485 adapter",
        )
    else:
        yield Finding(
            "no_serial_port",
            True,
            "没有串口适配器",
            "there is no serial adapter",
            "插上 USB-RS485 适配器后再看一次；若已插上，看 sudo dmesg | tail",
            "plug in a USB-RS485 adapter and look again; if one is plugged in, see "
            "sudo dmesg | tail",
        )


def _latency(facts: Facts) -> Iterator[Finding]:
    for port in facts.ports:
        timer_ms = port.latency_timer_ms
        if timer_ms is not None and timer_ms > LATENCY_TIMER_MS:
            yield Finding(
                "latency_timer",
                False,
                f"{port.device} 的延时定时器是 {timer_ms} ms，应为 {LATENCY_TIMER_MS} ms，"
                "每次抄读都要等它",
                f"the latency timer of {port.device} is {timer_ms} ms and should be "
                f"{LATENCY_TIMER_MS} ms: every reading waits for it",
                f"在 {_RULE_FILE} 中写入 {_RULE} 并重新插拔",
                f"write {_RULE} into {_RULE_FILE} and plug the adapter in again",
            )


def _clock(facts: Facts) -> Iterator[Finding]:
    if facts.clock_synchronised is None:
        yield _unread("clock", "时间是否已同步", "whether the time is synchronised", "timedatectl")
    elif not facts.clock_synchronised:
        yield Finding(
            "clock_not_synchronised",
            False,
            "时间未同步：分时电价要等到时间可信才计费",
            "the time is not synchronised: prices by the hour wait until it can be trusted",
            "sudo timedatectl set-ntp true，并让它能访问校时服务器（UDP 123）",
            "sudo timedatectl set-ntp true, and let it reach a time server (UDP 123)",
        )


def _services(facts: Facts) -> Iterator[Finding]:
    if facts.services is None:
        yield Finding(
            "no_systemd",
            True,
            "systemd 没有应答：服务无法开机自启，也无法看护",
            "systemd does not answer: nothing would start the service or watch over it",
            "用以 systemd 启动的 Debian 或 Raspberry Pi OS",
            "use a Debian or Raspberry Pi OS that was started by systemd",
        )
    for service in facts.services or ():
        if service.state == "failed":
            yield Finding(
                "service_failed",
                False,
                f"服务 {service.name} 已失败",
                f"the service {service.name} has failed",
                f"看原因：sudo journalctl -u {service.name} -n 50",
                f"see why: sudo journalctl -u {service.name} -n 50",
            )


def _unread(code: str, zh: str, en: str, command: str) -> Finding:
    return Finding(
        f"{code}_unknown",
        False,
        f"无法得知{zh}",
        f"it could not be seen {en}",
        f"在那台机器上运行：{command}",
        f"run there: {command}",
    )


_CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _bits,
    _python,
    _disk,
    _ports,
    _services,
    _latency,
    _clock,
)
