"""How a virtual meter's values stand in its registers: through the rows of its profile.

The gateway decodes by the same rows, so a wrong address or scale in a profile would go unnoticed
between the two; that is why a foreign client reads these registers in the tests.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from edge.meters.profile import Profile, Row

Values = Mapping[str, int | str]


class RegisterMap:
    """The registers of a meter type. Shared by all meters of the type."""

    def __init__(self, profile: Profile) -> None:
        self._spaces = profile.spaces
        self._rows = profile.rows
        self._touching = cache(self._rows_in)

    def answers(self, first: int, count: int) -> bool:
        """Whether all these registers exist."""
        return any(start <= first and first + count <= start + size for start, size in self._spaces)

    def words(self, first: int, count: int, values: Values) -> list[int]:
        """The registers from `first` on. Fields without a value, and gaps, read 0."""
        words = [0] * count
        for row in self._touching(first, count):
            value = values.get(row.field)
            if value is None:
                continue
            for n, word in enumerate(encode(row, value), start=row.address - first):
                if 0 <= n < count:
                    words[n] |= word  # bytes and bits share a register
        return words

    def _rows_in(self, first: int, count: int) -> tuple[Row, ...]:
        return tuple(
            row
            for row in self._rows
            if row.address < first + count and first < row.address + row.words
        )


def encode(row: Row, value: int | str) -> Sequence[int]:
    """The words of one value. What a register cannot hold stands at its limit, as on a display."""
    if isinstance(value, str):
        return [int(value[n : n + 4], 16) for n in (0, 4, 8)]
    raw = value // row.scale
    match row.kind:
        case "u16":
            return [_held(raw, 0, 0xFFFF)]
        case "i16":
            return [_held(raw, -0x8000, 0x7FFF) & 0xFFFF]
        case "u32":
            return _pair(_held(raw, 0, 0xFFFF_FFFF))
        case "i32":
            return _pair(_held(raw, -0x8000_0000, 0x7FFF_FFFF) & 0xFFFF_FFFF)
        case "u8hi":
            return [_held(raw, 0, 0xFF) << 8]
        case "u8lo":
            return [_held(raw, 0, 0xFF)]
        case "bit":
            return [(1 if raw else 0) << row.bit]
        case "bcd6":
            return [int(f"{raw:012d}"[n : n + 4], 16) for n in (0, 4, 8)]


def _held(raw: int, low: int, high: int) -> int:
    return min(max(raw, low), high)


def _pair(raw: int) -> list[int]:
    return [raw >> 16, raw & 0xFFFF]
