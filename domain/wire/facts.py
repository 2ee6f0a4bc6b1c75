"""Facts: what a building saw or did, numbered once in its journal, in the words of the wire.

A batch is read in two steps: its frame strictly, each fact on its own, so that one bad or unknown
fact can be set aside while the rest goes on. The chain runs over canonical text.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import from_json

from domain.supply import Relay, State
from domain.tariff import Rate
from domain.wire.fields import (
    PROTOCOL_VERSION,
    U16,
    U32,
    Chain,
    Column,
    Columns,
    Count,
    Flag,
    Id,
    Ids,
    Int,
    MeterId,
    MeterIds,
    Millis,
    Natural,
    Naturals,
    Positive,
    Seq,
    Text,
    TrustLevel,
    U16s,
    Version,
    Wire,
    Word,
)  # fmt: skip

BATCH_FACTS_MAX = 200
BATCH_TEXT_MAX = 256 * 1024  # bytes of canonical text of the facts of one batch
FACT_TEXT_MAX = 100_000  # of one fact: what a gateway writes must always fit in an envelope

Severity = Literal["info", "warning", "critical"]
IntentKind = Literal[
    "installation", "tariff", "calendar", "policy", "credit", "supply", "text", "keys"
]
Quality = Annotated[str, Field(strict=True, pattern=r"^(good|suspect:[a-z_]{1,40})$")]
RateNumber = Annotated[int, Field(strict=True, ge=min(Rate), le=max(Rate))]


class Stamped(Wire):
    """Its number in the journal and its stamp: UTC ms, trust 0–3, boot, ms since that boot."""

    seq: Seq
    at_ms: Millis
    trust: TrustLevel
    boot: U32
    mono_ms: Millis


class JournalOpened(Stamped):
    """A new series of facts begins."""

    kind: Literal["journal_opened"] = "journal_opened"
    previous_journal_id: Id | None
    reason: Literal["first", "replaced", "rolled_back"]
    software: Text
    snapshot_version: Natural | None


class ClockSet(Stamped):
    """The clock was set; `before_ms` is what it said. Lets both sides re-date facts of the boot."""

    kind: Literal["clock_set"] = "clock_set"
    source: Literal["ntp", "centre", "meter", "floor"]
    before_ms: Millis
    trust_before: TrustLevel


class Readings(Stamped, Columns):
    """Registers as read, one row a meter. `total_wh` is the unwrapped register."""

    columns: ClassVar[Sequence[str]] = (
        "point_id", "meter_id", "incarnation", "register_wh", "total_wh", "rate_wh",
        "meter_balance_fen", "meter_count", "quality",
    )  # fmt: skip
    kind: Literal["readings"] = "readings"
    purpose: Literal["interval", "boundary", "evidence", "opening", "final"]
    point_id: Ids
    meter_id: MeterIds
    incarnation: U16s
    register_wh: Naturals
    total_wh: Naturals
    rate_wh: tuple[tuple[Natural, ...] | None, ...] | None
    meter_balance_fen: tuple[Int | None, ...] | None
    meter_count: tuple[Count | None, ...]
    quality: tuple[Quality, ...]


@dataclass(frozen=True, slots=True)
class ChargePart:
    """Energy at one price: Wh, 10⁻⁴ yuan/kWh; `tier` counts from 0."""

    # Every row has one, and a model takes three times as long to read.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    rate: RateNumber
    tier: Natural
    wh: Positive
    price_e4: Natural
    estimated: Flag


class Charges(Stamped, Columns):
    """What energy was charged, one row a meter; `charged_ticks` is the purse's total after it."""

    columns: ClassVar[Sequence[str]] = (
        "purse_id", "point_id", "meter_id", "incarnation", "from_wh", "to_wh", "from_ms", "to_ms",
        "parts", "tariff_version", "ticks", "charged_ticks",
    )  # fmt: skip
    kind: Literal["charges"] = "charges"
    purse_id: Ids
    point_id: Ids
    meter_id: MeterIds
    incarnation: U16s
    from_wh: Naturals
    to_wh: Naturals
    from_ms: Naturals
    to_ms: Naturals
    parts: tuple[Annotated[tuple[ChargePart, ...], Field(min_length=1)], ...]
    tariff_version: Naturals
    ticks: Naturals
    charged_ticks: Column


class ChargeCorrected(Stamped):
    """A charge row of an earlier fact put right by signed `ticks`."""

    kind: Literal["charge_corrected"] = "charge_corrected"
    corrects_seq: Seq
    row: Natural
    purse_id: Id
    ticks: Int
    charged_ticks: Int
    reason: Word


