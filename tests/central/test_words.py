"""Every sentence of the pages has its English, and no English is left over."""

from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

import central
from central.words import chosen, environments

HERE = Path(central.__file__).parent


def _used() -> set[str]:
    found: set[str] = set()
    for template in sorted((HERE / "templates").rglob("*.html")):
        with template.open("rb") as file:
            options = {"silent": "false", "trimmed": "true"}
            for _, _, message, _ in babel_extract(file, ("_", "gettext", "ngettext"), (), options):
                messages = message if isinstance(message, tuple) else (message,)
                found.update(text for text in messages if text)
    return found


def test_every_sentence_has_its_english_and_none_is_left_over() -> None:
    with (HERE / "locale/en/LC_MESSAGES/wattledger.po").open("rb") as file:
        catalogue = read_po(file, locale="en")
    kept = {
        text
        for message in catalogue
        if message.id and message.string and not message.fuzzy
        for text in (message.id if isinstance(message.id, tuple) else (message.id,))
    }
    assert _used() == kept


def test_figures_and_times_are_written_as_people_read_them() -> None:
    template = "{{ -318|yuan }} {{ 1_234_567|kwh }} {{ 5_583|price }} {{ 0|local('%H:%M') }}"
    for environment in environments(offset_min=480, site_name="x").values():
        assert environment.from_string(template).render() == "−3.18 1,234.56 0.5583 08:00"


@pytest.mark.parametrize(
    ("asked", "kept", "accepts", "language"),
    [
        (None, None, "", "zh"),
        (None, None, "fr-FR,en;q=0.5,zh;q=0.3", "en"),
        (None, None, "de", "zh"),
        (None, "zh", "en", "zh"),
        ("en", "zh", "zh", "en"),
        ("xx", None, "en", "en"),
    ],
)
def test_the_language_of_a_page(
    asked: str | None, kept: str | None, accepts: str, language: str
) -> None:
    assert chosen(asked=asked, kept=kept, accepts=accepts) == language
