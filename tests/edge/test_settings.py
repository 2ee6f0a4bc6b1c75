"""A gateway's configuration: everything wrong is named at once, with file and key."""

from pathlib import Path

import pytest

from edge.settings import SettingsFault, load

GOOD = """
cell_id = "campus"
gateway_id = "gw-1"
state_dir = "state"
keys_file = "keys"
[broker]
host = "127.0.0.1"
port = 1884
password_file = "password"
"""


def write(folder: Path, text: str = GOOD, keys: str = "1 " + "ab" * 32, mode: int = 0o600) -> Path:
    (folder / "edge.toml").write_text(text)
    for name, content in (("keys", keys), ("password", "secret")):
        (folder / name).write_text(content)
        (folder / name).chmod(mode)
    return folder / "edge.toml"


def faults(path: Path) -> list[str]:
    with pytest.raises(SettingsFault) as caught:
        load(path)
    return caught.value.faults


@pytest.mark.clause("live-2")
def test_a_good_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path))
    assert settings.gateway_id == "gw-1"
    assert settings.gateway_secrets == {1: b"\xab" * 32}
    assert settings.state_dir == tmp_path / "state"
    assert settings.live_period_ms == 2_000
    assert "secret" not in repr(settings)
    assert "ab" * 32 not in repr(settings)


def test_every_fault_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('"gw-1"', '"GW 1"').replace("1884", "70000") + "colour = 1\n"
    found = faults(write(tmp_path, text.replace('state_dir = "state"\n', "")))
    assert len(found) == 4
    for key in ("gateway_id", "broker.port", "broker.colour", "state_dir"):
        assert any(f"edge.toml: {key}: " in fault for fault in found), (key, found)


def test_secrets_must_be_private_and_whole(tmp_path: Path) -> None:
    found = faults(write(tmp_path, keys="1 abc\n2 " + "cd" * 32, mode=0o644))
    assert sum("0600" in fault for fault in found) == 2
    assert any("line 1 must be an epoch" in fault for fault in found)


@pytest.mark.parametrize("text", ["", "cell_id = ", "\xff"])
def test_what_is_no_configuration_at_all(tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    path.write_bytes(text.encode("latin-1"))
    assert all("edge.toml" in fault for fault in faults(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.toml" in faults(tmp_path / "nowhere.toml")[0]