class MeterSeen(Stamped):
    """A device at a point, or a device whose register starts again."""

    kind: Literal["meter_seen"] = "meter_seen"
    point_id: Id
    meter_id: MeterId
    incarnation: U16
    profile: Text
    reason: Literal["first", "swap", "reset", "ct"]
    last_total_wh: Natural | None
    opening_wh: Natural


class SupplyDecided(Stamped):
    """A change of supply, with the readings it stands on. Committed before the relay moves."""

    kind: Literal["supply_decided"] = "supply_decided"
    point_id: Id
    from_: State = Field(alias="from")
    to: State
    reason: Word
    evidence_seq: tuple[Seq, ...]
    available_ticks: Int | None
    policy_version: Natural


class RelayResult(Stamped):
    """What a relay was told, and what was read back. `decided_seq` 0: no decision stands behind."""

    kind: Literal["relay_result"] = "relay_result"
    point_id: Id
    wanted: Relay
    seen: Relay
    tries: Natural
    command_id: Id | None
    decided_seq: Natural


class IntentTaken(Stamped):
    """An intent is held, or refused for `reason` (empty when held)."""

    kind: Literal["intent_taken"] = "intent_taken"
    intent_kind: IntentKind
    key: Id
    version: Natural
    outcome: Literal["held", "refused"]
    reason: Text


class CreditTaken(Stamped):
    """A purse as it stands after an intent, a code, or a snapshot."""

    kind: Literal["credit_taken"] = "credit_taken"
    purse_id: Id
    version: Natural | None
    count: Count
    granted_fen: Int
    source: Literal["intent", "code", "snapshot"]


class ReservationAnswered(Stamped):
    """The one answer to a reservation, and what was available after it."""

    kind: Literal["reservation_answered"] = "reservation_answered"
    purse_id: Id
    reservation_id: Id
    accepted: Flag
    available_ticks: Int


class Feed(Stamped):
    """A step of bringing a meter that keeps money to what was granted."""

    kind: Literal["feed"] = "feed"
    purse_id: Id
    point_id: Id
    state: Literal["started", "done", "retried", "frozen"]
    register_before: Count
    register_after: Count | None
    fen: Int
    fed_fen: Int
    meter_balance_before_fen: Int | None
    meter_balance_after_fen: Int | None


class PurseClosed(Stamped):
    """The gateway charges nothing to this purse after `final_seq`."""

    kind: Literal["purse_closed"] = "purse_closed"
    purse_id: Id
    final_seq: Seq
    granted_fen: Int
    charged_ticks: Int


class AlarmRaised(Stamped):
    """Something that a person should know. `subject_id`: a point, a bus, a purse, the gateway."""

    kind: Literal["alarm_raised"] = "alarm_raised"
    alarm_id: Id
    code: Word
    subject_id: Id
    severity: Severity
    detail: Text


class AlarmCleared(Stamped):
    """The same alarm is over."""

    kind: Literal["alarm_cleared"] = "alarm_cleared"
    alarm_id: Id
    code: Word
    subject_id: Id
    severity: Severity
    detail: Text


class SettingsApplied(Stamped):
    """What became of a setting meant for a meter."""

    kind: Literal["settings_applied"] = "settings_applied"
    point_id: Id
    what: Word
    version: Natural
    outcome: Literal["applied", "refused", "pending"]


class TextAttempt(Stamped):
    """A step of sending a text message."""

    kind: Literal["text_attempt"] = "text_attempt"
    text_id: Id
    attempt: Positive
    state: Literal["sending", "sent", "delivered", "failed", "uncertain"]


class BusHealth(Stamped, Columns):
    """An hour of one bus, one row a point: answers and misses, reply times (null: none came)."""

    columns: ClassVar[Sequence[str]] = ("point_id", "good", "bad", "p50_ms", "p99_ms")
    kind: Literal["bus_health"] = "bus_health"
    bus_id: Id
    point_id: Ids
    good: Naturals
    bad: Naturals
    p50_ms: tuple[Natural | None, ...]
    p99_ms: tuple[Natural | None, ...]


class IntervalMissing(Stamped):
    """An interval that ended without a reading."""

    kind: Literal["interval_missing"] = "interval_missing"
    point_id: Id
    from_ms: Millis
    to_ms: Millis
    reason: Word


Fact = Annotated[
    JournalOpened | ClockSet | Readings | Charges | ChargeCorrected | MeterSeen | SupplyDecided
    | RelayResult | IntentTaken | CreditTaken | ReservationAnswered | Feed | PurseClosed
    | AlarmRaised | AlarmCleared | SettingsApplied | TextAttempt | BusHealth | IntervalMissing,
    Field(discriminator="kind"),
]  # fmt: skip

