"""The upgrade jobs of one organisation, and what they do on each device."""

from collections.abc import AsyncIterator, Sequence

from otaclient.fingerprint import chosen_fingerprint
from otaclient.job_creation import JobCreation
from otaclient.models import DeviceTask, Job, JobId, JobProgress, NewJob, TaskStatus
from otaclient.paging import Paged, next_window
from otaclient.protocols import DeviceReference
from otaclient.queries import DeviceTaskQuery, JobQuery
from otaclient.reads import PageFacts, PageWindow, RawPage
from otaclient.session_reads import concerning
from otaclient.transport.http import HttpRequest
from otaclient.unsupported import UnsupportedJobs
from otaclient.watching import POLL_SECONDS
from otaclient_enos import requests, write_requests
from otaclient_enos.account import NAME, Account
from otaclient_enos.commands import carry_out
from otaclient_enos.firmware import EnosFirmware
from otaclient_enos.job_names import fingerprint_in, query_by_fingerprint
from otaclient_enos.mapping import job_from
from otaclient_enos.new_jobs import check_target_version
from otaclient_enos.requests import LARGEST_PAGE_SIZE
from otaclient_enos.responses import parse_created_job, parse_job
from otaclient_enos.tasks import COUNTED_IN_ORDER, TaskCounts, counts_of, device_keys_of, progress_from

__all__ = ["EnosJobs"]


