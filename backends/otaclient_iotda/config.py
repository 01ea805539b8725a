"""Where an IoTDA project is, and how to prove to it who asks. Every wrong value is refused here, before any request."""

import re
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

import attrs

from otaclient.endpoint import checked_endpoint
from otaclient.errors import ConfigurationError
from otaclient.secret import Secret, last_characters
from otaclient_iotda.checks import OWNER_ID

__all__ = [
    "AkSkCredentials",
    "AuthKind",
    "Credentials",
    "IotdaConfig",
    "IotdaSettings",
    "PasswordCredentials",
    "TokenCredentials",
    "checked_app_id",
    "dedicated_region",
    "host_of",
]

AuthKind: TypeAlias = Literal["aksk", "derived", "password", "token"]

# A dedicated host names its region, as in `9bc34abcde.st1.iotda-app.cn-north-4.myhuaweicloud.com`.
_DEDICATED_HOST: Final = re.compile(r"\.iotda-app\.([a-z0-9-]+)\.")
# A shared host does so too, as in `iotda.cn-north-4.myhuaweicloud.com`.
_SHARED_HOST: Final = re.compile(r"iotda\.([a-z0-9-]+)\.myhuaweicloud\.")
_DEVICE_SIDE: Final = ".iotda-device."
_REGION: Final = re.compile(r"[a-z0-9-]+")
# The vendor's keys are letters and digits; no more is demanded than that a signature's header stays readable.
_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9._-]+")
# The vendor gives no pattern for project ids; all that were seen are 32 hexadecimal digits. Ours only keeps the path
# whole.
_PROJECT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def dedicated_region(host: str) -> str | None:
    """Return the region that a dedicated host names; ``None`` for a shared host, an address or a name of one's own."""
    found = _DEDICATED_HOST.search(host)
    return found.group(1) if found else None


def host_of(endpoint: str) -> str:
    """Return ``host[:port]`` of an endpoint, as the ``Host`` header has it."""
    return endpoint.partition("://")[2]


def checked_app_id(text: Any, *, setting: str) -> str:
    """Return the id of a resource space as it is.

    Raises:
        ConfigurationError: It cannot be one; names the setting.
    """
    if not isinstance(text, str) or not OWNER_ID.pattern.fullmatch(text):
        raise ConfigurationError(f"{setting} is {text!r}: it must be {OWNER_ID.words}")
    return text


def _endpoint(text: str) -> str:
    return checked_endpoint(text, setting="endpoint")


def _iam_endpoint(text: str) -> str:
    return checked_endpoint(text, setting="iam_endpoint")


def _secret(value: str | Secret) -> Secret:
    return Secret.of(value)


def _optional_secret(value: str | Secret | None) -> Secret | None:
    return Secret.of_optional(value)


