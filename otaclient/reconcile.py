"""Writes whose answer was lost: wait, look, and repeat where that is safe, so that nothing is done twice or forgotten.

The session repeats what provably was not executed, and nothing else of a write. What to do after an unclear answer
depends on the write: some can be looked for, some can be repeated because the vendor refuses what is done already.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic, NoReturn, TypeVar

import attrs

from otaclient.errors import (
    ApiError,
    ConflictError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
)
from otaclient.events import Retrying, deliver
from otaclient.paging import first_window, next_window
from otaclient.reads import ReadSource, Rows, Window
from otaclient.transport.http import HttpRequest
from otaclient.transport.retry import Failure, Remedy, RetryPolicy
from otaclient.transport.session import Session
from otaclient.transport.settling import WriteLag

__all__ = ["UNCLEAR_SECONDS", "Write", "walk"]

_T = TypeVar("_T")
_R = TypeVar("_R")
_log = logging.getLogger(__name__)

UNCLEAR_SECONDS: Final = 1.0
"""How long to wait at least before looking, also where searches do not lag: a gateway that gave up, or a connection
that was cut, may be ahead of the service behind it."""

# A refusal of one of these kinds says how things stand. Any other says nothing of what an earlier attempt did.
_TELLING: Final = (ConflictError, NotFoundError, InvalidQueryError)


@attrs.define(kw_only=True)
class Write(Generic[_R]):
    """One call that changes something, until what became of it is known, or cannot be.

    All its requests together are no more than the retry policy allows; without retries, an unclear answer is the end
    of it, and nobody looks.
    """

    request: HttpRequest
    session: Session
    """That of one call, see :meth:`~otaclient.transport.session.Session.until`: all of it ends with that."""
    lag: WriteLag
    send: Callable[[RetryPolicy], Awaitable[_R]]
    """Sends the request, with the retries that are left, and returns what the answer holds."""
    look: Callable[[], Awaitable[_R | None]] | None = None
    """Returns what was made if it is there, for what can be looked for. Raises ``ConflictError`` where something else
    is in its place."""
    repeats: bool = False
    """Whether the vendor refuses to do it twice, so that repeating it after an unclear answer is safe."""
    took_effect: Callable[[ApiError], Awaitable[_R | None]] | None = None
    """Tells by the refusal of a repeated request whether an earlier one took effect, and returns its result."""
    fingerprint: str | None = None
    """By which a job can be looked for later."""
    _deadline: float = attrs.field(init=False)
    _sent: int = attrs.field(default=0, init=False)
    """How many requests of earlier rounds were sent."""

    def __attrs_post_init__(self) -> None:
        self._deadline = self.session.deadline()

    async def carry_out(self) -> _R:
        """Return the result of the write.

        Raises:
            OutcomeUnknownError: It may or may not have taken effect.
            OtaError: It did not take effect, or not this time.
        """
        policy = self.session.retry
        lost: OutcomeUnknownError | None = None
        while True:
            try:
                return await self._one_round(policy)
            except OutcomeUnknownError as error:
                lost = self._noted(error)
            except OtaError as error:
                if isinstance(error, PayloadError) and error.operation == self.request.operation:
                    # An answer to the request itself, and a good one: what it was to tell is missing.
                    lost = self._noted(_without_result(error, self.request))
                elif lost is not None:
                    return await self._judged(error, lost)
                else:
                    raise
            if policy.max_attempts <= 1:
                raise lost
            if self.look is not None and (found := await self._looked(self.look, lost)) is not None:
                return found
            await self._pause(policy, lost)

    async def _one_round(self, policy: RetryPolicy) -> _R:
        try:
            return await self.send(attrs.evolve(policy, max_attempts=policy.max_attempts - self._sent))
        except asyncio.CancelledError:
            if self.fingerprint is not None:
                _log.warning(
                    "%s %s was cancelled; if the job was created, its name ends with the fingerprint %s",
                    self.session.label,
                    self.request.operation,
                    self.fingerprint,
                )
            raise

    def _noted(self, error: OutcomeUnknownError) -> OutcomeUnknownError:
        self._sent += error.attempts
        error.attempts = self._sent
        error.fingerprint = self.fingerprint
        return error

    async def _looked(self, look: Callable[[], Awaitable[_R | None]], lost: OutcomeUnknownError) -> _R | None:
        began = self.session.clock.monotonic()
        try:
            in_time = await self.lag.settle_by(self._deadline, least_seconds=UNCLEAR_SECONDS)
        except OtaError as error:
            _raise(lost, f"it was not looked for: {error.message}", error)
        if not in_time:
            _raise(lost, "timeout_seconds left no time to look for it")
        waited = self.session.clock.monotonic() - began
        try:
            found = await look()
        except ConflictError as error:
            raise self._ours(error) from lost
        except OtaError as error:
            _raise(lost, f"looking for it failed: {error.message}", error)
        if found is None:
            _say(lost, f"{waited:g} s later it was not to be found, but may still appear")
        return found

    async def _pause(self, policy: RetryPolicy, lost: OutcomeUnknownError) -> None:
        """Wait before the next round, or raise what is lost."""
        clock, cause = self.session.clock, lost.__cause__
        advised: float | None = getattr(cause, "retry_after_seconds", None)
        failure = Failure(error=lost, remedy=Remedy.REPEAT, retry_after_seconds=advised)
        delay = policy.delay(failure, attempt=self._sent, idempotent=self.repeats, roll=self.session.roll())
        if delay is None or clock.monotonic() + delay >= self._deadline:
            raise lost
        if self.session.on_event is not None:
            event = Retrying(
                backend=self.session.label,
                operation=self.request.operation,
                call=None,
                attempt=self._sent,
                delay_seconds=delay,
                error=type(cause or lost).__name__,
            )
            deliver(self.session.on_event, event)
        try:
            await clock.sleep(delay)
        except OtaError as error:
            _raise(lost, f"it was not repeated: {error.message}", error)

    async def _judged(self, error: OtaError, lost: OutcomeUnknownError) -> _R:
        """Return the result, where the failure of a repeated request says that an earlier one took effect."""
        self._ours(error)
        if not isinstance(error, _TELLING) or error.status is None:
            lost.attempts = error.attempts
            _raise(lost, f"then a repeat failed: {error.message}", error)
        try:
            found = None if self.took_effect is None else await self.took_effect(error)
        except ConflictError as conflict:
            raise self._ours(conflict) from lost
        except OtaError as failure:
            lost.attempts = error.attempts
            _raise(lost, f"a repeat was refused, and why could not be found out: {failure.message}", failure)
        if found is None:
            raise error
        return found

    def _ours(self, error: OtaError) -> OtaError:
        """Return an error, as one of this call."""
        error.operation = self.request.operation
        error.attempts += self._sent
        return error


def _without_result(error: PayloadError, request: HttpRequest) -> OutcomeUnknownError:
    words = error.message
    if request.how_to_check not in words:
        words = f"{request.subject} may or may not have taken effect: {words}; {request.how_to_check}"
    unknown = OutcomeUnknownError(words, **error.facts())
    unknown.__cause__ = error
    return unknown


def _say(lost: OutcomeUnknownError, words: str) -> None:
    lost.message += f"; {words}"
    lost.args = (lost.message,)


def _raise(lost: OutcomeUnknownError, words: str, cause: OtaError | None = None) -> NoReturn:
    _say(lost, words)
    if cause is None:
        raise lost
    raise lost from cause


async def walk(source: ReadSource[_T], *, enough: Callable[[Rows[_T]], bool] = lambda _: False) -> AsyncIterator[_T]:
    """Yield the rows of a listing that is read to its end.

    Args:
        source: What reads it, within the time of one call.
        enough: Tells of a page whether the rest of its walk need not be read.

    Raises:
        PayloadError: Some rows were not as documented, after all others were yielded: they may be those looked for.
        OtaError: A page could not be read.
    """
    bad: PayloadError | None = None
    for partition in source.partitions():
        window: Window | None = first_window(source.paging, source.paging.largest_page)
        while window is not None:
            raw = await source.fetch(partition, window)
            rows = source.decode(raw)
            bad = bad or next(iter(rows.errors), None)
            for row in rows.good:
                yield row
            window = None if enough(rows) else next_window(window, source.facts(raw))
    if bad is not None:
        raise bad
