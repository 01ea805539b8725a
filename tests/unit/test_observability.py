"""Ready listeners, over a real client and an emulated vendor."""

import logging
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

import otaclient
from otaclient import DeviceUpgradeQuery, NotFoundError, RetryPolicy
from otaclient.events import AttemptFinished, Event, PageRead, TokenRenewed
from otaclient.observability import LogListener, together
from otaclient.observability.otel import OtelListener
from otaclient.observability.prometheus import PrometheusListener

QUICK = RetryPolicy(base_delay_seconds=0, max_delay_seconds=0)


@attrs.define
class Traces:
    listener: OtelListener
    tracer: trace.Tracer
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def sums(self) -> dict[str, float]:
        """Return every metric's sum, or count, over all its attributes."""
        data: Any = self.reader.get_metrics_data()
        return {
            metric.name: sum(getattr(point, "value", getattr(point, "count", 0)) for point in metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def traces() -> Iterator[Traces]:
    """Provide an SDK of the test's own."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider, meters = TracerProvider(), MeterProvider(metric_readers=[reader])
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    listener = OtelListener(tracer_provider=provider, meter_provider=meters)
    yield Traces(listener, provider.get_tracer("test"), exporter, reader)
    provider.shutdown()
    meters.shutdown()


def client_of(service: Any, listener: Any) -> otaclient.Backend:
    """Return another client of the service, on its clock and its connections, with a listener."""
    backend = service.backend
    session = attrs.evolve(backend._session, dialect=None, on_event=listener, retry=QUICK, owns_transport=False)
    client: otaclient.Backend = type(backend)(backend._config, session)
    return client


async def test_a_span_for_each_call_and_a_child_for_each_attempt(ota_enos: Any, traces: Traces) -> None:
    """Under the span of whoever calls; what failed is marked, and says the vendor's request id."""
    async with ota_enos as enos, client_of(enos, traces.listener) as client:
        await client.authenticate()
        enos.faults.inject("jobs.get", status=503)
        with traces.tracer.start_as_current_span("mine") as mine:
            await client.jobs.get(enos.jobs[0].job_id)
        with pytest.raises(NotFoundError) as missing:
            await client.jobs.get("0123456789abcdef01234567")
    good, bad = traces.spans("jobs.get")
    assert good.parent is not None
    assert good.parent.span_id == mine.get_span_context().span_id
    assert good.attributes is not None
    assert good.attributes["otaclient.attempts"] == 2
    assert good.status.is_ok or good.status.status_code is trace.StatusCode.UNSET
    attempts = traces.spans("jobs.get attempt")
    assert [span.parent and span.parent.span_id for span in attempts[:2]] == [good.context.span_id] * 2
    told = [dict(span.attributes or {}) for span in attempts]
    assert [(one["http.response.status_code"], one["http.request.resend_count"]) for one in told[:2]] == [
        (503, 0),
        (200, 1),
    ]
    assert [one.get("error.type") for one in told] == ["ServerError", None, "NotFoundError"]
    assert told[2]["otaclient.request_id"] == missing.value.request_id
    assert bad.status.status_code is trace.StatusCode.ERROR
    assert bad.parent is None


async def test_the_context_of_the_trace_goes_along(ota_enos: Any, traces: Traces) -> None:
    """Each attempt sends its own, and the signature still holds."""
    seen: list[str] = []
    async with ota_enos as enos, client_of(enos, traces.listener) as client:
        await client.authenticate()
        take = enos.emulator.operation

        def operation(request: Any) -> Any:
            seen.append(request.headers["traceparent"])
            return take(request)

        enos.emulator.operation = operation
        await client.jobs.get(enos.jobs[0].job_id)
    (attempt,) = traces.spans("jobs.get attempt")
    assert attempt.context is not None
    ((_, trace_id, span_id, _),) = (header.split("-") for header in seen)
    assert (int(trace_id, 16), int(span_id, 16)) == (attempt.context.trace_id, attempt.context.span_id)


async def test_calls_at_the_same_time_keep_their_spans_apart(ota_iotda: Any, traces: Traces) -> None:
    """Each attempt belongs to its call, however many are under way; none is left open."""
    async with ota_iotda as iotda, client_of(iotda, traces.listener) as client:
        keys = [device.device_id for device in iotda.devices[:20]]
        async with otaclient.fetch_each(keys, client.devices.get, concurrency=8) as outcomes:
            assert all([outcome.error is None async for outcome in outcomes])
    calls = {span.context.span_id for span in traces.spans("devices.get") if span.context}
    parents = [span.parent.span_id for span in traces.spans("devices.get attempt") if span.parent]
    assert len(calls) == len(parents) == 20
    assert set(parents) == calls
    assert (traces.listener._calls, traces.listener._attempts) == ({}, {})


async def test_metrics_of_a_scan(ota_enos: Any, traces: Traces) -> None:
    """OpenTelemetry and Prometheus count the same requests, rows, throttles and tokens, from the same events."""
    registry = CollectorRegistry()
    events: list[Event] = []
    listener = together(traces.listener, PrometheusListener(registry), events.append)
    async with ota_enos as enos, client_of(enos, listener) as client:
        enos.faults.inject("devices.search", times=2, status=429, headers={"Retry-After": "0"})
        async with otaclient.scan([(client, DeviceUpgradeQuery())]) as scan:
            rows = [row async for row in scan]
    requests = scan.certificate.requests + 1  # the token
    answers = [event for event in events if isinstance(event, AttemptFinished)]
    assert len(answers) == requests
    sums = traces.sums()
    assert sums["otaclient.requests"] == sums["otaclient.request.duration"] == requests
    assert sums["otaclient.request.queued"] == requests
    assert sums["otaclient.rows"] == len(rows) == sum(event.rows for event in events if isinstance(event, PageRead))
    assert (sums["otaclient.throttles"], sums["otaclient.retries"], sums["otaclient.tokens"]) == (2, 2, 1)
    scraped = generate_latest(registry).decode()
    assert f'otaclient_rows_total{{backend="enos",operation="devices.search"}} {float(len(rows))}' in scraped
    assert 'otaclient_requests_total{backend="enos",operation="devices.search",outcome="429"} 2.0' in scraped
    assert 'otaclient_tokens_total{backend="enos"} 1.0' in scraped
    assert 'otaclient_retries_total{backend="enos",error="RateLimitedError",operation="devices.search"} 2.0' in scraped


async def test_records_of_a_log(ota_enos: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Text for people, fields for machines, and nothing where nobody listens at that level."""
    caplog.set_level(logging.INFO, "otaclient.events")
    async with ota_enos as enos, client_of(enos, LogListener()) as client:
        await client.authenticate()
        enos.faults.inject("jobs.get", status=502)
        await client.jobs.get(enos.jobs[0].job_id)
    records = [record for record in caplog.records if record.name == "otaclient.events"]
    assert [record.ota_event for record in records] == ["CallFinished", "TokenRenewed", "Retrying", "CallFinished"]  # type: ignore[attr-defined]
    retried, done = records[2:]
    assert (retried.levelname, done.levelname) == ("WARNING", "INFO")
    assert (done.ota_operation, done.ota_attempts) == ("jobs.get", 2)  # type: ignore[attr-defined]
    assert retried.getMessage().startswith("enos jobs.get: Retrying call=")
    assert "error=ServerError" in retried.getMessage()


def test_one_listener_that_raises_does_not_keep_the_others_from_listening() -> None:
    """Its exception is logged."""
    heard: list[Event] = []

    def broken(_event: Event) -> None:
        raise RuntimeError("no")

    together(broken, heard.append)(TokenRenewed(backend="b", operation="authenticate"))
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("otel", "opentelemetry", "otel"), ("prometheus", "prometheus_client", "prometheus")],
)
def test_a_missing_extra_is_named(module: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"otaclient.observability.{module}")
    with pytest.raises(ImportError, match=rf"pip install 'otaclient\[{extra}\]'"):
        importlib.import_module(f"otaclient.observability.{module}")
