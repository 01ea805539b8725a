"""Where the command writes: files that are whole or keep their place, full disks, standard output."""

import errno
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.cli.failures import UsageError
from otaclient.cli.sink import FileSink, StandardOutput, claim, print_text, sink_for, write_file
from otaclient.errors import InvalidQueryError, OtaError
from otaclient.sole_writer import SoleWriter

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


def test_room_is_asked_for_only_where_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that nobody may write to has room enough."""

    def refuse(*_words: Any, **_options: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OtaError, match=r"fleet.json cannot be written: Permission denied; name a file elsewhere$"):
        sink_for(tmp_path / "fleet.json", force=False)


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


async def test_a_file_that_another_run_writes_is_refused_even_by_force(tmp_path: Path) -> None:
    """Two runs would mix their rows. When the first has ended, in whichever way, the name is free."""
    path = tmp_path / "out.txt"
    async with FileSink(path, force=False) as first:
        await first.write("first")
        for force in (False, True):
            for attempt in (claim, FileSink, partial(write_file, content="second")):
                with pytest.raises(InvalidQueryError, match=r"another run is writing .*out\.txt\.part: wait until"):
                    attempt(path, force=force)
    assert path.read_text() == "first"
    with pytest.raises(ZeroDivisionError):
        await written(tmp_path / "other.txt", lambda: 1 // 0)
    write_file(tmp_path / "other.txt", "second", force=True)
    write_file(path, "second", force=True)
    assert path.read_text() == "second"


async def test_whoever_comes_just_as_the_other_run_ends_takes_nothing_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening an unfinished file and holding it, it may have become the other run's whole file."""
    path = tmp_path / "out.txt"
    part = tmp_path / "out.txt.part"
    part.write_text("first")
    opened = os.open

    def open_late(*arguments: Any) -> int:
        descriptor = opened(*arguments)
        part.replace(path)
        return descriptor

    monkeypatch.setattr(os, "open", open_late)
    with pytest.raises(InvalidQueryError, match="another run is writing"):
        SoleWriter(part, shown=part)
    assert path.read_text() == "first"


async def test_a_file_system_without_locks_hinders_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as some that come over a network: files are written there as ever."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    write_file(tmp_path / "out.txt", "text", force=False)
    assert (tmp_path / "out.txt").read_text() == "text"
