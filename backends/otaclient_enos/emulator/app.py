"""The EnOS emulator's server: routes, envelopes, and the operations over the simulated fleet.

Sources: EnOS API overview (common parameters, envelopes, error codes); EnOS Connection Service, "V2.1 Get Firmware
File", "V2.1 Search Firmware", "V2.1 Search Device Upgrade", "V2.1 Get OTA Job", "V2.1 Search OTA Job".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final, Literal
from uuid import uuid4

import attrs
import msgspec
from aiohttp import web

from otaclient.emulator import Clock, EmulatorServer, FirmwareRecord, Fleet, JobRecord
from otaclient.models import DeviceUpgrade, Firmware, FirmwareKind, Job
from otaclient_enos.config import EnosConfig
from otaclient_enos.emulator import expected, filters, render
from otaclient_enos.emulator.auth import Admission, TokenFailure, TokenGrant, TokenIssuer
from otaclient_enos.emulator.requests import (
    DENIED,
    INVALID_ARGUMENT,
    Page,
    RefusalError,
    query_of,
    raw_query_of,
    search_of,
)

__all__ = ["DEFAULT_APP_KEY", "DEFAULT_APP_SECRET", "DEFAULT_ORG_ID", "EnosEmulator"]

DEFAULT_ORG_ID: Final = "o15475466766371"
DEFAULT_APP_KEY: Final = "emulator-app-key"
DEFAULT_APP_SECRET: Final = "emulator-app-secret"  # noqa: S105 - public: it opens nothing but the emulator

# The HTTP status beside a non-zero code is not documented; the vendor's own client reads codes from 2xx answers.
SERVICE_ERROR_STATUS: Final = HTTPStatus.OK
TOKEN_ERROR_STATUS: Final = HTTPStatus.OK
# Whether searchDeviceUpgrade begins with the device that registered last. Its order is not documented.
NEWEST_DEVICE_FIRST: Final = False

# The bodies of gateway answers are not documented; their texts are, and they are those of a Kong gateway.
_UNAUTHORIZED: Final = b'{"message":"Invalid authentication credentials"}'
_TOO_LARGE: Final = b'{"message":"Request size limit exceeded"}'
_NO_ROUTE: Final = b'{"message":"no Route matched with those values"}'

_NOT_FOUND: Final = 24404
_INTERNAL_ERROR: Final = 99500
_EXPIRED: Final = 1203
_TOKEN_SERVICE: Final = "apim-token-service"  # noqa: S105 - a name, not a secret

_TOKEN_GET: Final = f"/{_TOKEN_SERVICE}/v2.0/token/get"
_TOKEN_REFRESH: Final = f"/{_TOKEN_SERVICE}/v2.0/token/refresh"
_TOKEN_OPERATIONS: Final = {_TOKEN_GET: "token.get", _TOKEN_REFRESH: "token.refresh"}

ExpiryCarrier = Literal["code", "status", "apim_status"]


@attrs.frozen
class _Call:
    """A business request that passed the gateway."""

    query: Mapping[str, str]
    body: bytes


@attrs.frozen
class _Answer:
    """What an operation found; a search also says which page of how many records it is."""

    data: object
    page: Page | None = None
    total: int = 0


@attrs.frozen
class _Action:
    """One operation of the service."""

    operation: str
    method: str
    run: Callable[["EnosEmulator", _Call], _Answer]


class EnosEmulator(EmulatorServer):
    """Serves the over-the-air operations of the EnOS Connection Service v2.1 over a simulated fleet."""

    vendor: ClassVar[str] = "enos"

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        compress: bool = True,
        org_id: str = DEFAULT_ORG_ID,
        app_key: str = DEFAULT_APP_KEY,
        app_secret: str = DEFAULT_APP_SECRET,
        api_version: str = "v2.1",
        strict_methods: bool = True,
        misspelled_token_status: bool = False,
        expiry_carrier: ExpiryCarrier = "status",
    ) -> None:
        """Prepare an emulator; nothing is bound before it is started.

        Args:
            fleet: What to serve; a generated fleet of 20,000 devices unless given.
            host: The address to bind. Nothing outside this machine reaches the default.
            port: The port to bind; 0 takes a free one.
            clock: What the emulator takes for the present; the system's clock unless given.
            compress: Whether large answers are compressed for clients that accept it.
            org_id: The only organisation that there is.
            app_key: The key of the only application that there is.
            app_secret: Its secret.
            api_version: The version in the paths.
            strict_methods: Refuse GET where the documentation says POST and the other way round. The vendor's samples
                mix them up in places; ``False`` lets those through.
            misspelled_token_status: Answer token requests with ``stauts``, as the published sample has it.
            expiry_carrier: The member in which a business call says that the token has expired: not documented.
        """
        super().__init__(fleet, host=host, port=port, clock=clock, compress=compress)
        self.org_id = org_id
        self.app_key = app_key
        self._app_secret = app_secret
        self.api_version = api_version
        self._strict_methods = strict_methods
        self._token_status = "stauts" if misspelled_token_status else "status"
        self._expiry_carrier = expiry_carrier
        self._tokens = TokenIssuer(app_key=app_key, app_secret=app_secret, clock=self.clock)
        self._resources = {
            f"/connect-service/{api_version}/ota-firmwares": _FIRMWARE_ACTIONS,
            f"/connect-service/{api_version}/ota-jobs": _JOB_ACTIONS,
        }

    def expire_tokens(self) -> None:
        """Let every access token issued so far be expired from now on."""
        self._tokens.expire()

    # --- what the server asks ----------------------------------------------------------------------------------------

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes of the token service and of the two OTA resources."""
        yield web.post(_TOKEN_GET, self._token_get)
        yield web.post(_TOKEN_REFRESH, self._token_refresh)
        for path in self._resources:
            yield web.route("*", path, self._business)

    def operation(self, request: web.Request) -> str:
        """Return the vendor-neutral name of the request's operation."""
        actions = self._resources.get(request.path)
        if actions is not None:
            action = actions.get(query_of(raw_query_of(request.raw_path)).get("action", ""))
            return "other" if action is None else action.operation
        return _TOKEN_OPERATIONS.get(request.path, "other")

    def no_route(self, request: web.Request, status: int) -> web.Response:
        """Return the gateway's answer to a path, a method or a size that it does not let through."""
        too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return self.answer(request, _TOO_LARGE if too_large else _NO_ROUTE, status=status)

    def internal_error(self, request: web.Request) -> web.Response:
        """Return code 99500."""
        return self._envelope(
            request, _INTERNAL_ERROR, " Internal Server Error", status=HTTPStatus.INTERNAL_SERVER_ERROR
        )

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
        table = self.fleet.devices
        rows = table.matching()
        ordered = reversed(rows) if NEWEST_DEVICE_FIRST else iter(rows)
        return expected.device_upgrades(table, ordered, label=label, org_id=self.org_id)

    def expected_firmware(self, label: str) -> Iterator[Firmware]:
        """Yield every firmware as ``firmware.search`` ought to report it, newest first."""
        for record in self._firmware():
            yield expected.firmware_of(record, label=label, org_id=self.org_id)

    def expected_jobs(self, label: str) -> Iterator[Job]:
        """Yield every job as ``jobs.search`` ought to report it, newest first."""
        for job, firmware in self._jobs():
            yield expected.job_of(job, firmware, self.fleet.devices, label=label, org_id=self.org_id)

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
        body = await request.read()
        raw_query = raw_query_of(request.raw_path)
        admission = self._tokens.admits(request.headers, raw_query, body)
        if admission is Admission.REFUSED:
            return self.answer(request, _UNAUTHORIZED, status=HTTPStatus.UNAUTHORIZED)
        if admission is Admission.EXPIRED:
            return self._expired(request)
        try:
            found = self._run(request, _Call(query_of(raw_query), body))
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

    def _run(self, request: web.Request, call: _Call) -> _Answer:
        name = call.query.get("action", "")
        if not name:
            raise RefusalError(INVALID_ARGUMENT, "Invalid Argument action:action is missing")
        action = self._resources[request.path].get(name)
        if action is None:
            raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument action:action {name} is not supported")
        if self._strict_methods and request.method != action.method:
            # What the service answers to a wrong method is not documented; this emulator's convention.
            raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument method: action {name} takes {action.method}")
        org_id = _mandatory(call.query, "orgId")
        if org_id != self.org_id:
            raise RefusalError(DENIED, f"Denied resource:  orgId {org_id}")
        return action.run(self, call)

    def _expired(self, request: web.Request) -> web.Response:
        message = "access token has expired"
        if self._expiry_carrier == "code":
            return self._envelope(request, _EXPIRED, message, status=TOKEN_ERROR_STATUS)
        body = {self._expiry_carrier: _EXPIRED, "msg": message, "business": _TOKEN_SERVICE, "data": None}
        return self.answer(request, msgspec.json.encode(body), status=TOKEN_ERROR_STATUS)

    def _envelope(self, request: web.Request, code: int, message: str, *, status: int) -> web.Response:
        body = {"code": code, "msg": message, "requestId": str(uuid4()), "data": None}
        return self.answer(request, msgspec.json.encode(body), status=status)

    # --- operations --------------------------------------------------------------------------------------------------

    def _firmware(self) -> Iterator[FirmwareRecord]:
        """What EnOS calls firmware, newest first: it knows neither software nor modules."""
        return (record for record in reversed(self.fleet.firmware) if record.kind is FirmwareKind.FIRMWARE)

    def _jobs(self) -> Iterator[tuple[JobRecord, FirmwareRecord]]:
        """Jobs that roll out what EnOS calls firmware, newest first."""
        for job in reversed(self.fleet.jobs):
            firmware = self.fleet.firmware_record(job.firmware_ids[0])
            if firmware is not None and firmware.kind is FirmwareKind.FIRMWARE:
                yield job, firmware

    def get_firmware(self, call: _Call) -> _Answer:
        """Answer ``ota-firmwares?action=get``."""
        firmware_id = _mandatory(call.query, "firmwareId")
        record = self.fleet.firmware_record(firmware_id)
        if record is None or record.kind is not FirmwareKind.FIRMWARE:
            raise RefusalError(_NOT_FOUND, "Firmware not found")
        return _Answer(render.firmware_info(record, self.org_id))

    def search_firmware(self, call: _Call) -> _Answer:
        """Answer ``ota-firmwares?action=search``."""
        return _search_records(
            call, filters.FIRMWARE_FIELDS, (render.firmware_info(record, self.org_id) for record in self._firmware())
        )

    def search_device_upgrade(self, call: _Call) -> _Answer:
        """Answer ``ota-firmwares?action=searchDeviceUpgrade``."""
        expression, page = search_of(call.body)
        table = self.fleet.devices
        rows = table.matching(filters.device_condition(_parsed(expression, filters.DEVICE_FIELDS), table))
        total = len(rows)
        if NEWEST_DEVICE_FIRST:
            window: Sequence[int] = rows[max(total - page.start - page.size, 0) : max(total - page.start, 0)][::-1]
        else:
            window = rows[page.start : page.start + page.size]
        return _Answer(render.device_rows(table, window, self.org_id), page, total)

    def get_job(self, call: _Call) -> _Answer:
        """Answer ``ota-jobs?action=get``."""
        job_id = _mandatory(call.query, "jobId")
        for job, firmware in self._jobs():
            if job.job_id == job_id:
                return _Answer(render.job_info(job, firmware, self.fleet.devices, self.org_id, searched=False))
        raise RefusalError(_NOT_FOUND, "Job not found")

    def search_jobs(self, call: _Call) -> _Answer:
        """Answer ``ota-jobs?action=search``."""
        return _search_records(
            call,
            filters.JOB_FIELDS,
            (
                render.job_info(job, firmware, self.fleet.devices, self.org_id, searched=True)
                for job, firmware in self._jobs()
            ),
        )


