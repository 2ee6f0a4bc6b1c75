"""Names of things: the ids people give, and the ULIDs the system makes.

Neither randomness nor time is fetched here; both are arguments.
"""

import re
from collections.abc import Callable

IdSource = Callable[[], str]  # a new lower-case ULID at every call

_ID = re.compile(r"[a-z0-9-]{1,40}")
_METER_ID = re.compile(r"[0-9A-Za-z-]{1,40}")
_ULID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def is_id(text: str) -> bool:
    """Whether `text` is an id as the contract spells them: ASCII `[a-z0-9-]{1,40}`."""
    return _ID.fullmatch(text) is not None


def is_ulid(text: str) -> bool:
    """Whether `text` is a lower-case ULID of 26 characters."""
    return _ULID.fullmatch(text) is not None


def is_meter_id(text: str) -> bool:
    """Whether `text` can be a nameplate number: text, so leading zeros and hex survive."""
    return _METER_ID.fullmatch(text) is not None


def ulid(at_ms: int, random_bytes: bytes) -> str:
    """A lower-case ULID: 48 bits of UTC milliseconds, 80 random bits (`random_bytes`, 10)."""
    if len(random_bytes) != 10:
        raise ValueError(f"a ULID takes 10 random bytes, not {len(random_bytes)}")
    number = (at_ms % 2**48) << 80 | int.from_bytes(random_bytes)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
