"""Every way the business says no, in order of precedence, with words in both languages.

A refusal is a value: nothing broke, and the caller shows it. When several apply, the one that
stands first in this list is given.
"""

from enum import Enum


class Refusal(Enum):
    """`(name, retry_helps, zh, en)` in order of precedence.

    `retry_helps` is True where the same request may succeed later without being changed.
    """

    retry_helps: bool
    zh: str
    en: str

    def __new__(cls, retry_helps: bool, zh: str, en: str) -> "Refusal":
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        member.retry_helps, member.zh, member.en = retry_helps, zh, en
        return member

    # what was typed
    amount_not_a_number = False, "金额不是数字，请输入例如 50 或 50.00", "The amount is not a number; type for example 50 or 50.00"
    amount_finer_than_a_fen = False, "金额最多两位小数（分）", "The amount has more than two decimals (fen)"
    amount_not_positive = False, "金额必须大于 0", "The amount must be more than 0"
    amount_too_large = False, "金额过大，请核对", "The amount is too large; please check it"


def first(refusals: list[Refusal]) -> Refusal | None:
    """The refusal that takes precedence, or None where there is none."""
    return min(refusals, key=lambda refusal: int(refusal.value), default=None)
