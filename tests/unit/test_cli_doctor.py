"""What ``otaclient doctor`` finds out: judged from what a client answered and what its transport saw."""

import json
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from otaclient.cli import main
from otaclient.cli.diagnosis import Check, Result, diagnose
from otaclient.cli.observing import ObservingTransport, Sighting
from otaclient.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    OtaError,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
    RequestNotSentError,
    ResponseLostError,
    ServerError,
)
from otaclient.models import DeviceId, DeviceUpgrade, Firmware, FirmwareId, Job, JobId, JobStatus
from otaclient.protocols import Capability
from otaclient.transport.http import HttpRequest, HttpResponse, Sink
from support.fake_backend import FakeBackend, World, install

NOW = datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC)
ENDPOINT = "https://iot.example.com"
REQUEST = HttpRequest(operation="x", method="GET", path="/")


class StandingClock:
    """A clock that stands still."""

    def monotonic(self) -> float:
        """Return zero."""
        return 0.0

    def now(self) -> datetime:
        """Return the same moment."""
        return NOW

    async def sleep(self, seconds: float) -> None:
        """Return at once."""


class Answering:
    """A transport that answers with what is prepared."""

    def __init__(self, *answers: HttpResponse | OtaError) -> None:
        self._answers = list(answers)
        self.closed = False

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Return or raise the next answer."""
        answer = self._answers.pop(0)
        if isinstance(answer, OtaError):
            raise answer
        return answer

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Return or raise the next answer."""
        return await self.send(request, endpoint=endpoint, timeout_seconds=idle_seconds)

    async def aclose(self) -> None:
        """Note it."""
        self.closed = True


def dated(text: str | None) -> HttpResponse:
    """Return an answer with this date."""
    return HttpResponse(status=401, headers={} if text is None else {"date": text})


def seen(*sightings: Sighting) -> ObservingTransport:
    """Return a transport that has seen this."""
    transport = ObservingTransport(Answering(), StandingClock())
    transport.sightings.update({sighting.endpoint: sighting for sighting in sightings})
    return transport


WELL = Sighting(endpoint=ENDPOINT, answered=True, skew_seconds=0.4)


def world(**fields: Any) -> World:
    """Return what a backend holds: one of each."""
    return World(
        firmware=[Firmware(backend="fake", firmware_id=FirmwareId("f1"), version="1", product_id="p1")],
        jobs=[Job(backend="fake", job_id=JobId("j1"), status=JobStatus.RUNNING)],
        devices=[DeviceUpgrade(backend="fake", device_id=DeviceId("d1"))],
        **fields,
    )


async def checks(held: World, transport: ObservingTransport) -> dict[str, tuple[Result, str]]:
    """Return what is found, by check."""
    found: Sequence[Check] = await diagnose(FakeBackend(held), transport)
    assert {check.backend for check in found} == {"fake"}
    assert len({check.check for check in found}) == len(found)
    return {check.check: (check.result, check.detail) for check in found}


# --- the transport ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        ("Sat, 31 Jan 2026 08:00:00 GMT", 0.0),
        ("Sat, 31 Jan 2026 08:02:03 GMT", 123.0),
        ("Sat, 31 Jan 2026 07:59:00 -0000", -60.0),
        ("Sat, 31 Jan 2026 16:00:00 +0800", 0.0),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
async def test_transport_reads_the_servers_clock(date: str | None, skew: float | None) -> None:
    """Any answer tells the server's time, a refusal too; without a usable date it is not known."""
    transport = ObservingTransport(Answering(dated(date)), StandingClock())
    await transport.send(REQUEST, endpoint=ENDPOINT, timeout_seconds=1)
    assert transport.sightings == {ENDPOINT: Sighting(endpoint=ENDPOINT, answered=True, skew_seconds=skew)}


async def test_transport_remembers_why_nothing_was_sent() -> None:
    """An address that cannot be reached is remembered with the reason; a lost answer is no such thing."""
    refusal = RequestNotSentError("refused")
    inner = Answering(refusal, ResponseLostError("lost"), dated(None))
    transport = ObservingTransport(inner, StandingClock())
    for endpoint, error in (("https://a", RequestNotSentError), ("https://b", ResponseLostError)):
        with pytest.raises(error):
            await transport.send(REQUEST, endpoint=endpoint, timeout_seconds=None)
    assert transport.sightings == {
        "https://a": Sighting(endpoint="https://a", refusal=refusal),
        "https://b": Sighting(endpoint="https://b"),
    }
    sink: Any = None
    assert (await transport.fetch(REQUEST, sink, endpoint=ENDPOINT, idle_seconds=1)).status == 401
    await transport.aclose()
    assert inner.closed


# --- judging ---------------------------------------------------------------------------------------------------------


