"""Runs the code blocks of one page, one after the other, as a reader would: same folder, same settings, same clouds."""

import ast
import asyncio
import importlib
import inspect
import io
import random
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio.lowlevel
import attrs
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import otaclient
from otaclient.cli import main
from otaclient.cli.app import app
from otaclient.emulator import EmulatorServer, Fleet
from otaclient.registry import emulator_class
from otaclient.session_backend import SessionBackend
from otaclient_enos.emulator import EnosEmulator
from otaclient_iotda.emulator import IotdaEmulator
from support.doc_blocks import Block, Command, commands_in, is_output_like

__all__ = ["PageRun", "running"]

_EMULATOR = ("otaclient", "emulator")
_STARTED = "Ctrl-C stops it"
_DEFAULT_PORT = 8080
_PORTS = {"enos": _DEFAULT_PORT, "iotda": 8081}
"""Where the reader's emulators listen; ours take free ports."""
_BEGINNING = datetime(2026, 2, 1, 8, 0, tzinfo=UTC)
_PLACEHOLDER = re.compile(r"\b[A-Z]+_ID\b")


class _Hurry:
    """Time that passes only where somebody waits, and then at once: for the clients and the emulators alike.

    So equal pages print equal things: jobs have the same identifiers, which decide which of their devices fail.
    """

    def __init__(self) -> None:
        self._seconds = 1000.0

    def monotonic(self) -> float:
        """Return the seconds so far."""
        return self._seconds

    def now(self) -> datetime:
        """Return the same instant as wall-clock time."""
        return _BEGINNING + timedelta(seconds=self._seconds)

    def now_ms(self) -> int:
        """Return that as milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass, and others run."""
        await anyio.lowlevel.checkpoint()
        self._seconds += seconds

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the system's clock, also in the emulators that commands start."""
        for name in ("monotonic", "now", "sleep"):
            monkeypatch.setattr(f"otaclient.transport.clock.SystemClock.{name}", _method(getattr(self, name)))
        for name in ("now_ms", "sleep"):
            monkeypatch.setattr(f"otaclient.emulator.clock.SystemClock.{name}", _method(getattr(self, name)))
        for module in ("emulator", "demo"):
            monkeypatch.setattr(
                f"otaclient.cli.{module}.emulator_class", lambda name: partial(emulator_class(name), clock=self)
            )
        random.seed(7)  # the jitter


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _self, *arguments: function(*arguments)


class _Keyboard(io.StringIO):
    """Somebody at a terminal who says yes, again and again."""

    def isatty(self) -> bool:
        """Be one."""
        return True


