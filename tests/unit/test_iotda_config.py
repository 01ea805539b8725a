"""The configuration of an IoTDA client: what it takes, what it refuses, what it hides."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from otaclient.errors import ConfigurationError
from otaclient.secret import Secret
from otaclient.settings import load_config
from otaclient_iotda.config import (
    AkSkCredentials,
    IotdaConfig,
    IotdaSettings,
    PasswordCredentials,
    TokenCredentials,
    checked_app_id,
    dedicated_region,
    host_of,
)

SHARED = "https://iotda.cn-north-4.myhuaweicloud.com"
DEDICATED = "https://9bc34abcde.st1.iotda-app.cn-north-4.myhuaweicloud.com:443"
KEYS: dict[str, Any] = {"access_key": "AKTESTEXAMPLE", "secret_key": "very-secret"}
USER: dict[str, Any] = {
    "iam_endpoint": "https://iam.cn-north-4.myhuaweicloud.com",
    "username": "iam-user",
    "password": "pass word\u00e9",
    "domain": "account",
}


def config(**changes: Any) -> IotdaConfig:
    """Return a configuration that is right but for the changes."""
    good: dict[str, Any] = {"endpoint": SHARED, "project_id": "p1", "credentials": AkSkCredentials(**KEYS)}
    return IotdaConfig(**(good | changes))


@pytest.mark.parametrize(
    ("endpoint", "options", "region"),
    [
        (SHARED, {}, None),
        ("http://127.0.0.1:8099", {}, None),
        ("http://127.0.0.1:8099", {"region": "cn-north-4"}, None),
        (DEDICATED, {}, "cn-north-4"),
        (DEDICATED, {"region": "eu-west-101"}, "eu-west-101"),
        (DEDICATED, {"derived": True}, "cn-north-4"),
        (DEDICATED, {"derived": False}, None),
        (SHARED, {"derived": True, "region": "cn-south-1"}, "cn-south-1"),
    ],
)
def test_the_host_chooses_the_signature_unless_told(endpoint: str, options: Any, region: str | None) -> None:
    """Dedicated hosts get derived signatures with their region, others plain ones; what is given wins."""
    made = config(endpoint=endpoint, credentials=AkSkCredentials(**KEYS, **options))
    assert isinstance(made.credentials, AkSkCredentials)
    assert made.credentials.signing_region(made.endpoint) == region


def test_derived_signing_without_a_region_is_refused() -> None:
    """Neither the settings nor the host name a region: the message says which setting helps."""
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:8099 names none: set region"):
        config(endpoint="http://127.0.0.1:8099", credentials=AkSkCredentials(**KEYS, derived=True))


def test_values_are_normalised() -> None:
    """Endpoints lose slash and default port; secrets are wrapped; what is not given is None."""
    made = config(endpoint=f"{DEDICATED}/", instance_id="4cdeb1cd-7071", app_id="space_1")
    assert made.endpoint == "https://9bc34abcde.st1.iotda-app.cn-north-4.myhuaweicloud.com"
    assert host_of(made.endpoint) == "9bc34abcde.st1.iotda-app.cn-north-4.myhuaweicloud.com"
    assert dedicated_region(host_of(made.endpoint)) == "cn-north-4"
    assert (config().instance_id, config().app_id) == (None, None)
    user = PasswordCredentials(**USER)
    assert (user.password, user.project) == (Secret("pass word\u00e9"), None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": "iotda.example.com"}, "endpoint"),
        ({"endpoint": 7}, "endpoint is of the type int"),
        ({"endpoint": "https://x.iotda-device.cn-north-4.myhuaweicloud.com"}, "iotda-app"),
        ({"project_id": ""}, "project_id"),
        ({"project_id": "a/b"}, "project_id"),
        ({"project_id": None}, "project_id"),
        ({"app_id": "a b"}, "app_id is 'a b'"),
        ({"instance_id": "a b"}, "instance_id is 'a b'"),
        ({"instance_id": ""}, "instance_id"),
        ({"credentials": None}, "credentials is a NoneType"),
    ],
)
def test_wrong_settings_are_named(changes: Any, words: str) -> None:
    """Each wrong setting is one error that names it."""
    with pytest.raises(ConfigurationError, match=words.replace("|", r"\|")):
        config(**changes)


@pytest.mark.parametrize(
    ("make", "given", "words"),
    [
        (AkSkCredentials, KEYS | {"access_key": ""}, "access_key"),
        (AkSkCredentials, KEYS | {"access_key": "a, b"}, "access_key"),
        (AkSkCredentials, KEYS | {"access_key": None}, "access_key"),
        (AkSkCredentials, KEYS | {"secret_key": ""}, "secret_key must be a text that is not empty"),
        (AkSkCredentials, KEYS | {"secret_key": None}, "secret_key must be a text"),
        (AkSkCredentials, KEYS | {"secret_key": "hush\n"}, "secret_key holds white space"),
        (AkSkCredentials, KEYS | {"security_token": "hush hush"}, "security_token holds white space"),
        (AkSkCredentials, KEYS | {"region": "CN North"}, "region"),
        (AkSkCredentials, KEYS | {"derived": "yes"}, "derived is 'yes'"),
        (PasswordCredentials, USER | {"iam_endpoint": "iam.example.com"}, "iam_endpoint"),
        (PasswordCredentials, USER | {"username": " "}, "username"),
        (PasswordCredentials, USER | {"domain": "a\nb"}, "domain"),
        (PasswordCredentials, USER | {"password": ""}, "password"),
        # As the environment shows a password of another encoding.
        (
            PasswordCredentials,
            USER | {"password": b"p\xe9ss".decode(errors="surrogateescape")},
            "password is not UTF-8",
        ),
        (PasswordCredentials, USER | {"project": ""}, "project"),
        (TokenCredentials, {"token": "hush hush"}, "token holds white space"),
        (TokenCredentials, {"token": "hush\u00e9"}, "token holds white space"),
    ],
)
def test_wrong_credentials_are_named_and_never_shown(make: Callable[..., Any], given: Any, words: str) -> None:
    """Each wrong credential is one error that names it; what may be a secret is not in the message."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        make(**given)
    assert "hush" not in str(caught.value)


