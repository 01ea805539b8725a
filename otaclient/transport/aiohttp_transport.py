"""The network: the only module that uses aiohttp's client. Bytes in, bytes out; errors become ours here."""

import asyncio
import os
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from otaclient.errors import (
    ConfigurationError,
    OtaError,
    PayloadError,
    RequestNotSentError,
    ResponseLostError,
    TransportError,
)
from otaclient.secret import Revealed
from otaclient.task_ends import is_cancelled
from otaclient.transport.http import HttpRequest, HttpResponse, Sink, encode_query
from otaclient.transport.options import TransportOptions
from otaclient.transport.ownership import closed_error
from otaclient.transport.redaction import without_variables
from otaclient.transport.tls import explained, is_refused_handshake, tls_context, warn_of_unverified

if TYPE_CHECKING:
    from aiohttp.client import _RequestContextManager  # pyright: ignore[reportPrivateUsage]
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["AiohttpTransport"]

# aiohttp rounds time-outs beyond this many seconds up to a whole second; ours are kept to the letter.
_NEVER_ROUND_SECONDS = 1e9
_PIECE_BYTES = 1024 * 1024
# A body of ours has the type that its request says, and none of aiohttp's guesses.
_NO_CONTENT_TYPE = ("Content-Type",)
_PROXY_REFUSAL = (
    "the proxy does not let the request through (HTTP status 407): check proxy, proxy_username and proxy_password in "
    "TransportOptions"
)
_CLOSED_SESSION = "the aiohttp session that the client was opened with is closed: open a client with another"
_TWO_CREDENTIALS = (
    "the aiohttp session that the client was opened with has auth of its own, for which there is no place beside the "
    "signature: open the client with a session without it"
)
_NO_HEADERS = CIMultiDictProxy(CIMultiDict[str]())
_PROXY_VARIABLES = frozenset({"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"})


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
        self._tls = tls_context(options) if session is None else None
        if session is not None:
            _check_kind(session)
            _check_verification(session)

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Send once and return the whole response; see :class:`~otaclient.transport.http.Transport`."""
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, ceil_threshold=_NEVER_ROUND_SECONDS)
        with _Translated(endpoint, self._turned_away):
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
        with _Translated(endpoint, self._turned_away):
            async with self._request(request, endpoint, timeout) as response:
                headers = _lower(response.headers)
                if not await sink.begin(response.status, headers):
                    return HttpResponse(status=response.status, headers=headers, body=await self._read(response))
                async for chunk in response.content.iter_chunked(_PIECE_BYTES):
                    await sink.write(chunk)
                return HttpResponse(status=response.status, headers=headers)

    def _request(self, request: HttpRequest, endpoint: str, timeout: aiohttp.ClientTimeout) -> "_RequestContextManager":
        query = f"?{encode_query(request.query)}" if request.query else ""
        session = self._opened()
        if session.auth is not None and any(name.lower() == "authorization" for name in request.headers):
            raise ConfigurationError(_TWO_CREDENTIALS)
        return session.request(
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

    def _turned_away(self) -> TransportError:
        """Return the error of a request that waited for a connection when all were closed."""
        return closed_error() if self._closed else TransportError(_CLOSED_SESSION)

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise closed_error()
        if self._session is None:
            connector = _Connector(limit=self._max_connections or 0, ssl=self._tls or True)
            # No cookies: a gateway's stickiness cookie would tie all requests to one server.
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            # aiohttp repeats GET, PUT and DELETE by itself when a kept connection turns out closed. There is one retry
            # layer, and one call without retries is one request; aiohttp's own test client uses the same switch.
            self._session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        elif not self._owns_session:
            _check_usable(self._session)
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
        if response.status == 407 and self._options.proxy is not None:
            # Of plain http, the proxy's refusal comes as the answer; a vendor has no such status.
            raise RequestNotSentError(_PROXY_REFUSAL)
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


class _Connector(aiohttp.TCPConnector):
    """A pool that hands out no connection on which something came that nobody asked for.

    After a second answer to one request, aiohttp's own pool would give that to the next request.
    """

    async def _get(self, key: "ConnectionKey", traces: "list[Trace]") -> "Connection | None":
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                break
            connection.close()
        return connection

    async def _create_connection(
        self, req: "ClientRequest", traces: "list[Trace]", timeout: aiohttp.ClientTimeout
    ) -> "ResponseHandler":
        try:
            return await super()._create_connection(req, traces, timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError):
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise _NotConnectedError(_said(error)) from error


class _NotConnectedError(aiohttp.ClientError):
    """No connection came about, for a reason that aiohttp raises after one stood, too."""


class _Translated:
    """Lets no exception of aiohttp out: what it raises becomes an error of ours."""

    def __init__(self, endpoint: str, turned_away: Callable[[], TransportError]) -> None:
        self._endpoint = endpoint
        self._turned_away = turned_away

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is None or isinstance(error, OtaError):
            return
        # aiohttp's way to turn away whoever waits for a connection when the pool closes.
        if isinstance(error, asyncio.CancelledError) and not is_cancelled():
            raise self._turned_away() from None
        if isinstance(error, aiohttp.ClientError):
            # What the request's own content raised comes wrapped, as the cause of a broken connection.
            if isinstance(error.__cause__, OtaError):
                raise error.__cause__ from None
            raise _translated(error, self._endpoint) from _without_request(error)
        if isinstance(error, TimeoutError):
            _without_request(error)
            raise TimeoutError(_words(error)) from None
        if isinstance(error, OSError):
            _without_request(error)
            raise ResponseLostError(f"the connection to {self._endpoint} failed: {_words(error)}") from error


def _translated(error: aiohttp.ClientError, endpoint: str) -> Exception:
    unsent = _why_not_sent(error, endpoint)
    if unsent is not None:
        return RequestNotSentError(unsent)
    match error:
        case aiohttp.SocketTimeoutError():
            return TimeoutError(_words(error))
        case aiohttp.ClientPayloadError():
            return ResponseLostError(f"the answer from {endpoint} broke off or cannot be decompressed: {_words(error)}")
        case _:
            return ResponseLostError(f"the connection to {endpoint} failed before the answer was whole: {_said(error)}")


def _why_not_sent(error: aiohttp.ClientError, endpoint: str) -> str | None:
    """Return why nothing of a request reached the vendor; ``None`` where something may have."""
    why: str | None = None
    match error:
        case aiohttp.ClientHttpProxyError(status=407):
            why = _PROXY_REFUSAL
        case aiohttp.ClientHttpProxyError():
            why = f"the proxy does not connect to {endpoint}: HTTP status {error.status}"
        case aiohttp.ClientProxyConnectionError():
            why = f"cannot connect to the proxy {error.host}:{error.port}: {_words(error.os_error)}"
        case aiohttp.ClientConnectorError() if isinstance(error.__cause__, ssl.SSLError):
            why = explained(error.__cause__, endpoint)
        case aiohttp.ClientOSError() if is_refused_handshake(error.__cause__):
            why = explained(error.__cause__, endpoint)
        case aiohttp.ClientConnectorError():
            why = f"cannot connect to {endpoint}: {_words(error.os_error)}{_unused_proxy()}"
        case aiohttp.ConnectionTimeoutError() | _NotConnectedError():
            why = f"cannot connect to {endpoint}: {_words(error)}{_unused_proxy()}"
        case aiohttp.InvalidURL():
            why = f"{endpoint} is not an address that can be reached"
        case _:
            pass
    return why


def _without_request(error: BaseException) -> BaseException:
    """Return an exception of aiohttp's without the headers of the request, which call frames hold, too."""
    without_variables(error)
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, aiohttp.ClientResponseError):
            asked = one.request_info
            bare = aiohttp.RequestInfo(asked.url.with_query(None), asked.method, _NO_HEADERS)
            one.request_info, one.history, one.headers, one.args = bare, (), None, (bare, ())
        one = one.__cause__ or one.__context__
    return error


