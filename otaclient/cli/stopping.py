"""Being told to end: what ``kill``, ``timeout`` and service managers send, and a terminal that goes away."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["told_to_end"]

_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def told_to_end() -> Generator[Callable[[], bool]]:
    """Let these signals end a command just as Ctrl-C does, with what it has so far kept, while this block runs.

    Yields whether one came. A signal that is ignored, as under ``nohup``, stays ignored.
    """
    told = False

    def end(_number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        if not callable(on_ctrl_c):  # a shell lets what it starts in the background ignore Ctrl-C
            raise KeyboardInterrupt
        on_ctrl_c(signal.SIGINT, frame)

    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _SIGNALS if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield lambda: told
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
