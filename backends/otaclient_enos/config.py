"""What a client of EnOS needs to know: where the gateway is, which organisation, and who asks."""

import re
from typing import Any, Final

import attrs

from otaclient.endpoint import checked_endpoint
from otaclient.errors import ConfigurationError
from otaclient.secret import Secret

__all__ = ["EnosConfig", "checked_org_id"]

_VERSION: Final = re.compile(r"v[0-9]+(\.[0-9]+)*")
_WHERE: Final = "the EnOS management console shows it"


def checked_org_id(value: str, *, setting: str) -> str:
    """Return an organisation's identifier.

    Raises:
        ConfigurationError: It is no text, is empty, or holds a space or a control character.
    """
    return _word(value, setting=setting)


def _word(value: Any, *, setting: str) -> str:
    text = _text(value, setting=setting)
    if not text:
        raise ConfigurationError(f"{setting} is empty: give it a value, {_WHERE}")
    if not text.isprintable() or " " in text:
        raise ConfigurationError(f"{setting} is {text!r}: remove the white space or control character in it")
    return text


def _text(value: Any, *, setting: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{setting} is of the type {type(value).__name__}: give a text")
    return value


def _gateway(value: str) -> str:
    return checked_endpoint(_text(value, setting="endpoint"), setting="endpoint")


def _files_gateway(value: str | None) -> str | None:
    return None if value is None else checked_endpoint(_text(value, setting="files_endpoint"), setting="files_endpoint")


def _secret(value: str | Secret) -> Secret:
    secret = Secret.of(value if isinstance(value, Secret) else _text(value, setting="app_secret"))
    text = secret.reveal()
    if not text:
        raise ConfigurationError(f"app_secret is empty: give it a value, {_WHERE}")
    if not text.isprintable() or " " in text:
        raise ConfigurationError("app_secret holds white space or a control character: remove it")
    return secret


def _check_word(_instance: Any, field: "attrs.Attribute[str]", value: str) -> None:
    _word(value, setting=field.name)


def _check_version(_instance: Any, field: "attrs.Attribute[str]", value: str) -> None:
    if not _VERSION.fullmatch(_text(value, setting=field.name)):
        raise ConfigurationError(f"{field.name} is {value!r}: it must look like v2.1")


@attrs.frozen(kw_only=True)
class EnosConfig:
    """How to reach one EnOS organisation.

    Raises:
        ConfigurationError: A value is missing or cannot be right; names the setting, the rule and the remedy.
    """

    endpoint: str = attrs.field(converter=_gateway)
    """The API gateway, such as ``https://apim-region.example.com``: no path, the client adds it."""
    org_id: str = attrs.field(validator=_check_word)
    """The organisation, such as ``o15475466766371``."""
    app_key: str = attrs.field(validator=_check_word)
    """The key of the application that asks, also called access key."""
    app_secret: Secret = attrs.field(converter=_secret)
    """The application's secret, also called secret key; a text is taken as well."""
    files_endpoint: str | None = attrs.field(default=None, converter=_files_gateway)
    """The message integration gateway, which serves firmware files; ``None``: the same as ``endpoint``."""
    api_version: str = attrs.field(default="v2.1", validator=_check_version)
    """The version in the paths of the Connection Service."""
