"""The road of one call: deadline, limiter, sign, send, classify, retry. The only layer that repeats anything."""

import random
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import attrs

from otaclient.checks import check_option
from otaclient.endpoint import is_on_this_machine, warn_of_insecurity
from otaclient.errors import (
    ConfigurationError,
    DeadlineExceededError,
    OtaError,
    PayloadError,
    RequestNotSentError,
    ResponseLostError,
)
from otaclient.events import Listener, TokenRenewed, deliver
from otaclient.secret import Secret
from otaclient.transport.clock import SYSTEM_CLOCK, Clock
from otaclient.transport.exchange import Exchange, Into, Whole
from otaclient.transport.http import HttpRequest, HttpResponse, Signer, Sink, Transport
from otaclient.transport.limits import Limiter, Limits
from otaclient.transport.ownership import GuardedClock, Ownership, closed_error
from otaclient.transport.redaction import secrets_of_request, without_answer, without_secrets
from otaclient.transport.reports import CallReports
from otaclient.transport.retry import Failure, Remedy, RetryPolicy, unclear_error
from otaclient.transport.skew import CorrectedClock, compared_with_clock
from otaclient.transport.tokens import Token, TokenCache

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
    signs_time: bool = False
    """Whether what proves who asks holds the time, so that a clock that is off can be why it is refused."""


@attrs.define(kw_only=True)  # not frozen: that would make each of them twice as dear
class _Outcome:
    """What one attempt came to: a response, a failure, or a response that is one."""

    token: Token | None
    response: HttpResponse | None = None
    failure: Failure | None = None


def _counted(response: HttpResponse, attempts: int, throttles: int) -> HttpResponse:
    return response if attempts == 1 else attrs.evolve(response, attempts=attempts, throttles=throttles)


