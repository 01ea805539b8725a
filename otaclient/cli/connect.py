"""Which backend a command means, and a client of it."""

from collections.abc import Sequence
from typing import Any, Final

from otaclient.cli.failures import UsageError
from otaclient.cli.options import DEFAULT_ATTEMPTS
from otaclient.errors import ConfigurationError, UnsupportedOperationError
from otaclient.protocols import Backend, Capability
from otaclient.registry import available_backends, backend_plugin, open_backend
from otaclient.settings import settings_of
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy

__all__ = ["chosen_backends", "configured_backends", "connect", "connect_all", "require"]

_CALL_SECONDS: Final = 30.0
"""What one call has, with all its attempts, where no more of them are asked for: as from ``open_backend``."""


def connect(name: str | None, *, profile: str | None, attempts: int = DEFAULT_ATTEMPTS) -> Backend:
    """Return a client of the backend that was named, else of the only one that has settings.

    Args:
        name: The backend.
        profile: The profile to take settings from.
        attempts: How often a request is sent before it is given up.

    Raises:
        ConfigurationError: The backend is unknown, or its settings are missing or wrong.
        UsageError: None was named, and not exactly one has settings.
    """
    patience = _patience(attempts)
    if name is not None:
        return open_backend(name, profile=profile, **patience)
    configured = configured_backends(profile)
    if len(configured) == 1:
        return open_backend(configured[0], profile=profile, **patience)
    if not configured:
        raise _nothing_configured()
    raise UsageError(
        f"several backends have settings ({', '.join(configured)}): name one with --backend "
        f"(known: {', '.join(available_backends())})"
    )


def connect_all(names: Sequence[str] | None, *, profile: str | None, concurrency: int, attempts: int) -> list[Backend]:
    """Return clients of the backends that were named, else of all that have settings.

    Args:
        names: The backends.
        profile: The profile to take settings from.
        concurrency: How many requests each sends at once.
        attempts: How often a request is sent before it is given up.

    Raises:
        ConfigurationError: A backend is unknown, or its settings are missing or wrong.
        UsageError: One was named twice; or none was named, and none has settings.
    """
    chosen = chosen_backends(names, profile=profile)
    limits, patience = Limits(concurrency=concurrency), _patience(attempts)
    return [open_backend(name, profile=profile, limits=limits, **patience) for name in chosen]


def _patience(attempts: int) -> dict[str, Any]:
    """Return the options of a client that sends a request so often.

    With them grows the time for a call: attempts that its end forbids would help nobody. Each further one may come
    after the longest wait, so that nearly all of the usual time is left for the requests themselves.
    """
    retry = RetryPolicy(max_attempts=attempts)
    further = max(0, attempts - DEFAULT_ATTEMPTS)
    return {"retry": retry, "timeout_seconds": _CALL_SECONDS + further * retry.max_delay_seconds}


def chosen_backends(names: Sequence[str] | None, *, profile: str | None) -> tuple[str, ...]:
    """Return the backends that were named, else all that have settings.

    Raises:
        UsageError: One was named twice; or none was named, and none has settings.
    """
    repeated = sorted({name for name in names or () if (names or ()).count(name) > 1})
    if repeated:
        raise UsageError(f"--backend {repeated[0]} is given twice: give each backend once")
    chosen = tuple(names or ()) or configured_backends(profile)
    if not chosen:
        raise _nothing_configured()
    return chosen


def require(client: Backend, capability: Capability, *, instead: str = "") -> None:
    """Check that a backend can do something, for commands that ask it other things first.

    Args:
        client: The backend.
        capability: What it is to do.
        instead: What the caller can do where it cannot.

    Raises:
        UnsupportedOperationError: It cannot. Nothing was sent.
    """
    if capability not in client.capabilities:
        message = "this backend has no such operation"
        raise UnsupportedOperationError(
            f"{message}: {instead}" if instead else message, operation=capability.value, backend=client.label
        )


def configured_backends(profile: str | None) -> tuple[str, ...]:
    """Return the installed backends for which any setting is set; those that cannot be loaded are left out."""
    return tuple(name for name in available_backends() if _has_settings(name, profile))


def _has_settings(name: str, profile: str | None) -> bool:
    try:
        plugin = backend_plugin(name)
    except ConfigurationError:
        return False
    return any(setting.source for setting in settings_of(plugin.name, plugin.config_type, profile=profile))


def _nothing_configured() -> UsageError:
    return UsageError(
        f"no backend has settings (known: {', '.join(available_backends())}): 'otaclient backends' lists what to set; "
        "without an account, 'otaclient emulator' starts a cloud on this machine"
    )
