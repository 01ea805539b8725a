"""Repositories that can do nothing yet: a backend overrides what its vendor can do, and the rest refuses clearly."""

from collections.abc import AsyncIterator, Callable, Sequence
from os import PathLike
from typing import NoReturn

from otaclient.errors import UnsupportedOperationError
from otaclient.models import (
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    DownloadedFirmware,
    Firmware,
    FirmwareId,
    Job,
    JobId,
    JobProgress,
    NewFirmware,
    NewJob,
)
from otaclient.paging import Paged
from otaclient.protocols import DeviceReference, FirmwareContent
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery

__all__ = ["UnsupportedDevices", "UnsupportedFirmware", "UnsupportedJobs"]


class _Refusing:
    def __init__(self, *, label: str) -> None:
        self._label = label

    def _refuse(self, operation: str) -> NoReturn:
        raise UnsupportedOperationError(
            "this backend has no such operation; backend.capabilities lists what it has",
            operation=operation,
            backend=self._label,
        )


class UnsupportedFirmware(_Refusing):
    """A firmware repository whose every method raises ``UnsupportedOperationError`` before any request."""

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        """Refuse."""
        self._refuse("firmware.get")

    def search(self, query: FirmwareQuery = FirmwareQuery(), /) -> Paged[Firmware]:
        """Refuse."""
        self._refuse("firmware.search")

    async def create(self, firmware: NewFirmware, /, content: FirmwareContent | None = None) -> FirmwareId:
        """Refuse."""
        self._refuse("firmware.create")

    async def delete(self, firmware_id: FirmwareId | str, /) -> None:
        """Refuse."""
        self._refuse("firmware.delete")

    async def reported_versions(self, product_id: str, /) -> tuple[str, ...]:
        """Refuse."""
        self._refuse("firmware.reported_versions")

    async def download(
        self,
        firmware: Firmware,
        destination: "str | PathLike[str]",
        /,
        *,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> DownloadedFirmware:
        """Refuse."""
        self._refuse("firmware.download")


class UnsupportedJobs(_Refusing):
    """A job repository whose every method raises ``UnsupportedOperationError`` before any request."""

    async def get(self, job_id: JobId | str, /) -> Job:
        """Refuse."""
        self._refuse("jobs.get")

    def search(self, query: JobQuery = JobQuery(), /) -> Paged[Job]:
        """Refuse."""
        self._refuse("jobs.search")

    async def create(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> JobId:
        """Refuse."""
        self._refuse("jobs.create")

    def check(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> None:
        """Refuse."""
        self._refuse("jobs.create")

    async def start(self, job_id: JobId | str, /) -> None:
        """Refuse."""
        self._refuse("jobs.start")

    async def stop(self, job_id: JobId | str, /) -> None:
        """Refuse."""
        self._refuse("jobs.stop")

    async def delete(self, job_id: JobId | str, /) -> None:
        """Refuse."""
        self._refuse("jobs.delete")

    def tasks(self, query: DeviceTaskQuery, /) -> Paged[DeviceTask]:
        """Refuse."""
        self._refuse("jobs.tasks")

    async def cancel_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Refuse."""
        self._refuse("jobs.cancel_tasks")

    async def retry_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Refuse."""
        self._refuse("jobs.retry_tasks")

    async def progress(self, job_id: JobId | str, /) -> JobProgress:
        """Refuse."""
        self._refuse("jobs.progress")

    def watch(self, job_id: JobId | str, /, *, interval_seconds: float = 10.0) -> AsyncIterator[JobProgress]:
        """Refuse."""
        self._refuse("jobs.progress")

    async def wait(self, job_id: JobId | str, /, *, timeout_seconds: float | None = None) -> JobProgress:
        """Refuse."""
        self._refuse("jobs.progress")


class UnsupportedDevices(_Refusing):
    """A device repository whose every method raises ``UnsupportedOperationError`` before any request."""

    def search(self, query: DeviceUpgradeQuery = DeviceUpgradeQuery(), /) -> Paged[DeviceUpgrade]:
        """Refuse."""
        self._refuse("devices.search")

    async def get(self, device_id: DeviceId | str, /) -> DeviceUpgrade:
        """Refuse."""
        self._refuse("devices.get")
