"""Following a job, on a clock driven by hand."""

import math
from typing import Any

import anyio
import pytest

from otaclient.errors import DeadlineExceededError, InvalidQueryError
from otaclient.models import DeviceId, DeviceTask, JobId, JobProgress, JobStatus, TaskFailure, TaskStatus
from otaclient.testing import HandClock
from otaclient.watching import NO_REASON, is_step_back, reasons_of, wait_for_job, watch_job

LAG = 2.0


def at(succeeded: int, failed: int = 0, *, status: JobStatus = JobStatus.RUNNING, upgrading: int = 0) -> JobProgress:
    """Return a reading."""
    return JobProgress(status=status, total=10, succeeded=succeeded, failed=failed, upgrading=upgrading)


def readings(*progress: JobProgress) -> Any:
    """Return a reader that gives these, and the last one for ever."""
    left = list(progress)

    async def read() -> JobProgress:
        return left.pop(0) if len(left) > 1 else left[0]

    return read


async def watched(*progress: JobProgress, interval: float = 1.0, **options: Any) -> tuple[list[JobProgress], HandClock]:
    """Return what a watch shows, and the clock that it used."""
    clock = HandClock()
    watch = watch_job(
        readings(*progress), interval_seconds=interval, read_lag_seconds=LAG, clock=clock, roll=lambda: 0.5, **options
    )
    return [reading async for reading in watch], clock


END = at(9, 1, status=JobStatus.PARTIALLY_SUCCEEDED)


async def test_only_changes_are_shown_and_the_end_ends_it() -> None:
    """The first reading comes at once, then every change, then the final one."""
    shown, clock = await watched(at(0), at(0), at(3), at(3), END)
    assert shown == [at(0), at(3), END]
    assert clock.slept == [1.0] * 4


async def test_read_lag_never_shows_as_a_step_back() -> None:
    """A search that lags behind for less than the lag is not shown."""
    shown, _ = await watched(at(5), at(3), at(4), at(6), END)
    assert shown == [at(5), at(6), END]
    shown, _ = await watched(at(5), at(9, 1, status=JobStatus.RUNNING), at(3), at(9, 1), END)
    assert shown == [at(5), at(9, 1), END]


async def test_a_lasting_step_back_is_real() -> None:
    """Failed devices that are tried again do go back; that is shown once it has lasted for longer than the lag."""
    shown, clock = await watched(
        at(5, 5), at(5, 2, upgrading=3), at(5, 2, upgrading=3), at(5, 2, upgrading=3), at(5, 2, upgrading=3), END
    )
    assert shown == [at(5, 5), at(5, 2, upgrading=3), END]
    assert len(clock.slept) == 5


async def test_a_final_status_that_is_taken_back_is_a_step_back() -> None:
    """A job that was over and runs again must last before it is believed."""
    assert is_step_back(END, at(9, 1))
    assert not is_step_back(at(1), at(1))
    assert not is_step_back(JobProgress(status=JobStatus.RUNNING), at(0))


async def test_the_deadline_ends_a_watch_with_one_more_reading() -> None:
    """A watch that is given an end reads once more right then."""
    shown, clock = await watched(at(1), at(2), at(3), at(4), interval=2.0, deadline=1005.0)
    assert shown == [at(1), at(2), at(3), at(4)]
    assert clock.slept == [2.0, 2.0, 1.0]


async def test_jitter_stays_near_the_interval() -> None:
    """Waits are spread around the interval."""
    clock, rolls = HandClock(), iter([0.0, 0.25, 1.0])
    watch = watch_job(
        readings(at(0), at(1), at(2), END),
        interval_seconds=10,
        read_lag_seconds=LAG,
        clock=clock,
        roll=lambda: next(rolls),
    )
    assert len([reading async for reading in watch]) == 4
    assert clock.slept == pytest.approx([8.0, 9.0, 12.0])


@pytest.mark.parametrize("interval", [0, -1, "1", None, True, math.nan, math.inf, -math.inf])
async def test_an_interval_is_a_positive_number(interval: Any) -> None:
    """An interval of nothing would hammer the vendor, and one without an end would never look again."""
    with pytest.raises(InvalidQueryError, match=f"^interval_seconds is {interval!r}: give a number of seconds above 0"):
        await watched(at(0), interval=interval)


