"""The client of IoTDA: pure functions composed around the session."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from otaclient.models import JobId
from otaclient.protocols import Backend, Capability, DeviceReference, Query
from otaclient.queries import DeviceTaskQuery, FirmwareQuery, JobQuery
from otaclient.reads import ReadSource
from otaclient.session_backend import SessionBackend
from otaclient.session_reads import concerning
from otaclient.transport.http import Signer
from otaclient.transport.limits import Limiter, Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Dialect, Session
from otaclient.transport.settling import WriteLag
from otaclient.transport.tokens import Token, TokenCache
from otaclient_iotda import requests
from otaclient_iotda.account import NAME, READ_LAG_SECONDS, Account
from otaclient_iotda.commands import act_on_some
from otaclient_iotda.config import (
    AkSkCredentials,
    IotdaConfig,
    PasswordCredentials,
    TokenCredentials,
    checked_app_id,
)
from otaclient_iotda.devices import IotdaDevices, search_by_statement
from otaclient_iotda.failures import classify
from otaclient_iotda.firmware import IotdaFirmware
from otaclient_iotda.jobs import IotdaJobs
from otaclient_iotda.modules import IotdaModules
from otaclient_iotda.pace import PacedLimiter, search_pace
from otaclient_iotda.records import DeviceSearchResult, TargetOutcome
from otaclient_iotda.responses import parse_token
from otaclient_iotda.signing import KeySigner, TokenSigner, unsigned

__all__ = ["IotdaBackend"]

# All but: the files themselves, and the versions that devices report.
_CAPABILITIES: Final = frozenset(Capability) - {
    Capability.FIRMWARE_UPLOAD,
    Capability.FIRMWARE_DOWNLOAD,
    Capability.FIRMWARE_REPORTED_VERSIONS,
}


class IotdaBackend(SessionBackend[IotdaConfig]):
    """One IoTDA project. Open it with :meth:`open` or :func:`otaclient.open_backend`.

    Args:
        config: Where the service is, and who asks.
        session: What sends the requests; a session that speaks IoTDA already is used as it is.
        lag: Knows what was written by clients that share the session; a new one unless given.
        pace: Knows when clients that share the session may search flexibly; a new one unless given.
    """

    name = NAME

    def __init__(
        self, config: IotdaConfig, session: Session, *, lag: WriteLag | None = None, pace: Limiter | None = None
    ) -> None:
        session = session.on_corrected_clock() if config.correct_clock_skew else session
        dialect = session.dialect or _dialect(config, session)
        super().__init__(config, session.speaking(dialect))
        self._pace = pace or search_pace(session.clock)
        self._account = Account(
            session=self._session,
            searches=_paced(self._session, self._pace),
            project_id=config.project_id,
            app_id=config.app_id,
            region=config.region,
            lag=lag or WriteLag(READ_LAG_SECONDS, session.clock),
        )
        self._firmware = IotdaFirmware(self._account)
        self._jobs = IotdaJobs(self._account)
        self._devices = IotdaDevices(self._account)
        self._modules = IotdaModules(self._account)

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
    def modules(self) -> IotdaModules:
        """The OTA modules, which other vendors do not have."""
        return self._modules

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this backend can do; everything else raises ``UnsupportedOperationError`` before any request."""
        return _CAPABILITIES

    def reads(self, query: Query, /) -> ReadSource[Any]:
        """Return the raw reads behind a query, for bulk work.

        With ``resolve_upgrading``, who is being upgraded is found out once, before the first page.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here.
        """
        match query:
            case FirmwareQuery():
                return self._account.firmware(query)
            case JobQuery():
                return self._account.jobs(query)
            case DeviceTaskQuery():
                return self._account.tasks(query)
            case _:
                return self._account.devices(query)

    async def confirm_job(
        self, job_id: JobId | str, devices: Sequence[DeviceReference], /
    ) -> tuple[TargetOutcome, ...]:
        """Confirm some devices of a held job, and return what the vendor said of each; ``jobs.start`` confirms all.

        Args:
            job_id: The job.
            devices: Records, or device ids; 100 of them go with each request.

        Raises:
            NotFoundError: No such task in this project (HTTP status 404).
            ConflictError: The state of the job forbids it. (That of a device is in its outcome, and no error.)
            InvalidQueryError: There is no device in the list, or one that cannot be right; nothing was sent.
            OutcomeUnknownError: It may or may not have been done; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Confirm a Batch Task".
        """
        return await act_on_some(self._account, "confirm", job_id, devices, operation="jobs.confirm")

    async def search_devices(self, sql: str, /) -> DeviceSearchResult:
        """Return what one statement of the vendor's search language finds, in one request.

        ::

            found = await iotda.search_devices(
                "select * from device where fw_version = 'V1.0' order by marker desc limit 50"
            )
            count = (await iotda.search_devices("select count(*) from device")).count

        The statement goes out as it is. Without ``limit`` the vendor returns 10 devices, at most 50; without ``order by
        marker`` their order is random. ``where marker < '<found.marker>' order by marker desc`` goes on behind the last
        one. The vendor allows one search a second for each account: this client, with all those that
        :meth:`with_options` made of it, waits for its turn. Standard and enterprise editions only.

        Args:
            sql: ``select <field,...|*|count(*)> from device [where ...] [order by marker asc|desc] [limit
                [offset,]rows]``: at most 400 characters and five conditions. Fields must include ``device_id``.

        Raises:
            InvalidQueryError: It is beyond the limits, and nothing was sent; or the vendor cannot read it.
            DeadlineExceededError: Its turn would have come only after ``timeout_seconds``.

        Source: Huawei Cloud IoTDA API reference, "Query Device List Flexibly".
        """
        return await search_by_statement(self._account, sql)

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
            owner_id: The resource space (app_id) that listings keep to, unless a query names another, and that new
                things belong to.

        Raises:
            ConfigurationError: An option cannot be right.
        """
        config = self._config
        if owner_id is not None:
            config = attrs.evolve(config, app_id=checked_app_id(owner_id, setting="owner_id"))
        session = self._session.with_options(timeout_seconds=timeout_seconds, retry=retry, limits=limits)
        return type(self)(config, session, lag=self._account.lag, pace=self._pace)


def _paced(session: Session, pace: Limiter) -> Session:
    """Return the session for flexible searches."""
    if not session.limiter.waits:
        return session
    return attrs.evolve(session, limiter=PacedLimiter(session.limiter, pace, session.clock))


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
        return Dialect(endpoint=config.endpoint, sign=sign, classify=classify, signs_time=True)
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
        session = self.session
        with concerning(request.operation, session.label, attempts=response.attempts, redact=session.redact):
            now = self.session.clock.now()
            granted = parse_token(request, response, now=now)
        return Token(text=granted.text, obtained_at=now, expires_at=granted.expires_at)


if TYPE_CHECKING:
    _conforms: type[Backend] = IotdaBackend
