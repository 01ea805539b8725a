"""What the parts of the conformance suite share: a service for each test, made from one fleet."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any, ClassVar

import attrs
import pytest

from otaclient.emulator import Fleet
from otaclient.models import FrozenMap
from otaclient.paging import Paged
from otaclient.protocols import Backend, Capability
from otaclient.testing.service import EmulatedVendor, Service, emulator_of, serve

__all__ = ["NO_SUCH_ID", "ServedSuite", "bare", "by_id"]

NO_SUCH_ID = "0123456789abcdef01234567"
"""An identifier of a form that many vendors use, which nothing has."""


# Its size is no multiple of any usual page size. It is only looked at.
@lru_cache(maxsize=1)
def _usual_fleet() -> Fleet:
    return Fleet.generate(devices=617, seed=11)


class ServedSuite:
    """Tests that each start a service of their own, on the test's own event loop: with any plug-in for async tests."""

    backend: ClassVar[str]
    """The backend's name, as in its entry point."""
    names_requests: ClassVar[bool] = True
    """Whether the vendor's answers name the request (``error.request_id``)."""

    @property
    def fleet(self) -> Fleet:
        """What the emulator serves; every emulator gets a copy."""
        return _usual_fleet()

    def emulator(self) -> EmulatedVendor:
        """Return the emulator for one test, not started: the installed one of the backend's name, unless overridden."""
        running: EmulatedVendor = emulator_of(self.backend, self.fleet)
        return running

    def service(self) -> AbstractAsyncContextManager[Service]:
        """Return the emulator with a client of it, for ``async with``."""
        return serve(self.backend, self.emulator(), label=f"{self.backend}-7")

    @staticmethod
    def listings(service: Service) -> list[Paged[Any]]:
        """Return every listing that the backend has, of everything; the devices first."""
        backend = service.backend
        listings: list[Paged[Any]] = [backend.devices.search()]
        if Capability.FIRMWARE_SEARCH in backend.capabilities:
            listings.append(backend.firmware.search())
        if Capability.JOBS_SEARCH in backend.capabilities:
            listings.append(backend.jobs.search())
        return listings

    @staticmethod
    def lookups(service: Service, backend: Backend) -> list[Callable[[], Awaitable[Any]]]:
        """Return calls of a backend that each look up one thing that there is, and take one request."""
        calls: list[Callable[[], Awaitable[Any]]] = [lambda: backend.devices.search().first(1)]
        if Capability.DEVICES_GET in backend.capabilities:
            calls.append(lambda: backend.devices.get(service.devices[0].device_id))
        if Capability.FIRMWARE_GET in backend.capabilities:
            calls.append(lambda: backend.firmware.get(service.firmware[0].firmware_id))
        if Capability.JOBS_GET in backend.capabilities:
            calls.append(lambda: backend.jobs.get(service.jobs[0].job_id))
        return calls

    @staticmethod
    def needs(service: Service, *capabilities: Capability) -> None:
        """Skip the test where the backend has none of these; that such calls are refused is a test of its own."""
        lacking = sorted(set(capabilities) - service.backend.capabilities)
        if lacking:
            pytest.skip(f"{service.name} has no {', '.join(lacking)}")


def bare(records: Any) -> list[Any]:
    """Return records without the vendor's extra fields, which the oracle leaves out."""
    return [attrs.evolve(record, extra=FrozenMap()) for record in records]


def by_id(records: Any, field: str) -> dict[str, Any]:
    """Return records by an identifier, which must be unique."""
    found = {getattr(record, field): record for record in records}
    assert len(found) == len(list(records))
    return found
