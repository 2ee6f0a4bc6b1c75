"""Refusals: words in both languages, and one order of precedence."""

import re

import pytest

from domain.refusals import Refusal, first


@pytest.mark.parametrize("refusal", Refusal, ids=lambda refusal: refusal.name)
def test_every_refusal_speaks_both_languages(refusal: Refusal) -> None:
    assert re.search(r"[\u4e00-\u9fff]", refusal.zh)
    assert re.fullmatch(r"[ -~]+", refusal.en)
    assert isinstance(refusal.retry_helps, bool)


def test_no_two_refusals_say_the_same() -> None:
    assert len({refusal.zh for refusal in Refusal}) == len(Refusal)
    assert len({refusal.en for refusal in Refusal}) == len(Refusal)
    assert [refusal.value for refusal in Refusal] == list(range(len(Refusal)))


def test_the_first_in_the_list_takes_precedence() -> None:
    found = [Refusal.above_hoarding_cap, Refusal.amount_not_positive, Refusal.account_closed]
    assert first(found) is Refusal.amount_not_positive
    assert first([]) is None


def test_the_order_is_form_then_books_then_account_then_amount_then_gateway() -> None:
    order = [
        Refusal.amount_not_a_number,
        Refusal.same_request_other_input,
        Refusal.books_catching_up,
        Refusal.account_closed,
        Refusal.purse_closing,
        Refusal.already_reversed,
        Refusal.not_the_latest_event,
        Refusal.reservation_open,
        Refusal.exceeds_balance,
        Refusal.above_hoarding_cap,
        Refusal.old_version,
        Refusal.count_behind,
    ]
    assert sorted(order, key=lambda refusal: int(refusal.value)) == order
