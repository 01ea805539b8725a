"""The client of EnOS: pure functions composed around the session."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from otaclient.errors import ApiError, PayloadError, RateLimitedError, ServerError
from otaclient.protocols import Backend, Capability, Query
from otaclient.queries import DeviceTaskQuery, FirmwareQuery, JobQuery
from otaclient.reads import ReadSource
from otaclient.session_backend import SessionBackend
from otaclient.session_reads import concerning
from otaclient.transport.http import HttpRequest
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Dialect, Session
from otaclient.transport.settling import WriteLag
from otaclient.transport.tokens import Token, TokenCache
from otaclient_enos import requests
from otaclient_enos.account import NAME, READ_LAG_SECONDS, Account
from otaclient_enos.config import EnosConfig, checked_org_id
from otaclient_enos.devices import EnosDevices
from otaclient_enos.failures import classify, classify_token
from otaclient_enos.files import FilesSigner
from otaclient_enos.firmware import EnosFirmware
from otaclient_enos.jobs import EnosJobs
from otaclient_enos.requests import Organisation
from otaclient_enos.responses import parse_token
from otaclient_enos.signing import EnosSigner, TokenSigner

__all__ = ["EnosBackend"]

# What EnOS has not: looking up one device, and jobs that wait for a confirmation.
_CAPABILITIES: Final = frozenset(
    {
        Capability.FIRMWARE_GET,
        Capability.FIRMWARE_SEARCH,
        Capability.FIRMWARE_CREATE,
        Capability.FIRMWARE_UPLOAD,
        Capability.FIRMWARE_DELETE,
        Capability.FIRMWARE_REPORTED_VERSIONS,
        Capability.FIRMWARE_DOWNLOAD,
        Capability.JOBS_GET,
        Capability.JOBS_SEARCH,
        Capability.JOBS_CREATE,
        Capability.JOBS_START,
        Capability.JOBS_STOP,
        Capability.JOBS_DELETE,
        Capability.JOBS_TASKS,
        Capability.JOBS_CANCEL_TASKS,
        Capability.JOBS_RETRY_TASKS,
        Capability.JOBS_PROGRESS,
        Capability.DEVICES_SEARCH,
        Capability.DEVICES_UPGRADING,
    }
)


class EnosBackend(SessionBackend[EnosConfig]):
    """One EnOS organisation. Open it with :meth:`open` or :func:`otaclient.open_backend`.

    Args:
        config: Where the gateway is, and who asks.
        session: What sends the requests; a session that speaks EnOS already is used as it is.
        lag: Knows what was written by clients that share the session; a new one unless given.
    """

    name = NAME

    def __init__(self, config: EnosConfig, session: Session, *, lag: WriteLag | None = None) -> None:
        session = session.on_corrected_clock() if config.correct_clock_skew else session
        dialect = session.dialect or _dialect(config, session)
        super().__init__(config, session.speaking(dialect))
        self._account = Account(
            session=self._session,
            files=session.speaking(_files_dialect(config, dialect)),
            organisation=Organisation(org_id=config.org_id, api_version=config.api_version),
            lag=lag or WriteLag(READ_LAG_SECONDS, session.clock),
        )
        self._firmware = EnosFirmware(self._account)
        self._jobs = EnosJobs(self._account)
        self._devices = EnosDevices(self._account)

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

    def reads(self, query: Query, /) -> ReadSource[Any]:
        """Return the raw reads behind a query, for bulk work.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here.
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
        session = self._session.with_options(timeout_seconds=timeout_seconds, retry=retry, limits=limits)
        return type(self)(config, session, lag=self._account.lag)


def _dialect(config: EnosConfig, session: Session) -> Dialect:
    service = _TokenService(config, session)
    return Dialect(
        endpoint=config.endpoint,
        sign=EnosSigner(config.app_secret),
        classify=classify,
        tokens=TokenCache(service.fetch, session.clock, on_renewed=session.token_renewed),
        signs_time=True,
    )


def _files_dialect(config: EnosConfig, dialect: Dialect) -> Dialect:
    # The page's table says that files are served by the message integration gateway; its sample asks the API gateway.
    # So whoever needs the former sets files_endpoint.
    return attrs.evolve(
        dialect,
        endpoint=config.files_endpoint or config.endpoint,
        sign=FilesSigner(EnosSigner(config.app_secret)),
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
            except (RateLimitedError, ServerError):
                raise  # the other endpoint is behind the same gateway
            except (ApiError, PayloadError):
                pass  # code 1204, or whatever else speaks against refreshing: a token can still be had anew
        return await self._ask(requests.get_token(), None, deadline)

    async def _ask(self, request: HttpRequest, old_token: str | None, deadline: float) -> Token:
        config, clock = self.config, self.session.clock
        sign = TokenSigner(app_key=config.app_key, app_secret=config.app_secret, old_token=old_token)
        asking = self.session.for_tokens(
            Dialect(endpoint=config.endpoint, sign=sign, classify=classify_token, signs_time=True)
        )
        response = await asking.call(request, deadline=deadline)
        session = self.session
        with concerning(request.operation, session.label, attempts=response.attempts, redact=session.redact):
            granted = parse_token(request, response)
        now = clock.now()
        life = granted.expire_seconds
        return Token(
            text=granted.text, obtained_at=now, expires_at=None if life is None else now + timedelta(seconds=life)
        )


if TYPE_CHECKING:
    _conforms: type[Backend] = EnosBackend
