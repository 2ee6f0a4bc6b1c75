"""The sealed envelope: 30 bytes of header, then ciphertext that also covers header and topic.

The only module that knows a cipher. Random bytes are an argument. A message is refused for the
first reason of `Reject` that holds and counted under it; an old one is no refusal but counted as a
repeat, because content is idempotent and a retained message is old by design.
"""

import struct
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from Crypto.Cipher import AES, DES3
from Crypto.Cipher._mode_gcm import GcmMode
from Crypto.Hash import HMAC, SHA256
from Crypto.Protocol.KDF import HKDF

from domain.wire.topics import Direction, Kind, kind_of

__all__ = [
    "ENVELOPE_MAX", "INFLATED_MAX", "Direction", "Kind", "Opened", "Opener", "Profile", "Reject",
    "Rejected", "Sealer", "TooLargeError", "code_key", "gateway_secret",
]  # fmt: skip

ENVELOPE_MAX = 64 * 1024
INFLATED_MAX = 1024 * 1024
SECRET_BYTES = 32
EPOCHS_MAX = 2  # keys valid at once

_MAGIC = 0x57
_LAYOUT = 1
_HEADER = struct.Struct(">BBBBH16sQ")
_SESSION_MESSAGES = 2**32
_SESSION_BLOCKS = 2**20  # 8-byte blocks under one 3DES key, far below its birthday bound
_SESSIONS_KEPT = 64  # verified sessions whose key and highest counter are remembered
_TAG = 16
_MAC = 32
_IV = 8
_BLOCK = 8
_PLAIN = b"\x00"
_DEFLATED = b"\x01"


class Profile(IntEnum):
    """How an envelope is sealed; a receiver is pinned to one."""

    aes_gcm = 1
    tdes_hmac = 2
    sm4_gcm = 3  # reserved: no cipher for it is built in


class Reject(StrEnum):
    """Why a message is refused, in the order in which it is looked at."""

    too_big = "too_big"
    bad_magic = "bad_magic"
    unknown_layout = "unknown_layout"
    profile_not_pinned = "profile_not_pinned"
    unknown_epoch = "unknown_epoch"
    kind_not_of_topic = "kind_not_of_topic"
    bad_tag = "bad_tag"
    bad_inflate = "bad_inflate"
    bad_schema = "bad_schema"


class Rejected(Exception):  # noqa: N818 - the message is at fault, not the program
    """A message that is not what it should be; it has no effect."""

    def __init__(self, reason: Reject) -> None:
        super().__init__(reason.value)
        self.reason = reason


class TooLargeError(ValueError):
    """The sealed message would be larger than an envelope may be: send less at once."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that its sender sealed for this topic. `repeat`: not newer than one seen before."""

    kind: Kind
    data: bytes
    epoch: int
    session: bytes
    counter: int
    repeat: bool


def gateway_secret(master: bytes, gateway_id: str, epoch: int) -> bytes:
    """The 32 bytes that a gateway is given for one key epoch (u16)."""
    _of_size(master, "master key")
    _check_epoch(epoch)
    return _derive(master, 32, b"", f"wattledger1 gateway|{gateway_id}|{epoch}")


def code_key(secret: bytes) -> bytes:
    """The 32 bytes under which a gateway's offline codes are made."""
    return _derive(_of_size(secret, "gateway secret"), 32, b"", "wattledger1 code")


class Sealer:
    """Seals what one process sends in one direction under one key epoch.

    `random_bytes(n)` must be fit for keys. Not for use by several threads at once.
    """

    def __init__(
        self,
        secret: bytes,
        epoch: int,
        direction: Direction,
        random_bytes: Callable[[int], bytes],
        profile: Profile = Profile.aes_gcm,
    ) -> None:
        self._secret = _of_size(secret, "gateway secret")
        self._epoch = _check_epoch(epoch)
        self._direction: Direction = direction
        self._random_bytes = random_bytes
        self._profile = _built_in(profile)
        self._begin_session()

    def seal(self, kind: Kind, topic: str, data: bytes) -> bytes:
        """`data` sealed for `topic`; raises TooLargeError, and ValueError for a foreign topic."""
        if kind_of(topic) is not kind:
            raise ValueError(f"{kind.name} does not belong on {topic!r}")
        if len(data) > INFLATED_MAX:
            raise TooLargeError(f"{len(data)} bytes of content, at most {INFLATED_MAX}")
        plaintext = _pack(data)
        self._renew_session(len(plaintext))
        header = _HEADER.pack(
            _MAGIC, _LAYOUT, self._profile, kind, self._epoch, self._session, self._counter
        )
        sealed = self._cipher.seal(header, topic, plaintext, self._random_bytes)
        if len(header) + len(sealed) > ENVELOPE_MAX:
            raise TooLargeError(f"{len(header) + len(sealed)} bytes sealed, at most {ENVELOPE_MAX}")
        return header + sealed

    def _renew_session(self, plaintext_bytes: int) -> None:
        blocks = plaintext_bytes // _BLOCK + 1
        spent = self._counter >= _SESSION_MESSAGES
        if self._profile is Profile.tdes_hmac and self._blocks + blocks > _SESSION_BLOCKS:
            spent = True
        if spent:
            self._begin_session()
        self._counter += 1  # also when the message turns out too large: a nonce is used once
        self._blocks += blocks

    def _begin_session(self) -> None:
        self._session = self._random_bytes(16)
        self._cipher = _cipher(self._profile, self._secret, self._session, self._direction)
        self._counter = 0
        self._blocks = 0


