"""Good answers, recorded from the emulators, and clients to which they are played back, changed or not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from otaclient.emulator import Fleet
from otaclient.errors import ApiError
from otaclient.models import JobScope, LocalizedText, NewJob
from otaclient.protocols import Backend
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.registry import backend_plugin, emulator_class
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.http import HttpRequest, HttpResponse, Sink
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_iotda.backend import IotdaBackend

Call = Callable[[Backend], Awaitable[Any]]


@attrs.frozen
class Operation:
    """A call of the public interface, and the good answer to its last request."""

    vendor: str
    name: str
    call: Call
    answers: Mapping[str, HttpResponse]
    """All that the call was answered, by the requests' operations."""
    answered: str
    """The operation of its last request."""
    refused: bool
    """Whether the emulator said no: that is an answer as well."""

    def __str__(self) -> str:
        return f"{self.vendor} {self.name}"


class _Recorder:
    """The real network, of which the last answer to each operation is kept."""

    def __init__(self) -> None:
        self._inner = AiohttpTransport(TransportOptions(), max_connections=2)
        self.answers: dict[str, HttpResponse] = {}

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        response = await self._inner.send(request, endpoint=endpoint, timeout_seconds=timeout_seconds)
        self.answers.pop(request.operation, None)  # so that the last one is the last
        self.answers[request.operation] = response
        return response

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._inner.aclose()


class Player:
    """Plays answers back, by the requests' operations."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.answers: Mapping[str, HttpResponse] = {}

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Answer. It takes a second, so that nothing can go on for ever."""
        self._clock.seconds += 1
        return self.answers.get(request.operation, HttpResponse(status=404, body=b"{}"))

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Nothing is downloaded here."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""


def _config(vendor: str, emulator: Any) -> Any:
    return emulator.config() if vendor == "enos" else emulator.config(auth="password")


@asynccontextmanager
async def _recording(vendor: str, fleet: Fleet) -> AsyncIterator[tuple[Backend, _Recorder, Any]]:
    async with emulator_class(vendor)(fleet) as emulator:
        recorder = _Recorder()
        session = Session(label=vendor, transport=recorder, clock=HandClock(), retry=RetryPolicy.none())
        config = _config(vendor, emulator)
        async with backend_plugin(vendor).open(config, session) as client:
            yield client, recorder, config


async def _calls(vendor: str, client: Backend) -> dict[str, Call]:
    """Return the calls, about things that exist."""
    firmware = next(iter(await client.firmware.search(FirmwareQuery(kinds=["firmware"])).first(1)))
    job = next(iter(await client.jobs.search().first(1)))
    fits = DeviceUpgradeQuery(products=[str(firmware.product_id)])
    device = next(iter(await client.devices.search(fits).first(1)))
    named = str(device.device_key if vendor == "enos" else device.device_id)
    new = NewJob(
        name=LocalizedText(default="rollout_7"),
        firmware_ids=(firmware.firmware_id,),
        scope=JobScope(devices=(named,)),
    )
    calls: dict[str, Call] = {
        "authenticate": _login,
        "firmware.get": lambda client: client.firmware.get(firmware.firmware_id),
        "firmware.search": lambda client: client.firmware.search().first(2),
        "jobs.get": lambda client: client.jobs.get(job.job_id),
        "jobs.progress": lambda client: client.jobs.progress(job.job_id),
        "jobs.search": lambda client: client.jobs.search(JobQuery()).first(2),
        "jobs.tasks": lambda client: client.jobs.tasks(DeviceTaskQuery(job_id=job.job_id)).first(2),
        "devices.search": lambda client: client.devices.search(DeviceUpgradeQuery()).first(2),
        "jobs.create": lambda client: client.jobs.create(new),
        "jobs.stop": lambda client: client.jobs.stop(job.job_id),
        "jobs.delete": lambda client: client.jobs.delete(job.job_id),
        "firmware.delete": lambda client: client.firmware.delete(firmware.firmware_id),
    }
    if vendor == "enos":
        calls["firmware.reported_versions"] = lambda client: client.firmware.reported_versions(str(firmware.product_id))
    else:
        calls["devices.get"] = lambda client: client.devices.get(device.device_id)
        calls["search_devices"] = lambda client: _as_iotda(client).search_devices("select * from device limit 2")
        calls["modules.search"] = lambda client: _as_iotda(client).modules.search().first(2)
    return calls


def _as_iotda(client: Backend) -> IotdaBackend:
    assert isinstance(client, IotdaBackend)
    return client


async def _login(client: Any) -> Any:
    return await client._session.dialect.tokens._fetch(None, float("inf"))


async def _record(vendor: str, fleet: Fleet) -> tuple[list[Operation], Any]:
    operations: list[Operation] = []
    async with _recording(vendor, fleet) as (client, recorder, config):
        for name, call in (await _calls(vendor, client)).items():
            tokens = dict(recorder.answers)
            recorder.answers.clear()
            refused = False
            try:
                await call(client)
            except ApiError:
                refused = True
            answered = list(recorder.answers)[-1]
            operations.append(
                Operation(vendor, name, call, {**tokens, **recorder.answers}, answered, refused),
            )
            recorder.answers = {**tokens, **recorder.answers}
    return operations, config


class Stage:
    """Plays recorded answers to clients of both vendors, over and over, on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._players: dict[str, Player] = {}
        self._configs: dict[str, Any] = {}
        self.operations: list[Operation] = []
        for vendor in ("enos", "iotda"):
            fleet = Fleet.generate(devices=40, seed=11)
            operations, self._configs[vendor] = self._loop.run_until_complete(_record(vendor, fleet))
            self.operations += operations

    def play(self, operation: Operation, changed: HttpResponse) -> Any:
        """Return what a call comes to whose last request is answered so."""
        return self._loop.run_until_complete(self._play(operation, changed))

    async def _play(self, operation: Operation, changed: HttpResponse) -> Any:
        clock = HandClock()
        player = Player(clock)
        player.answers = {**operation.answers, operation.answered: changed}
        session = Session(
            label=operation.vendor,
            transport=player,
            clock=clock,
            roll=lambda: 0.5,
            retry=RetryPolicy(max_attempts=2),
            timeout_seconds=20,
        )
        async with backend_plugin(operation.vendor).open(self._configs[operation.vendor], session) as client:
            return await operation.call(client)

    def close(self) -> None:
        """Close the loop."""
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
