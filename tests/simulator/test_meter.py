"""A virtual meter: exact energy, a relay with a mind, purchases that count once."""

from collections.abc import Callable, Mapping
from datetime import datetime

import pytest

from domain.supply import Relay
from edge.meters import profile as profiles
from edge.meters import snapshot
from edge.meters.profile import Profile
from simulator.faults import Faults, stand
from simulator.load import HOUR_MS, Fixed
from simulator.meter import ILLEGAL_ADDRESS, ILLEGAL_VALUE, VirtualMeter

START_MS = 1_790_000_000_000
MakeMeter = Callable[..., VirtualMeter]


def poll(meter: VirtualMeter, at_ms: int) -> snapshot.Snapshot:
    block = meter.profile.poll
    words = meter.read(block.address, block.words, at_ms)
    assert isinstance(words, list)
    return snapshot.read(meter.profile, words)


def test_energy_is_exact_however_often_it_is_read(make_meter: MakeMeter) -> None:
    often, once = make_meter(load=Fixed(777)), make_meter(load=Fixed(777))
    for ms in range(0, HOUR_MS, 3_371):
        often.advance(START_MS + ms)
    often.advance(START_MS + HOUR_MS)
    once.advance(START_MS + HOUR_MS)
    assert often.memory == once.memory
    assert once.register_wh == 1_000_777
    assert sum(once.memory.rate_uj) - 4 * 250_000 * 3_600_000_000 == 777 * 3_600_000_000


def test_rate_burns_faster_and_shows_the_rooms_own_power(make_meter: MakeMeter) -> None:
    meter = make_meter(load=Fixed(600), rate=60)
    seen = poll(meter, START_MS + 60_000)
    assert seen.register_wh == 1_000_600
    assert seen.power_w == 600


def test_what_is_shown_agrees_with_itself(make_meter: MakeMeter) -> None:
    seen = poll(make_meter(load=Fixed(1500)), START_MS + 1000)
    assert 2100 < seen.voltage_dv < 2300
    product_w = seen.voltage_dv * seen.current_ca * seen.pf_milli / 1_000_000
    assert product_w == pytest.approx(1500, rel=0.01)
    assert seen.type_code == 7
    assert seen.relay is Relay.closed


def test_the_register_wraps_where_the_display_does(make_meter: MakeMeter) -> None:
    meter = make_meter(load=Fixed(1000), wh=999_999_990)
    assert poll(meter, START_MS).register_wh == 999_999_990
    assert poll(meter, START_MS + HOUR_MS).register_wh == 990


@pytest.mark.parametrize(("words", "closed"), [([1, 1], False), ([1, 0], True), ([0, 0], True)])
def test_the_pair_moves_the_relay(make_meter: MakeMeter, words: list[int], closed: bool) -> None:
    meter = make_meter()
    meter.memory.relay_closed = not closed
    assert meter.write(0x0057, words, START_MS) is None
    seen = poll(meter, START_MS + 1000)
    assert seen.relay is (Relay.closed if closed else Relay.open)
    assert meter.read(0x0057, 2, START_MS) == words
    assert (seen.power_w > 0) == closed


def test_nothing_burns_while_open_and_the_voltage_stays(make_meter: MakeMeter) -> None:
    meter = make_meter(load=Fixed(2000))
    meter.write(0x0057, [1, 1], START_MS)
    seen = poll(meter, START_MS + HOUR_MS)
    assert (seen.register_wh, seen.power_w, seen.current_ca) == (1_000_000, 0, 0)
    assert seen.voltage_dv > 2100


@pytest.mark.parametrize(
    ("first", "words", "refused"),
    [
        (0x0057, [1], ILLEGAL_ADDRESS),
        (0x0058, [1], ILLEGAL_ADDRESS),
        (0x0057, [1, 2], ILLEGAL_VALUE),
        (0x004F, [0, 9999], ILLEGAL_ADDRESS),  # money is not written like a register
    ],
)
def test_other_writes_are_refused(
    make_meter: MakeMeter, first: int, words: list[int], refused: int
) -> None:
    meter = make_meter()
    before = meter.memory.__dict__.copy()
    assert meter.write(first, words, START_MS) == refused
    assert meter.memory.__dict__ == before


def test_own_prepaid_control_darkens_the_room_by_itself(make_meter: MakeMeter) -> None:
    meter = make_meter(load=Fixed(1000))
    meter.buy(60, 1, START_MS)  # 0.60 yuan at 0.60 yuan/kWh: one hour at 1 kW
    meter.set_own_prepaid(True, START_MS)
    assert snapshot.own_prepaid_on(meter.profile, _words(meter.read(0x0055, 1, START_MS)))
    for second in range(1, 3602):
        meter.advance(START_MS + second * 1000)
    assert not meter.memory.relay_closed
    assert poll(meter, START_MS + 3_700_000).meter_balance_fen == 0
    meter.buy(100, 2, START_MS + 3_700_000)
    assert meter.memory.relay_closed


def test_with_own_prepaid_off_the_balance_stands_and_trips_nothing(make_meter: MakeMeter) -> None:
    meter = make_meter(load=Fixed(1000))
    seen = poll(meter, START_MS + HOUR_MS)
    assert (seen.meter_balance_fen, seen.relay) == (0, Relay.closed)


def test_holding_on_outranks_an_empty_balance(make_meter: MakeMeter) -> None:
    meter = make_meter()
    meter.set_own_prepaid(True, START_MS)
    seen = [poll(meter, START_MS).relay]
    for words in ([1, 0], [0, 0]):
        meter.write(0x0057, words, START_MS)
        seen.append(poll(meter, START_MS).relay)
    assert seen == [Relay.open, Relay.closed, Relay.open]


