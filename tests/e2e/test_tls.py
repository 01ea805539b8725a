"""TLS from end to end: a whole client, an emulated vendor behind TLS, real certificates."""

import asyncio
import logging
import ssl
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from otaclient.endpoint import InsecureTransportWarning
from otaclient.errors import ConfigurationError, OtaError, RequestNotSentError
from otaclient.events import AttemptFinished, Event
from otaclient.settings import load_config
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient_enos import EnosConfig
from otaclient_iotda import IotdaConfig
from support.piping import talking
from support.tls_service import Authority, emulated, opened, refusing_tls, serving_tls

ONCE = RetryPolicy.none()


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return the authority that clients are told to trust."""
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("others"))


async def refused(server: ssl.SSLContext, *, host: str = "localhost", **options: Any) -> RequestNotSentError:
    """Return how a client fails that reads from a service behind this context; its service must see nothing."""
    async with emulated("enos") as emulator, serving_tls(server, emulator.port) as port:
        error = await failed(emulator, f"https://{host}:{port}", **options)
        assert not emulator.served, "nothing may reach the service"
    return error


async def failed(emulator: Any, endpoint: str, **options: Any) -> RequestNotSentError:
    """Return how a client fails that reads from there."""
    events: list[Event] = []
    async with opened(emulator, endpoint, retry=ONCE, on_event=events.append, **options) as client:
        with pytest.raises(RequestNotSentError) as caught:
            await client.firmware.search().first(1)
    finished = [event for event in events if isinstance(event, AttemptFinished)]
    # The failing request is the one for the token.
    assert [event.error for event in finished] == ["RequestNotSentError"]
    assert endpoint in caught.value.message
    return caught.value


# --- certificates that are good --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_private_authority_is_trusted_when_it_is_named(vendor: str, host: str, ours: Authority) -> None:
    """Names and addresses are both verified, signatures fit, and the name is asked for in the handshake."""
    names: list[str | None] = []
    server = ours.server("localhost", "127.0.0.1")
    server.sni_callback = lambda _tls, name, _context: names.append(name)
    async with emulated(vendor) as emulator, serving_tls(server, emulator.port) as port:
        async with opened(emulator, f"https://{host}:{port}", ca_file=ours.ca_file) as client:
            found = await client.devices.search().collect(1000)
    assert len(found) == 60
    assert set(names) == {"localhost" if host == "localhost" else None}, "an address is no server name"


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
async def test_a_client_certificate_is_shown(vendor: str, ours: Authority) -> None:
    """A service that wants to know who asks gets to know it."""
    server = ours.server(clients_of=ours)
    async with emulated(vendor) as emulator, serving_tls(server, emulator.port) as port:
        async with opened(emulator, f"https://localhost:{port}", ca_file=ours.ca_file, **ours.client("me")) as client:
            assert await client.firmware.search().first(1)


# --- certificates that are not ---------------------------------------------------------------------------------------


async def test_an_unknown_authority_is_refused(ours: Authority, others: Authority) -> None:
    """By default, and also where another private authority is trusted: the remedy names the option."""
    trusting: tuple[dict[str, Any], ...] = ({}, {"ca_file": ours.ca_file})
    for options in trusting:
        error = await refused(others.server(), **options)
        assert "is refused: unable to get local issuer certificate" in error.message
        assert "TransportOptions(ca_file=...)" in error.message
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


async def test_a_certificate_of_its_own_is_refused(others: Authority) -> None:
    """A certificate that only vouches for itself is nobody's."""
    error = await refused(others.self_signed())
    assert "is refused: self-signed certificate; " in error.message
    assert "TransportOptions(ca_file=...)" in error.message


