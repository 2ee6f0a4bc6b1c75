"""central.toml: what differs from one office to the next, checked before anything starts.

Paths are relative to the file. Any key can be overridden by an environment variable of its name,
`WATTLEDGER_DATABASE_URL` for `[database] url`. All faults are reported at once, with file and key.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from sqlalchemy.engine import make_url

from domain.ids import is_id

PREFIX = "WATTLEDGER_"
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a key known here",
    "model_type": "must be a section with keys of its own",
}


class SettingsFault(Exception):  # noqa: N818 - faults are called faults throughout
    """The settings cannot be used. `faults` has one line each: file, key, what is wrong."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _base(info: ValidationInfo) -> Path:
    context = info.context or {}
    base: Path = context["base"]
    return base


def _absolute(path: Path, info: ValidationInfo) -> Path:
    return _base(info) / path


def _secret(path: Path, info: ValidationInfo) -> Path:
    path = _base(info) / path
    if not (info.context or {}).get("secrets"):
        return path
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ValueError(f"{path} has mode {mode:04o}; a secret is for its owner only: chmod 600")
    return path


def _master(path: Path, info: ValidationInfo) -> Path:
    path = _secret(path, info)
    if (info.context or {}).get("secrets") and path.stat().st_size != 32:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; a master key has 32")
    return path


def _id(text: str) -> str:
    if not is_id(text):
        raise ValueError("an id has at most 40 characters: small letters, digits and hyphens")
    return text


def _database(url: str, info: ValidationInfo) -> str:
    try:
        parsed = make_url(url)
    except Exception as error:
        raise ValueError("write sqlite:///path or postgresql+asyncpg://…") from error
    if parsed.drivername not in ("sqlite", "postgresql+asyncpg"):
        raise ValueError("write sqlite:///path or postgresql+asyncpg://…")
    if parsed.drivername == "sqlite":
        if not parsed.database:
            raise ValueError("a SQLite URL needs a file")
        return f"sqlite:///{_base(info) / parsed.database}"
    return url


Id = Annotated[str, AfterValidator(_id)]
FilePath = Annotated[Path, AfterValidator(_absolute)]
SecretFile = Annotated[Path, AfterValidator(_secret)]
MasterKeyFile = Annotated[Path, AfterValidator(_master)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Site(_Section):
    """Whose electricity this is. `name` stands on pages and receipts."""

    name: str = Field(min_length=1, max_length=60)
    site_id: Id
    cell_id: Id
    offset_min: int = Field(default=480, ge=-720, le=840)  # local time less UTC, minutes


class DatabaseSection(_Section):
    """Where the books are."""

    url: Annotated[str, AfterValidator(_database)]


class Web(_Section):
    """Where the pages are. Port 0 takes a free one. `https`: a proxy in front speaks TLS."""

    host: str = "127.0.0.1"
    port: Port = 8080
    https: bool = False
    trusted_proxies: tuple[str, ...] = ()  # addresses whose X-Forwarded-For is believed


class Mqtt(_Section):
    """The broker that stands between the centre and its gateways."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    username: str
    password_file: SecretFile


class Keys(_Section):
    """The master key from which every gateway's key is made: 32 random bytes, mode 0600."""

    master_file: MasterKeyFile


class State(_Section):
    """A directory for what is neither books nor settings."""

    directory: FilePath = Path("state")


class Sales(_Section):
    """Defaults of the till, in fen."""

    hoarding_cap_fen: int = Field(default=100_000, ge=1, le=99_999_999)


class Session(_Section):
    """How long a sign-in lasts without use, and at all."""

    idle_min: int = Field(default=120, ge=1, le=1_440)
    absolute_min: int = Field(default=720, ge=1, le=10_080)


class Log(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section):
    """All settings of the office, as checked by `load`."""

    site: Site
    database: DatabaseSection
    web: Web = Web()
    mqtt: Mqtt
    keys: Keys
    state: State = State.model_construct(directory=Path("state"))
    sales: Sales = Sales()
    session: Session = Session()
    log: Log = Log()


def load(path: Path, environ: Mapping[str, str], *, secrets: bool = False) -> Settings:
    """Read and check `path`. With `secrets` the secret files must stand and be private as well.

    Raises SettingsFault with every fault at once.
    """
    path = path.absolute()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsFault([f"{path}: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsFault([f"{path}: {error}"]) from error
    overridden = _override(given, environ)
    given.setdefault("state", {})  # so that its default directory, too, is relative to the file
    try:
        return Settings.model_validate(given, context={"base": path.parent, "secrets": secrets})
    except ValidationError as error:
        raise SettingsFault([_words(path, fault, overridden) for fault in error.errors()]) from None


def _override(given: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Put environment variables over the file; returns "section.key" → variable."""
    overridden = {}
    for section, field in Settings.model_fields.items():
        assert field.annotation is not None
        for key in field.annotation.model_fields:
            variable = f"{PREFIX}{section}_{key}".upper()
            inside = given.setdefault(section, {}) if variable in environ else None
            if isinstance(inside, dict):
                inside[key] = environ[variable]
                overridden[f"{section}.{key}"] = variable
    return overridden


def _words(path: Path, fault: Any, overridden: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    where = f"environment {overridden[key]}" if key in overridden else f"{path}: {key}"
    said = _WORDS.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
    shown = "" if fault["type"] in ("missing", "value_error") else f" (found {fault['input']!r})"
    return f"{where}: {said}{shown}"
