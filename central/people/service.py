"""What may be done with operators: add, change, disable, unlock. Signing in: `sign_in.py`.

Every change is audited, and ends the sessions that it concerns in the same commit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from central import audit
from central.database import lock_name
from central.people.tables import operator_sessions, operators, sign_in_failures
from central.permissions import Role
from central.security import Actor
from domain.refusals import Refusal

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")


@dataclass(frozen=True, slots=True)
class NewOperator:
    """An operator to be added; the password is already a digest."""

    operator_id: str
    login: str
    name: str
    role: str
    password_hash: str


def login_key(login: str) -> str:
    """A typed login as it is kept: trimmed, lower case."""
    return login.strip().lower()


def add_operator(
    connection: Connection, actor: Actor, new: NewOperator, *, now_ms: int
) -> Refusal | None:
    """Add an operator who can sign in at once; or say why not."""
    login = login_key(new.login)
    if not new.name.strip():
        return Refusal.name_missing
    if not _LOGIN.fullmatch(login):
        return Refusal.login_malformed
    if new.role not in Role.__members__:
        return Refusal.role_unknown
    lock_name(connection, f"login:{login}")
    if connection.scalar(select(operators.c.operator_id).where(operators.c.login == login)):
        return Refusal.already_exists
    connection.execute(
        operators.insert(),
        {
            "operator_id": new.operator_id,
            "login": login,
            "name": new.name.strip(),
            "role": new.role,
            "password_hash": new.password_hash,
            "created_at_ms": now_ms,
            "password_at_ms": now_ms,
        },
    )
    after = {"login": login, "name": new.name.strip(), "role": new.role}
    _audit(connection, actor, "operator_add", new.operator_id, after=after, now_ms=now_ms)
    return None


def set_role(
    connection: Connection, actor: Actor, *, operator_id: str, role: str, now_ms: int
) -> Refusal | None:
    """Give an operator another role; they sign in again."""
    row = _locked(connection, operator_id)
    if role not in Role.__members__:
        return Refusal.role_unknown
    if row is None:
        return Refusal.not_found
    if role != Role.administrator and _is_last_administrator(connection, row):
        return Refusal.last_administrator
    _change(connection, operator_id, role=role)
    _audit(connection, actor, "operator_role", operator_id,
           before={"role": row.role}, after={"role": role}, now_ms=now_ms)  # fmt: skip
    end_sessions(connection, operator_id, now_ms=now_ms)
    return None


def set_disabled(
    connection: Connection, actor: Actor, *, operator_id: str, disabled: bool, now_ms: int
) -> Refusal | None:
    """Lock an operator out within one request, or let them in again."""
    row = _locked(connection, operator_id)
    if row is None:
        return Refusal.not_found
    if disabled and _is_last_administrator(connection, row):
        return Refusal.last_administrator
    _change(connection, operator_id, disabled_at_ms=now_ms if disabled else None)
    action = "operator_disable" if disabled else "operator_enable"
    _audit(connection, actor, action, operator_id, now_ms=now_ms)
    end_sessions(connection, operator_id, now_ms=now_ms)
    return None


def set_password(
    connection: Connection,
    actor: Actor,
    *,
    operator_id: str,
    password_hash: str,
    keep_token_hash: str | None = None,
    now_ms: int,
) -> Refusal | None:
    """Set a password that passed `password_refusal`; every other session of theirs ends."""
    if _locked(connection, operator_id) is None:
        return Refusal.not_found
    _change(connection, operator_id, password_hash=password_hash, password_at_ms=now_ms)
    _audit(connection, actor, "operator_password", operator_id, now_ms=now_ms)
    end_sessions(connection, operator_id, now_ms=now_ms, keep_token_hash=keep_token_hash)
    return None


def unlock(
    connection: Connection, actor: Actor, *, operator_id: str, now_ms: int
) -> Refusal | None:
    """Forget an operator's failed sign-ins."""
    row = _locked(connection, operator_id)
    if row is None:
        return Refusal.not_found
    bucket = sign_in_failures.c.bucket
    mine = (bucket == f"login {row.login}") | bucket.startswith(
        f"login {row.login} from ", autoescape=True
    )
    connection.execute(delete(sign_in_failures).where(mine))
    _audit(connection, actor, "operator_unlock", operator_id, now_ms=now_ms)
    return None


def end_sessions(
    connection: Connection, operator_id: str, *, now_ms: int, keep_token_hash: str | None = None
) -> None:
    """End all sessions of an operator, but for the one whose token hash is given."""
    mine = operator_sessions.c.operator_id == operator_id
    others = operator_sessions.c.token_hash != (keep_token_hash or "")
    running = operator_sessions.c.ended_at_ms.is_(None)
    connection.execute(
        update(operator_sessions).where(mine, others, running).values(ended_at_ms=now_ms)
    )


def _locked(connection: Connection, operator_id: str) -> Row[Any] | None:
    # One change of operators at a time: two could otherwise each leave the other's administrator.
    lock_name(connection, "operators")
    return connection.execute(
        select(operators).where(operators.c.operator_id == operator_id)
    ).one_or_none()


def _is_last_administrator(connection: Connection, row: Row[Any]) -> bool:
    if row.role != Role.administrator or row.disabled_at_ms is not None:
        return False
    others = connection.scalar(
        select(func.count())
        .select_from(operators)
        .where(
            operators.c.role == Role.administrator.value,
            operators.c.disabled_at_ms.is_(None),
            operators.c.operator_id != row.operator_id,
        )
    )
    return not others


def _change(connection: Connection, operator_id: str, **values: object) -> None:
    connection.execute(
        update(operators).where(operators.c.operator_id == operator_id).values(**values)
    )


def _audit(
    connection: Connection,
    actor: Actor,
    action: str,
    operator_id: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    now_ms: int,
) -> None:
    audit.record(
        connection,
        actor,
        action=action,
        obj=f"operator:{operator_id}",
        before=before,
        after=after,
        at_ms=now_ms,
    )
