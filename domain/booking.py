"""Whether a charge row joins what is booked. This alone keeps a journal of the past from booking.

A row continues its meter where the booked energy ends, and its purse where the booked charges end.
Whatever does not is set aside and shown; nothing is guessed. A journal that was closed because its
gateway was replaced joins nothing any more, even where the numbers fit: its successor charges from
the totals that were booked at the hand-over, so a late row would take the energy twice and leave
the successor's rows without an end to join.
"""

from enum import StrEnum


class Misfit(StrEnum):
    """Why a charge row does not join, in the order in which it is looked at."""

    energy_gap = "energy_gap"  # starts beyond the booked end: rows between are missing
    energy_overlap = "energy_overlap"  # starts before the booked end: charged already
    money_mismatch = "money_mismatch"  # its purse's total is not booked + ticks
    journal_closed = "journal_closed"  # fits, but a successor charges from here


def joins(
    *,
    booked_to_wh: int | None,
    booked_charged_ticks: int,
    from_wh: int,
    charged_ticks: int,
    ticks: int,
    journal_closed: bool = False,
) -> Misfit | None:
    """None where a row may be booked, else why not.

    `booked_to_wh` is the end of the energy booked of (meter, incarnation), None before its first
    row: then any start joins. `booked_charged_ticks` is the purse's booked total, `charged_ticks`
    the total that the row says stands after its `ticks`. `journal_closed`: a successor of the row's
    journal has been handed the books.
    """
    if booked_to_wh is not None and from_wh != booked_to_wh:
        return Misfit.energy_gap if from_wh > booked_to_wh else Misfit.energy_overlap
    if charged_ticks != booked_charged_ticks + ticks:
        return Misfit.money_mismatch
    return Misfit.journal_closed if journal_closed else None
