"""The client of IoTDA: pure functions composed around the session."""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs

from otaclient.errors import InvalidQueryError, UnsupportedOperationError
from otaclient.events import Listener
from otaclient.models import DeviceId, DeviceUpgrade, Firmware, FirmwareId, Job, JobId
from otaclient.paging import Paged
from otaclient.protocols import Backend, BackendPlugin, Capability, Query
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import ReadSource
from otaclient.registry import open_session
from otaclient.transport.http import HttpRequest, HttpResponse, Signer
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Dialect, Session
from otaclient.transport.tokens import Token, TokenCache
from otaclient.unsupported import UnsupportedDevices, UnsupportedFirmware, UnsupportedJobs
from otaclient_iotda import requests
from otaclient_iotda.config import (
    AkSkCredentials,
    IotdaConfig,
    PasswordCredentials,
    TokenCredentials,
    checked_app_id,
)
from otaclient_iotda.mapping import device_upgrade_from, firmware_from, job_from
from otaclient_iotda.reads import IotdaReads, Plan, concerning, plan_devices, plan_firmware, plan_jobs
from otaclient_iotda.responses import classify, parse_device, parse_package, parse_task, parse_token
from otaclient_iotda.signing import KeySigner, TokenSigner, unsigned

if TYPE_CHECKING:
    import aiohttp

__all__ = ["IotdaBackend", "IotdaDevices", "IotdaFirmware", "IotdaJobs", "IotdaPlugin"]

_NAME: Final = "iotda"
_CAPABILITIES: Final = frozenset(
    {
        Capability.FIRMWARE_GET,
        Capability.FIRMWARE_SEARCH,
        Capability.JOBS_GET,
        Capability.JOBS_SEARCH,
        Capability.DEVICES_GET,
        Capability.DEVICES_SEARCH,
    }
)

_T = TypeVar("_T")
_W = TypeVar("_W")
_Q = TypeVar("_Q", FirmwareQuery, JobQuery, DeviceUpgradeQuery)


@attrs.frozen
class _Project:
    """The project that all operations of one client are about."""

    session: Session
    project_id: str
    app_id: str | None

    async def get(
        self,
        operation: str,
        build: Callable[[str, str], HttpRequest],
        identifier: str,
        parse: Callable[[HttpRequest, HttpResponse], _W],
        model: Callable[..., _T],
    ) -> _T:
        """Ask for one thing."""
        label = self.session.label
        with concerning(operation, label):
            request = build(self.project_id, identifier)
        response = await self.session.call(request)
        with concerning(operation, label, attempts=response.attempts):
            return model(parse(request, response), backend=label)

    def firmware(self, query: FirmwareQuery) -> IotdaReads[Firmware]:
        return self._read("firmware.search", query, FirmwareQuery, plan_firmware)

    def jobs(self, query: JobQuery) -> IotdaReads[Job]:
        return self._read("jobs.search", query, JobQuery, plan_jobs)

    def devices(self, query: DeviceUpgradeQuery) -> IotdaReads[DeviceUpgrade]:
        return self._read("devices.search", query, DeviceUpgradeQuery, plan_devices)

    def _read(self, operation: str, query: _Q, kind: type[_Q], plan: Callable[..., Plan[_T]]) -> IotdaReads[_T]:
        with concerning(operation, self.session.label):
            _check_kind(query, kind)
            return IotdaReads(self.session, self.project_id, plan(query, app_id=self.app_id))

    def paged(self, source: IotdaReads[_T], query: object) -> Paged[_T]:
        """Return a listing whose cursors mean nothing in another project or resource space."""
        return Paged(source, backend=_NAME, query=(self.project_id, self.app_id, query))


def _check_kind(query: object, kind: type[Any]) -> None:
    if not isinstance(query, kind):
        raise InvalidQueryError(f"the query is a {type(query).__name__}: give a {kind.__name__}")


class IotdaFirmware(UnsupportedFirmware):
    """The firmware of one project: its OTA upgrade packages."""

    def __init__(self, project: _Project) -> None:
        super().__init__(label=project.session.label)
        self._project = project

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        """Return the firmware with this identifier, with the place and the digest of its file, which no listing has.

        Raises:
            NotFoundError: No such package in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the Details of an OTA Upgrade Package".
        """
        return await self._project.get("firmware.get", requests.get_package, firmware_id, parse_package, firmware_from)

    def search(self, query: FirmwareQuery = FirmwareQuery(), /) -> Paged[Firmware]:
        """Return the firmware that matches: one walk for each package type and product, newest first within each.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the OTA Upgrade Package List".
        """
        return self._project.paged(self._project.firmware(query), query)


