"""A client that hides nothing: one request a call, at once, whatever comes of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import attrs

from otaclient.events import Listener
from otaclient.load.watching import BareLimiter, Watcher
from otaclient.protocols import Backend
from otaclient.registry import backend_plugin, open_session, settled_config
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session

if TYPE_CHECKING:
    import aiohttp

__all__ = ["bare_session", "open_bare"]


@asynccontextmanager
async def open_bare(
    name: str,
    *,
    config: Any = None,
    profile: str | None = None,
    label: str | None = None,
    transport: TransportOptions = TransportOptions(),
    session: "aiohttp.ClientSession | None" = None,
    timeout_seconds: float | None = 30.0,
    on_event: Listener | None = None,
) -> AsyncGenerator[Backend]:
    """Open a client for load tests, which sends each request once, at once, and reports it as it was.

    Against :func:`otaclient.open_backend` it

    - repeats nothing: no retries, no second try with a new token or a corrected clock, no redirects;
    - adds no wait: no cap on requests in flight, no pace (also none that the vendor asks for), no pause after a
      throttled answer;
    - looks for nothing: a write whose answer was lost raises ``OutcomeUnknownError`` after its one request;
    - has its access token when the block begins. One that runs out or dies during the test is got anew by the next
      call: that request is an attempt of its own (``authenticate``), and the time it takes is wait of that call, and
      no service.

    Inside an :class:`OpenModel`, and inside :func:`watched`, a call that needs more requests than it is allowed has
    the next one refused before it is sent. Outside, calls that need several make several: ``async for`` over a
    listing makes one a page.

    Args:
        name: The backend's name, such as ``enos``.
        config: Its configuration object; without one, settings fill it.
        profile: The profile to take settings from; only without ``config``.
        label: What tells this client from others in events and errors; the name by default.
        transport: Proxy, certificates, caps.
        session: An aiohttp session of yours to use. aiohttp repeats a GET, PUT or DELETE by itself where a kept
            connection turns out closed: a session of yours does so here, too. It may cap connections as well.
        timeout_seconds: The time for one call; ``None`` for no limit.
        on_event: Called with every :class:`~otaclient.events.Event`.

    Raises:
        ConfigurationError: Unknown backend, missing or malformed setting; says which and what to do.
        AuthenticationError: The token service refuses the credentials.
    """
    plugin = backend_plugin(name)
    # Settings come from files, which must not hold up what runs here already.
    config = await anyio.to_thread.run_sync(partial(settled_config, plugin, config=config, profile=profile))
    opened = open_session(
        label or plugin.name,
        config=config,
        transport=transport,
        session=session,
        timeout_seconds=timeout_seconds,
        limits=Limits.unlimited(),  # also of the connections in the pool
        on_event=on_event,
    )
    async with plugin.open(config, bare_session(opened)) as backend:
        await backend.authenticate()
        yield backend


def bare_session(session: Session) -> Session:
    """Return a session like this one that repeats nothing and has nobody wait; for those who open backends by hand."""
    return attrs.evolve(
        session,
        retry=RetryPolicy.none(),
        limits=Limits.unlimited(),
        limiter=BareLimiter(session.clock),
        on_event=Watcher(session.on_event),
    )