class Opener:
    """Opens what comes from one gateway (or, at a gateway, from the centre) in one direction.

    `secrets` maps the valid key epochs, at most two, to gateway secrets; none means revoked.
    `counts` counts every reason of `Reject` and "repeat"; pass one in to go on counting.
    """

    def __init__(
        self,
        secrets: Mapping[int, bytes],
        direction: Direction,
        profile: Profile = Profile.aes_gcm,
        counts: Counter[str] | None = None,
    ) -> None:
        if len(secrets) > EPOCHS_MAX:
            raise ValueError(f"{len(secrets)} key epochs given, at most {EPOCHS_MAX} are valid")
        self._secrets = {
            _check_epoch(epoch): _of_size(secret, f"gateway secret of epoch {epoch}")
            for epoch, secret in secrets.items()
        }
        self._direction: Direction = direction
        self._profile = _built_in(profile)
        self.counts: Counter[str] = Counter() if counts is None else counts
        self._sessions: OrderedDict[tuple[int, bytes], _Session] = OrderedDict()

    def open(self, topic: str, payload: bytes) -> Opened:
        """What was sealed for `topic`; raises Rejected for the first reason that holds, counted."""
        kind, epoch, session, counter = self._read_header(topic, payload)
        entry = self._sessions.get((epoch, session))
        if entry is None:
            secret = self._secrets[epoch]
            entry = _Session(_cipher(self._profile, secret, session, self._direction))
        header, sealed = payload[: _HEADER.size], payload[_HEADER.size :]
        plaintext = entry.cipher.open(header, topic, sealed)
        if plaintext is None or counter == 0:
            raise self.refuse(Reject.bad_tag)
        repeat = self._remember(epoch, session, counter, entry)
        data = _unpack(plaintext)
        if data is None:
            raise self.refuse(Reject.bad_inflate)
        return Opened(kind, data, epoch, session, counter, repeat)

    def refuse(self, reason: Reject) -> Rejected:
        """Count a refusal and return it to be raised; callers use it for `bad_schema`."""
        self.counts[reason.value] += 1
        return Rejected(reason)

    def _read_header(self, topic: str, payload: bytes) -> tuple[Kind, int, bytes, int]:
        if len(payload) > ENVELOPE_MAX:
            raise self.refuse(Reject.too_big)
        if payload[:1] != bytes((_MAGIC,)):
            raise self.refuse(Reject.bad_magic)
        if payload[1:2] != bytes((_LAYOUT,)):
            raise self.refuse(Reject.unknown_layout)
        if payload[2:3] != bytes((self._profile,)):
            raise self.refuse(Reject.profile_not_pinned)
        epoch = int.from_bytes(payload[4:6])
        if len(payload) < 6 or epoch not in self._secrets:
            raise self.refuse(Reject.unknown_epoch)
        kind = kind_of(topic)
        if kind is None or payload[3] != kind:
            raise self.refuse(Reject.kind_not_of_topic)
        if len(payload) < _HEADER.size:
            raise self.refuse(Reject.bad_tag)
        return kind, epoch, payload[6:22], int.from_bytes(payload[22:30])

    def _remember(self, epoch: int, session: bytes, counter: int, entry: "_Session") -> bool:
        """Keep a session that proved itself; whether its counter is not newer than the highest."""
        self._sessions[epoch, session] = entry
        self._sessions.move_to_end((epoch, session))
        if len(self._sessions) > _SESSIONS_KEPT:
            self._sessions.popitem(last=False)
        repeat = counter <= entry.highest
        if repeat:
            self.counts["repeat"] += 1
        entry.highest = max(entry.highest, counter)
        return repeat


