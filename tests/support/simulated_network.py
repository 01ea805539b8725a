"""An event loop whose time and whose network are simulated: the client and the emulator are real, the wire is not.

Time stands still while anybody has something to do, and then leaps to the next timer; a connection is two transports
that hand bytes to each other. So an hour passes in a moment, time-outs inside aiohttp included, and the same seed gives
the same run, turn by turn. Threads have no place in it: they live in real time.
"""

import asyncio
import errno
import selectors
import socket
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

__all__ = ["LoopClock", "SimulatedLoop", "SimulatedTransport", "StuckError"]

_START: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_FIRST_PORT: Final = 40_000


class StuckError(Exception):
    """Everybody waits for something that will never come, or nobody comes to an end."""


class SimulatedTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, loop: "SimulatedLoop", port: int) -> None:
        super().__init__({"peername": ("127.0.0.1", port), "sockname": ("127.0.0.1", port)})
        self.loop = loop
        self.peer: SimulatedTransport
        self._protocol: Any = None
        self._closing = False
        self._lost = False
        self._paused = False
        self._arriving: deque[bytes | Exception | None] = deque()
        """What the other end has sent, and how it went: ``None`` for an orderly end."""
        self._waking = False

    def connected(self, protocol: Any) -> None:
        """Hand the connection to whoever uses this end of it."""
        self._protocol = protocol
        self.loop.open_transports.add(self)
        protocol.connection_made(self)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way to this end, and neither end has gone."""
        return not (self._arriving or self._closing or self.peer.is_closing())

    # --- what a protocol asks -----------------------------------------------------------------------------------------

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        """Whether this end has gone."""
        return self._closing

    def is_reading(self) -> bool:
        return not (self._paused or self._closing)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._wake()

    def get_write_buffer_size(self) -> int:
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 1 << 16

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever kept back."""

    def write(self, data: Any) -> None:
        if not self._closing:
            self.peer.send(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        """Go, after what was written has arrived."""
        self._go(None)

    def abort(self) -> None:
        """Go, and let the other end know that it was no orderly end."""
        self._go(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    # --- what the other end does --------------------------------------------------------------------------------------

    def send(self, data: bytes | Exception | None) -> None:
        """Let something arrive at this end."""
        self._arriving.append(data)
        self._wake()

    def _go(self, last: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self.peer.send(last)
            self.loop.call_soon(self._lose, None)

    def _wake(self) -> None:
        if not self._waking:
            self._waking = True
            self.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._waking = False
        while self._arriving and not self._closing and not self._paused:
            data = self._arriving.popleft()
            if isinstance(data, bytes):
                self._protocol.data_received(data)
                continue
            if data is None:
                self._protocol.eof_received()
            self._closing = True
            self.loop.call_soon(self._lose, data)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self.loop.open_transports.discard(self)
            self._protocol.connection_lost(error)


class _Listener:
    """Somebody who takes connections on a port: what of ``asyncio.AbstractServer`` is asked for."""

    def __init__(self, loop: "SimulatedLoop", port: int) -> None:
        self._loop = loop
        self._port = port

    @property
    def sockets(self) -> tuple["_Listener", ...]:
        return (self,)

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def close(self) -> None:
        self._loop.listeners.pop(self._port, None)

    async def wait_closed(self) -> None:
        pass


class _Leaping(selectors.BaseSelector):
    """Asked how long it would wait, it lets that time pass at once."""

    def __init__(self) -> None:
        self.leap: Callable[[float | None], None]
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Any:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[Any]:
        self.leap(timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop on which hours take no time.

    ``listeners`` are those who take connections, by port; ``refusals`` says how many attempts to connect are refused
    from now on.
    """

    def __init__(self) -> None:
        selector = _Leaping()
        selector.leap = self._leap
        self._seconds = 1000.0
        self.turns = 0
        """How often everybody who could do something has had a turn."""
        self.turns_allowed: int | None = None
        self.refusals = 0
        self.listeners: dict[int, Callable[[], Any]] = {}
        self.open_transports: set[SimulatedTransport] = set()
        self._ports: dict[int, int] = {}
        self._alarm: tuple[int, Callable[[], object]] | None = None
        super().__init__(selector)

    def time(self) -> float:
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time pass while the caller has its turn."""
        self._seconds += seconds

    def after_turns(self, turns: int, callback: Callable[[], object]) -> None:
        """Call something once, when so many more turns have passed."""
        self._alarm = (self.turns + turns, callback)

    def forget_alarm(self) -> None:
        """Do not call what ``after_turns`` was to call."""
        self._alarm = None

    def _leap(self, seconds: float | None) -> None:
        self.turns += 1
        if self.turns_allowed is not None and self.turns > self.turns_allowed:
            self.turns_allowed = None
            raise StuckError("nobody comes to an end")
        if self._alarm is not None and self.turns >= self._alarm[0]:
            callback = self._alarm[1]
            self._alarm = None
            self.call_soon(callback)
            return
        if seconds is None:
            raise StuckError("everybody waits, and nothing is to come")
        self._seconds += max(0.0, seconds)

    # --- the network --------------------------------------------------------------------------------------------------

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_options: Any) -> Any:
        number: int = port or _FIRST_PORT + len(self.listeners)
        self.listeners[number] = protocol_factory
        return _Listener(self, number)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await asyncio.sleep(0)
        if self.refusals or address[1] not in self.listeners:
            self.refusals = max(0, self.refusals - 1)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        self._ports[sock.fileno()] = address[1]

    async def create_connection(self, protocol_factory: Any, *_place: Any, **options: Any) -> Any:
        sock: socket.socket = options["sock"]
        port = self._ports.pop(sock.fileno())
        sock.close()
        near, far = SimulatedTransport(self, port), SimulatedTransport(self, port)
        near.peer, far.peer = far, near
        far.connected(self.listeners[port]())
        protocol = protocol_factory()
        near.connected(protocol)
        try:
            await asyncio.sleep(0)
        except BaseException:
            near.close()
            raise
        return near, protocol


class LoopClock:
    """The time of the loop, for the client and for the service."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        """Return the seconds so far."""
        return self._loop.time()

    def now(self) -> datetime:
        """Return the same instant as wall-clock time."""
        return _START + timedelta(seconds=self._loop.time())

    def now_ms(self) -> int:
        """Return the same instant as an emulator counts."""
        return int(_START.timestamp() * 1000) + round(self._loop.time() * 1000)

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._loop.advance(seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait until the time has come."""
        await asyncio.sleep(seconds)
