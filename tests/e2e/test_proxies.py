"""Proxies from end to end: who sees which credentials, and what is said when the way through fails."""

import base64

import pytest

from otaclient.errors import OtaError, RequestNotSentError
from otaclient.protocols import Backend
from otaclient.transport.retry import RetryPolicy
from support.forward_proxy import proxying
from support.piping import talking
from support.tls_service import Authority, emulated, opened, serving_tls

ONCE = RetryPolicy.none()
NAME, PASSWORD = "proxy-user-of-plant-7", "proxy-password-of-plant-7"
WANTED = "Basic " + base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine's environment says."""
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return the authority that clients are told to trust."""
    return Authority(tmp_path_factory.mktemp("ours"))


async def error_of(client: Backend) -> OtaError:
    """Return how a read fails."""
    async with client:
        with pytest.raises(OtaError) as caught:
            await client.firmware.search().first(1)
    return caught.value


# --- what goes through -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
@pytest.mark.parametrize("asks", [False, True])
async def test_a_tunnel_keeps_the_vendors_credentials_from_the_proxy(vendor: str, asks: bool, ours: Authority) -> None:
    """Of https, the proxy learns where to, and its own password; the service learns nothing of that."""
    options = {"proxy_username": NAME, "proxy_password": PASSWORD} if asks else {}
    sent: list[str] = []
    async with (
        emulated(vendor) as emulator,
        serving_tls(ours.server("api.plant.example"), emulator.port) as port,
        proxying(wanted=WANTED if asks else None) as proxy,
    ):
        heads_at(emulator, sent)
        client = opened(emulator, f"https://api.plant.example:{port}", ca_file=ours.ca_file, proxy=proxy.url, **options)
        async with client:
            assert len(await client.devices.search().collect(1000)) == 60
        config = emulator.config()
    assert proxy.heads
    for head in proxy.heads:
        first, *lines = head.decode().strip().split("\r\n")
        assert first == f"CONNECT api.plant.example:{port} HTTP/1.1"
        names = {line.partition(":")[0].lower() for line in lines}
        assert names <= {"host", "proxy-authorization", "user-agent", "accept", "accept-encoding", "connection"}
        assert ("proxy-authorization" in names) == asks
    for secret in secrets_of(config):
        assert secret.encode() not in bytes(proxy.tunnelled)
        assert secret.encode() not in b"".join(proxy.heads)
    assert sent
    assert not any("proxy" in head.lower() or PASSWORD in head or WANTED in head for head in sent)


def secrets_of(config: object) -> list[str]:
    """Return the vendor's credentials."""
    from otaclient.secret import credentials_in

    found = [str(secret.reveal()) for secret in credentials_in(config)]
    assert len(found) >= 2
    return found


def heads_at(emulator: object, heads: list[str]) -> None:
    """Note the headers of whatever reaches an emulator."""
    served = emulator.operation  # type: ignore[attr-defined]

    def noted(request: object) -> str:
        heads.append(str(dict(request.headers)))  # type: ignore[attr-defined]
        return str(served(request))

    emulator.operation = noted  # type: ignore[attr-defined]


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
@pytest.mark.parametrize("asks", [False, True])
async def test_plain_http_goes_through_the_proxy(vendor: str, asks: bool) -> None:
    """The proxy reads everything, which is what plain http means; its own password stays with it."""
    options = {"proxy_username": NAME, "proxy_password": PASSWORD} if asks else {}
    sent: list[str] = []
    async with emulated(vendor) as emulator, proxying(wanted=WANTED if asks else None) as proxy:
        heads_at(emulator, sent)
        async with opened(emulator, emulator.url, proxy=proxy.url, **options) as client:
            assert len(await client.devices.search().collect(1000)) == 60
    assert sent
    assert len(sent) == len(proxy.heads), "nothing goes past the proxy"
    assert all(f" http://127.0.0.1:{emulator_port(head)}/".encode() in head for head in proxy.heads)
    assert not any(WANTED in head for head in sent)


def emulator_port(head: bytes) -> int:
    """Return the port that a request to a proxy is addressed to."""
    return int(head.split(b"//", 1)[1].split(b"/", 1)[0].rpartition(b":")[2])


