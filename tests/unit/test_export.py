"""Scans as files: what is written is what is read, with bounded memory and beside the event loop."""

import asyncio
import json
import tracemalloc
import unicodedata
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient import export
from otaclient.export import texts, writing
from otaclient.models import Connection, DeviceUpgrade
from support.exports import (
    CERTIFICATE,
    HOSTILE,
    SUFFIXES,
    FakeScan,
    device,
    each_suffix,
    names,
    scan_of,
    varied,
    written,
)

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
