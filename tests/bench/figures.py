"""A measured figure: its physical limit, what share of it is reached, and whether that is enough.

A figure is one JSON object on a line of standard output; progress is told on standard error.
"""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Literal

Rule = Literal["value <=", "value >=", "ratio <=", "ratio >="]
_DIGITS = 4  # significant ones; a run differs from the next by more


@dataclass(frozen=True, slots=True)
class Figure:
    """`name` is BENCH.case. `ratio` is value / limit; the limit is measured in the same run or
    follows from the wire. `rule` says what has to be how with regard to `goal`."""

    name: str
    value: float
    unit: str
    limit: float
    goal: float
    rule: Rule
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.limit

    @property
    def ok(self) -> bool:
        """Whether the goal is met."""
        measured = self.ratio if self.rule.startswith("ratio") else self.value
        return measured <= self.goal if self.rule.endswith("<=") else measured >= self.goal

    def line(self) -> str:
        """The figure as a line of JSON."""
        shown = asdict(self) | {"ratio": self.ratio, "ok": self.ok}
        order = ("name", "value", "unit", "limit", "ratio", "goal", "ok", "rule", "note")
        return json.dumps({key: _short(shown[key]) for key in order}, ensure_ascii=False)


def _short(value: object) -> object:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def tell(words: str) -> None:
    """Say how far the bench is."""
    print(words, file=sys.stderr, flush=True)  # noqa: T201 - a command speaks
