"""The configuration of an EnOS client: what it takes, what it refuses, what it hides."""

import pickle
from typing import Any

import attrs
import pytest

from otaclient.errors import ConfigurationError
from otaclient.secret import Secret
from otaclient.settings import load_config
from otaclient_enos.config import EnosConfig, checked_org_id

GOOD: dict[str, Any] = {
    "endpoint": "https://APIM.example.com/",
    "org_id": "o15475466766371",
    "app_key": "the-app-key",
    "app_secret": "the-secret",
}


def test_values_are_normalised() -> None:
    """The endpoint loses its slash, the secret is wrapped, the rest has defaults."""
    config = EnosConfig(**GOOD)
    assert config.endpoint == "https://apim.example.com"
    assert config.app_secret == Secret("the-secret")
    assert (config.files_endpoint, config.api_version) == (None, "v2.1")


def test_a_secret_object_and_a_files_endpoint_are_taken() -> None:
    """A secret may come wrapped; the files gateway is checked like the other."""
    secret = Secret("s")
    config = EnosConfig(**{**GOOD, "app_secret": secret, "files_endpoint": "https://Files.example.com:443"})
    assert config.app_secret is secret
    assert config.files_endpoint == "https://files.example.com"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("endpoint", "apim.example.com", "https://"),
        ("endpoint", "https://apim.example.com/connect-service", "/connect-service"),
        ("endpoint", 7, "type int"),
        ("files_endpoint", "ftp://files.example.com", "https://"),
        ("files_endpoint", b"https://files.example.com", "type bytes"),
        ("org_id", "", "is empty"),
        ("org_id", "o1 ", "white space"),
        ("org_id", None, "type NoneType"),
        ("app_key", "key\n", "control character"),
        ("app_key", "", "is empty"),
        ("app_secret", "", "is empty"),
        ("app_secret", 5, "type int"),
        ("api_version", "2.1", "v2.1"),
        ("api_version", "v2.1/..", "v2.1"),
        ("api_version", 2, "type int"),
    ],
)
def test_wrong_values_are_named(setting: str, value: Any, words: str) -> None:
    """Each wrong setting is one error that names it and says what is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        EnosConfig(**{**GOOD, setting: value})
    assert setting in caught.value.message
    assert words in caught.value.message


@pytest.mark.parametrize("secret", ["two words", "line\n", "\ud800"])
def test_a_wrong_secret_is_not_shown(secret: str) -> None:
    """The complaint about a secret does not repeat it."""
    with pytest.raises(ConfigurationError, match="app_secret holds white space or a control character") as caught:
        EnosConfig(**{**GOOD, "app_secret": secret})
    assert secret not in str(caught.value)


def test_the_secret_stays_hidden() -> None:
    """It is in no representation, and a pickle is refused rather than made."""
    config = EnosConfig(**GOOD)
    assert "the-secret" not in f"{config!r} {config} {attrs.asdict(config)}"
    with pytest.raises(TypeError):
        pickle.dumps(config)


def test_settings_fill_it() -> None:
    """Every field is read from the environment under its own name."""
    environ = {
        "OTACLIENT_ENOS_ENDPOINT": "http://127.0.0.1:8080",
        "OTACLIENT_ENOS_ORG_ID": "o1",
        "OTACLIENT_ENOS_APP_KEY": "key",
        "OTACLIENT_ENOS_APP_SECRET": "the-secret",
        "OTACLIENT_ENOS_FILES_ENDPOINT": "http://127.0.0.1:8081",
        "OTACLIENT_ENOS_API_VERSION": "v2.2",
    }
    config = load_config("enos", EnosConfig, environ=environ, folders=())
    assert config == EnosConfig(
        endpoint="http://127.0.0.1:8080",
        org_id="o1",
        app_key="key",
        app_secret="the-secret",
        files_endpoint="http://127.0.0.1:8081",
        api_version="v2.2",
    )


def test_an_organisation_is_checked_under_the_name_of_its_option() -> None:
    """The same rule serves other options that name an organisation."""
    assert checked_org_id("o2", setting="owner_id") == "o2"
    with pytest.raises(ConfigurationError, match="owner_id is empty"):
        checked_org_id("", setting="owner_id")
