"""The emulated service: routes, and what each of them answers.

A request passes what it passes at the vendor's: the gateway checks the signature or the token, the service the
project, the operation its parameters.

Source: Huawei Cloud IoTDA, API reference v5: "Query the OTA Upgrade Package List", "Query the Batch Task List",
"Query a Batch Task", "Query the Device List", "Query a Device", "Error Codes".
"""

import itertools
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import ClassVar, Final, Literal

import msgspec
from aiohttp import web

from otaclient.emulator import Clock, EmulatorServer, Fleet
from otaclient.models import DeviceUpgrade, Firmware, Job
from otaclient_iotda.config import AkSkCredentials, AuthKind, IotdaConfig, PasswordCredentials, TokenCredentials
from otaclient_iotda.emulator import expected, render, selection
from otaclient_iotda.emulator.auth import (
    AccessKey,
    Edition,
    IamRefusal,
    IamUser,
    Refusal,
    SignedRequest,
    TokenDesk,
    grant_token,
    verify_signature,
)
from otaclient_iotda.emulator.filters import (
    ErrorCode,
    ParameterError,
    RecordIds,
    Slice,
    Window,
    cut,
    detail_filter,
    device_filter,
    package_filter,
    query_parameters,
    task_filter,
)

__all__ = ["IotdaEmulator"]

DEFAULT_PROJECT_ID: Final = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
DEFAULT_ACCESS_KEY: Final = "EMULATORACCESSKEY"
DEFAULT_SECRET_KEY: Final = "emulator-secret-key"  # noqa: S105 - a published default of the emulator, no secret
DEFAULT_READY_TOKEN: Final = "emulator-ready-token"  # noqa: S105 - likewise
DEFAULT_USER: Final = IamUser(name="emulator-user", password="emulator-password", domain="emulator-domain")  # noqa: S106

# The vendor answers 404 for a package, task or device that does not exist; with which code is not known: our choice.
UNKNOWN_RESOURCE: Final = Refusal(
    status=HTTPStatus.NOT_FOUND, code="IOTDA.000029", message="The requested resource does not exist."
)
FOREIGN_PROJECT: Final = Refusal(
    status=HTTPStatus.FORBIDDEN,
    code="IOTDA.000021",
    message="Operation not allowed. User not found by IAM token or the user has not subscribed to the service.",
)
UNAUTHORIZED: Final = Refusal(
    status=HTTPStatus.UNAUTHORIZED,
    code="APIGW.0301",
    message="Incorrect IAM authentication information: Unauthorized",
)
NO_SUCH_API: Final = Refusal(
    status=HTTPStatus.NOT_FOUND,
    code="APIGW.0101",
    message="The API does not exist or has not been published in the environment.",
)
BODY_TOO_LARGE: Final = Refusal(
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code="APIGW.0201", message="Bad request: the body is too large."
)
INTERNAL_ERROR: Final = Refusal(
    status=HTTPStatus.INTERNAL_SERVER_ERROR, code="IOTDA.000001", message="Internal server error."
)

# Whether start_time and end_time are themselves inside the range is not documented: our choice, and a switch.
TIME_BOUNDS_INCLUSIVE: Final = True

_PACKAGE_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
_TASK_ID = re.compile(r"[a-f0-9]{1,24}")
_DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_Handler = Callable[[web.Request], web.Response]


