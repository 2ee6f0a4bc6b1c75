"""A meter's memory outlives the process, and a damaged write leaves the record before."""

from pathlib import Path

import pytest

from edge.meters.file_faults import FileFaultsError
from simulator.nvram import SLOT_BYTES, Nvram


def test_the_newest_record_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "state" / "b1.nvram"
    first = Nvram(path)
    for turn in range(5):
        first.keep("310000000001", {"wh": turn})
        first.keep("310000000002", {"wh": 100 + turn})
    first.close()
    second = Nvram(path)
    assert second.recall("310000000001") == {"wh": 4}
    assert second.recall("310000000002") == {"wh": 104}
    assert second.recall("310000000003") is None
    second.keep("310000000002", {"wh": 200})
    second.close()
    third = Nvram(path)
    assert third.recall("310000000002") == {"wh": 200}
    assert third.recall("310000000001") == {"wh": 4}
    third.close()


def test_a_torn_record_falls_back_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "b1.nvram"
    memory = Nvram(path)
    for turn in range(3):
        memory.keep("310000000001", {"wh": turn})
    memory.close()
    data = bytearray(path.read_bytes())
    newest = data.index(b'"wh":2')
    data[newest : newest + 6] = b"??????"
    path.write_bytes(data)
    again = Nvram(path)
    assert again.recall("310000000001") == {"wh": 1}
    again.keep("310000000001", {"wh": 9})
    again.close()
    last = Nvram(path)
    assert last.recall("310000000001") == {"wh": 9}
    last.close()


def test_a_file_that_is_none_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "b1.nvram"
    path.write_bytes(b"x" * SLOT_BYTES)
    with pytest.raises(FileFaultsError, match="record 1 is damaged"):
        Nvram(path)
    assert path.read_bytes() == b"x" * SLOT_BYTES


def test_two_simulators_do_not_share_a_memory(tmp_path: Path) -> None:
    memory = Nvram(tmp_path / "b1.nvram")
    with pytest.raises(FileFaultsError, match="in use by another"):
        Nvram(tmp_path / "b1.nvram")
    memory.close()
    Nvram(tmp_path / "b1.nvram").close()


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a directory")
    with pytest.raises(FileFaultsError, match="state"):
        Nvram(tmp_path / "state" / "b1.nvram")
