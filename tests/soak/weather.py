"""What a vendor on a bad day does to its requests: drawn from a seed, one request after the other."""

import random
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import attrs
from aiohttp import web

from otaclient.emulator import AtOnce, FaultQueue
from otaclient.emulator.faults import AnswerWith, CutBody, Drip, DropConnection, Fault

__all__ = ["ATTEMPT_HEADER", "Weather"]

ATTEMPT_HEADER: Final = "X-Soak-Attempt"
"""Numbers the attempts of the client, so that each of them can be found again on the other side."""

_SHARES: Final = {
    "failed": 0.012,
    "busy": 0.004,
    "throttled": 0.0004,
    "dropped": 0.005,
    "cut": 0.008,
    "nonsense": 0.002,
    "dripping": 0.01,
    "stalling": 0.0005,
    "tokens die": 0.002,
}
_SHARE: Final = sum(_SHARES.values())


def _answers(status: int, *headers: dict[str, str], body: bytes = b"") -> list[Fault]:
    return [AnswerWith(status=status, headers=each, body=body) for each in headers]


_GATEWAY: Final = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
_HTML: Final = {"Content-Type": "text/html"}
_FAULTS: Final[dict[str, list[Fault]]] = {
    "failed": [fault for status in _GATEWAY for fault in _answers(status, _HTML, body=b"<html>bad gateway</html>")],
    "busy": _answers(503, {"Retry-After": "0"}),
    "throttled": _answers(429, {}, {"Retry-After": "0"}, {"Retry-After": "1"}),
    "dropped": [DropConnection()],
    "cut": [CutBody(after) for after in (0, 1, 20, 150)],
    "nonsense": [fault for body in (b"", b"<html>hello", b"{]") for fault in _answers(200, _HTML, body=body)],
    "dripping": [Drip(piece_bytes=size, seconds=0.01) for size in (256, 2048)],
    "stalling": [Drip(piece_bytes=1, seconds=0.5)],
}
# As many at once as the service bears; changed at every so-manieth request.
_CAPACITIES: Final = (None, 24, 12, None, 6)
_REQUESTS_BETWEEN_CHANGES: Final = 700


class Weather(FaultQueue):
    """Notes every request, and strikes some of them as soon as it is bad.

    Args:
        seed: What is drawn from.
        expire_tokens: Ends all tokens.
    """

    def __init__(self, seed: int, *, expire_tokens: Callable[[], None]) -> None:
        super().__init__()
        self.arrivals = bytearray()
        """By the number of the attempt, how often it came in; more often than 255 times is 255."""
        self.unnumbered = 0
        self.struck: Counter[str] = Counter()
        self.is_bad = False
        self._rng = random.Random(seed)
        self._expire_tokens = expire_tokens
        self._requests = 0

    def turn(self, *, is_bad: bool) -> None:
        """Let things go wrong, or no more."""
        self.is_bad, self.capacity = is_bad, None

    def take(self, operation: str) -> Fault | None:
        """Return what strikes the next request: at least that it is noted."""
        self._requests += 1
        if self.is_bad and self._requests % _REQUESTS_BETWEEN_CHANGES == 0:
            limit = self._rng.choice(_CAPACITIES)
            self.capacity = None if limit is None else AtOnce(limit)
        return _Noted(weather=self, fault=self._draw(operation) if self.is_bad else None)

    def note(self, request: web.Request) -> None:
        """Note that a request has come in."""
        number = int(request.headers.get(ATTEMPT_HEADER, "-1"))
        if number < 0:
            self.unnumbered += 1
            return
        if number >= len(self.arrivals):
            self.arrivals.extend(bytes(number + 1 - len(self.arrivals)))
        self.arrivals[number] = min(255, self.arrivals[number] + 1)

    def _draw(self, operation: str) -> Fault | None:
        if self._rng.random() >= _SHARE:
            return None
        (kind,) = self._rng.choices(list(_SHARES), list(_SHARES.values()))
        self.struck[kind] += 1
        if kind == "tokens die":
            self._expire_tokens()
            return None
        return self._rng.choice(_FAULTS[kind])


@attrs.frozen
class _Noted:
    weather: Weather
    fault: Fault | None

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Note the request, and let happen to it what happens."""
        self.weather.note(request)
        return None if self.fault is None else await self.fault.strike(request)
