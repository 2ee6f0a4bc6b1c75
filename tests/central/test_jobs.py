"""Jobs: a fault is tried again and shown, a mistake of ours ends the process."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from central import jobs as jobs_module
from central.jobs import Jobs
from central.tally import ForgottenError

WITHIN_S = 30.0  # nothing here takes so long: it ends a test that would wait for ever


@pytest.fixture
async def jobs(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Jobs]:
    monkeypatch.setattr(jobs_module, "FIRST_PAUSE_S", 0.01)
    running = Jobs()
    yield running
    await running.stop()


async def test_a_fault_is_shown_and_tried_again(jobs: Jobs) -> None:
    tries: list[dict[str, str]] = []
    done = asyncio.Event()

    async def job() -> None:
        tries.append(dict(jobs.faults))
        if len(tries) < 3:
            raise OSError("the cable")
        done.set()

    jobs.start("link", job)
    await asyncio.wait_for(done.wait(), WITHIN_S)
    await asyncio.sleep(0)
    assert tries == [{}, {"link": "OSError: the cable"}, {"link": "OSError: the cable"}]
    assert jobs.faults == {}
    assert not jobs.fatal.done()


@pytest.mark.parametrize("mistake", [AssertionError("impossible"), ForgottenError("no audit row")])
async def test_a_mistake_of_ours_is_fatal(jobs: Jobs, mistake: Exception) -> None:
    async def job() -> None:
        raise mistake

    jobs.start("ingest", job)
    with pytest.raises(type(mistake)):
        await asyncio.wait_for(asyncio.shield(jobs.fatal), WITHIN_S)


async def test_a_job_comes_again_and_stops(jobs: Jobs) -> None:
    times = 0
    thrice = asyncio.Event()

    async def job() -> None:
        nonlocal times
        times += 1
        if times == 3:
            thrice.set()

    jobs.every("seal", 0.001, job)
    await asyncio.wait_for(thrice.wait(), WITHIN_S)
    await jobs.stop()
    stopped_at = times
    await asyncio.sleep(0.01)
    assert times == stopped_at
