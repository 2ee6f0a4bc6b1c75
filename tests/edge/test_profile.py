"""The profiles that come with the software, and what is said about a faulty one."""

from pathlib import Path

import pytest

from domain.readings import Limits
from domain.supply import Relay
from edge.meters import profile, snapshot
from edge.meters.file_faults import FileFaultsError
from edge.meters.profile import Block, Profile

NK = profile.load(profile.default_directory() / "ddsy1352-nk.toml")
CLASSIC = profile.load(profile.default_directory() / "ddsy1352-classic.toml")


def poll_words(of: Profile, **values: int) -> list[int]:
    """A poll block of zeros with raw words written at hexadecimal addresses (`x0215=…`)."""
    words = [0] * of.poll.words
    for at, raw in values.items():
        words[int(at[1:], 16) - of.poll.address] = raw & 0xFFFF
    return words


def test_blocks_have_the_documented_addresses() -> None:
    assert NK.poll == Block(3, 0x0200, 37)
    assert NK.identity == Block(3, 0x0043, 3)
    assert NK.own_prepaid == Block(3, 0x0055, 1)
    assert NK.force == Block(3, 0x0057, 2)
    assert CLASSIC.poll == Block(3, 0x0000, 17)
    assert NK.limits == Limits(modulus_wh=1_000_000_000, step_wh=10, p_max_w=15_840)
    assert NK.ledger == "gateway"


@pytest.mark.parametrize("of", [NK, CLASSIC])
def test_a_reply_is_as_long_as_one_block_only(of: Profile) -> None:
    lengths = [block.words for block in of.blocks.values()]
    assert len(set(lengths)) == len(lengths)


def test_every_row_says_where_it_is_from() -> None:
    for of in (NK, CLASSIC):
        for row in of.rows:
            assert row.confidence in "ABCD"
            assert row.source


@pytest.mark.parametrize(
    ("raw", "field", "expected"),
    [
        ({"x0215": 0x0001, "x0216": 0x86A0}, "register_wh", 1_000_000),
        ({"x0215": 0x05F5, "x0216": 0xE0FF}, "register_wh", 999_999_990),
        ({"x0201": 2301}, "voltage_dv", 2301),
        ({"x0204": 1234}, "current_ca", 1234),
        ({"x020A": 2345}, "power_w", 2345),
        ({"x020A": -5}, "power_w", -5),
        ({"x0212": -998}, "pf_milli", -998),
        ({"x021F": 0xFFFF, "x0220": -318}, "meter_balance_fen", -318),
        ({"x021F": 0x0001, "x0220": 0x0000}, "meter_balance_fen", 65_536),
        ({"x0221": 17}, "meter_count", 17),
        ({"x0224": 1 << 13}, "relay", Relay.closed),
        ({"x0224": 0xFFFF ^ 1 << 13}, "relay", Relay.open),
        ({"x0224": 1 << 3}, "forced", True),
        ({"x0217": 1, "x0218": 2, "x021E": 9}, "rate_wh", (655_380, 0, 0, 90)),
        ({"x0200": 7}, "type_code", 7),
    ],
)
def test_snapshot_of_the_nk_poll_block(raw: dict[str, int], field: str, expected: object) -> None:
    assert getattr(snapshot.read(NK, poll_words(NK, **raw)), field) == expected


def test_snapshot_of_a_classic_meter_knows_no_contact() -> None:
    words = poll_words(CLASSIC, x0001=12_345, x000B=2200, x000C=455, x000D=1000, x0010=999)
    seen = snapshot.read(CLASSIC, words)
    assert (seen.register_wh, seen.voltage_dv, seen.current_ca) == (123_450, 2200, 455)
    assert (seen.power_w, seen.pf_milli, seen.relay) == (1000, 999, Relay.unknown)
    assert seen.meter_count is None
    assert seen.meter_balance_fen is None


def test_meter_number_keeps_leading_zeros_and_refuses_other_digits() -> None:
    assert snapshot.meter_number(NK, [0x0012, 0x3456, 0x7890]) == "001234567890"
    with pytest.raises(ValueError, match="00123456789a"):
        snapshot.meter_number(NK, [0x0012, 0x3456, 0x789A])


def test_own_prepaid_is_the_high_byte_alone() -> None:
    assert not snapshot.own_prepaid_on(NK, [0x00FF])
    assert snapshot.own_prepaid_on(NK, [0x0100])


