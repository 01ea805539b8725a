"""Fixtures for tests of applications that use otaclient; pytest finds them by itself.

::

    async def test_a_rollout_survives_a_bad_gateway(ota_enos):
        async with ota_enos as enos:
            enos.faults.inject("jobs.get", status=502)
            job = await enos.backend.jobs.get(enos.jobs[0].job_id)
            assert [attempt.status for attempt in enos.attempts if attempt.operation == "jobs.get"] == [502, 200]

The fixtures are not asynchronous themselves: they give something to enter, so that the emulator runs on the event loop
of the test. They work with pytest-asyncio, in either mode, with anyio's plug-in, and with ``asyncio.run``.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import pytest

from otaclient.emulator import Fleet
from otaclient.testing.clock import HandClock
from otaclient.testing.service import Service, emulator_of, serve

__all__ = ["ota_clock", "ota_enos", "ota_fleet", "ota_iotda", "ota_service"]

Served: TypeAlias = AbstractAsyncContextManager[Service]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "ota_fleet(**options): the fleet of the test's emulators, as Fleet.generate takes it: devices=, seed=, ...",
    )


@pytest.fixture
def ota_fleet(request: pytest.FixtureRequest) -> Fleet:
    """Return the fleet of the test's emulators: 500 devices of seed 1, or as ``@pytest.mark.ota_fleet`` says.

    Each emulator serves a copy, so that what a test does to one vendor leaves the other alone.
    """
    options: dict[str, Any] = {"devices": 500, "seed": 1}
    marker = request.node.get_closest_marker("ota_fleet")
    return Fleet.generate(**(options if marker is None else options | marker.kwargs))


@pytest.fixture
def ota_clock() -> HandClock:
    """Return the clock of the test's clients and emulators: it stands still but for sleeps, and ``advance()``."""
    return HandClock()


@pytest.fixture
def ota_service(ota_fleet: Fleet, ota_clock: HandClock) -> Callable[..., Served]:
    """Return a function that makes a service of any installed emulator, for ``async with``.

    It takes the backend's name, and the emulator's own options, such as ``read_lag_seconds=2``.
    """

    def make(name: str, **options: Any) -> Served:
        return serve(name, emulator_of(name, ota_fleet, clock=ota_clock.service, **options), clock=ota_clock)

    return make


@pytest.fixture
def ota_enos(
    ota_service: Callable[..., Served],
) -> Served:
    """Return an emulated EnOS with an open client, for ``async with``."""
    return ota_service("enos")


@pytest.fixture
def ota_iotda(
    ota_service: Callable[..., Served],
) -> Served:
    """Return an emulated IoTDA with an open client, for ``async with``."""
    return ota_service("iotda")
