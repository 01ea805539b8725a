"""Which backend a command means, and a client of it."""

from collections.abc import Sequence

from otaclient.cli.failures import UsageError
from otaclient.errors import ConfigurationError, UnsupportedOperationError
from otaclient.protocols import Backend, Capability
from otaclient.registry import available_backends, backend_plugin, open_backend
from otaclient.settings import settings_of
from otaclient.transport.limits import Limits

__all__ = ["chosen_backends", "configured_backends", "connect", "connect_all", "require"]


def connect(name: str | None, *, profile: str | None) -> Backend:
    """Return a client of the backend that was named, else of the only one that has settings.

    Raises:
        ConfigurationError: The backend is unknown, or its settings are missing or wrong.
        UsageError: None was named, and not exactly one has settings.
    """
    if name is not None:
        return open_backend(name, profile=profile)
    configured = configured_backends(profile)
    if len(configured) == 1:
        return open_backend(configured[0], profile=profile)
    if not configured:
        raise _nothing_configured()
    raise UsageError(
        f"several backends have settings ({', '.join(configured)}): name one with --backend "
        f"(known: {', '.join(available_backends())})"
    )


def connect_all(names: Sequence[str] | None, *, profile: str | None, concurrency: int) -> list[Backend]:
    """Return clients of the backends that were named, else of all that have settings.

    Raises:
        ConfigurationError: A backend is unknown, or its settings are missing or wrong.
        UsageError: One was named twice; or none was named, and none has settings.
    """
    chosen = chosen_backends(names, profile=profile)
    return [open_backend(name, profile=profile, limits=Limits(concurrency=concurrency)) for name in chosen]


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
