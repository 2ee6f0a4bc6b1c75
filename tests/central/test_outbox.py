"""Intents are absolute and versioned, and are said until the gateway's own facts settle them."""

import asyncio

import pytest
from pydantic import BaseModel
from sqlalchemy import Connection

from central import audit, books, outbox
from central.database import Database
from central.outbox import Stored
from central.publisher import Publisher
from central.security import SYSTEM
from domain.supply import Mode
from domain.wire.intents import CreditBody, PolicyBody, SupplyBody, digest, version_of

POLICY = PolicyBody(alarm_1_fen=2_000, alarm_2_fen=500)


def _put(
    connection: Connection,
    body: BaseModel = POLICY,
    kind: str = "policy",
    key: str = "usual",
    expires_at_ms: int | None = None,
) -> int:
    return outbox.put(
        connection, gateway_id="g1", kind=kind, key=key, body=body, now_ms=1,
        expires_at_ms=expires_at_ms,
    )  # fmt: skip


def _held(connection: Connection, version: int, kind: str = "policy", key: str = "usual") -> None:
    outbox.held(connection, gateway_id="g1", kind=kind, key=key, version=version)


def _refuse(connection: Connection, version: int) -> None:
    outbox.refuse(
        connection, gateway_id="g1", kind="policy", key="usual", version=version, reason="why"
    )


@pytest.mark.clause("intents-1")
async def test_a_version_rises_where_something_changed(either: Database) -> None:
    dearer = POLICY.model_copy(update={"alarm_1_fen": 3_000})
    assert [await either.write(_put) for _ in range(2)] == [1, 1]
    assert [await either.write(_put, body) for body in (dearer, dearer, POLICY)] == [2, 2, 3]
    assert await either.write(_put, POLICY, "policy", "usual", 99) == 4
    assert await either.write(_put, POLICY, "policy", "other") == 1


@pytest.mark.clause("credit-10")
async def test_a_credit_intent_rises_always_and_satisfies_the_books(database: Database) -> None:
    body = CreditBody(count=1, granted_fen=5_000)

    def grants(connection: Connection) -> int:
        books.note_granted(connection, "p1")
        audit.record(connection, SYSTEM, action="sale", obj="purse:p1", at_ms=1)
        return _put(connection, body, "credit", "p1")

    assert [await database.write(grants) for _ in range(3)] == [1, 2, 3]


@pytest.mark.clause("credit-10")
async def test_two_at_once_get_two_versions(either: Database) -> None:
    body = CreditBody(count=0, granted_fen=0)
    versions = await asyncio.gather(*(either.write(_put, body, "credit", "p1") for _ in range(8)))
    assert sorted(versions) == list(range(1, 9))


async def test_it_is_outstanding_until_it_is_held_or_refused(either: Database) -> None:
    await either.write(_put)
    await either.write(_put, SupplyBody(mode=Mode.hold_on), "supply", "point-1")
    assert [row.kind for row in await either.read(outbox.outstanding, "g1")] == ["policy", "supply"]
    assert await either.read(outbox.outstanding, "g2") == []
    await either.write(_held, 1)
    await either.write(_held, 7, "supply", "point-1")  # of a version that never was
    assert [row.kind for row in await either.read(outbox.outstanding)] == ["supply"]
    await either.write(_put, POLICY.model_copy(update={"overdraft_fen": 1}))
    await either.write(_held, 1)  # heard again: the new version is still not held
    assert [row.kind for row in await either.read(outbox.outstanding)] == ["policy", "supply"]
    await either.write(_refuse, 2)
    assert [row.kind for row in await either.read(outbox.outstanding)] == ["supply"]
    (refused,) = await either.read(outbox.refused, "g1")
    assert (refused.refused_reason, refused.held_version, refused.settled) == ("why", 1, True)


async def test_a_refused_body_put_again_is_said_again(database: Database) -> None:
    await database.write(_put)
    await database.write(_refuse, 1)
    assert await database.write(_put) == 2
    assert await database.write(_put) == 2
    assert await database.read(outbox.refused) == []


@pytest.mark.clause("intents-1")
async def test_restored_books_speak_above_everything_before(either: Database) -> None:
    for fen in range(2_001, 2_005):
        await either.write(_put, POLICY.model_copy(update={"alarm_1_fen": fen}))
    await either.write(_held, 4)
    assert await either.write(outbox.raise_epoch) == 1
    assert await either.read(outbox.books_epoch) == 1
    (row,) = await either.read(outbox.everything, "g1")
    assert (row.version, row.held_version) == (version_of(1, 1), 0)
    assert await either.write(_put) == version_of(1, 2)
    assert await either.write(outbox.raise_epoch) == 2
    assert await either.write(_put, POLICY, "policy", "other") == version_of(2, 1)


@pytest.mark.clause("intents-3")
def test_the_digest_leaves_room_for_what_was_refused() -> None:
    rows = [
        _stored("a", version=3, held_version=3),
        _stored("b", version=2, held_version=1, refused_version=2),
        _stored("c", version=1, refused_version=1),
    ]
    fits = outbox.digests(rows)
    assert digest({("policy", "a"): 3, ("policy", "b"): 1}) in fits
    assert digest({("policy", "a"): 3, ("policy", "b"): 2, ("policy", "c"): 1}) in fits
    assert digest({("policy", "a"): 3, ("policy", "b"): 2}) not in fits


def _stored(
    key: str, *, version: int = 1, held_version: int = 0, refused_version: int = 0
) -> Stored:
    return Stored("g1", "policy", key, version, held_version, "{}", 0, None, refused_version, None)


def _said(publisher: Publisher, rows: list[Stored], *times_s: float) -> list[float]:
    """At which of these times something is due."""
    return [s for s in times_s if publisher.due(rows, now_ms=round(s * 1_000))]


@pytest.mark.clause("intents-9")
def test_an_intent_is_said_again_from_5_s_doubling_to_5_min() -> None:
    every_second = range(2_000)
    said = _said(Publisher(), [_stored("a")], *every_second)
    assert said == [0, 5, 15, 35, 75, 155, 315, 615, 915, 1_215, 1_515, 1_815]


@pytest.mark.clause("intents-9")
def test_a_new_version_and_a_reconnect_are_said_at_once() -> None:
    publisher = Publisher()
    assert _said(publisher, [_stored("a")], 0, 1, 5, 14) == [0, 5]
    assert _said(publisher, [_stored("a", version=2)], 14.5, 15, 19, 19.5) == [14.5, 19.5]
    both = [_stored("a", version=2), _stored("b")]
    assert [row.key for row in publisher.due(both, now_ms=20_000)] == ["b"]
    publisher.reconnected()
    assert [row.key for row in publisher.due(both, now_ms=20_100)] == ["a", "b"]
    assert publisher.due([], now_ms=20_200) == []  # settled: forgotten, and new if it comes back
    assert len(publisher.due(both, now_ms=20_300)) == 2


@pytest.mark.clause("intents-9")
def test_everything_is_said_where_a_digest_differs_for_30_s() -> None:
    publisher, right = Publisher(), frozenset({"right"})

    def heard(text: str, *times_s: int) -> list[int]:
        return [s for s in times_s if publisher.heard(text, right, now_ms=s * 1_000)]

    assert heard("wrong", 0, 15, 29) == []
    assert heard("right", 30) == []
    assert heard("wrong", 45, 60, 74, 75, 90, 134, 135) == [75, 135]
    assert heard("wrong", *range(136, 1_000, 15)) == [256, 496, 796]
    assert heard("right", 1_000) == []
    assert heard("wrong", 1_001, 1_030, 1_031) == [1_031]
