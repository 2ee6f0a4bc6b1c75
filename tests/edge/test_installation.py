"""The installation file is the old one or the new one after a power cut, never empty by mistake."""

import shutil
from pathlib import Path

import pytest

from domain.wire.intents import (
    CalendarBody,
    Intent,
    PolicyBody,
    TariffBody,
)
from edge.faults import InstallationFault
from edge.installation import TARIFF_VERSIONS_KEPT, Disk, InstallationFile


class PowerCutError(Exception):
    """The lights went out."""


class CutDisk(Disk):
    """A disk whose power fails after `budget` units: one per byte written, one per other step."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0

    def _spend(self, units: int) -> int:
        granted = min(units, self.budget - self.used)
        self.used += units
        return granted

    def write(self, path: Path, content: bytes) -> None:
        granted = self._spend(len(content))
        super().write(path, content[:granted])
        if granted < len(content):
            raise PowerCutError

    def rename(self, old: Path, new: Path) -> None:
        if self._spend(1) < 1:
            raise PowerCutError
        super().rename(old, new)

    def sync_directory(self, directory: Path) -> None:
        if self._spend(1) < 1:
            raise PowerCutError
        super().sync_directory(directory)


def policy(version: int, key: str = "dorm") -> Intent:
    body = PolicyBody(alarm_1_fen=1_000 + version, alarm_2_fen=500)
    return Intent.of(body, key=key, version=version, issued_at_ms=1)


def tariff(version: int, start_ms: int) -> Intent:
    body = TariffBody.model_validate(
        {
            "effective_from_ms": start_ms,
            "rates": [3],
            "day_types": {"workday": [(0, 3)]},
            "price_e4": [[5_000 + version]],
            "steps_wh": [],
            "period": "month",
        }
    )
    return Intent.of(body, key="flat", version=version, issued_at_ms=1)


def kept(path: Path) -> set[tuple[str, str, int]]:
    return {(i.kind, i.key, i.version) for i in InstallationFile(path).load()}


def test_what_is_stored_is_there_at_the_next_start(tmp_path: Path) -> None:
    file = InstallationFile(tmp_path / "installation.json")
    assert file.load() == ()
    calendar = Intent.of(CalendarBody(days={}), key="site", version=3, issued_at_ms=1)
    for intent in (policy(1), policy(1, key="lab"), calendar, policy(2)):
        file.store(intent)
    again = InstallationFile(tmp_path / "installation.json")
    assert {i.key: i for i in again.load()} == {
        "dorm": policy(2),
        "lab": policy(1, key="lab"),
        "site": calendar,
    }
    assert again.recovered() is None


def test_tariffs_are_kept_by_start_and_the_oldest_go(tmp_path: Path) -> None:
    file = InstallationFile(tmp_path / "installation.json")
    for n in range(1, TARIFF_VERSIONS_KEPT + 3):
        file.store(tariff(n, start_ms=n * 1000))
    file.store(tariff(99, start_ms=TARIFF_VERSIONS_KEPT * 1000))  # same start: takes its place
    versions = sorted(i.version for i in file.load())
    expected = [*range(3, TARIFF_VERSIONS_KEPT), *range(TARIFF_VERSIONS_KEPT + 1, 15), 99]
    assert versions == sorted(expected)


def test_a_technician_can_read_the_file(tmp_path: Path) -> None:
    InstallationFile(tmp_path / "installation.json").store(policy(1))
    text = (tmp_path / "installation.json").read_text(encoding="utf-8")
    assert '"alarm_1_fen": 1001' in text


@pytest.mark.parametrize("generation", ["first ever", "second", "third"])
def test_a_power_cut_at_every_byte_leaves_the_old_content_or_the_new(
    tmp_path: Path, generation: str
) -> None:
    start = tmp_path / "start"
    start.mkdir()
    versions = {"first ever": 0, "second": 1, "third": 2}[generation]
    for version in range(1, versions + 1):
        InstallationFile(start / "installation.json").store(policy(version))
    old = kept(start / "installation.json")
    new = {("policy", "dorm", versions + 1)}
    seen = set()
    budget = 0
    while True:
        place = tmp_path / f"cut{budget}"
        shutil.copytree(start, place)
        disk = CutDisk(budget)
        try:
            InstallationFile(place / "installation.json", disk).store(policy(versions + 1))
        except PowerCutError:
            found = kept(place / "installation.json")
            assert found in (old, new), f"after {budget} units: {found}"
            seen.add(frozenset(found))
            # and the next write after the cut works, and is what is found then
            InstallationFile(place / "installation.json").store(policy(77))
            assert kept(place / "installation.json") == {("policy", "dorm", 77)}
        else:
            assert kept(place / "installation.json") == new
            break
        finally:
            shutil.rmtree(place)
        budget += 1
    assert seen == {frozenset(old), frozenset(new)}, "the cut must have hit both sides"
    assert budget > 200


@pytest.mark.parametrize("survived", ["none", "first", "second", "both"])
def test_renames_that_were_not_synced_may_survive_in_any_order(
    tmp_path: Path, survived: str
) -> None:
    path = tmp_path / "installation.json"
    file = InstallationFile(path)
    file.store(policy(1))
    file.store(policy(2))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    file.store(policy(3))
    new = path.read_bytes()
    for p in tmp_path.iterdir():
        p.unlink()
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    if survived in ("first", "both"):
        path.replace(tmp_path / "installation.json.prev")
    if survived in ("second", "both"):
        path.write_bytes(new)
    expected = 3 if survived in ("second", "both") else 2
    assert kept(path) == {("policy", "dorm", expected)}


def test_a_damaged_file_gives_way_to_the_generation_before_and_never_pushes_it_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "installation.json"
    InstallationFile(path).store(policy(1))
    InstallationFile(path).store(policy(2))
    path.write_bytes(path.read_bytes().replace(b"1002", b"9999"))
    file = InstallationFile(path)
    assert kept(path) == {("policy", "dorm", 1)}
    assert file.recovered() is not None
    with pytest.raises(PowerCutError):
        InstallationFile(path, CutDisk(100)).store(policy(3))
    assert kept(path) == {("policy", "dorm", 1)}
    file.store(policy(3))
    assert kept(path) == {("policy", "dorm", 3)}
    assert file.recovered() is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 512])
def test_two_damaged_generations_are_a_fault_and_not_an_empty_house(
    tmp_path: Path, damage: bytes
) -> None:
    path = tmp_path / "installation.json"
    InstallationFile(path).store(policy(1))
    InstallationFile(path).store(policy(2))
    path.write_bytes(damage)
    path.with_name("installation.json.prev").write_bytes(damage)
    with pytest.raises(InstallationFault, match=r"installation\.json\.prev"):
        InstallationFile(path).load()
    with pytest.raises(InstallationFault):
        InstallationFile(path).store(policy(3))
    path.unlink()
    with pytest.raises(InstallationFault, match="missing"):
        InstallationFile(path).load()


def test_a_body_of_a_later_software_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "installation.json"
    strange = policy(1).model_copy(update={"version": -4})
    InstallationFile(path).store(strange)
    with pytest.raises(InstallationFault, match="not understood"):
        InstallationFile(path).load()
