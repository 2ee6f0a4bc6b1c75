"""Live, pulse and watermark: the picture now, the heartbeat, and how far the books reach.

None of them is journalled. Each `decode_…` raises ValueError for what is not one.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.supply import Relay, State
from domain.wire.fields import (
    PROTOCOL_VERSION,
    U16,
    U32,
    Chain,
    Count,
    Digest,
    Flag,
    Id,
    Int,
    Millis,
    Natural,
    Text,
    TrustLevel,
    Version,
    Wire,
    Word,
)  # fmt: skip


class Message(Wire):
    """A message with the version of the protocol it is written in."""

    v: Version = PROTOCOL_VERSION

    def encode(self) -> bytes:
        """JSON bytes to seal."""
        return self.model_dump_json().encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The message in `data`; unknown fields pass only in a later `v`. Raises ValueError."""
        later = _Versioned.model_validate_json(data).v > PROTOCOL_VERSION
        extra: Literal["ignore", "forbid"] = "ignore" if later else "forbid"
        return cls.model_validate_json(data, extra=extra, by_alias=True, by_name=False)


class _Versioned(Wire, extra="ignore"):
    v: Version


class LivePoint(Wire):
    """A point as it is now. Null: not known (never read, no meter that measures it, no purse).

    Units: total Wh, power W, power factor %, available ticks. `alarms` are the standing codes.
    """

    point_id: Id
    at_ms: Millis | None
    total_wh: Natural | None
    power_w: Int | None
    pf_pct: Annotated[int, Field(strict=True, ge=-100, le=100)] | None
    available_ticks: Int | None
    relay: Relay
    supply: State
    alarms: tuple[Word, ...]
    version: Natural | None  # of the purse's credit intent held
    count: Count | None  # of the purse


class Live(Message):
    """The picture of a cycle: all points when `full`, else those that changed. Last one wins."""

    boot: U32
    cycle: Natural
    full: Flag
    points: tuple[LivePoint, ...]


class Pulse(Message):
    """The heartbeat. `profile` is the envelope's; `intents_digest` see `intents.digest`."""

    journal_id: Id
    head_seq: Natural
    held_seq: Natural
    boot: U32
    trust: TrustLevel
    at_ms: Millis
    intents_digest: Digest
    software: Text
    profile: U16
    disk_free_mib: Natural


class Watermark(Message):
    """The books hold a journal up to `held_seq`, a verified backup up to `safe_seq`."""

    journal_id: Id
    books_epoch: Natural
    held_seq: Natural
    safe_seq: Natural
    chain: Chain
    centre_at_ms: Millis

    @model_validator(mode="after")
    def _safe_is_held(self) -> Self:
        if self.safe_seq > self.held_seq:
            raise ValueError(f"safe_seq {self.safe_seq} is beyond held_seq {self.held_seq}")
        return self


def decode_live(data: bytes) -> Live:
    return Live.decode(data)


def decode_pulse(data: bytes) -> Pulse:
    return Pulse.decode(data)


def decode_watermark(data: bytes, journal_id: str) -> Watermark:
    """A watermark from the topic of `journal_id`; raises ValueError, also for another journal's."""
    watermark = Watermark.decode(data)
    if watermark.journal_id != journal_id:
        raise ValueError(f"journal {watermark.journal_id} on the topic of {journal_id}")
    return watermark