_FACT: TypeAdapter[Fact] = TypeAdapter(Fact)


class _Frame(Wire):
    v: Version
    journal_id: Id
    first_seq: Seq
    chain_before: Chain
    facts: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=BATCH_FACTS_MAX)]


class Batch(Wire):
    """A run of facts of one journal without gaps, as a reader that knows every kind sees it."""

    v: Version = PROTOCOL_VERSION
    journal_id: Id
    first_seq: Seq
    chain_before: Chain
    facts: Annotated[tuple[Fact, ...], Field(min_length=1, max_length=BATCH_FACTS_MAX)]


@dataclass(frozen=True, slots=True)
class RawFact:
    """A fact as it came: its number and kind, its canonical text, and the chain after it."""

    seq: int
    kind: str
    raw: dict[str, Any]
    text: str
    chain: str


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A batch whose frame is sound; each fact is still to be read by `parse_fact`."""

    v: int
    journal_id: str
    first_seq: int
    chain_before: str
    facts: tuple[RawFact, ...]

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.facts) - 1

    @property
    def chain_after(self) -> str:
        return self.facts[-1].chain


def parse_fact(raw: Mapping[str, Any], v: int = PROTOCOL_VERSION) -> Fact:
    """One fact; raises pydantic.ValidationError. Unknown fields pass only in a later `v`."""
    extra: Literal["ignore", "forbid"] = "ignore" if v > PROTOCOL_VERSION else "forbid"
    return _FACT.validate_python(raw, extra=extra, by_alias=True, by_name=False)


def known_kinds() -> tuple[str, ...]:
    """Every kind of fact that this version can read."""
    return tuple(_FACT.json_schema()["discriminator"]["mapping"])


def canonical(fact: Fact | Mapping[str, Any]) -> str:
    """The text that is chained: keys sorted, no blanks, no ASCII escaping."""
    content = fact.model_dump() if isinstance(fact, Wire) else fact
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def chain(before: str, text: str) -> str:
    """The chain after a fact: first 16 bytes of SHA-256(chain before ‖ text), as 32 hex digits."""
    return hashlib.sha256(bytes.fromhex(before) + text.encode()).hexdigest()[:32]


def how_many(texts: Sequence[str]) -> int:
    """How many of these canonical texts one batch may carry, from the first (at least one)."""
    size = 0
    for n, text in enumerate(texts[:BATCH_FACTS_MAX]):
        size += len(text.encode())
        if n and size > BATCH_TEXT_MAX:
            return n
    return min(len(texts), BATCH_FACTS_MAX)


def encode_batch(
    *, journal_id: str, first_seq: int, chain_before: str, texts: Sequence[str]
) -> bytes:
    """A batch of facts already in canonical text, as bytes to seal."""
    return (
        f'{{"v":{PROTOCOL_VERSION},"journal_id":"{journal_id}","first_seq":{first_seq},'
        f'"chain_before":"{chain_before}","facts":[{",".join(texts)}]}}'
    ).encode()


def parse_batch(data: bytes) -> RawBatch:
    """The frame of a batch, checked; raises ValueError where it is not one.

    The numbers of its facts must follow one another; what else they hold is not looked at here.
    """
    try:
        content = from_json(data, allow_inf_nan=False)
        later = isinstance(content, dict) and _later(content.get("v"))
        frame = _Frame.model_validate(content, extra="ignore" if later else "forbid")
        facts = _raw_facts(frame)
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault
    if sum(len(fact.text.encode()) for fact in facts) > BATCH_TEXT_MAX:
        raise ValueError(f"more than {BATCH_TEXT_MAX} bytes of facts in one batch")
    return RawBatch(frame.v, frame.journal_id, frame.first_seq, frame.chain_before, facts)


def _raw_facts(frame: _Frame) -> tuple[RawFact, ...]:
    facts: list[RawFact] = []
    link = frame.chain_before
    for seq, raw in enumerate(frame.facts, frame.first_seq):
        kind, numbered = raw.get("kind"), raw.get("seq")
        if type(numbered) is not int or numbered != seq:
            raise ValueError(f"fact {seq} is numbered {numbered!r}")
        if not isinstance(kind, str):
            raise ValueError(f"fact {seq} has no kind")
        text = canonical(raw)
        link = chain(link, text)
        facts.append(RawFact(seq, kind, raw, text, link))
    return tuple(facts)


def _later(v: object) -> bool:
    return type(v) is int and v > PROTOCOL_VERSION