@attrs.define
class PageRun:
    """What the blocks of one page share."""

    folder: Path
    emulators: dict[str, EmulatorServer]
    portal: BlockingPortal
    runner: asyncio.Runner
    monkeypatch: pytest.MonkeyPatch
    configured: bool
    """Whether there are settings from the beginning; else those of the emulators that the page starts count."""
    not_run: dict[str, str]
    """How commands, and titles of blocks, begin that cannot run here, with the reason."""
    ends_with: dict[str, int]
    """Commands that end with another exit code than 0."""
    changes: list[tuple[Block, str]] = attrs.field(factory=list[tuple[Block, str]])
    """What prints something else than the page shows."""
    namespace: dict[str, Any] = attrs.field(factory=dict[str, Any])
    _printed: str = ""
    _exit_code: int = 0
    _addresses: dict[str, str] = attrs.field(factory=dict[str, str])
    _serving: list["Future[Any]"] = attrs.field(factory=list["Future[Any]"])

    def know(self, emulator: EmulatorServer) -> None:
        """Show an emulator's address as the reader's."""
        self._addresses[f"127.0.0.1:{emulator.port}"] = f"127.0.0.1:{_PORTS[emulator.vendor]}"

    def run(self, block: Block) -> None:
        """Do with a block what a reader does."""
        if block.title is not None and self._is_exempt(block.title):
            if block.language == "python":
                compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif block.is_output:
            if not is_output_like(block.text, self._printed):
                self.changes.append((block, self._printed))
        elif block.language == "python":
            self._printed = self._python(block)
        elif block.language in {"sh", "console"}:
            self._shell(block)
        elif block.file_name is not None:
            (self.folder / block.file_name).write_text(block.text, encoding="utf-8")

    def _is_exempt(self, text: str) -> bool:
        return any(text.startswith(beginning) for beginning in self.not_run)

    # --- Python ------------------------------------------------------------------------------------------------------

    def _python(self, block: Block) -> str:
        is_program = "asyncio.run(" in block.text
        if block.file_name is not None:
            file = self.folder / block.file_name
            file.write_text(block.text, encoding="utf-8")
            if not is_program:
                importlib.import_module(file.stem)
                return ""
        namespace = {"__name__": "__main__"} if is_program else self.namespace
        # Tracebacks are to name the line of the page.
        text = "\n" * (block.line - 1) + block.text
        code = compile(text, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with _captured() as printed:
            if code.co_flags & inspect.CO_COROUTINE:
                self.runner.run(_awaited(eval(code, namespace)))  # noqa: S307 - our own pages
            else:
                exec(code, namespace)  # noqa: S102 - our own pages
        return self._as_read(printed.getvalue())

    # --- commands ----------------------------------------------------------------------------------------------------

    def _shell(self, block: Block) -> None:
        text, differs = "", False
        for command in commands_in(block):
            printed = self._command(command, block)
            if printed is None:
                printed = command.shown or ""
            elif command.shown is not None:
                differs |= not is_output_like(command.shown, printed)
            text += f"$ {command.raw}{_ended(printed)}"
        assert self._exit_code == 0, f"{block.place}: the last command ends with {self._exit_code}: {text}"
        if differs:
            self.changes.append((block, text))

    def _command(self, command: Command, block: Block) -> str | None:
        """Run a command and return what it prints; ``None`` for one that cannot run here."""
        line = command.line
        if self._is_exempt(line):
            return None
        if line == "echo $?":
            code, self._exit_code = self._exit_code, 0
            return f"{code}\n"
        assert self._exit_code == 0, f"{block.place}: the command before {line!r} ends with {self._exit_code}"
        words = shlex.split(self._filled_in(line), comments=True)
        if words[0] == "export":
            for word in words[1:]:
                name, _, value = word.partition("=")
                self.monkeypatch.setenv(name, value)
            return ""
        if tuple(words[:2]) == _EMULATOR:
            return self._emulator(words[1:])
        if words[0] != "otaclient":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", self._as_run(line)],  # noqa: S607
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
            )
            self._exit_code = done.returncode
            return done.stdout + done.stderr
        return self._otaclient(line, words[1:])

    def _otaclient(self, line: str, words: Sequence[str]) -> str:
        words, _, target = _split_at(words, ">")
        into_file = io.StringIO()
        with _captured() as printed, redirect_stdout(into_file if target else sys.stdout):
            self._exit_code = main(words)
        if self._exit_code == self.ends_with.get(line):
            self._exit_code = 0
        if target:
            (self.folder / target[0]).write_text(into_file.getvalue(), encoding="utf-8")
        return self._as_read(printed.getvalue())  # with the messages, which are not redirected

    def _as_read(self, text: str) -> str:
        """Return what was printed, with the addresses that a reader's emulators have."""
        for ours, theirs in self._addresses.items():
            text = text.replace(ours, theirs)
        return text

    def _as_run(self, line: str) -> str:
        """Return a command with the addresses that our emulators have; the one that was started last counts."""
        for ours, theirs in reversed(self._addresses.items()):
            line = line.replace(theirs, ours)
        return line

    def _emulator(self, words: Sequence[str]) -> str:
        """Run the command that never ends, on a free port; what it prints to be set is set where nothing is yet."""
        command, bound, _ = app.parse_args(list(words), exit_on_error=False, print_error=False)
        port, bound.arguments["port"] = bound.arguments.get("port", _DEFAULT_PORT), 0
        with _captured() as printed:
            serving = self.portal.start_task_soon(_awaited, command(*bound.args, **bound.kwargs))
            give_up = time.monotonic() + 20
            while _STARTED not in printed.getvalue():
                assert not serving.done(), serving.result()
                assert time.monotonic() < give_up, f"the emulator does not start: {printed.getvalue()}"
                time.sleep(0.01)
        self._serving.append(serving)
        text = printed.getvalue()
        self._addresses[re.findall(r"127\.0\.0\.1:\d+", text)[0]] = f"127.0.0.1:{port}"
        for line in text.splitlines():
            if line.startswith("export ") and not self.configured:
                name, _, value = shlex.split(line)[1].partition("=")
                self.monkeypatch.setenv(name, value)
        return self._as_read(text)

    def _filled_in(self, line: str) -> str:
        """Return a command with an identifier in the place of a word such as ``JOB_ID``."""
        found = re.search(r"--backend (\w+)", line)
        if found is None or not _PLACEHOLDER.search(line):
            return line
        emulator = self.emulators[found[1]]
        known = {
            "JOB_ID": str(next(iter(emulator.expected_jobs(found[1]))).job_id),
            "FIRMWARE_ID": str(next(iter(emulator.expected_firmware(found[1]))).firmware_id),
            "DEVICE_ID": str(next(iter(emulator.expected_devices(found[1]))).device_id),
        }
        return _PLACEHOLDER.sub(lambda match: known[match[0]], line)

    def close(self) -> None:
        """Stop what commands have started."""
        for serving in self._serving:
            serving.cancel()