@pytest.mark.parametrize(
    ("host", "name", "why"),
    [
        ("localhost", "other.example", "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("127.0.0.1", "localhost", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("127.0.0.1", "10.0.0.1", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
async def test_another_hosts_certificate_is_refused(host: str, name: str, why: str, ours: Authority) -> None:
    """A trusted authority's certificate for somebody else is no proof."""
    error = await refused(ours.server(name), host=host, ca_file=ours.ca_file)
    assert f"is refused: {why}; set endpoint to a name that the certificate is for" in error.message


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [
        (-20, -10, "certificate has expired; the server's operator has to renew it"),
        (10, 20, "certificate is not yet valid; check this machine's clock"),
    ],
)
async def test_a_certificate_at_the_wrong_time_is_refused(begins: int, ends: int, words: str, ours: Authority) -> None:
    """A certificate is good for a time only."""
    now = datetime.now(UTC)
    server = ours.server(not_before=now + timedelta(days=begins), not_after=now + timedelta(days=ends))
    error = await refused(server, ca_file=ours.ca_file)
    assert words in error.message


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["none", "a stranger's"])
async def test_a_service_that_refuses_the_client_has_read_nothing(
    version: ssl.TLSVersion, shown: str, ours: Authority, others: Authority
) -> None:
    """Without a client certificate, or with one of an unknown authority, a request counts as not sent."""
    server = ours.server(clients_of=ours)
    server.minimum_version = server.maximum_version = version
    options = {} if shown == "none" else others.client("stranger")
    async with emulated("enos") as emulator, refusing_tls(server) as port:
        error = await failed(emulator, f"https://localhost:{port}", ca_file=ours.ca_file, **options)
    assert "TransportOptions(client_certificate=..., client_key=...)" in error.message


async def test_a_service_without_tls_is_told(ours: Authority) -> None:
    """An https address of a service that speaks plain http: the remedy is the address."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        # Closed with something unread, a connection is reset, and the answer may be lost.
        await reader.read()

    async with emulated("enos") as emulator, talking(plain) as port:
        async with opened(emulator, f"https://localhost:{port}", retry=ONCE, ca_file=ours.ca_file) as client:
            with pytest.raises(RequestNotSentError, match="does not speak TLS there: check scheme and port"):
                await client.authenticate()


async def test_an_old_version_of_tls_is_told(ours: Authority) -> None:
    """A service that speaks only what nobody should accept any more."""
    server = ours.server()
    with warnings.catch_warnings(action="ignore"):
        server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1
        server.set_ciphers("ALL:@SECLEVEL=0")
    async with emulated("enos") as emulator, refusing_tls(server) as port:
        error = await failed(emulator, f"https://localhost:{port}", ca_file=ours.ca_file)
    assert "it speaks no version of TLS that this machine accepts" in error.message


async def test_a_handshake_that_breaks_off_was_not_sent(ours: Authority) -> None:
    """A server that hangs up in the middle of the handshake has read nothing."""

    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async with emulated("enos") as emulator, talking(hang_up) as port:
        async with opened(emulator, f"https://localhost:{port}", retry=ONCE, ca_file=ours.ca_file) as client:
            with pytest.raises(RequestNotSentError, match=f"https://localhost:{port}"):
                await client.authenticate()


# --- switching it off ------------------------------------------------------------------------------------------------


async def test_switching_verification_off_is_loud(
    ours: Authority, others: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """It works, and every opening says so, as a warning at the caller's line and in the log."""
    async with emulated("iotda") as emulator, serving_tls(others.server("elsewhere.example"), emulator.port) as port:
        for _ in range(2):
            caplog.clear()
            with pytest.warns(InsecureTransportWarning, match="are not verified") as caught:
                client = opened(
                    emulator,
                    f"https://localhost:{port}",
                    dangerously_skip_tls_verification=True,
                    **ours.client("insecure"),
                )
            assert [record.levelno for record in caplog.records] == [logging.WARNING]
            assert caught[0].filename.endswith("tls_service.py"), "the line that opened the client"
            async with client:
                assert await client.firmware.search().first(1)


@pytest.mark.parametrize(("name", "config"), [("enos", EnosConfig), ("iotda", IotdaConfig)])
def test_no_setting_switches_verification_off(name: str, config: type[Any], tmp_path: Path) -> None:
    """Neither a profile nor a variable of the environment can; a profile that tries is told."""
    option = "dangerously_skip_tls_verification"
    assert option in {field.name for field in attrs.fields(TransportOptions)}
    (tmp_path / "otaclient.toml").write_text(f"[default.{name}]\n{option} = true\n")
    with pytest.raises(ConfigurationError, match=f"unknown setting '{option}'"):
        load_config(name, config, environ={}, folders=[tmp_path])


async def test_no_variable_of_the_environment_switches_verification_off(
    others: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that others listen to, and those that one might guess; nor does Python's own default for urllib."""
    for name in (
        "PYTHONHTTPSVERIFY",
        "NODE_TLS_REJECT_UNAUTHORIZED",
        "OTACLIENT_DANGEROUSLY_SKIP_TLS_VERIFICATION",
        "OTACLIENT_ENOS_DANGEROUSLY_SKIP_TLS_VERIFICATION",
        "OTACLIENT_INSECURE",
    ):
        monkeypatch.setenv(name, "0" if "VERIFY" in name else "1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    assert "is refused" in (await refused(others.server())).message


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _nameless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (lambda: False, "are not verified .the aiohttp session's connector"),
        (_unverified, "are not verified .the aiohttp session's connector"),
        (_nameless, "does not check host names"),
        (lambda: True, None),
        (ssl.create_default_context, None),
        (lambda: aiohttp.Fingerprint(b"x" * 32), None),
    ],
)
async def test_a_session_of_the_callers_that_does_not_verify_is_told(
    tls: Callable[[], Any], said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the caller's to decide, and perhaps it was decided for something else; a pinned certificate is fine."""
    warned: AbstractContextManager[Any] = (
        nullcontext() if said is None else pytest.warns(InsecureTransportWarning, match=said)
    )
    # The machine's authorities take some time to read.
    given = await asyncio.to_thread(tls)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=given)) as session:
        with warned:
            AiohttpTransport(TransportOptions(), max_connections=1, session=session)
    assert bool(caplog.records) == (said is not None)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path, ours: Authority) -> None:
    """A program that waits for a password at a terminal would hang in a service."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    files = ours.client("locked")
    key = load_pem_private_key(files["client_key"].read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")))
    options = TransportOptions(client_certificate=files["client_certificate"], client_key=locked)
    with pytest.raises(ConfigurationError, match="is encrypted with a password: give a key without one"):
        AiohttpTransport(options, max_connections=1)


# --- plain http ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "warns"),
    [
        ("http://api.example", True),
        ("http://10.1.2.3:8080", True),
        ("http://[2001:db8::1]", True),
        ("http://127.0.0.1.example", True),
        ("http://localhost.example", True),
        ("https://api.example", False),
        ("http://localhost:8080", False),
        ("http://emulator.localhost", False),
        ("http://127.0.0.1:1", False),
        ("http://127.9.8.7:1", False),
        ("http://[::1]:1", False),
        ("http://0.0.0.0:1", False),
    ],
)
async def test_plain_http_is_warned_of_unless_it_stays_here(endpoint: str, *, warns: bool) -> None:
    """Once for each client, whatever is made of it."""
    async with emulated("enos") as emulator:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client = opened(emulator, endpoint)
            client.with_options(timeout_seconds=5).with_options(owner_id="o2")
            again = opened(emulator, endpoint)
        await client.aclose()
        await again.aclose()
    texts = [str(warning.message) for warning in caught if warning.category is InsecureTransportWarning]
    text = (
        f"{endpoint} is plain http: anybody on the way can read the credentials and change the firmware; "
        "set the endpoint to its https address"
    )
    assert texts == [text] * (2 if warns else 0)
    assert all(warning.filename.endswith("tls_service.py") for warning in caught)


async def test_the_identity_services_plain_http_is_warned_of_too() -> None:
    """The password goes to another address than everything else."""
    from otaclient_iotda import PasswordCredentials

    credentials = PasswordCredentials(
        iam_endpoint="http://iam.invalid", username="u", password="p", domain="d", project=None
    )
    async with emulated("iotda") as emulator:
        config = attrs.evolve(emulator.config(), credentials=credentials)
        emulator.config = lambda: config
        async with opened(emulator, "https://localhost:1", retry=ONCE) as client:
            with (
                pytest.warns(InsecureTransportWarning, match="http://iam.invalid is plain http"),
                pytest.raises(OtaError),
            ):
                await client.authenticate()
            with pytest.raises(OtaError):
                await client.authenticate()
