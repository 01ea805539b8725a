"""What a client of EnOS needs to know: where the gateway is, which organisation, and who asks."""

import re
from typing import Any, Final

import attrs

from otaclient.endpoint import checked_endpoint
from otaclient.errors import ConfigurationError
from otaclient.secret import Secret, last_characters

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
    if not _is_word(text):
        raise ConfigurationError(f"{setting} is {text!r}: remove the white space or control character in it")
    return text


def _check_hidden(value: Any, *, setting: str) -> None:
    # The value is not shown: key and secret are easily taken for each other.
    if not _is_word(_text(value, setting=setting)):
        raise ConfigurationError(f"{setting} holds white space or a control character: remove it")


def _text(value: Any, *, setting: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{setting} is of the type {type(value).__name__}: give a text")
    if not value:
        raise ConfigurationError(f"{setting} is empty: give it a value, {_WHERE}")
    return value


def _is_word(text: str) -> bool:
    return text.isprintable() and " " not in text


def _endpoint(value: str) -> str:
    return checked_endpoint(value, setting="endpoint")


def _files_endpoint(value: str | None) -> str | None:
    return None if value is None else checked_endpoint(value, setting="files_endpoint")


def _secret(value: str | Secret) -> Secret:
    _check_hidden(value.reveal() if isinstance(value, Secret) else value, setting="app_secret")
    return Secret.of(value)


def _check_word(_instance: Any, field: "attrs.Attribute[str]", value: str) -> None:
    _word(value, setting=field.name)


def _check_app_key(_instance: Any, field: "attrs.Attribute[str]", value: str) -> None:
    _check_hidden(value, setting=field.name)


def _check_version(_instance: Any, field: "attrs.Attribute[str]", value: str) -> None:
    if not _VERSION.fullmatch(_text(value, setting=field.name)):
        raise ConfigurationError(f"{field.name} is {value!r}: it must look like v2.1")


def _check_flag(_instance: Any, field: "attrs.Attribute[bool]", value: Any) -> None:
    if type(value) is not bool:
        raise ConfigurationError(f"{field.name} is {value!r}: it must be True or False")


@attrs.frozen(kw_only=True)
class EnosConfig:
    """How to reach one EnOS organisation.

    Raises:
        ConfigurationError: A value is missing or cannot be right; names the setting, the rule and the remedy.

    Source: EnOS API Management, "Get Access Token"; EnOS Connection Service, "V2.1 Download File" (``files_endpoint``).
    """

    endpoint: str = attrs.field(converter=_endpoint)
    """The API gateway, such as ``https://apim-region.example.com``: no path, the client adds it."""
    org_id: str = attrs.field(validator=_check_word)
    """The organisation, such as ``o15475466766371``."""
    app_key: str = attrs.field(validator=_check_app_key, repr=last_characters)
    """The key of the application that asks, also called access key."""
    app_secret: Secret = attrs.field(converter=_secret)
    """The application's secret, also called secret key; a text is taken as well."""
    files_endpoint: str | None = attrs.field(default=None, converter=_files_endpoint)
    """The message integration gateway, which serves firmware files; ``None``: the same as ``endpoint``."""
    api_version: str = attrs.field(default="v2.1", validator=_check_version)
    """The version in the paths of the Connection Service."""
    correct_clock_skew: bool = attrs.field(default=False, validator=_check_flag)
    """Whether to take over the server's time, from the date of its answer, where it refuses a token request or a
    signature and this machine's clock is more than a minute off. Better is to set the clock."""
