"""Everything wrong with a TOML file, said at once: file, key, and the reason in both languages.

A file with a fault is not used at all, so nobody finds the second fault on a second visit.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

_ZH: Mapping[str, str] = {
    "missing": "缺少此项",
    "extra_forbidden": "不认识的项",
    "int_type": "应为整数",
    "string_type": "应为文字",
    "bool_type": "应为 true 或 false",
    "float_type": "应为数字",
    "literal_error": "不在允许的取值之内",
    "greater_than": "数值过小",
    "greater_than_equal": "数值过小",
    "less_than": "数值过大",
    "less_than_equal": "数值过大",
    "string_too_short": "不能为空",
    "string_pattern_mismatch": "写法不对",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: in which file, at which key (dotted, list positions from 0), and why."""

    file: str
    key: str
    zh: str
    en: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.zh} / {self.en}"


class FileFaultsError(Exception):
    """A configuration that is not used; `faults` names everything wrong with it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def read_toml(path: Path) -> dict[str, object]:
    """The tables of a TOML file; raises FileFaultsError where it cannot be read or parsed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileFaultsError(
            [Fault(str(path), "", "文件读不出", f"cannot be read: {reason}")]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFaultsError(
            [Fault(str(path), "", "不是合格的 TOML", f"not TOML: {error}")]
        ) from error


def of_validation(path: Path, error: ValidationError) -> list[Fault]:
    """The faults pydantic found, as faults of this file."""
    return [
        Fault(
            file=str(path),
            key=".".join(map(str, one["loc"])),
            zh=_ZH.get(one["type"], "取值不合适"),
            en=one["msg"],
        )
        for one in error.errors()
    ]
