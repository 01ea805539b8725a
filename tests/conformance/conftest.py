"""The same logical fleet behind every backend. The suite sees protocols, the fleet and its oracle, and no vendor."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

import otaclient
from otaclient.emulator import Fleet
from otaclient.events import Event
from otaclient.registry import emulator_class
from otaclient.testing import Service

# Read once: the fleet is only looked at. Its size is no multiple of any vendor's page size.
FLEET = Fleet.generate(devices=617, seed=11)


def _emulator(name: str) -> Any:
    return emulator_class(name)(FLEET)


@pytest.fixture(params=["enos", "iotda"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """Start one vendor's emulator and open a client of it."""
    name: str = request.param
    events: list[Event] = []
    async with _emulator(name) as emulator:
        backend = otaclient.open_backend(name, config=emulator.config(), label=f"{name}-7", on_event=events.append)
        async with backend:
            yield Service(name=name, emulator=emulator, backend=backend, events=events)
