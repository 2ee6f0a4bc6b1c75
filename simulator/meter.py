"""A virtual prepaid meter: it integrates a load, moves a relay, counts purchases, and remembers.

Energy is counted in microjoules as whole numbers (1 mW for 1 ms), so nothing is lost to rounding
however rarely the meter is looked at. Time is always an argument (Unix ms).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from edge.meters.profile import Profile
from simulator.faults import Faults
from simulator.load import HOUR_MS, LOCAL_MS, Fixed, Load
from simulator.registers import RegisterMap

UJ_PER_WH = 3_600_000_000
TICKS_PER_FEN = 100_000
PRICE_E4 = 6_000  # the price by which a meter counts down while its own prepaid control is on
RATES = ("sharp", "peak", "flat", "valley")
# which of RATES applies from 00:00, 01:00 … local time
_RATE_BY_HOUR = (3,) * 7 + (2,) + (1,) * 3 + (2,) * 6 + (1,) * 2 + (0,) * 2 + (1,) + (2,) + (3,)

ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3


@dataclass
class Memory:
    """What the meter keeps without mains. Field names are those of its file."""

    number: str
    energy_uj: int
    rate_uj: list[int]
    count: int = 0
    balance_ticks: int = 0
    own_prepaid: bool = False
    force_on: int = 0
    force_open: int = 0
    relay_closed: bool = True
    clock_offset_s: int = 0


@dataclass(frozen=True, slots=True)
class Electrics:
    """What flows at an instant: W, var, VA, 0.1 V, 0.01 A, thousandths."""

    power_w: int
    reactive_var: int
    apparent_va: int
    voltage_dv: int
    current_ca: int
    pf_milli: int


@dataclass
class VirtualMeter:
    """One meter on a bus.

    `rate` makes energy accumulate that many times as fast: a film of the room in fast motion. What
    flows at an instant (power, current) is shown as the room draws it, since the power register
    could not hold sixty times as much. `keep` is called with the memory whenever something of it
    that anybody could have seen changed, before it can be seen.
    """

    number: str  # as installed; `memory.number` is what it answers, another one after a swap
    address: int
    profile: Profile
    registers: RegisterMap
    load: Load
    rate: int
    memory: Memory
    now_ms: int
    keep: Callable[[Mapping[str, object]], None]
    faults: Faults = field(default_factory=Faults)
    powered: bool = True
    overdraft_fen: int = 0
    alarm_1_fen: int = 1000
    alarm_2_fen: int = 500
    _room_load: Load | None = None
    _kept_wh: int = -1

    def advance(self, now_ms: int) -> None:
        """Integrate the load up to this instant, and trip where the own prepaid control says so."""
        memory = self.memory
        while self.now_ms < now_ms:
            segment = self.load.at(self.now_ms)
            until_ms = min(segment.until_ms, now_ms)
            if self.powered and memory.relay_closed and segment.power_mw:
                energy_uj = segment.power_mw * (until_ms - self.now_ms) * self.rate
                before_wh = memory.energy_uj // UJ_PER_WH
                memory.energy_uj += energy_uj
                memory.rate_uj[_RATE_BY_HOUR[(self.now_ms + LOCAL_MS) // HOUR_MS % 24]] += energy_uj
                if memory.own_prepaid:
                    used_wh = memory.energy_uj // UJ_PER_WH - before_wh
                    memory.balance_ticks -= used_wh * PRICE_E4
                    self._settle_relay()
            self.now_ms = until_ms
        shown_wh = memory.energy_uj // UJ_PER_WH // self.profile.limits.step_wh
        if shown_wh != self._kept_wh:
            self._kept_wh = shown_wh
            self.save()

    def save(self) -> None:
        """Keep the memory as it stands."""
        self.keep(asdict(self.memory))

    def read(self, first: int, count: int, now_ms: int) -> list[int] | int:
        """Registers, or the Modbus exception code where some of them do not exist."""
        if not self.registers.answers(first, count):
            return ILLEGAL_ADDRESS
        self.advance(now_ms)
        return self.registers.words(first, count, self.values())

    def write(self, first: int, words: list[int], now_ms: int) -> int | None:
        """Carry out a register write; the exception code where it is refused.

        The relay pair is written whole or not at all; everything else is read-only.
        """
        relay = self.profile.relay
        if first != relay.address or len(words) != len(relay.trip):
            return ILLEGAL_ADDRESS
        if any(word > 1 for word in words):
            return ILLEGAL_VALUE
        self.advance(now_ms)
        self.memory.force_on, self.memory.force_open = words
        self._settle_relay()
        self.save()
        return None

    def buy(self, fen: int, count: int, now_ms: int) -> int:
        """The purchase-count handshake: only own count + 1 changes anything. Returns the status.

        Repeating the last count is answered as a repeat, so a purchase whose reply was lost can be
        sent again without harm.
        """
        purchase = self.profile.purchase
        assert purchase is not None, f"{self.profile.name} has no purchase command"
        if count == self.memory.count and count > 0:
            return purchase.repeat
        if count != self.memory.count + 1 or count > 0xFFFF:
            return purchase.wrong_count
        self.advance(now_ms)
        self.memory.count = count
        self.memory.balance_ticks += fen * TICKS_PER_FEN
        self._settle_relay()
        self.save()
        return purchase.accepted

    def set_clock(self, local: datetime, now_ms: int) -> None:
        """Set the meter's clock to a local time."""
        shown = self._clock(now_ms) - timedelta(seconds=self.memory.clock_offset_s)
        self.memory.clock_offset_s = round((local - shown).total_seconds())
        self.save()

    def set_power(self, powered: bool, now_ms: int) -> None:
        """Mains on or off. The relay keeps its position; without mains nothing burns or answers."""
        self.advance(now_ms)
        self.powered = powered
        self.save()

    def set_own_prepaid(self, on: bool, now_ms: int) -> None:
        """Switch the meter's own prepaid control 费控."""
        self.advance(now_ms)
        self.memory.own_prepaid = on
        self._settle_relay()
        self.save()

    def set_load(self, power_w: int | None, now_ms: int) -> None:
        """Replace what the room draws by a fixed power; None gives the room its life back."""
        self.advance(now_ms)
        self._room_load = self._room_load or self.load
        self.load = self._room_load if power_w is None else Fixed(power_w)

    def set_register(self, wh: int, now_ms: int) -> None:
        """Set the energy register, without a trace: near its modulus, or back to 0 (a reset)."""
        self.advance(now_ms)
        self.memory.energy_uj = wh * UJ_PER_WH
        self.memory.rate_uj = [wh * UJ_PER_WH // len(RATES)] * len(RATES)
        self.save()

    def swap(self, number: str, now_ms: int) -> None:
        """Put another meter in this one's place: other number, new register, nothing bought."""
        self.advance(now_ms)
        self.memory = Memory(number=number, energy_uj=0, rate_uj=[0] * len(RATES))
        self.save()

    def set_stuck(self, stuck: bool) -> None:
        """Weld the relay's contact where it is, or free it: it then goes where it was sent."""
        self.faults.stuck = stuck
        self._settle_relay()
        self.save()

    @property
    def balance_fen(self) -> int:
        """What the meter's own display counts, in fen, rounded down."""
        return self.memory.balance_ticks // TICKS_PER_FEN

    @property
    def register_wh(self) -> int:
        """The true register in whole Wh, wrapped where the display wraps."""
        return self.memory.energy_uj // UJ_PER_WH % self.profile.limits.modulus_wh

    def electrics(self) -> Electrics:
        """What flows now. The voltage stands before the relay, so it stays when that opens."""
        segment = self.load.at(self.now_ms)
        flowing = self.powered and self.memory.relay_closed
        power_w = (segment.power_mw + 500) // 1000 if flowing else 0
        pf_milli = segment.pf_milli if power_w else 1000
        apparent_va = (power_w * 1000 + pf_milli // 2) // pf_milli
        wobble = (self.now_ms // 5000 * 2_654_435_761 + self.address * 40_503 >> 7) % 31 - 15
        voltage_dv = 2200 + self.address % 20 + wobble - power_w // 400
        return Electrics(
            power_w=power_w,
            reactive_var=round(max(0, apparent_va**2 - power_w**2) ** 0.5),
            apparent_va=apparent_va,
            voltage_dv=voltage_dv,
            current_ca=(apparent_va * 1000 + voltage_dv // 2) // voltage_dv,
            pf_milli=pf_milli,
        )

    def values(self) -> dict[str, int | str]:
        """What each register field shows now, by the field names of the profile."""
        memory, flow = self.memory, self.electrics()
        clock = self._clock(self.now_ms)
        modulus_wh = self.profile.limits.modulus_wh
        balance_fen = self.balance_fen
        low = memory.own_prepaid
        return {
            "register_wh": self.register_wh,
            **{
                f"{name}_wh": uj // UJ_PER_WH % modulus_wh
                for name, uj in zip(RATES, memory.rate_uj, strict=True)
            },
            "voltage_dv": flow.voltage_dv,
            "current_ca": flow.current_ca,
            "power_w": flow.power_w,
            "phase_power_w": flow.power_w,
            "reactive_var": flow.reactive_var,
            "phase_reactive_var": flow.reactive_var,
            "apparent_va": flow.apparent_va,
            "pf_milli": flow.pf_milli,
            "phase_pf_milli": flow.pf_milli,
            "frequency_chz": 5000,
            "address": self.address,
            "prepaid_model": 1,
            "pt": 1,
            "ct": 1,
            "type_code": self.profile.type_code or 0,
            "meter_number": memory.number,
            "alarm_1_fen": self.alarm_1_fen,
            "alarm_2_fen": self.alarm_2_fen,
            "overdraft_fen": self.overdraft_fen,
            "purchase_count": memory.count,
            "meter_balance_fen": balance_fen,
            "own_prepaid_on": int(memory.own_prepaid),
            "money_control": int(memory.own_prepaid),
            "force_on": memory.force_on,
            "force_open": memory.force_open,
            "force_mode": memory.force_on,
            "force_open_1": memory.force_open,
            "relay_closed": int(memory.relay_closed),
            "arrears": int(low and balance_fen <= 0),
            "alarm_1": int(low and balance_fen <= self.alarm_1_fen),
            "alarm_2": int(low and balance_fen <= self.alarm_2_fen),
            "clock_year": clock.year % 100,
            "clock_month": clock.month,
            "clock_day": clock.day,
            "clock_weekday": clock.isoweekday() % 7,
            "clock_hour": clock.hour,
            "clock_minute": clock.minute,
            "clock_second": clock.second,
        }

    def _clock(self, now_ms: int) -> datetime:
        local = datetime.fromtimestamp((now_ms + LOCAL_MS) / 1000, UTC).replace(tzinfo=None)
        return local + timedelta(seconds=self.memory.clock_offset_s)

    def _settle_relay(self) -> None:
        memory = self.memory
        if self.faults.stuck:
            return
        if memory.force_on:
            memory.relay_closed = not memory.force_open
        elif memory.own_prepaid:
            memory.relay_closed = memory.balance_ticks > -self.overdraft_fen * TICKS_PER_FEN
        else:
            memory.relay_closed = True
