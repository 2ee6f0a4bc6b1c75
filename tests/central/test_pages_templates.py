"""Templates hold no bare words, no inline styles and no scripts: they are translated and safe."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import central

TEMPLATES = sorted((Path(central.__file__).parent / "templates").rglob("*.html"))
# the same in both languages: units, keys, signs, and the names of the languages themselves
SAME = {"kWh", "W", "Enter", "中文", "English"}
SPOKEN = ("title", "alt", "placeholder", "aria-label", "label")
_CLASSES = r"\{% block \w+_class %\}.*?\{% endblock %\}"
_ATTRIBUTES = r"\{% macro invalid\(.*?\{% endmacro %\}"  # a macro that writes attributes only
_JINJA = re.compile(_CLASSES + "|" + _ATTRIBUTES + r"|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{2,}|[\u4e00-\u9fff]+")


class Words(HTMLParser):
    """Collects what a reader would read, and what a strict browser would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.refused: list[str] = []
        self._quiet = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._quiet += tag in ("script", "style")
        values = {name: value or "" for name, value in attrs}
        self.found += [values[name] for name in SPOKEN if name in values]
        self.refused += [name for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in values):
            self.refused.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.found.append(data)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_bare_words(path: Path) -> None:
    words = Words()
    words.feed(_JINJA.sub(" ", path.read_text(encoding="utf-8")))
    bare = {word for text in words.found for word in _WORD.findall(text)} - SAME
    assert not bare, f"{path.name}: not translated: {bare}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_nothing_that_the_content_policy_forbids(path: Path) -> None:
    words = Words()
    words.feed(_JINJA.sub(" ", path.read_text(encoding="utf-8")))
    assert not words.refused, f"{path.name}: {words.refused}"


def test_the_check_itself_finds_bare_words() -> None:
    words = Words()
    words.feed(_JINJA.sub(" ", '<p title="你好" style="x">{{ _("好") }} Hello <b>kWh</b></p>'))
    assert {word for text in words.found for word in _WORD.findall(text)} - SAME == {
        "你好",
        "Hello",
    }
    assert words.refused == ["style"]
