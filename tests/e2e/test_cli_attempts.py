"""``--attempts``: how long the reading commands bear a vendor that fails, on a clock that is driven by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otaclient.cli.options import DEFAULT_ATTEMPTS, MOST_ATTEMPTS
from otaclient.emulator import EmulatorServer, Fleet
from otaclient.models import JobStatus
from otaclient.registry import emulator_class
from otaclient.testing import HandClock
from support.command_line import Run, served_aside

DEVICES = 250
READS = {
    "devices scan --concurrency 1": "devices.search",
    "devices list": "devices.search",
    "firmware list": "firmware.search",
    "jobs list": "jobs.search",
    "jobs tasks JOB": "jobs.tasks",
    "jobs watch JOB": "jobs.get",
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """The command's clock, on which every wait is over at once."""
    hand = HandClock(datetime.now(UTC))
    monkeypatch.setattr("otaclient.transport.session.SYSTEM_CLOCK", hand)
    return hand


@pytest.fixture
def cloud(clean: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """An emulator on that clock, and the settings for it."""
    server = emulator_class("enos")(Fleet.generate(devices=DEVICES, seed=11), clock=clock.service)
    with served_aside(server):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def ended_job(cloud: EmulatorServer) -> str:
    """Return a job that a watch has nothing to wait for."""
    return next(job.job_id for job in cloud.expected_jobs("enos") if job.status is JobStatus.STOPPED)


@pytest.mark.parametrize("command", READS)
def test_a_vendor_that_fails_for_long_is_borne(run: Run, cloud: EmulatorServer, clock: HandClock, command: str) -> None:
    """Nine failures in a row are one too many for the default, and none too many for ten attempts: also in time."""
    words = command.replace("JOB", ended_job(cloud)).split()

    def fail(times: int) -> None:
        cloud.faults.inject(READS[command], times=times, status=503, headers={"Retry-After": "7"})

    fail(DEFAULT_ATTEMPTS)
    result = run(*words)
    cloud.faults.clear()
    assert result.code == 1
    assert "HTTP 503" in result.err
    assert clock.slept == [7.0] * (DEFAULT_ATTEMPTS - 1)
    clock.slept.clear()
    fail(9)
    result = run(*words, "--attempts", "10")
    assert (result.code, "error" in result.err) == (1 if "watch" in words else 0, False), "1 as the job was stopped"
    assert clock.slept[:9] == [7.0] * 9, "63 s, where a call has 30 s unless more attempts are asked for"


def test_more_attempts_do_not_wait_for_ever(run: Run, cloud: EmulatorServer, clock: HandClock) -> None:
    """Advised waits that are longer than all the time there is end the command, and it says so."""
    cloud.faults.inject("devices.search", times=None, status=503, headers={"Retry-After": "46"})
    began = clock.seconds
    run("devices", "list", "--attempts", "6").refused(1, "beyond timeout_seconds")
    assert clock.seconds - began == 0.0, "46 s are beyond 30 s and 15 s for the sixth"
    cloud.faults.clear()
    cloud.faults.inject("devices.search", times=1, status=503, headers={"Retry-After": "44"})
    assert run("devices", "list", "--attempts", "6").code == 0


@pytest.mark.parametrize("attempts", ["1", str(DEFAULT_ATTEMPTS), str(MOST_ATTEMPTS)])
def test_so_many_requests_and_no_more(run: Run, cloud: EmulatorServer, attempts: str) -> None:
    """The number counts the first request, and the time never runs out before it is reached."""
    cloud.faults.inject("devices.search", times=None, status=503)
    said = "" if attempts == "1" else f", attempts {attempts}"
    run("devices", "list", "--attempts", attempts).refused(1, f"(HTTP 503{said})")
    assert cloud.served["devices.search"] == int(attempts)


@pytest.mark.parametrize("value", ["0", "101", "-1", "1.5", "many", ""])
def test_a_number_that_cannot_be_is_refused(run: Run, cloud: EmulatorServer, value: str) -> None:
    """A whole number from 1 to 100; nothing is sent."""
    run("devices", "scan", "--attempts", value).refused(2, "--attempts")
    assert cloud.served.total() == 0
