"""Following a job: its progress as it changes, and its end. Vendor-neutral: a backend gives the reading."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import anyio
import attrs

from otaclient.errors import DeadlineExceededError, InvalidQueryError
from otaclient.models import DeviceTask, FrozenMap, JobProgress, JobStatus
from otaclient.transport.clock import Clock

__all__ = [
    "FINAL_STATUSES",
    "NO_REASON",
    "POLL_SECONDS",
    "Reading",
    "is_step_back",
    "reasons_of",
    "wait_for_job",
    "watch_job",
]

FINAL_STATUSES = frozenset({JobStatus.SUCCEEDED, JobStatus.PARTIALLY_SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED})
"""After one of these a job does nothing more by itself."""

POLL_SECONDS: Final = 10.0
"""The mean time between two readings of a job that is waited for."""

NO_REASON: Final = "(no reason given)"
"""Stands for the reason of failed devices of which the vendor says none."""

# Each wait is drawn from this share of the interval around it, so that many watchers do not ask in step.
_JITTER = 0.2

Reading = Callable[[], Awaitable[JobProgress]]


def is_step_back(before: JobProgress, after: JobProgress) -> bool:
    """Tell whether ``after`` shows fewer finished devices than ``before``, or a job that was final as not final."""
    if before.status in FINAL_STATUSES and after.status not in FINAL_STATUSES:
        return True
    names = ("succeeded", "failed", "cancelled", "removed")
    pairs: list[tuple[int | None, int | None]] = [(getattr(before, name), getattr(after, name)) for name in names]
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    return sum(new for _, new in known) < sum(old for old, _ in known)


async def watch_job(
    read: Reading,
    *,
    interval_seconds: float,
    read_lag_seconds: float,
    clock: Clock,
    roll: Callable[[], float],
    deadline: float = float("inf"),
) -> AsyncIterator[JobProgress]:
    """Yield a job's progress whenever it has changed, the first reading at once, the final one last.

    A reading that goes back may be a search that lags behind; it is shown only once it has lasted for longer than the
    lag: then it is real, as when failed devices are tried again.

    Args:
        read: Asks the vendor.
        interval_seconds: The mean time between two readings.
        read_lag_seconds: How long the vendor's answers may lag behind.
        clock: Measures and waits.
        roll: Draws the jitter, in [0, 1).
        deadline: When to stop without an end, in seconds of the clock's ``monotonic``; read once more just before.

    Raises:
        InvalidQueryError: The interval is no finite number above 0.
    """
    _check_interval(interval_seconds)
    shown: JobProgress | None = None
    back_since: float | None = None
    while True:
        began = clock.monotonic()
        now = await read()
        if shown is not None and is_step_back(shown, now):
            back_since = clock.monotonic() if back_since is None else back_since
            stale = clock.monotonic() - back_since <= read_lag_seconds
        else:
            back_since, stale = None, False
        if not stale and (shown is None or _differs(shown, now)):
            shown = now
            yield now
        if not stale and now.status in FINAL_STATUSES:
            return
        # The last reading begins so early that it ends in time if it takes as long as this one.
        left = deadline - clock.monotonic() - (clock.monotonic() - began)
        if left <= 0:
            return
        await clock.sleep(min(left, interval_seconds * (1 - _JITTER + 2 * _JITTER * roll())))


async def wait_for_job(
    read: Reading,
    *,
    read_failures: Callable[[], Awaitable[Mapping[str, int]]],
    timeout_seconds: float | None,
    interval_seconds: float,
    read_lag_seconds: float,
    clock: Clock,
    roll: Callable[[], float],
) -> JobProgress:
    """Return a job's final progress, with its failed devices grouped by reason.

    Args:
        read: Asks the vendor for the progress.
        read_failures: Asks the vendor for the failed devices by reason; only called when some failed.
        timeout_seconds: How long to wait; ``None`` for ever.
        interval_seconds: The mean time between two readings.
        read_lag_seconds: How long the vendor's answers may lag behind.
        clock: Measures and waits.
        roll: Draws the jitter, in [0, 1).

    Raises:
        InvalidQueryError: The time to wait is no number above 0.
        DeadlineExceededError: The job had not ended by then; the message says how far it was. The job goes on.
    """
    _check_timeout(timeout_seconds)
    seconds = math.inf if timeout_seconds is None else timeout_seconds
    last: JobProgress | None = None
    with anyio.move_on_after(seconds):  # a reading has the client's own time, which may be longer
        async for progress in watch_job(
            read,
            interval_seconds=interval_seconds,
            read_lag_seconds=read_lag_seconds,
            clock=clock,
            roll=roll,
            deadline=clock.monotonic() + seconds,
        ):
            last = progress
        if last is not None and last.status in FINAL_STATUSES:
            failures = await read_failures() if last.failed else dict[str, int]()
            ranked = sorted(failures.items(), key=lambda item: (-item[1], item[0]))
            return attrs.evolve(last, failures=FrozenMap(dict(ranked)))
    raise DeadlineExceededError(_too_late(last, seconds), operation="jobs.wait")


def reasons_of(tasks: Iterable[DeviceTask]) -> Counter[str]:
    """Return how many of these failed tasks failed for which reason: in the vendor's words, or else its code."""
    return Counter(_reason_of(task) for task in tasks)


def _check_interval(seconds: Any) -> None:
    # Of nothing, it would hammer the vendor; without an end, there would be no second reading.
    if type(seconds) not in (int, float) or not 0 < seconds < math.inf:
        raise InvalidQueryError(f"interval_seconds is {seconds!r}: give a number of seconds above 0, such as 10")


def _check_timeout(seconds: Any) -> None:
    if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
        raise InvalidQueryError(f"timeout_seconds is {seconds!r}: give a number of seconds above 0, or None for no end")


def _reason_of(task: DeviceTask) -> str:
    failure = task.failure
    return (failure and (failure.message or failure.code)) or NO_REASON


def _too_late(last: JobProgress | None, seconds: float) -> str:
    if last is None:
        return f"nothing was heard of the job within {seconds} s"
    if last.status in FINAL_STATUSES:
        return f"why devices failed could not be read within {seconds} s; the job has ended: {_in_words(last)}"
    return f"the job has not ended within {seconds} s, and goes on; it is {_in_words(last)}"


def _differs(before: JobProgress, after: JobProgress) -> bool:
    return attrs.evolve(before, as_of=None) != attrs.evolve(after, as_of=None)


def _in_words(progress: JobProgress) -> str:
    counts = attrs.asdict(progress, filter=lambda _, value: type(value) is int)
    return f"{progress.status.value}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
