"""Operators: added, changed and locked out; signing in is counted, sessions end when they must."""

import asyncio

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Connection, select

from central import audit
from central.database import Database
from central.people import service, sign_in
from central.people.service import NewOperator
from central.people.sign_in import Attempt, Limits
from central.people.tables import operator_sessions, operators, sign_in_failures
from central.permissions import Role
from central.security import (
    SYSTEM,
    Actor,
    Passwords,
    form_token,
    new_token,
    password_refusal,
    token_hash,
)
from domain.refusals import Refusal

NOW = 1_800_000_000_000
HOUR = 3_600_000
TOKEN = new_token(bytes(32))
LIMITS = Limits(idle_ms=2 * HOUR, absolute_ms=12 * HOUR)


def operator(login: str = "li.na", role: str = "cashier", **changed: str) -> NewOperator:
    given = {"operator_id": f"id-{login}", "login": login, "name": "李娜", "role": role}
    return NewOperator(**{**given, "password_hash": "digest", **changed})


async def add(database: Database, *new: NewOperator) -> None:
    for one in new:
        assert await database.write(service.add_operator, SYSTEM, one, now_ms=NOW) is None


def _enter(
    connection: Connection,
    login: str = "li.na",
    *,
    right: bool = True,
    address: str = "10.0.0.7",
    token: str = TOKEN,
    replaces: str | None = None,
    at_ms: int = NOW,
) -> Refusal | None:
    """One whole sign-in, as the page does it, without the hashing."""
    found = sign_in.attempt(connection, login=login, address=address, now_ms=at_ms)
    if isinstance(found, Refusal):
        return found
    if not right or found.password_hash is None:
        return sign_in.refuse(connection, found, now_ms=at_ms)
    return sign_in.begin_session(
        connection, found, token=token, replaces=replaces, limits=LIMITS, now_ms=at_ms
    )


async def who(database: Database, at_ms: int, token: str = TOKEN) -> Actor | None:
    found = await database.read(
        sign_in.session_of, token=token, address="10.0.0.7", limits=LIMITS, now_ms=at_ms
    )
    return None if found is None else found.actor


@pytest.mark.parametrize(
    ("new", "refusal"),
    [
        (operator(name="  "), Refusal.name_missing),
        (operator("l"), Refusal.login_malformed),
        (operator("李娜"), Refusal.login_malformed),
        (operator("x" * 41), Refusal.login_malformed),
        (operator(role="root"), Refusal.role_unknown),
        (operator(" WANG "), Refusal.already_exists),
    ],
)
async def test_an_operator_that_cannot_be_added(
    database: Database, new: NewOperator, refusal: Refusal
) -> None:
    await add(database, operator("wang"))
    assert await database.write(service.add_operator, SYSTEM, new, now_ms=NOW) is refusal


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        ("1234567", Refusal.password_too_short),
        ("x" * 129, Refusal.password_too_long),
        ("Somebody", Refusal.password_is_login),
        ("x" * 128, None),
        ("八个汉字的密码啊", None),
    ],
)
def test_passwords_that_are_not_taken(password: str, refusal: Refusal | None) -> None:
    assert password_refusal(password, login="somebody") is refusal


async def test_a_password_is_verified_and_nobody_has_none() -> None:
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    digest = await passwords.hash("pass-word")
    assert await passwords.verify(digest, "pass-word")
    assert await passwords.verify(digest, "ｐass-word")  # as a Chinese keyboard may type it
    assert not await passwords.verify(digest, "pass-wort")
    assert not await passwords.verify(None, "nobody has this password")
    assert not await passwords.verify("no digest at all", "pass-word")
    passwords.close()


async def test_signing_in_opens_a_session_that_is_found_by_its_token(either: Database) -> None:
    await add(either, operator(role="supervisor"))
    assert await either.write(_enter, " Li.Na ") is None
    expected = Actor("id-li.na", "李娜", Role.supervisor, "web 10.0.0.7")
    assert await who(either, NOW + 1) == expected
    assert await who(either, NOW + 1, new_token(b"x" * 32)) is None
    assert TOKEN not in str(await either.read(_everything))


def _everything(connection: Connection) -> list[object]:
    tables = (operators, operator_sessions, audit.audit_rows)
    return [tuple(row) for table in tables for row in connection.execute(select(table))]


async def test_a_session_ends_idle_and_absolutely(database: Database) -> None:
    await add(database, operator())
    await database.write(_enter)
    assert await who(database, NOW + 2 * HOUR - 1)
    assert await who(database, NOW + 2 * HOUR) is None
    for hour in range(1, 12):
        await database.write(sign_in.touch, token=TOKEN, now_ms=NOW + hour * HOUR)
    assert await who(database, NOW + 12 * HOUR - 1)
    assert await who(database, NOW + 12 * HOUR) is None