def _guarded_clock(session: "Session") -> Clock:
    return GuardedClock(SYSTEM_CLOCK, session.ownership)


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
    ownership: Ownership = attrs.field(factory=Ownership, repr=False)
    clock: Clock = attrs.field(default=attrs.Factory(_guarded_clock, takes_self=True), repr=False)
    roll: Callable[[], float] = attrs.field(default=random.random, repr=False)
    """Draws the jitter, in [0, 1)."""
    dialect: Dialect | None = attrs.field(default=None, repr=False)
    secrets: tuple[Secret, ...] = attrs.field(default=(), repr=False)
    """The credentials of the client, none of which an error may repeat; those in requests come on top of them."""
    warned_of: set[str] = attrs.field(factory=set[str], repr=False)
    """The endpoints of which the client has warned: once is enough for it and all that share its pool."""
    owns_transport: bool = True
    ends_at: float | None = None
    """When all calls must have ended, where they are parts of a longer one: see :meth:`until`."""
    limiter: Limiter = attrs.field(default=attrs.Factory(_new_limiter, takes_self=True), repr=False)

    def __attrs_post_init__(self) -> None:
        seconds: Any = self.timeout_seconds
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (is_number and seconds > 0):
            raise ConfigurationError(
                f"timeout_seconds is {self.timeout_seconds!r}: it must be above 0, or None for no limit"
            )

    def speaking(self, dialect: Dialect) -> "Session":
        """Return this session with a vendor's dialect."""
        self._check_endpoint(dialect)
        return attrs.evolve(self, dialect=dialect)

    def for_tokens(self, dialect: Dialect) -> "Session":
        """Return a session for the token service: same pool, but no limiter, which its callers already hold."""
        self._check_endpoint(dialect)
        return attrs.evolve(
            self, dialect=dialect, owns_transport=False, limiter=Limiter(Limits.unlimited(), self.clock)
        )

    def _check_endpoint(self, dialect: Dialect) -> None:
        endpoint = dialect.endpoint
        if not endpoint.startswith("http://") or endpoint in self.warned_of or is_on_this_machine(endpoint):
            return
        self.warned_of.add(endpoint)
        warn_of_insecurity(
            f"{endpoint} is plain http: anybody on the way can read the credentials and change the firmware; "
            "set the endpoint to its https address"
        )

    def until(self, deadline: float) -> "Session":
        """Return this session for the parts of one longer call: all of them together must have ended by then.

        Args:
            deadline: What :meth:`deadline` returned when the longer call began.
        """
        return attrs.evolve(self, ends_at=deadline)

    def on_corrected_clock(self) -> "Session":
        """Return this session with a clock that takes over the server's time where a signature is refused for ours.

        For backends whose configuration says ``correct_clock_skew``, before they make their dialect.
        """
        return self if isinstance(self.clock, CorrectedClock) else attrs.evolve(self, clock=CorrectedClock(self.clock))

    def with_options(
        self,
        *,
        timeout_seconds: float | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
    ) -> "Session":
        """Return a session with other options that shares the pool and the token; closing it closes nothing.

        Raises:
            ConfigurationError: An option cannot be right.
        """
        if retry is not None:
            check_option("retry", retry, RetryPolicy)
        if limits is not None:
            check_option("limits", limits, Limits)
        return attrs.evolve(
            self,
            timeout_seconds=self.timeout_seconds if timeout_seconds is None else timeout_seconds,
            retry=self.retry if retry is None else retry,
            limits=self.limits if limits is None else limits,
            limiter=self.limiter if limits is None else Limiter(limits, self.clock),
            owns_transport=False,
        )

    async def authenticate(self) -> None:
        """Get an access token now, where the vendor needs one, so that the first call is a single request."""
        deadline = self.deadline()
        if self._dialect.tokens is not None:
            await self._dialect.tokens.get(deadline=deadline)

    def deadline(self) -> float:
        """Return when a call that begins now must have ended, in seconds of the clock's ``monotonic``.

        Raises:
            TransportError: The client may not be used, or not here: it is closed, or belongs to another event loop.
        """
        try:
            self.ownership.check()
        except OtaError as error:
            error.backend = self.label
            raise
        return self._end_of_call()

    def _end_of_call(self) -> float:
        if self.ends_at is not None:
            return self.ends_at
        return float("inf") if self.timeout_seconds is None else self.clock.monotonic() + self.timeout_seconds

    async def call(self, request: HttpRequest, *, deadline: float | None = None) -> HttpResponse:
        """Send a request until it is answered well, and return that answer.

        Raises:
            OutcomeUnknownError: The request is not idempotent, and whether it took effect cannot be known.
            OtaError: What the last attempt failed with, or :class:`~otaclient.errors.DeadlineExceededError`.
        """
        return await self._run(Whole(self.transport, request), self._end_of_call() if deadline is None else deadline)

    async def fetch(self, request: HttpRequest, sink: Sink, *, deadline: float | None = None) -> HttpResponse:
        """Fetch a body into a sink, going on where it broke off, and return the last answer without it.

        There is no deadline over the whole, which may be large: ``timeout_seconds`` bounds the wait for each next
        piece, and for each next 64 KiB. Attempts are counted anew after such progress, and have ``timeout_seconds``
        anew for all of them together.

        Args:
            request: What is asked.
            sink: Takes the body.
            deadline: When the first answer must have begun; ``timeout_seconds`` from now unless given.

        Raises:
            OtaError: As for :meth:`call`.
        """
        until = self._end_of_call() if deadline is None else deadline
        return await self._run(Into(self.transport, request, sink, self.timeout_seconds), until)

    async def _run(self, exchange: Exchange, deadline: float) -> HttpResponse:
        listener = self.on_event
        if listener is None:
            return await self._repeat(exchange, deadline, None)
        operation = exchange.request.operation
        reports = CallReports(listener, backend=self.label, operation=operation, monotonic=self.clock.monotonic)
        reports.began()
        try:
            response = await self._repeat(exchange, deadline, reports)
        except BaseException as error:
            reports.ended(error)
            raise
        reports.ended(None)
        return response

    async def _repeat(self, exchange: Exchange, deadline: float, reports: CallReports | None) -> HttpResponse:
        request = exchange.request
        attempt, throttles, renewed, tries, progress = 0, 0, False, 0, 0
        while True:
            attempt, tries = attempt + 1, tries + 1
            try:
                outcome = await self._attempt(exchange, attempt, deadline, reports)
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
                progress, tries, deadline = exchange.progress, 1, self._end_of_call()
            await self._wait_or_raise(request, failure, tries, deadline, reports)

    def redact(self, error: OtaError) -> None:
        """Take out of an error about an answer what it may hold of the client's credentials; for parsers of answers.

        Errors of :meth:`call` and :meth:`fetch` hold none.
        """
        tokens = None if self.dialect is None else self.dialect.tokens
        token = None if tokens is None else tokens.current
        without_answer(error)
        without_secrets(error, self.secrets if token is None else (*self.secrets, token.text))

    async def aclose(self) -> None:
        """Close the pool, if it is this session's own; calls under way and waits end with an error.

        Raises:
            TransportError: The client is in use in another event loop.
        """
        if self.owns_transport and self.ownership.close():
            await self.transport.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a client cannot be pickled or copied, because its connections cannot: hand over its config, and open a "
            "client with it there"
        )

    @property
    def _dialect(self) -> Dialect:
        if self.dialect is None:
            raise ConfigurationError("the session has no dialect yet: a backend adds one with Session.speaking()")
        return self.dialect

    def _may_renew(self, token: Token | None) -> bool:
        tokens = self._dialect.tokens
        if tokens is None or token is None:
            return False
        # Even when this call may not repeat, the next one must not begin with a dead token.
        tokens.invalidate(token)
        return self.retry.max_attempts > 1

    async def _attempt(
        self, exchange: Exchange, attempt: int, deadline: float, reports: CallReports | None
    ) -> _Outcome:
        """Wait for a turn, sign, send and classify, once."""
        self.ownership.check()
        request = exchange.for_attempt()
        if reports is not None:
            reports.asks()
        if not await self.limiter.acquire(deadline=deadline):
            raise DeadlineExceededError(
                "timeout_seconds ran out, or would run out, while waiting for a turn",
                retry_after_seconds=self.limiter.pause_beyond(deadline),
            )
        try:
            if not self.ownership.is_open:  # it was closed while this one queued
                raise closed_error()
            dialect = self._dialect
            token = None if dialect.tokens is None else await dialect.tokens.get(deadline=deadline)
            text = None if token is None else token.text
            signed = dialect.sign(request, endpoint=dialect.endpoint, token=text, now=self.clock.now())
            started_at = self.clock.monotonic()
            if started_at >= deadline:
                raise DeadlineExceededError("timeout_seconds ran out before the request was sent")
            if reports is not None and (along := reports.sends(attempt)):
                signed = signed.with_headers({**along, **signed.headers})
            outcome = await self._send(dialect, exchange, signed, token, deadline - started_at)
            self._learn(exchange, outcome, started_at)
            if outcome.failure is not None:
                sent = secrets_of_request(signed, endpoint=dialect.endpoint)
                without_secrets(outcome.failure.error, (*self.secrets, *sent))
            if reports is not None:
                reports.answered(attempt, outcome.response, outcome.failure)
            return outcome
        finally:
            self.limiter.release()

    async def _send(
        self, dialect: Dialect, exchange: Exchange, signed: HttpRequest, token: Token | None, seconds_left: float
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
        if failure is not None and outcome.response is not None and self._dialect.signs_time:
            outcome.failure = compared_with_clock(failure, outcome.response, self.clock, signed_at=started_at)
        throttled = failure is not None and failure.remedy is Remedy.SLOW_DOWN
        # How long a streamed body takes depends on its size, and on whoever takes it in.
        if throttled or (failure is None and not exchange.streamed):
            self.limiter.answered(exchange.request.operation, started_at=started_at, throttled=throttled)

    async def _wait_or_raise(
        self, request: HttpRequest, failure: Failure, attempt: int, deadline: float, reports: CallReports | None
    ) -> None:
        error = failure.error
        if failure.remedy is Remedy.SLOW_DOWN:
            advised = failure.retry_after_seconds
            self.limiter.pause(_UNADVISED_PAUSE_SECONDS if advised is None else advised)
            if reports is not None:
                reports.throttled(advised)
        delay = self.retry.delay(failure, attempt=attempt, idempotent=request.idempotent, roll=self.roll())
        if delay is None:
            raise unclear_error(request, failure) or error
        if self.clock.monotonic() + delay > deadline:
            raise DeadlineExceededError(
                f"the next attempt would come in {delay:.1f} s, beyond timeout_seconds; the last one: {error.message}",
                retry_after_seconds=failure.retry_after_seconds,
                **error.facts(),
            ) from error
        if reports is not None:
            reports.repeats(attempt, delay, error)
        try:
            await self.clock.sleep(delay)
        except OtaError as closed:
            closed.during(operation=request.operation, backend=self.label, attempts=error.attempts)
            raise closed from error

    def token_renewed(self) -> None:
        """Tell the listener that a token was renewed; for a backend's token cache."""
        if self.on_event is not None:
            deliver(self.on_event, TokenRenewed(backend=self.label, operation="authenticate"))
