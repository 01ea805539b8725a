"""What a listener is told of one call: made only where there is one."""

import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Final

from otaclient.errors import OtaError
from otaclient.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    Listener,
    Retrying,
    Throttled,
    deliver,
)
from otaclient.transport.http import HttpResponse
from otaclient.transport.redaction import as_identifier
from otaclient.transport.retry import Failure

__all__ = ["CallReports"]

_log = logging.getLogger(__name__)
_numbers: Final = itertools.count(1)


class CallReports:
    """Tells a listener what becomes of one call.

    Args:
        listener: Whom.
        backend: The client's label.
        operation: The public operation.
        monotonic: The client's clock.
    """

    def __init__(self, listener: Listener, *, backend: str, operation: str, monotonic: Callable[[], float]) -> None:
        self._listener = listener
        self._backend = backend
        self._operation = operation
        self._call = next(_numbers)
        self._monotonic = monotonic
        self._began_at = self._asked_at = self._sent_at = monotonic()
        self._sent = 0

    def began(self) -> None:
        """Tell that the call begins."""
        deliver(self._listener, CallStarted(backend=self._backend, operation=self._operation, call=self._call))

    def asks(self) -> None:
        """Note when an attempt begins to wait for its turn."""
        self._asked_at = self._monotonic()

    def sends(self, attempt: int) -> Mapping[str, str]:
        """Tell that a request is about to be sent, and return the headers that the listener wants to go along."""
        self._sent += 1
        self._sent_at = self._monotonic()
        event = AttemptStarted(
            backend=self._backend,
            operation=self._operation,
            call=self._call,
            attempt=attempt,
            queued_seconds=self._sent_at - self._asked_at,
            sent_at=self._sent_at,
        )
        deliver(self._listener, event)
        return _that_can_be_sent(event.headers)

    def answered(self, attempt: int, response: HttpResponse | None, failure: Failure | None) -> None:
        """Tell what came of a request."""
        event = AttemptFinished(
            backend=self._backend,
            operation=self._operation,
            call=self._call,
            attempt=attempt,
            seconds=self._monotonic() - self._sent_at,
            status=None if response is None else response.status,
            response_bytes=0 if response is None else len(response.body),
            error=None if failure is None else type(failure.error).__name__,
            request_id=_request_id(response, failure),
        )
        deliver(self._listener, event)

    def throttled(self, retry_after_seconds: float | None) -> None:
        """Tell that the vendor throttles."""
        event = Throttled(
            backend=self._backend, operation=self._operation, call=self._call, retry_after_seconds=retry_after_seconds
        )
        deliver(self._listener, event)

    def repeats(self, attempt: int, delay_seconds: float, error: OtaError) -> None:
        """Tell that an attempt failed, and that another comes after a wait."""
        event = Retrying(
            backend=self._backend,
            operation=self._operation,
            call=self._call,
            attempt=attempt,
            delay_seconds=delay_seconds,
            error=type(error).__name__,
        )
        deliver(self._listener, event)

    def ended(self, error: BaseException | None) -> None:
        """Tell that the call has ended."""
        event = CallFinished(
            backend=self._backend,
            operation=self._operation,
            call=self._call,
            attempts=self._sent,
            seconds=self._monotonic() - self._began_at,
            error=None if error is None else type(error).__name__,
        )
        deliver(self._listener, event)


def _request_id(response: HttpResponse | None, failure: Failure | None) -> str | None:
    told: str | None = None if failure is None else getattr(failure.error, "request_id", None)
    return told if told is not None or response is None else as_identifier(response.headers.get("x-request-id"))


def _that_can_be_sent(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return those headers that HTTP can carry; whoever watches must not break the work."""
    if not headers:
        return headers
    good = {name: value for name, value in headers.items() if _is_sendable(name) and _is_sendable(value)}
    if len(good) < len(headers):
        _log.error("a listener wanted headers sent that are no printable ASCII: they were left out")
    return good


def _is_sendable(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable() and bool(text.strip())
