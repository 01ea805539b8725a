"""The parts of the command that need neither a backend nor the network."""

import asyncio
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import otaclient.cli
from otaclient.cli import progress
from otaclient.cli.failures import DeclinedError, ExitCode, UsageError, exit_code, leaf, one_line, whole_lines
from otaclient.cli.options import (
    chosen_format,
    device_list,
    examples,
    instant,
    moved_to_end,
    pairs,
    without_verbose,
)
from otaclient.cli.output import Format
from otaclient.cli.progress import ProgressBar, error_console
from otaclient.cli.sink import FileSink, StandardOutput, print_text, sink_for, write_file
from otaclient.errors import (
    AuthenticationError,
    ConfigurationError,
    IntegrityError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    PayloadError,
    ResponseLostError,
    UnsupportedOperationError,
)

# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), ExitCode.USAGE),
        (ConfigurationError("x"), ExitCode.USAGE),
        (UnsupportedOperationError("x"), ExitCode.USAGE),
        (InvalidQueryError("x"), ExitCode.USAGE),
        (InvalidQueryError("the vendor says so", status=400), ExitCode.FAILED),
        (NotFoundError("x", status=404), ExitCode.FAILED),
        (OSError(28, "No space left on device"), ExitCode.FAILED),
        (KeyError("x"), ExitCode.FAILED),
        (DeclinedError(), ExitCode.FAILED),
    ],
)
def test_exit_codes_tell_usage_from_failure(error: Exception, code: ExitCode) -> None:
    """What was wrong before anything was sent exits 2, everything else 1."""
    assert exit_code(error) is code


def test_first_error_of_nested_groups_is_the_one_to_tell() -> None:
    """Errors of task groups are told as the error inside."""
    inner = NotFoundError("x")
    assert leaf(ExceptionGroup("a", [ExceptionGroup("b", [inner]), ValueError()])) is inner
    assert leaf(inner) is inner


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            NotFoundError("no such job", backend="enos", operation="jobs.get", status=404),
            "enos jobs.get: no such job (HTTP 404)",
        ),
        (FileNotFoundError(2, "No such file or directory", "/a/b"), "/a/b: No such file or directory"),
        (OSError("cannot"), "cannot"),
        (OSError(), "OSError"),
        (KeyError("x"), "unexpected KeyError: 'x'; this is a fault of otaclient, please report it"),
        (PayloadError("no page", excerpt="<html>\n<body>"), "no page; the body begins '<html>\\n<body>'"),
        (NotFoundError("two\nlines \x1b[2J"), "two lines \\x1b[2J"),
        (DeclinedError(), "not confirmed: nothing was done"),
    ],
)
def test_every_failure_is_one_line(error: Exception, line: str) -> None:
    """Failures are one printable line."""
    assert one_line(error) == line


CANONICAL = "verify aksk signature fail, canonicalRequest:GET|/v5/iot/" + "0a1b|" * 120
REFUSED = AuthenticationError(
    f"the vendor does not accept the credentials: {CANONICAL}; check access_key and this machine's clock",
    operation="jobs.search",
    backend="iotda",
    status=401,
    vendor_code="APIGW.0301",
    vendor_message=CANONICAL,
    request_id="r1",
)


def whole_line(error: Exception) -> str:
    """Return all of it."""
    with whole_lines(wanted=True):
        return one_line(error)


def test_long_words_of_a_vendor_are_cut_and_the_remedy_stays() -> None:
    """A vendor's page-long answer does not hide what to do; all of it can be had."""
    line = one_line(REFUSED)
    assert line.startswith("iotda jobs.search: the vendor does not accept the credentials: verify aksk signature fail")
    assert line.endswith(
        "…; check access_key and this machine's clock (HTTP 401, code APIGW.0301, request r1); --verbose shows all"
    )
    assert len(line) <= 300 + len("; --verbose shows all")
    assert CANONICAL in whole_line(REFUSED)


@pytest.mark.parametrize(
    "error",
    [
        PayloadError("no page", excerpt="x" * 500),
        ResponseLostError("x" * 500),
        NotFoundError("x" * 500, status=404),
        NotFoundError("x" * 400 + "y" * 70, status=404, vendor_message="y" * 70),
        KeyError("x" * 500),
        OSError("x" * 500),
    ],
)
def test_long_words_of_others_are_cut_in_the_middle(error: Exception) -> None:
    """Where it is not known which words matter, the beginning and the end stay."""
    line, whole = one_line(error), whole_line(error)
    assert len(line) < 330 < len(whole)
    head, _, tail = line.removesuffix("; --verbose shows all").partition(" … ")
    assert whole.startswith(head)
    assert whole.endswith(tail[-20:])


