"""``otaclient jobs watch`` over a backend in memory: what it prints, where to, and how it ends."""

import asyncio
import json
import signal
from typing import Any

import pytest

from otaclient.models import JobProgress, JobStatus
from support.command_line import Result, Run, terminal
from support.fake_backend import World


def progress(status: JobStatus, **counts: Any) -> JobProgress:
    """Return how far a job is."""
    return JobProgress(status=status, **counts)


STEPS = [
    progress(JobStatus.PENDING),
    progress(JobStatus.RUNNING, total=1200, pending=1000, upgrading=200, succeeded=0),
    progress(JobStatus.PARTIALLY_SUCCEEDED, total=1200, succeeded=1100, failed=90, cancelled=10),
]


def test_watch_prints_a_line_a_change_and_the_failures(run: Run, world: World) -> None:
    """Into a pipe go lines; at the end the failures by reason. A job that failed in part exits 1."""
    world.progress, world.failures = STEPS, {"no room": 1080, "lost\nline": 9}
    result = run("jobs", "watch", "j1", "--interval", "3")
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    assert [line.partition("  ")[2] for line in lines[:3]] == [
        "pending: 0 done",
        "running: 0 of 1,200 devices done (200 upgrading, 1,000 pending)",
        "partially succeeded: 1,200 of 1,200 devices done (1,100 succeeded, 90 failed, 10 cancelled)",
    ]
    assert lines[3:] == ["failed, by reason:", "  1,080  no room", "      9  lost\\nline"]
    assert world.called("jobs.progress") == [("j1", 3.0)]


@pytest.mark.parametrize(("status", "code"), [(JobStatus.SUCCEEDED, 0), (JobStatus.FAILED, 1), (JobStatus.STOPPED, 1)])
def test_watch_exit_code_tells_the_jobs_end(run: Run, world: World, status: JobStatus, code: int) -> None:
    """Only a job that succeeded exits 0; without failures nobody asks for reasons."""
    world.progress = [progress(status, total=1, succeeded=1)]
    assert run("jobs", "watch", "j1").code == code
    assert world.called("jobs.wait") == []


def test_watch_prints_records_for_programs(run: Run, world: World) -> None:
    """In the other formats each change is a record; the last one has the failures, where there are reasons."""
    world.progress, world.failures = STEPS, {"no room": 90}
    found = [json.loads(line) for line in run("jobs", "watch", "j1", "--format", "jsonl").out.splitlines()]
    assert [one["status"] for one in found] == ["pending", "running", "partially_succeeded", "partially_succeeded"]
    assert [one["failures"] for one in found] == [None, None, None, {"no room": 90}]
    world.failures = {}
    assert len(json.loads(run("jobs", "watch", "j1", "--format", "json").out)) == 3


def test_watch_draws_on_a_terminal(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal a bar stands for the changes; the end is left as a line."""
    terminal(monkeypatch)
    world.progress, world.failures = STEPS, {"no room": 90}
    result = run("jobs", "watch", "j1")
    assert result.code == 1
    assert result.out.splitlines() == [
        "partially succeeded: 1,200 of 1,200 devices done (1,100 succeeded, 90 failed, 10 cancelled)",
        "failed, by reason:",
        "  90  no room",
    ]


def test_watch_gives_up_in_time(run: Run, world: World) -> None:
    """After ``--timeout`` the command fails and says where the job is; before the first answer it cannot."""

    async def stand_still(_seen: JobProgress) -> None:
        await asyncio.Event().wait()

    world.progress, world.on_watch = STEPS[1:2], stand_still
    result = run("jobs", "watch", "j1", "--timeout", "0.01", "--format", "jsonl")
    assert result.code == 1
    assert result.err == (
        "error: fake jobs.watch: job j1 has not ended within 0.01 s, and goes on; it is running: 0 of 1,200 devices "
        "done (200 upgrading, 1,000 pending)\n"
    )


def test_watch_that_is_interrupted_leaves_the_job(run: Run, world: World) -> None:
    """Ctrl-C exits 130, and says that the job goes on."""

    async def interrupt(_seen: JobProgress) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    world.progress, world.on_watch = STEPS[1:2], interrupt
    result = run("jobs", "watch", "j1")
    assert (result.code, result.err) == (130, "job j1 goes on\ninterrupted\n")


def test_watch_of_nothing_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that shows nothing at all has not shown success."""
    assert run("jobs", "watch", "j1").code == 1
    terminal(monkeypatch)
    assert run("jobs", "watch", "j1") == Result(1, "", "")


@pytest.mark.parametrize("value", ["0", "-1", "inf", "-inf", "nan"])
@pytest.mark.parametrize("option", ["--interval", "--timeout"])
def test_watch_refuses_times_that_cannot_be(run: Run, option: str, value: str) -> None:
    """An interval or a time-out that is no finite number above 0 is wrong usage."""
    run("jobs", "watch", "j1", option, value).refused(2, option, "Must be a finite number above 0.")


def test_watch_of_one_device_counts_one_device(run: Run, world: World) -> None:
    """Numbers and words agree."""
    world.progress = [progress(JobStatus.SUCCEEDED, total=1, succeeded=1)]
    assert "succeeded: 1 of 1 device done (1 succeeded)" in run("jobs", "watch", "j1").out
