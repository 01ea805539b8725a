"""What blocks an event loop: steps that compute for too long, and calls that wait on the loop's own thread.

Machines under load stall whole processes, so the clock on the wall says nothing of a step. What counts is the time that
the step's own thread computed. What waits without computing shows there not at all: so those calls are caught by name.
"""

import asyncio
import asyncio.events
import gc
import importlib.metadata
import inspect
import linecache
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, Final

import attrs

__all__ = ["LONGEST_STEP_SECONDS", "Block", "LoopWatch"]

LONGEST_STEP_SECONDS: Final = 0.05
"""What a step may take: whoever else uses the loop waits for so long."""

# How old a reading of the thread's clock may be, which costs as much as a short step, at the beginning of one. What ran
# in between counts as the step's, so this is also the largest error.
_READING_SECONDS: Final = 0.002
# How many times longer Python code takes while a tracer, such as that of the coverage, looks at every line.
_TRACED: Final = 3
# A core that two threads of the machine share, or that others keep hot, takes up to twice as long, in the thread's own
# time, for the same work.
_SMALL_WORK: Final = 5000
_READINGS: Final = 5
_ROOT: Final = Path(__file__).resolve().parents[2]
_LIBRARY: Final = (f"{_ROOT / 'otaclient'}/", f"{_ROOT / 'backends'}/")
# Emulators stand in for a vendor and may keep its files as they like; the command's loop has no other work.
_MAY_OPEN: Final = (
    f"{_ROOT / 'otaclient' / 'emulator'}/",
    f"{_ROOT / 'otaclient' / 'cli'}/",
    *(f"{folder}/" for folder in (_ROOT / "backends").glob("*/emulator")),
)
_COROUTINE: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_FRAMES_SHOWN: Final = 4
_TESTS: Final = f"{_ROOT / 'tests'}/"
_WAITS: Final = frozenset({"os.system", "subprocess.Popen", "socket.getaddrinfo", "socket.gethostbyname"})
# What these open is code, or tells of installed packages: read once, and then remembered.
_PYTHONS_OWN: Final = ("<frozen importlib", f"{Path(importlib.metadata.__file__).parent}/", linecache.__file__)


@attrs.frozen(kw_only=True)
class Block:
    """Something that kept an event loop from its other work."""

    what: str
    where: str
    seconds: float | None = None
    """How long it computed; ``None`` for a call that waits, however long."""

    def __str__(self) -> str:
        took = "" if self.seconds is None else f" for {self.seconds * 1000:.0f} ms of CPU time"
        return f"{self.what}{took}, {self.where}"