async def test_a_new_sign_in_takes_a_new_token_and_ends_the_old(database: Database) -> None:
    await add(database, operator())
    await database.write(_enter)
    other = new_token(b"y" * 32)
    await database.write(_enter, token=other, replaces=TOKEN)
    assert await who(database, NOW + 1) is None
    assert await who(database, NOW + 1, other)
    await database.write(sign_in.end_session, token=other, now_ms=NOW + 2)
    assert await who(database, NOW + 3, other) is None
    assert form_token(TOKEN) != form_token(other)


@pytest.mark.parametrize("deed", ["disable", "role", "password"])
async def test_a_changed_operator_is_signed_out(database: Database, deed: str) -> None:
    await add(database, operator(), operator("boss", "administrator"))
    await database.write(_enter)
    if deed == "disable":
        await database.write(
            service.set_disabled, SYSTEM, operator_id="id-li.na", disabled=True, now_ms=NOW + 1
        )
    elif deed == "role":
        await database.write(
            service.set_role, SYSTEM, operator_id="id-li.na", role="auditor", now_ms=NOW + 1
        )
    else:
        await database.write(
            service.set_password, SYSTEM, operator_id="id-li.na", password_hash="new", now_ms=NOW
        )
    assert await who(database, NOW + 2) is None
    expected = Refusal.sign_in_wrong if deed == "disable" else None
    again = new_token(b"z" * 32)
    assert await database.write(_enter, token=again, at_ms=NOW + 3) is expected


async def test_changing_ones_own_password_keeps_this_session(database: Database) -> None:
    await add(database, operator())
    await database.write(_enter)
    await database.write(
        service.set_password,
        SYSTEM,
        operator_id="id-li.na",
        password_hash="new",
        keep_token_hash=token_hash(TOKEN),
        now_ms=NOW,
    )
    assert await who(database, NOW + 1)


async def test_the_last_administrator_stays(either: Database) -> None:
    await add(either, operator("aa", "administrator"), operator("bb", "administrator"))

    def lose(connection: Connection, who: str, how: str) -> Refusal | None:
        if how == "role":
            return service.set_role(connection, SYSTEM, operator_id=who, role="cashier", now_ms=NOW)
        return service.set_disabled(connection, SYSTEM, operator_id=who, disabled=True, now_ms=NOW)

    both = await asyncio.gather(
        either.write(lose, "id-aa", "role"), either.write(lose, "id-bb", "disable")
    )
    assert set(both) == {None, Refusal.last_administrator}


async def test_guessing_is_counted_even_in_parallel(either: Database) -> None:
    await add(either, operator())

    def guess(connection: Connection) -> Attempt | Refusal:
        return sign_in.attempt(connection, login="li.na", address="10.9.9.9", now_ms=NOW)

    tried = await asyncio.gather(*(either.write(guess) for _ in range(15)))
    assert sum(isinstance(one, Attempt) for one in tried) == sign_in.GUESSES_A_LOGIN
    assert await either.write(_enter, address="10.9.9.9") is Refusal.sign_in_throttled
    later = NOW + sign_in.WINDOW_MS
    assert await either.write(_enter, address="10.9.9.9", at_ms=later) is None


async def test_right_passwords_are_not_counted_as_guesses(database: Database) -> None:
    await add(database, operator())
    for n in range(sign_in.GUESSES_A_LOGIN + 1):
        token = new_token(bytes([n]) * 32)
        assert await database.write(_enter, token=token, address="10.8.8.8") is None


async def test_a_stranger_cannot_lock_the_owner_out(database: Database) -> None:
    await add(database, operator())
    assert await database.write(_enter) is None
    for _ in range(12):
        await database.write(_enter, right=False, address="10.6.6.6")
    assert await database.write(_enter, address="10.6.6.6") is Refusal.sign_in_throttled
    again = new_token(b"z" * 32)
    assert await database.write(_enter, token=again) is None


async def test_one_address_cannot_guess_at_many_logins(database: Database) -> None:
    def guess(connection: Connection, n: int) -> Refusal | None:
        return _enter(connection, f"login{n}")

    said = [await database.write(guess, n) for n in range(sign_in.GUESSES_AN_ADDRESS + 1)]
    assert said == [Refusal.sign_in_wrong] * 50 + [Refusal.sign_in_throttled]


async def test_an_administrator_unlocks(either: Database) -> None:
    await add(either, operator())
    for _ in range(10):
        assert await either.write(_enter, right=False) is Refusal.sign_in_wrong
    assert await either.write(_enter) is Refusal.sign_in_throttled
    await either.write(service.unlock, SYSTEM, operator_id="id-li.na", now_ms=NOW)
    assert await either.write(_enter) is None


async def test_old_sessions_and_failures_are_forgotten(either: Database) -> None:
    await add(either, operator())
    await either.write(_enter)
    await either.write(_enter, right=False)
    await either.write(sign_in.forget_old, now_ms=NOW + 200 * 24 * HOUR)
    left = select(operator_sessions.c.address).union_all(select(sign_in_failures.c.bucket))
    assert await either.read(lambda connection: connection.execute(left).all()) == []
