"""How to reach the network: proxy, certificates, caps. Values only."""

import os
from pathlib import Path
from typing import Any

import attrs

from otaclient.endpoint import checked_endpoint
from otaclient.errors import ConfigurationError
from otaclient.secret import Secret, last_characters

__all__ = ["TransportOptions"]

_MEBIBYTE = 1024 * 1024


def _path(value: "str | os.PathLike[str] | None") -> Path | None:
    # Whatever else came in by mistake stays what it is, for the check to refuse.
    given: Any = value
    path: Any = Path(given) if isinstance(value, str | os.PathLike) else given
    return path  # type: ignore[no-any-return]


def _secret(value: "str | Secret | None") -> Secret | None:
    return Secret.of_optional(value)


def _exists(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, Path):
        raise ConfigurationError(f"TransportOptions {field.name} is {value!r}: give the path of a file")
    if not value.is_file():
        raise ConfigurationError(f"TransportOptions {field.name} is {str(value)!r}: there is no such file")


def _positive(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if not (type(value) is int and value > 0):
        raise ConfigurationError(f"TransportOptions {field.name} is {value!r}: it must be a whole number above 0")


def _text(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    # What it is instead may be half of a credential.
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"TransportOptions {field.name} is of the type {type(value).__name__}: give a text")


def _secret_text(_instance: Any, field: "attrs.Attribute[Any]", value: Secret | None) -> None:
    _text(_instance, field, None if value is None else value.reveal())


def _yes_or_no(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    # No number, and no text such as "false", switches anything off.
    if not isinstance(value, bool):
        raise ConfigurationError(f"TransportOptions {field.name} is {value!r}: it must be True or False")


@attrs.frozen(kw_only=True)
class TransportOptions:
    """How to reach the network.

    TLS certificates are verified, and nothing but :attr:`dangerously_skip_tls_verification` changes that: no variable
    of the environment, and no setting of a profile.
    """

    proxy: str | None = attrs.field(default=None, validator=_text)
    """Address of an HTTP proxy, such as ``http://proxy.example.com:3128``; without user and password in it. ``None``:
    none; variables such as ``HTTPS_PROXY``, and ``.netrc``, are not looked at."""
    proxy_username: str | None = attrs.field(default=None, repr=last_characters, validator=_text)
    proxy_password: Secret | None = attrs.field(default=None, converter=_secret, validator=_secret_text)
    ca_file: Path | None = attrs.field(default=None, converter=_path, validator=_exists)
    """PEM file of the authorities to trust instead of the machine's."""
    client_certificate: Path | None = attrs.field(default=None, converter=_path, validator=_exists)
    """PEM file of a client certificate, with its key in it or in ``client_key``."""
    client_key: Path | None = attrs.field(default=None, converter=_path, validator=_exists)
    max_response_bytes: int = attrs.field(default=64 * _MEBIBYTE, validator=_positive)
    """The largest decompressed body that is accepted."""
    dangerously_skip_tls_verification: bool = attrs.field(default=False, validator=_yes_or_no)
    """Whether to take any certificate for the server's: then anybody on the way can read the credentials and change the
    firmware. Warns at every opening. For a closed test network only; for an authority of your own, give ``ca_file``."""
    user_agent_suffix: str | None = attrs.field(default=None, validator=_text)
    """Appended to the ``User-Agent`` header, such as ``plant-7/1.2``."""

    def __attrs_post_init__(self) -> None:
        if self.proxy is not None and "@" in self.proxy:
            raise ConfigurationError(
                "TransportOptions proxy holds a user name or password: give proxy_username and proxy_password instead"
            )
        if self.proxy is not None:
            checked_endpoint(self.proxy, setting="TransportOptions proxy")
        if ":" in (self.proxy_username or ""):
            raise ConfigurationError("TransportOptions proxy_username holds a colon, which ends it: remove it")
        if (self.proxy_username is None) != (self.proxy_password is None):
            raise ConfigurationError("TransportOptions proxy_username and proxy_password belong together: give both")
        if self.proxy is None and self.proxy_password is not None:
            # They would go to the vendor.
            raise ConfigurationError("TransportOptions proxy_username and proxy_password are given without proxy")
        if self.dangerously_skip_tls_verification and self.ca_file is not None:
            raise ConfigurationError(
                "TransportOptions dangerously_skip_tls_verification and ca_file exclude each other: with ca_file, "
                "certificates are verified"
            )
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigurationError("TransportOptions client_key is given without client_certificate: give both")
        if self.user_agent_suffix is not None and not self.user_agent_suffix.isprintable():
            raise ConfigurationError("TransportOptions user_agent_suffix holds a control character: remove it")
