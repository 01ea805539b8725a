"""What every backend offers: the repositories that applications use, and the raw reads that bulk work is built on."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from enum import StrEnum
from os import PathLike
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

from otaclient.events import Listener
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
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import ReadSource
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session

__all__ = [
    "Backend",
    "BackendPlugin",
    "Capability",
    "DeviceReference",
    "DeviceUpgradeRepository",
    "FirmwareContent",
    "FirmwareRepository",
    "JobRepository",
    "Query",
]

Query: TypeAlias = FirmwareQuery | JobQuery | DeviceTaskQuery | DeviceUpgradeQuery
DeviceReference: TypeAlias = str | DeviceTask | DeviceUpgrade
"""A device of a job: a record that names it, or the text by which the vendor's jobs name it (``device_key`` on EnOS,
``device_id`` on IoTDA)."""
FirmwareContent: TypeAlias = bytes | str | PathLike[str] | AsyncIterable[bytes]
"""The bytes of a firmware file, or the path of one, or its bytes as they come."""


class Capability(StrEnum):
    """An operation that a backend may offer. Ask with ``Capability.DEVICES_GET in backend.capabilities``."""

    FIRMWARE_GET = "firmware.get"
    FIRMWARE_SEARCH = "firmware.search"
    FIRMWARE_CREATE = "firmware.create"
    FIRMWARE_UPLOAD = "firmware.upload"
    """``firmware.create`` takes the bytes themselves; without it, only the place where the vendor finds them."""
    FIRMWARE_DELETE = "firmware.delete"
    FIRMWARE_REPORTED_VERSIONS = "firmware.reported_versions"
    FIRMWARE_DOWNLOAD = "firmware.download"
    JOBS_GET = "jobs.get"
    JOBS_SEARCH = "jobs.search"
    JOBS_CREATE = "jobs.create"
    JOBS_START = "jobs.start"
    JOBS_STOP = "jobs.stop"
    JOBS_DELETE = "jobs.delete"
    JOBS_TASKS = "jobs.tasks"
    JOBS_CANCEL_TASKS = "jobs.cancel_tasks"
    JOBS_RETRY_TASKS = "jobs.retry_tasks"
    JOBS_PROGRESS = "jobs.progress"
    """Also ``jobs.watch`` and ``jobs.wait``."""
    JOBS_HOLD = "jobs.hold"
    """``NewJob(hold=True)``: a job that waits for ``jobs.start`` after its creation."""
    DEVICES_GET = "devices.get"
    DEVICES_SEARCH = "devices.search"
    DEVICES_UPGRADING = "devices.upgrading"
    """``DeviceUpgrade.upgrading`` can be told, at a price where ``resolve_upgrading`` is needed for it."""


class FirmwareRepository(Protocol):
    """The firmware of one organisation or project."""

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        """Return the firmware with this identifier.

        Raises:
            NotFoundError: There is none.
        """
        ...

    def search(self, query: FirmwareQuery = ..., /) -> Paged[Firmware]:
        """Return the firmware that matches, newest first within each of the vendor's walks."""
        ...

    async def create(self, firmware: NewFirmware, /, content: FirmwareContent | None = None) -> FirmwareId:
        """Create a firmware and return its identifier.

        After an answer that was lost, the firmware is looked for by its version and content, and adopted where it is
        found.

        Raises:
            ConflictError: There is such a firmware already, with other content perhaps.
            OutcomeUnknownError: It may or may not have been created; says how to find out.
        """
        ...

    async def delete(self, firmware_id: FirmwareId | str, /) -> None:
        """Delete a firmware, for good."""
        ...

    async def reported_versions(self, product_id: str, /) -> tuple[str, ...]:
        """Return the versions that devices of a product have reported."""
        ...

    async def download(
        self,
        firmware: Firmware,
        destination: "str | PathLike[str]",
        /,
        *,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> DownloadedFirmware:
        """Fetch a firmware's bytes into a file and check them."""
        ...


class JobRepository(Protocol):
    """The upgrade jobs of one organisation or project."""

    async def get(self, job_id: JobId | str, /) -> Job:
        """Return the job with this identifier.

        Raises:
            NotFoundError: There is none.
        """
        ...

    def search(self, query: JobQuery = ..., /) -> Paged[Job]:
        """Return the jobs that match, newest first within each of the vendor's walks."""
        ...

    async def create(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> JobId:
        """Create a job and return its identifier.

        The name gets a fingerprint at the vendor, which every read takes out again. After an answer that was lost, the
        job is looked for by it, and adopted where it is found. A request that may have been carried out is never
        repeated.

        Args:
            job: What to create.
            idempotency_key: A text of yours for this job. Its fingerprint is always the same, so that the same job is
                found, and returned, when you create it again: also after a restart of your program.
            fingerprint: Whether to mark the name. Without it, a lost answer is an error at once.

        Raises:
            ConflictError: The key belongs to a job that was created from something else; says what differs.
            OutcomeUnknownError: It may or may not have been created; ``fingerprint`` is what to look for.
        """
        ...

    def check(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> None:
        """Refuse what :meth:`create` would refuse of itself: for a form, or before a question. Nothing is sent.

        What only the vendor can know, such as whether there is that firmware, no one has checked after this.

        Raises:
            InvalidQueryError: The vendor cannot do that; names the field, the rule and the remedy.
            UnsupportedOperationError: The vendor has no such jobs.
        """
        ...

    async def start(self, job_id: JobId | str, /) -> None:
        """Start a stopped job, or confirm a held one."""
        ...

    async def stop(self, job_id: JobId | str, /) -> None:
        """Stop a job."""
        ...

    async def delete(self, job_id: JobId | str, /) -> None:
        """Delete a job, for good."""
        ...

    def tasks(self, query: DeviceTaskQuery, /) -> Paged[DeviceTask]:
        """Return what the job does on each device."""
        ...

    async def cancel_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Cancel the upgrade of some devices of a job.

        Where a vendor takes few devices with each request, all requests have ``timeout_seconds`` together: for many
        thousands of devices give it more, with ``with_options``.
        """
        ...

    async def retry_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Try some failed devices of a job again. For many devices, see :meth:`cancel_tasks`."""
        ...

    async def progress(self, job_id: JobId | str, /) -> JobProgress:
        """Return how far a job is."""
        ...

    def watch(self, job_id: JobId | str, /, *, interval_seconds: float = 10.0) -> AsyncIterator[JobProgress]:
        """Return a job's progress as it changes, until its final state."""
        ...

    async def wait(self, job_id: JobId | str, /, *, timeout_seconds: float | None = None) -> JobProgress:
        """Wait for a job's final state and return it.

        Raises:
            DeadlineExceededError: It had not ended by then; it goes on.
            InvalidQueryError: The identifier or the time cannot be right; nothing was sent.
        """
        ...


class DeviceUpgradeRepository(Protocol):
    """What firmware each device runs, and whether it is being upgraded."""

    def search(self, query: DeviceUpgradeQuery = ..., /) -> Paged[DeviceUpgrade]:
        """Return the devices that match. For whole fleets use :func:`otaclient.scan`, which proves what it saw."""
        ...

    async def get(self, device_id: DeviceId | str, /) -> DeviceUpgrade:
        """Return one device.

        Raises:
            NotFoundError: There is none.
            UnsupportedOperationError: The vendor cannot look up one device.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """One vendor's account, behind the shared repositories."""

    @property
    def name(self) -> str:
        """The backend's name, such as ``enos``."""
        ...

    @property
    def label(self) -> str:
        """What tells this client from others of the same backend; every record carries it."""
        ...

    @property
    def firmware(self) -> FirmwareRepository:
        """The firmware."""
        ...

    @property
    def jobs(self) -> JobRepository:
        """The upgrade jobs."""
        ...

    @property
    def devices(self) -> DeviceUpgradeRepository:
        """The devices."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this backend can do; everything else raises ``UnsupportedOperationError`` before any request."""
        ...

    @property
    def on_event(self) -> Listener | None:
        """The listener that the client was opened with: bulk work reports to it too."""
        ...

    async def authenticate(self) -> None:
        """Get an access token now, where the vendor needs one.

        Raises:
            AuthenticationError: The credentials are wrong.
        """
        ...

    def reads(self, query: Query, /) -> ReadSource[Any]:
        """Return the raw reads behind a query, for bulk work.

        Raises:
            InvalidQueryError: The vendor has no such filter and it cannot be applied on this side.
            UnsupportedOperationError: The vendor has no such listing.
        """
        ...

    def with_options(
        self,
        *,
        timeout_seconds: float | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
        owner_id: str | None = None,
    ) -> Self:
        """Return this backend with other options; it shares the pool and the token, and closing it closes nothing."""
        ...

    async def aclose(self) -> None:
        """Release the connections. Closing twice does no harm."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


_ConfigT = TypeVar("_ConfigT")


class BackendPlugin(Protocol[_ConfigT]):
    """What an entry point of the group ``otaclient.backends`` names."""

    @property
    def name(self) -> str:
        """The backend's name, the same as the entry point's."""
        ...

    @property
    def config_type(self) -> type[_ConfigT]:
        """An attrs class; settings fill it from a profile and from ``OTACLIENT_<NAME>_*``."""
        ...

    def open(self, config: _ConfigT, session: Session, /) -> Backend:
        """Return a client. Nothing is sent yet."""
        ...
