"""Scans as files: what is written is what is read, whole or not at all, and each mistake says what to do."""

import asyncio
import errno
import importlib
import json
import resource
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient import export
from otaclient.errors import ConfigurationError, InvalidQueryError, OtaError, ResultFileError
from otaclient.export import texts, writing
from otaclient.export.formats import FIELDS
from otaclient.models import Connection, DeviceTask, DeviceUpgrade, JobId, TaskStatus
from support.exports import CERTIFICATE, HOSTILE, UNFINISHED, FakeScan, device, varied, written

SUFFIXES = ("parquet", "csv", "jsonl")
each_suffix = pytest.mark.parametrize("suffix", SUFFIXES)


def scan_of(*blocks: Any, **options: Any) -> Any:
    """Return a scan that hands out these blocks."""
    return FakeScan(list(blocks), **options)


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def small_files(largest_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- round trips -----------------------------------------------------------------------------------------------------


@each_suffix
async def test_what_is_written_is_what_is_read(tmp_path: Path, suffix: str) -> None:
    """Every value of every field comes back, hostile texts too, with the certificate and the time."""
    file = await written(tmp_path / f"fleet.{suffix}", varied())
    assert list(file) == varied()
    assert list(file) == varied()
    assert file.certificate == attrs.evolve(CERTIFICATE, devices=len(varied()))
    assert file.written_at is not None
    assert file.written_at.utcoffset() is not None
    assert (file.altered, file.format.value) == (False, suffix)
    beside = [] if suffix == "parquet" else [f"fleet.{suffix}.certificate.json"]
    assert names(tmp_path) == [f"fleet.{suffix}", *beside]


@each_suffix
async def test_an_empty_fleet_is_a_file_like_any_other(tmp_path: Path, suffix: str) -> None:
    """Columns and certificate are there, rows are not."""
    file = await written(tmp_path / f"fleet.{suffix}", [])
    assert (list(file), file.stamp and file.stamp.rows) == ([], 0)


ESCAPES = (
    "\\",
    "\\\\",
    "\\x1b",
    "\\u202e",
    "C:\\new",
    "\\x1",
    "\\Uffffffff",
    "a\\\x1b",
    "\x1b]0;title\x07",
    "\u3000",
    "\x85",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | st.sampled_from(HOSTILE + ESCAPES)
DEVICES = st.builds(
    DeviceUpgrade,
    backend=TEXT,
    device_id=TEXT,
    device_key=st.none() | TEXT,
    product_id=st.none() | TEXT,
    firmware_version=st.none() | TEXT,
    upgrading=st.none() | st.booleans(),
    connection=st.none() | st.sampled_from(Connection),
)


@settings(max_examples=40)
@given(rows=st.lists(DEVICES, max_size=6))
def test_any_text_survives_csv_and_json_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[DeviceUpgrade]
) -> None:
    """Whatever devices are called, reading gives it back."""
    folder = tmp_path_factory.mktemp("texts")
    lines, table = folder / "fleet.jsonl", folder / "fleet.csv"
    lines.write_bytes(texts.rows_as_jsonl(rows))
    table.write_bytes(texts.head_of(export.FileFormat.CSV) + texts.rows_as_csv(rows))
    for path in (lines, table):
        assert [row for block in export.read(path).blocks() for row in block] == rows
        # Whoever shows the file on a terminal sees letters and blanks, and nothing else happens.
        content = path.read_text(encoding="utf-8")
        assert not [one for one in content if one != "\n" and unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"}]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("C:\\new", "C:\\new"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202e", "\\u202e"),
        ("\U000e0001", "\\U000e0001"),
        ("\\x1b", "\\\\x1b"),
        ("\t=1", "\\x09=1"),
        ("全\u3000角", "全\u3000角"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_cell_is_escaped_only_where_it_must_be(tmp_path: Path, text: str, cell: str) -> None:
    """Backslashes of paths and wide blanks stay; what steers a terminal, or reads like an escape of it, does not."""
    content = texts.rows_as_csv([device(text)])
    assert content.decode().split(",")[1] == cell
    path = tmp_path / "fleet.csv"
    path.write_bytes(texts.head_of(export.FileFormat.CSV) + content)
    assert [found.device_id for found in export.read(path)] == [text]


def test_an_escape_beyond_unicode_is_none(tmp_path: Path) -> None:
    """A cell that others wrote is read as it stands there."""
    path = tmp_path / "fleet.csv"
    path.write_bytes(
        texts.head_of(export.FileFormat.CSV) + texts.rows_as_csv([device("x")]).replace(b"x", b"\\Uffffffff", 1)
    )
    assert [found.device_id for found in export.read(path)] == ["\\Uffffffff"]


def test_csv_holds_no_formula() -> None:
    """No cell begins what a spreadsheet takes for a formula, also behind a semicolon."""
    text = texts.rows_as_csv([device(name) for name in ("=1", " +1", "x;-1", "\uff201", "plain-1")]).decode()
    assert [line.split(",")[1] for line in text.splitlines()] == ["'=1", " '+1", "x;'-1", "'\uff201", "plain-1"]


async def test_other_parquet_readers_understand_it(tmp_path: Path) -> None:
    """Columns have the models' names and plain types; the certificate is in the file's metadata."""
    await written(tmp_path / "fleet.parquet", varied())
    table = pq.ParquetFile(tmp_path / "fleet.parquet").read()
    assert tuple(table.column_names) == tuple(field.name for field in attrs.fields(DeviceUpgrade))
    assert table.schema.field("upgrading").type == pa.bool_()
    assert table.schema.field("connection").type == pa.string()
    stamp = json.loads(pq.ParquetFile(tmp_path / "fleet.parquet").metadata.metadata[b"otaclient"])
    assert (stamp["kind"], stamp["version"], stamp["rows"]) == ("otaclient devices", 1, len(varied()))
    assert stamp["certificate"]["verdict"] == "certified"


async def test_the_format_may_be_named_instead(tmp_path: Path) -> None:
    """With a format, the name may be any."""
    done = await export.write(scan_of([device("a")]), tmp_path / "fleet.dat", format=export.FileFormat.CSV)
    assert done.format is export.FileFormat.CSV
    assert (tmp_path / "fleet.dat").read_text(encoding="utf-8").startswith("backend,device_id,")


# --- streaming -------------------------------------------------------------------------------------------------------


@each_suffix
async def test_memory_does_not_grow_with_the_fleet(tmp_path: Path, suffix: str) -> None:
    """Ten times the devices need no more memory, neither Python's nor Arrow's, and are handed to the disk in pieces."""

    async def peak(devices: int) -> int:
        blocks = ([device(f"{start}-{number:08}") for number in range(200)] for start in range(0, devices, 200))
        tracemalloc.start()
        try:
            await export.write(FakeScan(blocks), tmp_path / f"fleet.{suffix}", replace=True)  # type: ignore[arg-type]
            return tracemalloc.get_traced_memory()[1] + int(pa.total_allocated_bytes())
        finally:
            tracemalloc.stop()

    await peak(200)
    small, large = await peak(3_000), await peak(15_000)
    assert large < small + 300_000
    rows = await asyncio.to_thread(lambda: sum(map(len, export.read(tmp_path / f"fleet.{suffix}").blocks())))
    assert rows == 15_000


async def test_the_event_loop_writes_nothing_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are touched in a worker thread."""
    import threading

    seen: set[int] = set()
    original = writing._WholeFile.write

    def noting(file: Any, content: Any) -> int:
        seen.add(threading.get_ident())
        return original(file, content)

    monkeypatch.setattr(writing._WholeFile, "write", noting)
    for suffix in SUFFIXES:
        await written(tmp_path / f"fleet.{suffix}", varied())
    assert seen
    assert threading.get_ident() not in seen


# --- what goes wrong while writing -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("suffix", "room", "kept"), [("csv", 250_000, 1024), ("jsonl", 900_000, 1024), ("parquet", 9_000, None)]
)
async def test_a_full_disk(tmp_path: Path, suffix: str, room: int, kept: int | None) -> None:
    """The error names the file, the system's reason and the remedy; whole rows stay, a half Parquet file does not."""
    blocks = [[device(f"{start}-{number:060}") for number in range(1024)] for start in range(10)]
    path = tmp_path / f"fleet.{suffix}"
    path.write_text("the old one", encoding="utf-8")
    with small_files(room), pytest.raises(OtaError) as caught:
        await export.write(scan_of(*blocks), path, replace=True)
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
async def test_a_disk_that_is_full_at_the_very_end(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename comes last: when anything before it fails, nothing has changed under the name."""

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("otaclient.export.writing.os.fsync", full)
    with pytest.raises(OtaError, match="No space left on device") as caught:
        await export.write(scan_of([device("a")]), tmp_path / f"fleet.{suffix}")
    assert caught.value.__notes__ == [f"1 devices so far, kept in {tmp_path}/fleet.{suffix}.part"]
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


# --- what goes wrong while reading -----------------------------------------------------------------------------------


def spoil(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """Return the file, changed."""
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.999])
@each_suffix
async def test_a_file_that_was_cut_off(tmp_path: Path, suffix: str, share: float) -> None:
    """Wherever a copy broke off, reading it is an error, never a smaller fleet."""
    path = tmp_path / f"fleet.{suffix}"
    await written(path, [device(f"device-{number:04}") for number in range(300)])
    spoil(path, lambda content: content[: int(len(content) * share)])
    with pytest.raises(ResultFileError, match="cut off|is no Parquet file"):
        list(export.read(path))


async def test_a_file_that_was_cut_off_between_two_lines(tmp_path: Path) -> None:
    """Rows missing at the end are noticed by their number."""
    await written(tmp_path / "fleet.jsonl", varied())
    spoil(tmp_path / "fleet.jsonl", lambda content: b"".join(content.splitlines(keepends=True)[:-2]))
    with pytest.raises(ResultFileError, match="is cut off: it has 15 devices, but was written with 17"):
        list(export.read(tmp_path / "fleet.jsonl"))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
async def test_a_file_that_was_edited_is_told_apart(tmp_path: Path, suffix: str) -> None:
    """Its rows can be read, but the certificate is not theirs."""
    path = tmp_path / f"fleet.{suffix}"
    await written(path, [device("aaa"), device("bbb")])
    file = export.read(spoil(path, lambda content: content.replace(b"aaa", b"xxx")))
    assert file.altered
    assert [each.device_id for each in file] == ["xxx", "bbb"]


async def test_a_spreadsheet_may_have_saved_it(tmp_path: Path) -> None:
    """A byte order mark, line ends of two letters and capitals do no harm; there is no certificate then."""
    await written(tmp_path / "fleet.csv", [device("a", upgrading=True), device("b")])
    content = (tmp_path / "fleet.csv").read_bytes().replace(b"\n", b"\r\n").replace(b"true", b"TRUE")
    (tmp_path / "saved.csv").write_bytes(b"\xef\xbb\xbf" + content.replace(b"false", b"FALSE"))
    file = export.read(tmp_path / "saved.csv")
    assert [each.upgrading for each in file] == [True, False]
    assert (file.stamp, file.certificate, file.written_at, file.altered) == (None, None, None, False)


HEAD = "backend,device_id,device_key,product_id,owner_id,firmware_version,software_version,upgrading,connection,"
HEAD += "vendor_connection\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", "job_id,name\n1,2\n", "unknown 'job_id', 'name'; missing 'backend'"),
        ("x.csv", HEAD.replace("backend,device_id", "device_id,backend"), "their order differs"),
        ("x.csv", "", "missing 'backend'"),
        ("x.csv", f"{HEAD}e,d\n", "row 1 is no device (2 cells instead of 10)"),
        ("x.csv", f"{HEAD}e,a,,,,,,,,\n,d,,,,,,,,\n", "row 2 is no device (backend or device_id is empty)"),
        ("x.csv", f"{HEAD}e,d,,,,,,maybe,,\n", "row 1 is no device (upgrading is 'maybe', not true or false)"),
        ("x.csv", f"{HEAD}e,d,,,,,,,asleep,\n", "row 1 is no device (the connection 'asleep' is not known)"),
        ("x.csv", f'{HEAD}e,"d,,,,,,,,\n', "is no CSV in UTF-8"),
        ("x.csv", b"\xff\xfe\n", "is no CSV in UTF-8"),
        (
            "x.jsonl",
            '{"backend": "e", "device_id": "d", "job_id": "1"}\n',
            "row 1 is no device (Object contains unknown",
        ),
        ("x.jsonl", "[]\n", "row 1 is no device"),
        ("x.jsonl", "\n", "row 1 is no device"),
        ("x.jsonl", "PK\x03\x04\n", "row 1 is no device"),
        ("x.parquet", "PK\x03\x04 no", "this is no Parquet file"),
        ("x.parquet", "PAR1 no", "this Parquet file is cut off or damaged"),
    ],
)
def test_a_file_of_another_kind(tmp_path: Path, name: str, content: "str | bytes", words: str) -> None:
    """The message names the file and what is wrong with it."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ResultFileError) as caught:
        list(export.read(tmp_path / name))
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_lines_of_devices_need_every_field(tmp_path: Path) -> None:
    """A record of another kind that happens to name a device is none."""
    (tmp_path / "x.jsonl").write_text('{"backend": "e", "device_id": "d"}\n', encoding="utf-8")
    with pytest.raises(ResultFileError, match="missing required field"):
        list(export.read(tmp_path / "x.jsonl"))
    empty = dict.fromkeys(FIELDS) | {"backend": "", "device_id": "d"}
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(empty)}\n", encoding="utf-8")
    with pytest.raises(ResultFileError, match="backend or device_id is empty"):
        list(export.read(tmp_path / "x.jsonl"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "has version 2, from a newer otaclient"),
        ({"version": 0}, "has version 0, from a unknown otaclient"),
        ({"kind": "otaclient jobs"}, "belongs to 'otaclient jobs', not to scanned devices"),
        ({"kind": 7}, "is no certificate that was stored with a scan"),
        ({"certificate": {"verdict": "perhaps"}}, "the certificate is damaged"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_a_certificate_of_another_version_or_kind(
    tmp_path: Path, suffix: str, change: dict[str, Any], words: str
) -> None:
    """What this version does not know is refused, with the remedy."""
    path = tmp_path / f"fleet.{suffix}"
    await written(path, varied())
    if suffix == "csv":
        stamp = export.stamp_path(path)
        stamp.write_text(json.dumps(json.loads(stamp.read_text(encoding="utf-8")) | change), encoding="utf-8")
    else:
        table = pq.ParquetFile(path).read()
        metadata = json.loads(pq.ParquetFile(path).metadata.metadata[b"otaclient"]) | change
        pq.write_table(table.replace_schema_metadata({b"otaclient": json.dumps(metadata).encode()}), path)
    with pytest.raises(ResultFileError, match=words):
        export.read(path)


async def test_parquet_of_others(tmp_path: Path) -> None:
    """Without our stamp, or with other rows than it speaks of, it is not ours."""
    path = tmp_path / "fleet.parquet"
    await written(path, varied())
    table = pq.ParquetFile(path).read()
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(ResultFileError, match="was not written by otaclient, or lost its certificate"):
        export.read(path)
    await written(path, varied())
    metadata = {b"otaclient": pq.ParquetFile(path).metadata.metadata[b"otaclient"]}
    pq.write_table(table.slice(1).replace_schema_metadata(metadata), path)
    with pytest.raises(ResultFileError, match="columns and rows are not those"):
        export.read(path)


@each_suffix
def test_a_file_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    """The message names it."""
    with pytest.raises(ResultFileError, match=f"fleet.{suffix} cannot be read: No such file"):
        export.read(tmp_path / f"fleet.{suffix}")