@pytest.mark.parametrize(
    "error",
    [
        UsageError("x" * 500),
        ConfigurationError("x" * 500),
        InvalidQueryError("x" * 500),
        IntegrityError(f"has {'a' * 64}, not {'b' * 64}{' ' * 300}"),
        NotFoundError("x" * 250 + "too short to be cut", status=404, vendor_message="too short to be cut"),
    ],
)
def test_our_own_words_are_never_cut(error: Exception) -> None:
    """Our messages hold the rule and the remedy, and digests that one compares."""
    assert one_line(error) == whole_line(error)


@given(text=st.text(), said=st.text(), whole=st.booleans())
def test_failures_are_one_line_of_bounded_length(text: str, said: str, whole: bool) -> None:
    """Whatever a vendor says, one printable line comes of it."""
    error = OtaError(f"{text}{said}", status=400, vendor_message=said)
    line = whole_line(error) if whole else one_line(error)
    assert line.isprintable()
    assert whole or len(line) <= 330


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["jobs", "list", "--backend", "enos"], ["jobs", "list", "--backend", "enos"]),
        (["--backend", "enos", "jobs", "list"], ["jobs", "list", "--backend", "enos"]),
        (["--backend=enos", "--format", "csv", "jobs", "list"], ["jobs", "list", "--backend=enos", "--format", "csv"]),
        (["--profile", "p", "jobs", "show", "--", "--x"], ["jobs", "show", "--profile", "p", "--", "--x"]),
        (["--backend"], ["--backend"]),
        (["--help"], ["--help"]),
    ],
)
def test_global_options_may_stand_before_the_command(words: list[str], expected: list[str]) -> None:
    """Global options reach the command wherever they stand."""
    assert moved_to_end(words) == expected


@pytest.mark.parametrize(
    ("given_format", "out", "expected"),
    [
        (None, None, Format.TABLE),
        (Format.CSV, None, Format.CSV),
        (Format.TABLE, "x.csv", Format.TABLE),
        (None, "x.csv", Format.CSV),
        (None, "x.JSON", Format.JSON),
        (None, "x.ndjson", Format.JSONL),
        (None, "x", Format.JSONL),
    ],
)
def test_format_follows_the_files_ending_unless_told(
    given_format: Format | None, out: str | None, expected: Format
) -> None:
    """A terminal gets a table, a file what its name says."""
    assert chosen_format(given_format, None if out is None else Path(out)) is expected


def test_instants_need_a_time_zone() -> None:
    """An instant is ISO 8601 with a zone; what is missing is proposed."""
    assert instant(None, option="--x") is None
    assert instant("2026-01-31T08:00:00+08:00", option="--x") == datetime(2026, 1, 31, tzinfo=UTC)
    with pytest.raises(UsageError, match=r"--x '2026-01-31' has no time zone: write 2026-01-31T00:00:00Z for UTC"):
        instant("2026-01-31", option="--x")
    with pytest.raises(UsageError, match=r"--x 'soon' is no instant"):
        instant("soon", option="--x")


@pytest.mark.parametrize(
    ("words", "rest", "verbose"),
    [
        ([], [], False),
        (["jobs", "list", "--verbose"], ["jobs", "list"], True),
        (["--verbose", "jobs", "list"], ["jobs", "list"], True),
        (["jobs", "show", "--", "--verbose"], ["jobs", "show", "--", "--verbose"], False),
    ],
)
def test_verbose_may_stand_anywhere(words: list[str], rest: list[str], verbose: bool) -> None:
    """``--verbose`` is no command's own option; behind ``--`` it is a plain word."""
    assert without_verbose(words) == (rest, verbose)


def test_examples_are_whole_calls() -> None:
    """An example begins with the program's name."""
    assert examples("demo") == "Example:\n  otaclient demo"
    assert examples("a", "b").splitlines() == ["Examples:", "  otaclient a", "  otaclient b"]


