"""The options of the command, as they are read."""

import io
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import pytest

from otaclient.cli.failures import UsageError
from otaclient.cli.options import (
    FirmwareKindWord,
    JobKindWord,
    JobStatusWord,
    TaskStatusWord,
    chosen_format,
    device_list,
    examples,
    instant,
    moved_to_end,
    pairs,
    without_verbose,
)
from otaclient.cli.output import Format
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus
from otaclient.queries import JobQuery
from support.command_line import Run
from support.fake_backend import World


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


@pytest.mark.parametrize(
    ("words", "enum"),
    [
        (FirmwareKindWord, FirmwareKind),
        (JobKindWord, JobKind),
        (JobStatusWord, JobStatus),
        (TaskStatusWord, TaskStatus),
    ],
)
def test_what_can_be_looked_for_is_offered_as_data_has_it(words: Any, enum: type[StrEnum]) -> None:
    """Every member but the unknown one, which no search takes."""
    assert list(get_args(words)) == [member.value for member in enum if member.name != "UNKNOWN"]


def test_a_state_is_taken_as_data_has_it(run: Run, world: World) -> None:
    """With its underscore, and it reaches the query as the state."""
    assert run("jobs", "list", "--status", "partially_succeeded").code == 0
    assert world.called("jobs query")[-1] == (JobQuery(status=JobStatus.PARTIALLY_SUCCEEDED),)


@pytest.mark.parametrize(
    "words", [("jobs", "list", "--kind"), ("jobs", "list", "--status"), ("jobs", "tasks", "j1", "--status")]
)
def test_what_is_unknown_is_neither_offered_nor_taken(run: Run, words: tuple[str, ...]) -> None:
    """The refusal names what there is."""
    run(*words, "unknown").refused(2, words[-1], "Choose from: ", "succeeded" if words[-1] == "--status" else "upgrade")
    assert "unknown" not in run(*words[:2], "--help").out


@pytest.mark.parametrize("value", ["1.5", "1e3", "many", ""])
@pytest.mark.parametrize(
    "words",
    [
        "devices list --limit",
        "devices scan --concurrency",
        "jobs tasks j1 --attempts",
        "jobs create --timeout-seconds",
        "jobs create --retry-count",
        "firmware upload f.bin --version 1 --verification-min-successes",
        "report fleet.csv --out report.html --list-limit",
        "emulator fake --devices",
        "emulator fake --port",
        "demo --seed",
    ],
)
def test_what_is_no_whole_number_is_not_rounded_to_one(run: Run, world: World, words: str, value: str) -> None:
    """An option that counts takes 1.5 neither for 1 nor for 2: it is refused, by its name and with the value."""
    run(*words.split(), value).refused(2, words.rsplit(maxsplit=1)[-1], f"{value!r} is no whole number")
    assert world.calls == []
