"""The kinds of value that travel: integers every JSON reader keeps, ids, short words, and columns.

Every message is a frozen model that refuses what it does not know. A sequence is accepted as a JSON
array or as any Python sequence and kept as a tuple; scalars are never coerced.
"""

from collections.abc import Sequence, Sized
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.units import INT_MAX

PROTOCOL_VERSION = 1  # `v` of every batch, live, pulse, watermark and intent
CHAIN_START = "0" * 32  # chain before the first fact of a journal

Int = Annotated[int, Field(strict=True, ge=-INT_MAX, le=INT_MAX)]
Natural = Annotated[int, Field(strict=True, ge=0, le=INT_MAX)]
Positive = Annotated[int, Field(strict=True, ge=1, le=INT_MAX)]
U16 = Annotated[int, Field(strict=True, ge=0, le=2**16 - 1)]
U32 = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
Millis = Natural  # UTC milliseconds since 1970, or milliseconds since a start
Seq = Positive  # number of a fact in its journal; the first fact is 1
Count = Natural
Flag = Annotated[bool, Field(strict=True)]

Id = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9-]{1,40}$")]
MeterId = Annotated[str, Field(strict=True, pattern=r"^[0-9A-Za-z-]{1,40}$")]
Word = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9_.:-]{1,80}$")]  # a code, not prose
Text = Annotated[str, Field(strict=True, max_length=500)]  # for people; may be empty
Chain = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{32}$")]
Digest = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
TrustLevel = Annotated[int, Field(strict=True, ge=0, le=3)]  # domain.instants.Trust
Version = Annotated[int, Field(strict=True, ge=1, le=1000)]  # of the protocol

Column = Annotated[tuple[Int, ...], Field(min_length=1)]
Naturals = Annotated[tuple[Natural, ...], Field(min_length=1)]
U16s = Annotated[tuple[U16, ...], Field(min_length=1)]
Ids = Annotated[tuple[Id, ...], Field(min_length=1)]
MeterIds = Annotated[tuple[MeterId, ...], Field(min_length=1)]


class Wire(BaseModel):
    """A message or a piece of one: frozen, exact, spelled on the wire by its aliases."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class Columns(Wire):
    """Rows kept as columns: every column named in `columns` has the same length (or is null)."""

    columns: ClassVar[Sequence[str]]

    @model_validator(mode="after")
    def _rows_agree(self) -> "Columns":
        lengths = {
            name: len(column)
            for name in self.columns
            if isinstance(column := getattr(self, name), Sized)
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}")
        return self