async def test_all_is_well() -> None:
    """Each read is tried once with what the ones before it found; everything passes."""
    held = world()
    found = await checks(held, seen(WELL))
    assert {result for result, _ in found.values()} == {Result.PASSED}
    assert list(found) == [
        "endpoint",
        "tls",
        "clock",
        "credentials",
        "firmware.search",
        "firmware.get",
        "firmware.reported_versions",
        "jobs.search",
        "jobs.get",
        "jobs.tasks",
        "devices.search",
        "devices.get",
    ]
    assert found["clock"][1] == "0 s apart from the server's"
    assert held.called("firmware.get") == [("f1",)]
    assert held.called("firmware.reported_versions") == [("p1",)]
    assert held.called("jobs.get") == [("j1",)]
    assert held.called("devices.get") == [("d1",)]
    writes = ("create", "delete", "start", "stop", "cancel_tasks", "retry_tasks")
    assert not [call for call in held.calls if str(call[0]).endswith(writes)]


async def test_what_is_not_there_is_skipped() -> None:
    """An empty account has nothing to ask for, and a vendor may lack an operation: neither is a failure."""
    found = await checks(World(capabilities=frozenset(Capability) - {Capability.DEVICES_GET}), seen(WELL))
    assert found["firmware.get"] == (Result.SKIPPED, "nothing was found to ask for")
    assert found["jobs.tasks"] == (Result.SKIPPED, "nothing was found to ask for")
    assert found["devices.get"] == (Result.SKIPPED, "the vendor has no such operation")
    assert found["jobs.search"] == (Result.PASSED, "allowed")


async def test_a_backend_without_reads() -> None:
    """Where nothing can be asked, nothing is known."""
    found = await checks(World(capabilities=frozenset()), seen())
    assert found["endpoint"] == (Result.SKIPPED, "no request was sent")
    assert found["credentials"] == (Result.SKIPPED, "this backend has no operation to try them on")


@pytest.mark.parametrize(
    ("skew", "result", "said"),
    [
        (60.0, Result.PASSED, "60 s apart"),
        (-60.0, Result.PASSED, "60 s apart"),
        (61.0, Result.FAILED, "this machine's clock is 61 s behind the server's; set it, best by NTP"),
        (-7200.0, Result.FAILED, "this machine's clock is 7,200 s ahead of the server's; set it, best by NTP"),
        (None, Result.SKIPPED, "the server sends no date"),
    ],
)
async def test_clocks_that_drift_apart_are_told(skew: float | None, result: Result, said: str) -> None:
    """More than a minute is too much, in either direction."""
    sighting = Sighting(endpoint=ENDPOINT, answered=True, skew_seconds=skew)
    found, detail = (await checks(world(), seen(sighting)))["clock"]
    assert found is result
    assert detail.startswith(said)


@pytest.mark.parametrize("operation", ["authenticate", "firmware.search"])
async def test_an_address_that_cannot_be_reached_spoils_the_rest(operation: str) -> None:
    """Nothing more is asked of an address that does not answer."""
    refusal = RequestNotSentError("cannot connect to https://iot.example.com: refused")
    held = world(errors={operation: refusal})
    found = await checks(held, seen(Sighting(endpoint=ENDPOINT, refusal=refusal)))
    assert found["endpoint"] == (Result.FAILED, f"{refusal}; check endpoint, network and proxy")
    for check in ("tls", "clock", "firmware.search", "devices.get"):
        assert found[check] == (Result.SKIPPED, "the endpoint cannot be reached")
    assert found["credentials"] == (Result.SKIPPED, "the endpoint cannot be reached")
    assert held.calls[-1] == (operation,)


async def test_an_address_that_never_answers() -> None:
    """A connection without an answer is a failure of the address."""
    late = DeadlineExceededError("no answer in 15 s")
    held = world(errors=dict.fromkeys(("authenticate", "firmware.search", "jobs.search", "devices.search"), late))
    found = await checks(held, seen(Sighting(endpoint=ENDPOINT)))
    assert found["endpoint"][1].startswith(f"{ENDPOINT} was asked, and nothing came back")
    assert found["jobs.search"] == (Result.FAILED, "no answer in 15 s; no answer in time: check network and proxy")


async def test_certificates_that_do_not_fit_are_told() -> None:
    """A failed handshake is the certificate's failure, not the address's."""
    refusal = RequestNotSentError("the certificate is refused: self-signed; name its file in SSL_CERT_FILE")
    refusal.__cause__ = OSError("no connection")
    refusal.__cause__.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    found = await checks(world(errors={"authenticate": refusal}), seen(Sighting(endpoint=ENDPOINT, refusal=refusal)))
    assert found["endpoint"] == (Result.PASSED, f"{ENDPOINT} takes connections")
    assert found["tls"] == (Result.FAILED, refusal.message)
    assert found["clock"] == (Result.SKIPPED, "no answer came")