def test_secrets_are_hidden_and_cannot_be_pickled() -> None:
    """No secret shows in any repr, and a configuration with one refuses to be pickled."""
    everything = [
        config(credentials=AkSkCredentials(**KEYS, security_token="very-secret")),
        config(credentials=PasswordCredentials(**USER | {"password": "very-secret"})),
        config(credentials=TokenCredentials(token="very-secret")),
    ]
    for made in everything:
        assert "very-secret" not in f"{made!r} {made}"
        with pytest.raises(TypeError):
            pickle.dumps(made)


def test_an_owner_is_checked_under_the_name_it_was_given() -> None:
    """The id of a resource space is checked alike wherever it comes from."""
    assert checked_app_id("space_1", setting="owner_id") == "space_1"
    with pytest.raises(ConfigurationError, match="owner_id is 'a b'"):
        checked_app_id("a b", setting="owner_id")


# --- flat settings ---------------------------------------------------------------------------------------------------


def loaded(**settings: str) -> IotdaConfig:
    """Load from an environment and no file."""
    environ = {f"OTACLIENT_IOTDA_{name}": value for name, value in settings.items()}
    return load_config("iotda", IotdaConfig, environ={"OTACLIENT_IOTDA_ENDPOINT": SHARED} | environ, folders=[])


def test_keys_are_the_default() -> None:
    """Without AUTH the credentials are a pair of keys, signed as the host wants it."""
    made = loaded(
        PROJECT_ID="p1", APP_ID="space", INSTANCE_ID="i1", ACCESS_KEY="AK", SECRET_KEY="sk", SECURITY_TOKEN="st"
    )
    expected = AkSkCredentials(access_key="AK", secret_key=Secret("sk"), security_token=Secret("st"))
    assert made == IotdaConfig(endpoint=SHARED, project_id="p1", app_id="space", instance_id="i1", credentials=expected)


def test_auth_derived_always_derives() -> None:
    """AUTH=derived asks for derived signatures whatever the host, with the region of the settings."""
    made = loaded(PROJECT_ID="p1", AUTH="derived", ACCESS_KEY="AK", SECRET_KEY="sk", REGION="cn-north-4")
    assert made.credentials == AkSkCredentials(
        access_key="AK", secret_key=Secret("sk"), region="cn-north-4", derived=True
    )


def test_auth_password_and_auth_token() -> None:
    """The other two ways take their own settings and leave the others alone."""
    settings = {name.upper(): value for name, value in USER.items()} | {"PROJECT": "cn-north-4", "TOKEN": "tok"}
    made = loaded(PROJECT_ID="p1", AUTH="password", **settings)
    assert made.credentials == PasswordCredentials(**USER, project="cn-north-4")
    assert loaded(PROJECT_ID="p1", AUTH="token", **settings).credentials == TokenCredentials(token=Secret("tok"))


def test_an_unknown_auth_lists_the_known_ones() -> None:
    """From the environment and from code alike."""
    with pytest.raises(ConfigurationError, match="aksk, derived, password, token"):
        loaded(PROJECT_ID="p1", AUTH="oauth")
    with pytest.raises(ConfigurationError, match="'oauth': it must be one of aksk, derived, password, token"):
        IotdaSettings(endpoint=SHARED, project_id="p1", auth="oauth").to_config()  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"auth is \[\]: it must be one of"):
        IotdaSettings(endpoint=SHARED, project_id="p1", auth=[]).to_config()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"ACCESS_KEY": "AK"}, "needs secret_key"),
        ({}, "needs access_key and secret_key"),
        ({"AUTH": "token"}, "needs token"),
        ({"AUTH": "password", "USERNAME": "u"}, "needs iam_endpoint and password and domain"),
    ],
)
def test_missing_credentials_are_named(settings: dict[str, str], missing: str) -> None:
    """What the chosen way needs and does not have is named, with the variable that would set it."""
    with pytest.raises(ConfigurationError, match=missing) as caught:
        loaded(PROJECT_ID="p1", **settings)
    assert f"OTACLIENT_IOTDA_{missing.split()[1].upper()}" in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "given", "region"),
    [
        ("https://iotda.cn-north-4.myhuaweicloud.com", None, "cn-north-4"),
        ("https://9bc34abcde.st1.iotda-app.cn-east-3.myhuaweicloud.com", None, "cn-east-3"),
        ("https://iotda.cn-north-4.myhuaweicloud.com", "cn-south-1", "cn-south-1"),
        ("http://127.0.0.1:8099", None, None),
    ],
)
def test_the_region_is_that_of_the_credentials_or_the_host(
    endpoint: str, given: str | None, region: str | None
) -> None:
    """An address of one's own names none."""
    keys = AkSkCredentials(access_key="AK", secret_key="SK", region=given)
    assert IotdaConfig(endpoint=endpoint, project_id="p1", credentials=keys).region == region
    token = TokenCredentials(token="t")
    named = None if region is None else IotdaConfig(endpoint=endpoint, project_id="p1", credentials=token).region
    assert named == (None if region is None else endpoint.split(".")[-3])