class EnosJobs(UnsupportedJobs):
    """The upgrade jobs of one organisation."""

    def __init__(self, account: Account) -> None:
        super().__init__(label=account.label)
        self._account = account

    async def get(self, job_id: JobId | str, /) -> Job:
        """Return the job with this identifier; the vendor leaves out some of what a search shows.

        Raises:
            NotFoundError: No such job in this organisation (code 24404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Get OTA Job".
        """
        account = self._account
        request = account.build("jobs.get", requests.get_job, account.organisation, job_id)
        response = await account.session.call(request)
        return job_from(account.parse(request, response, parse_job), backend=account.label)

    def search(self, query: JobQuery = JobQuery(), /) -> Paged[Job]:
        """Return the jobs that match, newest first.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Search OTA Job".
        """
        return self._account.paged(self._account.jobs(query), query)

    async def create(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> JobId:
        """Create a job and return its identifier. Whether it starts at once is the vendor's affair: ``get`` tells.

        An upgrade job has a scope that is either ``everything``, perhaps narrowed by ``source_versions``, or some
        devices, tags, attributes or asset trees. Its policy, where it says nothing: the devices are those that match
        now, none asks by itself, and the vendor's own defaults for the rest (7200 s of time, 300 devices at once, no
        retry, from now on all day). A verification job has a part of the fleet as its scope, and of the policy the
        time-out alone. Where ``source_versions`` are given, the firmware is read first, because its own version must
        not be among them: two requests instead of one.

        The default text of the job's name gets a fingerprint at the vendor, which every read takes out again. Where
        the answer is lost, the read lag is waited out, and the job is looked for by it and adopted; the request is
        never repeated, because a late answer may still be carried out after any search.

        Args:
            job: What to create.
            idempotency_key: A text of yours for this job. It is looked for first, also after a restart of your
                program: where a job was created with the same key, that one is returned. The search needs release
                2.4.0 of EnOS or later. Programs that create with the same key at the same moment may still both do.
            fingerprint: Whether to mark the name. Without it, a lost answer is an ``OutcomeUnknownError`` at once.

        Raises:
            InvalidQueryError: Something in it EnOS cannot do; nothing was created.
            UnsupportedOperationError: It is to wait for a confirmation, which EnOS does not know.
            NotFoundError: There is no such firmware (code 24404).
            ConflictError: The key belongs to a job that was created from something else; says what differs.
            OutcomeUnknownError: It may or may not have been created; names the fingerprint and how to find out.

        Source: EnOS Connection Service, "V2.1 Create OTA Job".
        """
        account = self._account.for_one_call()
        with concerning("jobs.create", account.label):
            mark = self._mark(idempotency_key, wanted=fingerprint)
            request = write_requests.create_job(account.organisation, job, mark)

            async def checked_request() -> HttpRequest:
                if job.scope.source_versions:
                    firmware = await EnosFirmware(account).get(job.firmware_ids[0])
                    check_target_version(job, firmware.version)
                return request

            return await JobCreation(
                account=account,
                job=job,
                fingerprint=mark,
                keyed=idempotency_key is not None,
                reads=lambda fingerprint: account.jobs(query_by_fingerprint(fingerprint)),
                fingerprint_in=fingerprint_in,
            ).create(checked_request, parse_created_job)

    def check(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> None:
        """Refuse what :meth:`create` would refuse of itself; nothing is sent.

        Raises:
            InvalidQueryError: Something in it EnOS cannot do; names the field, the rule and the remedy.
            UnsupportedOperationError: It is to wait for a confirmation, which EnOS does not know.
        """
        with concerning("jobs.create", self._account.label):
            mark = self._mark(idempotency_key, wanted=fingerprint)
            write_requests.create_job(self._account.organisation, job, mark)

    async def start(self, job_id: JobId | str, /) -> None:
        """Start a stopped job.

        Raises:
            NotFoundError: No such job (code 24404).
            ConflictError: It is started (code 24615).
            OutcomeUnknownError: It may or may not have been started; says how to find out.

        Source: EnOS Connection Service, "V2.1 Start OTA Job".
        """
        account = self._account
        request = account.build("jobs.start", write_requests.start_job, account.organisation, job_id)
        await carry_out(account, request)

    async def stop(self, job_id: JobId | str, /) -> None:
        """Stop a job.

        Raises:
            NotFoundError: No such job (code 24404).
            ConflictError: It is stopped (code 24616).
            OutcomeUnknownError: It may or may not have been stopped; says how to find out.

        Source: EnOS Connection Service, "V2.1 Stop OTA Job".
        """
        account = self._account
        request = account.build("jobs.stop", write_requests.stop_job, account.organisation, job_id)
        await carry_out(account, request)

    async def delete(self, job_id: JobId | str, /) -> None:
        """Delete a job, for good.

        Raises:
            NotFoundError: No such job (code 24404).
            ConflictError: It is running: stop it first (code 24618).
            OutcomeUnknownError: It may or may not have been deleted; says how to find out.

        Source: EnOS Connection Service, "V2.1 Delete OTA Job".
        """
        account = self._account
        request = account.build("jobs.delete", write_requests.delete_job, account.organisation, job_id)
        await carry_out(account, request)

    def tasks(self, query: DeviceTaskQuery, /) -> Paged[DeviceTask]:
        """Return what the job does on each device, in an order that the vendor does not document.

        A job that does not exist has no tasks: that is no error here.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Search Device Task".
        """
        return self._account.paged(self._account.tasks(query), query)

    async def cancel_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Cancel the upgrade of some devices: all of them, or with an error none.

        Args:
            job_id: The job, which must be started.
            devices: Records, or texts as in ``DeviceTask.device_key``; their upgrade must not have begun.

        Raises:
            NotFoundError: No such job (code 24404).
            ConflictError: The job is stopped (code 24617), or a device has begun (code 24620).
            InvalidQueryError: There is no device in the list, or one that EnOS jobs cannot name; nothing was sent.
            OutcomeUnknownError: It may or may not have been done; says how to find out.

        Source: EnOS Connection Service, "V2.1 Cancel Device Task".
        """
        account = self._account
        keys = account.build("jobs.cancel_tasks", device_keys_of, devices, job_id=job_id)
        request = account.build("jobs.cancel_tasks", write_requests.cancel_tasks, account.organisation, job_id, keys)
        await carry_out(account, request, job_id=job_id, device_keys=keys)

    async def retry_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Try some devices again that failed or were cancelled: all of them, or with an error none.

        Args:
            job_id: The job, which must be started.
            devices: Records, or texts as in ``DeviceTask.device_key``.

        Raises:
            NotFoundError: No such job (code 24404).
            ConflictError: The job is stopped (code 24617), or a device has not failed (code 24621).
            InvalidQueryError: There is no device in the list, or one that EnOS jobs cannot name; nothing was sent.
            OutcomeUnknownError: It may or may not have been done; says how to find out.

        Source: EnOS Connection Service, "V2.1 Retry Device Task".
        """
        account = self._account
        keys = account.build("jobs.retry_tasks", device_keys_of, devices, job_id=job_id)
        request = account.build("jobs.retry_tasks", write_requests.retry_tasks, account.organisation, job_id, keys)
        await carry_out(account, request, job_id=job_id, device_keys=keys)

    async def progress(self, job_id: JobId | str, /) -> JobProgress:
        """Return how far a job is, counted from its tasks.

        EnOS never says that a job has ended. A started job counts as running while any task is open or it has none;
        then as succeeded, partially succeeded or failed. Devices may still join an incremental job after that. A
        stopped job stays stopped. A job with up to 200 devices takes two requests, a larger one eight, whatever its
        size; its numbers are then read one after the other, and their sum may differ from the total while devices move
        on.

        Raises:
            NotFoundError: No such job (code 24404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.
        """
        bounded = EnosJobs(self._account.for_one_call())
        job = await bounded.get(job_id)
        counts = await bounded._counts(job.job_id)
        return progress_from(job.status, counts, as_of=self._account.session.clock.now())

    def watch(self, job_id: JobId | str, /, *, interval_seconds: float = POLL_SECONDS) -> AsyncIterator[JobProgress]:
        """Return a job's progress as it changes, until its final state.

        Args:
            job_id: The job.
            interval_seconds: The mean time between two readings.

        Raises:
            InvalidQueryError: The identifier or the interval cannot be right.
            NotFoundError: No such job (code 24404).
        """
        account = self._account
        account.build("jobs.progress", requests.get_job, account.organisation, job_id)
        return account.watch(self, job_id, interval_seconds=interval_seconds)

    async def wait(self, job_id: JobId | str, /, *, timeout_seconds: float | None = None) -> JobProgress:
        """Wait for a job's final state and return it, with its failed devices by reason.

        Args:
            job_id: The job.
            timeout_seconds: How long to wait; ``None`` for as long as it takes.

        Raises:
            DeadlineExceededError: It had not ended by then; it goes on.
            NotFoundError: No such job (code 24404).
            InvalidQueryError: The identifier or the time cannot be right; nothing was sent.
        """
        return await self._account.wait(self, job_id, timeout_seconds=timeout_seconds)

    def _mark(self, idempotency_key: str | None, *, wanted: bool) -> str | None:
        return chosen_fingerprint(idempotency_key, NAME, self._account.organisation.org_id, wanted=wanted)

    async def _counts(self, job_id: JobId) -> TaskCounts:
        """Return how many tasks are in which status: of a small job by reading them, of a large one by their totals."""
        everything = DeviceTaskQuery(job_id=job_id)
        window = PageWindow(1, LARGEST_PAGE_SIZE)
        raw, facts = await self._page(everything, window)
        if next_window(window, facts) is None:
            rows = self._account.tasks(everything).decode(raw)
            if rows.errors:
                raise rows.errors[0]
            return counts_of(rows.good)
        if facts.total is None:
            return counts_of([task async for task in self.tasks(everything)])
        totals = {status: await self._total(job_id, status) for status in COUNTED_IN_ORDER}
        # What EnOS calls failed includes the cancelled.
        totals[TaskStatus.FAILED] = max(0, totals[TaskStatus.FAILED] - totals[TaskStatus.CANCELLED])
        return TaskCounts(total=facts.total, by_status=totals)

    async def _total(self, job_id: JobId, status: TaskStatus) -> int:
        _, facts = await self._page(DeviceTaskQuery(job_id=job_id, statuses=(status,)), PageWindow(1, 1))
        return facts.rows if facts.total is None else facts.total

    async def _page(self, query: DeviceTaskQuery, window: PageWindow) -> tuple[RawPage, PageFacts]:
        source = self._account.tasks(query)
        raw = await source.fetch(source.partitions()[0], window)
        return raw, source.facts(raw)