def test_a_purchase_counts_once(make_meter: MakeMeter, nk: Profile) -> None:
    meter = make_meter()
    assert nk.purchase is not None
    ok, repeat, wrong = nk.purchase.accepted, nk.purchase.repeat, nk.purchase.wrong_count
    tries = [(5000, 1, ok), (5000, 1, repeat), (700, 3, wrong), (700, 0, wrong), (700, 2, ok)]
    for fen, count, expected in tries:
        assert meter.buy(fen, count, START_MS) == expected
    seen = poll(meter, START_MS)
    assert (seen.meter_balance_fen, seen.meter_count) == (5700, 2)


def test_stuck_contacts_do_not_move_and_do_when_freed(make_meter: MakeMeter) -> None:
    meter = make_meter()
    meter.set_stuck(True)
    meter.write(0x0057, [1, 1], START_MS)
    assert meter.read(0x0057, 2, START_MS) == [1, 1]  # the command arrived …
    assert poll(meter, START_MS).relay is Relay.closed  # … and moved nothing
    meter.set_stuck(False)
    assert poll(meter, START_MS).relay is Relay.open


def test_reset_swap_and_power_cut(make_meter: MakeMeter) -> None:
    meter = make_meter(load=Fixed(1000))
    meter.write(0x0057, [1, 0], START_MS)
    meter.set_power(False, START_MS)
    meter.set_power(True, START_MS + HOUR_MS)
    assert poll(meter, START_MS + HOUR_MS).register_wh == 1_000_000
    assert meter.memory.force_on == 1
    meter.set_register(0, START_MS + HOUR_MS)
    assert poll(meter, START_MS + HOUR_MS).register_wh == 0
    meter.swap("990000000001", START_MS + HOUR_MS)
    words = _words(meter.read(0x0043, 3, START_MS + HOUR_MS))
    assert snapshot.meter_number(meter.profile, words) == "990000000001"


def test_what_could_be_seen_was_kept_before(
    make_meter: MakeMeter, kept: list[Mapping[str, object]]
) -> None:
    meter = make_meter(load=Fixed(1000))
    for ms in range(0, 200_000, 3_300):
        seen = poll(meter, START_MS + ms)
        energy_uj = kept[-1]["energy_uj"]
        assert isinstance(energy_uj, int)
        assert energy_uj // 3_600_000_000 // 10 * 10 == seen.register_wh
    assert len(kept) < 10  # and not at every poll
    meter.write(0x0057, [1, 1], START_MS + 200_000)
    assert kept[-1]["relay_closed"] is False


def test_the_clock_shows_local_time_and_can_be_set(make_meter: MakeMeter) -> None:
    meter = make_meter()

    def shown(at_ms: int) -> tuple[int, ...]:
        block = meter.profile.blocks["clock"]
        values = meter.profile.decode("clock", _words(meter.read(block.address, 4, at_ms)))
        names = ("year", "month", "day", "weekday", "hour", "minute", "second")
        return tuple(int(values[f"clock_{name}"]) for name in names)

    assert shown(START_MS) == (26, 9, 21, 1, 22, 13, 20)
    meter.set_clock(datetime(2026, 1, 2, 3, 4, 5), START_MS)
    assert shown(START_MS + 60_000) == (26, 1, 2, 5, 3, 5, 5)


def test_part_of_a_value_reads_like_the_whole(make_meter: MakeMeter) -> None:
    meter = make_meter()
    whole = _words(meter.read(0x0215, 2, START_MS))
    assert meter.read(0x0215, 1, START_MS) == whole[:1]
    assert meter.read(0x0216, 1, START_MS) == whole[1:]
    assert meter.read(0x0064, 1, START_MS) == ILLEGAL_ADDRESS
    assert meter.read(0x0060, 8, START_MS) == ILLEGAL_ADDRESS


def test_a_power_the_register_cannot_hold_stands_at_its_limit(make_meter: MakeMeter) -> None:
    assert poll(make_meter(load=Fixed(48_000)), START_MS).power_w == 32_767


def test_a_classic_meter_answers_the_classic_registers_only(make_meter: MakeMeter) -> None:
    classic = profiles.load(profiles.default_directory() / "ddsy1352-classic.toml")
    meter = make_meter(profile=classic)
    seen = poll(meter, START_MS)
    assert (seen.register_wh, seen.power_w, seen.relay) == (1_000_000, 360, Relay.unknown)
    assert meter.read(0x0200, 37, START_MS) == ILLEGAL_ADDRESS


def test_faults_are_asked_for_by_name() -> None:
    faults = Faults()
    stand(faults, "dead", None)
    stand(faults, "slow", 300)
    stand(faults, "crc", 0.5)
    assert faults == Faults(dead=True, slow_ms=300, crc_rate=0.5)
    stand(faults, "dead", False)
    stand(faults, "noise", None)
    assert faults == Faults(slow_ms=300, crc_rate=0.5, noise_rate=1.0)
    stand(faults, "none", None)
    assert faults == Faults()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dead", 3),
        ("slow", -1),
        ("slow", "x"),
        ("slow", True),
        ("crc", 1.5),
        ("crc", "x"),
        ("on fire", None),
    ],
)
def test_unfit_faults_are_refused_in_words(name: str, value: object) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match=name.split(maxsplit=1)[0]):
        stand(faults, name, value)
    assert faults == Faults()


def _words(words: list[int] | int) -> list[int]:
    assert isinstance(words, list)
    return words
