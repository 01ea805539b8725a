"""``otaclient jobs watch``: a job's progress as it changes, until its end."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from otaclient.cli.cells import plain
from otaclient.cli.connect import connect
from otaclient.cli.failures import ExitCode
from otaclient.cli.listing import Kind, printer, say
from otaclient.cli.options import DEFAULT_ATTEMPTS, Attempts, BackendName, OutputFormat, Profile, check_seconds
from otaclient.cli.output import Format
from otaclient.cli.progress import ProgressBar
from otaclient.cli.sink import StandardOutput
from otaclient.counted import counted
from otaclient.errors import DeadlineExceededError
from otaclient.models import JobProgress, JobStatus
from otaclient.protocols import Backend

__all__ = ["watch_job"]


@attrs.frozen(kw_only=True)
class _Change(JobProgress):
    """What a program is told of a change."""

    failures: Any = None
    """Failed devices by reason; ``None`` until the reasons have been read."""


_PROGRESS = Kind(model=_Change, noun="changes", columns=())
_FINISHED = ("succeeded", "failed", "cancelled", "removed")
_OPEN = ("upgrading", "retrying", "pending")


async def watch_job(
    job_id: str,
    /,
    *,
    interval: Annotated[
        float, Parameter(validator=check_seconds, help="How many seconds between two looks, about.")
    ] = 10.0,
    timeout: Annotated[float | None, Parameter(validator=check_seconds, help="Give up after so many seconds.")] = None,
    attempts: Attempts = DEFAULT_ATTEMPTS,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> ExitCode:
    """Follow a job until its end: a bar on a terminal, else a line a change; then what failed, by reason.

    Exit code 0: it succeeded. 1: it failed, if only in part, or was stopped; or
    --timeout ran out. 130: interrupted. In the last two cases the job goes on.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    """
    async with connect(backend, profile=profile, attempts=attempts) as client:
        followed = _Followed(client, job_id, interval_seconds=interval, timeout_seconds=timeout)
        try:
            if format not in {None, Format.TABLE}:
                printing = printer(_PROGRESS, format)
                await printing.run(followed.records())
            elif sys.stdout.isatty():
                await _draw(followed)
            else:
                await _print_lines(followed)
        except asyncio.CancelledError:
            say(f"job {job_id} goes on")
            raise
    last = followed.last
    return ExitCode.DONE if last is not None and last.status is JobStatus.SUCCEEDED else ExitCode.FAILED


class _Followed:
    """One job, and what was last seen of it."""

    def __init__(self, client: Backend, job_id: str, *, interval_seconds: float, timeout_seconds: float | None) -> None:
        self._client = client
        self._job_id = job_id
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self.last: JobProgress | None = None

    async def changes(self) -> AsyncIterator[JobProgress]:
        """Yield the progress as it changes; of a job with failures, at the end once more with their reasons.

        Raises:
            DeadlineExceededError: The time ran out.
        """
        jobs = self._client.jobs
        watching = jobs.watch(self._job_id, interval_seconds=self._interval_seconds)
        deadline = None if self._timeout_seconds is None else asyncio.get_running_loop().time() + self._timeout_seconds
        while (change := await self._next(watching, deadline)) is not None:
            self.last = change
            yield change
        if self.last is not None and self.last.failed:
            final = await jobs.wait(self._job_id)
            if final.failures:
                self.last = final
                yield final

    async def records(self) -> AsyncIterator[Sequence[Any]]:
        """Yield the changes as blocks of one, for a printer."""
        async for change in self.changes():
            yield [_record_of(change)]

    async def _next(self, watching: AsyncIterator[JobProgress], deadline: float | None) -> JobProgress | None:
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(watching, None)
        except TimeoutError:
            seen = "" if self.last is None else f"; it is {_words(self.last)}"
            raise DeadlineExceededError(
                f"job {self._job_id} has not ended within {self._timeout_seconds:g} s, and goes on{seen}",
                operation="jobs.watch",
                backend=self._client.label,
            ) from None


async def _print_lines(followed: _Followed) -> None:
    output = StandardOutput()
    async for change in followed.changes():
        await output.write(_failure_lines(change) if change.failures else f"{_moment(change)}  {_words(change)}\n")


async def _draw(followed: _Followed) -> None:
    async with ProgressBar("", unit="devices", prominent=True) as bar:
        async for change in followed.changes():
            bar.update(_finished(change), change.total, what=change.status.value.replace("_", " "))
    last = followed.last
    if last is not None:
        await StandardOutput().write(f"{_words(last)}\n{_failure_lines(last)}")


def _record_of(progress: JobProgress) -> Any:
    """Return what a program is told: the reasons are not empty, but unknown, until they have been read."""
    values = attrs.asdict(progress, recurse=False)
    if not progress.failures and progress.failed != 0:
        values["failures"] = None
    return _Change(**values)


# --- words -----------------------------------------------------------------------------------------------------------


def _moment(progress: JobProgress) -> str:
    instant = progress.as_of or datetime.now(UTC)
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _finished(progress: JobProgress) -> int:
    return sum(getattr(progress, name) or 0 for name in _FINISHED)


def _words(progress: JobProgress) -> str:
    """Return how far a job is; what the vendor does not say, and what is zero, is left out."""
    counts = [f"{count:,} {name}" for name in (*_FINISHED, *_OPEN) if (count := getattr(progress, name))]
    of_all = "" if progress.total is None else f" of {counted(progress.total, 'device')}"
    return f"{progress.status.value.replace('_', ' ')}: {_finished(progress):,}{of_all} done" + (
        f" ({', '.join(counts)})" if counts else ""
    )


def _failure_lines(progress: JobProgress) -> str:
    counts = progress.failures
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    lines = [f"  {count:>{width},}  {plain(reason)}\n" for reason, count in counts.items()]
    return f"failed, by reason:\n{''.join(lines)}" if lines else ""