def _matches(rule: re.Pattern[str], words: str) -> Any:
    def validate(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and field.default is None:
            return
        if not isinstance(value, str) or not rule.fullmatch(value):
            raise ConfigurationError(f"{field.name} is {value!r}: it must be {words}")

    return validate


def _check_text(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is None and field.default is None:
        return
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{field.name} must be a text that is not empty")
    if not value.isprintable():
        raise ConfigurationError(f"{field.name} holds control characters: remove them")


def _check_header_secret(_instance: Any, field: "attrs.Attribute[Any]", value: Secret | None) -> None:
    """Refuse what no header can carry; it comes from a line end that was copied along. The value is never shown."""
    if value is None:
        return
    _check_secret(_instance, field, value)
    if any(not "!" <= character <= "~" for character in value.reveal()):
        raise ConfigurationError(
            f"{field.name} holds white space, a control character or one outside ASCII: copy it again without line ends"
        )


def _check_access_key(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    # The value is not shown: the two keys are easily taken for each other.
    if not isinstance(value, str) or not _ACCESS_KEY.fullmatch(value):
        raise ConfigurationError(f"{field.name} must be the identifier of a key pair: letters and digits, not empty")


def _check_app_id(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None:
        checked_app_id(value, setting=field.name)


def _check_optional_flag(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"{field.name} is {value!r}: it must be True, False or None")


def _check_flag(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if type(value) is not bool:
        raise ConfigurationError(f"{field.name} is {value!r}: it must be True or False")


def _check_secret(_instance: Any, field: "attrs.Attribute[Any]", value: Secret) -> None:
    text: Any = value.reveal()
    if not isinstance(text, str) or not text:
        raise ConfigurationError(f"{field.name} must be a text that is not empty")
    # Bytes of the environment that are no UTF-8 become these. Without the text: the encoder's own error would hold it.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigurationError(f"{field.name} is not UTF-8: save it, or type it, in that encoding")


@attrs.frozen(kw_only=True)
class AkSkCredentials:
    """A pair of an access key and a secret key; with a security token, a temporary one.

    Raises:
        ConfigurationError: A value cannot be right; names the setting, and shows no secret.

    Source: Huawei Cloud API Gateway, "API Signing Guide"; IoTDA, "Authentication".
    """

    access_key: str = attrs.field(validator=_check_access_key, repr=last_characters)
    """The access key identifier (AK)."""
    secret_key: Secret = attrs.field(converter=_secret, validator=_check_header_secret)
    """The secret access key (SK)."""
    security_token: Secret | None = attrs.field(
        default=None, converter=_optional_secret, validator=_check_header_secret
    )
    """Belongs to temporary keys."""
    region: str | None = attrs.field(default=None, validator=_matches(_REGION, "a region such as 'cn-north-4'"))
    """The region that derived signatures name; taken from a dedicated host unless given. Plain signatures need none."""
    derived: bool | None = attrs.field(default=None, validator=_check_optional_flag)
    """Whether to sign with keys derived for region and day (``V11-HMAC-SHA256``) instead of plainly
    (``SDK-HMAC-SHA256``). ``None``: derived for a dedicated host (``....iotda-app.<region>....``), else plain."""

    def signing_region(self, endpoint: str) -> str | None:
        """Return the region of derived signatures for this endpoint, or ``None`` where signatures are plain.

        Raises:
            ConfigurationError: ``derived`` is true, but neither ``region`` nor the host says which region.
        """
        named = dedicated_region(host_of(endpoint))
        if self.derived is False or (self.derived is None and named is None):
            return None
        region = self.region or named
        if region is None:
            raise ConfigurationError(
                f"derived signing needs a region, and {host_of(endpoint)} names none: set region, such as 'cn-north-4'"
            )
        return region


@attrs.frozen(kw_only=True)
class PasswordCredentials:
    """An IAM user's name and password, which buy an access token of 24 hours; the client renews it.

    An account whose users must pass a second factor, or a HUAWEI ID, cannot use it.

    Raises:
        ConfigurationError: A value cannot be right; names the setting, and shows no secret.

    Source: Huawei Cloud IAM, "Obtaining a User Token Through Password Authentication".
    """

    iam_endpoint: str = attrs.field(converter=_iam_endpoint)
    """Such as ``https://iam.cn-north-4.myhuaweicloud.com``."""
    username: str = attrs.field(validator=_check_text, repr=last_characters)
    password: Secret = attrs.field(converter=_secret, validator=_check_secret)
    domain: str = attrs.field(validator=_check_text)
    """The account's name."""
    project: str | None = attrs.field(default=None, validator=_check_text)
    """The project that the token is for: its name, such as ``cn-north-4``, or its id, which is told from a name by
    being 32 hexadecimal digits. ``None``: the ``project_id`` of the configuration."""


@attrs.frozen(kw_only=True)
class TokenCredentials:
    """An IAM token that somebody else obtained. When it dies, calls fail with ``AuthenticationError``.

    Raises:
        ConfigurationError: It cannot be one; it is not shown.
    """

    token: Secret = attrs.field(converter=_secret, validator=_check_header_secret)


Credentials: TypeAlias = AkSkCredentials | PasswordCredentials | TokenCredentials


# What each way to authenticate needs; all of them are settings of their own.
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "aksk": ("access_key", "secret_key"),
    "derived": ("access_key", "secret_key"),
    "password": ("iam_endpoint", "username", "password", "domain"),
    "token": ("token",),
}


@attrs.frozen(kw_only=True)
class IotdaSettings:
    """The settings of :class:`IotdaConfig` one by one, as ``OTACLIENT_IOTDA_<NAME>`` or a profile gives them."""

    endpoint: str
    project_id: str
    app_id: str | None = None
    instance_id: str | None = None
    auth: AuthKind = "aksk"
    """``aksk``: keys, signed as the host wants it. ``derived``: keys, always derived signatures. ``password``: an IAM
    user. ``token``: a ready IAM token. Settings of the ways that are not chosen are not looked at."""
    region: str | None = None
    access_key: str | None = attrs.field(default=None, repr=last_characters)
    secret_key: Secret | None = attrs.field(default=None, converter=_optional_secret)
    security_token: Secret | None = attrs.field(default=None, converter=_optional_secret)
    iam_endpoint: str | None = None
    username: str | None = attrs.field(default=None, repr=last_characters)
    password: Secret | None = attrs.field(default=None, converter=_optional_secret)
    domain: str | None = None
    project: str | None = None
    token: Secret | None = attrs.field(default=None, converter=_optional_secret)
    correct_clock_skew: bool = False

    def to_config(self) -> "IotdaConfig":
        """Return the configuration that these settings describe.

        Raises:
            ConfigurationError: ``auth`` is unknown, or a setting that it needs is missing or wrong.
        """
        return IotdaConfig(
            endpoint=self.endpoint,
            project_id=self.project_id,
            credentials=self._credentials(),
            instance_id=self.instance_id,
            app_id=self.app_id,
            correct_clock_skew=self.correct_clock_skew,
        )

    def _credentials(self) -> Credentials:
        auth: Any = self.auth
        needed = _NEEDED.get(auth) if isinstance(auth, str) else None
        if needed is None:
            raise ConfigurationError(f"auth is {self.auth!r}: it must be one of {', '.join(get_args(AuthKind))}")
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ConfigurationError(
                f"auth {self.auth!r} needs {' and '.join(missing)}: set what is missing, or choose another auth"
            )
        given: dict[str, Any] = {name: getattr(self, name) for name in needed}
        if self.auth == "token":
            return TokenCredentials(**given)
        if self.auth == "password":
            return PasswordCredentials(**given, project=self.project)
        derived = True if self.auth == "derived" else None
        return AkSkCredentials(**given, security_token=self.security_token, region=self.region, derived=derived)


@attrs.frozen(kw_only=True)
class IotdaConfig:
    """How to reach one IoTDA project.

    Raises:
        ConfigurationError: A value is missing or cannot be right; names the setting, the rule and the remedy.

    Source: Huawei Cloud IoTDA API reference, "Calling APIs" (endpoints, editions, authentication).
    """

    endpoint: str = attrs.field(converter=_endpoint)
    """The application access address: ``https://iotda.<region>.myhuaweicloud.com`` (shared), or, for standard and
    enterprise editions, the dedicated ``https://<id>.st1.iotda-app.<region>.myhuaweicloud.com`` of the console."""
    project_id: str = attrs.field(
        validator=_matches(_PROJECT_ID, "the project's id: letters, digits, '_' and '-', at most 64")
    )
    credentials: Credentials
    instance_id: str | None = attrs.field(
        default=None,
        validator=_matches(re.compile(r"[!-~]{1,36}"), "an instance id: 1 to 36 characters without spaces"),
    )
    """Sent as ``Instance-Id`` where given; the professional edition demands it."""
    app_id: str | None = attrs.field(default=None, validator=_check_app_id)
    """The resource space that listings keep to, unless a query names another; ``None``: all that the user may see."""
    correct_clock_skew: bool = attrs.field(default=False, validator=_check_flag)
    """Whether to take over the server's time, from the date of its answer, where it refuses a signature and this
    machine's clock is more than a minute off. Better is to set the clock. Tokens need no clock."""

    Settings: ClassVar[type[IotdaSettings]] = IotdaSettings
    """The flat form that files and the environment fill."""

    def __attrs_post_init__(self) -> None:
        credentials: Any = self.credentials
        if not isinstance(credentials, AkSkCredentials | PasswordCredentials | TokenCredentials):
            raise ConfigurationError(
                f"credentials is a {type(credentials).__name__}: "
                "give AkSkCredentials, PasswordCredentials or TokenCredentials"
            )
        if _DEVICE_SIDE in self.endpoint:
            raise ConfigurationError(
                f"endpoint is {self.endpoint!r}, the address for devices: "
                "give the application access address (iotda-app)"
            )
        if isinstance(credentials, AkSkCredentials):
            credentials.signing_region(self.endpoint)

    @property
    def region(self) -> str | None:
        """The region: the one of the credentials, else the one that the host names; ``None`` where neither does."""
        host = host_of(self.endpoint)
        shared = _SHARED_HOST.match(host)
        given = self.credentials.region if isinstance(self.credentials, AkSkCredentials) else None
        return given or dedicated_region(host) or (shared.group(1) if shared else None)
