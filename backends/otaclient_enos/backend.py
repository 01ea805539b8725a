"""The client of EnOS: pure functions composed around the session."""

from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs

from otaclient.errors import ApiError, InvalidQueryError, PayloadError, RateLimitedError, UnsupportedOperationError
from otaclient.events import Listener
from otaclient.models import DeviceUpgrade, Firmware, FirmwareId, Job, JobId
from otaclient.paging import Paged
from otaclient.protocols import Backend, BackendPlugin, Capability, Query
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import ReadSource
from otaclient.registry import open_session
from otaclient.transport.http import HttpRequest
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Dialect, Session
from otaclient.transport.tokens import Token, TokenCache
from otaclient.unsupported import UnsupportedDevices, UnsupportedFirmware, UnsupportedJobs
from otaclient_enos import requests
from otaclient_enos.config import EnosConfig, checked_org_id
from otaclient_enos.mapping import firmware_from, job_from
from otaclient_enos.reads import EnosReads, Plan, concerning, plan_devices, plan_firmware, plan_jobs
from otaclient_enos.requests import Organisation
from otaclient_enos.responses import classify, classify_token, parse_firmware, parse_job, parse_token
from otaclient_enos.signing import EnosSigner, TokenSigner

if TYPE_CHECKING:
    import aiohttp

__all__ = ["EnosBackend", "EnosDevices", "EnosFirmware", "EnosJobs", "EnosPlugin"]

_NAME: Final = "enos"
_CAPABILITIES: Final = frozenset(
    {
        Capability.FIRMWARE_GET,
        Capability.FIRMWARE_SEARCH,
        Capability.JOBS_GET,
        Capability.JOBS_SEARCH,
        Capability.DEVICES_SEARCH,
    }
)

_T = TypeVar("_T")
_Q = TypeVar("_Q", FirmwareQuery, JobQuery, DeviceUpgradeQuery)


@attrs.frozen
class _Account:
    """Whom all operations of one client act for."""

    session: Session
    organisation: Organisation

    def read(self, operation: str, query: _Q, kind: type[_Q], plan: Callable[[_Q], Plan[_T]]) -> EnosReads[_T]:
        with concerning(operation, self.session.label):
            _check_kind(query, kind)
            return EnosReads(self.session, self.organisation.owned_by(query.owner_id), plan(query))

    def firmware(self, query: FirmwareQuery) -> EnosReads[Firmware]:
        return self.read("firmware.search", query, FirmwareQuery, plan_firmware)

    def jobs(self, query: JobQuery) -> EnosReads[Job]:
        return self.read("jobs.search", query, JobQuery, plan_jobs)

    def devices(self, query: DeviceUpgradeQuery) -> EnosReads[DeviceUpgrade]:
        return self.read("devices.search", query, DeviceUpgradeQuery, plan_devices)


def _check_kind(query: object, kind: type[Any]) -> None:
    if not isinstance(query, kind):
        raise InvalidQueryError(f"the query is a {type(query).__name__}: give a {kind.__name__}")


def _paged(source: EnosReads[_T], query: object) -> Paged[_T]:
    # A cursor of one organisation means nothing in another.
    return Paged(source, backend=_NAME, query=(source.org_id, query))


class EnosFirmware(UnsupportedFirmware):
    """The firmware of one organisation."""

    def __init__(self, account: _Account) -> None:
        super().__init__(label=account.session.label)
        self._account = account

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        """Return the firmware with this identifier.

        Raises:
            NotFoundError: No such firmware in this organisation (code 24404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Get Firmware File".
        """
        session = self._account.session
        with concerning("firmware.get", session.label):
            request = requests.get_firmware(self._account.organisation, firmware_id)
        response = await session.call(request)
        with concerning("firmware.get", session.label, attempts=response.attempts):
            return firmware_from(parse_firmware(request, response), backend=session.label)

    def search(self, query: FirmwareQuery = FirmwareQuery(), /) -> Paged[Firmware]:
        """Return the firmware that matches, newest first.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Search Firmware".
        """
        return _paged(self._account.firmware(query), query)


class EnosJobs(UnsupportedJobs):
    """The upgrade jobs of one organisation."""

    def __init__(self, account: _Account) -> None:
        super().__init__(label=account.session.label)
        self._account = account

    async def get(self, job_id: JobId | str, /) -> Job:
        """Return the job with this identifier; the vendor leaves out some of what a search shows.

        Raises:
            NotFoundError: No such job in this organisation (code 24404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Get OTA Job".
        """
        session = self._account.session
        with concerning("jobs.get", session.label):
            request = requests.get_job(self._account.organisation, job_id)
        response = await session.call(request)
        with concerning("jobs.get", session.label, attempts=response.attempts):
            return job_from(parse_job(request, response), backend=session.label)

    def search(self, query: JobQuery = JobQuery(), /) -> Paged[Job]:
        """Return the jobs that match, newest first.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Search OTA Job".
        """
        return _paged(self._account.jobs(query), query)


