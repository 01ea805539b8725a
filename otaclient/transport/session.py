"""The road of one call: deadline, limiter, sign, send, classify, retry. The only layer that repeats anything."""

import random
from collections.abc import Callable
from typing import Protocol

import attrs

from otaclient.errors import (
    ConfigurationError,
    DeadlineExceededError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
    RequestNotSentError,
    ResponseLostError,
)
from otaclient.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    Listener,
    Retrying,
    Throttled,
    TokenRenewed,
    deliver,
)
from otaclient.transport.clock import SYSTEM_CLOCK, Clock
from otaclient.transport.exchange import Exchange, Into, Whole
from otaclient.transport.http import HttpRequest, HttpResponse, Signer, Sink, Transport
from otaclient.transport.limits import Limiter, Limits
from otaclient.transport.retry import Failure, Remedy, RetryPolicy
from otaclient.transport.tokens import TokenCache

__all__ = ["Classifier", "Dialect", "Session"]

# How long everybody pauses after a throttled answer that advises no wait.
_UNADVISED_PAUSE_SECONDS = 0.5


class Classifier(Protocol):
    """Tells a backend's good answers from its failures; a pure function."""

    def __call__(self, request: HttpRequest, response: HttpResponse, /) -> Failure | None:
        """Return what went wrong, or ``None`` for a good answer."""
        ...


@attrs.frozen(kw_only=True)
class Dialect:
    """What a vendor's wire needs beyond plain HTTP."""

    endpoint: str
    """Scheme and host, such as ``https://apim-eu.example.com``; no path."""
    sign: Signer
    classify: Classifier
    tokens: TokenCache | None = None
    """Where the signer's ``token`` comes from; ``None`` where the vendor needs none."""


@attrs.define(kw_only=True)  # not frozen: that would make each of them twice as dear
class _Outcome:
    """What one attempt came to: a response, a failure, or a response that is one."""

    token: str | None
    response: HttpResponse | None = None
    failure: Failure | None = None


def _unclear(request: HttpRequest, failure: Failure) -> OutcomeUnknownError | None:
    """Return the error of a write that may have taken effect; ``None`` where that is clear."""
    if request.idempotent or failure.remedy is not Remedy.REPEAT:
        return None
    error = failure.error
    unknown = OutcomeUnknownError(
        f"{request.subject or 'the request'} may or may not have taken effect: {error.message}"
        + (f"; {request.how_to_check}" if request.how_to_check else ""),
        **error.facts(),
    )
    unknown.__cause__ = error
    return unknown


def _counted(response: HttpResponse, attempts: int, throttles: int) -> HttpResponse:
    return response if attempts == 1 else attrs.evolve(response, attempts=attempts, throttles=throttles)


def _new_limiter(session: "Session") -> Limiter:
    return Limiter(session.limits, session.clock)


