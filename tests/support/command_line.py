"""What tests of the command share: emulators on an event loop aside, since the command brings its own; no settings."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otaclient.emulator import EmulatorServer

__all__ = ["emptied", "loop_aside", "served_aside"]


@contextmanager
def loop_aside() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def served_aside(*servers: EmulatorServer) -> Iterator[None]:
    """Run emulators on a loop of their own."""
    with loop_aside() as loop:
        for server in servers:
            asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield
        for server in servers:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)


def emptied(monkeypatch: pytest.MonkeyPatch, folder: Path, *, columns: int = 200) -> None:
    """Work in a folder, without settings from anywhere, on a terminal of some width."""
    for name in list(os.environ):
        if name.startswith("OTACLIENT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "no-config"))
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(folder)
