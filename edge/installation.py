"""The installation file: what hangs on this gateway, its prices, calendar and policies, in TinyDB.

TinyDB's own JSON storage overwrites the file in place and is torn by a power cut. Ours serialises
first, writes a new file with a checksum line, syncs it, keeps the generation before as `.prev`,
and renames. So a reader finds the old content or the new, never a part; and a file that is
unreadable in both generations is a fault, never an empty house. It is plain text: a technician can
read it over SSH.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Document, Table

from domain.wire.intents import Intent
from edge.faults import InstallationFault

KINDS = ("installation", "tariff", "calendar", "policy")
TARIFF_VERSIONS_KEPT = 12  # of each tariff, by start: more than a gateway can be offline for
_CHECKSUM = b"#crc32 "


class Disk:
    """The few things asked of a disk, each finished when it returns. Tests cut the power here."""

    def write(self, path: Path, content: bytes) -> None:
        """Write a whole file and wait until it is on the disk."""
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Put `old` in the place of `new` in one step."""
        old.replace(new)

    def sync_directory(self, directory: Path) -> None:
        """Wait until renames in `directory` are on the disk."""
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class CrashSafeStorage(Storage):
    """A TinyDB storage of two generations, `path` and `path.prev`."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path, self._disk = path, disk
        self._before = path.with_name(path.name + ".prev")
        self._next = path.with_name(path.name + ".new")

    def read(self) -> dict[str, dict[str, Any]] | None:
        """The newest sound generation; None only where neither was ever written."""
        current = _content(self._path)
        if isinstance(current, dict):
            return current
        before = _content(self._before)
        if isinstance(before, dict):
            return before
        if current is None and before is None:
            return None
        raise InstallationFault(
            "安装文件及其上一版都不可读 / the installation file and its generation before are both "
            f"unreadable: {self._path}: {current or 'missing'}; {self._before}: "
            f"{before or 'missing'}"
        )

    def recovered(self) -> str | None:
        """Why the generation before had to be used; None where the current one is sound."""
        current = _content(self._path)
        if isinstance(current, str):
            return current
        return "missing" if current is None and self._before.exists() else None

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replace the content: old or new after a power cut at any instant."""
        text = json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
        self._disk.write(self._next, text + _CHECKSUM + b"%08x\n" % zlib.crc32(text))
        if isinstance(_content(self._path), dict):  # a damaged file must not push out a sound one
            self._disk.rename(self._path, self._before)
        self._disk.rename(self._next, self._path)
        self._disk.sync_directory(self._path.parent)


def _content(path: Path) -> dict[str, dict[str, Any]] | str | None:
    """What a generation holds, what is wrong with it in words, or None where there is no file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    text, found, checksum = raw.rpartition(_CHECKSUM)
    if not found or checksum != b"%08x\n" % zlib.crc32(text):
        return "校验和不符 / the checksum does not match"
    content = json.loads(text)
    assert isinstance(content, dict)
    return content


class InstallationFile:
    """The intents that are kept outside the journal: read at start, written when one is taken.

    Both methods block on the disk. They raise InstallationFault where it fails or where what is
    kept cannot be understood.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._storage = CrashSafeStorage(path, disk or Disk())

    def load(self) -> tuple[Intent, ...]:
        """Everything kept, tariffs in every version that is, in no particular order."""
        with self._open() as db:
            documents = [document for kind in KINDS for document in db.table(kind)]
        try:
            return tuple(Intent.model_validate(document) for document in documents)
        except ValidationError as error:
            raise InstallationFault(
                "安装文件内容不认识 / the installation file is not understood: "
                f"{self._path}: {error}"
            ) from error

    def recovered(self) -> str | None:
        """Why `load` had to take the generation before; None where it did not."""
        return self._storage.recovered()

    def store(self, intent: Intent) -> None:
        """Keep an intent in place of the one with its key (of a tariff: its key and start)."""
        assert intent.kind in KINDS, intent.kind
        try:
            with self._open() as db:
                self._put(db.table(intent.kind), intent)
        except OSError as error:
            raise InstallationFault(
                f"安装文件写不进 / the installation file cannot be written: {self._path}: {error}"
            ) from error

    def _open(self) -> TinyDB:
        return TinyDB(storage=lambda: self._storage)

    def _put(self, table: Table, intent: Intent) -> None:
        """One write puts the intent in; what has become too old goes in a second one."""
        document = intent.model_dump(mode="json")
        same = [kept.doc_id for kept in table if _place(kept) == _place(document)]
        if same:
            table.update(document, doc_ids=same)
        else:
            newest = max((kept.doc_id for kept in table), default=0)
            table.insert(Document(document, doc_id=newest + 1))
        of_key = [kept for kept in table if kept["key"] == intent.key]
        of_key.sort(key=lambda kept: _place(kept)[1])
        if old := [kept.doc_id for kept in of_key[:-TARIFF_VERSIONS_KEPT]]:
            table.remove(doc_ids=old)


def _place(document: dict[str, Any]) -> tuple[str, int]:
    """What an intent stands in place of: its key, and for a tariff also its start."""
    return document["key"], document["body"].get("effective_from_ms", 0)
