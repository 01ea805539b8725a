"""What every backend over a session does alike: a base class, for plug-ins too."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Self, TypeVar

import attrs

from otaclient.events import Listener
from otaclient.registry import open_session
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session

if TYPE_CHECKING:
    import aiohttp

__all__ = ["SessionBackend", "SessionPlugin"]

_C = TypeVar("_C")


class SessionBackend(Generic[_C]):
    """The part of a backend that is about its session: who it is, its token, its end.

    A subclass sets ``name`` and adds ``firmware``, ``jobs``, ``devices``, ``capabilities``, ``reads`` and
    ``with_options``. It is made with a config and a session, and may have further arguments of its own.

    Args:
        config: The backend's configuration.
        session: What sends the requests, in the vendor's dialect.
    """

    name: ClassVar[str]
    """The backend's name, as in its entry point."""

    def __init__(self, config: _C, session: Session) -> None:
        self._config = config
        self._session = session

    @classmethod
    def open(
        cls,
        config: _C,
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
            label or cls.name,
            config=config,
            transport=transport,
            session=session,
            timeout_seconds=timeout_seconds,
            retry=retry,
            limits=limits,
            on_event=on_event,
        )
        return cls(config, opened)

    @property
    def label(self) -> str:
        """What tells this client from others of the same backend; every record carries it."""
        return self._session.label

    @property
    def on_event(self) -> Listener | None:
        """What is told of everything that happens; ``None`` for nobody."""
        return self._session.on_event

    async def authenticate(self) -> None:
        """Get an access token now, where the vendor wants one, so that the next call is a single request.

        Raises:
            AuthenticationError: The credentials are wrong.
        """
        await self._session.authenticate()

    async def aclose(self) -> None:
        """Release the connections: calls under way end with an error. Closing twice does no harm.

        Raises:
            TransportError: The client is in use in another event loop, which alone can close it.
        """
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        self._session.ownership.check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        self._session.__reduce__()

    def __repr__(self) -> str:
        where = self._session.dialect.endpoint if self._session.dialect else "nowhere"
        return f"<{type(self).__name__} {self.label!r} at {where}>"


_B = TypeVar("_B", bound=SessionBackend[Any])


@attrs.frozen
class SessionPlugin(Generic[_B, _C]):
    """What makes such a backend known to otaclient: an entry point of the group ``otaclient.backends`` names one."""

    backend: type[_B]
    """The class of the backend; it is made with a config and a session."""
    config_type: type[_C] = attrs.field(kw_only=True)

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.backend.name

    def open(self, config: _C, session: Session, /) -> _B:
        """Return a client. Nothing is sent yet."""
        return self.backend(config, session)