async def test_plain_http_is_said() -> None:
    """Without TLS there is nothing to check, and that is told."""
    found = await checks(world(), seen(Sighting(endpoint="http://127.0.0.1:1", answered=True, skew_seconds=0)))
    assert found["tls"][0] is Result.SKIPPED
    assert "plain http" in found["tls"][1]


@pytest.mark.parametrize("operation", ["authenticate", "firmware.search"])
async def test_refused_credentials_spoil_the_rest(operation: str) -> None:
    """After a refusal nothing more is tried: it would be refused too, and may lock the account."""
    refusal = AuthenticationError("wrong secret; check app_secret", status=401)
    held = world(errors={operation: refusal})
    found = await checks(held, seen(WELL))
    assert found["credentials"] == (Result.FAILED, str(refusal))
    assert found["firmware.search"] == (Result.SKIPPED, "the credentials are refused")
    assert found["jobs.search"] == (Result.SKIPPED, "the credentials are refused")
    assert held.called("jobs.search") == []


async def test_a_login_that_fails_otherwise() -> None:
    """A token service that is down says nothing of the secret; the reads tell for themselves."""
    held = world(errors={"authenticate": ServerError("down", status=503)})
    found = await checks(held, seen(WELL))
    assert found["credentials"] == (
        Result.FAILED,
        "down (HTTP 503); try again; if it lasts, quote the request to the vendor's support",
    )
    assert found["jobs.search"][0] is Result.PASSED


async def test_missing_permissions_are_told_one_by_one() -> None:
    """What is not allowed fails alone; that it was refused for that shows that the credentials are accepted."""
    held = world(
        capabilities=frozenset({Capability.JOBS_SEARCH, Capability.DEVICES_SEARCH}),
        errors={name: PermissionDeniedError("no right", status=403) for name in ("jobs.search", "devices.search")},
    )
    found = await checks(held, seen(WELL))
    assert found["credentials"] == (Result.PASSED, "accepted")
    assert found["jobs.search"] == (
        Result.FAILED,
        "no right (HTTP 403); ask the account's administrator to allow it",
    )


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (RateLimitedError("slow"), "try again later"),
        (ResponseLostError("lost"), "the connection broke"),
        (PayloadError("html"), "check endpoint"),
        (OtaError("odd"), None),
    ],
)
async def test_every_failure_says_what_to_do(error: OtaError, remedy: str | None) -> None:
    """Failures of single operations come with a remedy, where there is one."""
    held = world(capabilities=frozenset({Capability.JOBS_SEARCH}), errors={"jobs.search": error})
    found = await checks(held, seen(WELL))
    result, detail = found["jobs.search"]
    assert result is Result.FAILED
    assert (remedy in detail) if remedy else detail == "odd"
    assert found["credentials"] == (Result.SKIPPED, "no operation got as far as that")


# --- the command -----------------------------------------------------------------------------------------------------


def test_doctor_prints_a_line_a_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Passed, failed and skipped are lines; what to do is never cut, whatever the terminal's width."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")
    held = world()
    install(monkeypatch, held)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fake  settings                    passed   complete"
    assert "fake  jobs.search                 passed   allowed" in lines
    held.errors["jobs.search"] = PermissionDeniedError(f"no right to {'x' * 100}", status=403)
    assert main(["doctor", "--format", "json"]) == 1
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["jobs.search"]["result"] == "failed"
    assert main(["doctor", "--backend", "fake"]) == 1
    assert "x (HTTP 403); ask the account's administrator to allow it\n" in capsys.readouterr().out
    assert held.called("aclose") == [(), (), ()]


def test_doctor_tells_of_settings_that_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A backend that is named and has no settings fails its first check; without any backend it is wrong usage."""
    monkeypatch.chdir(tmp_path)
    install(monkeypatch, world())
    monkeypatch.delenv("OTACLIENT_FAKE_PLACE")
    assert main(["doctor", "--backend", "fake"]) == 1
    line = capsys.readouterr().out
    assert line.startswith("fake  settings  failed  fake: missing setting place: looked for OTACLIENT_FAKE_PLACE")
    assert main(["doctor"]) == 2
    assert "no backend has settings" in capsys.readouterr().err
    assert main(["doctor", "--backend", "other"]) == 1
    assert "there is no backend 'other'; known backends: fake" in capsys.readouterr().out


def test_doctor_tells_of_settings_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What the plug-in itself refuses is a failure of the settings too."""
    monkeypatch.chdir(tmp_path)
    install(monkeypatch, world())

    def refuse(*arguments: object) -> None:
        raise ConfigurationError("place is nowhere: name a place")

    monkeypatch.setattr("support.fake_backend.FakePlugin.open", refuse)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == "fake  settings  failed  place is nowhere: name a place\n"
