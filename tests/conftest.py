"""What holds for every test: no declared test may go missing, and in CI none may be skipped.

A test that needs the shared reference material (`../shared`) asks for the fixture `shared`; where
that folder is absent the test is skipped with the reason, and CI, which has it, fails instead.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


class Roll:
    """Who was called and who answered, kept where xdist's controller (or the only process) is."""

    def __init__(self) -> None:
        self.declared: set[str] = set()
        self.ran: set[str] = set()
        self.skipped: dict[str, str] = {}

    def missing(self) -> list[str]:
        return sorted(self.declared - self.ran - self.skipped.keys())


ROLL = Roll()


@pytest.fixture(autouse=True)
def _plain_log() -> None:
    """Logs as short lines on the output of the test that runs.

    A command under test may have pointed them at an output that is closed by now; and structlog's
    own default draws every local of a traceback, which takes seconds.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(),
    )


@pytest.fixture
def shared() -> Path:
    """The shared reference folder beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: this test needs the shared reference material")
    return SHARED


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    ROLL.declared.update(item.nodeid for item in session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: object, ids: list[str]) -> None:
    ROLL.declared.update(ids)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        ROLL.skipped[report.nodeid] = str(report.longrepr)
    elif report.when == "call" or report.failed:
        ROLL.ran.add(report.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    yield
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    if os.environ.get("CI") and ROLL.skipped and session.exitstatus == 0:
        session.exitstatus = 1
    if ROLL.missing() and session.exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROLL.missing() and not terminalreporter.config.option.collectonly:
        terminalreporter.section("declared tests that did not run")
        for nodeid in ROLL.missing():
            terminalreporter.line(nodeid)
    if os.environ.get("CI") and ROLL.skipped:
        terminalreporter.section("skipped tests (CI has everything they need: this is a failure)")
        for nodeid, why in sorted(ROLL.skipped.items()):
            terminalreporter.line(f"{nodeid}: {why}")
