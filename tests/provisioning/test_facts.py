"""Answers of machines become facts, facts become findings: tables of texts."""

import io
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict

import pytest
from rich.cells import cell_len
from rich.console import Console

from provisioning import report
from provisioning.facts import QUESTIONS, Facts, SerialPort, Service, parse
from provisioning.findings import findings
from tests.provisioning.machines import HAT, LIAR, OLD_32_BIT, PC, PI_4

BY_PATH = "/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1."
BY_ID = "/dev/serial/by-id/usb-"


def codes(answers: Mapping[str, str]) -> list[str]:
    return [finding.code for finding in findings(parse(answers))]


def shown(answers: Mapping[str, str], *, width: int, colour: bool) -> str:
    paper = io.StringIO()
    facts = parse(answers)
    console = Console(file=paper, width=width, highlight=False, force_terminal=colour)
    report.show(console, "10.0.0.7", facts, findings(facts))
    return paper.getvalue()


def test_a_raspberry_pi_4_says_what_it_is() -> None:
    assert parse(PI_4) == Facts(
        model="Raspberry Pi 4 Model B Rev 1.5",
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="Linux 6.6.51+rpt-rpi-v8",
        machine="aarch64",
        architecture="arm64",
        bits=64,
        python="3.11.2",
        disk_free_kib=7340032,  # the journal's file system is the fuller one
        memory_total_kib=3884460,
        memory_available_kib=3456789,
        clock_synchronised=True,
        ports=(
            SerialPort("/dev/ttyS0", None, None, "/dev/serial0", None),
            SerialPort(
                "/dev/ttyUSB0",
                f"{BY_PATH}3:1.0-port0",
                f"{BY_ID}FTDI_FT232R_USB_UART_A50285BI-if00-port0",
                None,
                1,
            ),
            SerialPort(
                "/dev/ttyUSB1",
                f"{BY_PATH}4:1.0-port0",
                f"{BY_ID}1a86_USB_Serial-if00-port0",
                None,
                None,
            ),
        ),
        services=(Service("wattledger-edge", "active"),),
        version="0.1.0",
    )


def test_a_liar_leaves_gaps_and_never_guesses() -> None:
    facts = parse(LIAR)
    assert facts.model == "[2J]0;owned[bold]Pi[/bold]"
    assert facts.ports == ()
    rest = asdict(facts).items() - {("model", facts.model), ("ports", ())}
    assert {value for _, value in rest} == {None}


def test_a_machine_that_answers_nothing_is_unknown_not_well() -> None:
    assert codes({}) == [
        "python_missing",
        "no_serial_port",
        "no_systemd",
        "bits_unknown",
        "disk_unknown",
        "clock_unknown",
    ]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (PI_4, []),
        (
            OLD_32_BIT,
            [
                "system_32_bit",
                "python_too_old",
                "disk_small",
                "latency_timer",
                "clock_not_synchronised",
            ],
        ),
        (PC, ["no_serial_port"]),
        (HAT, ["only_on_board_port", "service_failed"]),
    ],
    ids=["pi-4", "old-32-bit", "pc", "hat"],
)
def test_what_stands_in_the_way(answers: Mapping[str, str], expected: list[str]) -> None:
    assert codes(answers) == expected


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("python", "Python 3.10.14\n", ["python_too_old"]),
        ("python", "Python 3.11.0rc2\n", []),
        ("python", "Python 3.9.18+\n", ["python_too_old"]),
        ("python", "Python 4.0.0\n", []),
        ("disk", "h\n/dev/root 9 9 1048576 9% /\n", []),
        ("disk", "h\n/dev/root 9 9 1048575 9% /\n", ["disk_small"]),
        ("bits", "32\n", ["system_32_bit"]),
        ("ports", "/dev/serial/by-id/x\t/dev/ttyUSB0\t2\n", ["latency_timer"]),
        ("ports", "/dev/serial/by-id/x\t/dev/ttyACM0\t\n", []),
        ("clock", "", ["clock_unknown"]),
    ],
)
def test_limits(question: str, answer: str, expected: list[str]) -> None:
    assert codes({**PI_4, question: answer}) == expected


def test_every_finding_says_what_is_wrong_and_what_to_do_in_both_languages() -> None:
    every = [
        finding
        for answers in (OLD_32_BIT, PC, HAT, LIAR, {})
        for finding in findings(parse(answers))
    ]
    assert len({finding.code for finding in every}) == 13
    for finding in every:
        assert all((finding.zh, finding.en, finding.do_zh, finding.do_en)), finding
        assert finding.en.isascii(), finding


def test_the_oldest_board_is_not_told_to_take_a_64_bit_system() -> None:
    zero = parse({**OLD_32_BIT, "machine": "armv6l"})
    assert "take a Raspberry Pi 3" in findings(zero)[0].do_en
    assert "write the card anew" in findings(parse(OLD_32_BIT))[0].do_en


def test_the_questions_are_understood_by_a_shell() -> None:
    for command in QUESTIONS.values():
        done = subprocess.run(
            ["/bin/sh", "-n"], input=command, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.mark.parametrize("answers", [PI_4, OLD_32_BIT, PC, HAT, LIAR])
def test_the_report_fits_80_columns(answers: Mapping[str, str]) -> None:
    text = shown(answers, width=80, colour=False)
    long = [line for line in text.split("\n") if cell_len(line) > 80]
    assert all(line.strip() in answers["ports"] for line in long), "only names to be copied"
    assert "\x1b" not in text


def test_a_machine_cannot_steer_the_technicians_terminal() -> None:
    text = shown(LIAR, width=80, colour=True)
    assert "[bold]Pi[/bold]" in text, "markup of the machine's is text"
    assert "\x1b[2J" not in text
    assert "\x07" not in text


def test_the_report_names_the_finding_and_the_cure() -> None:
    text = shown(OLD_32_BIT, width=100, colour=False)
    assert "armhf 32 位 bit（内核 kernel aarch64）" in text
    assert "/dev/ttyUSB0  latency_timer 16 ms ≠ 1 ms" in text
    assert "✗ 阻碍 blocks" in text
    assert "! 建议 advice" in text
    assert "还有 3 项阻碍 / 3 in the way of a gateway" in text


def test_the_value_for_scripts_is_json() -> None:
    facts = parse(OLD_32_BIT)
    value = json.loads(json.dumps(report.as_value("h", facts, findings(facts))))
    assert value["blocked"] is True
    assert value["facts"]["ports"][0]["latency_timer_ms"] == 16
    assert value["findings"][0]["code"] == "system_32_bit"