def _check_kind(session: Any) -> None:
    """Refuse what is no session, which would be found out only by the first request."""
    if not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(
            f"session is of the type {type(session).__name__}: give an aiohttp.ClientSession, or leave it out"
        )


def _check_verification(session: aiohttp.ClientSession) -> None:
    """Warn where a session of the caller's does not verify servers: it may have been made for something else."""
    tls: Any = getattr(session.connector, "_ssl", True)
    if tls is False or (isinstance(tls, ssl.SSLContext) and tls.verify_mode is ssl.CERT_NONE):
        warn_of_unverified("the aiohttp session's connector was made so, with ssl=False or a context like it")
    elif isinstance(tls, ssl.SSLContext) and not tls.check_hostname:
        warn_of_unverified("the aiohttp session's connector was made with a context that does not check host names")


def _unused_proxy() -> str:
    """Return what to do where the environment names a proxy, which is the way out of many networks."""
    named = sorted({name.upper() for name in os.environ if name.upper() in _PROXY_VARIABLES and os.environ[name]})
    if not named:
        return ""
    return f" ({' and '.join(named)} in the environment is not used: give TransportOptions(proxy=...))"


def _check_usable(session: aiohttp.ClientSession) -> None:
    """Refuse a session of the caller's that is closed, or belongs to another event loop, where it would hang."""
    if session.closed:
        raise TransportError(_CLOSED_SESSION)
    if session._loop is not asyncio.get_running_loop():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        raise TransportError(
            "the aiohttp session that the client was opened with belongs to another event loop: make the session, and "
            "open the client, in the loop in which they are used"
        )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    lowered: dict[str, str] = {}
    for name, value in headers.items():
        lowered.setdefault(name.lower(), value)
    return lowered


def _said(error: BaseException) -> str:
    """Return what an exception says, without the address and the query of the request."""
    return " ".join(error.message.split()) if isinstance(error, aiohttp.ClientResponseError) else _words(error)


def _words(error: BaseException) -> str:
    """Return what an exception says, on one line; its class where it says nothing."""
    # Of an answer that cannot be read, the exception behind has the words, without a status that nobody answered.
    said = getattr(error.__cause__, "message", None) if isinstance(error, aiohttp.ClientPayloadError) else None
    return " ".join((said or str(error)).split()) or type(error).__name__


# The version is looked up among all that is installed: once for the clients of a process.
@lru_cache(maxsize=64)
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
    return {"Proxy-Authorization": Revealed(credentials)}
