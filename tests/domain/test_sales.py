"""What may be sold, refunded and reversed. Amounts are yuan; a blank cell is the ordinary case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ledger
from domain.ledger import Entry, Kind, Method
from domain.refusals import Refusal
from domain.sales import (
    Approved,
    Event,
    PurseView,
    Reserve,
    decide_opening,
    decide_refund,
    decide_reversal,
    decide_sale,
    post_refund,
    post_reversal,
    trail,
)
from tests.domain.table import fen, name_of, rows, ticks

ENTRIES = {
    Kind.sale: ledger.sale("p1", 5_000, Method.cash),
    Kind.refund: ledger.refund("p1", 5_000, Method.cash),
    Kind.opening: ledger.opening("p1", 5_000),
    Kind.reversal: ledger.reversal(ledger.sale("p1", 5_000, Method.cash), "e0"),
}


def money_event(kind: str, *, event_id: str = "m7", reversed_by: str | None = None) -> Event:
    """An event of 50.00 yuan, count 7."""
    entry = ENTRIES[Kind(kind)]
    added = ledger.granted(entry, "p1")
    return Event(event_id, 7, Kind(kind), added, Method.cash, entry, reversed_by, "e7")


def purse(row: dict[str, str], latest: Event | None) -> PurseView:
    """A purse of 7 events and 100.00 granted, changed as the row's first word or figures say."""
    return PurseView(
        purse_id="p1",
        state=row["purse"] if row["purse"] in ("closing", "closed") else "open",
        count=7 if latest else 0,
        granted_fen=10_000 if latest else 0,
        available_ticks=ticks(row.get("available") or "60.00"),
        open_reservations=int(row.get("open") or 0),
        latest=latest,
        catching_up="restored" in row["purse"],
    )


def shown(decision: Approved | Reserve | Refusal) -> str:
    if isinstance(decision, Refusal):
        return decision.name
    if isinstance(decision, Reserve):
        return f"reserve {decision.fen / 100:.2f} {decision.purpose}"
    assert not ledger.faults(decision.entry)
    return f"event {decision.count} granted {decision.granted_fen / 100:.2f}"


SOLD = rows("""
purse    | available | cap    | amount     | outcome
         |           | 200.00 | 50.00      | event 8 granted 150.00
         |           | 200.00 | 0.01       | event 8 granted 100.01
         |           | none   | 999999.99  | event 8 granted 1000099.99
# the hoarding cap counts what is left, and refuses the whole sale
         | 60.00     | 200.00 | 140.00     | event 8 granted 240.00
         | 60.00     | 200.00 | 140.01     | above_hoarding_cap
         | 60.0000001| 200.00 | 140.00     | above_hoarding_cap
         | -30.00    | 200.00 | 230.00     | event 8 granted 330.00
         | 250.00    | 200.00 | 0.01       | above_hoarding_cap
         | -30.00    | 0.00   | 30.00      | event 8 granted 130.00
# amounts nobody sells
         |           | none   | 0.00       | amount_not_positive
         |           | none   | -1.00      | amount_not_positive
         |           | none   | 1000000.00 | amount_too_large
         |           | 200.00 | 1000000.00 | amount_too_large
# the account; what was typed goes first, restored books before the account, the cap last
closing  |           | 200.00 | 50.00      | purse_closing
closed   |           | 200.00 | 50.00      | account_closed
closed   |           | 200.00 | 500.00     | account_closed
closed   |           | 200.00 | 0.00       | amount_not_positive
restored |           | 200.00 | 500.00     | books_catching_up
""")


@pytest.mark.parametrize("row", SOLD, ids=name_of)
def test_sales(row: dict[str, str]) -> None:
    cap_fen = None if row["cap"] == "none" else fen(row["cap"])
    view = purse(row, money_event("sale"))
    decision = decide_sale(view, fen=fen(row["amount"]), method=Method.wechat, cap_fen=cap_fen)
    assert shown(decision) == row["outcome"]


