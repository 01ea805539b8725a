"""The network: the only module that uses aiohttp's client. Bytes in, bytes out; errors become ours here."""

import ssl
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from otaclient.errors import (
    ConfigurationError,
    OtaError,
    PayloadError,
    RequestNotSentError,
    ResponseLostError,
    TransportError,
)
from otaclient.transport.http import HttpRequest, HttpResponse, Sink, encode_query
from otaclient.transport.options import TransportOptions

if TYPE_CHECKING:
    from aiohttp.client import _RequestContextManager  # pyright: ignore[reportPrivateUsage]

__all__ = ["AiohttpTransport"]

# aiohttp rounds time-outs beyond this many seconds up to a whole second; ours are kept to the letter.
_NEVER_ROUND_SECONDS = 1e9
_PIECE_BYTES = 1024 * 1024
# A body of ours has the type that its request says, and none of aiohttp's guesses.
_NO_CONTENT_TYPE = ("Content-Type",)


class AiohttpTransport:
    """Sends requests through one aiohttp session.

    Args:
        options: Proxy, certificates, caps.
        max_connections: The pool's size; equal to the concurrency limit, because the pool's own queue is not fair.
        session: A session of the caller's. It is used as it is and never closed; it brings its own connector,
            so of ``options`` only the proxy, the response cap and the user agent apply.
    """

    def __init__(
        self,
        options: TransportOptions,
        *,
        max_connections: int | None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._options = options
        self._max_connections = max_connections
        self._session = session
        self._owns_session = session is None
        self._closed = False
        self._user_agent = _user_agent(options.user_agent_suffix)
        self._proxy_headers = _proxy_headers(options)
        # Reading certificates blocks and can fail: do it here, where the client is made, not in the first call.
        self._tls = _tls_context(options) if session is None else None

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Send once and return the whole response; see :class:`~otaclient.transport.http.Transport`."""
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, ceil_threshold=_NEVER_ROUND_SECONDS)
        with _Translated(endpoint):
            async with self._request(request, endpoint, timeout) as response:
                body = await self._read(response)
                return HttpResponse(status=response.status, headers=_lower(response.headers), body=body)

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Send once and hand a good body to the sink; see :class:`~otaclient.transport.http.Transport`."""
        timeout = aiohttp.ClientTimeout(
            total=None, connect=idle_seconds, sock_read=idle_seconds, ceil_threshold=_NEVER_ROUND_SECONDS
        )
        with _Translated(endpoint):
            async with self._request(request, endpoint, timeout) as response:
                headers = _lower(response.headers)
                if not await sink.begin(response.status, headers):
                    return HttpResponse(status=response.status, headers=headers, body=await self._read(response))
                async for chunk in response.content.iter_chunked(_PIECE_BYTES):
                    await sink.write(chunk)
                return HttpResponse(status=response.status, headers=headers)

    def _request(self, request: HttpRequest, endpoint: str, timeout: aiohttp.ClientTimeout) -> "_RequestContextManager":
        query = f"?{encode_query(request.query)}" if request.query else ""
        return self._opened().request(
            request.method,
            URL(f"{endpoint}{request.path}{query}", encoded=True),
            data=request.body or None if request.content is None else request.content.chunks(),
            headers=self._headers(request, endpoint),
            skip_auto_headers=_NO_CONTENT_TYPE,
            # A redirect would carry the signature to another host, or turn a POST into a GET.
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=True,
            proxy=self._options.proxy,
            proxy_headers=self._proxy_headers,
            timeout=timeout,
        )

    async def aclose(self) -> None:
        """Close the session, unless it was the caller's. Closing twice does no harm."""
        self._closed = True
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise TransportError("the client is closed: open a new one")
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._max_connections or 0, ssl=self._tls or True)
            # No cookies: a gateway's stickiness cookie would tie all requests to one server.
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            # aiohttp repeats GET, PUT and DELETE by itself when a kept connection turns out closed. There is one retry
            # layer, and one call without retries is one request; aiohttp's own test client uses the same switch.
            self._session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return self._session

    def _headers(self, request: HttpRequest, endpoint: str) -> dict[str, str]:
        # Only a tunnel, which https needs, carries ``proxy_headers``; plain http goes to the proxy itself.
        for_proxy = self._proxy_headers if endpoint.startswith("http://") else None
        return {
            "User-Agent": self._user_agent,
            "Accept": "application/json",
            **(for_proxy or {}),
            **({} if request.content is None else {"Content-Length": str(request.content.size_bytes)}),
            **request.headers,
        }

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        cap = self._options.max_response_bytes
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > cap:
                response.close()  # drop the connection: what is still under way would only fill it
                raise PayloadError(
                    f"the answer is larger than {cap} bytes: raise max_response_bytes in TransportOptions if it may be",
                    status=response.status,
                )
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Translated:
    """Lets no exception of aiohttp out: what it raises becomes an error of ours."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is None or isinstance(error, OtaError):
            return
        if isinstance(error, aiohttp.ClientError):
            # What the request's own content raised comes wrapped, as the cause of a broken connection.
            if isinstance(error.__cause__, OtaError):
                raise error.__cause__ from None
            raise _translated(error, self._endpoint) from error
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            raise ResponseLostError(f"the connection to {self._endpoint} failed: {_words(error)}") from error


def _translated(error: aiohttp.ClientError, endpoint: str) -> Exception:
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | aiohttp.ClientHttpProxyError():
            return RequestNotSentError(f"cannot connect to {endpoint}: {_words(error)}")
        case aiohttp.SocketTimeoutError():
            return TimeoutError(_words(error))
        case aiohttp.InvalidURL():
            return RequestNotSentError(f"{endpoint} is not an address that can be reached")
        case aiohttp.ClientPayloadError():
            return ResponseLostError(f"the answer from {endpoint} broke off or cannot be decompressed: {_words(error)}")
        case _:
            return ResponseLostError(
                f"the connection to {endpoint} failed before the answer was whole: {_words(error)}"
            )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    lowered: dict[str, str] = {}
    for name, value in headers.items():
        lowered.setdefault(name.lower(), value)
    return lowered


def _words(error: BaseException) -> str:
    """Return what an exception says; its class where it says nothing."""
    return str(error) or type(error).__name__


def _user_agent(suffix: str | None) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        ours = version("otaclient")
    except PackageNotFoundError:  # run from a source tree that is not installed
        ours = "0"
    python = f"Python/{sys.version_info.major}.{sys.version_info.minor}"
    return " ".join(part for part in (f"otaclient/{ours}", python, f"aiohttp/{aiohttp.__version__}", suffix) if part)


def _proxy_headers(options: TransportOptions) -> dict[str, str] | None:
    if options.proxy_username is None or options.proxy_password is None:
        return None
    credentials = aiohttp.encode_basic_auth(options.proxy_username, options.proxy_password.reveal())
    return {"Proxy-Authorization": credentials}


def _tls_context(options: TransportOptions) -> ssl.SSLContext | None:
    if options.ca_file is None and options.client_certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.client_certificate is not None:
            context.load_cert_chain(options.client_certificate, options.client_key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(
            str(file) for file in (options.ca_file, options.client_certificate, options.client_key) if file
        )
        raise ConfigurationError(f"the certificates in {files} cannot be used: {_words(error)}") from error
    return context
