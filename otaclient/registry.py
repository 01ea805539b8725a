"""Which backends and emulators are installed, and how to open a client."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from otaclient.checks import check_option
from otaclient.errors import ConfigurationError
from otaclient.events import Listener
from otaclient.protocols import Backend, BackendPlugin
from otaclient.secret import credentials_in
from otaclient.settings import load_config
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import aiohttp

__all__ = [
    "available_backends",
    "available_emulators",
    "backend_plugin",
    "emulator_class",
    "open_backend",
    "open_session",
    "settled_config",
]

_BACKENDS: Final = "otaclient.backends"
_EMULATORS: Final = "otaclient.emulators"


def available_backends() -> tuple[str, ...]:
    """Return the names of the installed backends, sorted."""
    return _names(_BACKENDS)


def available_emulators() -> tuple[str, ...]:
    """Return the names of the installed emulators, sorted."""
    return _names(_EMULATORS)


def backend_plugin(name: str) -> BackendPlugin[Any]:
    """Return an installed backend's plug-in.

    Raises:
        ConfigurationError: There is no such backend (names the installed ones), or it cannot be imported.
    """
    plugin: BackendPlugin[Any] = _loaded(_BACKENDS, name, noun="backend")
    return plugin


def emulator_class(name: str) -> Any:
    """Return the class of an installed emulator, a :class:`otaclient.emulator.EmulatorServer` or the like.

    Raises:
        ConfigurationError: There is no such emulator (names the installed ones), or it cannot be imported.
    """
    return _loaded(_EMULATORS, name, noun="emulator")


def open_backend(
    name: str,
    *,
    config: Any = None,
    profile: str | None = None,
    label: str | None = None,
    transport: TransportOptions = TransportOptions(),
    session: "aiohttp.ClientSession | None" = None,
    timeout_seconds: float | None = 30.0,
    retry: RetryPolicy = RetryPolicy(),
    limits: Limits = Limits(),
    on_event: Listener | None = None,
) -> Backend:
    """Return a client of a backend. Nothing is sent, and nothing must be awaited, before its first use.

    Args:
        name: The backend's name, such as ``enos``.
        config: Its configuration object; without one, settings fill it (see :mod:`otaclient.settings`).
        profile: The profile to take settings from; only without ``config``.
        label: What tells this client from others in records, errors and events; the name by default.
        transport: Proxy, certificates, caps.
        session: An aiohttp session of yours to use; it is not closed by this library. aiohttp then repeats GET, PUT
            and DELETE by itself where a kept connection turns out closed: one attempt may be two requests.
        timeout_seconds: The time for one call: all attempts, queueing and waits together. ``None`` for no limit.
        retry: How failed attempts are repeated.
        limits: How many requests at once and a second. Fewer are sent at once while the vendor throttles, unless they
            are ``Limits(adaptive=False)``.
        on_event: Called with every :class:`~otaclient.events.Event`; its exceptions are logged, never raised.

    Raises:
        ConfigurationError: Unknown backend, missing or malformed setting; says which and what to do.
    """
    plugin = backend_plugin(name)
    config = settled_config(plugin, config=config, profile=profile)
    opened = open_session(
        label or plugin.name,
        config=config,
        transport=transport,
        session=session,
        timeout_seconds=timeout_seconds,
        retry=retry,
        limits=limits,
        on_event=on_event,
    )
    return plugin.open(config, opened)


def settled_config(plugin: BackendPlugin[Any], *, config: Any, profile: str | None) -> Any:
    """Return the configuration to open a backend with: the one that is given, or else what the settings say.

    Raises:
        ConfigurationError: See :func:`open_backend`.
    """
    if config is None:
        return load_config(plugin.name, plugin.config_type, profile=profile)
    if profile is not None:
        raise ConfigurationError("both config and profile are given: a config is complete, so leave profile out")
    if not isinstance(config, plugin.config_type):
        raise ConfigurationError(
            f"config is of the type {type(config).__name__}: the backend {plugin.name!r} takes "
            f"{plugin.config_type.__name__}(...)"
        )
    return config


def open_session(
    label: str,
    *,
    config: Any = None,
    transport: TransportOptions = TransportOptions(),
    session: "aiohttp.ClientSession | None" = None,
    timeout_seconds: float | None = 30.0,
    retry: RetryPolicy = RetryPolicy(),
    limits: Limits = Limits(),
    on_event: Listener | None = None,
) -> Session:
    """Return the session that a :class:`~otaclient.protocols.BackendPlugin` opens its backend with.

    The arguments are those of :func:`open_backend`. Of ``config`` only the credentials matter here: errors that quote
    an answer will not repeat them.
    """
    named: Any = label
    if not isinstance(named, str):
        raise ConfigurationError(f"label is of the type {type(named).__name__}: give a text")
    for name, given, kind in (
        ("transport", transport, TransportOptions),
        ("retry", retry, RetryPolicy),
        ("limits", limits, Limits),
    ):
        check_option(name, given, kind)
    if on_event is not None and not callable(on_event):
        raise ConfigurationError(
            f"on_event is of the type {type(on_event).__name__}: give a function that takes an event"
        )
    if iscoroutinefunction(on_event):
        raise ConfigurationError(
            "on_event is an asynchronous function, which nobody would await: give a plain one, which may put the event "
            "into a queue"
        )
    return Session(
        label=label,
        transport=AiohttpTransport(transport, max_connections=limits.concurrency, session=session),
        timeout_seconds=timeout_seconds,
        retry=retry,
        limits=limits,
        on_event=on_event,
        secrets=(*credentials_in(config), *credentials_in(transport)),
    )


def _names(group: str) -> tuple[str, ...]:
    _installed.cache_clear()
    return tuple(sorted(_entry_points(group)))


def _loaded(group: str, name: str, *, noun: str) -> Any:
    found = _entry_points(group).get(name)
    if found is None:
        known = ", ".join(_names(group)) or "none is installed"
        found = _entry_points(group).get(name)  # it may have been installed just now
        if found is None:
            raise ConfigurationError(f"there is no {noun} {name!r}; known {noun}s: {known}")
    try:
        return found.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the {noun} {name!r} ({found.value}) cannot be loaded: {error}") from error


def _entry_points(group: str) -> "Mapping[str, EntryPoint]":
    return _installed(group, tuple(sys.path))


@lru_cache(maxsize=8)  # reads a file of every installed package, which would hold up an event loop for each new client
def _installed(group: str, _path: tuple[str, ...]) -> "Mapping[str, EntryPoint]":
    from importlib.metadata import entry_points  # slow to import, and needed once a client is opened

    return {found.name: found for found in entry_points(group=group)}
