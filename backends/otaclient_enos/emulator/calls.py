"""What an operation of the emulated service is given, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from otaclient.emulator import EmulatorServer, FirmwareRecord, JobRecord
from otaclient.models import FirmwareKind
from otaclient_enos.emulator import filters
from otaclient_enos.emulator.requests import INVALID_ARGUMENT, Page, RefusalError, search_of
from otaclient_enos.emulator.selection import Selections

__all__ = [
    "NOT_FOUND",
    "NO_SUCH_OBJECT",
    "SERVICE_FAILURE",
    "Action",
    "Answer",
    "Call",
    "Service",
    "mandatory",
    "parsed",
    "searched",
]

NOT_FOUND: Final = 24404
NO_SUCH_OBJECT: Final = 99404
"""The generic number for what does not exist."""
SERVICE_FAILURE: Final = RefusalError(24500, "OTA service internal error")


@attrs.frozen
class Call:
    """A business request that passed the gateway."""

    query: Mapping[str, str]
    body: bytes


@attrs.frozen
class Answer:
    """What an operation found; a search also says which page of how many records it is."""

    data: object
    page: Page | None = None
    total: int = 0


def _selections_of(service: "Service") -> Selections:
    return Selections(service.server.fleet)


@attrs.frozen(kw_only=True)
class Service:
    """The emulated service as its operations see it."""

    server: EmulatorServer
    org_id: str
    create_starts_job: bool
    """Whether a new job begins by itself."""
    selections: Selections = attrs.field(init=False, default=attrs.Factory(_selections_of, takes_self=True))

    def firmware(self) -> list[FirmwareRecord]:
        """Return what EnOS calls firmware, newest first, as searches show it: it knows neither software nor modules."""
        return [record for record in reversed(self.server.listed_firmware()) if record.kind is FirmwareKind.FIRMWARE]

    def jobs(self) -> list[tuple[JobRecord, FirmwareRecord]]:
        """Return the jobs that roll out what EnOS calls firmware, newest first, as searches show them."""
        known = ((job, self.firmware_of(job)) for job in reversed(self.server.listed_jobs()))
        return [(job, firmware) for job, firmware in known if firmware is not None]

    def firmware_of(self, job: JobRecord) -> FirmwareRecord | None:
        """Return the firmware that a job rolls out, also one that was deleted; ``None`` for what EnOS does not know."""
        record = self.server.fleet.known_firmware(job.firmware_ids[0])
        return record if record is not None and record.kind is FirmwareKind.FIRMWARE else None

    def firmware_named(self, query: Mapping[str, str]) -> FirmwareRecord:
        """Return the firmware that ``firmwareId`` names.

        Raises:
            RefusalError: The parameter is missing, or there is no such firmware.
        """
        record = self.server.fleet.firmware_record(mandatory(query, "firmwareId"))
        if record is None or record.kind is not FirmwareKind.FIRMWARE:
            raise RefusalError(NOT_FOUND, "Firmware not found")
        return record

    def job_named(self, query: Mapping[str, str]) -> tuple[JobRecord, FirmwareRecord]:
        """Return the job that ``jobId`` names, and its firmware.

        Raises:
            RefusalError: The parameter is missing, or there is no such job.
        """
        job = self.server.fleet.job_record(mandatory(query, "jobId"))
        firmware = None if job is None else self.firmware_of(job)
        if job is None or firmware is None:
            raise RefusalError(NOT_FOUND, "Job not found")
        return job, firmware


@attrs.frozen
class Action:
    """One operation of the service."""

    operation: str
    method: str
    run: Callable[[Service, Call], Answer]


def mandatory(query: Mapping[str, str], name: str) -> str:
    """Return a parameter of the query.

    Raises:
        RefusalError: It is missing or empty.
    """
    value = query.get(name, "")
    if not value:
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument {name}:{name} is missing")
    return value


def parsed(expression: str, fields: filters.Fields) -> filters.Node | None:
    """Return what an expression says; ``None`` for an empty one.

    Raises:
        RefusalError: The service refuses it.
    """
    try:
        return filters.parse(expression, fields)
    except filters.ExpressionError as error:
        raise RefusalError(INVALID_ARGUMENT, str(error)) from error


def searched(call: Call, fields: filters.Fields, records: Sequence[dict[str, Any]]) -> Answer:
    """Answer a search over whole records."""
    expression, page = search_of(call.body)
    node = parsed(expression, fields)
    found = [record for record in records if filters.matches(node, record)]
    return Answer(found[page.start : page.start + page.size], page, len(found))
