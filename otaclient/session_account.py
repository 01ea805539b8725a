"""Whom the operations of one client act for, and what all its repositories do alike with requests and answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

import attrs

from otaclient.errors import ApiError, DeadlineExceededError, InvalidQueryError, RequestNotSentError
from otaclient.models import JobProgress
from otaclient.paging import Paged
from otaclient.reads import ReadSource
from otaclient.session_reads import concerning
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient.transport.settling import WriteLag
from otaclient.watching import Reading, wait_for_job, watch_job

__all__ = ["SessionAccount", "check_kind"]

_P = TypeVar("_P")
_T = TypeVar("_T")


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

    def listing(self, source: ReadSource[_T], *identity: object) -> Paged[_T]:
        """Return a listing.

        Args:
            source: What reads it.
            identity: Who asks, and what: a cursor of another identity means nothing here, and is refused.
        """
        return Paged(source, backend=self.name, query=identity, settle=self.settle)

    def watch(self, read: Reading, *, interval_seconds: float) -> AsyncIterator[JobProgress]:
        """Return a job's progress as it changes, until its final state; see :func:`otaclient.watching.watch_job`."""
        return watch_job(
            read,
            interval_seconds=interval_seconds,
            read_lag_seconds=self.lag.seconds,
            clock=self.session.clock,
            roll=self.session.roll,
        )

    async def wait(
        self,
        read: Reading,
        *,
        read_failures: Callable[[], Awaitable[Mapping[str, int]]],
        timeout_seconds: float | None,
        interval_seconds: float,
    ) -> JobProgress:
        """Return a job's final progress; see :func:`otaclient.watching.wait_for_job`."""
        with concerning("jobs.wait", self.label):
            return await wait_for_job(
                read,
                read_failures=read_failures,
                timeout_seconds=timeout_seconds,
                interval_seconds=interval_seconds,
                read_lag_seconds=self.lag.seconds,
                clock=self.session.clock,
                roll=self.session.roll,
            )

    def build(self, operation: str, builder: Callable[..., _P], /, *arguments: Any, **options: Any) -> _P:
        """Return what a pure function makes of arguments; its errors say which operation of which client they stop."""
        with concerning(operation, self.label):
            return builder(*arguments, **options)

    def parse(
        self, request: HttpRequest, response: HttpResponse, parser: Callable[[HttpRequest, HttpResponse], _P]
    ) -> _P:
        """Return what an answer holds; errors say which operation of which client they are about."""
        redact = self.session.redact
        with concerning(request.operation, self.label, attempts=response.attempts, redact=redact):
            return parser(request, response)

    async def write(
        self, request: HttpRequest, *, deadline: float | None = None, retry: RetryPolicy | None = None
    ) -> HttpResponse:
        """Send a request that changes something, and remember that searches may lag behind it.

        Args:
            request: The request.
            deadline: When it must have ended; ``timeout_seconds`` from now unless given.
            retry: The retries that are left; those of the client unless given.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        refused = False
        session = self.session if retry is None else self.session.with_options(retry=retry)
        try:
            return await session.call(request, deadline=deadline)
        except (ApiError, RequestNotSentError):
            refused = True
            raise
        finally:
            # Whatever else ended it, also a cancellation: it may have taken effect.
            if not refused:
                self.lag.wrote()


def check_kind(query: object, kind: type[Any]) -> None:
    """Refuse a query of another kind than an operation takes.

    Raises:
        InvalidQueryError: It says which kind it takes.
    """
    if not isinstance(query, kind):
        raise InvalidQueryError(f"the query is a {type(query).__name__}: give a {kind.__name__}")
