"""The envelope: what it looks like, whom it believes, and that nothing else gets through."""

import hashlib
import hmac
import json
import os
import zlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.wire.envelope import (
    ENVELOPE_MAX,
    INFLATED_MAX,
    Kind,
    Opener,
    Profile,
    Reject,
    Rejected,
    Sealer,
    TooLargeError,
    code_key,
    gateway_secret,
)
from domain.wire.topics import Direction, Topics
from tests.contract.regenerate import CONTRACT

KNOWN: dict[str, Any] = json.loads((CONTRACT / "examples/envelopes.json").read_text("utf-8"))
TOPICS = Topics("cell-1", "gw-1")
SECRET = bytes(range(32))
BOTH = pytest.mark.parametrize("profile", [Profile.aes_gcm, Profile.tdes_hmac])


def sealer(profile: Profile = Profile.aes_gcm, direction: Direction = "up") -> Sealer:
    return Sealer(SECRET, 1, direction, os.urandom, profile)


def opener(profile: Profile = Profile.aes_gcm, direction: Direction = "up") -> Opener:
    return Opener({1: SECRET}, direction, profile)


def reason(receiver: Opener, topic: str, payload: bytes) -> Reject:
    """Why a payload is refused; it must be counted once, and under that reason."""
    before = Counter(receiver.counts)
    with pytest.raises(Rejected) as refused:
        receiver.open(topic, payload)
    assert receiver.counts - before == Counter({refused.value.reason.value: 1})
    return refused.value.reason


