"""What one transaction has done so far, so that the commit can refuse to forget something.

Money that moves leaves three traces in the same commit: a balanced entry, an audit row, and for
every purse whose granted changed a credit intent. `Database.write` opens a tally before it calls a
service and checks it before it commits; in production as in tests.
This module knows neither tables nor services.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection

_KEY = "wattledger_tally"


class ForgottenError(Exception):
    """A transaction would have left the books incomplete. It was rolled back; the code is wrong."""


@dataclass(slots=True)
class Tally:
    """Traces left by the transaction that is running."""

    entries: list[str] = field(default_factory=list)
    granted_moved: set[str] = field(default_factory=set)
    intents_put: set[str] = field(default_factory=set)
    audit_rows: int = 0

    def forgotten(self) -> list[str]:
        """What is missing, in words; empty when the transaction may commit."""
        missing = []
        if (self.entries or self.granted_moved) and not self.audit_rows:
            what = ", ".join([*self.entries, *sorted(self.granted_moved)])
            missing.append(f"money was posted without an audit row ({what})")
        missing += [
            f"granted of purse {purse_id} changed without a credit intent"
            for purse_id in sorted(self.granted_moved - self.intents_put)
        ]
        return missing


def begin(connection: Connection) -> None:
    """Start an empty tally; pooled connections keep their `info`, so the old one is replaced."""
    connection.info[_KEY] = Tally()


def end(connection: Connection) -> None:
    """Forget the tally, so that nothing can be posted outside a guarded transaction."""
    connection.info.pop(_KEY, None)


def of(connection: Connection) -> Tally:
    """The tally of the running transaction. Raises ForgottenError outside of `Database.write`."""
    tally = connection.info.get(_KEY)
    if not isinstance(tally, Tally):
        raise ForgottenError("money and audit rows are written inside Database.write only")
    return tally


def check(connection: Connection) -> None:
    """Raise ForgottenError where the running transaction left something out."""
    missing = of(connection).forgotten()
    if missing:
        raise ForgottenError("; ".join(missing))
