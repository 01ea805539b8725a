"""A client that hides nothing, and adds nothing."""

import time
from typing import Any

import pytest

from otaclient import load
from otaclient.errors import AuthenticationError, ConfigurationError, RateLimitedError
from otaclient.events import AttemptFinished, AttemptStarted, Event
from otaclient.load import bare_session
from otaclient.load.watching import watched
from otaclient.models import FirmwareId, FirmwareKind, JobPolicy, JobScope, LocalizedText, NewJob
from otaclient.testing import HandClock
from otaclient.transport.http import HttpResponse
from otaclient.transport.session import Session
from otaclient_iotda import AkSkCredentials, IotdaConfig, plugin
from support.network import ScriptedTransport


async def test_it_has_its_token_before_the_first_call(ota_enos: Any) -> None:
    """So each call is one request, and is reported as one, with the wait apart from the service."""
    async with ota_enos as enos:
        enos.emulator.served.clear()
        events: list[Event] = []
        async with load.open_bare("enos", config=enos.emulator.config(), on_event=events.append) as bare:
            assert enos.emulator.served == {"token.get": 1}
            events.clear()
            before = time.monotonic()
            await bare.jobs.get(enos.jobs[0].job_id)
            after = time.monotonic()
            assert enos.emulator.served == {"token.get": 1, "jobs.get": 1}
        (started,) = [event for event in events if isinstance(event, AttemptStarted)]
        (finished,) = [event for event in events if isinstance(event, AttemptFinished)]
        assert before <= started.sent_at <= after
        assert 0 <= started.queued_seconds <= started.sent_at - before
        assert 0 < finished.seconds <= after - started.sent_at
        assert (finished.operation, finished.status) == ("jobs.get", 200)


async def test_wrong_credentials_are_told_at_once(ota_enos: Any) -> None:
    """Before the block begins."""
    async with ota_enos as enos:
        enos.faults.inject("token.get", status=401, body=b'{"code":1003}')
        with pytest.raises(AuthenticationError):
            async with load.open_bare("enos", config=enos.emulator.config()):
                raise AssertionError("it began")


async def test_settings_are_read_as_ever(ota_enos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, or from a configuration, and not from both."""
    async with ota_enos as enos:
        for name, value in enos.emulator.environment().items():
            monkeypatch.setenv(name, value)
        async with load.open_bare("enos", label="plant") as bare:
            assert (bare.label, (await bare.jobs.get(enos.jobs[0].job_id)).backend) == ("plant", "plant")
        with pytest.raises(ConfigurationError, match="both config and profile are given"):
            await load.open_bare("enos", config=enos.emulator.config(), profile="p").__aenter__()
        with pytest.raises(ConfigurationError, match="type EnosConfig: the backend 'iotda' takes IotdaConfig"):
            await load.open_bare("iotda", config=enos.emulator.config()).__aenter__()


def iotda(*answers: HttpResponse) -> tuple[Any, ScriptedTransport, HandClock]:
    """Return a bare client, the network that answers it, and its clock."""
    keys = AkSkCredentials(access_key="AK", secret_key="very-secret")
    config = IotdaConfig(endpoint="https://iotda.cn-north-4.myhuaweicloud.com", project_id="p1", credentials=keys)
    network, clock = ScriptedTransport(answers), HandClock()
    session = bare_session(Session(label="north", transport=network, clock=clock))
    return plugin.open(config, session), network, clock


async def test_searches_have_no_pace() -> None:
    """The vendor allows one a second; whoever tests what it does about more sends more."""
    client, network, clock = iotda(*[HttpResponse(status=200, body=b'{"devices":[]}')] * 5)
    began = clock.seconds
    for search in [client.search_devices, client.with_options(owner_id="x").search_devices] * 2:
        await search("select * from device")
    assert (clock.seconds - began, len(network.answers)) == (0, 1)


async def test_a_job_is_one_request_where_it_is_said_what_it_installs() -> None:
    """Otherwise the packages are read first: then the request that would create the job is the second."""
    job = NewJob(
        name=LocalizedText(default="rollout"),
        firmware_ids=(FirmwareId("a" * 24),),
        scope=JobScope(devices=("d",)),
        policy=JobPolicy(),
    )
    client, network, _ = iotda(HttpResponse(status=201, body=b'{"task_id":"t"}'))
    with watched() as seen:
        assert await client.jobs.create(job, firmware_kind=FirmwareKind.FIRMWARE) == "t"
    assert seen.requests == 1
    package = b'{"package_id":"%s","package_type":"firmwarePackage","version":"V1"}' % (b"a" * 24)
    client, network, _ = iotda(
        HttpResponse(status=200, body=package), HttpResponse(status=201, body=b'{"task_id":"t"}')
    )
    with watched() as seen, pytest.raises(ConfigurationError, match="needs another one, which was not sent"):
        await client.jobs.create(job)
    assert (seen.requests, len(network.answers)) == (1, 1)


async def test_a_throttled_answer_has_nobody_wait() -> None:
    """Neither this call nor the next, however long a pause it asks for."""
    throttled = HttpResponse(status=429, body=b"{}", headers={"Retry-After": "60"})
    client, _, clock = iotda(throttled, HttpResponse(status=200, body=b'{"device_id":"d"}'))
    began = clock.seconds
    with pytest.raises(RateLimitedError):
        await client.devices.get("d")
    assert (await client.devices.get("d")).device_id == "d"
    assert clock.seconds == began


async def test_only_a_call_that_is_watched_is_stopped() -> None:
    """What a test reads beforehand may take as many requests as it needs; and so may the next call again."""
    answer = HttpResponse(status=200, body=b'{"device_id":"d"}')
    client, network, _ = iotda(*[answer] * 6)

    async def both() -> None:
        await client.devices.get("d")
        await client.devices.get("d")

    await both()
    with watched(1) as seen:
        with pytest.raises(ConfigurationError, match="was to be one request, and needs another one") as caught:
            await both()
        assert (caught.value.operation, caught.value.backend) == ("devices.get", "north")
    assert (seen.requests, len(seen.attempts), len(network.answers)) == (1, 1, 3)
    with watched(2) as seen:
        await both()
        with pytest.raises(ConfigurationError, match="was to be 2 requests"):
            await both()
    assert (seen.requests, len(network.answers)) == (2, 1)
