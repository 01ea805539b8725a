"""Whom the operations of one client act for, and what all its repositories do alike with requests and answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypeVar

import attrs

from otaclient.errors import ApiError, DeadlineExceededError, RequestNotSentError
from otaclient.models import JobId, JobProgress, TaskStatus
from otaclient.paging import Paged
from otaclient.protocols import JobRepository
from otaclient.queries import DeviceTaskQuery
from otaclient.reads import ReadSource
from otaclient.reconcile import Write
from otaclient.session_reads import concerning
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient.transport.settling import WriteLag
from otaclient.watching import POLL_SECONDS, reasons_of, wait_for_job, watch_job

__all__ = ["Parser", "SessionAccount"]

_P = TypeVar("_P")
_T = TypeVar("_T")

Parser: TypeAlias = Callable[[HttpRequest, HttpResponse], _P]
"""Returns what an answer to a request holds."""


@attrs.frozen(kw_only=True)
class SessionAccount:
    """A session, and how far its searches may lag behind its writes.

    A backend's account adds who it is that the vendor knows: an organisation, a project.
    """

    name: ClassVar[str]
    """The backend's name, as in its entry point."""

    session: Session
    lag: WriteLag

    @property
    def label(self) -> str:
        """The client's label."""
        return self.session.label

    def for_one_call(self) -> Self:
        """Return this account for one call of several requests, which have ``timeout_seconds`` all together."""
        return attrs.evolve(self, session=self.session.until(self.session.deadline()))

    async def settle(self) -> None:
        """Wait until every write so far can be read.

        Raises:
            DeadlineExceededError: That takes longer than ``timeout_seconds``.
        """
        if not await self.lag.settle_by(self.session.deadline()):
            raise DeadlineExceededError(
                f"searches may lag {self.lag.seconds:g} s behind a write, and timeout_seconds ends before",
                backend=self.label,
            )

    async def settle_anew(self, purpose: str) -> None:
        """Wait until reads show what an earlier request of this call may have done only just now.

        Args:
            purpose: What is read for, for the error.

        Raises:
            DeadlineExceededError: The call ends before.
        """
        if not await self.lag.settle_by(self.session.deadline(), least_seconds=self.lag.seconds):
            raise DeadlineExceededError(f"timeout_seconds left no time to {purpose}")

    def listing(self, source: ReadSource[_T], *identity: object) -> Paged[_T]:
        """Return a listing.

        Args:
            source: What reads it.
            identity: Who asks, and what: a cursor of another identity means nothing here, and is refused.
        """
        return Paged(source, backend=self.name, query=identity, label=self.label, settle=self.settle)

    def watch(self, jobs: JobRepository, job_id: JobId | str, *, interval_seconds: float) -> AsyncIterator[JobProgress]:
        """Return a job's progress as it changes, until its final state; see :func:`otaclient.watching.watch_job`."""
        return watch_job(
            partial(jobs.progress, job_id),
            interval_seconds=interval_seconds,
            read_lag_seconds=self.lag.seconds,
            clock=self.session.clock,
            roll=self.session.roll,
        )

    async def wait(self, jobs: JobRepository, job_id: JobId | str, *, timeout_seconds: float | None) -> JobProgress:
        """Return a job's final progress; see :func:`otaclient.watching.wait_for_job`."""

        async def failures() -> Mapping[str, int]:
            failed = DeviceTaskQuery(job_id=JobId(job_id), statuses=(TaskStatus.FAILED,))
            return reasons_of([task async for task in jobs.tasks(failed)])

        with concerning("jobs.wait", self.label):
            return await wait_for_job(
                partial(jobs.progress, job_id),
                read_failures=failures,
                timeout_seconds=timeout_seconds,
                interval_seconds=POLL_SECONDS,
                read_lag_seconds=self.lag.seconds,
                clock=self.session.clock,
                roll=self.session.roll,
            )

    def build(self, operation: str, builder: Callable[..., _P], /, *arguments: Any, **options: Any) -> _P:
        """Return what a pure function makes of arguments; its errors say which operation of which client they stop."""
        with concerning(operation, self.label):
            return builder(*arguments, **options)

    def parse(self, request: HttpRequest, response: HttpResponse, parser: Parser[_P]) -> _P:
        """Return what an answer holds; errors say which operation of which client they are about."""
        redact = self.session.redact
        with concerning(request.operation, self.label, attempts=response.attempts, redact=redact):
            return parser(request, response)

    async def carry_out(
        self,
        request: HttpRequest,
        parser: Parser[_P],
        *,
        look: Callable[[], Awaitable[_P | None]] | None = None,
        repeats: bool = False,
        took_effect: Callable[[ApiError], Awaitable[_P | None]] | None = None,
        fingerprint: str | None = None,
    ) -> _P:
        """Send a request that changes something until what became of it is known, or cannot be; for one call.

        Args:
            request: The request.
            parser: Returns the result in its answer.
            look: Returns what was made if it is there; this and what follows as in :class:`otaclient.reconcile.Write`.
            repeats: Whether the vendor refuses to do it twice.
            took_effect: Returns the result where the refusal of a repeated request says that an earlier one has it.
            fingerprint: By which a job can be looked for later.

        Raises:
            OutcomeUnknownError: It may or may not have taken effect.
            OtaError: It did not take effect.
        """

        async def send(retry: RetryPolicy) -> _P:
            return self.parse(request, await self.write(request, retry=retry), parser)

        return await Write(
            request=request,
            session=self.session,
            lag=self.lag,
            send=send,
            look=look,
            repeats=repeats,
            took_effect=took_effect,
            fingerprint=fingerprint,
        ).carry_out()

    async def command(self, request: HttpRequest, took_effect: Callable[[ApiError], Awaitable[bool]]) -> None:
        """Send what the vendor refuses to do twice, and after an unclear answer again; for one call.

        Args:
            request: The request.
            took_effect: Tells by the refusal of a repeated request whether an earlier one took effect.

        Raises:
            OutcomeUnknownError: It may or may not have been done.
            OtaError: It was not done.
        """

        async def is_done(refusal: ApiError) -> Literal[True] | None:
            return await took_effect(refusal) or None

        await self.carry_out(request, _done, repeats=True, took_effect=is_done)

    async def write(self, request: HttpRequest, *, retry: RetryPolicy | None = None) -> HttpResponse:
        """Send a request that changes something, and remember that searches may lag behind it.

        Args:
            request: The request.
            retry: The retries that are left; those of the client unless given.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        refused = False
        session = self.session if retry is None else self.session.with_options(retry=retry)
        try:
            return await session.call(request)
        except (ApiError, RequestNotSentError):
            refused = True
            raise
        finally:
            # Whatever else ended it, also a cancellation: it may have taken effect.
            if not refused:
                self.lag.wrote()


def _done(_request: HttpRequest, _response: HttpResponse) -> Literal[True]:
    # A command has no result: that its answer is good says it all.
    return True