class IotdaJobs(UnsupportedJobs):
    """The upgrade jobs of one project: its batch tasks of the upgrade types."""

    def __init__(self, project: _Project) -> None:
        super().__init__(label=project.session.label)
        self._project = project

    async def get(self, job_id: JobId | str, /) -> Job:
        """Return the job with this identifier.

        The identifier of a batch task that is no upgrade finds that task too, with an unknown ``kind``.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query a Batch Task".
        """
        return await self._project.get("jobs.get", requests.get_task, job_id, parse_task, job_from)

    def search(self, query: JobQuery = JobQuery(), /) -> Paged[Job]:
        """Return the jobs that match: one walk for each type of upgrade task, newest first within each.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the Batch Task List".
        """
        return self._project.paged(self._project.jobs(query), query)


class IotdaDevices(UnsupportedDevices):
    """The devices of one project: which versions each runs."""

    def __init__(self, project: _Project) -> None:
        super().__init__(label=project.session.label)
        self._project = project

    async def get(self, device_id: DeviceId | str, /) -> DeviceUpgrade:
        """Return one device. Whether it is being upgraded, the vendor does not say here: ``upgrading`` is ``None``.

        Raises:
            NotFoundError: No such device in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query a Device".
        """
        return await self._project.get("devices.get", requests.get_device, device_id, parse_device, device_upgrade_from)

    def search(self, query: DeviceUpgradeQuery = DeviceUpgradeQuery(), /) -> Paged[DeviceUpgrade]:
        """Return the devices that match: one walk for each product asked for, newest first within each.

        The times of registration are widened to whole seconds, and whether the ends count the vendor does not say.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here; nothing was sent.
            UnsupportedOperationError: ``resolve_upgrading`` is not part of this version.

        Source: Huawei Cloud IoTDA API reference, "Query the Device List".
        """
        return self._project.paged(self._project.devices(query), query)


