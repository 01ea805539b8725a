"""What several tests of the emulators start from."""

from collections.abc import AsyncIterator

import pytest

from otaclient.emulator import ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from support import enos_writes, iotda_tasks
from support.iotda import serving


@pytest.fixture
def clock() -> ManualClock:
    """A clock driven by hand, which stands where the past of generated fleets ends."""
    return ManualClock(DEFAULT_NOW)


@pytest.fixture
async def served(clock: ManualClock) -> AsyncIterator[iotda_tasks.Served]:
    """An IoTDA emulator over a fleet of its own whose devices all succeed, and a caller of it."""
    async with serving(iotda_tasks.FLEET, clock=clock, plan=iotda_tasks.QUICK) as pair:
        yield pair


@pytest.fixture
async def client() -> AsyncIterator[enos_writes.Client]:
    """A client of an EnOS emulator over a fleet of its own whose devices all succeed."""
    async with enos_writes.opened() as client:
        yield client