def hkdf(secret: bytes, salt: bytes, info: str, size: int) -> bytes:
    """RFC 5869 once more, from the standard library."""
    key, block, out = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest(), b"", b""
    for n in range(1, -(-size // 32) + 1):
        block = hmac.new(key, block + info.encode() + bytes((n,)), hashlib.sha256).digest()
        out += block
    return out[:size]


@pytest.mark.clause("keys-1", "keys-2", "keys-3")
def test_keys_are_derived_as_written() -> None:
    master = bytes.fromhex(KNOWN["master"])
    secret = gateway_secret(master, "gw-1", 1)
    assert secret.hex() == KNOWN["gateway_secret"]
    assert secret == hkdf(master, b"", "wattledger1 gateway|gw-1|1", 32)
    assert code_key(secret).hex() == KNOWN["code_key"]
    assert code_key(secret) == hkdf(secret, b"", "wattledger1 code", 32)
    others = {gateway_secret(master, "gw-1", 2), gateway_secret(master, "gw-2", 1), secret}
    assert len(others) == 3


@pytest.mark.clause("envelope-1", "envelope-2", "envelope-3", "envelope-4", "keys-2")
@pytest.mark.parametrize("known", KNOWN["envelopes"], ids=lambda known: known["envelope"][:8])
def test_known_envelopes_are_sealed_and_opened_to_the_byte(known: dict[str, Any]) -> None:
    secret, random = bytes.fromhex(KNOWN["gateway_secret"]), bytes.fromhex(known["random"])
    assert known["session_key"] == _session_key(secret, known).hex()
    stock = bytearray(random)

    def random_bytes(n: int) -> bytes:
        taken = bytes(stock[:n])
        del stock[:n]
        return taken

    profile, direction = Profile(known["profile"]), known["direction"]
    sender = Sealer(secret, KNOWN["epoch"], direction, random_bytes, profile)
    sealed = sender.seal(Kind(known["kind"]), known["topic"], known["data"].encode())
    assert sealed.hex() == known["envelope"]
    assert not stock
    opened = Opener({KNOWN["epoch"]: secret}, direction, profile).open(known["topic"], sealed)
    assert opened.data == known["data"].encode()
    assert (opened.kind, opened.epoch, opened.counter) == (known["kind"], 1, 1)
    assert opened.session.hex() == KNOWN["session"]


def _session_key(secret: bytes, known: dict[str, Any]) -> bytes:
    size = 56 if known["profile"] == Profile.tdes_hmac else 32
    info = f"wattledger1 {known['direction']}|{known['profile']}"
    return hkdf(secret, bytes.fromhex(KNOWN["session"]), info, size)


@pytest.mark.clause("envelope-1")
@BOTH
def test_the_header_is_thirty_bytes_as_laid_out(profile: Profile) -> None:
    sender = Sealer(SECRET, 0x0102, "up", lambda n: bytes((7,)) * n, profile)
    sender.seal(Kind.live, TOPICS.live, b"{}")
    header = sender.seal(Kind.live, TOPICS.live, b"{}")[:30]
    assert header == bytes((0x57, 1, profile, 2, 1, 2)) + b"\7" * 16 + (2).to_bytes(8)


@pytest.mark.clause("envelope-2", "envelope-7")
@BOTH
def test_every_byte_of_the_header_is_sealed(profile: Profile) -> None:
    sealed, receiver = sealer(profile).seal(Kind.facts, TOPICS.facts, b"{}"), opener(profile)
    expected = [Reject.bad_magic, Reject.unknown_layout, Reject.profile_not_pinned]
    expected += [Reject.kind_not_of_topic, Reject.unknown_epoch, Reject.unknown_epoch]
    expected += [Reject.bad_tag] * (len(sealed) - 6)
    for at, why in enumerate(expected):
        tampered = bytearray(sealed)
        tampered[at] ^= 0x40
        assert reason(receiver, TOPICS.facts, bytes(tampered)) is why, at
    assert receiver.open(TOPICS.facts, sealed).data == b"{}"


@pytest.mark.clause("envelope-2")
@BOTH
def test_a_message_opens_on_its_own_topic_only(profile: Profile) -> None:
    topic = TOPICS.intent("credit", "p1")
    sealed = sealer(profile, "down").seal(Kind.intent, topic, b"{}")
    receiver = opener(profile, "down")
    foreign = [TOPICS.intent("credit", "p2"), TOPICS.intent("supply", "p1")]
    foreign += [Topics("cell-1", "gw-2").intent("credit", "p1")]
    for other in [*foreign, Topics("cell-2", "gw-1").intent("credit", "p1")]:
        assert reason(receiver, other, sealed) is Reject.bad_tag
    assert reason(receiver, TOPICS.watermark("p1"), sealed) is Reject.kind_not_of_topic
    assert reason(receiver, "wl1/cell-1/gw-1/down/intent", sealed) is Reject.kind_not_of_topic


@pytest.mark.clause("keys-2")
@BOTH
def test_what_went_down_cannot_come_up(profile: Profile) -> None:
    down = sealer(profile, "down").seal(Kind.facts, TOPICS.facts, b"{}")
    assert reason(opener(profile, "up"), TOPICS.facts, down) is Reject.bad_tag


@pytest.mark.clause("envelope-5")
@BOTH
def test_zlib_is_used_where_it_is_smaller(profile: Profile) -> None:
    sender, receiver = sealer(profile), opener(profile)
    long, short = b'{"facts":' + b"[0]" * 500 + b"}", b"{}"
    assert receiver.open(TOPICS.facts, sender.seal(Kind.facts, TOPICS.facts, long)).data == long
    assert len(sender.seal(Kind.facts, TOPICS.facts, long)) < 200
    overhead = 30 + 1 + 16
    if profile is Profile.aes_gcm:
        assert len(sender.seal(Kind.facts, TOPICS.facts, short)) == overhead + len(short)


@pytest.mark.clause("envelope-6", "envelope-7")
def test_what_is_too_large_is_refused_on_both_sides() -> None:
    noise = os.urandom(ENVELOPE_MAX)
    room = ENVELOPE_MAX - 30 - 1 - 16
    sealed = sealer().seal(Kind.facts, TOPICS.facts, noise[:room])
    assert len(sealed) == ENVELOPE_MAX
    assert opener().open(TOPICS.facts, sealed).data == noise[:room]
    with pytest.raises(TooLargeError):
        sealer().seal(Kind.facts, TOPICS.facts, noise[: room + 1])
    with pytest.raises(TooLargeError):
        sealer().seal(Kind.facts, TOPICS.facts, bytes(INFLATED_MAX + 1))
    assert reason(opener(), TOPICS.facts, sealed + b"\0") is Reject.too_big


@pytest.mark.clause("envelope-5", "envelope-6", "envelope-7")
def test_a_bomb_a_cut_stream_and_an_unknown_flag_inflate_to_nothing() -> None:
    whole = zlib.compress(b'{"v":1}')
    bomb = zlib.compress(bytes(INFLATED_MAX + 1), 9)
    assert len(bomb) < 2000
    plain = {"bomb": b"\1" + bomb, "cut": b"\1" + whole[:-1], "more": b"\1" + whole + b"\0"}
    plain |= {"noise": b"\1" + bytes(20), "flag": b"\2" + whole, "empty": b""}
    for name, plaintext in plain.items():
        assert reason(opener(), TOPICS.facts, _sealed_raw(plaintext)) is Reject.bad_inflate, name
    largest = _sealed_raw(b"\1" + zlib.compress(bytes(INFLATED_MAX), 9))
    assert len(opener().open(TOPICS.facts, largest).data) == INFLATED_MAX


def _sealed_raw(plaintext: bytes) -> bytes:
    """A plaintext that no sealer would write, sealed under the right key."""
    sender = sealer()
    header = sender.seal(Kind.facts, TOPICS.facts, b"")[:30]
    return header + sender._cipher.seal(header, TOPICS.facts, plaintext, os.urandom)


@pytest.mark.clause("envelope-7")
def test_refusals_come_in_the_order_written() -> None:
    """A message wrong in every way, put right step by step, meets each reason in turn."""
    receiver, sender = opener(), sealer()
    good = sender.seal(Kind.facts, TOPICS.facts, b"{}")
    header = bytes((0, 0, 0, 0xFF, 9, 9)) + good[6:30]
    steps = [header + bytes(ENVELOPE_MAX), header]
    for end, start in ((1, 0x57), (2, 1), (3, 1)):
        steps.append(steps[-1][: end - 1] + bytes((start,)) + header[end:])
    steps.append(good[:3] + b"\xff" + good[4:6] + header[6:])
    steps.append(good[:30])
    steps.append(_sealed_raw(b"\2"))
    met = [reason(receiver, TOPICS.facts, step) for step in steps]
    met.append(receiver.refuse(Reject.bad_schema).reason)
    assert met == list(Reject)
    assert receiver.counts == Counter({why.value: 1 for why in Reject})


@pytest.mark.clause("envelope-7")
@BOTH
def test_a_message_cut_short_anywhere_is_refused(profile: Profile) -> None:
    sealed, receiver = sealer(profile).seal(Kind.facts, TOPICS.facts, b"{}"), opener(profile)
    assert reason(receiver, TOPICS.facts, b"") is Reject.bad_magic
    for length in range(1, len(sealed)):
        reason(receiver, TOPICS.facts, sealed[:length])
    assert receiver.counts["repeat"] == 0


@pytest.mark.clause("envelope-8")
def test_counters_rise_and_a_spent_session_gives_way() -> None:
    sender, receiver = sealer(), opener()
    first = receiver.open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}"))
    second = receiver.open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}"))
    assert (first.counter, second.counter) == (1, 2)
    assert first.session == second.session
    sender._counter = 2**32 - 1
    last = receiver.open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}"))
    fresh = receiver.open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}"))
    assert (last.counter, last.session) == (2**32, first.session)
    assert (fresh.counter, fresh.repeat) == (1, False)
    assert fresh.session not in {first.session, opener_session(sealer())}


