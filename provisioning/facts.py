"""What a machine says of itself: the fixed questions asked over SSH, and their answers as facts.

Pure: texts in, values out. A question that the machine cannot answer leaves None, never a guess.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SERVICES = ("wattledger-edge.service", "wattledger-central.service")
INSTALLED = "/opt/wattledger/current"

# The ports of a building: USB adapters by their stable names, and the UART on the board, where an
# RS485 hat hangs. Only adapters by FTDI have a latency timer.
_LIST_PORTS = """
for link in /dev/serial/by-path/* /dev/serial/by-id/* /dev/serial[0-9]; do
    [ -e "$link" ] || continue
    device=$(readlink -f "$link")
    timer=$(cat "/sys/class/tty/${device##*/}/device/latency_timer" 2>/dev/null)
    printf '%s\\t%s\\t%s\\n' "$link" "$device" "$timer"
done
"""
_SAY_VERSION = "from importlib.metadata import version; print(version('wattledger'))"

# Nothing that anybody types is ever part of a command.
QUESTIONS: Mapping[str, str] = MappingProxyType(
    {
        "model": "cat /proc/device-tree/model 2>/dev/null || cat /sys/class/dmi/id/product_name",
        "system": "cat /etc/os-release",
        "kernel": "uname -sr",
        "machine": "uname -m",
        # A 64-bit kernel under 32-bit programs is common on a Pi: the programs decide.
        "architecture": "dpkg --print-architecture",
        "bits": "getconf LONG_BIT",
        "python": "python3 --version",
        "disk": "env LC_ALL=C df -Pk /opt /var/lib",
        "memory": "cat /proc/meminfo",
        "clock": "timedatectl show --property=NTPSynchronized --value",
        "ports": f"sh -c {shlex.quote(_LIST_PORTS)}",
        "services": f"systemctl show --property=Id,LoadState,ActiveState {' '.join(SERVICES)}",
        "version": f"{INSTALLED}/bin/python -c {shlex.quote(_SAY_VERSION)}",
    }
)


@dataclass(frozen=True, slots=True)
class SerialPort:
    """One port. `by_path` names the socket it is plugged into, `by_id` the adapter itself; a port
    on the board has neither but `on_board`, its fixed name."""

    device: str
    by_path: str | None
    by_id: str | None
    on_board: str | None
    latency_timer_ms: int | None


@dataclass(frozen=True, slots=True)
class Service:
    """A service of ours that systemd knows there: `state` is active, inactive, failed, …"""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine as it stands. None: it did not say. `disk_free_kib` is the smaller of where the
    programs go and where the journal goes; `services` is None where there is no systemd."""

    model: str | None
    system: str | None
    kernel: str | None
    machine: str | None
    architecture: str | None
    bits: int | None
    python: str | None
    disk_free_kib: int | None
    memory_total_kib: int | None
    memory_available_kib: int | None
    clock_synchronised: bool | None
    ports: tuple[SerialPort, ...]
    services: tuple[Service, ...] | None
    version: str | None


def parse(answers: Mapping[str, str]) -> Facts:
    """The facts in the outputs of QUESTIONS; a missing or senseless one becomes None."""
    clean = {name: _clean(text) for name, text in answers.items()}

    def line(name: str) -> str | None:
        # The last one: some accounts greet everybody who comes in.
        return next(reversed(clean.get(name, [])), None)

    def found(pattern: str, name: str) -> str | None:
        match = re.search(pattern, "\n".join(clean.get(name, ())), re.MULTILINE)
        return match[1].strip() if match else None

    def number(pattern: str, name: str) -> int | None:
        text = found(pattern, name)
        return None if text is None else int(text)

    return Facts(
        model=line("model"),
        system=found(r'^PRETTY_NAME="?([^"]+)"?$', "system"),
        kernel=line("kernel"),
        machine=line("machine"),
        architecture=found(r"^([a-z0-9-]+)$", "architecture"),
        bits=number(r"^(32|64)$", "bits"),
        python=found(r"^Python (\d+\.\d+\S*)$", "python"),
        disk_free_kib=_smallest_free(clean.get("disk", [])),
        memory_total_kib=number(r"^MemTotal:\s+(\d+) kB$", "memory"),
        memory_available_kib=number(r"^MemAvailable:\s+(\d+) kB$", "memory"),
        clock_synchronised={"yes": True, "no": False}.get(line("clock") or ""),
        ports=_ports(clean.get("ports", [])),
        services=_services(clean.get("services", [])),
        version=found(r"^(\d+\.\d+\S*)$", "version"),
    )


def _clean(text: str) -> list[str]:
    """Lines without what is not printable: a machine must not steer the technician's terminal."""
    lines = (
        "".join(letter for letter in line if letter.isprintable() or letter == "\t").strip(" ")
        for line in text.replace("\0", "").split("\n")
    )
    return [line for line in lines if line]


def _smallest_free(lines: list[str]) -> int | None:
    """KiB free on the fullest of the file systems that `df -Pk` lists."""
    rows = (re.search(r"\s\d+\s+\d+\s+(\d+)\s+\d+%\s", line) for line in lines)
    return min((int(row[1]) for row in rows if row), default=None)


def _ports(lines: list[str]) -> tuple[SerialPort, ...]:
    links: dict[str, list[str]] = {}
    timers: dict[str, int] = {}
    for line in lines:
        link, device, timer = [*line.split("\t"), "", ""][:3]
        if link.startswith("/dev/") and device.startswith("/dev/"):
            links.setdefault(device, []).append(link)
            if timer.isdecimal():
                timers[device] = int(timer)
    return tuple(
        SerialPort(
            device=device,
            by_path=_shortest(names, "/dev/serial/by-path/"),
            by_id=_shortest(names, "/dev/serial/by-id/"),
            on_board=next((name for name in names if re.fullmatch(r"/dev/serial\d", name)), None),
            latency_timer_ms=timers.get(device),
        )
        for device, names in sorted(links.items())
    )


def _shortest(names: list[str], folder: str) -> str | None:
    """Newer udev gives a socket two names, …usb-… and …usbv2-…; older ones know the shorter."""
    return min((name for name in names if name.startswith(folder)), key=len, default=None)


def _services(lines: list[str]) -> tuple[Service, ...] | None:
    """The services of ours that are installed; None where systemd did not answer."""
    told: list[dict[str, str]] = []
    for line in lines:
        key, _, value = line.partition("=")
        if not told or key in told[-1]:
            told.append({})
        told[-1][key] = value
    told = [one for one in told if one.get("Id") in SERVICES]
    if not told:
        return None
    return tuple(
        Service(one["Id"].removesuffix(".service"), one.get("ActiveState", "unknown"))
        for one in told
        if one.get("LoadState") != "not-found"
    )