OPENED = rows("""
purse    | latest | amount     | outcome
         | none   | 50.00      | event 1 granted 50.00
         | none   | 900000.00  | event 1 granted 900000.00
         | sale   | 50.00      | opening_not_first
         | none   | 0.00       | amount_not_positive
         | sale   | -5.00      | amount_not_positive
closed   | none   | 50.00      | account_closed
closing  | sale   | 50.00      | purse_closing
restored | sale   | 50.00      | books_catching_up
""")


@pytest.mark.parametrize("row", OPENED, ids=name_of)
def test_openings(row: dict[str, str]) -> None:
    latest = None if row["latest"] == "none" else money_event(row["latest"])
    decision = decide_opening(purse(row, latest), fen=fen(row["amount"]))
    assert shown(decision) == row["outcome"]


REFUNDED = rows("""
purse    | latest | available  | open | amount     | ask                   | post
         | sale   | 60.00      |      | 60.00      | reserve 60.00 refund  | event 8 granted 40.00
         | sale   | 60.00      |      | 60.01      | exceeds_balance       | event 8 granted 39.99
         | sale   | 59.9999999 |      | 60.00      | exceeds_balance       | event 8 granted 40.00
         | sale   | -5.00      |      | 0.01       | exceeds_balance       | event 8 granted 99.99
         | sale   | 60.00      | 1    | 10.00      | reserve 10.00 refund  | event 8 granted 90.00
         | none   | 0.00       |      | 10.00      | no_money_event        | event 1 granted -10.00
         | sale   | 60.00      |      | 0.00       | amount_not_positive   | amount_not_positive
         | sale   | 60.00      |      | -1.00      | amount_not_positive   | amount_not_positive
         | sale   | 60.00      |      | 1000000.00 | amount_too_large      | amount_too_large
closing  | sale   | 60.00      |      | 10.00      | purse_closing         | event 8 granted 90.00
closed   | sale   | 60.00      |      | 10.00      | account_closed        | account_closed
restored | sale   | 60.00      |      | 10.00      | books_catching_up     | books_catching_up
closed   | none   | 60.00      |      | 90.00      | account_closed        | account_closed
""")


@pytest.mark.parametrize("row", REFUNDED, ids=name_of)
def test_refunds(row: dict[str, str]) -> None:
    latest = None if row["latest"] == "none" else money_event(row["latest"])
    view, amount_fen = purse(row, latest), fen(row["amount"])
    assert shown(decide_refund(view, fen=amount_fen)) == row["ask"]
    assert shown(post_refund(view, fen=amount_fen, method=Method.cash)) == row["post"]


# undo: which event is to be undone, and whether it is the latest one
UNDONE = rows("""
purse    | undo            | available | open | by         | ask                               | post
         | sale latest     | 60.00     |      | cashier    | reserve 50.00 reversal            | event 8 granted 50.00
         | sale latest     | 50.00     |      | cashier    | reserve 50.00 reversal            | event 8 granted 50.00
         | sale latest     | 49.99     |      | cashier    | needs_supervisor                  | event 8 granted 50.00
         | sale latest     | 49.99     |      | supervisor | reserve 50.00 reversal_below_zero | event 8 granted 50.00
         | refund latest   | 0.00      |      | cashier    | event 8 granted 150.00            | event 8 granted 150.00
         | sale earlier    | 60.00     |      | cashier    | not_the_latest_event              | event 8 granted 50.00
         | refund earlier  | 60.00     |      | supervisor | not_the_latest_event              | event 8 granted 150.00
         | sale latest     | 60.00     | 1    | cashier    | reservation_open                  | event 8 granted 50.00
         | refund latest   | 60.00     | 1    | cashier    | reservation_open                  | event 8 granted 150.00
         | sale reversed   | 60.00     |      | supervisor | already_reversed                  | already_reversed
         | refund reversed | 60.00     |      | cashier    | already_reversed                  | already_reversed
         | reversal latest | 60.00     |      | supervisor | not_reversible                    | not_reversible
         | opening latest  | 60.00     |      | cashier    | not_reversible                    | not_reversible
         | sale of none    | 60.00     |      | cashier    | no_money_event                    | event 1 granted -50.00
closing  | sale latest     | 60.00     |      | cashier    | purse_closing                     | event 8 granted 50.00
closed   | sale latest     | 60.00     |      | cashier    | account_closed                    | account_closed
restored | sale latest     | 60.00     |      | cashier    | books_catching_up                 | books_catching_up
# several at once: the account, then the event, then what waits, then the balance
closed   | sale reversed   | 0.00      | 1    | cashier    | account_closed                    | account_closed
         | sale reversed   | 0.00      | 1    | cashier    | already_reversed                  | already_reversed
         | sale earlier    | 0.00      | 1    | cashier    | not_the_latest_event              | event 8 granted 50.00
         | sale latest     | 0.00      | 1    | cashier    | reservation_open                  | event 8 granted 50.00
""")  # noqa: E501


