"""One poll of one meter, in units: what the register said, what flows, how the relay stands."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.supply import Relay
from edge.meters.profile import Profile

_RATES = ("sharp_wh", "peak_wh", "flat_wh", "valley_wh", "deep_wh")  # 尖 峰 平 谷 深谷


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a poll block says. None where the meter type does not tell.

    `voltage_dv` 0.1 V, `current_ca` 0.01 A, `pf_milli` −1000…1000, `rate_wh` in the order
    尖 峰 平 谷 (深谷), `meter_balance_fen` what the meter's own display counts. `relay` is unknown
    where the type shows no contact; `forced` is the meter's own word on forced mode.
    """

    register_wh: int
    rate_wh: tuple[int, ...] | None
    power_w: int
    voltage_dv: int
    current_ca: int
    pf_milli: int
    relay: Relay
    forced: bool | None
    own_prepaid_on: bool | None
    meter_balance_fen: int | None
    meter_count: int | None
    type_code: int | None


def read(profile: Profile, registers: Sequence[int]) -> Snapshot:
    """The snapshot in the registers of the poll block; ValueError where their number is wrong."""
    values = profile.decode("poll", registers)

    def number(field: str) -> int | None:
        value = values.get(field)
        return value if isinstance(value, int) else None

    def flag(field: str) -> bool | None:
        value = number(field)
        return None if value is None else value != 0

    def needed(field: str) -> int:
        value = number(field)
        assert value is not None, field  # a profile without it does not load
        return value

    rates = tuple(rate for rate in map(number, _RATES) if rate is not None)
    closed = flag("relay_closed")
    return Snapshot(
        register_wh=needed("register_wh"),
        rate_wh=rates or None,
        power_w=needed("power_w"),
        voltage_dv=needed("voltage_dv"),
        current_ca=needed("current_ca"),
        pf_milli=needed("pf_milli"),
        relay=Relay.unknown if closed is None else (Relay.closed if closed else Relay.open),
        forced=flag("force_mode"),
        own_prepaid_on=flag("own_prepaid_on"),
        meter_balance_fen=number("meter_balance_fen"),
        meter_count=number("purchase_count"),
        type_code=number("type_code"),
    )


def meter_number(profile: Profile, registers: Sequence[int]) -> str:
    """The meter number (12 digits, leading zeros kept) in the identity block's registers.

    Raises ValueError where the digits are not decimal: a line fault, or not this meter type.
    """
    return str(profile.decode("identity", registers)["meter_number"])


def own_prepaid_on(profile: Profile, registers: Sequence[int]) -> bool:
    """Whether the meter's own prepaid control 费控 is on, from its own_prepaid block."""
    return profile.decode("own_prepaid", registers)["own_prepaid_on"] != 0


def same_meter(read: str | None, nameplate: str) -> bool:
    """Whether a meter number as read is the nameplate's; leading zeros do not matter."""
    return read is not None and read.lstrip("0") == nameplate.lstrip("0")


def prove_over_two_polls(before: Snapshot, after: Snapshot, *, commanded: Relay) -> Relay:
    """How the relay stands on a meter that does not show its contact.

    Power in both polls, and a register that did not go back, prove it closed. No power in both and
    a register that stands prove it open only where open was commanded: an idle room looks the same.
    Anything else proves nothing: Relay.unknown.
    """
    if before.power_w > 0 and after.power_w > 0 and after.register_wh >= before.register_wh:
        return Relay.closed
    still = before.power_w == 0 == after.power_w and after.register_wh == before.register_wh
    return Relay.open if still and commanded is Relay.open else Relay.unknown
