"""The one family of faults: the world said no. Refusals are values; our own errors are asserts.

    Fault
    ├── JournalFault        the journal: the process must not go on without it
    ├── InstallationFault   the installation file and the generation before it
    └── LineFault           one RS485 line; the other lines do not notice
        ├── NoReply         nobody answered in time
        ├── BadReply        bytes came, but no answer to what was asked
        └── PortLost        the port is gone, taken, or will not be set

Each task catches `Fault` once, at its top. What is wrong and where stands in the message, first in
Chinese, then in English, because a technician reads it in the log of a gateway far away.
"""


class Fault(Exception):  # noqa: N818 (a fault is the house's word for it)
    """Something outside the program failed: a disk, a port, a broker, a file's content."""


class JournalFault(Fault):
    """The journal cannot be opened, read or written. The process must not go on without it."""


class InstallationFault(Fault):
    """The installation file and the generation before it are both unreadable."""


class LineFault(Fault):
    """A line did not do what was asked of it."""


class NoReply(LineFault):
    """No byte came in time. `late_ms`: when one came after all, counted from the request's end."""

    def __init__(self, address: int, late_ms: int | None = None) -> None:
        super().__init__(f"地址 {address} 没有应答 / address {address} did not answer")
        self.late_ms = late_ms


class BadReply(LineFault):
    """Bytes came within the time, but no intact answer of this meter to this request."""

    def __init__(self, address: int, received: int) -> None:
        super().__init__(
            f"地址 {address} 的应答不可用（收到 {received} 字节）"
            f" / no usable answer of address {address} in {received} bytes"
        )


class PortLost(LineFault):
    """The port cannot be opened, was unplugged, or is held by another program."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"串口 {path} 不可用：{reason} / port {path} is not usable: {reason}")
        self.reason = reason
