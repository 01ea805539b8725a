"""Devices as Parquet, through pyarrow, which is only imported here and only when it is needed."""

import importlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from otaclient.errors import ConfigurationError, ResultFileError
from otaclient.export.formats import FIELDS, device_from, values_of
from otaclient.export.stamp import Stamp
from otaclient.models import DeviceUpgrade

__all__ = ["ParquetRows", "load_pyarrow", "read_parquet", "read_stamp"]

_KEY: Final = b"otaclient"
_ROWS_A_GROUP: Final = 8_192
"""Twice as many make a file a tenth smaller, and cost 1 MiB more of memory."""
_PAGE_BYTES: Final = 64 * 1024
_ROWS_AT_ONCE: Final = 8_192
# All others have few values, which a dictionary tells apart in a byte or two a row.
_UNLIKE: Final = ("device_id", "device_key")
_MAGIC: Final = b"PAR1"


def load_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigurationError(
            "Parquet files need pyarrow, which is not installed: pip install 'otaclient[export]'; "
            "or name a file that ends in .csv or .jsonl"
        ) from error


def _schema(arrow: Any) -> Any:
    """Return the columns, with their types."""
    text, boolean = arrow.string(), arrow.bool_()
    return arrow.schema(
        [
            arrow.field(name, boolean if name == "upgrading" else text, nullable=name not in FIELDS[:2])
            for name in FIELDS
        ]
    )


class ParquetRows:
    """Writes devices to an open file, a group of rows at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._arrow, parquet = load_pyarrow()
        self._schema = _schema(self._arrow)
        # Memory comes from the system, which takes back what a group no longer needs.
        self._pool = self._arrow.system_memory_pool()
        self._writer = parquet.ParquetWriter(
            file,
            self._schema,
            # Others compress better, with buffers for every column that cost more than the rows.
            compression="snappy",
            data_page_size=_PAGE_BYTES,
            use_dictionary=[name for name in FIELDS if name not in _UNLIKE],
            memory_pool=self._pool,
        )
        self._batches: list[Any] = []
        self._waiting = 0
        self._is_whole = False
        """Whether the file has its end."""
        self._is_broken = False
        """Whether a write failed: nothing that follows can be read."""

    def add(self, rows: Sequence[DeviceUpgrade]) -> None:
        """Write devices."""
        columns = zip(*map(values_of, rows), strict=True)
        arrays = [
            self._arrow.array(values, type=field.type, memory_pool=self._pool)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        self._batches.append(self._arrow.record_batch(arrays, schema=self._schema))
        self._waiting += len(rows)
        if self._waiting >= _ROWS_A_GROUP:
            self._write_group()

    def keep(self, stamp: Stamp) -> bool:
        """Make a whole file of what there is; without its end, Parquet cannot be read."""
        if not self._is_broken and not self._is_whole:
            self.finish(stamp)
        return stamp.rows > 0 and not self._is_broken

    def finish(self, stamp: Stamp) -> None:
        """Write the end of the file, with the stamp in it."""
        if self._batches:
            self._write_group()
        self._writer.add_key_value_metadata({_KEY: stamp.to_json().encode()})
        with self._noticed():
            self._writer.close()
        self._is_whole = True

    def _write_group(self) -> None:
        batches, self._batches, self._waiting = self._batches, [], 0
        with self._noticed():
            self._writer.write_table(self._arrow.Table.from_batches(batches), row_group_size=2 * _ROWS_A_GROUP)

    @contextmanager
    def _noticed(self) -> Generator[None]:
        try:
            yield
        except BaseException:
            self._is_broken = True
            raise


def read_stamp(path: Path) -> Stamp:
    """Return the stamp in a Parquet file.

    Raises:
        ConfigurationError: pyarrow is not installed.
        OSError: The file is not there, or cannot be read.
        ResultFileError: It is no whole Parquet file, or not one of ours.
    """
    arrow, parquet = load_pyarrow()
    with path.open("rb") as file, _explained(path, arrow):
        found: Any = parquet.ParquetFile(file)
        metadata: dict[bytes, bytes] = found.metadata.metadata or {}
        is_ours, rows = found.schema_arrow.equals(_schema(arrow)), found.metadata.num_rows
    if _KEY not in metadata:
        raise ResultFileError(f"{path}: this Parquet file was not written by otaclient, or lost its certificate since")
    stamp = Stamp.from_json(metadata[_KEY], where=path)
    if not is_ours or rows != stamp.rows:
        raise ResultFileError(f"{path}: columns and rows are not those that its certificate speaks of: it was changed")
    return stamp


def read_parquet(path: Path) -> Iterator[list[DeviceUpgrade]]:
    """Yield the devices of a Parquet file, in lists.

    Raises:
        ResultFileError: The file is damaged.
    """
    arrow, parquet = load_pyarrow()
    with path.open("rb") as file, _explained(path, arrow):
        for batch in parquet.ParquetFile(file).iter_batches(_ROWS_AT_ONCE, use_threads=False):
            yield list(map(device_from, zip(*(column.to_pylist() for column in batch.columns), strict=True)))


@contextmanager
def _explained(path: Path, arrow: Any) -> Generator[None]:
    """Let what Arrow says of a file become an error that says what to do."""
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError) as error:
        with path.open("rb") as file:
            is_parquet = file.read(len(_MAGIC)) == _MAGIC
        what = "this Parquet file is cut off or damaged" if is_parquet else "this is no Parquet file"
        raise ResultFileError(f"{path}: {what} ({' '.join(str(error).split())}); export the fleet again") from error
