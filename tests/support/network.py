"""A network that answers from a script."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from otaclient.errors import AuthenticationError, InvalidQueryError, RateLimitedError, ResponseLostError, ServerError
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse, Sink, retry_after_seconds
from otaclient.transport.retry import Failure, Remedy
from otaclient.transport.session import Dialect, Session
from otaclient.transport.tokens import TokenCache

Answer = HttpResponse | Exception | Callable[[HttpRequest], HttpResponse]


class ScriptedTransport:
    """Answers each request with the next entry of its script, and remembers what was sent."""

    def __init__(self, answers: Iterable[Answer] = (), *, clock: HandClock | None = None, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.sent: list[HttpRequest] = []
        self.timeouts: list[float | None] = []
        self.closed = 0
        self._clock = clock
        self._seconds = seconds

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Play the next answer."""
        self.sent.append(request)
        self.timeouts.append(timeout_seconds)
        if self._clock is not None:
            self._clock.seconds += self._seconds
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, HttpResponse) else answer(request)

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Play the next answer; hand its body to the sink where that takes it."""
        response = await self.send(request, endpoint=endpoint, timeout_seconds=idle_seconds)
        if await sink.begin(response.status, response.headers):
            await sink.write(response.body)
        return response

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1


def cut(_: HttpRequest) -> HttpResponse:
    """Lose the answer."""
    raise ResponseLostError("cut")


def sign_with_token(request: HttpRequest, /, *, endpoint: str, token: str | None, now: datetime) -> HttpRequest:
    """Put the token into a header; without one, change nothing."""
    return request if token is None else request.with_headers({"Authorization": token})


def classify(request: HttpRequest, response: HttpResponse, /) -> Failure | None:
    """Classify by status alone."""
    status = response.status
    advised = retry_after_seconds(response, now=HandClock().now())
    if status < 400:
        return None
    if status == 401:
        return Failure(error=AuthenticationError("dead token", status=status), remedy=Remedy.RENEW_TOKEN)
    if status == 429:
        error = RateLimitedError("too many", status=status, retry_after_seconds=advised)
        return Failure(error=error, remedy=Remedy.SLOW_DOWN, retry_after_seconds=advised)
    if status >= 500:
        return Failure(error=ServerError("broken", status=status), remedy=Remedy.REPEAT, retry_after_seconds=advised)
    return Failure(error=InvalidQueryError("refused", status=status))


def session_over(
    transport: ScriptedTransport, clock: HandClock, *, tokens: TokenCache | None = None, **options: Any
) -> Session:
    """Return a session that talks to a script."""
    dialect = Dialect(endpoint="https://api.example", sign=sign_with_token, classify=classify, tokens=tokens)
    options = {"roll": lambda: 0.5, **options}
    return Session(label="test", transport=transport, clock=clock, dialect=dialect, **options)


GET = HttpRequest(operation="firmware.get", method="GET", path="/firmware")
POST = HttpRequest(operation="jobs.create", method="POST", path="/jobs", body=b"{}", idempotent=False)
OK = HttpResponse(status=200, body=b"{}")


def answer(status: int, **headers: str) -> HttpResponse:
    """Return an answer without a body."""
    return HttpResponse(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})
