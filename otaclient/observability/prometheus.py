"""Events as Prometheus metrics. Needs the extra ``prometheus``."""

from typing import Final

from otaclient.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    DeviceChanged,
    Event,
    PageRead,
    Retrying,
    Throttled,
    TokenRenewed,
)

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
except ImportError as error:
    raise ImportError("PrometheusListener needs prometheus-client: pip install 'otaclient[prometheus]'") from error

__all__ = ["PrometheusListener"]

_CALL: Final = ("backend", "operation")


class PrometheusListener:
    """Counts requests, calls, retries, throttles, tokens and rows, and measures how long requests take and wait.

    Labels are the client's label and the operation, and the status or the error's class where that matters: their
    number does not grow with the fleet.

    Args:
        registry: Where the metrics are; the process's own unless given. One listener serves any number of clients; a
            second one needs a registry of its own.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "otaclient_requests",
            "Requests that ended, by status or error.",
            (*_CALL, "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "otaclient_request_seconds", "From sending to the whole answer.", _CALL, registry=registry
        )
        self._queued = Histogram(
            "otaclient_queued_seconds", "Waiting for a turn before a request.", _CALL, registry=registry
        )
        self._bytes = Counter("otaclient_response_bytes", "Decompressed bytes of answers.", _CALL, registry=registry)
        self._calls = Counter(
            "otaclient_calls", "Calls that ended, with all their requests.", (*_CALL, "error"), registry=registry
        )
        self._retries = Counter("otaclient_retries", "Requests repeated.", (*_CALL, "error"), registry=registry)
        self._throttles = Counter("otaclient_throttles", "Answers of 'too many'.", _CALL, registry=registry)
        self._tokens = Counter("otaclient_tokens", "Access tokens obtained.", ("backend",), registry=registry)
        self._rows = Counter("otaclient_rows", "Rows that scans handed out.", _CALL, registry=registry)
        self._changed = Counter(
            "otaclient_devices_changed", "Devices that changed while they were scanned.", _CALL, registry=registry
        )

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        call = (event.backend, event.operation)
        match event:
            case AttemptStarted():
                self._queued.labels(*call).observe(event.queued_seconds)
            case AttemptFinished():
                outcome = event.error or "" if event.status is None else str(event.status)
                self._requests.labels(*call, outcome).inc()
                self._seconds.labels(*call).observe(event.seconds)
                self._bytes.labels(*call).inc(event.response_bytes)
            case CallFinished():
                self._calls.labels(*call, event.error or "").inc()
            case Retrying():
                self._retries.labels(*call, event.error).inc()
            case Throttled():
                self._throttles.labels(*call).inc()
            case TokenRenewed():
                self._tokens.labels(event.backend).inc()
            case PageRead():
                self._rows.labels(*call).inc(event.rows)
            case DeviceChanged():
                self._changed.labels(*call).inc()
            case _:
                pass
