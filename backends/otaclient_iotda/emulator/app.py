"""The emulated service: its routes, and who may use them.

A request passes what it passes at the vendor's: the gateway checks the signature or the token, the service the
project, the operation its parameters.

Source: Huawei Cloud IoTDA, API reference v5, "Error Codes"; the operations name their own pages.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import ClassVar, Final, Literal, Unpack

import msgspec
from aiohttp import web

from otaclient.emulator import EmulatorOptions, EmulatorServer, Fleet, JobPlan
from otaclient.emulator.refusals import EngineRefusal
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job
from otaclient_iotda.config import AkSkCredentials, AuthKind, IotdaConfig, PasswordCredentials, TokenCredentials
from otaclient_iotda.emulator import expected
from otaclient_iotda.emulator.auth import AccessKey, Edition, SignedRequest, verify_signature
from otaclient_iotda.emulator.calls import Answer, Call, Paging, Refused
from otaclient_iotda.emulator.devices import TOO_MANY_REQUESTS
from otaclient_iotda.emulator.failures import DEFAULT_PLAN
from otaclient_iotda.emulator.filters import ErrorCode, ParameterError, query_parameters
from otaclient_iotda.emulator.groups import DeviceGroup
from otaclient_iotda.emulator.identity import IamRefusal, IamUser, TokenDesk, grant_token
from otaclient_iotda.emulator.operations import NAMES, Operation, Operations
from otaclient_iotda.emulator.refusals import (
    BODY_TOO_LARGE,
    FOREIGN_PROJECT,
    INTERNAL_ERROR,
    NO_SUCH_API,
    UNAUTHORIZED,
    Refusal,
)

__all__ = ["IotdaEmulator"]

DEFAULT_PROJECT_ID: Final = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
DEFAULT_ACCESS_KEY: Final = "EMULATORACCESSKEY"
DEFAULT_SECRET_KEY: Final = "emulator-secret-key"  # noqa: S105 - a published default of the emulator, no secret
DEFAULT_READY_TOKEN: Final = "emulator-ready-token"  # noqa: S105 - likewise
DEFAULT_USER: Final = IamUser(name="emulator-user", password="emulator-password", domain="emulator-domain")  # noqa: S106

# The vendor allows one search a second. That a refused one does not prolong the pause is our choice.
SEARCH_PAUSE_SECONDS: Final = 1.0
# Whether the answer to a stop, retry or confirm of a whole task lists what was acted on is not documented: our choice.
LISTS_ALL_TARGETS: Final = False
LONGEST_INSTANCE_ID: Final = 36
# Whether start_time and end_time are themselves inside the range is not documented: our choice, and a switch.
TIME_BOUNDS_INCLUSIVE: Final = True


class IotdaEmulator(EmulatorServer):
    """Emulates the OTA side of Huawei Cloud IoTDA v5, and the identity service's password tokens, on one address.

    ``async with IotdaEmulator(fleet) as emulator`` starts it; ``emulator.config()`` is what the backend needs to
    reach it. It writes into the fleet that it serves.

    ``emulator.groups`` lists the groups of devices that a batch task can be aimed at, by their identifiers: for each
    product one for each site that its devices are tagged with, such as ``pump at hall-1``, and those that the jobs of
    the generated fleet name.
    """

    vendor: ClassVar[str] = "iotda"
    operations: ClassVar[frozenset[str]] = NAMES | {"token.get", "other"}
    job_plan: ClassVar[JobPlan] = DEFAULT_PLAN
    largest_request_bytes: ClassVar[int] = 12 * 1024 * 1024

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        project_id: str = DEFAULT_PROJECT_ID,
        region: str = "cn-north-4",
        keys: Mapping[str, AccessKey] | None = None,
        users: Sequence[IamUser] = (DEFAULT_USER,),
        ready_token: str = DEFAULT_READY_TOKEN,
        edition: Edition | None = None,
        count_follows_marker: bool = False,
        empty_page_marker: Literal["null", "absent"] = "null",
        time_bounds_inclusive: bool = TIME_BOUNDS_INCLUSIVE,
        search_pause_seconds: float = SEARCH_PAUSE_SECONDS,
        lists_all_targets: bool = LISTS_ALL_TARGETS,
        **options: Unpack[EmulatorOptions],
    ) -> None:
        """Prepare an emulator; nothing is bound before it is started.

        Args:
            fleet: What to serve; a generated fleet of 20,000 devices unless given.
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
            search_pause_seconds: How long after a flexible search of devices the next is throttled; 0 never.
            lists_all_targets: Whether the answer to a stop, retry or confirm of a whole task lists its devices.
            **options: Those of every emulator, see :class:`otaclient.emulator.EmulatorServer`. By default the devices
                of batch tasks fail in every way that the vendor documents.

        Raises:
            ValueError: The read lag is negative, or the fault plan asks for what this vendor does not have.
        """
        super().__init__(fleet, **options)
        self.project_id = project_id
        self.region = region
        self.keys = dict(keys or {DEFAULT_ACCESS_KEY: AccessKey(secret_key=DEFAULT_SECRET_KEY)})
        self.users = tuple(users)
        self.ready_token = ready_token
        self.edition: Edition | None = edition
        self.tokens = TokenDesk()
        self.tokens.add(ready_token, now=self._now())
        self._request_numbers = itertools.count(1)
        self._operations = Operations(
            self,
            paging=Paging(count_follows_marker=count_follows_marker, empty_page_marker=empty_page_marker),
            edition=edition,
            search_pause_seconds=search_pause_seconds,
            time_bounds_inclusive=time_bounds_inclusive,
            lists_all_targets=lists_all_targets,
        )
        self.groups: Mapping[str, DeviceGroup] = self._operations.groups.listed
        """The groups of devices, by their identifiers."""

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
        self.engine.settle()
        return expected.devices(self.fleet, label)

    def expected_firmware(self, label: str, *, located: bool = False) -> Iterator[Firmware]:
        """Yield every package as ``firmware.search`` ought to report it, newest first, with nothing in ``extra``.

        ``located=True`` is as ``firmware.get`` ought to report it: with the digest and the place of the file.
        """
        return expected.firmware(self.fleet, self.listed_firmware(), label, located=located)

    def expected_jobs(self, label: str) -> Iterator[Job]:
        """Yield every batch task as ``jobs.search`` ought to report it, newest first, with nothing in ``extra``."""
        self.engine.settle()
        return expected.jobs(
            self.fleet, self.listed_jobs(), self._operations.task_book, label, now_ms=self.engine.now_ms
        )

    def expected_tasks(self, label: str, job_id: str) -> Iterator[DeviceTask]:
        """Yield every detail of a batch task as ``jobs.tasks`` ought to report it, newest record first.

        Raises:
            NoSuchJobError: There is no such task.
        """
        self.engine.settle()
        return expected.tasks(self.fleet, self.engine.job(job_id), label)

    # --- the server's side --------------------------------------------------------------------------------------------

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes of the vendor's API; their names are the names of the operations."""
        for method, path, name, operation in self._operations.table():
            options = {"allow_head": False} if method == "GET" else {}
            handler = self._guarded(operation)
            yield web.route(method, f"/v5/iot/{{project_id}}/{path}", handler, name=name, **options)
        yield web.post("/v3/auth/tokens", self._create_token, name="token.get")

    def operation(self, request: web.Request) -> str:
        """Return the name under which a request is counted.

        The one operation that shows a task and its details is ``jobs.get`` with at most one detail, and
        ``jobs.tasks`` with more of them or fewer by a filter.
        """
        name = request.match_info.route.name or "other"
        asks_for_details = name == "jobs.get" and request.query_string not in {"", "limit=1"}
        return "jobs.tasks" if asks_for_details else name

    def no_route(self, request: web.Request, status: int) -> web.Response:
        """Return the gateway's answer to a path or method that the API does not have (404 to both), or a large body."""
        too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return self._refuse(request, BODY_TOO_LARGE if too_large else NO_SUCH_API)

    def internal_error(self, request: web.Request) -> web.Response:
        """Return the service's answer when it failed."""
        return self._refuse(request, INTERNAL_ERROR)

    def throttled(self, request: web.Request) -> web.Response:
        """Return the gateway's answer to one request too many."""
        return self._refuse(request, TOO_MANY_REQUESTS)

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

    def _guarded(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            body = await request.read()
            refusal = self._authenticate(request, body)
            if refusal is None and request.match_info["project_id"] != self.project_id:
                refusal = FOREIGN_PROJECT
            if refusal is not None:
                return self._refuse(request, refusal)
            try:
                _check_headers(request)
                parameters = query_parameters(request.raw_path.partition("?")[2])
                call = Call(identifiers=request.match_info, parameters=parameters, body=body, now=self._now())
                answer = _carried_out(operation, call)
            except ParameterError as error:
                return self._refuse(request, Refusal(status=400, code=error.code, message=error.message))
            except Refused as error:
                return self._refuse(request, error.refusal)
            return self._reply(request, answer.body, status=answer.status)

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


def _check_headers(request: web.Request) -> None:
    """Refuse a body that is said to be something else than JSON, and an instance that cannot be one.

    That a body of which nothing is said passes is our choice, and so is the code for the instance.
    """
    if len(request.headers.get("Instance-Id", "")) > LONGEST_INSTANCE_ID:
        raise ParameterError(ErrorCode.INVALID_INPUT, "The header 'Instance-Id' has a wrong form.")
    given = request.headers.get("Content-Type")
    if request.method in {"POST", "PUT"} and given is not None and request.content_type != "application/json":
        raise ParameterError(ErrorCode.INVALID_FORMAT, f"The Content-Type '{given}' is not application/json.")


def _carried_out(operation: Operation, call: Call) -> Answer:
    try:
        return operation(call)
    except EngineRefusal:  # a device went on between the look at it and the deed, which changed nothing: look again
        return operation(call)
