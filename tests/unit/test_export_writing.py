"""What goes wrong while a scan is written: a file is whole or it is not there, and each mistake says what to do."""

import errno
import importlib
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient import export
from otaclient.errors import ConfigurationError, InvalidQueryError, OtaError
from otaclient.export import writing
from otaclient.models import DeviceTask, DeviceUpgrade, JobId, TaskStatus
from support.exports import CERTIFICATE, UNFINISHED, device, each_suffix, names, scan_of, varied, written


@contextmanager
def small_files(largest_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@each_suffix
async def test_what_a_failed_scan_read_stays_beside(tmp_path: Path, suffix: str) -> None:
    """After an error nothing stands under the name; what there is can be read, and says that it is not all."""

    def fail(number: int) -> None:
        if number == 2:
            raise OtaError("the network went away")

    path = tmp_path / f"fleet.{suffix}"
    with pytest.raises(OtaError, match="network went away") as caught:
        await export.write(scan_of([device("a")], [device("b")], [device("c")], before_block=fail), path)
    assert caught.value.__notes__ == [f"2 devices so far, kept in {path}.part"]
    assert names(tmp_path) == [f"fleet.{suffix}.part"]
    kept = tmp_path / f"kept.{suffix}"
    path.with_name(f"{path.name}.part").rename(kept)
    file = export.read(kept)
    assert [each.device_id for each in file] == ["a", "b"]
    assert file.certificate == (attrs.evolve(UNFINISHED, devices=2) if suffix == "parquet" else None)


@each_suffix
async def test_nothing_read_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    """A scan that fails at once leaves no file in the way of the next run."""

    def fail(number: int) -> None:
        raise OtaError("no right")

    with pytest.raises(OtaError, match="no right") as caught:
        await export.write(scan_of([device("a")], before_block=fail), tmp_path / f"fleet.{suffix}")
    assert caught.value.__notes__ == ["0 devices so far, none of them kept"]
    assert names(tmp_path) == []


@pytest.fixture
def many_blocks() -> list[list[DeviceUpgrade]]:
    """Ten blocks of devices; made outside the event loop, which that would block."""
    return [[device(f"{start}-{number:060}") for number in range(1024)] for start in range(10)]


@pytest.mark.parametrize(
    ("suffix", "room", "kept"), [("csv", 250_000, 1024), ("jsonl", 900_000, 1024), ("parquet", 9_000, None)]
)
async def test_a_full_disk(
    tmp_path: Path, many_blocks: list[list[DeviceUpgrade]], suffix: str, room: int, kept: int | None
) -> None:
    """The error names the file, the system's reason and the remedy; whole rows stay, a half Parquet file does not."""
    path = tmp_path / f"fleet.{suffix}"
    path.write_text("the old one", encoding="utf-8")
    with small_files(room), pytest.raises(OtaError) as caught:
        await export.write(scan_of(*many_blocks), path, replace=True)
    assert str(caught.value) == f"{path} cannot be written: File too large; free some room, or name a file elsewhere"
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_text(encoding="utf-8") == "the old one"
    if kept is None:
        assert caught.value.__notes__[0].endswith("devices so far, none of them kept")
        assert names(tmp_path) == ["fleet.parquet"]
        return
    part = tmp_path / f"fleet.{suffix}.part"
    rows = len(part.read_text(encoding="utf-8").splitlines()) - (suffix == "csv")
    assert rows
    assert rows % kept == 0
    assert caught.value.__notes__ == [f"{rows:,} devices so far, kept in {part}"]
    assert part.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_a_disk_that_is_full_at_the_very_beginning(tmp_path: Path, suffix: str) -> None:
    """Nothing stays that would be in the way of the next run."""
    with small_files(0), pytest.raises(OtaError, match="File too large"):
        await export.write(scan_of([device("a")]), tmp_path / f"fleet.{suffix}")
    assert names(tmp_path) == []


@each_suffix
async def test_a_name_that_is_too_long_with_what_is_added_to_it(tmp_path: Path, suffix: str) -> None:
    """It is refused before anything is read, also where only the certificate's file cannot be made."""
    ending = f".{suffix}" if suffix == "parquet" else f".{suffix}.certificate.json"
    name = "x" * (255 - len(ending)) + f".{suffix}"
    scan = scan_of([device("a")])
    with pytest.raises(OtaError, match="File name too long; name a file elsewhere"):
        await export.write(scan, tmp_path / name)
    assert scan.devices == 0
    assert names(tmp_path) == []


@each_suffix
async def test_what_went_away_is_not_said_to_be_kept(tmp_path: Path, suffix: str) -> None:
    """A folder that somebody removes takes the unfinished file along."""
    folder = tmp_path / "folder"
    folder.mkdir()

    def remove(number: int) -> None:
        if number == 1:
            shutil.rmtree(folder)

    with pytest.raises(OtaError, match="No such file or directory") as caught:
        await export.write(scan_of([device("a")], [device("b")], before_block=remove), folder / f"fleet.{suffix}")
    assert caught.value.__notes__ == ["2 devices so far, none of them kept"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_a_disk_that_is_full_at_the_very_end(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename comes last: when anything before it fails, nothing has changed under the name."""

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("otaclient.export.writing.os.fsync", full)
    with pytest.raises(OtaError, match="No space left on device") as caught:
        await export.write(scan_of([device("a")]), tmp_path / f"fleet.{suffix}")
    assert caught.value.__notes__ == [f"1 device so far, kept in {tmp_path}/fleet.{suffix}.part"]
    assert names(tmp_path) == [f"fleet.{suffix}.part"]


async def test_a_half_taken_piece_is_written_again(tmp_path: Path) -> None:
    """A disk may take the first half of a piece without an error; the rest follows."""
    file = writing._WholeFile(tmp_path / "x", "wb")
    with file, small_files(3), pytest.raises(OSError, match="File too large"):
        file.write(b"12345")
    assert (tmp_path / "x").read_bytes() == b"123"


@each_suffix
async def test_a_file_that_exists_is_kept(tmp_path: Path, suffix: str) -> None:
    """Only ``replace`` replaces: a file, its certificate, or what an unfinished run left."""
    path = tmp_path / f"fleet.{suffix}"
    for there in (path, path.with_name(f"{path.name}.part"), *export.files_of(path, export.FileFormat(suffix))[1:]):
        there.write_text("kept", encoding="utf-8")
        with pytest.raises(InvalidQueryError, match="exists already|is left from a run"):
            await export.write(scan_of([device("a")]), path)
        assert there.read_text(encoding="utf-8") == "kept"
        await export.write(scan_of([device("a")]), path, replace=True)
        assert [each.device_id for each in export.read(path)] == ["a"]
        for name in names(tmp_path):
            (tmp_path / name).unlink()


@each_suffix
async def test_two_runs_do_not_write_one_file(tmp_path: Path, suffix: str) -> None:
    """While one is under way, another is refused, even where it may replace: the rows of the first stay whole."""
    path = tmp_path / f"fleet.{suffix}"

    def come(number: int) -> None:
        for replace in (False, True):
            with pytest.raises(InvalidQueryError, match=f"another run is writing .*fleet.{suffix}.part: wait until"):
                writing._opened(path, replace=replace, format=None)

    await export.write(scan_of([device("a")], before_block=come), path)
    assert [each.device_id for each in export.read(path)] == ["a"]
    await export.write(scan_of([device("b")]), path, replace=True)
    assert [each.device_id for each in export.read(path)] == ["b"]


async def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    """Somebody else may be quicker: theirs stays, ours stays beside it, whole."""
    path = tmp_path / "fleet.parquet"

    def appear(number: int) -> None:
        path.write_text("theirs", encoding="utf-8")

    with pytest.raises(InvalidQueryError, match="exists already"):
        await export.write(scan_of([device("a")], before_block=appear), path)
    assert path.read_text(encoding="utf-8") == "theirs"
    (tmp_path / "fleet.parquet.part").rename(tmp_path / "mine.parquet")
    assert export.read(tmp_path / "mine.parquet").certificate == attrs.evolve(CERTIFICATE, devices=1)


async def test_a_link_is_followed(tmp_path: Path) -> None:
    """What a link leads to is replaced, not the link."""
    (tmp_path / "data").mkdir()
    (tmp_path / "fleet.csv").symlink_to(tmp_path / "data" / "real.csv")
    done = await export.write(scan_of([device("a")]), tmp_path / "fleet.csv")
    assert done.path == tmp_path / "data" / "real.csv"
    assert names(tmp_path / "data") == ["real.csv", "real.csv.certificate.json"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fleet.xlsx", "the ending '.xlsx' is not known; known are .parquet, .csv, .jsonl, .ndjson"),
        ("fleet", "the name has no ending; known are .parquet"),
        ("nowhere/fleet.csv", "there is no folder"),
        ("folder.csv", "is a folder"),
    ],
)
async def test_a_path_that_cannot_be_written(tmp_path: Path, name: str, words: str) -> None:
    """It is refused before anything is read, and the message says why."""
    (tmp_path / "folder.csv").mkdir()
    scan = scan_of([device("a")])
    with pytest.raises(InvalidQueryError) as caught:
        await export.write(scan, tmp_path / name)
    assert words in str(caught.value)
    assert scan.devices == 0


async def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    """The message names those that there are."""
    wrong: Any = "xml"
    with pytest.raises(InvalidQueryError, match="format is 'xml': it must be one of parquet, csv, jsonl"):
        await export.write(scan_of([device("a")]), tmp_path / "fleet", format=wrong)


async def test_a_scan_of_tasks_is_refused(tmp_path: Path) -> None:
    """Only devices have a place in these files."""
    task = DeviceTask(backend="enos", job_id=JobId("j"), device_id=device("a").device_id, status=TaskStatus.PENDING)
    with pytest.raises(InvalidQueryError, match="a scan of DeviceTask records cannot be written"):
        await export.write(scan_of([task]), tmp_path / "tasks.csv")
    assert names(tmp_path) == []


async def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the line for pip; the other formats work."""
    await written(tmp_path / "fleet.parquet", varied())
    original = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return original(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    scan = scan_of([device("a")])
    with pytest.raises(ConfigurationError, match=r"pip install 'otaclient\[export\]'"):
        await export.write(scan, tmp_path / "other.parquet")
    assert scan.devices == 0
    with pytest.raises(ConfigurationError, match=r"pip install 'otaclient\[export\]'"):
        export.read(tmp_path / "fleet.parquet")
    await written(tmp_path / "fleet.csv", varied())
