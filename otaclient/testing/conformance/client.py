"""What every client promises, whatever it is asked."""

import pickle
from collections.abc import Callable
from typing import Any, Final

import attrs
import pytest

import otaclient
from otaclient import (
    Backend,
    Capability,
    DeviceTaskQuery,
    Firmware,
    FirmwareId,
    JobId,
    JobScope,
    Limits,
    LocalizedText,
    NewFirmware,
    NewJob,
    RetryPolicy,
    UnsupportedOperationError,
)
from otaclient.testing.conformance.suite import ServedSuite

__all__ = ["ClientPromises"]

QUICK: Final = RetryPolicy(base_delay_seconds=0, max_delay_seconds=0)


class ClientPromises(ServedSuite):
    """One call is one request, faults that pass are survived, broken answers are errors."""

    async def test_records_say_where_they_come_from(self) -> None:
        """Every record carries the label of its client, and survives pickling."""
        async with self.service() as service:
            for listing in self.listings(service):
                (record,) = await listing.first(1)
                assert record.backend == service.backend.label == f"{service.name}-7"
                assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - our own bytes

    async def test_a_backend_is_a_backend(self) -> None:
        """The client offers what the protocol asks for, and shows no secret in its representation."""
        async with self.service() as service:
            assert isinstance(service.backend, Backend)
            assert service.backend.name == service.name
            assert "secret" not in repr(service.backend).lower().replace("secret('***')", "")
            for capability in service.backend.capabilities:
                assert isinstance(capability, Capability)

    async def test_one_call_is_one_request(self) -> None:
        """After ``authenticate()``, without retries and limits, each call is exactly one request on the wire."""
        async with self.service() as service:
            plain = service.backend.with_options(retry=RetryPolicy.none(), limits=Limits.unlimited())
            await plain.authenticate()
            assert service.requests == 0
            for number, call in enumerate(self.lookups(service, plain), start=1):
                await call()
                assert service.requests == number
            for call in self.lookups(service, plain):
                for fault in (503, 429, 404):
                    service.faults.inject(status=fault)
                    before = service.requests
                    with pytest.raises(otaclient.OtaError):
                        await call()
                    assert service.requests == before + 1

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    async def test_reads_survive_passing_faults(self, status: int) -> None:
        """A read is repeated until the fault has passed, and counts how often it asked."""
        async with self.service() as service:
            patient = service.backend.with_options(retry=QUICK)
            await patient.authenticate()
            service.faults.inject(times=2, status=status, headers={"Retry-After": "0"}, body=b"<html>busy</html>")
            page = await anext(patient.devices.search().pages())
            assert page.response.attempts == 3
            assert service.requests == 3

    async def test_reads_survive_a_cut_connection(self) -> None:
        """A connection cut before the answer is asked again."""
        async with self.service() as service:
            patient = service.backend.with_options(retry=QUICK)
            await patient.authenticate()
            service.faults.drop("devices.search", times=2)
            assert len(await patient.devices.search().first(3)) == 3

    @pytest.mark.parametrize(
        "body", [b"", b"<html>login</html>", b'{"code": 0, "data": [', b"[]", b'"ok"', b"null", b"{}", b"\xff\xfe"]
    )
    async def test_a_good_status_with_a_bad_body_is_an_error(self, body: bytes) -> None:
        """An answer that is not the documented one is never an empty list."""
        async with self.service() as service:
            plain = service.backend.with_options(retry=RetryPolicy.none())
            await plain.authenticate()
            for listing in self.listings(attrs.evolve(service, backend=plain)):
                service.faults.inject(status=200, body=body)
                with pytest.raises(otaclient.PayloadError) as caught:
                    await listing.first(1)
                assert (caught.value.status, caught.value.backend) == (200, plain.label)

    async def test_what_the_vendor_lacks_is_refused_before_any_request(self) -> None:
        """Every operation without its capability raises at once, and says so."""
        async with self.service() as service:
            backend = service.backend
            firmware = Firmware(backend=backend.label, firmware_id=FirmwareId("f"), version="1")
            job = NewJob(
                firmware_ids=(FirmwareId("f"),), scope=JobScope(devices=("d",)), name=LocalizedText(default="n")
            )
            calls: dict[Capability, Callable[[], Any]] = {
                Capability.FIRMWARE_GET: lambda: backend.firmware.get("f"),
                Capability.FIRMWARE_CREATE: lambda: backend.firmware.create(NewFirmware(version="1"), b"content"),
                Capability.FIRMWARE_DELETE: lambda: backend.firmware.delete("f"),
                Capability.FIRMWARE_REPORTED_VERSIONS: lambda: backend.firmware.reported_versions("p"),
                Capability.FIRMWARE_DOWNLOAD: lambda: backend.firmware.download(firmware, "nowhere"),
                Capability.JOBS_GET: lambda: backend.jobs.get("j"),
                Capability.JOBS_CREATE: lambda: backend.jobs.create(job),
                Capability.JOBS_START: lambda: backend.jobs.start("j"),
                Capability.JOBS_STOP: lambda: backend.jobs.stop("j"),
                Capability.JOBS_DELETE: lambda: backend.jobs.delete("j"),
                Capability.JOBS_CANCEL_TASKS: lambda: backend.jobs.cancel_tasks("j", ["d"]),
                Capability.JOBS_RETRY_TASKS: lambda: backend.jobs.retry_tasks("j", ["d"]),
                Capability.JOBS_PROGRESS: lambda: backend.jobs.progress("j"),
                Capability.DEVICES_GET: lambda: backend.devices.get("d"),
            }
            for capability, call in calls.items():
                if capability not in backend.capabilities:
                    with pytest.raises(UnsupportedOperationError, match="capabilities"):
                        await call()
            listings: dict[Capability, Callable[[], Any]] = {
                Capability.FIRMWARE_SEARCH: backend.firmware.search,
                Capability.JOBS_SEARCH: backend.jobs.search,
                Capability.JOBS_TASKS: lambda: backend.jobs.tasks(DeviceTaskQuery(job_id=JobId("j"))),
            }
            for capability, listing in listings.items():
                if capability not in backend.capabilities:
                    with pytest.raises(UnsupportedOperationError, match="capabilities"):
                        listing()
            assert service.requests == 0

    async def test_redirects_are_errors(self) -> None:
        """A redirect is not followed: the error says where to point the client."""
        async with self.service() as service:
            service.faults.inject(status=302, headers={"Location": "https://elsewhere.example/login"})
            with pytest.raises(otaclient.OtaError, match=r"elsewhere\.example"):
                await service.backend.with_options(retry=RetryPolicy.none()).devices.search().first(1)

    async def test_closing_twice_and_using_after(self) -> None:
        """Closing again does no harm; a closed client says that it is closed."""
        async with self.service() as service:
            other = otaclient.open_backend(service.name, config=service.emulator.config())
            await other.aclose()
            await other.aclose()
            with pytest.raises(otaclient.TransportError, match="closed"):
                await other.with_options(retry=RetryPolicy.none()).devices.search().first(1)