class EnosDevices(UnsupportedDevices):
    """The devices of one organisation: which firmware each runs, and whether it is being upgraded."""

    def __init__(self, account: _Account) -> None:
        super().__init__(label=account.session.label)
        self._account = account

    def search(self, query: DeviceUpgradeQuery = DeviceUpgradeQuery(), /) -> Paged[DeviceUpgrade]:
        """Return the devices that match, in an order that the vendor does not document.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Search Device Upgrade".
        """
        return _paged(self._account.devices(query), query)


class EnosBackend:
    """One EnOS organisation. Open it with :meth:`open` or :func:`otaclient.open_backend`.

    Args:
        config: Where the gateway is, and who asks.
        session: What sends the requests; a session that speaks EnOS already is used as it is.
    """

    def __init__(self, config: EnosConfig, session: Session) -> None:
        spoken = session if session.dialect is not None else session.speaking(_dialect(config, session))
        self._config = config
        self._account = _Account(spoken, Organisation(org_id=config.org_id, api_version=config.api_version))
        self._firmware = EnosFirmware(self._account)
        self._jobs = EnosJobs(self._account)
        self._devices = EnosDevices(self._account)

    @classmethod
    def open(
        cls,
        config: EnosConfig,
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
        """``enos``."""
        return _NAME

    @property
    def label(self) -> str:
        """What tells this client from others of the same backend; every record carries it."""
        return self._account.session.label

    @property
    def firmware(self) -> EnosFirmware:
        """The firmware."""
        return self._firmware

    @property
    def jobs(self) -> EnosJobs:
        """The upgrade jobs."""
        return self._jobs

    @property
    def devices(self) -> EnosDevices:
        """The devices; EnOS cannot look up a single one."""
        return self._devices

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this backend can do; everything else raises ``UnsupportedOperationError`` before any request."""
        return _CAPABILITIES

    @property
    def on_event(self) -> Listener | None:
        """What is told of everything that happens; ``None`` for nobody."""
        return self._account.session.on_event

    async def authenticate(self) -> None:
        """Get an access token now, so that the next call is a single request.

        Raises:
            AuthenticationError: The application's key or secret is wrong (codes 1002, 1003).
        """
        await self._account.session.authenticate()

    def reads(self, query: Query, /) -> ReadSource[Any]:
        """Return the raw reads behind a query, for bulk work.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here.
            UnsupportedOperationError: There is no such listing.
        """
        match query:
            case FirmwareQuery():
                return self._account.firmware(query)
            case JobQuery():
                return self._account.jobs(query)
            case DeviceUpgradeQuery():
                return self._account.devices(query)
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
            owner_id: Another organisation (orgId) to act for.

        Raises:
            ConfigurationError: An option cannot be right.
        """
        config = self._config
        if owner_id is not None:
            config = attrs.evolve(config, org_id=checked_org_id(owner_id, setting="owner_id"))
        session = self._account.session.with_options(timeout_seconds=timeout_seconds, retry=retry, limits=limits)
        return type(self)(config, session)

    async def aclose(self) -> None:
        """Release the connections. Closing twice does no harm."""
        await self._account.session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<EnosBackend {self.label!r} at {self._config.endpoint}>"


@attrs.frozen
class EnosPlugin:
    """What makes the backend known to otaclient."""

    name: str = _NAME
    config_type: type[EnosConfig] = EnosConfig

    def open(self, config: EnosConfig, session: Session, /) -> EnosBackend:
        """Return a client. Nothing is sent yet."""
        return EnosBackend(config, session)


def _dialect(config: EnosConfig, session: Session) -> Dialect:
    service = _TokenService(config, session)
    return Dialect(
        endpoint=config.endpoint,
        sign=EnosSigner(config.app_secret),
        classify=classify,
        tokens=TokenCache(service.fetch, session.clock, on_renewed=session.token_renewed),
    )


@attrs.frozen
class _TokenService:
    """Gets access tokens for one application."""

    config: EnosConfig
    session: Session

    async def fetch(self, old: Token | None, deadline: float) -> Token:
        """Return a new token: in place of the old one where that is still good, else from the beginning."""
        if old is not None and (old.expires_at is None or self.session.clock.now() < old.expires_at):
            try:
                return await self._ask(requests.refresh_token(), old.text, deadline)
            except RateLimitedError:
                raise  # the other endpoint is behind the same gateway
            except (ApiError, PayloadError):
                pass  # code 1204, or whatever else speaks against refreshing: a token can still be had anew
        return await self._ask(requests.get_token(), None, deadline)

    async def _ask(self, request: HttpRequest, old_token: str | None, deadline: float) -> Token:
        config, clock = self.config, self.session.clock
        sign = TokenSigner(app_key=config.app_key, app_secret=config.app_secret, old_token=old_token)
        asking = self.session.for_tokens(Dialect(endpoint=config.endpoint, sign=sign, classify=classify_token))
        response = await asking.call(request, deadline=deadline)
        with concerning(request.operation, self.session.label, attempts=response.attempts):
            granted = parse_token(request, response)
        now = clock.now()
        life = granted.expire_seconds
        return Token(
            text=granted.text, obtained_at=now, expires_at=None if life is None else now + timedelta(seconds=life)
        )


if TYPE_CHECKING:
    _conforms: type[Backend] = EnosBackend
    _plugin_conforms: type[BackendPlugin[EnosConfig]] = EnosPlugin