class IotdaEmulator(EmulatorServer):
    """Emulates the OTA side of Huawei Cloud IoTDA v5, and the identity service's password tokens, on one address.

    ``async with IotdaEmulator(fleet) as emulator`` starts it; ``emulator.config()`` is what the backend needs to
    reach it.
    """

    vendor: ClassVar[str] = "iotda"

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        compress: bool = True,
        project_id: str = DEFAULT_PROJECT_ID,
        region: str = "cn-north-4",
        keys: Mapping[str, AccessKey] | None = None,
        users: Sequence[IamUser] = (DEFAULT_USER,),
        ready_token: str = DEFAULT_READY_TOKEN,
        edition: Edition | None = None,
        count_follows_marker: bool = False,
        empty_page_marker: Literal["null", "absent"] = "null",
        time_bounds_inclusive: bool = TIME_BOUNDS_INCLUSIVE,
    ) -> None:
        """Prepare an emulator; nothing is bound before it is started.

        Args:
            fleet: What to serve; a generated fleet of 20,000 devices unless given.
            host: The address to bind.
            port: The port to bind; 0 takes a free one.
            clock: What the emulator takes for the present.
            compress: Whether large answers are compressed for clients that accept it.
            project_id: The one project that exists.
            region: Its region, which derived signatures and the scope of tokens name.
            keys: The access keys that are accepted, by key; the published default unless given. The first is the one
                that ``config()`` hands out.
            users: The users of the identity service; the first is the one that ``config()`` hands out.
            ready_token: A token that is accepted from the start, for 24 hours.
            edition: ``standard`` refuses plain signatures as a dedicated endpoint does, ``basic`` refuses derived
                ones; without it both are accepted.
            count_follows_marker: Whether ``page.count`` leaves out what the marker leaves out.
            empty_page_marker: How an empty page says that it has no last record.
            time_bounds_inclusive: Whether ``start_time`` and ``end_time`` are themselves inside the range.
        """
        super().__init__(fleet, host=host, port=port, clock=clock, compress=compress)
        self.project_id = project_id
        self.region = region
        self.keys = dict(keys or {DEFAULT_ACCESS_KEY: AccessKey(secret_key=DEFAULT_SECRET_KEY)})
        self.users = tuple(users)
        self.ready_token = ready_token
        self.edition: Edition | None = edition
        self.count_follows_marker = count_follows_marker
        self.empty_page_marker = empty_page_marker
        self.time_bounds_inclusive = time_bounds_inclusive
        self.tokens = TokenDesk()
        self.tokens.add(ready_token, now=self._now())
        self._request_numbers = itertools.count(1)
        self._devices = render.DeviceRows(self.fleet)
        self._device_ids = render.device_record_ids(self.fleet)
        self._firmware_ids = render.firmware_record_ids(self.fleet)
        self._job_ids = render.job_record_ids(self.fleet)
        self._firmware_numbers = {render.package_id(each): number for number, each in enumerate(self.fleet.firmware)}
        self._job_numbers = {job.job_id: number for number, job in enumerate(self.fleet.jobs)}

    # --- for tests and for the command --------------------------------------------------------------------------------

    def expire_tokens(self) -> None:
        """End every token that is known now, the ready one included."""
        self.tokens.expire_all()

    def environment(self, *, auth: AuthKind | None = None) -> dict[str, str]:
        """Return the environment variables that point the client at this emulator, secrets included.

        Args:
            auth: How the client is to authenticate; a signature of the kind that the edition wants unless given.
        """
        prefix = "OTACLIENT_IOTDA_"
        kind = auth or self._natural_auth()
        user = self.users[0]
        access_key, key = next(iter(self.keys.items()))
        settings = {"ENDPOINT": self.url, "PROJECT_ID": self.project_id, "AUTH": kind}
        if kind == "token":
            settings |= {"TOKEN": self.ready_token}
        elif kind == "password":
            settings |= {"IAM_ENDPOINT": self.url, "USERNAME": user.name, "PASSWORD": user.password}
            settings |= {"DOMAIN": user.domain, "PROJECT": self.region}
        else:
            settings |= {"ACCESS_KEY": access_key, "SECRET_KEY": key.secret_key}
            settings |= {"REGION": self.region} if kind == "derived" else {}
            settings |= {"SECURITY_TOKEN": key.security_token} if key.security_token else {}
        return {f"{prefix}{name}": value for name, value in settings.items()}

    def config(self, *, auth: AuthKind | None = None) -> IotdaConfig:
        """Return the configuration with which the backend reaches this emulator.

        Args:
            auth: How the client is to authenticate; a signature of the kind that the edition wants unless given.
        """
        kind = auth or self._natural_auth()
        user = self.users[0]
        access_key, key = next(iter(self.keys.items()))
        credentials: AkSkCredentials | PasswordCredentials | TokenCredentials
        if kind == "token":
            credentials = TokenCredentials(token=self.ready_token)
        elif kind == "password":
            credentials = PasswordCredentials(
                iam_endpoint=self.url,
                username=user.name,
                password=user.password,
                domain=user.domain,
                project=self.region,
            )
        else:
            credentials = AkSkCredentials(
                access_key=access_key,
                secret_key=key.secret_key,
                security_token=key.security_token,
                region=self.region if kind == "derived" else None,
                derived=kind == "derived",
            )
        return IotdaConfig(endpoint=self.url, project_id=self.project_id, credentials=credentials)

    def _natural_auth(self) -> AuthKind:
        return "derived" if self.edition == "standard" else "aksk"

    def expected_devices(self, label: str) -> Iterator[DeviceUpgrade]:
        """Yield every device as ``devices.search`` ought to report it, newest first, ``upgrading`` unresolved."""
        return expected.devices(self.fleet, label)

    def expected_firmware(self, label: str, *, located: bool = False) -> Iterator[Firmware]:
        """Yield every package as ``firmware.search`` ought to report it, newest first, with nothing in ``extra``.

        ``located=True`` is as ``firmware.get`` ought to report it: with the digest and the place of the file.
        """
        return expected.firmware(self.fleet, label, located=located)

    def expected_jobs(self, label: str) -> Iterator[Job]:
        """Yield every batch task as ``jobs.search`` ought to report it, newest first, with nothing in ``extra``."""
        return expected.jobs(self.fleet, label)

    # --- the server's side --------------------------------------------------------------------------------------------

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes of the vendor's API; their names are the names of the operations."""
        project = "/v5/iot/{project_id}"
        reads: tuple[tuple[str, str, _Handler], ...] = (
            ("firmware.search", f"{project}/ota-upgrades/packages", self._list_packages),
            ("firmware.get", f"{project}/ota-upgrades/packages/{{package_id}}", self._show_package),
            ("jobs.search", f"{project}/batchtasks", self._list_tasks),
            ("jobs.get", f"{project}/batchtasks/{{task_id}}", self._show_task),
            ("devices.search", f"{project}/devices", self._list_devices),
            ("devices.get", f"{project}/devices/{{device_id}}", self._show_device),
        )
        for name, path, handler in reads:
            yield web.get(path, self._guarded(handler), name=name, allow_head=False)
        yield web.post("/v3/auth/tokens", self._create_token, name="token.get")

    def operation(self, request: web.Request) -> str:
        """Return the name under which a request is counted."""
        return request.match_info.route.name or "other"

    def no_route(self, request: web.Request, status: int) -> web.Response:
        """Return the gateway's answer to a path or method that the API does not have (404 to both), or a large body."""
        too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return self._refuse(request, BODY_TOO_LARGE if too_large else NO_SUCH_API)

    def internal_error(self, request: web.Request) -> web.Response:
        """Return the service's answer when it failed."""
        return self._refuse(request, INTERNAL_ERROR)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)

    def _reply(
        self, request: web.Request, body: bytes, *, status: int = HTTPStatus.OK, token: str | None = None
    ) -> web.Response:
        headers = {"X-Request-Id": f"{next(self._request_numbers):032x}"}
        if token is not None:
            headers["X-Subject-Token"] = token
        return self.answer(request, body, status=status, headers=headers)

    def _refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        request_id = f"{next(self._request_numbers):032x}"
        body = {"error_code": refusal.code, "error_msg": refusal.message}
        if refusal.from_gateway:
            body["request_id"] = request_id
        encoded = msgspec.json.encode(body)
        return self.answer(request, encoded, status=refusal.status, headers={"X-Request-Id": request_id})

    # --- who asks -----------------------------------------------------------------------------------------------------

    def _guarded(self, handler: _Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            refusal = self._authenticate(request, await request.read())
            if refusal is None and request.match_info["project_id"] != self.project_id:
                refusal = FOREIGN_PROJECT
            if refusal is not None:
                return self._refuse(request, refusal)
            try:
                return handler(request)
            except ParameterError as error:
                return self._refuse(request, Refusal(status=400, code=error.code, message=error.message))

        return handle

    def _authenticate(self, request: web.Request, body: bytes) -> Refusal | None:
        if "Authorization" in request.headers:
            signed = SignedRequest(method=request.method, target=request.raw_path, headers=request.headers, body=body)
            return verify_signature(signed, keys=self.keys, region=self.region, now=self._now(), edition=self.edition)
        token = request.headers.get("X-Auth-Token")
        return UNAUTHORIZED if token is None else self.tokens.check(token, now=self._now())

    async def _create_token(self, request: web.Request) -> web.Response:
        answer = grant_token(
            await request.read(),
            users=self.users,
            project_id=self.project_id,
            project_name=self.region,
            desk=self.tokens,
            now=self._now(),
            with_catalog=not request.query.get("nocatalog"),
        )
        body = msgspec.json.encode(answer.body)
        if isinstance(answer, IamRefusal):
            return self._reply(request, body, status=answer.status)
        return self._reply(request, body, status=HTTPStatus.CREATED, token=answer.token)

    # --- what they get ------------------------------------------------------------------------------------------------

    def _list_packages(self, request: web.Request) -> web.Response:
        wanted = package_filter(_parameters(request))
        page = self._cut(selection.packages(self.fleet, wanted), wanted.window, self._firmware_ids)
        rows = [render.package_row(self.fleet, number) for number in page.numbers]
        return self._page(request, {"packages": rows}, page, self._firmware_ids)

    def _show_package(self, request: web.Request) -> web.Response:
        number = self._firmware_numbers.get(_identifier(request, "package_id", _PACKAGE_ID))
        if number is None:
            return self._refuse(request, UNKNOWN_RESOURCE)
        return self._reply(request, msgspec.json.encode(render.package_detail(self.fleet, number)))

    def _list_tasks(self, request: web.Request) -> web.Response:
        wanted = task_filter(_parameters(request))
        page = self._cut(selection.tasks(self.fleet, wanted), wanted.window, self._job_ids)
        rows = [render.task_record(self.fleet, number) for number in page.numbers]
        return self._page(request, {"batchtasks": rows}, page, self._job_ids)

    def _show_task(self, request: web.Request) -> web.Response:
        number = self._job_numbers.get(_identifier(request, "task_id", _TASK_ID))
        wanted = detail_filter(_parameters(request))
        if number is None:
            return self._refuse(request, UNKNOWN_RESOURCE)
        job = self.fleet.jobs[number]
        ids = render.detail_record_ids(job)
        page = self._cut(selection.positions(self._devices, job, wanted), wanted.window, ids)
        details = [render.task_detail(self.fleet, job, position) for position in page.numbers]
        content = {"batchtask": render.task_record(self.fleet, number), "task_details": details}
        return self._page(request, content, page, ids)

    def _list_devices(self, request: web.Request) -> web.Response:
        wanted = device_filter(_parameters(request))
        first, stop = selection.rows_registered(self._device_ids, wanted, inclusive=self.time_bounds_inclusive)
        meant = selection.device_rows(self.fleet, self._devices, wanted)
        page = self._cut(meant, wanted.window, self._device_ids, first=first, stop=stop)
        rows = ",".join(map(self._devices.json, page.numbers))
        info = msgspec.json.encode(self._page_info(page, self._device_ids)).decode()
        return self._reply(request, f'{{"devices":[{rows}],"page":{info}}}'.encode())

    def _show_device(self, request: web.Request) -> web.Response:
        row = self._devices.row_of_device(_identifier(request, "device_id", _DEVICE_ID))
        if row is None:
            return self._refuse(request, UNKNOWN_RESOURCE)
        return self._reply(request, msgspec.json.encode(self._devices.detail(row)))

    # --- pages --------------------------------------------------------------------------------------------------------

    def _cut(
        self,
        numbers: Sequence[int],
        window: Window,
        ids: RecordIds,
        *,
        first: int | None = None,
        stop: int | None = None,
    ) -> Slice:
        return cut(numbers, window, ids, first=first, stop=stop, count_follows_marker=self.count_follows_marker)

    def _page_info(self, page: Slice, ids: RecordIds) -> dict[str, object]:
        info: dict[str, object] = {"count": page.count}
        if page.numbers:
            info["marker"] = ids.text(page.numbers[-1])
        elif self.empty_page_marker == "null":
            info["marker"] = None
        return info

    def _page(self, request: web.Request, content: Mapping[str, object], page: Slice, ids: RecordIds) -> web.Response:
        return self._reply(request, msgspec.json.encode({**content, "page": self._page_info(page, ids)}))


def _parameters(request: web.Request) -> dict[str, str]:
    return query_parameters(request.raw_path.partition("?")[2])


def _identifier(request: web.Request, name: str, pattern: re.Pattern[str]) -> str:
    value = request.match_info[name]
    if not pattern.fullmatch(value):
        raise ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' has a wrong form.")
    return value
