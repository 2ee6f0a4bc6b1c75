"""The ledger: balanced entries that only grow, and requests that are answered once.

A balance is a sum of postings. `post` notes what moved, and the commit insists on the audit row and
the credit intents that belong to it (see `central.tally`). Consumption is not posted here.
"""

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Table,
    Text,
    func,
    select,
)

from central import tally
from central.append_only import declare
from central.database import RowNumber, lock_name, metadata
from domain import ledger

entries = declare(
    Table(
        "entries",
        metadata,
        Column("seq", RowNumber, primary_key=True, autoincrement=True),
        Column("entry_id", Text, nullable=False, unique=True),
        Column("kind", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False, index=True),
        Column("operator_id", Text, nullable=False),
        Column("memo", Text, nullable=False),
        Column("reverses", Text, ForeignKey("entries.entry_id"), unique=True),
    )
)

postings = declare(
    Table(
        "postings",
        metadata,
        Column("entry_id", Text, ForeignKey("entries.entry_id"), primary_key=True),
        Column("n", Integer, primary_key=True, autoincrement=False),
        Column("account", Text, nullable=False, index=True),
        Column("fen", BigInteger, CheckConstraint("fen <> 0", name="not_zero"), nullable=False),
    )
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("input_hash", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
)

_PURSE = "purse:"


class RequestReusedError(Exception):
    """A request id came again with other inputs: never a replay, always somebody's mistake."""


def post(
    connection: Connection,
    entry: ledger.Entry,
    *,
    entry_id: str,
    at_ms: int,
    operator_id: str,
    memo: str = "",
) -> None:
    """Append a balanced entry. Raises ForgottenError where it is unbalanced or unsound.

    Every purse whose granted it moves is noted: the same transaction must put its credit intent
    and record an audit row, or it does not commit. A second reversal of one entry violates a
    unique constraint (IntegrityError).
    """
    notes = tally.of(connection)
    faults = ledger.faults(entry)
    if faults:
        raise tally.ForgottenError(f"entry {entry_id} cannot be booked: {'; '.join(faults)}")
    connection.execute(
        entries.insert(),
        {
            "entry_id": entry_id,
            "kind": entry.kind.value,
            "at_ms": at_ms,
            "operator_id": operator_id,
            "memo": memo,
            "reverses": entry.reverses,
        },
    )
    connection.execute(
        postings.insert(),
        [
            {"entry_id": entry_id, "n": n, "account": posting.account, "fen": posting.fen}
            for n, posting in enumerate(entry.postings)
        ],
    )
    notes.entries.append(entry_id)
    for posting in entry.postings:
        if posting.account.startswith(_PURSE):
            notes.granted_moved.add(posting.account.removeprefix(_PURSE))


def note_granted(connection: Connection, purse_id: str) -> None:
    """Say that granted of a purse changed other than by `post`; its intent becomes due as well."""
    tally.of(connection).granted_moved.add(purse_id)


def note_intent(connection: Connection, purse_id: str) -> None:
    """Say that this transaction has put the purse's credit intent in the outbox."""
    tally.of(connection).intents_put.add(purse_id)


def balance_fen(connection: Connection, account: str) -> int:
    """The sum of an account's postings, in fen, debit positive (a purse's granted is minus it)."""
    total = connection.scalar(select(func.sum(postings.c.fen)).where(postings.c.account == account))
    return int(total or 0)


def entry_of(connection: Connection, entry_id: str) -> ledger.Entry:
    """An entry as booked. Raises LookupError where there is none."""
    head = connection.execute(select(entries).where(entries.c.entry_id == entry_id)).one_or_none()
    if head is None:
        raise LookupError(f"no entry {entry_id}")
    rows = connection.execute(
        select(postings.c.account, postings.c.fen)
        .where(postings.c.entry_id == entry_id)
        .order_by(postings.c.n)
    )
    return ledger.Entry(
        kind=ledger.Kind(head.kind),
        postings=tuple(ledger.Posting(account, fen) for account, fen in rows),
        reverses=head.reverses,
    )


def answered(
    connection: Connection, request_id: str, inputs: Mapping[str, object]
) -> Mapping[str, object] | None:
    """What this request was answered before, or None where it is new and may proceed.

    Holds the request id until the transaction ends, so that a double click waits for its twin.
    Raises RequestReusedError where the same id came with other inputs.
    """
    lock_name(connection, f"request:{request_id}")
    row = connection.execute(
        select(idempotency.c.input_hash, idempotency.c.result).where(
            idempotency.c.request_id == request_id
        )
    ).one_or_none()
    if row is None:
        return None
    if row.input_hash != _hash(inputs):
        raise RequestReusedError(f"request {request_id} was already used with other inputs")
    result: Mapping[str, object] = json.loads(row.result)
    return result


def remember(
    connection: Connection,
    request_id: str,
    inputs: Mapping[str, object],
    *,
    result: Mapping[str, object],
    at_ms: int,
) -> None:
    """Keep the answer (plain JSON values) beside a hash of the inputs, in the same commit."""
    connection.execute(
        idempotency.insert(),
        {
            "request_id": request_id,
            "input_hash": _hash(inputs),
            "result": json.dumps(result, ensure_ascii=False, sort_keys=True),
            "at_ms": at_ms,
        },
    )


def _hash(inputs: Mapping[str, object]) -> str:
    text = json.dumps(inputs, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
