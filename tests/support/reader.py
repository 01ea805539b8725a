"""A stranger with the documentation: an empty folder, the installed command, and what the pages say, typed literally.

Unlike :mod:`support.doc_runner`, which runs every block of every page in this process and in no time, this runs some as
a user does: real processes, real files, real time. A journey adds what a person would look at afterwards.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import attrs

from otaclient.emulator import EmulatorServer, Fleet
from otaclient.testing import emulator_of
from support.doc_blocks import ROOT, Block, Command, blocks_of, commands_in, is_output_like

__all__ = ["FULL", "PYTHON", "Reader", "expected_of", "reading", "section"]

FULL: Final = bool(os.environ.get("OTACLIENT_JOURNEYS_FULL"))
"""Whether the journeys go all the way: a million devices, and an installation from the package index."""

PYTHON: Final = os.environ.get("OTACLIENT_JOURNEYS_PYTHON", sys.executable)
"""The interpreter of the environment that is tried, such as one into which a wheel was installed."""

_SEED: Final = 7
"""Of every emulator's fleet, unless it is told another one."""
_STARTED: Final = "Ctrl-C stops it"
_PATIENCE_SECONDS: Final = 240.0
_IDENTIFIER: Final = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{24})\b")
_FENCED: Final = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_MARK: Final = "--- the block ends here ---"
_CONSOLE: Final = f"""
import ast, asyncio, inspect, json, sys

async def main():
    names = {{"__name__": "__main__", "asyncio": asyncio}}
    while line := await asyncio.to_thread(sys.stdin.readline):
        code = compile(json.loads(line), "<page>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
        print({_MARK!r}, flush=True)

asyncio.run(main())
"""
"""Runs piece after piece in one event loop, which goes on in between: ``python -m asyncio`` without its terminal."""


def section(page: str, heading: str) -> list[Block]:
    """Return the blocks of a page from a heading to the next one, in order."""
    path = ROOT / page
    # A line that begins with # in a block is a comment, not a heading.
    text = _FENCED.sub(lambda block: block[0].replace("#", "-"), path.read_text(encoding="utf-8"))
    starts = [(text.count("\n", 0, found.start()) + 1, found[1]) for found in _HEADING.finditer(text)]
    first = next(line for line, name in starts if name == heading)
    last = next((line for line, _ in starts if line > first), sys.maxsize)
    return [block for block in blocks_of(path) if first < block.line < last]


def expected_of(vendor: str, *, devices: int) -> EmulatorServer:
    """Return an emulator with the fleet that a page's emulator serves; it is asked what it holds, and never started."""
    emulator: EmulatorServer = emulator_of(vendor, Fleet.generate(devices=devices, seed=_SEED))
    return emulator


