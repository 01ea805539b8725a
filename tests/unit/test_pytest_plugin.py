"""The fixtures of the test kit: in this run, and in runs of their own under each plug-in for asynchronous tests."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otaclient import ConfigurationError, JobStatus, NotFoundError
from otaclient.testing import HandClock, emulator_of

CASE = """
import asyncio
import pytest

{mark}
async def test_a_bad_gateway_is_survived(ota_enos, ota_clock):
    async with ota_enos as enos:
        before = ota_clock.now()
        enos.faults.inject("jobs.get", status=502)
        job = await enos.backend.jobs.get(enos.jobs[0].job_id)
        assert job.job_id == enos.jobs[0].job_id
        asked = [attempt for attempt in enos.attempts if attempt.operation == "jobs.get"]
        assert [attempt.status for attempt in asked] == [502, 200]
        assert ota_clock.slept
        assert ota_clock.now() > before


def test_without_any_plugin(ota_iotda):
    async def main():
        async with ota_iotda as iotda:
            return await iotda.backend.devices.search().first(3), iotda.devices[:3]

    found, expected = asyncio.run(main())
    assert list(found) == expected
"""


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("", ["-p", "no:anyio", "-o", "asyncio_mode=auto"]),
        ("@pytest.mark.asyncio", ["-p", "no:anyio", "-o", "asyncio_mode=strict"]),
        ("@pytest.mark.anyio", ["-p", "no:asyncio"]),
    ],
    ids=["asyncio, auto", "asyncio, strict", "anyio"],
)
def test_the_fixtures_work_with_each_plugin(tmp_path: Path, mark: str, options: list[str]) -> None:
    """Somebody else's project, which has installed otaclient and configured nothing."""
    backend = "\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n" if "anyio" in mark else ""
    (tmp_path / "test_theirs.py").write_text(CASE.format(mark=mark) + backend, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *options, str(tmp_path)]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "2 passed" in ran.stdout, ran.stdout


@pytest.mark.ota_fleet(devices=40, seed=9)
async def test_both_vendors_serve_copies_of_one_fleet_on_one_clock(
    ota_enos: Any, ota_iotda: Any, ota_fleet: Any, ota_clock: HandClock
) -> None:
    """The marker says of what fleet; what is done to one vendor leaves the other alone."""
    assert len(ota_fleet.devices) == 40
    async with ota_enos as enos, ota_iotda as iotda:
        assert len(enos.devices) == len(iotda.devices) == 40
        job = next(job for job in enos.jobs if job.status is JobStatus.STOPPED)
        await enos.backend.jobs.delete(job.job_id)
        with pytest.raises(NotFoundError):
            await enos.backend.jobs.get(job.job_id)
        assert iotda.emulator.fleet.job_record(job.job_id) is not None
        assert enos.clock is iotda.clock is ota_clock
        ota_clock.advance(60)
        assert enos.emulator.clock.now_ms() == iotda.emulator.clock.now_ms()


def test_an_emulator_that_there_is_not(ota_fleet: Any) -> None:
    """The error lists those that there are."""
    with pytest.raises(ConfigurationError, match="known emulators: enos, iotda"):
        emulator_of("acme", ota_fleet)


def test_time_does_not_run_backwards() -> None:
    """Neither the client's nor the service's."""
    clock = HandClock()
    with pytest.raises(ValueError, match="never runs backwards"):
        clock.advance(-1)
    assert clock.seconds == 1000.0
