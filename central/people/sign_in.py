"""Signing in and staying signed in: attempts that are counted, sessions that end.

A guess is counted *before* the password is looked at and given back when it was right, so that
guessing in parallel gains nothing. Somebody who knows only a login name cannot lock its owner out:
an address from which that login has signed in before has an allowance of its own.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from central import audit
from central.people.service import login_key
from central.people.tables import operator_sessions, operators, sign_in_failures
from central.permissions import Role
from central.security import Actor, token_hash
from domain.instants import DAY_MS, HOUR_MS, MINUTE_MS
from domain.refusals import Refusal

GUESSES_A_LOGIN = 10  # in an hour
GUESSES_AN_ADDRESS = 50
WINDOW_MS = HOUR_MS
SEEN_EVERY_MS = MINUTE_MS  # how often a session in use is written down as such
KEPT_MS = 90 * DAY_MS  # ended sessions are kept: they make an address known


@dataclass(frozen=True, slots=True)
class Attempt:
    """A counted attempt: the digest to check (None: nobody can sign in by this login)."""

    login: str
    address: str
    operator_id: str | None
    password_hash: str | None
    buckets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lasts without use, and at all, in milliseconds."""

    idle_ms: int = 2 * HOUR_MS
    absolute_ms: int = 12 * HOUR_MS


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose session a token is. `stale`: time to `touch` it."""

    actor: Actor
    login: str
    stale: bool


def attempt(connection: Connection, *, login: str, address: str, now_ms: int) -> Attempt | Refusal:
    """Count an attempt to sign in; refuses when this login or address has used up its hour."""
    login = login_key(login)[:64]
    row = connection.execute(select(operators).where(operators.c.login == login)).one_or_none()
    known = row is not None and _is_known(connection, row.operator_id, address)
    mine = f"login {login} from {address}" if known else f"login {login}"
    buckets = {mine: GUESSES_A_LOGIN, f"address {address}": GUESSES_AN_ADDRESS}
    counted = {bucket: _count(connection, bucket, now_ms) for bucket in sorted(buckets)}
    if any(counted[bucket] > most for bucket, most in buckets.items()):
        _give_back(connection, tuple(buckets))
        return Refusal.sign_in_throttled
    usable = row is not None and row.disabled_at_ms is None
    return Attempt(
        login=login,
        address=address,
        operator_id=row.operator_id if row is not None and usable else None,
        password_hash=row.password_hash if row is not None and usable else None,
        buckets=tuple(buckets),
    )


def refuse(connection: Connection, failed: Attempt, *, now_ms: int) -> Refusal:
    """Write down that the password was wrong."""
    audit.record(
        connection,
        Actor(failed.operator_id or "unknown", failed.login, None, f"web {failed.address}"),
        action="sign_in_refused",
        obj=f"operator:{failed.operator_id or 'unknown'}",
        at_ms=now_ms,
    )
    return Refusal.sign_in_wrong


def begin_session(
    connection: Connection,
    right: Attempt,
    *,
    token: str,
    replaces: str | None,
    limits: Limits,
    now_ms: int,
) -> Refusal | None:
    """Open a session for a right password: a new token always, the one it `replaces` ends."""
    row = connection.execute(
        select(operators).where(operators.c.operator_id == right.operator_id)
    ).one_or_none()
    if row is None or row.disabled_at_ms or row.password_hash != right.password_hash:
        return refuse(connection, right, now_ms=now_ms)
    _give_back(connection, right.buckets)
    if replaces is not None:
        end_session(connection, token=replaces, now_ms=now_ms)
    connection.execute(
        operator_sessions.insert(),
        {
            "token_hash": token_hash(token),
            "operator_id": row.operator_id,
            "address": right.address,
            "created_at_ms": now_ms,
            "seen_at_ms": now_ms,
            "expires_at_ms": now_ms + limits.absolute_ms,
        },
    )
    actor = _actor(row, right.address)
    obj = f"operator:{row.operator_id}"
    audit.record(connection, actor, action="sign_in", obj=obj, at_ms=now_ms)
    return None


def session_of(
    connection: Connection, *, token: str, address: str, limits: Limits, now_ms: int
) -> SignedIn | None:
    """Who a token belongs to now; None when it is unknown, ended or too old."""
    session = operator_sessions.c
    row = connection.execute(
        select(operators, session.seen_at_ms)
        .join(operators, operators.c.operator_id == session.operator_id)
        .where(
            session.token_hash == token_hash(token),
            session.ended_at_ms.is_(None),
            session.expires_at_ms > now_ms,
            session.seen_at_ms > now_ms - limits.idle_ms,
            operators.c.disabled_at_ms.is_(None),
        )
    ).one_or_none()
    if row is None:
        return None
    stale = now_ms - row.seen_at_ms >= SEEN_EVERY_MS
    return SignedIn(actor=_actor(row, address), login=row.login, stale=stale)


def touch(connection: Connection, *, token: str, now_ms: int) -> None:
    """Note that a session is in use; its idle time starts again."""
    connection.execute(
        update(operator_sessions)
        .where(
            operator_sessions.c.token_hash == token_hash(token),
            operator_sessions.c.seen_at_ms < now_ms,
        )
        .values(seen_at_ms=now_ms)
    )


def end_session(connection: Connection, *, token: str, now_ms: int) -> None:
    """End one session; ending it again changes nothing."""
    connection.execute(
        update(operator_sessions)
        .where(
            operator_sessions.c.token_hash == token_hash(token),
            operator_sessions.c.ended_at_ms.is_(None),
        )
        .values(ended_at_ms=now_ms)
    )


def forget_old(connection: Connection, *, now_ms: int) -> None:
    """Drop sessions and failures that no longer matter."""
    connection.execute(
        delete(operator_sessions).where(operator_sessions.c.expires_at_ms < now_ms - KEPT_MS)
    )
    connection.execute(
        delete(sign_in_failures).where(sign_in_failures.c.since_ms < now_ms - WINDOW_MS)
    )


def _is_known(connection: Connection, operator_id: str, address: str) -> bool:
    mine = (operator_sessions.c.operator_id == operator_id) & (
        operator_sessions.c.address == address
    )
    found = connection.execute(select(operator_sessions.c.address).where(mine).limit(1)).first()
    return found is not None


def _count(connection: Connection, bucket: str, now_ms: int) -> int:
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    over = sign_in_failures.c.since_ms <= now_ms - WINDOW_MS
    failures = connection.scalar(
        insert(sign_in_failures)
        .values(bucket=bucket, failures=1, since_ms=now_ms)
        .on_conflict_do_update(
            index_elements=["bucket"],
            set_={
                "failures": case((over, 1), else_=sign_in_failures.c.failures + 1),
                "since_ms": case((over, now_ms), else_=sign_in_failures.c.since_ms),
            },
        )
        .returning(sign_in_failures.c.failures)
    )
    return int(failures or 0)


def _give_back(connection: Connection, buckets: tuple[str, ...]) -> None:
    for bucket in sorted(buckets):
        connection.execute(
            update(sign_in_failures)
            .where(sign_in_failures.c.bucket == bucket, sign_in_failures.c.failures > 0)
            .values(failures=sign_in_failures.c.failures - 1)
        )


def _actor(row: Row[Any], address: str) -> Actor:
    return Actor(row.operator_id, row.name, Role(row.role), f"web {address}")