@pytest.mark.clause("envelope-8")
def test_a_session_of_the_small_block_cipher_ends_after_a_million_blocks() -> None:
    sender, receiver = sealer(Profile.tdes_hmac), opener(Profile.tdes_hmac)
    first = receiver.open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}"))
    sender._blocks = 2**20 - 1
    same = receiver.open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}"))
    fresh = receiver.open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}"))
    assert same.session == first.session != fresh.session


def opener_session(sender: Sealer) -> bytes:
    return opener().open(TOPICS.live, sender.seal(Kind.live, TOPICS.live, b"{}")).session


@pytest.mark.clause("envelope-8")
def test_a_message_that_was_too_large_uses_up_its_counter() -> None:
    sender = sealer()
    with pytest.raises(TooLargeError):
        sender.seal(Kind.facts, TOPICS.facts, os.urandom(ENVELOPE_MAX))
    next_one = opener().open(TOPICS.facts, sender.seal(Kind.facts, TOPICS.facts, b"{}"))
    assert next_one.counter == 2


@pytest.mark.clause("envelope-9")
@BOTH
def test_an_old_message_is_counted_and_opened_all_the_same(profile: Profile) -> None:
    sender, receiver = sealer(profile), opener(profile)
    one, two = (sender.seal(Kind.facts, TOPICS.facts, data) for data in (b"1", b"2"))
    seen = [receiver.open(TOPICS.facts, message) for message in (two, one, two)]
    assert [message.repeat for message in seen] == [False, True, True]
    assert [message.data for message in seen] == [b"2", b"1", b"2"]
    assert receiver.counts == Counter({"repeat": 2})