class _Cipher(Protocol):
    def seal(
        self, header: bytes, topic: str, plaintext: bytes, random_bytes: Callable[[int], bytes]
    ) -> bytes: ...

    def open(self, header: bytes, topic: str, sealed: bytes) -> bytes | None: ...


class _Session:
    """A sender's session as a receiver knows it."""

    __slots__ = ("cipher", "highest")

    def __init__(self, cipher: _Cipher) -> None:
        self.cipher = cipher
        self.highest = 0


class _AesGcm:
    """AES-256-GCM; the nonce is the header's counter, which a session never uses twice."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _at(self, header: bytes, topic: str) -> GcmMode:
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=bytes(4) + header[22:30], mac_len=_TAG)
        cipher.update(header + topic.encode())
        return cipher

    def seal(
        self,
        header: bytes,
        topic: str,
        plaintext: bytes,
        random_bytes: Callable[[int], bytes],
    ) -> bytes:
        ciphertext, tag = self._at(header, topic).encrypt_and_digest(plaintext)
        return bytes(ciphertext + tag)

    def open(self, header: bytes, topic: str, sealed: bytes) -> bytes | None:
        if len(sealed) < _TAG:
            return None
        try:
            opened = self._at(header, topic).decrypt_and_verify(sealed[:-_TAG], sealed[-_TAG:])
        except ValueError:  # the library's word for a tag that does not fit
            return None
        return bytes(opened)


class _TdesHmac:
    """3DES-CBC, then HMAC-SHA-256 over header, topic, IV and ciphertext; PKCS #7 padding."""

    def __init__(self, key: bytes) -> None:
        self._key, self._mac_key = key[:24], key[24:]

    def seal(
        self, header: bytes, topic: str, plaintext: bytes, random_bytes: Callable[[int], bytes]
    ) -> bytes:
        iv = random_bytes(_IV)
        fill = _BLOCK - len(plaintext) % _BLOCK
        padded = plaintext + bytes((fill,)) * fill
        body = iv + DES3.new(self._key, DES3.MODE_CBC, iv=iv).encrypt(padded)
        return body + self._mac(header, topic, body).digest()

    def open(self, header: bytes, topic: str, sealed: bytes) -> bytes | None:
        body, tag = sealed[:-_MAC], sealed[-_MAC:]
        if len(body) < _IV + _BLOCK or len(body) % _BLOCK:
            return None
        try:
            self._mac(header, topic, body).verify(tag)
        except ValueError:
            return None
        padded = bytes(DES3.new(self._key, DES3.MODE_CBC, iv=body[:_IV]).decrypt(body[_IV:]))
        fill = padded[-1]
        if not 1 <= fill <= _BLOCK or padded[-fill:] != bytes((fill,)) * fill:
            return None
        return padded[:-fill]

    def _mac(self, header: bytes, topic: str, body: bytes) -> HMAC.HMAC:
        return HMAC.new(self._mac_key, header + topic.encode() + body, digestmod=SHA256)


def _cipher(profile: Profile, secret: bytes, session: bytes, direction: Direction) -> _Cipher:
    info = f"wattledger1 {direction}|{profile.value}"
    if profile is Profile.tdes_hmac:
        return _TdesHmac(_derive(secret, 24 + 32, session, info))
    return _AesGcm(_derive(secret, 32, session, info))


def _derive(secret: bytes, size: int, salt: bytes, info: str) -> bytes:
    key = HKDF(secret, size, salt, SHA256, context=info.encode())
    assert isinstance(key, bytes)
    return key


def _pack(data: bytes) -> bytes:
    deflated = zlib.compress(data)
    return _DEFLATED + deflated if len(deflated) < len(data) else _PLAIN + data


def _unpack(plaintext: bytes) -> bytes | None:
    flag, packed = plaintext[:1], plaintext[1:]
    if flag == _PLAIN:
        return packed
    if flag != _DEFLATED:
        return None
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(packed, INFLATED_MAX)
    except zlib.error:
        return None
    # an end not reached means more than fits, or a stream cut short; leftovers are not ours
    return data if inflater.eof and not inflater.unused_data else None


def _of_size(secret: bytes, name: str) -> bytes:
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"the {name} has {len(secret)} bytes, {SECRET_BYTES} are needed")
    return secret


def _check_epoch(epoch: int) -> int:
    if not 0 <= epoch < 2**16:
        raise ValueError(f"key epoch {epoch} does not fit 16 bits")
    return epoch


def _built_in(profile: Profile) -> Profile:
    if profile is Profile.sm4_gcm:
        raise ValueError("profile 3 (SM4-GCM) is reserved: no cipher for it is built in")
    return Profile(profile)