@pytest.mark.parametrize("row", UNDONE, ids=name_of)
def test_reversals(row: dict[str, str]) -> None:
    kind, which = row["undo"].split(maxsplit=1)
    undo = money_event(kind, reversed_by="m9" if which == "reversed" else None)
    latest: Event | None = undo
    if which in ("earlier", "reversed"):
        latest = money_event("sale", event_id="m9")
    if which == "of none":
        latest = None
    view = purse(row, latest)
    asked = decide_reversal(view, undo, below_zero=row["by"] == "supervisor")
    assert shown(asked) == row["ask"]
    posted = post_reversal(view, undo)
    assert shown(posted) == row["post"]
    for decision in (asked, posted):
        if isinstance(decision, Approved):
            assert decision.entry.reverses == "e7"


ACTS = st.lists(
    st.tuples(st.sampled_from(["sale", "refund", "undo"]), st.integers(1, 30_000)), max_size=30
)


@given(ACTS)
def test_a_purse_is_the_trail_of_its_events(acts: list[tuple[str, int]]) -> None:
    """A gateway that grants every reservation: counts have no gap, and no event is undone twice."""
    events: list[Event] = []
    entries: list[Entry] = []
    for act, amount_fen in acts:
        latest = events[-1] if events else None
        granted_fen = trail(events)
        view = PurseView("p1", "open", len(events), granted_fen, granted_fen * 100_000, 0, latest)
        decision: Approved | Reserve | Refusal
        if act == "sale":
            decision = decide_sale(view, fen=amount_fen, method=Method.cash, cap_fen=50_000)
        elif act == "refund":
            decision = decide_refund(view, fen=amount_fen)
            if isinstance(decision, Reserve):
                decision = post_refund(view, fen=decision.fen, method=Method.cash)
        elif latest is None:
            continue
        else:
            decision = decide_reversal(view, latest, below_zero=False)
            if isinstance(decision, Reserve):
                decision = post_reversal(view, latest)
            if isinstance(decision, Approved):
                undone = Event(
                    latest.event_id, latest.count, latest.kind, latest.fen, latest.method,
                    latest.entry, reversed_by=f"m{decision.count}",
                )  # fmt: skip
                events[-1] = undone
                assert isinstance(decide_reversal(view, undone, below_zero=True), Refusal)
        if isinstance(decision, Approved):
            added = ledger.granted(decision.entry, "p1")
            entry = decision.entry
            name = f"m{decision.count}"
            events.append(Event(name, decision.count, entry.kind, added, Method.cash, entry))
            entries.append(entry)
            assert decision.granted_fen == trail(events)
    assert [event.count for event in events] == list(range(1, len(events) + 1))
    owed = [posting for entry in entries for posting in entry.postings]
    assert ledger.balance(owed, "purse:p1") == -trail(events)
    assert ledger.balance(owed, "cash:cash") == trail(events)
    assert 0 <= trail(events) <= 50_000
