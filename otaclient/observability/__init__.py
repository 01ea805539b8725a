"""Ready listeners for :func:`otaclient.open_backend`: everything they tell comes from :mod:`otaclient.events`.

- :class:`otaclient.observability.logs.LogListener`: standard logging, with structured fields;
- :class:`otaclient.observability.otel.OtelListener`: OpenTelemetry spans and metrics (extra ``otel``);
- :class:`otaclient.observability.prometheus.PrometheusListener`: Prometheus metrics (extra ``prometheus``).

One listener may serve any number of clients; :func:`together` makes one of several. Without a listener no event is
made.
"""

from otaclient.events import Event, Listener, deliver
from otaclient.observability.logs import LogListener

__all__ = ["LogListener", "together"]


def together(*listeners: Listener) -> Listener:
    """Return a listener that hands every event to each of these; one that raises does not keep it from the others."""

    def listen(event: Event) -> None:
        for listener in listeners:
            deliver(listener, event)

    return listen
