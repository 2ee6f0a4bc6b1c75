"""Gateways: added, renewed and revoked by people, each under its own keys and its own topics."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from central import audit
from central.database import Database
from central.gateways import journals
from central.gateways import service as gateways
from central.gateways.journals import Newcomer, Opening
from domain.refusals import Refusal
from domain.wire.envelope import gateway_secret
from edge import settings as edge_settings
from tests.central.campus import NOW_MS, TECHNICIAN

BY: dict[str, Any] = {"actor": TECHNICIAN, "now_ms": NOW_MS}
MASTER = bytes(range(32))


def _add(connection: Connection, gateway_id: str = "g1", name: str = "1号楼") -> Refusal | None:
    return gateways.add_gateway(connection, **BY, gateway_id=gateway_id, name=name)


async def test_gateways_are_added_once_and_audited(either: Database) -> None:
    assert await either.write(_add) is None
    assert await either.write(_add) is Refusal.already_exists
    assert await either.write(_add, "G 1") is Refusal.id_malformed
    assert await either.write(_add, "g2", " ") is Refusal.name_missing
    (gateway,) = await either.read(gateways.all_gateways)
    assert (gateway.gateway_id, gateway.key_epoch, gateway.epochs(NOW_MS)) == ("g1", 1, (1,))
    actions = select(audit.audit_rows.c.action, audit.audit_rows.c.object)
    assert await either.read(lambda c: [tuple(row) for row in c.execute(actions)]) == [
        ("add_gateway", "gateway:g1")
    ]


@pytest.mark.clause("keys-4")
async def test_keys_are_renewed_with_an_overlap_and_revoked(either: Database) -> None:
    async def epochs(after_ms: int = 0) -> tuple[int, ...]:
        gateway = await either.read(gateways.find, "g1")
        assert gateway is not None
        return gateway.epochs(NOW_MS + after_ms)

    await either.write(_add)
    named: dict[str, Any] = {**BY, "gateway_id": "g1"}
    assert await either.write(gateways.renew_keys, **named, overlap_ms=1_000) == 2
    assert (await epochs(999), await epochs(1_000)) == ((2, 1), (2,))
    assert await either.write(gateways.renew_keys, **named) == 3
    assert await epochs() == (3,)
    for _ in range(2):
        assert await either.write(gateways.revoke, **named) is None
    assert await epochs() == ()
    assert await either.write(gateways.renew_keys, **named, overlap_ms=1_000) == 4
    assert await epochs() == (4,)
    missing: dict[str, Any] = {**BY, "gateway_id": "g9"}
    assert await either.write(gateways.renew_keys, **missing) is Refusal.not_found
    assert await either.write(gateways.revoke, **missing) is Refusal.not_found
    wrong = await either.write(gateways.renew_keys, **named, overlap_ms=-1)
    assert wrong is Refusal.setting_out_of_range


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.clause("keys-1")
async def test_the_keys_file_is_what_a_gateway_reads(database: Database, tmp_path: Path) -> None:
    await database.write(_add)
    await database.write(gateways.renew_keys, **BY, gateway_id="g1", overlap_ms=1_000)
    gateway = await database.read(gateways.find, "g1")
    assert gateway is not None
    path = tmp_path / "keys"
    for _ in range(2):
        gateways.write_keys(path, gateways.keys_text(MASTER, gateway, now_ms=NOW_MS))
    assert path.stat().st_mode & 0o777 == 0o600
    assert _names(tmp_path) & {"keys", ".keys.new"} == {"keys"}
    faults: list[str] = []
    read = edge_settings._keys(path, tmp_path / "edge.toml", faults)
    assert (faults, read) == ([], {epoch: gateway_secret(MASTER, "g1", epoch) for epoch in (1, 2)})
    assert gateways.secrets(MASTER, gateway, now_ms=NOW_MS) == read
    await database.write(gateways.revoke, **BY, gateway_id="g1")
    gone = await database.read(gateways.find, "g1")
    assert gone is not None
    with pytest.raises(ValueError, match="revoked"):
        gateways.keys_text(MASTER, gone, now_ms=NOW_MS)


def test_the_broker_is_told_one_block_for_each_gateway() -> None:
    written = gateways.acl_text(["g2", "g1", "g2"], cell_id="east", centre_user="centre")
    assert written == (
        "user centre\ntopic read wl1/east/+/up/#\ntopic write wl1/east/+/down/#\n\n"
        "user g1\ntopic write wl1/east/g1/up/#\ntopic read wl1/east/g1/down/#\n\n"
        "user g2\ntopic write wl1/east/g2/up/#\ntopic read wl1/east/g2/down/#\n"
    )
    assert "g1" not in gateways.acl_text(["g2"], cell_id="east", centre_user="centre")
    for wrong in ("g/1", "+", "g1\ntopic write #"):
        with pytest.raises(ValueError, match="topic"):
            gateways.acl_text([wrong], cell_id="east", centre_user="centre")
    with pytest.raises(ValueError, match="user name"):
        gateways.acl_text([], cell_id="east", centre_user="a b")
    with pytest.raises(ValueError, match="cannot stand"):
        gateways.acl_text([], cell_id="a/b", centre_user="centre")


def test_a_password_line_is_one_that_the_broker_makes_itself(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", file, "g1", "secret 1"], check=True, timeout=20)
    theirs = file.read_text()
    salt = base64.b64decode(theirs.split("$")[3])
    assert gateways.password_line("g1", "secret 1", salt) == theirs
    with pytest.raises(ValueError, match="12 bytes"):
        gateways.password_line("g1", "secret 1", b"short")


async def test_how_gateways_stand(either: Database) -> None:
    for gateway_id in ("g1", "g2", "g3"):
        await either.write(_add, gateway_id)
    await either.write(gateways.revoke, **BY, gateway_id="g3")
    for gateway_id in ("g1", "g3"):
        newcomer = Newcomer(f"j-{gateway_id}", gateway_id, "first", None, 1)
        opened = await either.write(journals.begin, newcomer, now_ms=NOW_MS)
        assert opened is Opening.taken
    heard = {"j-g1": ("g1", 40, NOW_MS + 5_000), "j-g3": ("g1", 99, NOW_MS), "j": ("g1", 9, 9)}
    await either.write(journals.note_pulses, heard)
    now_ms = NOW_MS + 65_000
    found = await either.read(gateways.overview, now_ms=now_ms)
    assert [(o.gateway.gateway_id, o.online, o.backlog, o.last_seen_ms) for o in found] == [
        ("g1", True, 40, NOW_MS + 5_000), ("g2", False, 0, None), ("g3", False, 0, NOW_MS),
    ]  # fmt: skip
    later = await either.read(gateways.overview, now_ms=now_ms + 1)
    assert not any(o.online for o in later)
    assert [j.journal_id for j in await either.read(journals.of_valid_gateways)] == ["j-g1"]


async def test_safe_is_what_the_backup_has(database: Database) -> None:
    await database.write(_add)
    newcomer = Newcomer("j1", "g1", "first", None, 1)
    await database.write(journals.begin, newcomer, now_ms=NOW_MS)

    async def safe(held_seq: int, safe_seq: int | None) -> int:
        deed = text("UPDATE journals SET held_seq = :held, safe_seq = :safe")
        await database.write(lambda c: c.execute(deed, {"held": held_seq, "safe": safe_seq}))
        journal = await database.read(journals.find, "j1")
        assert journal is not None
        return journal.safe_seq

    assert [await safe(9, None), await safe(9, 4), await safe(3, 4)] == [9, 4, 3]


async def test_what_was_refused_adds_up(either: Database) -> None:
    counts = {("g1", "bad_tag"): 2, (gateways.NOBODY, "unknown_gateway"): 1}
    for now_ms in (1, 2):
        await either.write(gateways.count_refused, counts, now_ms=now_ms)
    await either.write(gateways.count_refused, {("g1", "repeat"): 5}, now_ms=3)
    found = await either.read(gateways.refused_counts)
    assert [(found[0].reason, found[0].count)] == [("repeat", 5)]
    assert {(row.gateway_id, row.reason, row.count, row.last_ms) for row in found[1:]} == {
        ("g1", "bad_tag", 4, 2), ("-", "unknown_gateway", 2, 2),
    }  # fmt: skip
