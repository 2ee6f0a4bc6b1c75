"""What a meter type is, as data: where its registers are, what they mean, how its relay is moved.

A profile is a TOML file. Every row of its register table carries a confidence and a source,
because most of these maps are gathered from several places rather than from one manual:
A = a page of the vendor's manual, B = two independent sources, C = one source, D = inference.
This module knows no serial port and no Modbus frame.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from domain.readings import Limits
from domain.supply import Relay
from edge.meters.file_faults import Fault, FileFaultsError, of_validation, read_toml
from edge.meters.profile_file import Kind, ProfileFile, RowTable, cross_check

WORD_COUNT: Mapping[Kind, int] = {
    "u16": 1,
    "i16": 1,
    "u32": 2,
    "i32": 2,
    "u8hi": 1,
    "u8lo": 1,
    "bit": 1,
    "bcd6": 3,
}


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive registers read by one request: Modbus function, first address, word count."""

    function: int
    address: int
    words: int


@dataclass(frozen=True, slots=True)
class Row:
    """One value in the register space.

    `value = raw × scale`, in the unit that ends the field's name; `bit` counts from 0 and matters
    to the kind "bit" only. Words are big-endian, the high word first.
    """

    field: str
    address: int
    kind: Kind
    scale: int
    bit: int
    confidence: str
    source: str

    @property
    def words(self) -> int:
        return WORD_COUNT[self.kind]


@dataclass(frozen=True, slots=True)
class Serial:
    """How the meter's port is set when it leaves the factory."""

    baud: int
    parity: Literal["none", "even", "odd"]
    stop_bits: int


@dataclass(frozen=True, slots=True)
class RelayCommand:
    """The write that moves the relay, and what proves that it moved.

    `function` writes the words to `address` in one request. Reading the same registers back only
    proves that the command arrived. `proof` is "bit" where the poll block shows the contact, and
    "energy" where power and energy of two polls have to tell (`snapshot.prove_over_two_polls`).
    """

    function: int
    address: int
    trip: tuple[int, ...]
    hold_on: tuple[int, ...]
    prepaid: tuple[int, ...]
    restore: tuple[int, ...]  # what 'on' means for this type: hold_on or prepaid
    proof: Literal["bit", "energy"]
    confidence: str
    source: str

    def words_for(self, wanted: Relay) -> tuple[int, ...]:
        """The words that command this position; ValueError for an unknown position."""
        if wanted is Relay.unknown:
            raise ValueError("an unknown position cannot be commanded")
        return self.trip if wanted is Relay.open else self.restore


@dataclass(frozen=True, slots=True)
class Purchase:
    """The vendor's recharge write: amount (u32, fen) and the new purchase count (u16).

    The reply of `reply_bytes` holds a status byte. Nothing feeds meters yet; a meter that counts
    down by itself will.
    """

    function: int
    address: int
    words: int
    reply_bytes: int
    accepted: int
    repeat: int
    wrong_count: int
    confidence: str
    source: str


@dataclass(frozen=True)
class Profile:
    """A meter type. `spaces` are the register ranges (first, count) that the type answers at all.

    `blocks` always has poll, identity, own_prepaid and force, and no two are equally long, so that
    a late reply to one is never taken for another's.
    """

    name: str
    model: str
    title: str
    type_code: int | None
    ledger: Literal["gateway"]
    serial: Serial
    limits: Limits
    blocks: Mapping[str, Block]
    rows: tuple[Row, ...]
    spaces: tuple[tuple[int, int], ...]
    relay: RelayCommand
    purchase: Purchase | None
    _readers: Mapping[str, tuple[tuple[str, "_Reader"], ...]]

    @property
    def poll(self) -> Block:
        """The block read on every poll."""
        return self.blocks["poll"]

    @property
    def identity(self) -> Block:
        """The block that holds the meter number (`snapshot.meter_number`)."""
        return self.blocks["identity"]

    @property
    def own_prepaid(self) -> Block:
        """The block that tells whether the meter's own prepaid control 费控 is off."""
        return self.blocks["own_prepaid"]

    @property
    def force(self) -> Block:
        """The register pair of the forced relay state, as commanded (not the contact)."""
        return self.blocks["force"]

    def decode(self, block_name: str, registers: Sequence[int]) -> dict[str, int | str]:
        """Every field that lies in a block, from that block's registers, in the fields' units.

        Raises KeyError for a block the profile does not have and ValueError where the number of
        registers is not the block's, or a meter number has digits above 9.
        """
        words = self.blocks[block_name].words
        if len(registers) != words:
            raise ValueError(f"{block_name}: {len(registers)} registers, expected {words}")
        return {field: read(registers) for field, read in self._readers[block_name]}