async def waited(
    *progress: JobProgress, timeout: float | None = None, failures: dict[str, int] | None = None
) -> JobProgress:
    """Wait for a job with these readings."""

    async def read_failures() -> dict[str, int]:
        assert failures is not None, "nobody failed, so nobody needs to ask why"
        return failures

    return await wait_for_job(
        readings(*progress),
        read_failures=read_failures,
        timeout_seconds=timeout,
        interval_seconds=5,
        read_lag_seconds=LAG,
        clock=HandClock(),
        roll=lambda: 0.5,
    )


async def test_waiting_gives_the_end_and_the_reasons() -> None:
    """The most frequent reason comes first; where nobody failed, nobody is asked."""
    done = await waited(at(0), END, failures={"offline": 1, "checksum": 3, "battery": 1})
    assert list(done.failures.items()) == [("checksum", 3), ("battery", 1), ("offline", 1)]
    assert (await waited(at(10, status=JobStatus.SUCCEEDED))).failures == {}


async def test_waiting_ends_at_the_deadline() -> None:
    """The error says how far the job was; the job itself goes on."""
    with pytest.raises(DeadlineExceededError, match=r"not ended within 12 s, and goes on; it is running: 10 total"):
        await waited(at(1), at(2), timeout=12)


@pytest.mark.parametrize("timeout", [0, -1, "5", True, math.nan])
async def test_the_time_to_wait_is_a_positive_number(timeout: Any) -> None:
    """What cannot be meant is refused before the job is looked at."""
    with pytest.raises(InvalidQueryError, match=f"^timeout_seconds is {timeout!r}: give a number of seconds above 0"):
        await waited(timeout=timeout)


async def never() -> Any:
    """Wait for ever."""
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        ([], "nothing was heard of the job within 0.01 s"),
        ([at(1)], "the job has not ended within 0.01 s, and goes on; it is running: 10 total"),
        ([END], "why devices failed could not be read within 0.01 s; the job has ended: .*10 total"),
    ],
)
async def test_a_reading_that_hangs_does_not_outlast_the_deadline(progress: list[JobProgress], said: str) -> None:
    """Whatever a client allows for one call: who waits for so long waits no longer."""
    left = list(progress)

    async def read() -> JobProgress:
        return left.pop(0) if left else await never()

    with pytest.raises(DeadlineExceededError, match=said):
        await wait_for_job(
            read,
            read_failures=never,
            timeout_seconds=0.01,
            interval_seconds=0.001,
            read_lag_seconds=LAG,
            clock=HandClock(),
            roll=lambda: 0.5,
        )


async def test_the_last_reading_ends_by_the_deadline() -> None:
    """It begins so much earlier as the one before it took."""
    clock = HandClock()
    began: list[float] = []

    async def read() -> JobProgress:
        began.append(clock.seconds - 1000.0)
        clock.seconds += 1.5
        return at(1)

    with pytest.raises(DeadlineExceededError):
        await wait_for_job(
            read,
            read_failures=never,
            timeout_seconds=12,
            interval_seconds=5,
            read_lag_seconds=LAG,
            clock=clock,
            roll=lambda: 0.5,
        )
    assert (began, clock.seconds) == ([0.0, 6.5, 10.5], 1012.0)


def test_failures_are_counted_by_reason() -> None:
    """By the text, else by the code, else as without a reason: none of them is lost."""

    def failed(failure: TaskFailure | None) -> DeviceTask:
        return DeviceTask(
            backend="b", job_id=JobId("j"), device_id=DeviceId("d"), status=TaskStatus.FAILED, failure=failure
        )

    failures = [TaskFailure(message="no space"), TaskFailure(message="no space", code="x"), None]
    failures += [TaskFailure(code="-3"), TaskFailure(message="", code=""), TaskFailure()]
    assert reasons_of(map(failed, failures)) == {"no space": 2, "-3": 1, NO_REASON: 3}
