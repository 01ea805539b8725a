"""Addresses are checked before anything is sent."""

from typing import Any

import pytest

from otaclient.endpoint import checked_endpoint
from otaclient.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://apim-eu.example.com", "https://apim-eu.example.com"),
        ("https://APIM-EU.example.com/", "https://apim-eu.example.com"),
        (" https://host:443 ", "https://host"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://host:80", "http://host"),
        ("http://host_1.example.", "http://host_1.example."),
    ],
)
def test_good_addresses_are_normalised(text: str, endpoint: str) -> None:
    """Case, a trailing slash, blanks around and a default port do not matter."""
    assert checked_endpoint(text, setting="ENDPOINT") == endpoint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("apim-eu.example.com", "without https://"),
        ("localhost:8080", "without https://"),
        ("ftp://host", "without https://"),
        ("", "without https://"),
        ("https://", "without a host"),
        ("https://ho st", "without a host"),
        ("https://host/connect-service/v2.1", "remove '/connect-service/v2.1'"),
        ("https://host?a=1", r"remove '\?a=1'"),
        ("https://host#x", "remove '#x'"),
        ("https://user:hunter2@host", "holds a user name or password"),
        ("https://user:hunter2@[host", "without a host"),
        ("https://user:hunter2@h\u2100st", "without a host"),
        ("https://host:port", "a port that is not a number"),
        ("https://host:99999", "a port that is not a number"),
        ("https://host:65536", "a port that is not a number up to 65535"),
        ("https://[::1", "without a host"),
        ("https://[zz]", "without a host"),
        ("https://exa\u2100mple.com", "without a host"),
        ("https://..", "without a host"),
        (f"https://{'a' * 64}.example.com", "without a host"),
        ("https://h//", "remove '//'"),
        (b"https://host", "is of the type bytes"),
    ],
)
def test_wrong_addresses_say_what_to_do(text: Any, words: str) -> None:
    """Each message names the setting, the fault and the form; a password in it is not repeated."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        checked_endpoint(text, setting="OTACLIENT_ENOS_ENDPOINT")
    assert "OTACLIENT_ENOS_ENDPOINT" in str(caught.value)
    assert "https://host" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in f"{caught.value.__cause__} {caught.value.__context__}"
