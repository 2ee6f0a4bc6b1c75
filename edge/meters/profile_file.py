"""The shape of a profile's TOML file, and what must agree between its parts."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Kind = Literal["u16", "i16", "u32", "i32", "u8hi", "u8lo", "bit", "bcd6"]
Confidence = Literal["A", "B", "C", "D"]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Positive = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Text = Annotated[str, Field(min_length=1)]
# TOML has lists only; strictness elsewhere (no text for numbers) stays
Words = Annotated[
    tuple[Word, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]

# what each block must tell; everything else in it is a bonus
NEEDED: Mapping[str, tuple[str, ...]] = {
    "poll": ("register_wh", "voltage_dv", "current_ca", "power_w", "pf_milli"),
    "identity": ("meter_number",),
    "own_prepaid": ("own_prepaid_on",),
    "force": ("force_on", "force_open"),
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SerialTable(_Table):
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400]
    parity: Literal["none", "even", "odd"]
    stop_bits: Literal[1, 2]


class LimitsTable(_Table):
    modulus_wh: Positive
    step_wh: Positive
    p_max_w: Positive


class BlockTable(_Table):
    function: Literal[3, 4]
    address: Word
    words: Annotated[int, Field(ge=1, le=125)]


class SpaceTable(_Table):
    first: Word
    count: Positive


class RowTable(_Table):
    field: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    at: Word
    kind: Kind
    scale: Positive = 1
    bit: Annotated[int, Field(ge=0, le=15)] = 0
    confidence: Confidence
    source: Text


class RelayTable(_Table):
    function: Literal[16]
    address: Word
    trip: Words
    hold_on: Words
    prepaid: Words
    restore: Literal["hold_on", "prepaid"]
    proof: Literal["bit", "energy"]
    confidence: Confidence
    source: Text


class PurchaseTable(_Table):
    function: Annotated[int, Field(ge=1, le=127)]
    address: Word
    words: Positive
    reply_bytes: Positive
    accepted: Annotated[int, Field(ge=0, le=255)]
    repeat: Annotated[int, Field(ge=0, le=255)]
    wrong_count: Annotated[int, Field(ge=0, le=255)]
    confidence: Confidence
    source: Text


class ProfileFile(_Table):
    name: Name
    model: Text
    title: Text
    type_code: Word | None = None
    ledger: Literal["gateway", "meter"]
    serial: SerialTable
    limits: LimitsTable
    blocks: dict[str, BlockTable]
    sources: dict[str, Text]
    spaces: Annotated[list[SpaceTable], Field(min_length=1)]
    rows: Annotated[list[RowTable], Field(min_length=1)]
    relay: RelayTable
    purchase: PurchaseTable | None = None


Finding = tuple[str, str, str]  # key, zh, en


def cross_check(table: ProfileFile, word_count: Mapping[Kind, int]) -> list[Finding]:
    """What is wrong between the parts of a file that is right in each of its parts."""
    return [
        *_ledger(table),
        *_blocks(table, word_count),
        *_rows(table, word_count),
        *_relay(table, word_count),
        *_sources(table),
    ]


def _ledger(table: ProfileFile) -> Iterator[Finding]:
    if table.ledger == "meter":
        yield (
            "ledger",
            "尚不支持由电表自行扣费的类型",
            "meters that count the money down themselves are not supported yet; use 'gateway'",
        )
    if table.limits.modulus_wh % table.limits.step_wh:
        yield "limits.modulus_wh", "应为步长的整数倍", "is not a multiple of step_wh"


def _blocks(table: ProfileFile, word_count: Mapping[Kind, int]) -> Iterator[Finding]:
    lengths: dict[int, str] = {}
    for name, block in table.blocks.items():
        if block.words in lengths:
            yield (
                f"blocks.{name}.words",
                f"与 {lengths[block.words]} 等长，迟到的应答会被认错",
                f"is as long as {lengths[block.words]}: a late reply could be taken for it",
            )
        lengths.setdefault(block.words, name)
        if not _answered(table, block.address, block.words):
            yield f"blocks.{name}.address", "超出电表应答的范围", "lies outside every space"
    for name, needed in NEEDED.items():
        if name not in table.blocks:
            yield f"blocks.{name}", "缺少此项", "is missing"
            continue
        have = _fields_of(table, name, word_count)
        for field in needed:
            if field not in have:
                yield f"blocks.{name}", f"其中没有 {field}", f"holds no row {field}"
        for field in sorted({one for one in have if have.count(one) > 1}):
            yield f"blocks.{name}", f"{field} 出现两次", f"holds {field} twice"


def _fields_of(table: ProfileFile, name: str, word_count: Mapping[Kind, int]) -> list[str]:
    block = table.blocks[name]
    end = block.address + block.words
    return [
        row.field
        for row in table.rows
        if block.address <= row.at and row.at + word_count[row.kind] <= end
    ]


def _answered(table: ProfileFile, first: int, words: int) -> bool:
    return any(s.first <= first and first + words <= s.first + s.count for s in table.spaces)


def _rows(table: ProfileFile, word_count: Mapping[Kind, int]) -> Iterator[Finding]:
    for n, row in enumerate(table.rows):
        if not _answered(table, row.at, word_count[row.kind]):
            yield f"rows.{n}.at", "超出电表应答的范围", f"{row.at:04X}h lies outside every space"
        if (row.field == "meter_number") != (row.kind == "bcd6"):
            yield f"rows.{n}.kind", "只有表号用 bcd6", "bcd6 is for meter_number, and only for it"
        if row.field == "register_wh" and row.scale != table.limits.step_wh:
            yield f"rows.{n}.scale", "应与 limits.step_wh 相同", "differs from limits.step_wh"


def _relay(table: ProfileFile, word_count: Mapping[Kind, int]) -> Iterator[Finding]:
    relay = table.relay
    for key in ("hold_on", "prepaid"):
        if len(getattr(relay, key)) != len(relay.trip):
            yield f"relay.{key}", "与 trip 长度不同", "is not as long as trip"
    proves = "poll" in table.blocks and "relay_closed" in _fields_of(table, "poll", word_count)
    if relay.proof == "bit" and not proves:
        yield "relay.proof", "poll 中没有 relay_closed", "'bit' needs relay_closed in blocks.poll"


def _sources(table: ProfileFile) -> Iterator[Finding]:
    cited = [(f"rows.{n}.source", row.source) for n, row in enumerate(table.rows)]
    cited.append(("relay.source", table.relay.source))
    if table.purchase:
        cited.append(("purchase.source", table.purchase.source))
    for key, text in cited:
        for name in text.split():
            if name not in table.sources:
                yield key, f"sources 中没有 {name}", f"{name} is not among sources"
