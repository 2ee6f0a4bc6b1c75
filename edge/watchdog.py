"""systemd's notification socket: ready, alive, stopping. Only a finished cycle feeds the watchdog.

Does nothing where systemd did not start the service.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress


class Watchdog:
    """Speaks to NOTIFY_SOCKET, an address in the file system or an abstract one (`@…`)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """The service runs; `status` is what `systemctl status` shows."""
        self._send(f"READY=1\nSTATUS={status}")

    def fed(self) -> None:
        """A cycle has finished."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends on purpose."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        # A full or vanished socket means a missed feed; systemd then restarts us, as it should.
        with socket.socket(socket.AF_UNIX, kind) as sock, suppress(OSError):
            sock.sendto(message.encode(), self._address)
