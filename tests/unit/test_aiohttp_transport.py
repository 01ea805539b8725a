"""The network itself: real sockets on loopback, real certificates."""

import asyncio
import gzip
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from aioresponses import aioresponses

from otaclient.errors import (
    ConfigurationError,
    OtaError,
    PayloadError,
    RequestNotSentError,
    ResponseLostError,
    TransportError,
)
from otaclient.secret import Secret
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.http import HttpRequest
from otaclient.transport.options import TransportOptions

GET = HttpRequest(operation="firmware.get", method="GET", path="/a%2Fb", query=(("q", "x y+z/ä"),))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve every path with one handler; yields the endpoint."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app, scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        yield f"{server.scheme}://localhost:{server.port}"
    finally:
        await server.close()


@asynccontextmanager
async def raw_server(reply: Callable[[int], bytes | None]) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve bytes as they are: ``reply(n)`` for the n-th request, ``None`` to hang up without a word."""
    served: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                served.append(len(served) + 1)
                answer = reply(len(served))
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer or b"broken" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", served


@asynccontextmanager
async def transport(**options: Any) -> AsyncIterator[AiohttpTransport]:
    """Open a transport and close it."""
    session = options.pop("session", None)
    opened = AiohttpTransport(TransportOptions(**options), max_connections=4, session=session)
    try:
        yield opened
    finally:
        await opened.aclose()


async def echo(request: web.Request) -> web.Response:
    """Answer with what was seen."""
    seen = {"target": request.raw_path, "headers": dict(request.headers), "body": (await request.read()).decode()}
    return web.json_response(seen, headers={"X-One": "1", "Set-Cookie": "sticky=1"})


async def test_what_is_built_is_what_is_sent() -> None:
    """Path, query, headers and body arrive byte for byte; names of answer headers are in lower case."""
    request = HttpRequest(
        operation="o",
        method="POST",
        path="/a%2Fb",
        query=(("q", "x y+z/ä"),),
        headers={"Content-Type": "application/json"},
        body=b'{"a":1}',
    )
    async with serving(echo) as endpoint, transport(user_agent_suffix="plant-7/1") as network:
        response = await network.send(request, endpoint=endpoint, timeout_seconds=5)
        again = await network.send(GET, endpoint=endpoint, timeout_seconds=None)
    body = response.body.decode()
    assert '"/a%2Fb?q=x%20y%2Bz%2F%C3%A4"' in body
    assert '"body": "{\\"a\\":1}"' in body
    assert "otaclient/" in body
    assert "plant-7/1" in body
    assert response.headers["x-one"] == "1"
    assert "Cookie" not in again.body.decode(), "no cookie comes back"
    assert "Content-Type" not in again.body.decode()


async def test_gzip_is_asked_for_and_inflated() -> None:
    """Compressed answers come out plain."""

    async def handler(request: web.Request) -> web.Response:
        assert "gzip" in request.headers["Accept-Encoding"]
        return web.Response(body=gzip.compress(b"x" * 5000), headers={"Content-Encoding": "gzip"})

    async with serving(handler) as endpoint, transport() as network:
        assert (await network.send(GET, endpoint=endpoint, timeout_seconds=5)).body == b"x" * 5000


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_responses_are_capped(encoding: str) -> None:
    """A body larger than the cap is an error, counted after decompression; the client stays usable."""
    body = b"x" * 100_000

    async def handler(request: web.Request) -> web.Response:
        if request.query.get("q") == "small":
            return web.Response(body=b"ok")
        packed = gzip.compress(body) if encoding == "gzip" else body
        return web.Response(body=packed, headers={"Content-Encoding": encoding})

    async with serving(handler) as endpoint, transport(max_response_bytes=50_000) as network:
        with pytest.raises(PayloadError, match="larger than 50000 bytes") as caught:
            await network.send(GET, endpoint=endpoint, timeout_seconds=5)
        assert caught.value.status == 200
        small = HttpRequest(operation="o", method="GET", path="/", query=(("q", "small"),))
        assert (await network.send(small, endpoint=endpoint, timeout_seconds=5)).body == b"ok"


async def test_redirects_are_not_followed() -> None:
    """A redirect is an answer like any other: following it would carry the signature elsewhere."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://elsewhere.example/"})

    async with serving(handler) as endpoint, transport() as network:
        response = await network.send(GET, endpoint=endpoint, timeout_seconds=5)
    assert (response.status, response.headers["location"]) == (302, "https://elsewhere.example/")


