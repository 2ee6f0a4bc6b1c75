"""Intents: what the centre wants to be true, absolute and versioned, and their way into the rules.

An intent is read in two steps: its frame, then its body by kind, so that a gateway can name the
intent that it refuses.
"""

import hashlib
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from domain import credit, tariff
from domain.supply import Mode
from domain.wire.facts import IntentKind, RateNumber
from domain.wire.fields import (
    PROTOCOL_VERSION,
    U16,
    Count,
    Flag,
    Id,
    Int,
    MeterId,
    Millis,
    Natural,
    Positive,
    Text,
    Wire,
    Word,
)  # fmt: skip
from domain.wire.messages import Message

_EPOCH_SHIFT = 2**32

Minute = Annotated[int, Field(strict=True, ge=0, le=1440)]  # after local midnight
DayType = Literal["workday", "weekend", "holiday"]
Day = Annotated[str, Field(strict=True, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Bus(Wire):
    """A serial line of the gateway."""

    bus_id: Id
    port: Text
    baud: Positive
    parity: Literal["N", "E", "O"]


class Place(Wire):
    """A point: which meter hangs where, for whom, at which price. `pt`, `ct`: ratios ≥ 1."""

    point_id: Id
    meter_id: MeterId
    incarnation: U16
    bus_id: Id
    address: Annotated[int, Field(strict=True, ge=1, le=247)]
    profile: Text
    purse_id: Id | None
    circuit: Text
    tariff_id: Id
    policy_id: Id
    pt: Positive
    ct: Positive


class InstallationBody(Wire):
    """Everything that hangs on a gateway, and local time for at least 400 days."""

    utc_offsets: Annotated[tuple[tuple[Int, Int], ...], Field(min_length=1)]  # (from_ms, minutes)
    buses: tuple[Bus, ...]
    points: tuple[Place, ...]

    @model_validator(mode="after")
    def _offsets_ascend(self) -> Self:
        starts = [from_ms for from_ms, _ in self.utc_offsets]
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError("utc_offsets do not ascend")
        return self


class TariffBody(Wire):
    """A price table. `price_e4[i][tier]` is the price of `rates[i]`, in 10⁻⁴ yuan/kWh.

    `day_types` holds per type of day the slots (start_min, rate) from midnight on. `steps_wh` are
    the upper ends of all tiers but the last.
    """

    effective_from_ms: Millis
    rates: Annotated[tuple[RateNumber, ...], Field(min_length=1)]
    day_types: dict[DayType, tuple[tuple[Minute, RateNumber], ...]]
    price_e4: tuple[tuple[Natural, ...], ...]
    steps_wh: tuple[Positive, ...]
    period: Literal["month", "year"]
    allowance_wh: Natural = 0
    carry_over: Flag = False

    @model_validator(mode="after")
    def _prices_fit(self) -> Self:
        if len(set(self.rates)) != len(self.rates) or len(self.price_e4) != len(self.rates):
            raise ValueError("price_e4 needs one row for each of the rates, each named once")
        if any(len(row) != len(self.steps_wh) + 1 for row in self.price_e4):
            raise ValueError("each row of price_e4 needs one price more than there are steps")
        return self

    @classmethod
    def of(cls, table: tariff.Tariff) -> Self:
        """The body that carries a price table of the rules."""
        rates = tuple(sorted(table.prices_e4))
        slots = {
            name: tuple((slot.start_min, int(slot.rate)) for slot in day)
            for name, day in table.day_types.items()
        }
        return cls.model_validate(
            {
                "effective_from_ms": table.effective_from_ms,
                "rates": tuple(int(rate) for rate in rates),
                "day_types": slots,
                "price_e4": tuple(table.prices_e4[rate] for rate in rates),
                "steps_wh": table.steps_wh,
                "period": table.period,
            }
        )

    def to_tariff(self, tariff_id: str, version: int) -> tariff.Tariff:
        """The price table of the rules; `domain.tariff.faults` says whether it is sound."""
        prices = zip(self.rates, self.price_e4, strict=True)
        return tariff.Tariff(
            tariff_id=tariff_id,
            version=version,
            effective_from_ms=self.effective_from_ms,
            day_types={
                name: tuple(tariff.Slot(start, tariff.Rate(rate)) for start, rate in slots)
                for name, slots in self.day_types.items()
            },
            prices_e4={tariff.Rate(rate): row for rate, row in prices},
            steps_wh=self.steps_wh,
            period=self.period,
        )


class CalendarBody(Wire):
    """Local days (YYYY-MM-DD) that are not of the type that their weekday says."""

    days: dict[Day, DayType]

    @model_validator(mode="after")
    def _days_exist(self) -> Self:
        self.to_calendar()
        return self

    def to_calendar(self) -> tariff.Calendar:
        """The calendar of the rules."""
        return tariff.Calendar({date.fromisoformat(day): kind for day, kind in self.days.items()})


class Hours(Wire):
    """A stretch of the local day on some types of day; over midnight where `to` ≤ `from`."""

    day_types: tuple[DayType, ...]
    from_min: Minute
    to_min: Minute


class Overload(Wire):
    """Off above `limit_w` for `over_s`; back after `restore_s`, at most `restores` times."""

    limit_w: Positive
    over_s: Natural
    restore_s: Natural
    restores: Natural


class PolicyBody(Wire):
    """When to warn, when to spare, when to cut. What is left out is not in force."""

    alarm_1_fen: Int
    alarm_2_fen: Int
    overdraft_fen: Natural = 0
    friendly_hours: tuple[Hours, ...] = ()
    emergency_fen: Natural = 0
    curfews: tuple[Hours, ...] = ()
    overload: Overload | None = None
    restore: Literal["automatic", "by_staff"] = "automatic"
    min_operation_gap_s: Natural = 60

    def thresholds(self) -> credit.Thresholds:
        """The thresholds of the rules."""
        return credit.Thresholds(self.alarm_1_fen, self.alarm_2_fen, self.overdraft_fen)


class Reservation(Wire):
    """Credit to set aside until it is posted or void."""

    reservation_id: Id
    fen: Positive
    purpose: Word


class CreditBody(Wire):
    """What a purse should be: `granted_fen` in total over `count` money events."""

    count: Count
    granted_fen: Int
    reservations: tuple[Reservation, ...] = ()
    state: Literal["open", "closing", "closed"] = "open"

    @model_validator(mode="after")
    def _asked_once(self) -> Self:
        ids = [reservation.reservation_id for reservation in self.reservations]
        if len(set(ids)) != len(ids):
            raise ValueError("a reservation is listed twice")
        return self

    @classmethod
    def of(cls, intent: credit.CreditIntent) -> Self:
        """The body that carries a credit intent of the rules."""
        return cls(
            count=intent.count,
            granted_fen=intent.granted_fen,
            reservations=tuple(
                Reservation(reservation_id=r.reservation_id, fen=r.fen, purpose=r.purpose)
                for r in intent.reservations
            ),
            state=intent.state,
        )

    def to_intent(self, version: int) -> credit.CreditIntent:
        """The credit intent of the rules."""
        return credit.CreditIntent(
            version=version,
            count=self.count,
            granted_fen=self.granted_fen,
            reservations=tuple(
                credit.Reservation(r.reservation_id, r.fen, r.purpose) for r in self.reservations
            ),
            state=self.state,
        )


class SupplyBody(Wire):
    """What staff want of a point. `clear_lock_n`, `read_now_n`: do it when they rise."""

    mode: Mode
    until_ms: Millis | None = None
    clear_lock_n: Natural = 0
    read_now_n: Natural = 0
    settings_version: Natural = 0
    command_id: Id | None = None


class TextBody(Wire):
    """A text message for a modem at the gateway."""

    phone: Annotated[str, Field(strict=True, pattern=r"^\+?[0-9]{3,20}$")]
    body: Text
    not_after_ms: Millis


class KeysBody(Wire):
    """The next key epoch; both are valid until `overlap_until_ms`."""

    epoch: U16
    overlap_until_ms: Millis


Body = (
    InstallationBody | TariffBody | CalendarBody | PolicyBody | CreditBody | SupplyBody | TextBody
    | KeysBody
)  # fmt: skip

BODIES: Mapping[IntentKind, type[Body]] = {
    "installation": InstallationBody,
    "tariff": TariffBody,
    "calendar": CalendarBody,
    "policy": PolicyBody,
    "credit": CreditBody,
    "supply": SupplyBody,
    "text": TextBody,
    "keys": KeysBody,
}


class Intent(Message):
    """One intent; `body` is still to be read by `typed`. `expires_at_ms` null: never."""

    kind: IntentKind
    key: Id
    version: Positive
    issued_at_ms: Millis
    expires_at_ms: Millis | None
    body: dict[str, Any]

    def typed(self) -> Body:
        """The body by its kind; raises pydantic.ValidationError."""
        extra: Literal["ignore", "forbid"] = "ignore" if self.v > PROTOCOL_VERSION else "forbid"
        return BODIES[self.kind].model_validate(
            self.body, extra=extra, by_alias=True, by_name=False
        )

    @classmethod
    def of(
        cls,
        body: Body,
        *,
        key: str,
        version: int,
        issued_at_ms: int,
        expires_at_ms: int | None = None,
    ) -> Self:
        """The intent that carries `body`; its kind follows from the body."""
        return cls(
            kind=kind_of_body(body),
            key=key,
            version=version,
            issued_at_ms=issued_at_ms,
            expires_at_ms=expires_at_ms,
            body=body.model_dump(mode="json"),
        )


def kind_of_body(body: Body) -> IntentKind:
    """The kind of intent that a body belongs to."""
    return next(kind for kind, model in BODIES.items() if type(body) is model)


def decode_intent(data: bytes, kind: str, key: str) -> Intent:
    """An intent from the topic of `kind`/`key`; raises ValueError, also for another's."""
    intent = Intent.decode(data)
    if (intent.kind, intent.key) != (kind, key):
        raise ValueError(f"intent {intent.kind}/{intent.key} on the topic of {kind}/{key}")
    return intent


def version_of(books_epoch: int, n: int) -> int:
    """The version of the n-th change of an intent under an epoch of the books; n from 1."""
    if not 0 < n < _EPOCH_SHIFT or not 0 <= books_epoch < 2**20:
        raise ValueError(f"no version for epoch {books_epoch}, change {n}")
    return books_epoch * _EPOCH_SHIFT + n


def digest(pairs: Mapping[tuple[str, str], int]) -> str:
    """SHA-256 of the lines `kind/key:version`, sorted: what a gateway holds, in 64 hex digits."""
    lines = sorted(f"{kind}/{key}:{version}" for (kind, key), version in pairs.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
