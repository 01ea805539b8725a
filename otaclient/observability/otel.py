"""Events as OpenTelemetry spans and metrics. Needs the extra ``otel``, which is the API alone: the SDK is yours."""

from collections.abc import Mapping
from typing import Any, Final

from otaclient.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    Event,
    PageRead,
    Retrying,
    Throttled,
    TokenRenewed,
)

try:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as error:
    raise ImportError("OtelListener needs opentelemetry-api: pip install 'otaclient[otel]'") from error

__all__ = ["OtelListener"]

_NAME: Final = "otaclient"


class OtelListener:
    """Makes a span for every call and a child of it for every request, and counts what :mod:`otaclient.events` tells.

    A call's span is named after its operation, such as ``jobs.get``, and is a child of the span that is current where
    the call is made. The trace's context goes along with each request (``traceparent``, or whatever the global
    propagator writes). Spans hold the client's label, statuses, numbers of attempts, the vendor's request id and the
    class of an error: no address, no query, no header and nothing of any body.

    Args:
        tracer_provider: Makes the spans; the global one unless given.
        meter_provider: Makes the metrics; the global one unless given.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._requests = meter.create_counter("otaclient.requests", "{request}", "Requests that ended.")
        self._seconds = meter.create_histogram("otaclient.request.duration", "s", "From sending to the whole answer.")
        self._queued = meter.create_histogram("otaclient.request.queued", "s", "Waiting for a turn.")
        self._retries = meter.create_counter("otaclient.retries", "{request}", "Requests repeated.")
        self._throttles = meter.create_counter("otaclient.throttles", "{answer}", "Answers of 'too many'.")
        self._tokens = meter.create_counter("otaclient.tokens", "{token}", "Access tokens obtained.")
        self._rows = meter.create_counter("otaclient.rows", "{row}", "Rows that scans handed out.")
        self._calls: dict[int, Span] = {}
        self._attempts: dict[int, Span] = {}

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        about: dict[str, Any] = {"otaclient.backend": event.backend, "otaclient.operation": event.operation}
        match event:
            case CallStarted():
                self._calls[event.call] = self._tracer.start_span(event.operation, attributes=about)
            case CallFinished():
                self._end_call(event)
            case AttemptStarted():
                self._queued.record(event.queued_seconds, about)
                self._begin_attempt(event, about)
            case AttemptFinished():
                self._end_attempt(event, about)
            case Retrying():
                self._retries.add(1, about | {"error.type": event.error})
            case Throttled():
                self._throttles.add(1, about)
            case TokenRenewed():
                self._tokens.add(1, about)
            case PageRead():
                self._rows.add(event.rows, about)
            case _:
                pass

    def _begin_attempt(self, event: AttemptStarted, about: Mapping[str, Any]) -> None:
        call = self._calls.get(event.call)
        span = self._tracer.start_span(
            f"{event.operation} attempt",
            context=None if call is None else trace.set_span_in_context(call),
            kind=SpanKind.CLIENT,
            attributes={**about, "http.request.resend_count": event.attempt - 1},
        )
        self._attempts[event.call] = span
        propagate.inject(event.headers, context=trace.set_span_in_context(span))

    def _end_attempt(self, event: AttemptFinished, about: dict[str, Any]) -> None:
        told: dict[str, Any] = {}
        if event.status is not None:
            told["http.response.status_code"] = event.status
        if event.error is not None:
            told["error.type"] = event.error
        self._requests.add(1, about | told)
        self._seconds.record(event.seconds, about | told)
        span = self._attempts.pop(event.call, None)
        if span is None:
            return
        if event.request_id is not None:
            told["otaclient.request_id"] = event.request_id
        span.set_attributes({**told, "http.response.body.size": event.response_bytes})
        _end(span, event.error)

    def _end_call(self, event: CallFinished) -> None:
        # A request that was cancelled has no end of its own.
        left = self._attempts.pop(event.call, None)
        if left is not None:
            _end(left, event.error)
        span = self._calls.pop(event.call, None)
        if span is not None:
            span.set_attribute("otaclient.attempts", event.attempts)
            _end(span, event.error)


def _end(span: Span, error: str | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
