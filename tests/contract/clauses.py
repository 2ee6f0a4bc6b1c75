"""Which numbered clauses stand in the contract, and which tests cite them."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_CLAUSE = re.compile(r"^\* \*\*\[([a-z]+-[0-9]+)\]\*\* \S")


def stated(text: str) -> list[str]:
    """The ids of the clauses of a page, in its order: lines `* **[area-n]** …`."""
    return [found[1] for line in text.splitlines() if (found := _CLAUSE.match(line))]


def cited(folder: Path) -> dict[str, list[str]]:
    """For each clause named by a `pytest.mark.clause(…)` under `folder`: where it stands."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for line, clause in _marks(ast.parse(path.read_text("utf-8"), str(path))):
            places[clause].append(f"{path.relative_to(folder)}:{line}")
    return dict(places)


def _marks(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.clause":
            for argument in node.args:
                clause = argument.value if isinstance(argument, ast.Constant) else None
                # a computed id could not be read here: it shows up as one that no page states
                yield node.lineno, clause if isinstance(clause, str) else ast.unparse(argument)