def test_a_block_of_another_length_is_not_decoded() -> None:
    with pytest.raises(ValueError, match="3 registers, expected 37"):
        NK.decode("poll", [0, 0, 0])


def test_relay_words() -> None:
    assert NK.relay.address == 0x0057
    assert NK.relay.words_for(Relay.open) == (1, 1)
    assert NK.relay.words_for(Relay.closed) == (1, 0)
    with pytest.raises(ValueError):
        NK.relay.words_for(Relay.unknown)
    assert (NK.relay.proof, CLASSIC.relay.proof) == ("bit", "energy")


@pytest.mark.parametrize(
    ("before", "after", "commanded", "proved"),
    [
        ((100, 500), (100, 480), Relay.closed, Relay.closed),
        ((100, 500), (110, 480), Relay.open, Relay.closed),  # commanded off, and still burning
        ((100, 500), (90, 480), Relay.closed, Relay.unknown),
        ((100, 0), (100, 0), Relay.open, Relay.open),
        ((100, 0), (110, 0), Relay.open, Relay.unknown),
        ((100, 0), (100, 0), Relay.closed, Relay.unknown),  # an idle room
        ((100, 500), (100, 0), Relay.open, Relay.unknown),  # one poll is not two
    ],
)
def test_energy_and_power_prove_a_relay_that_shows_no_contact(
    before: tuple[int, int], after: tuple[int, int], commanded: Relay, proved: Relay
) -> None:
    first, second = (
        snapshot.read(CLASSIC, poll_words(CLASSIC, x0001=wh // 10, x000D=watts))
        for wh, watts in (before, after)
    )
    assert snapshot.prove_over_two_polls(first, second, commanded=commanded) is proved


def faults_of(path: Path, *edits: tuple[str, str]) -> list[str]:
    text = (profile.default_directory() / "ddsy1352-nk.toml").read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileFaultsError) as caught:
        profile.load(path)
    return [str(fault) for fault in caught.value.faults]


def test_all_faults_are_named_at_once_with_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    faults = faults_of(
        path,
        ("baud = 9600", "baud = 9601"),
        ("step_wh = 10 ", 'step_wh = "ten" '),
        ('confidence = "A"', 'confidence = "Z"'),
        ("type_code = 7", "type_kode = 7"),
    )
    for key in ("serial.baud", "limits.step_wh", "rows.0.confidence", "type_kode"):
        assert any(fault.startswith(f"{path}: {key}: ") for fault in faults), key
    assert len(faults) == 4


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('ledger = "gateway"', 'ledger = "meter"', "ledger"),
        ("address = 0x0057, words = 2", "address = 0x0057, words = 3", "blocks.force.words"),
        ("address = 0x0055, words = 1", "address = 0x0056, words = 1", "blocks.own_prepaid"),
        ("modulus_wh = 1_000_000_000", "modulus_wh = 1_000_000_001", "limits.modulus_wh"),
        ('at = 0x0400, kind = "u16"', 'at = 0x0500, kind = "u16"', "rows.62.at"),
        ('field = "relay_closed"', 'field = "relay_shut"', "relay.proof"),
        ('source = "MH E4"', 'source = "MH E5"', "rows.0.source"),
        ("hold_on = [1, 0]", "hold_on = [1]", "relay.hold_on"),
        ("restore = ", "restore_ = ", "relay.restore"),
    ],
)
def test_parts_that_do_not_agree(tmp_path: Path, old: str, new: str, key: str) -> None:
    faults = faults_of(tmp_path / "odd.toml", (old, new))
    assert any(f": {key}: " in fault for fault in faults), faults


def test_load_all_names_faults_of_every_file(tmp_path: Path) -> None:
    good = (profile.default_directory() / "ddsy1352-nk.toml").read_text(encoding="utf-8")
    (tmp_path / "a.toml").write_text(good, encoding="utf-8")
    (tmp_path / "b.toml").write_text(good, encoding="utf-8")
    (tmp_path / "c.toml").write_text("name = ", encoding="utf-8")
    with pytest.raises(FileFaultsError) as caught:
        profile.load_all(tmp_path)
    named = {Path(fault.file).name for fault in caught.value.faults}
    assert named == {"b.toml", "c.toml"}


def test_load_all_of_the_packaged_profiles() -> None:
    assert set(profile.load_all(profile.default_directory())) == {"ddsy1352-nk", "ddsy1352-classic"}
