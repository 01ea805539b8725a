"""What can go wrong with a request to a vendor, drawn from a seed for one request after the other.

Each fault is one of three kinds: what strikes before the service does anything, what strikes after it did it, and what
lets the service do it later, when the client has its answer and may have searched already.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import attrs
from aiohttp import web

from support.lost_answers import kept_whole
from support.simulated_network import SimulatedLoop, SimulatedTransport

__all__ = ["LONGEST_DELAY_SECONDS", "FaultScript", "Struck"]

_GATEWAY: Final = (
    (HTTPStatus.BAD_GATEWAY, b"<html>bad gateway</html>"),
    (HTTPStatus.GATEWAY_TIMEOUT, b""),
    (HTTPStatus.GATEWAY_TIMEOUT, b"<html>gateway time-out</html>"),
    (HTTPStatus.BAD_GATEWAY, b""),
    (HTTPStatus.SERVICE_UNAVAILABLE, b""),
    (HTTPStatus.INTERNAL_SERVER_ERROR, b"{}"),
)
_NO_END: Final = 10**6
_ADVISED: Final = (None, None, "0", "1", "3", "60")
_DELAYS: Final = (0.0, 0.01, 0.1, 0.3, 0.9, 1.1, 2.0, 3.0, 6.0, 20.0, 45.0)
LONGEST_DELAY_SECONDS: Final = 1.5 * _DELAYS[-1]

BEFORE: Final = (
    "dropped unread",
    "dropped before",
    "gateway before",
    "held and dropped",
    "throttled",
    "busy",
    "token dead",
    "forbidden",
)
"""Nothing was done."""
AFTER: Final = ("cut after", "half an answer", "gateway after", "nonsense after", "slow answer", "late")
"""It was done; ``late`` before or after the client has gone."""
LATER: Final = ("later, gateway", "later, cut")
"""It will be done, when the client has heard that it has failed."""
AROUND: Final = ("two answers", "answered, then away", "answered, then closed", "token dies after")
"""It was done and answered; what comes next has to bear it."""
_WEIGHTS: Final = {"forbidden": 0.3, "busy": 0.5, "nonsense after": 0.5, "throttled": 1.5, "late": 1.5}


@attrs.frozen
class Struck:
    """One fault, and the request that it struck."""

    operation: str
    fault: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.fault}"


class FaultScript:
    """Strikes the requests of one run, as its seed has it; a fault of the emulators' for every request.

    Args:
        emulator: Whose requests these are.
        loop: On which the emulator runs.
        vendor: Its name.
        write: What the emulator calls the request of the write.
        rng: Draws.
    """

    def __init__(self, emulator: Any, loop: SimulatedLoop, *, vendor: str, write: str, rng: random.Random) -> None:
        self.struck: list[Struck] = []
        self.requests = 0
        self.calm = False
        """Whether nothing goes wrong any more."""
        self._emulator = emulator
        self._vendor = vendor
        self._write = write
        self._rng = rng
        self._loop = loop
        self._left = rng.choice((1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6, _NO_END))
        self._of_write = rng.choice((0.4, 0.8, 1.0))
        self._of_others = rng.choice((0.0, 0.0, 0.2, 0.5))
        self._pending: set[asyncio.Task[web.Response]] = set()

    @property
    def tasks(self) -> frozenset[asyncio.Task[web.Response]]:
        """What the service has yet to do."""
        return frozenset(self._pending)

    @property
    def doing_later(self) -> bool:
        """Whether the service has yet to do something that its client no longer waits for."""
        return bool(self._pending)

    async def settled(self) -> None:
        """Wait until the service has done whatever it is ever going to do."""
        while self._pending:
            await asyncio.wait(self._pending)

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Answer the request, or not, as the seed has it."""
        self.requests += 1
        if self.calm:
            return None
        operation = self._emulator.operation(request)
        share = self._of_write if operation == self._write else self._of_others
        if not self._left or self._rng.random() >= share:
            return None
        self._left -= 1
        fault = self._drawn(operation)
        self.struck.append(Struck(operation, fault))
        return await self._strike(fault, request)

    def _drawn(self, operation: str) -> str:
        fitting = [fault for fault in (*BEFORE, *AFTER, *LATER, *AROUND) if self._fits(fault, operation)]
        return self._rng.choices(fitting, [_WEIGHTS.get(fault, 1.0) for fault in fitting])[0]

    def _fits(self, fault: str, operation: str) -> bool:
        is_write = operation == self._write
        if fault == "busy":
            return is_write and (self._vendor, operation) == ("enos", "firmware.create")
        if fault == "nonsense after":
            # IoTDA deletions have empty answers: any body with a good status is one.
            return not (self._vendor == "iotda" and operation.endswith(".delete"))
        return is_write or fault not in LATER

    async def _strike(self, fault: str, request: web.Request) -> web.StreamResponse | None:
        strike: Callable[[web.Request], Awaitable[web.StreamResponse | None]]
        strike = getattr(self, "_" + fault.replace(",", "").replace(" ", "_"))
        return await strike(request)

    def _delay(self) -> float:
        return self._rng.choice(_DELAYS) * self._rng.uniform(0.5, 1.5)

    async def _carried_out(self, request: web.Request) -> web.Response:
        response = await self._emulator._handled(request, request.match_info.handler)
        assert isinstance(response, web.Response)
        return response

    def _words(self, *, enos: str, iotda: str) -> bytes:
        return (enos if self._vendor == "enos" else iotda).encode()

    # --- before -------------------------------------------------------------------------------------------------------

    async def _dropped_unread(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _dropped_before(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        return _hang_up(request)

    async def _gateway_before(self, request: web.Request) -> web.StreamResponse:
        status, body = self._rng.choice(_GATEWAY)
        return web.Response(status=status, body=body)

    async def _held_and_dropped(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(self._delay())
        return _hang_up(request)

    async def _throttled(self, request: web.Request) -> web.StreamResponse:
        advised = self._rng.choice(_ADVISED)
        headers = {} if advised is None else {"Retry-After": advised}
        if self._vendor == "iotda" and self._rng.random() < 0.5:
            code = self._rng.choice(("IOTDA.021101", "IOTDA.021102"))
            return web.Response(status=403, headers=headers, body=f'{{"error_code":"{code}"}}'.encode())
        body = self._words(enos='{"message":"API rate limit exceeded"}', iotda='{"error_code":"APIGW.0308"}')
        return web.Response(status=HTTPStatus.TOO_MANY_REQUESTS, headers=headers, body=body)

    async def _busy(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"code":24603,"msg":"Not allowed to create firmware concurrently"}')

    async def _token_dead(self, request: web.Request) -> web.StreamResponse | None:
        self._emulator.expire_tokens()
        return None

    async def _forbidden(self, request: web.Request) -> web.StreamResponse:
        body = self._words(enos='{"code":99403,"msg":"Denied resource"}', iotda='{"error_code":"IOTDA.000022"}')
        return web.Response(status=HTTPStatus.FORBIDDEN, body=body)

    # --- after --------------------------------------------------------------------------------------------------------

    async def _cut_after(self, request: web.Request) -> web.StreamResponse:
        await self._carried_out(request)
        return _hang_up(request)

    async def _half_an_answer(self, request: web.Request) -> web.StreamResponse:
        whole = _raw(await self._carried_out(request))
        assert request.transport is not None
        request.transport.write(whole[: self._rng.randrange(1, len(whole))])
        return _hang_up(request)

    async def _gateway_after(self, request: web.Request) -> web.StreamResponse:
        await self._carried_out(request)
        return await self._gateway_before(request)

    async def _nonsense_after(self, request: web.Request) -> web.StreamResponse:
        await self._carried_out(request)
        return web.Response(body=self._rng.choice((b"<html>maintenance</html>", b"", b"[]", b'{"data":')))

    async def _slow_answer(self, request: web.Request) -> web.StreamResponse:
        response = await self._carried_out(request)
        await asyncio.sleep(self._delay())
        return response

    async def _late(self, request: web.Request) -> web.StreamResponse:
        await kept_whole(request)
        done = self._do_later(request)
        await asyncio.wait([done])
        return done.result()

    # --- later --------------------------------------------------------------------------------------------------------

    async def _later_gateway(self, request: web.Request) -> web.StreamResponse:
        await kept_whole(request)
        self._do_later(request)
        return await self._gateway_before(request)

    async def _later_cut(self, request: web.Request) -> web.StreamResponse:
        await kept_whole(request)
        self._do_later(request)
        return _hang_up(request)

    def _do_later(self, request: web.Request) -> "asyncio.Task[web.Response]":
        delay = self._delay()

        async def carry_out() -> web.Response:
            await asyncio.sleep(delay)
            return await self._carried_out(request)

        task = asyncio.create_task(carry_out())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return task

    # --- around -------------------------------------------------------------------------------------------------------

    async def _two_answers(self, request: web.Request) -> web.StreamResponse:
        """Send a second answer: along with the first, or when the connection waits for its next request."""
        response = await self._carried_out(request)
        second, delay = _raw(response), self._rng.choice((None, 0.0, 0.0, 0.1, 0.5, 1.5))
        return _Doubled(response, second, delay)

    async def _answered_then_away(self, request: web.Request) -> web.StreamResponse:
        response = await self._carried_out(request)
        response.force_close()
        self._loop.refusals = self._rng.choice((1, 1, 2, 5))
        return response

    async def _answered_then_closed(self, request: web.Request) -> web.StreamResponse:
        """Close a connection that the client may keep and use."""
        response = await self._carried_out(request)
        assert request.transport is not None
        delay = self._rng.choice((0.0, 0.0, 0.1, 1.0))
        asyncio.get_running_loop().call_later(delay, request.transport.close)
        return response

    async def _token_dies_after(self, request: web.Request) -> web.StreamResponse:
        response = await self._carried_out(request)
        self._emulator.expire_tokens()
        return response


def _hang_up(request: web.Request) -> web.StreamResponse:
    request.protocol.force_close()
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # goes nowhere


def _raw(response: web.Response) -> bytes:
    """Return an answer as it goes over the wire."""
    body = response.body if isinstance(response.body, bytes) else b""
    names = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
    lines = [f"HTTP/1.1 {response.status} OK", *(f"{name}: {value}" for name, value in names.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class _Doubled(web.Response):
    """An answer behind which there comes another."""

    def __init__(self, first: web.Response, second: bytes, delay: float | None) -> None:
        super().__init__(status=first.status, headers=first.headers, body=first.body)
        self._second = second
        self._delay = delay

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the rest of the first answer, and arrange for the second."""
        transport: Any = self._req.transport if self._req is not None else None
        await super().write_eof(data)
        if not isinstance(transport, SimulatedTransport):
            return
        if self._delay is None:
            transport.write(self._second)
        else:
            transport.loop.call_later(self._delay, self._send_if_idle, transport)

    def _send_if_idle(self, transport: SimulatedTransport) -> None:
        # To a client that has asked again meanwhile, it would be the answer to that: nobody could tell.
        server = transport.get_protocol()
        if transport.is_idle and not server._messages and server._current_request is None:
            transport.write(self._second)