async def test_a_refused_connection_was_not_sent() -> None:
    """Nobody listens: provably nothing was sent."""
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with transport() as network:
        with pytest.raises(RequestNotSentError, match="cannot connect to http://127"):
            await network.send(GET, endpoint=f"http://127.0.0.1:{port}", timeout_seconds=5)


async def test_an_unusable_address_was_not_sent() -> None:
    """An address without a host that can be looked up never leaves the machine."""
    async with transport() as network:
        with pytest.raises(RequestNotSentError):
            await network.send(GET, endpoint="http://", timeout_seconds=5)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbroken",
        b"broken nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nbroken",
    ],
)
async def test_a_broken_answer_is_a_lost_one(reply: bytes | None) -> None:
    """Hanging up, a cut body, nonsense and a body that cannot be inflated: the request went out, the answer is lost."""
    async with raw_server(lambda _n: reply) as (endpoint, served), transport() as network:
        with pytest.raises(ResponseLostError) as caught:
            await network.send(GET, endpoint=endpoint, timeout_seconds=5)
    assert served == [1]
    assert "\n" not in caught.value.message
    assert "400" not in caught.value.message, "no such status was answered"


async def test_a_kept_connection_that_died_is_not_retried_silently() -> None:
    """There is one retry layer: the HTTP library must not repeat a GET by itself."""
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with raw_server(lambda n: good if n == 1 else None) as (endpoint, served), transport() as network:
        await network.send(GET, endpoint=endpoint, timeout_seconds=5)
        with pytest.raises(ResponseLostError):
            await network.send(GET, endpoint=endpoint, timeout_seconds=5)
    assert served == [1, 2]


async def test_the_time_limit_is_kept() -> None:
    """An answer that does not come in time is a ``TimeoutError``, for the session to classify."""

    async def handler(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(handler) as endpoint, transport() as network:
        with pytest.raises(TimeoutError):
            await network.send(GET, endpoint=endpoint, timeout_seconds=0.02)


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ClientOSError("reset"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("cut"),
        ConnectionResetError("reset"),
        aiohttp.ClientConnectionResetError("closing"),
    ],
)
async def test_no_exception_of_the_library_below_comes_out(error: Exception) -> None:
    """Whatever breaks between sending and the whole answer is a ``ResponseLostError``, the original its cause."""
    with aioresponses() as mocked:
        mocked.get("https://api.example/a%2Fb?q=x%20y%2Bz%2F%C3%A4", exception=error, repeat=True)
        mocked.get("https://api.example/", exception=error)
        async with transport() as network:
            plain = HttpRequest(operation="o", method="GET", path="/")
            with pytest.raises(ResponseLostError) as caught:
                await network.send(plain, endpoint="https://api.example", timeout_seconds=5)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [aiohttp.ConnectionTimeoutError("slow"), aiohttp.ClientProxyConnectionError])
async def test_connection_failures_were_not_sent(error: Any) -> None:
    """A connection that never stood carried nothing."""
    if isinstance(error, type):
        error = error(aiohttp.client_reqrep.ConnectionKey("h", 1, False, True, None, None, None), OSError("no"))
    with aioresponses() as mocked:
        mocked.get("https://api.example/", exception=error)
        async with transport() as network:
            with pytest.raises(RequestNotSentError):
                await network.send(
                    HttpRequest(operation="o", method="GET", path="/"),
                    endpoint="https://api.example",
                    timeout_seconds=5,
                )


