"""The purse: told as stories of what reaches a gateway, and as properties."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.credit import (
    REVERSAL_BELOW_ZERO,
    Adoption,
    CreditIntent,
    Held,
    Level,
    Purse,
    Reservation,
    Thresholds,
    adopt,
    available_ticks,
    charged,
    level,
    redeem,
)
from domain.refusals import Refusal
from domain.units import TICKS_PER_FEN
from tests.domain.table import fen, name_of, rows, ticks

# what arrives: intent VERSION COUNT GRANTED [state] | charge YUAN | code COUNT GRANTED
STORIES = {
    "sales add up, old envelopes do nothing": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
intent 1 1 100.00      |                       | old_version          | 100.00
charge 30.0000001      |                       | charged              | 69.9999999
intent 3 3 170.00      |                       | taken                | 139.9999999
intent 2 2 120.00      |                       | old_version          | 139.9999999
intent 4 2 120.00      |                       | count_behind         | 139.9999999
intent 4 3 999.00      |                       | other_total_at_count | 139.9999999
intent 4 3 170.00      |                       | taken                | 139.9999999
""",
    "a refund is set aside, then posted": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
intent 2 1 100.00      | r1 60.00 refund       | taken r1 yes         | 40.00
intent 3 1 100.00      | r1 60.00 refund       | taken                | 40.00
intent 4 2 40.00       |                       | taken                | 40.00
""",
    "a refund too large is answered no, and leaves the list": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
charge 40.0000001      |                       | charged              | 59.9999999
intent 2 1 100.00      | r1 60.00 refund       | taken r1 no          | 59.9999999
intent 3 1 100.00      |                       | taken                | 59.9999999
""",
    "exactly what is left may be given back, one fen more may not": """
arrives                | reservations          | outcome              | available
intent 1 1 10.00       |                       | taken                | 10.00
intent 2 1 10.00       | r1 10.01 refund       | taken r1 no          | 10.00
intent 3 1 10.00       | r1 10.01 refund, r2 10.00 refund | taken r2 yes | 0.00
""",
    "several at once are answered in order": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
intent 2 1 100.00      | r1 70.00 a, r2 50.00 b, r3 30.00 c | taken r1 yes r2 no r3 yes | 0.00
""",
    "a cancelled reservation gives the money back; it is never answered twice": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
intent 2 1 100.00      | r1 60.00 refund       | taken r1 yes         | 40.00
intent 3 1 100.00      |                       | taken                | 100.00
charge 90.00           |                       | charged              | 10.00
intent 4 1 100.00      | r1 60.00 refund       | taken                | -50.00
""",
    "a reversal fails once the money is used; a supervisor may go below zero": """
arrives                | reservations          | outcome              | available
intent 1 1 50.00       |                       | taken                | 50.00
charge 20.00           |                       | charged              | 30.00
intent 2 1 50.00       | r1 50.00 reversal     | taken r1 no          | 30.00
intent 3 1 50.00       |                       | taken                | 30.00
intent 4 1 50.00       | r2 50.00 reversal_below_zero | taken r2 yes  | -20.00
intent 5 2 0.00        |                       | taken                | -20.00
""",
    "credit is not lowered behind the gateway's back": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
intent 2 2 99.99       |                       | lowers_credit        | 100.00
intent 3 2 40.00       | r1 60.00 refund       | lowers_credit        | 100.00
intent 4 2 160.00      | r1 60.00 refund       | taken r1 yes         | 100.00
""",
    "a closed purse is settled down to nothing": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
charge 40.00           |                       | charged              | 60.00
intent 2 1 100.00 closing |                    | taken                | 60.00
intent 3 2 40.00 closing  |                    | lowers_credit        | 60.00
intent 3 2 40.00 closed   |                    | taken                | 0.00
""",
    "nobody reserves nothing": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
intent 2 1 100.00      | r1 0.00 refund, r2 -5.00 reversal_below_zero | taken r1 no r2 no | 100.00
""",
    "a code is an intent in short; the intent that follows joins it": """
