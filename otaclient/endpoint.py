"""Addresses of services, checked before anything is sent."""

import ipaddress
import sys
import warnings
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from otaclient.errors import ConfigurationError

__all__ = ["InsecureTransportWarning", "checked_endpoint", "is_on_this_machine", "warn_of_insecurity"]


class InsecureTransportWarning(UserWarning):
    """Credentials and firmware go over the network in a way that others can read or change."""


def checked_endpoint(text: Any, *, setting: str) -> str:
    """Return an endpoint as ``scheme://host[:port]``, in lower case, without a default port or trailing slash.

    Args:
        text: What the user gave.
        setting: The name of the setting, for the message.

    Raises:
        ConfigurationError: It is no text, has no scheme, another one than http or https, no host, or more than an
            address.
    """
    shape = f"{setting} must look like https://host or https://host:port"
    if not isinstance(text, str):
        raise ConfigurationError(f"{setting} is of the type {type(text).__name__}: {shape}")
    parts = _split(text.strip())
    if parts is None:
        raise ConfigurationError(f"{setting} is an address without a host that can be right: {shape}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{setting} holds a user name or password: {shape}")
    if parts.scheme not in ("http", "https") or "://" not in text:
        raise ConfigurationError(f"{setting} is {text!r}, without https:// (or http://) before it: {shape}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(
            f"{setting} is {text!r}, with a port that is not a number up to 65535: {shape}"
        ) from error
    if not host or not _is_host(host):
        raise ConfigurationError(f"{setting} is {text!r}, without a host that can be right: {shape}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        query, fragment = parts.query and f"?{parts.query}", parts.fragment and f"#{parts.fragment}"
        extra = f"{parts.path}{query}{fragment}"
        raise ConfigurationError(f"{setting} is {text!r}: remove {extra!r}, the client adds the path; {shape}")
    shown = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}" + (f":{port}" if port not in (None, default) else "")


def _split(text: str) -> SplitResult | None:
    """Return the parts of an address; ``None`` for a bracket that is not closed, or letters that stand for separators.

    Python's own error would repeat a password in it.
    """
    with suppress(ValueError):
        return urlsplit(text)
    return None


def is_on_this_machine(endpoint: str) -> bool:
    """Tell whether an endpoint cannot be anywhere but here: ``localhost``, and the loopback addresses."""
    host = urlsplit(endpoint).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Nothing can be sent to the unspecified address but to this machine.
    return address.is_loopback or address.is_unspecified


def warn_of_insecurity(text: str, category: type[Warning] = InsecureTransportWarning) -> None:
    """Warn of what others can read or change; the warning names the caller's line, not ours."""
    level, frame = 1, sys._getframe()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("otaclient"):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


def _is_host(host: str) -> bool:
    try:
        host.encode("idna")  # as it will be looked up: no label is empty, or longer than 63 bytes
    except UnicodeError:
        return False
    return not any(character.isspace() or character in "\\%<>\"'`{}|^" for character in host)
