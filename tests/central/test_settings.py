"""Settings: every fault at once, with file and key; paths relative to the file."""

from pathlib import Path

import pytest

from central.settings import SettingsFault, load

GOOD = """
[site]
name = "东方大学"
site_id = "east"
cell_id = "c1"
[database]
url = "sqlite:///books/central.db"
[mqtt]
username = "centre"
password_file = "mqtt.password"
[keys]
master_file = "master.key"
"""


def written(folder: Path, text: str = GOOD) -> Path:
    path = folder / "central.toml"
    path.write_text(text, encoding="utf-8")
    return path


def secrets(folder: Path, *, mode: int = 0o600, length: int = 32) -> None:
    for name, size in (("mqtt.password", 8), ("master.key", length)):
        (folder / name).write_bytes(b"x" * size)
        (folder / name).chmod(mode)


def faults(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsFault) as caught:
        load(path, environ or {}, secrets=True)
    return caught.value.faults


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    secrets(tmp_path)
    settings = load(written(tmp_path), {}, secrets=True)
    assert settings.database.url == f"sqlite:///{tmp_path}/books/central.db"
    assert settings.keys.master_file == tmp_path / "master.key"
    assert settings.state.directory == tmp_path / "state"
    assert (settings.web.port, settings.mqtt.port) == (8080, 1883)


def test_commands_that_need_no_secret_do_not_look_for_them(tmp_path: Path) -> None:
    assert load(written(tmp_path), {}).site.name == "东方大学"


def test_the_environment_overrides(tmp_path: Path) -> None:
    environ = {
        "WATTLEDGER_DATABASE_URL": "postgresql+asyncpg://w@/books",
        "WATTLEDGER_WEB_PORT": "0",
        "WATTLEDGER_WEB_HTTPS": "true",
        "WATTLEDGER_STATE_DIRECTORY": "/var/lib/w",
    }
    settings = load(written(tmp_path), environ)
    assert settings.database.url == "postgresql+asyncpg://w@/books"
    assert (settings.web.port, settings.web.https) == (0, True)
    assert settings.state.directory == Path("/var/lib/w")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = """
[site]
name = ""
site_id = "East"
colour = "red"
[database]
url = "mysql://x"
[web]
port = 70000
[mqtt]
password_file = "nowhere"
[keys]
master_file = "master.key"
[till]
"""
    secrets(tmp_path, mode=0o644)
    path = written(tmp_path, text)
    found = faults(path, {"WATTLEDGER_SESSION_IDLE_MIN": "soon"})
    for begin, words in (
        ("site.name", "at least 1 character"),
        ("site.site_id", "small letters"),
        ("site.cell_id", "is missing"),
        ("site.colour", "is not a key known here"),
        ("database.url", "write sqlite:///path"),
        ("web.port", "70000"),
        ("mqtt.username", "is missing"),
        ("mqtt.password_file", f"there is no file {tmp_path}/nowhere"),
        ("keys.master_file", "mode 0644"),
        ("till", "is not a key known here"),
    ):
        lines = [line for line in found if line.startswith(f"{path}: {begin}:")]
        assert lines, f"{begin} is not named in {found}"
        assert words in lines[0]
    assert [line for line in found if "WATTLEDGER_SESSION_IDLE_MIN: " in line]
    assert len(found) == 11


def test_a_master_key_has_32_bytes(tmp_path: Path) -> None:
    secrets(tmp_path, length=31)
    [fault] = faults(written(tmp_path))
    assert "31 bytes; a master key has 32" in fault


@pytest.mark.parametrize(
    ("text", "words"), [("[site", "Expected ']'"), ("site = 3\n", "a section")]
)
def test_what_is_not_settings_is_said(tmp_path: Path, text: str, words: str) -> None:
    assert words in "\n".join(faults(written(tmp_path, text)))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert faults(tmp_path / "no.toml") == [f"{tmp_path}/no.toml: No such file or directory"]
