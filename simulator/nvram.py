"""The memory that a virtual meter keeps without mains and over restarts of the simulator.

One file per bus. Each meter has two slots of fixed size that are written in turn, one JSON text
with a checksum each, by a single positioned write: a killed process leaves the newer or the older
record, never half of one. That is cheap enough to be done before every reply that shows something
new, so a register never goes back over a restart, as it would if states were saved once a second.
"""

import fcntl
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from edge.meters.file_faults import Fault, FileFaultsError

SLOT_BYTES = 512
Record = Mapping[str, object]


class Nvram:
    """The records of one bus's meters by meter number. Close it: the file is locked while open."""

    def __init__(self, path: Path) -> None:
        """Open or create; raises FileFaultsError where it is in use, damaged or unwritable."""
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._fault("无法打开", f"cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._index: dict[str, int] = {}
            self._turn: dict[str, int] = {}
            self._records: dict[str, Record] = {}
            self._read(os.pread(self._fd, os.fstat(self._fd).st_size, 0))
        except BlockingIOError as error:
            os.close(self._fd)
            raise self._fault("正被另一个模拟器使用", "is in use by another simulator") from error
        except FileFaultsError:
            os.close(self._fd)
            raise

    def recall(self, number: str) -> Record | None:
        """The newest record of a meter; None for a meter that was never kept here."""
        return self._records.get(number)

    def keep(self, number: str, record: Record) -> None:
        """Write a meter's record. It outlives this process from here on."""
        index = self._index.setdefault(number, len(self._index))
        turn = self._turn[number] = self._turn.get(number, 0) + 1
        text = json.dumps({"n": turn, "meter": number, **record}, separators=(",", ":"))
        line = f"{zlib.crc32(text.encode()):08x} {text}".ljust(SLOT_BYTES - 1) + "\n"
        assert len(line) == SLOT_BYTES, f"record of {number} outgrew its slot"
        os.pwrite(self._fd, line.encode(), (2 * index + turn % 2) * SLOT_BYTES)

    def close(self) -> None:
        """Hand everything to the disk and let go of the file."""
        os.fsync(self._fd)
        os.close(self._fd)

    def _read(self, data: bytes) -> None:
        for index in range((len(data) + 2 * SLOT_BYTES - 1) // (2 * SLOT_BYTES)):
            pair = [
                parsed
                for n in (0, 1)
                if (parsed := _parse(data[(2 * index + n) * SLOT_BYTES :][:SLOT_BYTES]))
            ]
            if not pair:
                raise self._fault("记录损坏", f"record {index + 1} is damaged")
            turn, number, record = max(pair, key=lambda one: one[0])
            self._index[number], self._turn[number] = index, turn
            self._records[number] = record

    def _fault(self, zh: str, en: str) -> FileFaultsError:
        return FileFaultsError([Fault(str(self._path), "", zh, en)])


def _parse(slot: bytes) -> tuple[int, str, Record] | None:
    check, _, text = slot.rstrip().partition(b" ")
    if not text or check != f"{zlib.crc32(text):08x}".encode():
        return None
    record = json.loads(text)
    return int(record.pop("n")), str(record.pop("meter")), record