def test_devices_come_from_words_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices are words, lines of a file, or lines of standard input; blank lines are none."""
    file = tmp_path / "devices.txt"
    file.write_text("\ufeffb\r\n\n  c \n", encoding="utf-8")
    assert device_list(["a"], file) == ("a", "b", "c")
    monkeypatch.setattr("sys.stdin", io.StringIO("d\n"))
    assert device_list([], Path("-")) == ("d",)


def test_device_lists_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    """No device, an empty one, one named twice, a file that cannot be read: nothing is guessed."""
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("\n \n")
    binary.write_bytes(b"\xff\xfe")
    for named, file, said in (
        ([], None, "no device is named"),
        ([], empty, "no device is named"),
        (["a", ""], None, "one of the devices is an empty text"),
        (["a", "b", "a"], None, "the device 'a' is named twice"),
        (["a"], tmp_path / "none.txt", "none.txt cannot be read: No such file"),
        (["a"], binary, "binary.txt is no text in UTF-8"),
    ):
        with pytest.raises(UsageError, match=said):
            device_list(named, file)


def test_pairs_gather_the_values_of_each_key() -> None:
    """A key may come several times; a value may hold anything."""
    assert pairs(["a=1", "b=", "a=x=y"], option="--tag") == {"a": ("1", "x=y"), "b": ("",)}


# --- sinks -----------------------------------------------------------------------------------------------------------

FULL = OSError(errno.ENOSPC, "No space left on device")


class FullDisk:
    """A file that the disk takes no longer, from some call on."""

    def __init__(self, file: Any, fails_at: str) -> None:
        self._file = file
        self._fails_at = fails_at

    def __getattr__(self, name: str) -> Any:
        def fail(*_words: Any) -> None:
            if name == "close":
                # The descriptor is gone all the same, as the system says of a close that fails.
                self._file.close()
            raise FULL

        return fail if name == self._fails_at else getattr(self._file, name)

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


@pytest.fixture
def full_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file that is opened for writing fail at one of its calls."""
    opened = Path.open

    def open_full(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        file = opened(path, mode, *rest, **options)
        return FullDisk(file, request.param) if "w" in mode else file

    monkeypatch.setattr(Path, "open", open_full)


@pytest.mark.parametrize("full_disk", ["write", "tell", "close"], indirect=True)
@pytest.mark.usefixtures("full_disk")
async def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    """Whenever the disk says that it is full, the error names the file and what to do, and the part is removed."""
    path = tmp_path / "fleet.json"
    with pytest.raises(OtaError, match=r"fleet.json cannot be written: No space left on device; free some room"):
        async with sink_for(path, force=False) as sink:
            await sink.write("[")
    assert not any(os.scandir(tmp_path))


def test_a_disk_that_is_full_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the part can be made."""

    def refuse(*_words: Any, **_options: Any) -> Any:
        raise FULL

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OtaError, match=r"fleet.json cannot be written: No space left on device"):
        sink_for(tmp_path / "fleet.json", force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["write_text", "replace"])
def test_a_whole_file_that_the_disk_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """What was there stays, nothing else does, and the error names the file rather than its part."""
    path = tmp_path / "proof.json"
    path.write_text("old", encoding="utf-8")

    def fail(part: Path, *_words: Any, **_options: Any) -> Any:
        part.touch()
        raise FULL

    monkeypatch.setattr(Path, method, fail)
    with pytest.raises(OtaError, match=r"proof.json cannot be written: No space left on device; free some room"):
        write_file(path, "new", force=True)
    assert [found.name for found in tmp_path.iterdir()] == ["proof.json"]
    assert path.read_text(encoding="utf-8") == "old"


def test_standard_output_on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what could not be written; a reader that has gone is another matter."""
    for cause, expected in ((FULL, OtaError), (BrokenPipeError(), BrokenPipeError)):

        def fail(_text: str, cause: OSError = cause) -> int:
            raise cause

        monkeypatch.setattr(sys.stdout, "write", fail)
        with pytest.raises(expected) as caught:
            print_text("x")
        assert ("standard output cannot be written" in str(caught.value)) is (expected is OtaError)


async def test_standard_output_takes_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Text goes to standard output at once; nothing is written for no text."""
    async with StandardOutput() as sink:
        await sink.write("")
        await sink.write("a\n")
    assert capsys.readouterr().out == "a\n"


@given(pieces=st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=20), max_size=5))
async def test_files_hold_exactly_what_was_written(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    """A file appears whole, under its own name alone."""
    path = tmp_path_factory.mktemp("sink") / "out.txt"
    async with sink_for(path, force=False) as sink:
        for piece in pieces:
            await sink.write(piece)
        assert not path.exists()
    assert path.read_bytes().decode() == "".join(pieces)
    assert list(path.parent.iterdir()) == [path]


async def written(path: Path, meanwhile: Callable[[], object]) -> None:
    """Write a file; something happens before it is finished."""
    async with FileSink(path, force=False) as sink:
        await sink.write("text")
        meanwhile()


async def test_a_file_that_was_not_finished_stays_beside_its_name(tmp_path: Path) -> None:
    """After a failure nothing has the file's name, and what was written is kept; the next run refuses to lose it."""
    path = tmp_path / "out.txt"
    with pytest.raises(ZeroDivisionError):
        await written(path, lambda: 1 // 0)
    assert not path.exists()
    assert (tmp_path / "out.txt.part").read_text() == "text"
    with pytest.raises(UsageError, match=r"out\.txt\.part is left from a run that did not finish"):
        FileSink(path, force=False)
    async with FileSink(path, force=True) as sink:
        await sink.write("whole")
    assert path.read_text() == "whole"


async def test_existing_files_are_replaced_only_by_force(tmp_path: Path) -> None:
    """A file that exists is refused before and after the work, unless ``force``."""
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(UsageError, match="exists already"):
        sink_for(path, force=False)
    write_file(path, "new", force=True)
    assert path.read_text() == "new"
    path.unlink()
    with pytest.raises(UsageError, match="exists already"):
        await written(path, lambda: path.write_text("somebody else's"))
    assert path.read_text() == "somebody else's"


def test_places_that_cannot_be_files_are_refused(tmp_path: Path) -> None:
    """A folder, or a file in no folder, is refused."""
    with pytest.raises(UsageError, match="is a folder"):
        sink_for(tmp_path, force=True)
    with pytest.raises(UsageError, match="make it first"):
        sink_for(tmp_path / "none" / "out.txt", force=True)


# --- progress --------------------------------------------------------------------------------------------------------


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    """Return a console and what it prints into."""
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=100), text


async def turn_the_loop() -> None:
    """Let timers that are due run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_bar_appears_when_the_work_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the patience has run out there is a bar with count and percentage, and none is left at the end."""
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    target, text = console(terminal=True)
    async with ProgressBar("Scanning", unit="devices", console=target) as bar:
        bar.update(2_500, 10_000)
        bar.update(20_000, 10_000)
        bar.update(2_500, 10_000)
        await turn_the_loop()
    assert "2,500 devices" in text.getvalue()
    assert "25%" in text.getvalue()


async def test_short_work_shows_no_bar() -> None:
    """Within a second, nothing is shown."""
    target, text = console(terminal=True)
    async with ProgressBar("Scanning", unit="devices", console=target) as bar:
        bar.update(1)
    assert "Scanning" not in text.getvalue()


@pytest.mark.parametrize(("terminal", "shown"), [(False, True), (True, False)])
async def test_no_bar_where_nobody_watches(monkeypatch: pytest.MonkeyPatch, terminal: bool, shown: bool) -> None:
    """Without a terminal, or where rows would run into it, there is no bar."""
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    target, text = console(terminal=terminal)
    async with ProgressBar("Scanning", unit="devices", console=target, shown=shown) as bar:
        bar.update(1, 2)
        await turn_the_loop()
    assert text.getvalue() == ""


def test_messages_go_to_standard_error() -> None:
    """The console for messages writes to standard error."""
    assert error_console().stderr


# --- the extra -------------------------------------------------------------------------------------------------------


class _Missing(MetaPathFinder):
    """Lets the import of the command's tree fail as if one package were not installed."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname == "otaclient.cli.app":
            raise ModuleNotFoundError(f"No module named {self._package!r}", name=self._package)
        return None


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Take a package away from the command."""
    monkeypatch.delitem(sys.modules, "otaclient.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Missing(package), *sys.meta_path])


def test_without_the_extra_the_command_names_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library is installed without the command's libraries: one line says how to add them."""
    without(monkeypatch, "cyclopts")
    assert otaclient.cli.main(["demo"]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: the command needs cyclopts, which is not installed: pip install 'otaclient[cli]'\n"


def test_another_missing_module_is_not_mistaken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is missing for another reason is told as what it is."""
    without(monkeypatch, "anyio")
    with pytest.raises(ModuleNotFoundError, match="anyio"):
        otaclient.cli.main(["demo"])