class LoopWatch:
    """Watches the event loops of the thread that starts it, in every step.

    What the garbage collector takes is not the step's in which it happens to run: it goes through the objects of
    everybody, in a test run those of thousands of tests.

    Args:
        longest_step_seconds: What a step may compute.
    """

    def __init__(self, *, longest_step_seconds: float = LONGEST_STEP_SECONDS) -> None:
        self.blocks: list[Block] = []
        self.steps = 0
        self.longest_collection_seconds = 0.0
        self.longest_seconds = 0.0
        """Of the steps that took long enough to be looked at."""
        self._limit = longest_step_seconds
        self._best_pace = min(_pace() for _ in range(_READINGS))
        self._thread = 0
        self._exempt = self._was_exempt = False
        self._in_step = False
        self._collector_seconds = 0.0
        self._collection_began = 0.0

    @contextmanager
    def watching(self) -> Iterator["LoopWatch"]:
        """Watch for as long as this lasts."""
        self._thread = get_ident()
        handle: Any = asyncio.events.Handle
        original = handle._run
        handle._run = self._measured(original)
        gc.callbacks.append(self._collecting)
        sleep, time.sleep = time.sleep, self._slept(time.sleep)
        _hear(self)
        try:
            yield self
        finally:
            _HEARERS.remove(self)
            gc.callbacks.remove(self._collecting)
            time.sleep = sleep
            handle._run = original

    @contextmanager
    def exempt(self) -> Iterator[None]:
        """Let whatever happens meanwhile, and the step in which that is, take as long as it likes."""
        before, self._exempt = self._exempt, True
        try:
            yield
        finally:
            self._exempt, self._was_exempt = before, True

    def _measured(self, run: Any) -> Any:
        wall, thread_time = time.perf_counter, time.thread_time
        read_at, computed = 0.0, 0.0

        def step(handle: asyncio.Handle) -> None:
            nonlocal read_at, computed
            if get_ident() != self._thread:
                run(handle)
                return
            began = wall()
            if began - read_at > _READING_SECONDS:
                computed, read_at = thread_time() - self._collector_seconds, wall()
            before, self._in_step, self._was_exempt = self._in_step, True, self._exempt
            try:
                run(handle)
            finally:
                self._in_step = before
                self.steps += 1
                if wall() - began > self._limit / 2:
                    now = thread_time() - self._collector_seconds
                    self._judge(handle, now - computed)
                    computed, read_at = now, wall()

        return step

    def _judge(self, handle: asyncio.Handle, seconds: float) -> None:
        if self._was_exempt or self._exempt:
            return
        self.longest_seconds = max(self.longest_seconds, seconds)
        limit = self._limit * (_TRACED if sys.gettrace() is not None else 1)
        # Dear to ask, so only where it matters.
        if seconds > limit and seconds > limit * self._slowness():
            self.blocks.append(Block(what="a step of the event loop computed", where=_whose(handle), seconds=seconds))

    def _slowness(self) -> float:
        """Return how many times longer the same work takes now than it did when the processor had least else to do."""
        pace = _pace()
        self._best_pace = min(self._best_pace, pace)
        return pace / self._best_pace

    def _collecting(self, phase: str, _info: dict[str, int]) -> None:
        if get_ident() != self._thread:
            return
        if phase == "start":
            self._collection_began = time.thread_time()
        else:
            seconds = time.thread_time() - self._collection_began
            self._collector_seconds += seconds
            self.longest_collection_seconds = max(self.longest_collection_seconds, seconds)

    def called(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note a call that waits, if it is made within a step."""
        if not self._in_step or self._exempt or get_ident() != self._thread or not _waits(event, arguments):
            return
        frame = _culprit(sys._getframe(2))
        if frame is None:
            return
        shown = f" {arguments[0]!r}" if event == "open" else ""
        self._note_call(f"{event}{shown}", frame)

    def _slept(self, sleep: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what notes a sleep, whoever sleeps; older Pythons have no audit event for it."""

        def sleeping(seconds: Any) -> None:
            if seconds > 0 and self._in_step and not self._exempt and get_ident() == self._thread:
                self._note_call("time.sleep", sys._getframe(1))
            sleep(seconds)

        return sleeping

    def _note_call(self, name: str, frame: FrameType) -> None:
        self.blocks.append(Block(what=f"{name} was called on the event loop's thread", where=_shortened(frame)))


def _pace() -> float:
    """Return how long a small piece of work takes, in seconds of the thread's time."""
    began = time.thread_time()
    for number in range(_SMALL_WORK):
        str(number)
    return time.thread_time() - began


# An audit hook cannot be taken away again, so there is one for all.
_HEARERS: Final[list[LoopWatch]] = []
_hooked = False


def _hear(watch: LoopWatch) -> None:
    global _hooked  # noqa: PLW0603 - as often as there are processes
    if not _hooked:
        sys.addaudithook(_heard)
        _hooked = True
    _HEARERS.append(watch)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _WAITS or event in {"open", "socket.connect"}:
        for watch in _HEARERS:
            watch.called(event, arguments)


def _waits(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "socket.connect":
        timeout: float | None = arguments[0].gettimeout()
        return timeout != 0.0
    if event == "open":
        # A number only wraps what is open already, and Python looks for the source of "<unknown>" in vain.
        return not isinstance(arguments[0], int) and not str(arguments[0]).startswith("<")
    return True


def _culprit(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of the library, if a coroutine of the library is what calls it; else ``None``.

    A test may read files and start processes, also through functions of the library that are none of a coroutine.
    """
    found: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith((*_PYTHONS_OWN, *_MAY_OPEN, _TESTS)):
            return None
        if code.co_filename.startswith(_LIBRARY):
            found = found or frame
            if code.co_flags & _COROUTINE:
                return found
        frame = frame.f_back
    return None


def _shortened(frame: FrameType | None) -> str:
    spots: list[str] = []
    while frame is not None and len(spots) < _FRAMES_SHOWN:
        code = frame.f_code
        if code.co_filename.startswith((*_LIBRARY, _TESTS)):
            spots.append(_spot(code.co_filename, frame.f_lineno, code.co_qualname))
        frame = frame.f_back
    return " <- ".join(spots)


def _spot(filename: str, line: int, name: str) -> str:
    path = Path(filename)
    shown = path.relative_to(_ROOT) if path.is_relative_to(_ROOT) else path.name
    return f"{shown}:{line} in {name}"


def _whose(handle: Any) -> str:
    """Return whose step it was, and where it has stopped since."""
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        code: CodeType | None = getattr(callback, "__code__", None)
        return _spot(code.co_filename, code.co_firstlineno, code.co_qualname) if code else repr(callback)
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None:
            places.append(_spot(frame.f_code.co_filename, frame.f_lineno, awaited.__qualname__))
        elif not places:
            places.append(getattr(awaited, "__qualname__", repr(awaited)))
        awaited = getattr(awaited, "cr_await", None)
    return "now at " + " <- ".join(reversed(places))