@attrs.frozen(kw_only=True, eq=False)
class Session:
    """Sends requests for one client. Made by :func:`otaclient.open_backend`; a backend adds its :class:`Dialect`."""

    label: str
    transport: Transport = attrs.field(repr=False)
    timeout_seconds: float | None = 30.0
    retry: RetryPolicy = RetryPolicy()
    limits: Limits = Limits()
    on_event: Listener | None = attrs.field(default=None, repr=False)
    clock: Clock = attrs.field(default=SYSTEM_CLOCK, repr=False)
    roll: Callable[[], float] = attrs.field(default=random.random, repr=False)
    """Draws the jitter, in [0, 1)."""
    dialect: Dialect | None = attrs.field(default=None, repr=False)
    owns_transport: bool = True
    limiter: Limiter = attrs.field(default=attrs.Factory(_new_limiter, takes_self=True), repr=False)

    def __attrs_post_init__(self) -> None:
        if self.timeout_seconds is not None and not self.timeout_seconds > 0:
            raise ConfigurationError(
                f"timeout_seconds is {self.timeout_seconds!r}: it must be above 0, or None for no limit"
            )

    def speaking(self, dialect: Dialect) -> "Session":
        """Return this session with a vendor's dialect."""
        return attrs.evolve(self, dialect=dialect)

    def for_tokens(self, dialect: Dialect) -> "Session":
        """Return a session for the token service: same pool, but no limiter, which its callers already hold."""
        return attrs.evolve(
            self, dialect=dialect, owns_transport=False, limiter=Limiter(Limits.unlimited(), self.clock)
        )

    def with_options(
        self,
        *,
        timeout_seconds: float | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
    ) -> "Session":
        """Return a session with other options that shares the pool and the token; closing it closes nothing."""
        return attrs.evolve(
            self,
            timeout_seconds=self.timeout_seconds if timeout_seconds is None else timeout_seconds,
            retry=retry or self.retry,
            limits=limits or self.limits,
            limiter=Limiter(limits, self.clock) if limits else self.limiter,
            owns_transport=False,
        )

    async def authenticate(self) -> None:
        """Get an access token now, where the vendor needs one, so that the first call is a single request."""
        if self._dialect.tokens is not None:
            await self._dialect.tokens.get(deadline=self.deadline())

    def deadline(self) -> float:
        """Return when a call that begins now must have ended, in seconds of the clock's ``monotonic``."""
        return float("inf") if self.timeout_seconds is None else self.clock.monotonic() + self.timeout_seconds

    async def call(self, request: HttpRequest, *, deadline: float | None = None) -> HttpResponse:
        """Send a request until it is answered well, and return that answer.

        Raises:
            OutcomeUnknownError: The request is not idempotent, and whether it took effect cannot be known.
            OtaError: What the last attempt failed with, or :class:`~otaclient.errors.DeadlineExceededError`.
        """
        return await self._run(Whole(self.transport, request), self.deadline() if deadline is None else deadline)

    async def fetch(self, request: HttpRequest, sink: Sink) -> HttpResponse:
        """Fetch a body into a sink, going on where it broke off, and return the last answer without it.

        There is no deadline over the whole, which may be large: ``timeout_seconds`` bounds the wait for each next
        piece, and attempts are counted anew after progress.

        Raises:
            OtaError: As for :meth:`call`.
        """
        return await self._run(Into(self.transport, request, sink, self.timeout_seconds), None)

    async def _run(self, exchange: Exchange, deadline: float | None) -> HttpResponse:
        request = exchange.request
        attempt, throttles, renewed, tries, progress = 0, 0, False, 0, 0
        while True:
            attempt, tries = attempt + 1, tries + 1
            until = self.deadline() if deadline is None else deadline
            try:
                outcome = await self._attempt(exchange, attempt, until)
            except OtaError as error:
                error.during(operation=request.operation, backend=self.label, attempts=attempt - 1)
                raise
            failure = outcome.failure
            if failure is None and outcome.response is not None:
                return _counted(outcome.response, attempt, throttles)
            assert failure is not None  # an attempt without a response has a failure
            failure.error.during(operation=request.operation, backend=self.label, attempts=attempt)
            if failure.remedy is Remedy.RENEW_TOKEN and not renewed and self._may_renew(outcome.token):
                renewed, tries = True, tries - 1
                continue
            throttles += failure.remedy is Remedy.SLOW_DOWN
            if exchange.progress > progress:
                progress, tries = exchange.progress, 1
            await self._wait_or_raise(request, failure, tries, until)

    async def aclose(self) -> None:
        """Close the pool, if it is this session's own."""
        if self.owns_transport:
            await self.transport.aclose()

    @property
    def _dialect(self) -> Dialect:
        if self.dialect is None:
            raise ConfigurationError("the session has no dialect yet: a backend adds one with Session.speaking()")
        return self.dialect

    def _may_renew(self, token: str | None) -> bool:
        tokens = self._dialect.tokens
        if tokens is None or token is None:
            return False
        # Even when this call may not repeat, the next one must not begin with a dead token.
        tokens.invalidate(token)
        return self.retry.max_attempts > 1

    async def _attempt(self, exchange: Exchange, attempt: int, deadline: float) -> _Outcome:
        """Wait for a turn, sign, send and classify, once."""
        request = exchange.for_attempt()
        asked_at = 0.0 if self.on_event is None else self.clock.monotonic()
        if not await self.limiter.acquire(deadline=deadline):
            raise DeadlineExceededError("timeout_seconds ran out, or would run out, while waiting for a turn")
        try:
            dialect = self._dialect
            token = None if dialect.tokens is None else await dialect.tokens.get(deadline=deadline)
            signed = dialect.sign(request, endpoint=dialect.endpoint, token=token, now=self.clock.now())
            started_at = self.clock.monotonic()
            if started_at >= deadline:
                raise DeadlineExceededError("timeout_seconds ran out before the request was sent")
            if self.on_event is not None:
                waited = started_at - asked_at
                deliver(
                    self.on_event,
                    AttemptStarted(
                        backend=self.label, operation=request.operation, attempt=attempt, queued_seconds=waited
                    ),
                )
            outcome = await self._send(dialect, exchange, signed, token, deadline - started_at)
            self._learn(exchange, outcome, started_at)
            if self.on_event is not None:
                deliver(self.on_event, self._finished(request, attempt, self.clock.monotonic() - started_at, outcome))
            return outcome
        finally:
            self.limiter.release()

    async def _send(
        self, dialect: Dialect, exchange: Exchange, signed: HttpRequest, token: str | None, seconds_left: float
    ) -> _Outcome:
        timeout = None if seconds_left == float("inf") else seconds_left
        try:
            response = await exchange.send(signed, dialect.endpoint, timeout)
        except RequestNotSentError as error:
            return _Outcome(token=token, failure=Failure(error=error, remedy=Remedy.REPEAT_REJECTED))
        except ResponseLostError as error:
            return _Outcome(token=token, failure=Failure(error=error, remedy=Remedy.REPEAT))
        except TimeoutError as error:
            return _Outcome(token=token, failure=exchange.timed_out(error))
        except OtaError as error:  # of the request's own content, of the sink, or an answer that cannot be taken in
            was_answered = isinstance(error, PayloadError) and not signed.idempotent
            remedy = Remedy.REPEAT if was_answered else Remedy.RAISE
            return _Outcome(token=token, failure=Failure(error=error, remedy=remedy))
        if exchange.streamed:
            return _Outcome(token=token, response=response)
        return _Outcome(token=token, response=response, failure=dialect.classify(signed, response))

    def _learn(self, exchange: Exchange, outcome: _Outcome, started_at: float) -> None:
        """Let the limiter learn from a good or a throttled answer; other failures may come sooner, or much later."""
        failure = outcome.failure
        throttled = failure is not None and failure.remedy is Remedy.SLOW_DOWN
        # How long a streamed body takes depends on its size, and on whoever takes it in.
        if throttled or (failure is None and not exchange.streamed):
            self.limiter.answered(exchange.request.operation, started_at=started_at, throttled=throttled)

    async def _wait_or_raise(self, request: HttpRequest, failure: Failure, attempt: int, deadline: float) -> None:
        error = failure.error
        if failure.remedy is Remedy.SLOW_DOWN:
            advised = failure.retry_after_seconds
            self.limiter.pause(_UNADVISED_PAUSE_SECONDS if advised is None else advised)
            self._emit(Throttled(backend=self.label, operation=request.operation, retry_after_seconds=advised))
        delay = self.retry.delay(failure, attempt=attempt, idempotent=request.idempotent, roll=self.roll())
        if delay is None:
            raise _unclear(request, failure) or error
        if self.clock.monotonic() + delay > deadline:
            raise DeadlineExceededError(
                f"the next attempt would come in {delay:.1f} s, beyond timeout_seconds; the last one: {error.message}",
                retry_after_seconds=failure.retry_after_seconds,
                **error.facts(),
            ) from error
        kind = type(error).__name__
        self._emit(
            Retrying(backend=self.label, operation=request.operation, attempt=attempt, delay_seconds=delay, error=kind)
        )
        await self.clock.sleep(delay)

    def _finished(self, request: HttpRequest, attempt: int, seconds: float, outcome: _Outcome) -> AttemptFinished:
        response, failure = outcome.response, outcome.failure
        return AttemptFinished(
            backend=self.label,
            operation=request.operation,
            attempt=attempt,
            seconds=seconds,
            status=None if response is None else response.status,
            response_bytes=0 if response is None else len(response.body),
            error=None if failure is None else type(failure.error).__name__,
        )

    def _emit(self, event: Event) -> None:
        if self.on_event is not None:
            deliver(self.on_event, event)

    def token_renewed(self) -> None:
        """Tell the listener that a token was renewed; for a backend's token cache."""
        self._emit(TokenRenewed(backend=self.label, operation="authenticate"))
