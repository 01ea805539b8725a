"""Requests and responses as plain values, and the protocols of what signs and carries them. No I/O here."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

import attrs

__all__ = [
    "BodyStream",
    "HttpRequest",
    "HttpResponse",
    "Signer",
    "Sink",
    "Transport",
    "encode_query",
    "excerpt_of",
    "http_date",
    "retry_after_seconds",
    "with_advice",
]

_EXCERPT_CHARACTERS = 200
# Everybody who uses a client waits as advised: what is longer than a day is a mistake, or meant to stop them.
_LONGEST_ADVICE_SECONDS = 86_400.0
# RFC 3986 leaves exactly these unencoded; both vendors' signatures agree on it.
_UNRESERVED = "-._~"

# At the end of a sentence, also of a Chinese or a quoted one; an ellipsis has three of them.
_FULL_STOP = re.compile(r"(?<!\.)[.\u3002](['\"]?)\s*\Z")


class BodyStream(Protocol):
    """A request body that is produced while it is sent, for files that do not belong into memory."""

    @property
    def size_bytes(self) -> int:
        """The exact number of bytes that :meth:`chunks` gives."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the bytes from the beginning; once for each attempt.

        Raises:
            OtaError: The content changed or cannot be read: the request is broken off, and this is the call's error.
        """
        ...


class Sink(Protocol):
    """Takes a response body while it arrives."""

    @property
    def position(self) -> int:
        """How many bytes it holds: the next attempt asks for those behind."""
        ...

    async def begin(self, status: int, headers: Mapping[str, str], /) -> bool:
        """Get ready for the body of a good answer; ``False`` for an answer that is to be read whole instead.

        Raises:
            OtaError: The answer cannot be what was asked for.
        """
        ...

    async def write(self, chunk: bytes, /) -> None:
        """Take the next bytes."""
        ...


def _names_of(pairs: Sequence[tuple[str, str]]) -> str:
    return repr(tuple(name for name, _ in pairs))


@attrs.frozen(kw_only=True)
class HttpRequest:
    """What to ask, before it is signed."""

    operation: str
    """The public operation that it belongs to, such as ``firmware.get``: for errors and events."""
    method: str
    path: str
    """Percent-encoded, beginning with ``/``."""
    query: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=_names_of)
    """Decoded pairs."""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    """Serialised once: the same bytes are signed and sent."""
    content: BodyStream | None = attrs.field(default=None, repr=False)
    """The body, where it is streamed; ``body`` is empty then."""
    idempotent: bool = True
    """Whether repeating it after a lost answer does no harm."""
    how_to_check: str = ""
    """For what is not idempotent: how to find out whether it took effect, for people."""
    subject: str = ""
    """What it is about, such as ``firmware '5ed0'``: for error messages."""

    def with_headers(self, headers: Mapping[str, str]) -> "HttpRequest":
        """Return this request with ``headers`` added; one of the same name is replaced."""
        # Written out: every attempt is signed, and attrs.evolve takes several times as long.
        return HttpRequest(
            operation=self.operation,
            method=self.method,
            path=self.path,
            query=self.query,
            headers={**self.headers, **headers},
            body=self.body,
            content=self.content,
            idempotent=self.idempotent,
            how_to_check=self.how_to_check,
            subject=self.subject,
        )


@attrs.frozen(kw_only=True)
class HttpResponse:
    """What came back, with the body whole and decompressed."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """Names in lower case; of a repeated header, the first."""
    body: bytes = attrs.field(default=b"", repr=False)
    attempts: int = 1
    """How many requests it took to get this answer."""
    throttles: int = 0
    """How many of those the vendor throttled."""


class Signer(Protocol):
    """Adds what proves to the vendor who asks; a pure function of its arguments."""

    def __call__(self, request: HttpRequest, /, *, endpoint: str, token: str | None, now: datetime) -> HttpRequest:
        """Return the request, signed for this attempt."""
        ...


class Transport(Protocol):
    """Carries a signed request to the network and back."""

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Send once and return the whole response, whatever its status.

        Raises:
            RequestNotSentError: Nothing reached the vendor.
            ResponseLostError: The request went out, no whole answer came back.
            TimeoutError: ``timeout_seconds`` ran out.
            PayloadError: The body is larger than the configured cap, or cannot be decompressed.
        """
        ...

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Send once and hand the body of a good answer to a sink; any other answer comes back whole.

        Raises as :meth:`send` does; ``TimeoutError`` when nothing came for ``idle_seconds``.
        """
        ...

    async def aclose(self) -> None:
        """Release the connections. Closing twice does no harm."""
        ...


def encode_query(pairs: Sequence[tuple[str, str]]) -> str:
    """Return ``pairs`` as a query string in the given order, encoded as RFC 3986 has it: a space is ``%20``."""
    # Most values need no encoding, and this tells so at a tenth of the price.
    return "&".join(
        [
            f"{_encoded_name(name)}={value if value.isascii() and value.isalnum() else quote(value, safe=_UNRESERVED)}"
            for name, value in pairs
        ]
    )


@lru_cache(maxsize=256)
def _encoded_name(name: str) -> str:
    return quote(name, safe=_UNRESERVED)


def retry_after_seconds(response: HttpResponse, *, now: datetime) -> float | None:
    """Return the wait that ``Retry-After`` advises, in seconds, never negative; ``None`` without a usable one."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        instant = http_date(text)
        if instant is None:
            return None
        seconds = max(0.0, (instant - now).total_seconds())
    return seconds if seconds <= _LONGEST_ADVICE_SECONDS else None


def http_date(text: str) -> datetime | None:
    """Return the date of a header as an aware instant; ``None`` for what is none."""
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for numbers that no clock shows
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def with_advice(message: str, advice: str | None) -> str:
    """Return a message, and behind it what to do; the full stop of a vendor's sentence does not stand in between."""
    return "; ".join([_FULL_STOP.sub(r"\1", message), advice]) if advice else message


def excerpt_of(body: bytes) -> str:
    """Return the beginning of a body for an error message, on one line."""
    text = " ".join(body[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace").split())
    return text[:_EXCERPT_CHARACTERS]
