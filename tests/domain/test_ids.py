"""Ids as the contract spells them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import is_id, is_meter_id, is_ulid, ulid
from tests.domain.table import name_of, rows

SPELLED = rows("""
text                                      | id  | meter
north-3                                   | yes | yes
a                                         | yes | yes
a-23456789-123456789-123456789-123456789  | yes | yes
a-23456789-123456789-123456789-123456789x | no  | no
North                                     | no  | yes
010107072E                                | no  | yes
000123456789                              | yes | yes
a_b                                       | no  | no
a b                                       | no  | no
楼                                        | no  | no
                                          | no  | no
""")


@pytest.mark.parametrize("row", SPELLED, ids=name_of)
def test_spelling(row: dict[str, str]) -> None:
    assert is_id(row["text"]) == (row["id"] == "yes")
    assert is_meter_id(row["text"]) == (row["meter"] == "yes")


def test_an_id_ends_where_the_line_ends() -> None:
    assert not is_id("north\n")
    assert not is_ulid(ulid(0, bytes(10)) + "\n")


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_ulids_are_ids_and_sort_by_time(first_ms: int, second_ms: int, chance: bytes) -> None:
    first, second = ulid(first_ms, chance), ulid(second_ms, chance)
    assert is_ulid(first)
    assert is_id(first)
    assert (first < second) == (first_ms < second_ms)


def test_a_ulid_takes_exactly_ten_random_bytes() -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        ulid(0, bytes(9))
