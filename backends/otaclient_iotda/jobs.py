"""The upgrade jobs of one project, and what they do on each device."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from otaclient.fingerprint import chosen_fingerprint
from otaclient.job_creation import JobCreation
from otaclient.models import DeviceTask, FirmwareKind, Job, JobId, JobProgress, NewJob
from otaclient.paging import Paged
from otaclient.protocols import DeviceReference
from otaclient.queries import DeviceTaskQuery, JobQuery
from otaclient.session_reads import concerning
from otaclient.transport.http import HttpRequest
from otaclient.unsupported import UnsupportedJobs
from otaclient.watching import POLL_SECONDS
from otaclient_iotda import requests, write_requests
from otaclient_iotda.account import NAME, Account
from otaclient_iotda.commands import act, act_on_some, carry_out
from otaclient_iotda.firmware import IotdaFirmware
from otaclient_iotda.job_names import fingerprint_in
from otaclient_iotda.mapping import job_from
from otaclient_iotda.new_jobs import check_firmware_kind, job_fields, kind_of
from otaclient_iotda.responses import parse_created_task, parse_task
from otaclient_iotda.tasks import check_accepted, in_parts, progress_from
from otaclient_iotda.write_requests import Deed

__all__ = ["IotdaJobs"]


class IotdaJobs(UnsupportedJobs):
    """The upgrade jobs of one project: its batch tasks of the upgrade types."""

    def __init__(self, account: Account) -> None:
        super().__init__(label=account.label)
        self._account = account

    async def get(self, job_id: JobId | str, /) -> Job:
        """Return the job with this identifier.

        The identifier of a batch task that is no upgrade finds that task too, with an unknown ``kind``.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query a Batch Task".
        """
        account = self._account
        request = account.build("jobs.get", requests.get_task, account.project_id, job_id)
        response = await account.session.call(request)
        return job_from(account.parse(request, response, parse_task), backend=account.label)

    def search(self, query: JobQuery = JobQuery(), /) -> Paged[Job]:
        """Return the jobs that match: one walk for each type of upgrade task, newest first within each.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the Batch Task List".
        """
        return self._account.paged(self._account.jobs(query), query)

    async def create(
        self,
        job: NewJob,
        /,
        *,
        idempotency_key: str | None = None,
        fingerprint: bool = True,
        firmware_kind: FirmwareKind | None = None,
        gateway_mode: bool = False,
        extra_info: Mapping[str, Any] | None = None,
    ) -> JobId:
        """Create a job and return its identifier. It starts at once, unless it is scheduled or held.

        The vendor has one type of task for each kind of firmware. So the packages are read first, one request each,
        which also shows packages that one job cannot install together; ``firmware_kind`` saves these requests.

        The job's name gets a fingerprint at the vendor, which every read takes out again. Where the answer is lost, the
        job is looked for by it and adopted; the request is never repeated, because a late answer may still be carried
        out after any search.

        Args:
            job: What to create. Its scope is up to 30,000 devices, or groups; it has up to ten packages; of the policy,
                IoTDA knows a start within seven days, and retries. Its name is 1 to 128 Chinese characters, letters,
                digits and '_', of which the fingerprint takes 24. It belongs to the client's resource space, or without
                one to the vendor's default one.
            idempotency_key: A text of yours for this job. It is looked for first, in all upgrade jobs of the resource
                space, also after a restart of your program: where a job was created with the same key, that one is
                returned. Programs that create with the same key at the same moment may still both do.
            fingerprint: Whether to mark the name. Without it, a lost answer is an ``OutcomeUnknownError`` at once.
            firmware_kind: What the packages are.
            gateway_mode: Whether gateways upgrade the devices behind them (``task_mode``).
            extra_info: Handed to the devices with the upgrade notice; at most 512 characters as JSON.

        Raises:
            InvalidQueryError: Something in it IoTDA cannot do; nothing was created.
            NotFoundError: There is no such package (HTTP status 404).
            ConflictError: The key belongs to a job that was created from something else; says what differs.
            OutcomeUnknownError: It may or may not have been created; names the fingerprint and how to find out.

        Source: Huawei Cloud IoTDA API reference, "Create a Batch Task".
        """
        account = self._account.for_one_call()
        with concerning("jobs.create", account.label):
            mark = self._mark(idempotency_key, wanted=fingerprint)
            fields = self._fields(job, mark, firmware_kind, gateway_mode=gateway_mode, extra_info=extra_info)

            async def request() -> HttpRequest:
                kind = firmware_kind or await _kind_for(account, job, gateway_mode=gateway_mode)
                return write_requests.create_task(account.project_id, fields, kind, mark)

            return await JobCreation(
                account=account,
                job=job,
                fingerprint=mark,
                keyed=idempotency_key is not None,
                reads=lambda _: account.jobs(JobQuery()),
                fingerprint_in=fingerprint_in,
            ).create(request, parse_created_task)

    def check(
        self,
        job: NewJob,
        /,
        *,
        idempotency_key: str | None = None,
        fingerprint: bool = True,
        firmware_kind: FirmwareKind | None = None,
        gateway_mode: bool = False,
        extra_info: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuse what :meth:`create` would refuse of itself, now; nothing is sent.

        Whether the packages suit each other is not known without reading them.

        Raises:
            InvalidQueryError: Something in it IoTDA cannot do; names the field, the rule and the remedy.
        """
        with concerning("jobs.create", self._account.label):
            mark = self._mark(idempotency_key, wanted=fingerprint)
            self._fields(job, mark, firmware_kind, gateway_mode=gateway_mode, extra_info=extra_info)

    async def start(self, job_id: JobId | str, /) -> None:
        """Confirm a held job, on all its devices.

        A stopped job cannot be started again: create a new one.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            ConflictError: The state of the job forbids it, or of some devices (:class:`TargetsRefusedError`).
            OutcomeUnknownError: It may or may not have been confirmed; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Confirm a Batch Task".
        """
        await self._on_all("confirm", job_id, operation="jobs.start")

    async def stop(self, job_id: JobId | str, /) -> None:
        """Stop a job on all devices where it has not ended. Upgrades of modules cannot be stopped.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            ConflictError: The state of the job forbids it, or of some devices (:class:`TargetsRefusedError`).
            OutcomeUnknownError: It may or may not have been stopped; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Stop a Batch Task".
        """
        await self._on_all("stop", job_id, operation="jobs.stop")

    async def delete(self, job_id: JobId | str, /) -> None:
        """Delete a job, for good; it must have ended.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            ConflictError: It has not ended: stop it first.
            OutcomeUnknownError: It may or may not have been deleted; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Delete a Batch Task".
        """
        account = self._account
        await carry_out(account, account.build("jobs.delete", write_requests.delete_task, account.project_id, job_id))

    def tasks(self, query: DeviceTaskQuery, /) -> Paged[DeviceTask]:
        """Return what the job does on each device, newest record first.

        One status and one device are filtered by the vendor, several of them here. Versions are in no row.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here; nothing was sent.
            NotFoundError: No such task in this project (HTTP status 404); when it is walked.

        Source: Huawei Cloud IoTDA API reference, "Query a Batch Task".
        """
        return self._account.paged(self._account.tasks(query), query)

    async def cancel_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Stop the upgrade of some devices: 100 of them with each request. Upgrades of modules cannot be stopped.

        Args:
            job_id: The job.
            devices: Records, or device ids.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            TargetsRefusedError: Some devices were refused, all others accepted; says which and why.
            ConflictError: The state of the job forbids it.
            InvalidQueryError: There is no device in the list, or one that cannot be right; nothing was sent.
            OutcomeUnknownError: It may or may not have been done; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Stop a Batch Task".
        """
        await self._on_all_of("stop", job_id, devices, operation="jobs.cancel_tasks")

    async def retry_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Try some devices again that failed or were stopped: 100 of them with each request; no upgrades of modules.

        Args:
            job_id: The job.
            devices: Records, or device ids.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            TargetsRefusedError: Some devices were refused, all others accepted; says which and why.
            ConflictError: The state of the job forbids it.
            InvalidQueryError: There is no device in the list, or one that cannot be right; nothing was sent.
            OutcomeUnknownError: It may or may not have been done; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Retry a Batch Task".
        """
        await self._on_all_of("retry", job_id, devices, operation="jobs.retry_tasks")

    async def progress(self, job_id: JobId | str, /) -> JobProgress:
        """Return how far a job is, in one request, as the vendor reports it; what it leaves out is ``None``.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query a Batch Task".
        """
        return progress_from(await self.get(job_id), as_of=self._account.session.clock.now())

    def watch(self, job_id: JobId | str, /, *, interval_seconds: float = POLL_SECONDS) -> AsyncIterator[JobProgress]:
        """Return a job's progress as it changes, until its final state.

        Args:
            job_id: The job.
            interval_seconds: The mean time between two readings.

        Raises:
            InvalidQueryError: The identifier or the interval cannot be right.
            NotFoundError: No such task in this project (HTTP status 404).
        """
        account = self._account
        account.build("jobs.progress", requests.get_task, account.project_id, job_id)
        return account.watch(self, job_id, interval_seconds=interval_seconds)

    async def wait(self, job_id: JobId | str, /, *, timeout_seconds: float | None = None) -> JobProgress:
        """Wait for a job's final state and return it, with its failed devices by reason.

        Args:
            job_id: The job.
            timeout_seconds: How long to wait; ``None`` for as long as it takes.

        Raises:
            DeadlineExceededError: It had not ended by then; it goes on.
            NotFoundError: No such task in this project (HTTP status 404).
            InvalidQueryError: The identifier or the time cannot be right; nothing was sent.
        """
        return await self._account.wait(self, job_id, timeout_seconds=timeout_seconds)

    def _mark(self, idempotency_key: str | None, *, wanted: bool) -> str | None:
        return chosen_fingerprint(idempotency_key, NAME, self._account.project_id, wanted=wanted)

    def _fields(
        self, job: NewJob, fingerprint: str | None, firmware_kind: FirmwareKind | None, **extensions: Any
    ) -> dict[str, Any]:
        account = self._account
        now = account.session.clock.now()
        return job_fields(
            job, app_id=account.app_id, now=now, fingerprint=fingerprint, firmware_kind=firmware_kind, **extensions
        )

    async def _on_all(self, deed: Deed, job_id: str, *, operation: str) -> None:
        outcomes = await act(self._account, deed, job_id, None, operation=operation)
        self._account.build(operation, check_accepted, outcomes)

    async def _on_all_of(self, deed: Deed, job_id: str, devices: Sequence[DeviceReference], *, operation: str) -> None:
        outcomes = await act_on_some(self._account, deed, job_id, devices, operation=operation)
        count = len(in_parts([outcome.device_id for outcome in outcomes]))
        self._account.build(operation, check_accepted, outcomes, requests=count)


async def _kind_for(account: Account, job: NewJob, *, gateway_mode: bool) -> FirmwareKind:
    firmware = IotdaFirmware(account)
    packages = [await firmware.get(firmware_id) for firmware_id in job.firmware_ids]
    kind = account.build("jobs.create", kind_of, packages)
    account.build("jobs.create", check_firmware_kind, kind, gateway_mode=gateway_mode)
    return kind
