"""What a gateway is told before it can speak: edge.toml and the keys beside it.

Everything else (meters, prices, policies, credit) arrives as intents. All faults are named at once,
each with file and key; a gateway with a faulty file starts nothing.
"""

import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from domain.ids import is_id
from edge.faults import Fault

KEY_BYTES = 32
_KEY_LINE = re.compile(r"(\d{1,5}) ([0-9a-f]{64})")


class SettingsFault(Fault):
    """The configuration is wrong; the message has one line a fault, with file and key."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _id(value: object) -> object:
    if isinstance(value, str) and is_id(value):
        return value
    raise ValueError(
        "须为小写字母、数字、连字符，1–40 位 / must be a-z, 0-9 and -, 1 to 40 characters"
    )


Id = Annotated[str, BeforeValidator(_id)]


class Broker(BaseModel):
    """Where the broker is. The user name is the gateway's id; the password stands in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    host: str
    port: int = Field(default=1883, ge=1, le=65535)
    password_file: str
    ca_file: str | None = None


class _File(BaseModel):
    """edge.toml as written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cell_id: Id
    gateway_id: Id
    state_dir: str
    keys_file: str
    broker: Broker
    profiles_dir: str | None = None
    socket: str = "edge.sock"
    interval_s: int = Field(default=1800, ge=60, le=86_400)
    live_period_s: int = Field(default=2, ge=1, le=60)


class Settings(BaseModel):
    """edge.toml with paths resolved against its own folder, and the secrets it points to."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    cell_id: str
    gateway_id: str
    state_dir: Path
    socket_path: Path
    profiles_dir: Path | None
    interval_ms: int
    live_period_ms: int
    broker_host: str
    broker_port: int
    broker_password: str = Field(repr=False)
    broker_ca_file: Path | None
    gateway_secrets: dict[int, bytes] = Field(repr=False)


def load(path: Path) -> Settings:
    """Read and check `path`; raises SettingsFault with every fault found."""
    faults: list[str] = []
    written = _read(path, faults)
    if written is None:
        raise SettingsFault(faults)
    here = path.resolve().parent
    password = _secret(here / written.broker.password_file, path, "broker.password_file", faults)
    keys = _keys(here / written.keys_file, path, faults)
    for key, folder in (
        ("profiles_dir", written.profiles_dir),
        ("broker.ca_file", written.broker.ca_file),
    ):
        if folder is not None and not (here / folder).exists():
            faults.append(f"{path}: {key}: {here / folder} 不存在 / does not exist")
    if faults:
        raise SettingsFault(faults)
    state_dir = here / written.state_dir
    return Settings(
        cell_id=written.cell_id,
        gateway_id=written.gateway_id,
        state_dir=state_dir,
        socket_path=state_dir / written.socket,
        profiles_dir=None if written.profiles_dir is None else here / written.profiles_dir,
        interval_ms=written.interval_s * 1000,
        live_period_ms=written.live_period_s * 1000,
        broker_host=written.broker.host,
        broker_port=written.broker.port,
        broker_password=password,
        broker_ca_file=None if written.broker.ca_file is None else here / written.broker.ca_file,
        gateway_secrets=keys,
    )


def _read(path: Path, faults: list[str]) -> _File | None:
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(f"{path}: 无法读取 / cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{path}: 不是合法的 TOML / is not valid TOML: {error}")
    else:
        try:
            return _File.model_validate(raw)
        except ValidationError as error:
            faults += [f"{path}: {_key(f['loc'])}: {_words(f)}" for f in error.errors()]
    return None


def _key(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) or "(file)"


def _words(fault: Any) -> str:
    known = {
        "missing": "缺少此项 / this key is missing",
        "extra_forbidden": "未知的项 / this key is not known",
    }
    return known.get(fault["type"]) or f"{fault['msg']} (给出 / given: {fault['input']!r})"


def _secret(file: Path, path: Path, key: str, faults: list[str]) -> str:
    """The text of a file that only its owner may read; an empty string where it is faulty."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path}: {key}: {file} 无法读取 / cannot be read: {error}")
        return ""
    if mode & 0o077:
        faults.append(
            f"{path}: {key}: {file} 权限应为 0600，现为 / must have mode 0600, not {mode:04o}"
        )
    if not text:
        faults.append(f"{path}: {key}: {file} 是空的 / is empty")
    return text


def _keys(file: Path, path: Path, faults: list[str]) -> dict[int, bytes]:
    """Lines `epoch hex64`, one or two of them: at most two epochs are valid at once."""
    keys = {}
    for number, line in enumerate(_secret(file, path, "keys_file", faults).splitlines(), 1):
        match = _KEY_LINE.fullmatch(line.strip())
        if match is None or not 0 < int(match[1]) < 2**16:
            faults.append(
                f"{path}: keys_file: {file} 第 {number} 行应为“纪元 64 位十六进制” / "
                f"line {number} must be an epoch and 64 hexadecimal digits"
            )
        else:
            keys[int(match[1])] = bytes.fromhex(match[2])
    if len(keys) > 2:
        faults.append(f"{path}: keys_file: {file} 最多两个纪元 / holds more than two epochs")
    return keys
