"""Every attempt and every call of a soak, counted on the client's side."""

import asyncio
import traceback
from collections import Counter
from collections.abc import Awaitable
from enum import IntEnum
from typing import Any

import anyio
import attrs

from otaclient.errors import OtaError, RequestNotSentError
from otaclient.events import AttemptFinished, AttemptStarted, Event, Retrying, Throttled, TokenRenewed
from otaclient.transport.http import HttpRequest, HttpResponse, Sink, Transport
from soak.weather import ATTEMPT_HEADER

__all__ = ["Calls", "Fate", "NumberingTransport", "Observed"]


class Fate(IntEnum):
    """What became of one attempt."""

    UNDER_WAY = 0
    ANSWERED = 1
    BROKEN = 2
    """It was sent, perhaps, and no whole answer came."""
    NOT_SENT = 3
    CANCELLED = 4
    LEFT = 5
    """A download that was cancelled, or whose answer did not begin in time: the wire cannot tell which."""


class NumberingTransport:
    """Numbers every attempt on the wire, after it was signed, and remembers its fate."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.fates = bytearray()

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Send, and note what became of it."""
        number, numbered = self._numbered(request)
        return await self._noted(number, self._inner.send(numbered, endpoint=endpoint, timeout_seconds=timeout_seconds))

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Fetch, and note what became of it."""
        number, numbered = self._numbered(request)
        fetching = self._inner.fetch(numbered, sink, endpoint=endpoint, idle_seconds=idle_seconds)
        return await self._noted(number, fetching, left=Fate.LEFT)

    async def aclose(self) -> None:
        """Close."""
        await self._inner.aclose()

    def count(self, fate: Fate) -> int:
        """Return how many attempts had this fate."""
        return self.fates.count(fate)

    def _numbered(self, request: HttpRequest) -> tuple[int, HttpRequest]:
        number = len(self.fates)
        self.fates.append(Fate.UNDER_WAY)
        return number, request.with_headers({ATTEMPT_HEADER: str(number)})

    async def _noted(
        self, number: int, sending: Awaitable[HttpResponse], *, left: Fate = Fate.CANCELLED
    ) -> HttpResponse:
        fate = Fate.BROKEN
        try:
            response = await sending
            fate = Fate.ANSWERED
            return response
        except RequestNotSentError:
            fate = Fate.NOT_SENT
            raise
        except asyncio.CancelledError:
            fate = left
            raise
        finally:
            self.fates[number] = fate


class Observed:
    """The client's events, counted."""

    def __init__(self) -> None:
        self.started = self.finished = self.retries = self.throttles = self.tokens = 0

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case AttemptStarted():
                self.started += 1
            case AttemptFinished():
                self.finished += 1
            case Retrying():
                self.retries += 1
            case Throttled():
                self.throttles += 1
            case TokenRenewed():
                self.tokens += 1
            case _:
                pass


@attrs.define
class Calls:
    """How calls end: in a result, in a documented error, or in a cancellation that was wished for; else it is a bug."""

    begun: int = 0
    results: Counter[str] = attrs.field(factory=Counter)
    errors: Counter[str] = attrs.field(factory=Counter)
    by_operation: Counter[str] = attrs.field(factory=Counter)
    cancelled: int = 0
    bugs: list[str] = attrs.field(factory=list)

    @property
    def ended(self) -> int:
        """How many have ended in any of the ways that are right."""
        return self.results.total() + self.errors.total() + self.cancelled

    async def run(self, operation: str, call: Awaitable[Any], *, seconds: float | None = None) -> Any:
        """Wait for a call, for so long at most; return its result, or ``None``."""
        self.begun += 1
        with anyio.move_on_after(seconds) as scope:
            try:
                result = await call
            except OtaError as error:
                self.errors[type(error).__name__] += 1
                self.by_operation[f"{operation}: {type(error).__name__}"] += 1
                self._check(operation, error)
                return None
            except Exception as error:  # noqa: BLE001 - the search is for exactly these
                self.bugs.append(f"{operation} raised {''.join(traceback.format_exception(error))}")
                return None
            self.results[operation] += 1
            return result
        if scope.cancelled_caught:
            self.cancelled += 1
        return None

    def _check(self, operation: str, error: OtaError) -> None:
        if not error.message or error.backend is None or error.operation is None:
            self.bugs.append(f"{operation}: an error that does not say of what it is: {error!r}")