arrives                | reservations          | outcome              | available
intent 1 1 100.00      |                       | taken                | 100.00
intent 2 1 100.00      | r1 60.00 refund       | taken r1 yes         | 40.00
code 2 150.00          |                       | redeemed             | 150.00
code 2 150.00          |                       | code_already_used    | 150.00
code 1 100.00          |                       | code_already_used    | 150.00
intent 3 1 100.00      |                       | count_behind         | 150.00
intent 4 2 150.00      |                       | taken                | 150.00
code 3 149.00          |                       | lowers_credit        | 150.00
""",
}


def reserved(text: str) -> tuple[Reservation, ...]:
    words = [item.split() for item in text.split(",") if item.strip()]
    return tuple(Reservation(name, fen(yuan), purpose) for name, yuan, purpose in words)


class Gateway:
    """A purse, and the answers it has ever given: what a journal remembers."""

    def __init__(self) -> None:
        self.purse = Purse("p1")
        self.answered: dict[str, bool] = {}

    def arrives(self, what: str, reservations: str) -> str:
        word, *rest = what.split()
        if word == "charge":
            self.purse = charged(self.purse, ticks(rest[0]))
            return "charged"
        if word == "code":
            redeemed = redeem(self.purse, count=int(rest[0]), granted_fen=fen(rest[1]))
            if isinstance(redeemed, Refusal):
                return redeemed.name
            self.purse = redeemed
            return "redeemed"
        version, count, granted, *state = rest
        intent = CreditIntent(
            version=int(version),
            count=int(count),
            granted_fen=fen(granted),
            reservations=reserved(reservations),
            state="closed" if state == ["closed"] else "closing" if state else "open",
        )
        adoption = adopt(self.purse, intent, self.answered)
        if isinstance(adoption, Refusal):
            return adoption.name
        self.purse = adoption.purse
        self.answered |= {a.reservation_id: a.accepted for a in adoption.answers}
        said = [f"{a.reservation_id} {'yes' if a.accepted else 'no'}" for a in adoption.answers]
        return " ".join(["taken", *said])


@pytest.mark.parametrize("story", STORIES)
def test_stories(story: str) -> None:
    gateway = Gateway()
    for n, line in enumerate(rows(STORIES[story]), start=1):
        outcome = gateway.arrives(line["arrives"], line["reservations"])
        left = available_ticks(gateway.purse)
        assert (n, outcome, left) == (n, line["outcome"], ticks(line["available"]))


def test_in_doubt_about_what_was_used_only_less_than_nothing_is_accepted() -> None:
    asked = (Reservation("r1", 1, "refund"), Reservation("r2", 900, REVERSAL_BELOW_ZERO))
    intent = CreditIntent(version=2, count=1, granted_fen=500, reservations=asked)
    adoption = adopt(Purse("p1", 1, 1, 500), intent, all_charged=False)
    assert isinstance(adoption, Adoption)
    assert [(a.reservation_id, a.accepted) for a in adoption.answers] == [
        ("r1", False),
        ("r2", True),
    ]
    assert available_ticks(adoption.purse) == -400 * TICKS_PER_FEN


STANDING = rows("""
available   | overdraft | level
20.0000001  | 0         | ok
20.00       | 0         | alarm_1
10.0000001  | 0         | alarm_1
10.00       | 0         | alarm_2
0.0000001   | 0         | alarm_2
0.00        | 0         | spent
-0.01       | 0         | spent
0.00        | 5.00      | arrears
-4.9999999  | 5.00      | arrears
-5.00       | 5.00      | spent
-6.00       | 5.00      | spent
""")


@pytest.mark.parametrize("row", STANDING, ids=name_of)
def test_levels(row: dict[str, str]) -> None:
    thresholds = Thresholds(
        alarm_1_fen=2_000, alarm_2_fen=1_000, overdraft_fen=fen(row["overdraft"])
    )
    assert level(ticks(row["available"]), thresholds) is Level[row["level"]]


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9), st.integers(0, 2_000))
def test_less_credit_is_never_a_better_level(available: int, less: int, overdraft: int) -> None:
    thresholds = Thresholds(alarm_1_fen=2_000, alarm_2_fen=1_000, overdraft_fen=overdraft)
    assert level(available - less, thresholds) >= level(available, thresholds)


def test_a_charge_is_never_negative() -> None:
    with pytest.raises(AssertionError):
        charged(Purse("p1"), -1)


SMALL_FEN = st.integers(0, 60)
IDS = st.sampled_from(["r1", "r2", "r3"])
PURPOSES = st.sampled_from(["refund", "reversal", "transfer_out", REVERSAL_BELOW_ZERO])
INTENTS = st.builds(
    CreditIntent,
    version=st.integers(0, 4),
    count=st.integers(0, 4),
    granted_fen=SMALL_FEN,
    reservations=st.lists(st.builds(Reservation, IDS, SMALL_FEN, PURPOSES), max_size=4).map(tuple),
    state=st.sampled_from(["open", "closing", "closed"]),
)
PURSES = st.builds(
    Purse,
    purse_id=st.just("p1"),
    version=st.integers(-1, 3),
    count=st.integers(0, 3),
    granted_fen=SMALL_FEN,
    charged_ticks=st.integers(0, 60 * TICKS_PER_FEN),
    reservations=st.dictionaries(IDS, st.builds(Held, SMALL_FEN, st.booleans()), max_size=3),
)


@given(PURSES, INTENTS, st.dictionaries(IDS, st.booleans()))
def test_adopting_lowers_credit_only_by_what_it_accepts(
    purse: Purse, intent: CreditIntent, answered: dict[str, bool]
) -> None:
    adoption = adopt(purse, intent, answered)
    if isinstance(adoption, Refusal):
        return
    after, listed = adoption.purse, {r.reservation_id for r in intent.reservations}
    assert after.version > purse.version
    assert after.count >= purse.count
    assert after.charged_ticks == purse.charged_ticks
    assert set(after.reservations) == listed
    new = listed - set(purse.reservations)
    assert {a.reservation_id for a in adoption.answers} == new - set(answered)
    taken_fen = sum(h.fen for key, h in after.reservations.items() if key in new and h.accepted)
    if intent.state != "closed":
        lowest = available_ticks(purse) - taken_fen * TICKS_PER_FEN
        assert available_ticks(after) >= lowest


@given(PURSES, INTENTS)
def test_only_a_supervisors_reservation_leaves_less_than_nothing(
    purse: Purse, intent: CreditIntent
) -> None:
    assume(all(r.purpose != REVERSAL_BELOW_ZERO for r in intent.reservations))
    adoption = adopt(purse, intent)
    if isinstance(adoption, Adoption):
        assert all(a.available_ticks >= 0 for a in adoption.answers if a.accepted)


@given(PURSES, INTENTS)
def test_an_intent_is_taken_once(purse: Purse, intent: CreditIntent) -> None:
    adoption = adopt(purse, intent)
    if isinstance(adoption, Adoption):
        assert adopt(adoption.purse, intent) is Refusal.old_version