# Further actions of the service (create, delete, tasks and so on) join these tables.
_FIRMWARE_ACTIONS: Final[Mapping[str, _Action]] = {
    "get": _Action("firmware.get", "GET", EnosEmulator.get_firmware),
    "search": _Action("firmware.search", "POST", EnosEmulator.search_firmware),
    "searchDeviceUpgrade": _Action("devices.search", "POST", EnosEmulator.search_device_upgrade),
}
_JOB_ACTIONS: Final[Mapping[str, _Action]] = {
    "get": _Action("jobs.get", "GET", EnosEmulator.get_job),
    "search": _Action("jobs.search", "POST", EnosEmulator.search_jobs),
}


def _mandatory(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "")
    if not value:
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument {name}:{name} is missing")
    return value


def _parsed(expression: str, fields: filters.Fields) -> filters.Node | None:
    try:
        return filters.parse(expression, fields)
    except filters.ExpressionError as error:
        raise RefusalError(INVALID_ARGUMENT, str(error)) from error


def _search_records(call: _Call, fields: filters.Fields, records: Iterator[dict[str, Any]]) -> _Answer:
    expression, page = search_of(call.body)
    node = _parsed(expression, fields)
    found = [record for record in records if filters.matches(node, record)]
    return _Answer(found[page.start : page.start + page.size], page, len(found))


def _token_fields(body: bytes) -> Mapping[str, Any]:
    """The members of a token request; what is not a JSON object has none, so that the service misses each."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