class IotdaBackend:
    """One IoTDA project. Open it with :meth:`open` or :func:`otaclient.open_backend`.

    Args:
        config: Where the service is, and who asks.
        session: What sends the requests; a session that speaks IoTDA already is used as it is.
    """

    def __init__(self, config: IotdaConfig, session: Session) -> None:
        spoken = session if session.dialect is not None else session.speaking(_dialect(config, session))
        self._config = config
        self._project = _Project(spoken, config.project_id, config.app_id)
        self._firmware = IotdaFirmware(self._project)
        self._jobs = IotdaJobs(self._project)
        self._devices = IotdaDevices(self._project)

    @classmethod
    def open(
        cls,
        config: IotdaConfig,
        *,
        label: str | None = None,
        transport: TransportOptions = TransportOptions(),
        session: "aiohttp.ClientSession | None" = None,
        timeout_seconds: float | None = 30.0,
        retry: RetryPolicy = RetryPolicy(),
        limits: Limits = Limits(),
        on_event: Listener | None = None,
    ) -> Self:
        """Return a client; nothing is sent yet. The options are those of :func:`otaclient.open_backend`.

        Raises:
            ConfigurationError: An option cannot be right.
        """
        opened = open_session(
            label or _NAME,
            transport=transport,
            session=session,
            timeout_seconds=timeout_seconds,
            retry=retry,
            limits=limits,
            on_event=on_event,
        )
        return cls(config, opened)

    @property
    def name(self) -> str:
        """``iotda``."""
        return _NAME

    @property
    def label(self) -> str:
        """What tells this client from others of the same backend; every record carries it."""
        return self._project.session.label

    @property
    def firmware(self) -> IotdaFirmware:
        """The firmware."""
        return self._firmware

    @property
    def jobs(self) -> IotdaJobs:
        """The upgrade jobs."""
        return self._jobs

    @property
    def devices(self) -> IotdaDevices:
        """The devices."""
        return self._devices

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this backend can do; everything else raises ``UnsupportedOperationError`` before any request."""
        return _CAPABILITIES

    @property
    def on_event(self) -> Listener | None:
        """What is told of everything that happens; ``None`` for nobody."""
        return self._project.session.on_event

    async def authenticate(self) -> None:
        """Get an access token now, where the credentials are a password; keys and ready tokens need no call.

        Raises:
            AuthenticationError: User name, password or domain is wrong.
        """
        await self._project.session.authenticate()

    def reads(self, query: Query, /) -> ReadSource[Any]:
        """Return the raw reads behind a query, for bulk work.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here.
            UnsupportedOperationError: There is no such listing.
        """
        match query:
            case FirmwareQuery():
                return self._project.firmware(query)
            case JobQuery():
                return self._project.jobs(query)
            case DeviceUpgradeQuery():
                return self._project.devices(query)
            case _:
                raise UnsupportedOperationError(
                    f"this backend has no listing for a {type(query).__name__}; backend.capabilities lists what it has",
                    operation="jobs.tasks",
                    backend=self.label,
                )

    def with_options(
        self,
        *,
        timeout_seconds: float | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
        owner_id: str | None = None,
    ) -> Self:
        """Return this client with other options; it shares the pool and the token, and closing it closes nothing.

        Args:
            timeout_seconds: The time for one call.
            retry: How failed attempts are repeated.
            limits: How many requests at once and a second.
            owner_id: The resource space (app_id) that listings keep to, unless a query names another.

        Raises:
            ConfigurationError: An option cannot be right.
        """
        config = self._config
        if owner_id is not None:
            config = attrs.evolve(config, app_id=checked_app_id(owner_id, setting="owner_id"))
        session = self._project.session.with_options(timeout_seconds=timeout_seconds, retry=retry, limits=limits)
        return type(self)(config, session)

    async def aclose(self) -> None:
        """Release the connections. Closing twice does no harm."""
        await self._project.session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<IotdaBackend {self.label!r} at {self._config.endpoint}>"


@attrs.frozen
class IotdaPlugin:
    """What makes the backend known to otaclient."""

    name: str = _NAME
    config_type: type[IotdaConfig] = IotdaConfig

    def open(self, config: IotdaConfig, session: Session, /) -> IotdaBackend:
        """Return a client. Nothing is sent yet."""
        return IotdaBackend(config, session)


def _dialect(config: IotdaConfig, session: Session) -> Dialect:
    """Return how to ask with the configured credentials."""
    credentials = config.credentials
    sign: Signer
    if isinstance(credentials, AkSkCredentials):
        sign = KeySigner(
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
            security_token=credentials.security_token,
            region=credentials.signing_region(config.endpoint),
            project_id=config.project_id,
            instance_id=config.instance_id,
        )
        return Dialect(endpoint=config.endpoint, sign=sign, classify=classify)
    if isinstance(credentials, TokenCredentials):
        ready = credentials.token
        sign = TokenSigner(project_id=config.project_id, instance_id=config.instance_id, ready_token=ready)
        return Dialect(endpoint=config.endpoint, sign=sign, classify=partial(classify, ready_token=True))
    service = _TokenService(session, credentials, config.project_id)
    tokens = TokenCache(service.fetch, session.clock, on_renewed=session.token_renewed)
    sign = TokenSigner(project_id=config.project_id, instance_id=config.instance_id)
    return Dialect(endpoint=config.endpoint, sign=sign, classify=classify, tokens=tokens)


@attrs.frozen
class _TokenService:
    """Gets access tokens for one user from the identity service (IAM)."""

    session: Session
    user: PasswordCredentials
    project_id: str

    async def fetch(self, _old: Token | None, deadline: float) -> Token:
        """Log in. A token cannot be prolonged; a new one does not invalidate the old."""
        asking = self.session.for_tokens(Dialect(endpoint=self.user.iam_endpoint, sign=unsigned, classify=classify))
        request = requests.issue_token(self.user, self.project_id)
        response = await asking.call(request, deadline=deadline)
        with concerning(request.operation, self.session.label, attempts=response.attempts):
            now = self.session.clock.now()
            granted = parse_token(request, response, now=now)
        return Token(text=granted.text, obtained_at=now, expires_at=granted.expires_at)


if TYPE_CHECKING:
    _conforms: type[Backend] = IotdaBackend
    _plugin_conforms: type[BackendPlugin[IotdaConfig]] = IotdaPlugin