async def test_an_injected_session_is_used_and_left_open() -> None:
    """A session of the caller's carries the requests and survives the client; its own habits do not change answers."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=404, text=request.headers.get("X-Mine", ""))

    async with serving(handler) as endpoint:
        async with aiohttp.ClientSession(headers={"X-Mine": "yes"}, raise_for_status=True) as mine:
            async with transport(session=mine) as network:
                response = await network.send(GET, endpoint=endpoint, timeout_seconds=5)
            assert (response.status, response.body) == (404, b"yes")
            assert not mine.closed


async def test_an_injected_session_has_no_credentials_of_its_own_beside_a_signature() -> None:
    """Two of them are what aiohttp would refuse with an exception of its own; without a signature, they are sent."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["Authorization"])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # aiohttp 4 will have no such argument
        mine = aiohttp.ClientSession(auth=aiohttp.BasicAuth("u", "hunter2"))
    async with serving(handler) as endpoint, mine, transport(session=mine) as network:
        assert (await network.send(GET, endpoint=endpoint, timeout_seconds=5)).body.startswith(b"Basic ")
        signed = GET.with_headers({"Authorization": "SDK-HMAC-SHA256 x"})
        with pytest.raises(ConfigurationError, match="has auth of its own") as caught:
            await network.send(signed, endpoint=endpoint, timeout_seconds=5)
    assert "hunter2" not in str(caught.value)


async def test_closing_twice_is_fine_and_using_after_close_is_not() -> None:
    """A closed client says so, instead of a riddle."""
    network = AiohttpTransport(TransportOptions(), max_connections=None)
    async with serving(echo) as endpoint:
        await network.send(GET, endpoint=endpoint, timeout_seconds=5)
        await network.aclose()
        await network.aclose()
        with pytest.raises(TransportError, match="the client is closed"):
            await network.send(GET, endpoint=endpoint, timeout_seconds=5)


@pytest.mark.parametrize("whose", ["the client's", "the caller's"])
async def test_who_waits_for_a_connection_when_all_are_closed_gets_an_error(whose: str) -> None:
    """Closing a pool of aiohttp's cancels whoever waits; that must not look as if somebody had cancelled the task."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        arrived.set()
        await ended.wait()
        return web.Response()

    async with serving(handler) as endpoint:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) if whose == "the caller's" else None
        network = AiohttpTransport(TransportOptions(), max_connections=1, session=session)
        calls = [asyncio.create_task(network.send(GET, endpoint=endpoint, timeout_seconds=5)) for _ in range(2)]
        await arrived.wait()
        await (network.aclose() if session is None else session.close())
        ended.set()
        first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, ResponseLostError)
    assert isinstance(second, TransportError)
    said = (
        "the client is closed" if session is None else "the aiohttp session that the client was opened with is closed"
    )
    assert str(second).startswith(said)


async def test_a_cancellation_of_the_caller_stays_one() -> None:
    """Whoever waits for a connection can give up."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        arrived.set()
        await ended.wait()
        return web.Response()

    async with serving(handler) as endpoint, transport() as network:
        call = asyncio.create_task(network.send(GET, endpoint=endpoint, timeout_seconds=5))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        ended.set()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority that nobody trusts yet."""
    return trustme.CA()


def server_tls(authority: trustme.CA, *, host: str = "localhost", ask_client: bool = False) -> ssl.SSLContext:
    """Return a server's TLS context with a certificate for ``host``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    if ask_client:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    """Write the authority and a client certificate to files."""
    client = authority.issue_cert("client@example.org")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    client.cert_chain_pems[0].write_to_path(str(files["cert"]))
    client.private_key_pem.write_to_path(str(files["key"]))
    return files


async def test_certificates_are_verified(authority: trustme.CA, pem: dict[str, Path]) -> None:
    """An unknown authority and another host's certificate are refused; the configured authority is trusted."""
    async with serving(echo, server_tls(authority)) as endpoint:
        async with transport(ca_file=pem["ca"]) as trusting:
            assert (await trusting.send(GET, endpoint=endpoint, timeout_seconds=5)).status == 200
        async with transport() as strict:
            with pytest.raises(RequestNotSentError, match="certificate of https://localhost"):
                await strict.send(GET, endpoint=endpoint, timeout_seconds=5)
    async with serving(echo, server_tls(authority, host="elsewhere.example")) as endpoint:
        async with transport(ca_file=pem["ca"]) as trusting:
            with pytest.raises(RequestNotSentError, match=r"[Hh]ostname"):
                await trusting.send(GET, endpoint=endpoint, timeout_seconds=5)


