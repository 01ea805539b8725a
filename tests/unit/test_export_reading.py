"""What goes wrong while a file is read: it is refused, and each mistake says what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from otaclient import export
from otaclient.errors import ResultFileError
from otaclient.export.formats import FIELDS
from support.exports import device, each_suffix, varied, written


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
        ({"version": 0}, "has version 0, from an unknown otaclient"),
        ({"kind": "otaclient jobs"}, "belongs to 'otaclient jobs', not to scanned devices"),
        ({"kind": 7}, "is no certificate that was stored with a scan"),
        ({"certificate": {"verdict": "perhaps"}}, "the certificate is damaged"),
        ({"written_at": "2026-01-01T00:00:00"}, r"the certificate is damaged \(written_at has no time zone\)"),
        ({"written_at": "9999-12-31T23:59:59-23:00"}, "the certificate is damaged"),
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
    numbers = pa.array(range(len(table)))
    pq.write_table(table.set_column(2, "device_key", numbers).replace_schema_metadata(metadata), path)
    with pytest.raises(ResultFileError, match="columns and rows are not those"):
        export.read(path)


@each_suffix
def test_a_file_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    """The message names it."""
    with pytest.raises(ResultFileError, match=f"fleet.{suffix} cannot be read: No such file"):
        export.read(tmp_path / f"fleet.{suffix}")
