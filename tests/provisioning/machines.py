"""What five machines answer to the technician's questions, as their terminals show it."""

from collections.abc import Mapping

_MEMORY = """\
MemTotal:        {total} kB
MemFree:          123456 kB
MemAvailable:    {available} kB
Buffers:           30012 kB
"""
_SERVICES = """\
Id=wattledger-edge.service
LoadState={edge_load}
ActiveState={edge_state}

Id=wattledger-central.service
LoadState=not-found
ActiveState=inactive
"""
_PATH = "/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-"
_ID = "/dev/serial/by-id/"


def _rows(*rows: tuple[str, str, str]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


PI_4: Mapping[str, str] = {
    "model": "Raspberry Pi 4 Model B Rev 1.5\0",
    "system": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nID=debian\n',
    "kernel": "Linux 6.6.51+rpt-rpi-v8\n",
    "machine": "aarch64\n",
    "architecture": "arm64\n",
    "bits": "64\n",
    "python": "Python 3.11.2\n",
    "disk": (
        "Filesystem     1024-blocks    Used Available Capacity Mounted on\n"
        "/dev/root         29967588 2345678  26345678       9% /\n"
        "/dev/sda1          8388608 1048576   7340032      13% /var/lib\n"
    ),
    "memory": _MEMORY.format(total=3884460, available=3456789),
    "clock": "yes\n",
    "ports": _rows(
        (f"{_PATH}usb-0:1.3:1.0-port0", "/dev/ttyUSB0", "1"),
        (f"{_PATH}usb-0:1.4:1.0-port0", "/dev/ttyUSB1", ""),
        (f"{_PATH}usbv2-0:1.3:1.0-port0", "/dev/ttyUSB0", "1"),
        (f"{_ID}usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0", "/dev/ttyUSB0", "1"),
        (f"{_ID}usb-1a86_USB_Serial-if00-port0", "/dev/ttyUSB1", ""),
        ("/dev/serial0", "/dev/ttyS0", ""),
    ),
    "services": _SERVICES.format(edge_load="loaded", edge_state="active"),
    "version": "0.1.0\n",
}

# Raspberry Pi OS of an older day: 32-bit programs, here under a 64-bit kernel, Python 3.9.
OLD_32_BIT: Mapping[str, str] = {
    "model": "Raspberry Pi 3 Model B Rev 1.2\0",
    "system": 'NAME="Raspbian GNU/Linux"\nPRETTY_NAME="Raspbian GNU/Linux 11 (bullseye)"\n',
    "kernel": "Linux 6.1.21-v8+\n",
    "machine": "aarch64\n",
    "architecture": "armhf\n",
    "bits": "32\n",
    "python": "Python 3.9.2\n",
    "disk": (
        "Filesystem     1024-blocks    Used Available Capacity Mounted on\n"
        "/dev/root          3702948 2869132    625676      83% /\n"
    ),
    "memory": _MEMORY.format(total=931764, available=700000),
    "clock": "no\n",
    "ports": _rows((f"{_ID}usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0", "/dev/ttyUSB0", "16")),
    "services": _SERVICES.format(edge_load="not-found", edge_state="inactive"),
}

# Somebody's computer: newer Python, no adapter, a modern file system name with blanks.
PC: Mapping[str, str] = {
    "model": "OptiPlex 7060\n",
    "system": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\n',
    "kernel": "Linux 6.8.0-49-generic\n",
    "machine": "x86_64\n",
    "architecture": "amd64\n",
    "bits": "64\n",
    "python": "Python 3.12.3\n",
    "disk": (
        "Filesystem              1024-blocks     Used Available Capacity Mounted on\n"
        "//nas/some share          100000000 10000000  90000000      10% /opt\n"
    ),
    "memory": _MEMORY.format(total=16269420, available=9000000),
    "clock": "yes\n",
    "ports": "",
    "services": _SERVICES.format(edge_load="not-found", edge_state="inactive"),
}

# An RS485 hat on the board's own port, and a service that has failed.
HAT: Mapping[str, str] = {
    **PI_4,
    "model": "Raspberry Pi Zero 2 W Rev 1.0\0",
    "ports": _rows(("/dev/serial0", "/dev/ttyAMA0", "")),
    "services": _SERVICES.format(edge_load="loaded", edge_state="failed"),
}

# A machine that means harm: markup, terminal escapes, nonsense, numbers beyond sense.
LIAR: Mapping[str, str] = {
    "model": "\x1b[2J\x1b]0;owned\x07[bold]Pi[/bold]\u202e\n",
    "system": 'PRETTY_NAME=""\n',
    "kernel": "\n\n",
    "bits": "128\n",
    "python": "Python three\n",
    "disk": "df: /opt: No such file or directory\n",
    "memory": "MemTotal: much kB\n",
    "clock": "maybe\n",
    "ports": "/etc/passwd\t/etc/shadow\t1\n\t\t\n/dev/serial/by-id/x\n",
    "services": "Id=sshd.service\nActiveState=active\n",
    "version": "Traceback (most recent call last):\n",
}