async def test_client_certificates_are_shown(authority: trustme.CA, pem: dict[str, Path]) -> None:
    """A server that asks for a client certificate gets it."""
    async with serving(echo, server_tls(authority, ask_client=True)) as endpoint:
        options = {"ca_file": pem["ca"], "client_certificate": pem["cert"], "client_key": pem["key"]}
        async with transport(**options) as known:
            assert (await known.send(GET, endpoint=endpoint, timeout_seconds=5)).status == 200
        async with transport(ca_file=pem["ca"]) as anonymous:
            with pytest.raises(OtaError):
                await anonymous.send(GET, endpoint=endpoint, timeout_seconds=5)


async def test_a_proxy_carries_the_request_with_its_own_credentials() -> None:
    """The proxy sees the whole address and the proxy password; the server's answer comes through."""
    seen: list[tuple[str, str | None]] = []

    async def proxy(request: web.Request) -> web.Response:
        seen.append((str(request.url), request.headers.get("Proxy-Authorization")))
        return web.Response(text="via proxy")

    async with serving(proxy) as address:
        async with transport(proxy=address, proxy_username="u", proxy_password="hunter2") as network:
            request = HttpRequest(operation="o", method="GET", path="/x")
            response = await network.send(request, endpoint="http://api.example", timeout_seconds=5)
            assert "hunter2" not in repr(network.__dict__["_options"])
    assert response.body == b"via proxy"
    assert seen == [("http://api.example/x", "Basic dTpodW50ZXIy")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca_file": "/no/such/file.pem"}, "ca_file is '/no/such/file.pem': there is no such file"),
        ({"ca_file": 5}, "ca_file is 5: give the path of a file"),
        ({"max_response_bytes": 0}, "max_response_bytes is 0"),
        ({"max_response_bytes": "5"}, "max_response_bytes is '5': it must be a whole number above 0"),
        ({"proxy": 5}, "proxy is of the type int: give a text"),
        ({"proxy": "http://"}, "without a host"),
        ({"proxy": "http://p", "proxy_username": 5, "proxy_password": "x"}, "proxy_username is of the type int"),
        ({"proxy": "http://p", "proxy_username": "u", "proxy_password": 5}, "proxy_password is of the type int"),
        ({"proxy": "http://p", "proxy_username": "u:v", "proxy_password": "x"}, "proxy_username holds a colon"),
        ({"user_agent_suffix": 5}, "user_agent_suffix is of the type int: give a text"),
        ({"proxy": "http://u:hunter2@proxy"}, "give proxy_username and proxy_password instead"),
        ({"proxy": "proxy:3128"}, "proxy is 'proxy:3128', without https://"),
        ({"proxy": "http://p", "proxy_username": "u"}, "belong together"),
        ({"proxy_username": "u", "proxy_password": "hunter2"}, "given without proxy"),
        ({"dangerously_skip_tls_verification": 1}, "is 1: it must be True or False"),
        ({"dangerously_skip_tls_verification": "false"}, "is 'false': it must be True or False"),
        ({"dangerously_skip_tls_verification": None}, "is None: it must be True or False"),
        ({"dangerously_skip_tls_verification": True, "ca_file": __file__}, "exclude each other"),
        ({"client_key": __file__}, "without client_certificate"),
        ({"user_agent_suffix": "a\r\nb"}, "control character"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    """Each message names the option and the remedy, and repeats no password."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        TransportOptions(**options)
    assert "hunter2" not in str(caught.value)


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    """A file without certificates is an error when the client is made, not in its first call."""
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        AiohttpTransport(TransportOptions(ca_file=nonsense), max_connections=1)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        AiohttpTransport(TransportOptions(client_certificate=nonsense), max_connections=1)
    options = TransportOptions(proxy="http://p", proxy_username="u", proxy_password=Secret("x"))
    assert options.proxy_password == Secret("x")