@pytest.mark.clause("envelope-9")
def test_what_a_receiver_remembers_is_bounded() -> None:
    receiver = opener()
    for _ in range(300):
        receiver.open(TOPICS.live, sealer().seal(Kind.live, TOPICS.live, b"{}"))
    assert len(receiver._sessions) <= 64


@pytest.mark.clause("envelope-10")
def test_a_receiver_is_pinned_to_one_profile() -> None:
    sealed = sealer(Profile.tdes_hmac).seal(Kind.facts, TOPICS.facts, b"{}")
    assert reason(opener(), TOPICS.facts, sealed) is Reject.profile_not_pinned
    sealed = sealer().seal(Kind.facts, TOPICS.facts, b"{}")
    reserved = sealed[:2] + b"\3" + sealed[3:]
    assert reason(opener(), TOPICS.facts, reserved) is Reject.profile_not_pinned
    with pytest.raises(ValueError, match="SM4-GCM"):
        sealer(Profile.sm4_gcm)
    with pytest.raises(ValueError, match="SM4-GCM"):
        opener(Profile.sm4_gcm)


@pytest.mark.clause("keys-4")
def test_two_epochs_are_valid_and_no_third() -> None:
    first, second = gateway_secret(SECRET, "gw-1", 1), gateway_secret(SECRET, "gw-1", 2)
    receiver = Opener({1: first, 2: second}, "up")
    for epoch, secret in ((1, first), (2, second)):
        sealed = Sealer(secret, epoch, "up", os.urandom).seal(Kind.facts, TOPICS.facts, b"{}")
        assert receiver.open(TOPICS.facts, sealed).epoch == epoch
    crossed = Sealer(first, 2, "up", os.urandom).seal(Kind.facts, TOPICS.facts, b"{}")
    assert reason(receiver, TOPICS.facts, crossed) is Reject.bad_tag
    third = Sealer(first, 3, "up", os.urandom).seal(Kind.facts, TOPICS.facts, b"{}")
    assert reason(receiver, TOPICS.facts, third) is Reject.unknown_epoch
    assert reason(Opener({}, "up"), TOPICS.facts, third) is Reject.unknown_epoch
    with pytest.raises(ValueError, match="at most 2"):
        Opener({1: first, 2: second, 3: first}, "up")


@pytest.mark.clause("keys-5")
def test_a_key_of_the_wrong_size_is_named() -> None:
    with pytest.raises(ValueError, match="gateway secret has 31 bytes, 32 are needed"):
        Sealer(bytes(31), 1, "up", os.urandom)
    with pytest.raises(ValueError, match="gateway secret of epoch 4 has 33 bytes"):
        Opener({4: bytes(33)}, "up")
    with pytest.raises(ValueError, match="master key has 0 bytes"):
        gateway_secret(b"", "gw-1", 1)
    with pytest.raises(ValueError, match="gateway secret has 16 bytes"):
        code_key(bytes(16))
    with pytest.raises(ValueError, match="epoch 65536"):
        gateway_secret(SECRET, "gw-1", 65536)


@pytest.mark.clause("topics-3")
def test_nothing_is_sealed_for_a_topic_of_another_kind() -> None:
    with pytest.raises(ValueError, match="live does not belong"):
        sealer().seal(Kind.live, TOPICS.facts, b"{}")


Change = st.tuples(st.integers(0, 400), st.integers(1, 255))
Damage = st.tuples(
    st.lists(Change, max_size=4), st.integers(0, 400), st.binary(max_size=12), st.booleans()
)


@pytest.mark.clause("envelope-11")
@BOTH
@settings(max_examples=200, deadline=None, derandomize=True)
@given(damages=st.lists(Damage, min_size=25, max_size=25))
def test_damaged_messages_are_refused_and_nothing_else(
    profile: Profile,
    damages: list[tuple[list[tuple[int, int]], int, bytes, bool]],
) -> None:
    """2 × 200 × 25 = 10 000 cases: flipped, cut, lengthened, or replaced altogether."""
    sender = Sealer(SECRET, 1, "up", lambda n: bytes(range(n)), profile)
    sealed = sender.seal(Kind.facts, TOPICS.facts, b'{"v":1,"facts":[]}' * 4)
    receiver = opener(profile)
    for changes, keep, tail, replaced in damages:
        damaged = bytearray(tail * 8 if replaced else sealed)
        for at, mask in changes:
            if at < len(damaged):
                damaged[at] ^= mask
        message = bytes(damaged[: keep or None]) + tail
        if message == sealed:
            assert receiver.open(TOPICS.facts, message)
        else:
            reason(receiver, TOPICS.facts, message)
