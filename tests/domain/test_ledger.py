"""Entries balance, and a reversal undoes exactly one of them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger import (
    Entry,
    Kind,
    Method,
    Posting,
    balance,
    faults,
    granted,
    opening,
    purse_account,
    refund,
    reversal,
    sale,
)

FEN = st.integers(1, 10**8)
PURSE = st.sampled_from(["p1", "p2", "p3"])
METHOD = st.sampled_from(list(Method))
MONEY = st.one_of(
    st.builds(sale, PURSE, FEN, METHOD),
    st.builds(refund, PURSE, FEN, METHOD),
    st.builds(opening, PURSE, FEN),
)


def test_a_sale_debits_cash_and_owes_the_purse() -> None:
    entry = sale("p1", 5_000, Method.alipay)
    assert entry.postings == (Posting("cash:alipay", 5_000), Posting("purse:p1", -5_000))
    assert (granted(entry, "p1"), granted(entry, "p2")) == (5_000, 0)


def test_a_refund_gives_back_and_an_opening_touches_no_cash() -> None:
    back, carried = refund("p1", 300, Method.cash), opening("p1", 700)
    assert granted(back, "p1") == -300
    assert balance(back.postings, "cash:cash") == -300
    assert granted(carried, "p1") == 700
    assert not any(p.account.startswith("cash") for p in carried.postings)


@given(st.lists(MONEY, max_size=20), st.data())
def test_the_books_sum_to_zero_whatever_is_reversed(
    entries: list[Entry], data: st.DataObject
) -> None:
    undone = data.draw(st.sets(st.integers(0, len(entries) - 1))) if entries else set()
    booked = entries + [reversal(entries[n], f"e{n}") for n in sorted(undone)]
    assert not any(faults(entry) for entry in booked)
    postings = [posting for entry in booked for posting in entry.postings]
    assert sum(posting.fen for posting in postings) == 0
    kept = [entry for n, entry in enumerate(entries) if n not in undone]
    for purse_id in ("p1", "p2", "p3"):
        left = sum(granted(entry, purse_id) for entry in kept)
        assert balance(postings, purse_account(purse_id)) == -left


@given(MONEY)
def test_an_entry_and_its_reversal_leave_every_account_as_it_was(entry: Entry) -> None:
    undoing = reversal(entry, "e1")
    moved: Counter[str] = Counter()
    for posting in (*entry.postings, *undoing.postings):
        moved[posting.account] += posting.fen
    assert undoing.reverses == "e1"
    assert set(moved.values()) == {0}


def test_a_reversal_is_final() -> None:
    undoing = reversal(sale("p1", 100, Method.cash), "e1")
    with pytest.raises(AssertionError):
        reversal(undoing, "e2")


@pytest.mark.parametrize("fen", [0, -1])
def test_money_moves_by_more_than_nothing(fen: int) -> None:
    with pytest.raises(AssertionError):
        sale("p1", fen, Method.cash)


CASH, PURSE_1 = Posting("cash:cash", 5), Posting("purse:p1", -5)
UNSOUND = {
    "at least two": Entry(Kind.sale, ()),
    "differ by 5": Entry(Kind.sale, (CASH,)),
    "differ by 1": Entry(Kind.sale, (CASH, Posting("purse:p1", -4))),
    "posting of 0": Entry(Kind.sale, (CASH, PURSE_1, Posting("rounding", 0))),
    "'cash:cheque' is not": Entry(Kind.sale, (Posting("cash:cheque", 5), PURSE_1)),
    "'purse:' is not": Entry(Kind.sale, (CASH, Posting("purse:", -5))),
    "'till' is not": Entry(Kind.sale, (Posting("till", 5), PURSE_1)),
    "posted twice": Entry(Kind.sale, (Posting("cash:cash", 2), Posting("cash:cash", 3), PURSE_1)),
    "beyond": Entry(Kind.sale, (Posting("cash:cash", 2**53), Posting("purse:p1", -(2**53)))),
    "names the entry": Entry(Kind.reversal, (CASH, PURSE_1)),
    "undoes no entry": Entry(Kind.sale, (CASH, PURSE_1), reverses="e1"),
}


@pytest.mark.parametrize("words", UNSOUND)
def test_an_unsound_entry_says_why(words: str) -> None:
    assert words in "; ".join(faults(UNSOUND[words]))
