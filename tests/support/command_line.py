"""What tests of the command share: how it is run in this process, without settings, and emulators beside it."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient.cli import main
from otaclient.cli.output import record
from otaclient.emulator import EmulatorServer
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.running_scan import Scan

VENDORS = ("enos", "iotda")
DEVICES = 700
"""How many devices the emulators have that all tests of a module share."""


@attrs.frozen
class Result:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[Any]:
        """The records of JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    def refused(self, code: int, *words: str) -> None:
        """Check that the command complained in exactly one line, with these words and this exit code."""
        assert (self.code, self.out, self.err.count("\n")) == (code, "", 1), self
        assert len(self.err.splitlines()) == 1, self
        assert self.err.startswith("error: ")
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err


Run = Callable[..., Result]


def run_here(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return how the command is run in this process: with these words, and what it prints is caught."""

    def call(*words: str) -> Result:
        capsys.readouterr()
        code = main(words)
        return Result(code, *capsys.readouterr())

    return call


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


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard output and standard error pass for a terminal."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)


def uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every scan end uncertain."""
    original = Scan.certificate
    assert isinstance(original, property)
    certificate = original.fget
    assert certificate is not None
    monkeypatch.setattr(
        Scan, "certificate", property(lambda scan: attrs.evolve(certificate(scan), verdict=Verdict.UNCERTAIN))
    )


def as_json(models: Any) -> list[Any]:
    """Return records as a reader of JSON gets them."""
    return [json.loads(json.dumps(record(model))) for model in models]
