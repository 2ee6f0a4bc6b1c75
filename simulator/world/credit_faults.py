"""Mistakes planted in the credit world on purpose, and how the world says that something broke."""

from enum import StrEnum


class Plant(StrEnum):
    """A mistake planted in the credit contract, to prove that the checks can fail."""

    noversion = "noversion"  # adopt by count alone
    nocount = "nocount"  # adopt by version alone
    noreservecheck = "noreservecheck"  # accept every reservation
    codereplay = "codereplay"  # take a code again
    codedelta = "codedelta"  # a code adds instead of stating the total
    codewithres = "codewithres"  # a code is issued while reservations are open
    blindretry = "blindretry"  # feed again without reading back
    nosnapshot = "nosnapshot"  # a replaced gateway starts with an empty memory
    oldjournal = "oldjournal"  # the old card is believed like the new one
    closedjoins = "closedjoins"  # rows of a closed journal book where the numbers fit


class DivergenceError(Exception):
    """Purse, books, meter or cash disagree where the contract says that they must not."""


class KillError(Exception):
    """The gateway loses power: the step in hand is gone, what was committed stays."""
