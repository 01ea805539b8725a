"""The EnOS emulator's server: routes, tokens and envelopes; the operations are in modules of their own.

Source: EnOS API overview (common parameters, envelopes, error codes).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final, Literal, Unpack
from uuid import uuid4

import msgspec
from aiohttp import web

from otaclient.emulator import EmulatorOptions, EmulatorServer, FirmwareRecord, Fleet
from otaclient.emulator.json_bodies import NoJsonObjectError, json_object
from otaclient.emulator.refusals import NoSuchJobError
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job, JobStatus
from otaclient_enos.config import EnosConfig
from otaclient_enos.emulator import expected, files, firmware, jobs
from otaclient_enos.emulator.auth import Admission, TokenFailure, TokenGrant, TokenIssuer
from otaclient_enos.emulator.calls import Action, Call, Service, mandatory
from otaclient_enos.emulator.jobs import CREATE_STARTS_JOB
from otaclient_enos.emulator.requests import DENIED, INVALID_ARGUMENT, RefusalError, query_of, raw_query_of
from otaclient_enos.emulator.tasks import task_rows

__all__ = ["DEFAULT_APP_KEY", "DEFAULT_APP_SECRET", "DEFAULT_ORG_ID", "EnosEmulator"]

DEFAULT_ORG_ID: Final = "o15475466766371"
DEFAULT_APP_KEY: Final = "emulator-app-key"
DEFAULT_APP_SECRET: Final = "emulator-app-secret"  # noqa: S105 - public: it opens nothing but the emulator

# The HTTP status beside a non-zero code is not documented; the vendor's own client reads codes from 2xx answers.
SERVICE_ERROR_STATUS: Final = HTTPStatus.OK
TOKEN_ERROR_STATUS: Final = HTTPStatus.OK
# The bodies of gateway answers are not documented; their texts are, and they are those of a Kong gateway.
_UNAUTHORIZED: Final = b'{"message":"Invalid authentication credentials"}'
_TOO_LARGE: Final = b'{"message":"Request size limit exceeded"}'
_NO_ROUTE: Final = b'{"message":"no Route matched with those values"}'
_THROTTLED: Final = b'{"message":"API rate limit exceeded"}'

# Both refusals of an organisation are documented, and not which one is whose: here organisations with an identifier of
# this form exist and are others', and no more do.
_ORG_ID: Final = re.compile(r"o\d+", re.ASCII)

_INTERNAL_ERROR: Final = 99500
_EXPIRED: Final = 1203
_TOKEN_SERVICE: Final = "apim-token-service"  # noqa: S105 - a name, not a secret

_TOKEN_GET: Final = f"/{_TOKEN_SERVICE}/v2.0/token/get"
_TOKEN_REFRESH: Final = f"/{_TOKEN_SERVICE}/v2.0/token/refresh"
_TOKEN_OPERATIONS: Final = {_TOKEN_GET: "token.get", _TOKEN_REFRESH: "token.refresh"}
_DOWNLOAD: Final = "firmware.download"

ExpiryCarrier = Literal["code", "status", "apim_status"]


class EnosEmulator(EmulatorServer):
    """Serves the over-the-air operations of the EnOS Connection Service v2.1 over a simulated fleet."""

    vendor: ClassVar[str] = "enos"
    operations: ClassVar[frozenset[str]] = frozenset(
        {
            *(action.operation for actions in (firmware.ACTIONS, jobs.ACTIONS) for action in actions.values()),
            *_TOKEN_OPERATIONS.values(),
            _DOWNLOAD,
            "other",
        }
    )

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        org_id: str = DEFAULT_ORG_ID,
        app_key: str = DEFAULT_APP_KEY,
        app_secret: str = DEFAULT_APP_SECRET,
        api_version: str = "v2.1",
        strict_methods: bool = True,
        misspelled_token_status: bool = False,
        expiry_carrier: ExpiryCarrier = "status",
        create_starts_job: bool = CREATE_STARTS_JOB,
        files_need_device: bool = True,
        files_know_ranges: bool = True,
        largest_clock_skew_seconds: float | None = None,
        **options: Unpack[EmulatorOptions],
    ) -> None:
        """Prepare an emulator; nothing is bound before it is started.

        Args:
            fleet: What to serve, and to change; a generated fleet of 20,000 devices unless given.
            org_id: The only organisation that there is.
            app_key: The key of the only application that there is.
            app_secret: Its secret.
            api_version: The version in the paths.
            strict_methods: Refuse GET where the documentation says POST and the other way round. The vendor's samples
                mix them up in places; ``False`` lets those through.
            misspelled_token_status: Answer token requests with ``stauts``, as the published sample has it.
            expiry_carrier: The member in which a business call says that the token has expired: not documented.
            create_starts_job: Whether a new job begins by itself: not documented.
            files_need_device: Whether a download must name a device, as the documentation has it.
            files_know_ranges: Whether a download can begin in the middle of a file: not documented.
            largest_clock_skew_seconds: How far the time in a signature may be off: not documented; ``None`` takes any.
            **options: Those of every emulator, see :class:`otaclient.emulator.EmulatorServer`.

        Raises:
            ValueError: The read lag is negative, or the fault plan asks for what this vendor does not have.
        """
        super().__init__(fleet, **options)
        # EnOS knows no end of a job but stopping it: one whose tasks were all cancelled is started still.
        self.engine.when_all_cancelled = JobStatus.FAILED
        self.org_id = org_id
        self.app_key = app_key
        self._app_secret = app_secret
        self.api_version = api_version
        self._strict_methods = strict_methods
        self._token_status = "stauts" if misspelled_token_status else "status"
        self._expiry_carrier = expiry_carrier
        self._tokens = TokenIssuer(
            app_key=app_key,
            app_secret=app_secret,
            clock=self.clock,
            largest_skew_seconds=largest_clock_skew_seconds,
        )
        self._files_need_device = files_need_device
        self._files_know_ranges = files_know_ranges
        self._service = Service(server=self, org_id=org_id, create_starts_job=create_starts_job)
        self._uploads = firmware.Uploads(self._service)
        self._files = f"/connect-service/{api_version}/files"
        self._resources = {
            f"/connect-service/{api_version}/ota-firmwares": firmware.ACTIONS,
            f"/connect-service/{api_version}/ota-jobs": jobs.ACTIONS,
        }

    def expire_tokens(self) -> None:
        """Let every access token issued so far be expired from now on."""
        self._tokens.expire()

    # --- what the server asks ----------------------------------------------------------------------------------------

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes of the token service, of the two OTA resources and of the files service."""
        yield web.post(_TOKEN_GET, self._token_get)
        yield web.post(_TOKEN_REFRESH, self._token_refresh)
        for path in self._resources:
            yield web.route("*", path, self._business)
        yield web.get(self._files, self._file, allow_head=False)

    def operation(self, request: web.Request) -> str:
        """Return the vendor-neutral name of the request's operation."""
        action = query_of(raw_query_of(request.raw_path)).get("action", "")
        actions = self._resources.get(request.path)
        if actions is not None:
            return actions[action].operation if action in actions else "other"
        if request.path == self._files and action == "download":
            return _DOWNLOAD
        return _TOKEN_OPERATIONS.get(request.path, "other")

    def no_route(self, request: web.Request, status: int) -> web.Response:
        """Return the gateway's answer to a path or a method that it has no route for (404 to both), or a large body."""
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return self.answer(request, _TOO_LARGE, status=status)
        return self.answer(request, _NO_ROUTE, status=HTTPStatus.NOT_FOUND)

    def internal_error(self, request: web.Request) -> web.Response:
        """Return code 99500."""
        return self._envelope(
            request, _INTERNAL_ERROR, " Internal Server Error", status=HTTPStatus.INTERNAL_SERVER_ERROR
        )

    def throttled(self, request: web.Request) -> web.Response:
        """Return the gateway's answer to one request too many; its wording is not documented."""
        return self.answer(request, _THROTTLED, status=HTTPStatus.TOO_MANY_REQUESTS)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point the client at this emulator, the secret included."""
        return {
            "OTACLIENT_ENOS_ENDPOINT": self.url,
            "OTACLIENT_ENOS_ORG_ID": self.org_id,
            "OTACLIENT_ENOS_APP_KEY": self.app_key,
            "OTACLIENT_ENOS_APP_SECRET": self._app_secret,
            "OTACLIENT_ENOS_API_VERSION": self.api_version,
        }

    def config(self) -> EnosConfig:
        """Return the configuration with which the EnOS backend reaches this emulator."""
        return EnosConfig(
            endpoint=self.url,
            org_id=self.org_id,
            app_key=self.app_key,
            app_secret=self._app_secret,
            api_version=self.api_version,
        )

    def expected_devices(self, label: str) -> Iterator[DeviceUpgrade]:
        """Yield every device as ``devices.search`` ought to report it, in the order of the listing."""
        self.engine.settle()
        table = self.fleet.devices
        rows = firmware.ordered(table.matching())
        return expected.device_upgrades(table, iter(rows), label=label, org_id=self.org_id)

    def expected_firmware(self, label: str) -> Iterator[Firmware]:
        """Yield every firmware as ``firmware.search`` ought to report it, newest first."""
        self.engine.settle()
        for record in self._service.firmware():
            yield expected.firmware_of(record, label=label, org_id=self.org_id)

    def expected_jobs(self, label: str) -> Iterator[Job]:
        """Yield every job as ``jobs.search`` ought to report it, newest first."""
        self.engine.settle()
        for job, target in self._service.jobs():
            yield expected.job_of(job, target, self.fleet.devices, label=label, org_id=self.org_id)

    def expected_tasks(self, label: str, job_id: str) -> Iterator[DeviceTask]:
        """Yield every task of a job as ``jobs.tasks`` ought to report it, in the order of the listing.

        Raises:
            NoSuchJobError: There is no such job, or none that EnOS knows.
        """
        self.engine.settle()
        job = self.engine.job(job_id)
        target = self._service.firmware_of(job)
        if target is None:
            raise NoSuchJobError(f"job {job_id} is not for what EnOS calls firmware")
        for task in task_rows(self._service, job, target, range(len(job.targets))):
            yield expected.task_of(task, self.fleet.devices, label=label)

    # --- the token service -------------------------------------------------------------------------------------------

    async def _token_get(self, request: web.Request) -> web.Response:
        return self._token_answer(request, self._tokens.get(_token_fields(await request.read())))

    async def _token_refresh(self, request: web.Request) -> web.Response:
        return self._token_answer(request, self._tokens.refresh(_token_fields(await request.read())))

    def _token_answer(self, request: web.Request, outcome: TokenGrant | TokenFailure) -> web.Response:
        if isinstance(outcome, TokenFailure):
            body = {
                self._token_status: outcome.status,
                "msg": outcome.message,
                "business": _TOKEN_SERVICE,
                "data": None,
            }
            return self.answer(request, msgspec.json.encode(body), status=TOKEN_ERROR_STATUS)
        body = {
            self._token_status: 0,
            "msg": "SUCCESS",
            "business": _TOKEN_SERVICE,
            "data": {"accessToken": outcome.token, "expire": outcome.expire_seconds},
        }
        return self.answer(request, msgspec.json.encode(body))

    # --- business requests -------------------------------------------------------------------------------------------

    async def _business(self, request: web.Request) -> web.Response:
        raw_query = raw_query_of(request.raw_path)
        query = query_of(raw_query)
        # What comes in several parts is read piece by piece later; the signature does not cover it.
        in_parts = query.get("action") == "create" and request.content_type.startswith("multipart/")
        body = b"" if in_parts else await request.read()
        refused = self._turned_away(request, self._tokens.admits(request.headers, raw_query, body))
        if refused is not None:
            return refused
        try:
            action = self._action(request, query)
            if in_parts and action.operation == "firmware.create":
                found = await self._uploads.create(request, query)
            else:
                found = action.run(self._service, Call(query, body))
        except RefusalError as refusal:
            return self._envelope(request, refusal.code, refusal.message, status=SERVICE_ERROR_STATUS)
        members: dict[str, Any] = {"code": 0, "msg": "OK", "requestId": str(uuid4()), "data": found.data}
        if found.page is not None:
            members["pagination"] = {
                "sortedBy": None,
                "pageNo": found.page.number,
                "pageSize": found.page.size,
                "totalSize": found.total,
            }
        return self.answer(request, msgspec.json.encode(members))

    def _turned_away(self, request: web.Request, admission: Admission) -> web.Response | None:
        if admission is Admission.REFUSED:
            return self.answer(request, _UNAUTHORIZED, status=HTTPStatus.UNAUTHORIZED)
        return self._expired(request) if admission is Admission.EXPIRED else None

    def _action(self, request: web.Request, query: Mapping[str, str]) -> Action:
        name = query.get("action", "")
        if not name:
            raise RefusalError(INVALID_ARGUMENT, "Invalid Argument action:action is missing")
        action = self._resources[request.path].get(name)
        if action is None:
            raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument action:action {name} is not supported")
        allowed = (action.method,) if self._strict_methods else ("GET", "POST")
        if request.method not in allowed:
            # What the service answers to a wrong method is not documented; this emulator's convention.
            raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument method: action {name} takes {' or '.join(allowed)}")
        self._check_organisation(query)
        return action

    def _check_organisation(self, query: Mapping[str, str]) -> None:
        org_id = mandatory(query, "orgId")
        if org_id != self.org_id:
            if not _ORG_ID.fullmatch(org_id):
                raise RefusalError(INVALID_ARGUMENT, "Invalid Argument orgId:  orgId does not exist")
            raise RefusalError(DENIED, f"Denied resource:  orgId {org_id}")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        refused = self._turned_away(request, self._tokens.admits_token(request.headers))
        if refused is not None:
            return refused
        query = query_of(raw_query_of(request.raw_path))
        try:
            if mandatory(query, "action") != "download":
                raise RefusalError(
                    INVALID_ARGUMENT, f"Invalid Argument action:action {query['action']} is not supported"
                )
            self._check_organisation(query)
            record = files.wanted_file(self._service, query, device_needed=self._files_need_device)
        except RefusalError as refusal:
            return self._envelope(request, refusal.code, refusal.message, status=SERVICE_ERROR_STATUS)
        return await self._send_file(request, record)

    async def _send_file(self, request: web.Request, record: FirmwareRecord) -> web.StreamResponse:
        headers = {"Content-Type": "application/octet-stream"}
        part = files.part_of(record.size_bytes, request.headers.get("Range") if self._files_know_ranges else None)
        if part is None:
            headers["Content-Range"] = f"bytes */{record.size_bytes}"
            return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
        partial = self._files_know_ranges and part.stop - part.start < record.size_bytes
        if self._files_know_ranges:
            headers["Accept-Ranges"] = "bytes"
        if partial:
            headers["Content-Range"] = part.content_range
        return await self.stream(
            request,
            self.store.chunks(record, part.start, part.stop),
            size_bytes=part.stop - part.start,
            status=HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK,
            headers=headers,
        )

    def _expired(self, request: web.Request) -> web.Response:
        message = "access token has expired"
        if self._expiry_carrier == "code":
            return self._envelope(request, _EXPIRED, message, status=TOKEN_ERROR_STATUS)
        body = {self._expiry_carrier: _EXPIRED, "msg": message, "business": _TOKEN_SERVICE, "data": None}
        return self.answer(request, msgspec.json.encode(body), status=TOKEN_ERROR_STATUS)

    def _envelope(self, request: web.Request, code: int, message: str, *, status: int) -> web.Response:
        body = {"code": code, "msg": message, "requestId": str(uuid4()), "data": None}
        return self.answer(request, msgspec.json.encode(body), status=status)


def _token_fields(body: bytes) -> Mapping[str, Any]:
    """The members of a token request; what is not a JSON object has none, so that the service misses each."""
    try:
        return json_object(body)
    except NoJsonObjectError:
        return {}
