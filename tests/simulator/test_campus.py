"""A campus file, and the command that serves it: a client nobody here wrote reads a meter."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.meters.file_faults import FileFaultsError
from simulator import campus
from simulator.campus import Campus
from simulator.control import Control

START_MS = 1_790_000_000_000
ROOT = Path(__file__).parent.parent.parent
SMALL = """
state_dir = "state"
control = "control.sock"

[[bus]]
building = "b1"
id = "b1-{n}"
link = "ports/b1-{n}"
repeat = 2
meters = 3
first_number = "310000000001"

[[meter]]
number = "310000000002"
load_w = 3600
register_wh = 123456780
own_prepaid = false
"""


def write(directory: Path, text: str = SMALL) -> Path:
    path = directory / "campus.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_four_hundred_and_eighty_meters(tmp_path: Path) -> None:
    example = (ROOT / "simulator" / "campus.example.toml").read_text(encoding="utf-8")
    built = Campus(campus.load(write(tmp_path, example)), now_ms=lambda: START_MS)
    assert len(built.lines) == 16
    assert len(built.meters) == 480
    assert built.meters["310000020031"].address == 1
    assert [meter.address for meter in built.buses["b3-4"].meters] == list(range(1, 31))
    assert built.meters["310000040120"].profile.name == "ddsy1352-classic"
    assert len({meter.register_wh for meter in built.meters.values()}) > 400
    built._let_go()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("meters = 3", "meters = 0", "bus.0.meters"),
        ("meters = 3", 'meters = "3"', "bus.0.meters"),
        ("meters = 3", "", "bus.0.meters"),
        ("meters = 3", "meters = 247\nfirst_address = 2", "bus.0.meters"),
        ('"310000000001"', '"31000000001"', "bus.0.first_number"),
        ('"310000000001"', '"999999999999"', "bus.0.first_number"),
        ('id = "b1-{n}"', 'id = "b1"', "bus.0.id"),
        ('link = "ports/b1-{n}"', 'link = "ports/b1"', "bus.0.link"),
        ('state_dir = "state"', 'state_dir = "state"\nrate = 0', "rate"),
        ('state_dir = "state"', 'state_dri = "state"', "state_dri"),
        ('number = "310000000002"', 'number = "310000000009"', "meter.0.number"),
        ('number = "310000000002"', 'number = "310000000002"\nprofile = "x"', "meter.0.profile"),
        ("own_prepaid = false", "faults = { dead = 1 }", "meter.0.faults.dead"),
        ("own_prepaid = false", "faults = { crc_rate = 2.0 }", "meter.0.faults.crc_rate"),
        ("repeat = 2", 'repeat = 2\nprofile = "none-such"', "bus.0.profile"),
        ("repeat = 2", "repeat = 2\nbaud = 9601", "bus.0.baud"),
        ('"control.sock"', f'"{"x" * 120}"', "control"),
    ],
)
def test_faults_name_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in SMALL
    path = write(tmp_path, SMALL.replace(old, new, 1))
    with pytest.raises(FileFaultsError) as caught:
        campus.load(path)
    assert (str(path), key) in [(fault.file, fault.key) for fault in caught.value.faults]


def test_faults_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "load.csv").write_text("household,date\n")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "odd.toml").write_text("name = 3")
    head = 'csv = "load.csv"\nprofiles = "profiles"\n'
    twice = SMALL + SMALL[SMALL.index("[[bus]]") : SMALL.index("[[meter]]")]
    with pytest.raises(FileFaultsError) as caught:
        campus.load(write(tmp_path, head + twice))
    named = {(Path(fault.file).name, fault.key) for fault in caught.value.faults}
    assert {
        ("load.csv", "row 1, column wh_0000"),
        ("odd.toml", "name"),
        ("campus.toml", "bus.1.id"),
        ("campus.toml", "bus.1.link"),
        ("campus.toml", "bus.1.first_number"),
    } <= named
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "ports").exists()


async def test_registers_relay_and_count_outlive_a_restart(tmp_path: Path) -> None:
    plan = campus.load(write(tmp_path))
    first = Campus(plan, now_ms=lambda: START_MS + 3_600_000)
    first.open()
    meter = first.meters["310000000002"]
    assert meter.register_wh == 123_456_780
    meter.now_ms = START_MS
    meter.buy(4200, 1, START_MS)
    meter.write(0x0057, [1, 1], START_MS + 1_800_000)
    first.close()
    assert not (tmp_path / "ports").exists()

    second = Campus(plan, now_ms=lambda: START_MS + 9_000_000)
    meter = second.meters["310000000002"]
    assert meter.register_wh == 123_456_780 + 1800
    assert (meter.memory.count, meter.balance_fen) == (1, 4200)
    assert not meter.memory.relay_closed
    second._let_go()


async def test_control_requests(tmp_path: Path) -> None:
    built = Campus(campus.load(write(tmp_path)), now_ms=lambda: START_MS)
    control = Control(built, now_ms=lambda: START_MS)

    def ask(**request: object) -> dict[str, object]:
        return control.obey(json.dumps(request).encode())

    number = "310000000002"
    picture = ask(meter=number, get=True)
    assert (picture["ok"], picture["register_wh"], picture["relay"]) == (True, 123456780, "closed")
    assert ask(meter=number, load_w=2000)["power_w"] == 2000
    assert ask(meter=number, load_w=None)["power_w"] == 3600
    assert ask(meter=number, register_wh=0)["register_wh"] == 0
    assert ask(meter=number, own_prepaid=True)["relay"] == "open"
    assert ask(meter=number, fault="swapped")["answers_as"] == "999000000002"
    assert ask(meter=number, fault="reset")["register_wh"] == 0
    slow = ask(meter=number, fault="slow", value=300)["faults"]
    assert isinstance(slow, dict)
    assert slow["slow_ms"] == 300
    assert ask(bus="b1-2", fault="power_cut")["powered"] is False
    assert ask(bus="b1-2", fault="power_cut", value=False)["powered"] is True
    everything = ask(all=True)
    assert isinstance(everything["meters"], list)
    assert len(everything["meters"]) == 6
    built._let_go()


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"meter": "x"}',
        b'{"bus": "x"}',
        b'{"bus": "b1-1", "fault": "dead"}',
        b'{"meter": "310000000001", "fault": "on fire"}',
        b'{"meter": "310000000001", "fault": "slow", "value": "x"}',
        b'{"meter": "310000000001", "fault": "swapped", "value": "12"}',
        b'{"meter": "310000000001", "load_w": -1}',
        b'{"meter": "310000000001", "register_wh": 1e30}',
        b'{"meter": "310000000001", "own_prepaid": "no"}',
        b'{"meter": "310000000001", "lode_w": 1}',
    ],
)
def test_unfit_control_requests_are_answered_and_change_nothing(
    tmp_path: Path, line: bytes
) -> None:
    built = Campus(campus.load(write(tmp_path)), now_ms=lambda: START_MS)
    control = Control(built, now_ms=lambda: START_MS)
    before = control.obey(b'{"all": true}')
    answer = control.obey(line)
    assert answer["ok"] is False
    assert answer["error"]
    assert control.obey(b'{"all": true}') == before
    built._let_go()


@contextmanager
def running(path: Path) -> Iterator[subprocess.Popen[str]]:
    """`wattledger-sim campus.toml` from its last line on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        else:
            pytest.fail(process.stderr.read())
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def mbpoll(link: Path, *arguments: str, write: tuple[str, ...] = ()) -> list[int]:
    """Values of consecutive registers of meter 2, read by mbpoll; or written, where given."""
    port = ("-m", "rtu", "-b", "9600", "-P", "none", "-a", "2")
    once = () if write else ("-1",)
    run = subprocess.run(
        ["mbpoll", *port, "-0", "-q", *once, *arguments, str(link), *write],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return [int(value.split()[0]) for value in re.findall(r"^\[\d+\]:\s+(.+)$", run.stdout, re.M)]


def test_mbpoll_reads_a_meter_and_moves_its_relay(tmp_path: Path) -> None:
    path = write(tmp_path)
    link = tmp_path / "ports" / "b1-1"
    with running(path):
        (voltage_dv,) = mbpoll(link, "-t", "4", "-r", str(0x0201))
        (energy,) = mbpoll(link, "-t", "4:int", "-B", "-r", str(0x0215))
        (classic,) = mbpoll(link, "-t", "4:int", "-B", "-r", "0")
        (flags,) = mbpoll(link, "-t", "4", "-r", str(0x0224))
        (count,) = mbpoll(link, "-t", "4", "-r", str(0x0221))
        number = mbpoll(link, "-t", "4", "-r", str(0x0043), "-c", "3")
        mbpoll(link, "-t", "4", "-r", str(0x0057), write=("1", "1"))
        (tripped,) = mbpoll(link, "-t", "4", "-r", str(0x0224))
        (power_w,) = mbpoll(link, "-t", "4", "-r", str(0x020A))
    assert 2100 < voltage_dv < 2300
    assert 12_345_678 <= energy <= classic < 12_345_778
    assert flags >> 13 & 1  # closed
    assert not tripped >> 13 & 1
    assert power_w == 0
    assert count == 0
    assert number == [0x3100, 0x0000, 0x0002]


def test_a_killed_simulator_goes_on_where_its_meters_stood(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL.replace("control =", "rate = 3600\ncontrol ="))
    link = tmp_path / "ports" / "b1-1"
    with running(path) as process:
        (before,) = mbpoll(link, "-t", "4:int", "-B", "-r", str(0x0215))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running(path) as process:  # over the links and the socket left behind
        (after,) = mbpoll(link, "-t", "4:int", "-B", "-r", str(0x0215))
        assert after >= before > 12_345_678
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    left = {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")}
    kept = {"state", "state/b1-1.nvram", "state/b1-2.nvram"}
    assert left == {"campus.toml", "ports", *kept}  # ports was there when the second one came


def test_a_second_simulator_is_refused_in_words(tmp_path: Path) -> None:
    path = write(tmp_path)
    with running(path):
        second = subprocess.run(
            [sys.executable, "-m", "simulator", str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert second.returncode == 2
        assert "in use by another simulator" in second.stderr
        assert _control(tmp_path, all=True)["ok"] is True


def test_the_command_names_all_faults_and_starts_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL.replace("meters = 3", "meters = 0").replace("state_dir", "dir"))
    run = subprocess.run(
        [sys.executable, "-m", "simulator", "run", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert run.returncode == 2
    assert {line.split(": ")[1] for line in run.stderr.splitlines()} == {
        "bus.0.meters",
        "state_dir",
        "dir",
    }
    assert list(tmp_path.iterdir()) == [path]


def _control(directory: Path, **request: object) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(directory / "control.sock"))
        client.sendall(json.dumps(request).encode() + b"\n")
        with client.makefile(encoding="utf-8") as answers:
            answer: dict[str, object] = json.loads(answers.readline())
    return answer


def test_a_meter_that_counts_down_trips_without_being_read(tmp_path: Path) -> None:
    now = [START_MS]
    text = SMALL.replace("own_prepaid = false", "own_prepaid = true")
    built = Campus(campus.load(write(tmp_path, text)), now_ms=lambda: now[0])
    meter = built.meters["310000000002"]
    meter.buy(1, 1, START_MS)  # one fen: 17 Wh, 17 s at 3.6 kW
    for line in built.lines:
        line.bus.tick()
    closed_at_first = meter.memory.relay_closed
    now[0] += 18_000
    for line in built.lines:
        line.bus.tick()
    assert (closed_at_first, meter.memory.relay_closed) == (True, False)
    built._let_go()
