"""Curves as the geometry of an inline drawing: the server draws, no script is needed to see them.

A gap stays a gap: the line ends before it and begins again after it. Coordinates are whole or half
units of the drawing's own box; the template puts colours and words to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_NICE = (1, 2, 5)
_LINES = 4  # horizontal lines at most, beside the base


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the drawing: where, and the figure that stands there."""

    y: float
    value: int


@dataclass(frozen=True, slots=True)
class Steps:
    """A step line over equal slots. `line` and `area` are path data, one piece per unbroken run.

    `gaps` are `(x, width)` of the slots without a figure that lie before the last known one.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    base: float
    line: tuple[str, ...]
    area: tuple[str, ...]
    gaps: tuple[tuple[float, float], ...]
    ticks: tuple[Tick, ...]

    def x(self, slot: float, slots: int) -> float:
        """Where a slot begins."""
        return round(self.left + (self.right - self.left) * slot / slots, 1)


def nice_step(most: int, lines: int = _LINES) -> int:
    """The smallest of 1, 2, 5 × 10ⁿ that reaches `most` in at most `lines` steps."""
    power = 1
    while True:
        for nice in _NICE:
            if nice * power * lines >= most:
                return nice * power
        power *= 10


def steps(
    values: Sequence[int | None], *, width: float = 720, height: float = 200, floor: int = 10
) -> Steps:
    """Draw one figure a slot. `floor`: the scale never ends below it, so that noise stays low."""
    left, right, top, base = 44.0, width - 8, 10.0, height - 22
    known = [value for value in values if value is not None]
    step = nice_step(max([floor, *known]))
    full = step * -(-max([floor, *known]) // step)
    slots = max(len(values), 1)
    last = max((n for n, value in enumerate(values) if value is not None), default=-1)

    def x(slot: int) -> float:
        return round(left + (right - left) * slot / slots, 1)

    def y(value: int) -> float:
        return round(base - (base - top) * value / full, 1)

    line, area = [], []
    for begin, run in _runs(values):
        points = [f"{x(begin)} {y(run[0])}H{x(begin + 1)}"]
        points += [
            f"V{y(value)}H{x(begin + n + 1)}" for n, value in enumerate(run[1:], start=1)
        ]  # a step up or down, then along its slot
        path = "".join(points)
        line.append(f"M{path}")
        area.append(f"M{x(begin)} {base}L{path}V{base}Z")
    return Steps(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        base=base,
        line=tuple(line),
        area=tuple(area),
        gaps=tuple(
            (x(begin), round(x(begin + length) - x(begin), 1))
            for begin, length in _silences(values[: last + 1])
        ),
        ticks=tuple(Tick(y(value), value) for value in range(0, full + 1, step)),
    )


def _runs(values: Sequence[int | None]) -> list[tuple[int, list[int]]]:
    """Unbroken stretches of known figures, each with where it begins."""
    found: list[tuple[int, list[int]]] = []
    for n, value in enumerate(values):
        if value is None:
            continue
        if found and found[-1][0] + len(found[-1][1]) == n:
            found[-1][1].append(value)
        else:
            found.append((n, [value]))
    return found


def _silences(values: Sequence[int | None]) -> list[tuple[int, int]]:
    """Stretches without a figure between known ones: where each begins, and how long it is."""
    found: list[tuple[int, int]] = []
    for n, value in enumerate(values):
        if value is not None:
            continue
        if found and sum(found[-1]) == n:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((n, 1))
    return found
