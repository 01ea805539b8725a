"""How to reach the network: proxy, certificates, caps. Values only."""

from pathlib import Path
from typing import Any

import attrs

from otaclient.errors import ConfigurationError
from otaclient.secret import Secret

__all__ = ["TransportOptions"]

_MEBIBYTE = 1024 * 1024


def _path(value: "str | Path | None") -> Path | None:
    return None if value is None else Path(value)


def _secret(value: "str | Secret | None") -> Secret | None:
    return Secret.of_optional(value)


def _exists(_instance: Any, field: "attrs.Attribute[Any]", value: Path | None) -> None:
    if value is not None and not value.is_file():
        raise ConfigurationError(f"TransportOptions {field.name} is {str(value)!r}: there is no such file")


def _positive(_instance: Any, field: "attrs.Attribute[Any]", value: int) -> None:
    if not value > 0:
        raise ConfigurationError(f"TransportOptions {field.name} is {value!r}: it must be above 0")


@attrs.frozen(kw_only=True)
class TransportOptions:
    """How to reach the network. TLS certificates are always verified."""

    proxy: str | None = None
    """Address of an HTTP proxy, such as ``http://proxy.example.com:3128``; without user and password in it."""
    proxy_username: str | None = None
    proxy_password: Secret | None = attrs.field(default=None, converter=_secret)
    ca_file: Path | None = attrs.field(default=None, converter=_path, validator=_exists)
    """PEM file of the authorities to trust instead of the machine's."""
    client_certificate: Path | None = attrs.field(default=None, converter=_path, validator=_exists)
    """PEM file of a client certificate, with its key in it or in ``client_key``."""
    client_key: Path | None = attrs.field(default=None, converter=_path, validator=_exists)
    max_response_bytes: int = attrs.field(default=64 * _MEBIBYTE, validator=_positive)
    """The largest decompressed body that is accepted."""
    user_agent_suffix: str | None = None
    """Appended to the ``User-Agent`` header, such as ``plant-7/1.2``."""

    def __attrs_post_init__(self) -> None:
        if self.proxy is not None and "@" in self.proxy:
            raise ConfigurationError(
                "TransportOptions proxy holds a user name or password: give proxy_username and proxy_password instead"
            )
        if self.proxy is not None and not self.proxy.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"TransportOptions proxy is {self.proxy!r}: it must begin with http:// or https://"
            )
        if (self.proxy_username is None) != (self.proxy_password is None):
            raise ConfigurationError("TransportOptions proxy_username and proxy_password belong together: give both")
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigurationError("TransportOptions client_key is given without client_certificate: give both")
        if self.user_agent_suffix is not None and not self.user_agent_suffix.isprintable():
            raise ConfigurationError("TransportOptions user_agent_suffix holds a control character: remove it")
