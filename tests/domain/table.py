"""Text tables for tests: a header line, then one case per line, columns parted by bars."""

from decimal import Decimal


def rows(text: str) -> list[dict[str, str]]:
    """The cases of a table as dicts by column name; blank lines and `#` lines are skipped."""
    lines = [line for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    header, *cases = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [dict(zip(header, case, strict=True)) for case in cases]


def name_of(row: dict[str, str]) -> str:
    """A case's name in the test report: its cells in one line."""
    return " ".join(cell or "-" for cell in row.values())


def fen(yuan: str) -> int:
    """A table's yuan as fen."""
    return int(Decimal(yuan) * 100)


def ticks(yuan: str) -> int:
    """A table's yuan as ticks."""
    return int(Decimal(yuan) * 10_000_000)