_Reader = Callable[[Sequence[int]], int | str]


def default_directory() -> Path:
    """Where the profiles that come with the software are."""
    return Path(__file__).parent


def load(path: Path) -> Profile:
    """The profile in a TOML file; raises FileFaultsError naming every fault with file and key."""
    try:
        table = ProfileFile.model_validate(read_toml(path))
    except ValidationError as error:
        raise FileFaultsError(of_validation(path, error)) from error
    faults = [Fault(str(path), *one) for one in cross_check(table, WORD_COUNT)]
    if faults:
        raise FileFaultsError(faults)
    return _built(table)


def load_all(directory: Path) -> dict[str, Profile]:
    """All profiles of a directory by name; raises FileFaultsError with every file's faults."""
    profiles: dict[str, Profile] = {}
    faults: list[Fault] = []
    for path in sorted(directory.glob("*.toml")):
        try:
            profile = load(path)
        except FileFaultsError as error:
            faults += error.faults
            continue
        if profile.name in profiles:
            faults.append(Fault(str(path), "name", "名称重复", f"{profile.name} is taken already"))
        profiles[profile.name] = profile
    if not profiles and not faults:
        faults.append(Fault(str(directory), "", "没有仪表类型文件", "no profile (*.toml) here"))
    if faults:
        raise FileFaultsError(faults)
    return profiles


def _built(table: ProfileFile) -> Profile:
    blocks = {name: Block(b.function, b.address, b.words) for name, b in table.blocks.items()}
    rows = tuple(_row(row) for row in table.rows)
    relay = table.relay
    pair = {"hold_on": relay.hold_on, "prepaid": relay.prepaid}
    return Profile(
        name=table.name,
        model=table.model,
        title=table.title,
        type_code=table.type_code,
        ledger="gateway",
        serial=Serial(table.serial.baud, table.serial.parity, table.serial.stop_bits),
        limits=Limits(table.limits.modulus_wh, table.limits.step_wh, table.limits.p_max_w),
        blocks=blocks,
        rows=rows,
        spaces=tuple((space.first, space.count) for space in table.spaces),
        relay=RelayCommand(
            function=relay.function,
            address=relay.address,
            trip=relay.trip,
            hold_on=relay.hold_on,
            prepaid=relay.prepaid,
            restore=pair[relay.restore],
            proof=relay.proof,
            confidence=relay.confidence,
            source=relay.source,
        ),
        purchase=Purchase(**table.purchase.model_dump()) if table.purchase else None,
        _readers={name: _readers(rows, block) for name, block in blocks.items()},
    )


def _row(row: RowTable) -> Row:
    return Row(row.field, row.at, row.kind, row.scale, row.bit, row.confidence, row.source)


def _readers(rows: Sequence[Row], block: Block) -> tuple[tuple[str, _Reader], ...]:
    end = block.address + block.words
    return tuple(
        (row.field, _reader(row, row.address - block.address))
        for row in rows
        if block.address <= row.address and row.address + row.words <= end
    )


def _reader(row: Row, at: int) -> _Reader:
    scale, bit = row.scale, row.bit
    match row.kind:
        case "u16":
            return lambda words: words[at] * scale
        case "i16":
            return lambda words: _signed(words[at], 16) * scale
        case "u32":
            return lambda words: (words[at] << 16 | words[at + 1]) * scale
        case "i32":
            return lambda words: _signed(words[at] << 16 | words[at + 1], 32) * scale
        case "u8hi":
            return lambda words: (words[at] >> 8) * scale
        case "u8lo":
            return lambda words: (words[at] & 0xFF) * scale
        case "bit":
            return lambda words: words[at] >> bit & 1
        case "bcd6":
            return lambda words: _bcd(words[at : at + 3])


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def _bcd(words: Sequence[int]) -> str:
    digits = "".join(f"{word:04x}" for word in words)
    if not digits.isdecimal():
        raise ValueError(f"meter number {digits} is not made of decimal digits")
    return digits
