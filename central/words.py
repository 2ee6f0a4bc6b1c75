"""How pages speak: Chinese as written in the templates, English by a gettext catalogue.

The Chinese text is the key, so Chinese needs no catalogue and is never missing.
"""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Literal, get_args

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from central import display

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DOMAIN = "wattledger"

_HERE = Path(__file__).parent


class AssetsMissingFault(Exception):  # noqa: N818 - faults are called faults throughout
    """The pages' styles and scripts have not been built."""


def environments(*, offset_min: int, site_name: str) -> Mapping[Language, Environment]:
    """One template environment a language. `offset_min`: local time less UTC, in minutes."""
    assets = _assets(_HERE / "static" / "dist")
    made: dict[Language, Environment] = {}
    for language in LANGUAGES:
        environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.policies["ext.i18n.trimmed"] = True
        environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]  # added by the extension
        environment.globals.update(language=language, site_name=site_name, assets=assets)
        environment.globals.update(offset_min=offset_min, zone=display.zone_name(offset_min))
        environment.filters.update(display.filters(offset_min))
        made[language] = environment
    return made


def translations(language: Language) -> NullTranslations:
    """The catalogue of a language, read from its .po; empty for Chinese."""
    if language == "zh":
        return NullTranslations()
    po = _HERE / "locale" / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    compiled = BytesIO()
    with po.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled, domain=DOMAIN)


def chosen(*, asked: str | None, kept: str | None, accepts: str) -> Language:
    """The language of a page: asked for in the address, kept in a cookie, or the browser's."""
    for wanted in (asked, kept):
        for language in LANGUAGES:
            if wanted == language:
                return language
    for part in accepts.lower().split(","):
        for language in LANGUAGES:
            if part.strip().startswith(language):
                return language
    return "zh"


def say(language: Language, *, zh: str, en: str) -> str:
    """One of two texts that stand side by side in the code."""
    return zh if language == "zh" else en


def _assets(dist: Path) -> Mapping[str, str]:
    try:
        manifest: Mapping[str, str] = json.loads((dist / "manifest.json").read_text())
    except FileNotFoundError:
        raise AssetsMissingFault(f"{dist} has not been built; run: make setup") from None
    return {name: f"/static/{file}" for name, file in manifest.items()}