async def test_a_service_behind_a_proxy_is_verified_like_any_other(ours: Authority) -> None:
    """A proxy that takes the service's place does not have its certificate."""
    async with emulated("enos") as emulator, serving_tls(ours.server("other.example"), emulator.port) as port:
        async with proxying() as proxy:
            client = opened(emulator, f"https://api.example:{port}", ca_file=ours.ca_file, proxy=proxy.url, retry=ONCE)
            error = await error_of(client)
        assert not emulator.served
    assert isinstance(error, RequestNotSentError)
    assert "Hostname mismatch, certificate is not valid for 'api.example'" in error.message


# --- what does not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("options", [{}, {"proxy_username": NAME, "proxy_password": "a-wrong-password"}])
async def test_a_proxy_that_refuses_was_the_end_of_the_way(
    scheme: str, options: dict[str, str], ours: Authority
) -> None:
    """Without its password, or with another: not sent; the remedy names the options, and nothing secret is said."""
    async with emulated("enos") as emulator, proxying(wanted=WANTED) as proxy:
        endpoint = f"{scheme}://127.0.0.1:{emulator.port}"
        error = await error_of(opened(emulator, endpoint, proxy=proxy.url, retry=ONCE, **options))
        assert not emulator.served
    assert isinstance(error, RequestNotSentError)
    assert "(HTTP status 407): check proxy, proxy_username and proxy_password in TransportOptions" in error.message
    assert "a-wrong-password" not in repr(error.__dict__)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "the proxy does not connect to .*: HTTP status 403"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "the proxy does not connect to .*: HTTP status 502"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", "HTTP status 302"),
        (b"complete nonsense\r\n\r\n", "cannot connect to https://api.example"),
        (b"", "cannot connect to https://api.example"),
        (b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all, but words", "https://api.example"),
    ],
)
async def test_a_broken_proxy_was_the_end_of_the_way(answer: bytes, words: str) -> None:
    """Whatever it answers instead of a tunnel, the service has got nothing: not sent, and safe to repeat."""
    async with emulated("enos") as emulator, proxying(answer=answer) as proxy:
        client = opened(emulator, "https://api.example", proxy=proxy.url, retry=ONCE)
        async with client:
            with pytest.raises(RequestNotSentError, match=words):
                await client.authenticate()


async def test_a_proxy_that_is_down_is_named() -> None:
    """It is the proxy that cannot be reached, not the endpoint."""
    async with talking(lambda _reader, _writer: None) as port:  # type: ignore[arg-type, return-value]
        pass
    async with emulated("enos") as emulator:
        error = await error_of(opened(emulator, "https://api.example", proxy=f"http://127.0.0.1:{port}", retry=ONCE))
    assert isinstance(error, RequestNotSentError)
    assert f"cannot connect to the proxy 127.0.0.1:{port}: " in error.message


# --- what the environment says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [str.upper, str.lower])
async def test_a_proxy_of_the_environment_is_not_used(case: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads what goes to a vendor only because a variable says so."""
    async with emulated("enos") as emulator, proxying() as trap:
        for name in VARIABLES:
            monkeypatch.setenv(case(name), trap.url)  # type: ignore[operator]
        async with opened(emulator, emulator.url) as client:
            assert await client.firmware.search().first(1)
    assert not trap.heads


async def test_a_proxy_of_the_environment_is_mentioned_when_it_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the endpoint cannot be reached, the variable and the option are named; the variable's value is not."""
    async with talking(lambda _reader, _writer: None) as port:  # type: ignore[arg-type, return-value]
        pass
    monkeypatch.setenv("https_proxy", f"http://{NAME}:{PASSWORD}@proxy.example:3128")
    async with emulated("enos") as emulator:
        error = await error_of(opened(emulator, f"http://127.0.0.1:{port}", retry=ONCE))
    assert error.message.endswith("(HTTPS_PROXY in the environment is not used: give TransportOptions(proxy=...))")
    assert NAME not in str(error)


async def test_credentials_of_a_netrc_file_are_not_used(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a file in the home folder add an ``Authorization`` header to what is signed."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("default login netrc-user password netrc-password\n")
    monkeypatch.setenv("NETRC", str(netrc))
    sent: list[str] = []
    async with emulated("enos") as emulator:
        heads_at(emulator, sent)
        async with opened(emulator, emulator.url) as client:
            assert await client.firmware.search().first(1)
    assert sent
    assert not any("Authorization" in head for head in sent)
