"""The one family of faults: the world said no. Refusals are values; our own errors are asserts.

Each task catches `Fault` once, at its top. What is wrong and where stands in the message, first in
Chinese, then in English, because a technician reads it in the log of a gateway far away.
"""


class Fault(Exception):  # noqa: N818 (a fault is the house's word for it)
    """Something outside the program failed: a disk, a port, a broker, a file's content."""


class JournalFault(Fault):
    """The journal cannot be opened, read or written. The process must not go on without it."""


class InstallationFault(Fault):
    """The installation file and the generation before it are both unreadable."""