@attrs.define
class Reader:
    """Somebody at a terminal, in an empty folder."""

    folder: Path
    environment: dict[str, str]
    identifier: str = ""
    """What stands on the last line of what the last command to make something printed: see ``JOB_ID`` on the pages."""
    _emulators: "list[subprocess.Popen[str]]" = attrs.field(factory=list["subprocess.Popen[str]"])
    _console: "subprocess.Popen[str] | None" = None
    _code: int = 0
    _may_fail: tuple[str, ...] = ()

    # --- a page ------------------------------------------------------------------------------------------------------

    def follow(
        self, page: str, heading: str, *, differs: tuple[str, ...] = (), may_fail: tuple[str, ...] = ()
    ) -> list[str]:
        """Do what a section says, and return what each step printed.

        Args:
            page: From the root of the repository.
            heading: The section's.
            differs: Words of steps that print something else each time: the caller looks at it.
            may_fail: How commands begin that may end with 1: in an emulator some devices fail, by chance.
        """
        self._may_fail = may_fail
        printed: list[str] = []
        blocks = section(page, heading)
        assert blocks, f"{page}: nothing to do under {heading!r}"
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            if block.is_output:
                continue
            alike = not any(words in block.text for words in differs)
            printed.append(self.do(block, alike=alike))
            if following is not None and following.is_output and alike:
                assert _is_like(following.text, printed[-1]), f"{following.place}, but printed:\n{printed[-1]}"
        assert self._code == 0, f"{page}, {heading!r}: the last command ends with {self._code}: {printed[-1]}"
        return printed

    def do(self, block: Block, *, alike: bool = True) -> str:
        """Do with a block what a reader does, and return what is printed.

        Args:
            block: What the page shows.
            alike: Whether a terminal has to print what the page shows that it prints.
        """
        if block.file_name is not None:
            (self.folder / block.file_name).write_text(block.text, encoding="utf-8")
            if "asyncio.run(" not in block.text:
                return ""
            return self.run(f"python {block.file_name}")
        if block.language in {"sh", "console"}:
            return "".join(self._command(command, block, alike=alike) for command in commands_in(block))
        assert block.language == "python", block.place
        if "asyncio.run(" in block.text:
            (self.folder / "program.py").write_text(block.text, encoding="utf-8")
            return self.run("python program.py")
        return self.type_in(block.text)

    # --- a terminal --------------------------------------------------------------------------------------------------

    def run(self, line: str, *, ends_with: int = 0) -> str:
        """Run a command, and return what it prints on either stream.

        Args:
            line: For the shell.
            ends_with: The exit code that it has to have.
        """
        code, printed = self._run(line)
        assert code == ends_with, f"{line!r} ends with {code}:\n{printed}"
        return printed

    def _run(self, line: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", line],  # noqa: S607
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=None if FULL else _PATIENCE_SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout

    def _command(self, command: Command, block: Block, *, alike: bool) -> str:
        line = re.sub(r"\b(?:JOB|FIRMWARE)_ID\b", self.identifier, command.line)
        words = shlex.split(line)
        if line == "echo $?":
            code, self._code = self._code, 0
            assert not alike or command.shown is None or command.shown.strip() == str(code), block.place
            return f"{code}\n"
        assert self._code == 0, f"{block.place}: the command before {line!r} ends with {self._code}"
        if words[0] == "export":
            self.environment |= dict(word.split("=", 1) for word in words[1:])
            return ""
        if words[:2] == ["otaclient", "emulator"]:
            return self.start(line)
        self._code, printed = self._run(line)
        if self._code == 1 and line.startswith(self._may_fail):
            self._code = 0
        if words[1:3] in (["jobs", "create"], ["firmware", "upload"]) and self._code == 0:
            self.identifier = printed.split()[-1]
        shown = command.shown
        assert not alike or shown is None or _is_like(shown, printed), f"{block.place}: {line}\nprints\n{printed}"
        return printed

    # --- clouds ------------------------------------------------------------------------------------------------------

    def start(self, line: str) -> str:
        """Start an emulator as the line says, but on a free port, paste its variables, and return what it prints."""
        line = re.sub(r" --port \d+", "", line)
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line} --port 0"],  # noqa: S607
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._emulators.append(process)
        printed = "".join(_until(process, _STARTED))
        for exported in re.findall(r"^export (.+)$", printed, re.MULTILINE):
            name, _, value = shlex.split(exported)[0].partition("=")
            self.environment[name] = value
        return printed

    # --- Python ------------------------------------------------------------------------------------------------------

    def type_in(self, text: str) -> str:
        """Type a piece of a program into Python, as into ``python -m asyncio``, and return what it prints.

        The first time the lines come first that ``docs/index.md`` asks for.
        """
        if self._console is None:
            self._console = subprocess.Popen(
                [PYTHON, "-W", "error", "-c", _CONSOLE], cwd=self.folder, env=self.environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            preamble = section("docs/index.md", "How to read the examples")[-1].text.splitlines()
            self._type(
                "\n".join(line for line in preamble if "open_backend" not in line or line.split()[0] in self._open)
            )
        return self._type(text)

    @property
    def _open(self) -> list[str]:
        """The clients that the first lines open: of those clouds that there are."""
        return [name for name in ("enos", "iotda") if f"OTACLIENT_{name.upper()}_ENDPOINT" in self.environment]

    def _type(self, text: str) -> str:
        console = self._console
        assert console is not None
        assert console.stdin is not None
        console.stdin.write(json.dumps(text) + "\n")
        console.stdin.flush()
        return "".join(_until(console, _MARK)[:-1])

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the clients and leave Python, press Ctrl-C in each emulator, and look at what they say to that."""
        if self._console is not None and self._console.poll() is None:
            try:
                for name in self._open:
                    self._type(f"await {name}.aclose()")
            finally:
                rest, _ = self._console.communicate(timeout=_PATIENCE_SECONDS)
            assert "Unclosed" not in rest, rest
        for process in self._emulators:
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=_PATIENCE_SECONDS)
            assert (process.returncode, "Traceback" in rest) == (130, False), rest

    def kill(self) -> None:
        """End whatever is left."""
        for process in (*self._emulators, self._console):
            if process is not None and process.poll() is None:
                process.kill()
                process.communicate()


@contextmanager
def reading(folder: Path, *, variables: Mapping[str, str] | None = None) -> Generator[Reader]:
    """Sit down in an empty folder, with the installed command on the path and no settings from anywhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTACLIENT_", "PYTHON"))}
    environment |= {
        "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "COLUMNS": "120",
        "PYTHONUNBUFFERED": "1",
        **(variables or {}),
    }
    reader = Reader(folder, environment)
    try:
        yield reader
        reader.close()
    finally:
        reader.kill()


def _until(process: "subprocess.Popen[str]", mark: str) -> list[str]:
    """Return the lines that a process prints up to the one with a mark."""
    output: IO[str] | None = process.stdout
    assert output is not None
    lines: list[str] = []
    for line in output:
        lines.append(line)
        if mark in line:
            return lines
    raise AssertionError(f"the process has ended: {''.join(lines)}")


def _is_like(shown: str, printed: str) -> bool:
    """Tell whether this was printed but for identifiers, which say when something was made."""
    return is_output_like(_IDENTIFIER.sub("<id>", shown), _IDENTIFIER.sub("<id>", printed))