@contextmanager
def running(
    page: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fleet: Fleet,
    not_run: dict[str, str],
    ends_with: dict[str, int],
    configured: bool = True,
) -> Generator[PageRun]:
    """Run both emulators over a copy of the fleet, with settings for both, and open a client of each.

    Args:
        page: Whose blocks are to run.
        folder: An empty folder to run them in.
        monkeypatch: Puts everything back at the end.
        fleet: What the emulators serve.
        not_run: How commands, and titles of blocks, begin that cannot run here, with the reason.
        ends_with: Commands that end with another exit code than 0.
        configured: Whether there are settings; without, the page brings them itself.
    """
    clock = _Hurry()
    clock.install(monkeypatch)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("HOME", "XDG_CONFIG_HOME"):  # the reader's own settings are not the page's
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr("sys.stdin", _Keyboard("y\n" * 100))
    monkeypatch.setattr("sys.argv", ["otaclient"])
    with start_blocking_portal() as portal, asyncio.Runner() as runner:
        emulators: dict[str, EmulatorServer] = {
            "enos": EnosEmulator(fleet.copy(), clock=clock),
            "iotda": IotdaEmulator(fleet.copy(), clock=clock),
        }
        run = PageRun(folder, emulators, portal, runner, monkeypatch, configured, not_run, ends_with)
        clients: dict[str, otaclient.Backend] = {}
        try:
            for emulator in emulators.values():
                portal.call(emulator.start)
                run.know(emulator)
                for name, value in emulator.environment().items() if configured else ():
                    monkeypatch.setenv(name, value)
            clients |= {name: otaclient.open_backend(name) for name in emulators if configured}
            names = {name: getattr(otaclient, name) for name in otaclient.__all__}
            run.namespace |= {"__name__": page.stem, "asyncio": asyncio, "otaclient": otaclient, **names, **clients}
            yield run
        finally:
            # Also those that a page opened itself, which closes them only if it gets to its end.
            opened: list[Any] = [each for each in run.namespace.values() if isinstance(each, SessionBackend)]
            for client in (*clients.values(), *opened):
                runner.run(_closed(client))
            run.close()
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None)).startswith(str(folder)):
                    del sys.modules[name]
            for emulator in emulators.values():
                portal.call(emulator.stop)


async def _closed(client: otaclient.Backend) -> None:
    await client.aclose()


async def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


@contextmanager
def _captured() -> Generator[io.StringIO]:
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        yield printed


def _split_at(words: Sequence[str], mark: str) -> tuple[list[str], str, list[str]]:
    if mark not in words:
        return list(words), "", []
    place = list(words).index(mark)
    return list(words[:place]), mark, list(words[place + 1 :])


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
