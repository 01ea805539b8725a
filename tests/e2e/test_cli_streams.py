"""Standard streams that are closed, full, or whose reader has gone: what the command says, and how it ends."""

import builtins
import io
import json
import os
import sys
from typing import Any

import pytest

import otaclient.cli
from otaclient.cli.failures import ExitCode
from otaclient.cli.streams import standard_streams

pytestmark = pytest.mark.usefixtures("clean")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["backends"], ["devices", "scan", "--help"]])
def test_data_that_nobody_can_take_is_an_error(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output that is closed, as with ``>&-``, is told in one line."""
    monkeypatch.setattr(sys, "stdout", None)
    assert otaclient.cli.main(words) == ExitCode.FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: standard output cannot be written: Bad file descriptor; ")
    assert sys.stdout is None


@pytest.mark.parametrize(
    "words",
    [["jobs", "create", "--file", "-", "--yes"], ["jobs", "retry", "j", "--devices-file", "-"]],
)
def test_nothing_can_be_read_from_a_closed_input(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard input that is closed, as with ``<&-``, is told in one line."""
    monkeypatch.setattr(sys, "stdin", None)
    assert otaclient.cli.main(words) == ExitCode.USAGE
    assert "- cannot be read: Bad file descriptor" in capsys.readouterr().err


def test_what_is_said_to_nobody_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard error is closed, the exit code still tells what happened."""
    monkeypatch.setattr(sys, "stderr", None)
    assert otaclient.cli.main(["nonsense"]) == ExitCode.USAGE


def test_letters_that_a_terminal_cannot_show_come_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than as no output at all; and what was JSON is still that JSON."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    text = json.dumps("né😀 固\n", ensure_ascii=False)
    with standard_streams():
        sys.stdout.write(text)
        sys.stdout.flush()
    assert written.getvalue() == b'"n\\u00e9\\ud83d\\ude00 \\u56fa\\n"'
    assert json.loads(written.getvalue()) == json.loads(text)


@pytest.mark.parametrize("words", [["--help"], ["demo", "--devices", "3"]])
def test_a_full_disk_is_told(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where what is printed is laid out, as help is."""
    full = io.TextIOWrapper(io.BufferedWriter(_Full()), encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", full)
    assert otaclient.cli.main(words) == ExitCode.FAILED
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("error: standard output cannot be written: No space left on device; ")
    )


@pytest.mark.parametrize("words", [["--help"], ["demo", "--devices", "3"]])
def test_a_reader_that_has_seen_enough_is_no_failure(words: list[str]) -> None:
    """``otaclient --help | head -1`` ends with 0, as documented."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as output:
        before, sys.stdout = sys.stdout, output
        try:
            assert otaclient.cli.main(words) == ExitCode.DONE
        finally:
            sys.stdout = before


def test_ctrl_c_while_the_command_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told in a word, not as a traceback."""
    load = builtins.__import__

    def interrupted(name: str, *rest: Any) -> Any:
        if name == "otaclient.cli.app":
            raise KeyboardInterrupt
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert otaclient.cli.main(["backends"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


class _Full(io.RawIOBase):
    """A device without room."""

    def writable(self) -> bool:
        return True

    def write(self, _content: Any, /) -> int:
        raise OSError(28, os.strerror(28))
