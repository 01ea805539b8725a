"""Fleets for files and reports: a scan that needs no network, and devices in a few words."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient import export
from otaclient.fleet.ledger import Certificate, CertificatePart, Verdict
from otaclient.models import Connection, DeviceId, DeviceUpgrade

SUFFIXES = ("parquet", "csv", "jsonl")
each_suffix = pytest.mark.parametrize("suffix", SUFFIXES)

CERTIFICATE = Certificate(
    verdict=Verdict.CERTIFIED,
    reasons=(),
    parts=(
        CertificatePart(backend="enos", query="enos devices.search: everything", finished=True, devices=2, reads=1),
    ),
    devices=2,
    filtered=0,
    duplicates=1,
    changed=0,
    bad_rows=0,
    reads=1,
    repairs=0,
    requests=1,
    retries=0,
    throttles=0,
    bytes=100,
    seconds=1.5,
)
UNCERTAIN = attrs.evolve(CERTIFICATE, verdict=Verdict.UNCERTAIN, reasons=("gap: rows may be missing",))
UNFINISHED = attrs.evolve(CERTIFICATE, verdict=Verdict.UNCERTAIN, reasons=("not finished",))

HOSTILE = (
    "<script>alert(1)</script>\"&'",
    "line\nbreak\rand\ttab",
    "=cmd|'/c calc'!A0",
    "'=quoted",
    "a; '@b;;=c",
    "\u202eturned\x1b[31m\x00",
    ",",
    '"',
    "ÄΩ漢😀",
)


def device(name: str, firmware: str | None = "1.0.0", **fields: Any) -> DeviceUpgrade:
    """Return a device."""
    fields = {"backend": "enos", "product_id": "pump", "upgrading": False, **fields}
    return DeviceUpgrade(device_id=DeviceId(name), firmware_version=firmware, **fields)


def varied() -> list[DeviceUpgrade]:
    """Return devices with every kind of value in every field."""
    plain = [
        device("a", None, product_id=None, upgrading=None),
        device("b", owner_id="o", device_key="k", software_version="2", upgrading=True),
        *(
            device(f"c{number}", connection=each, vendor_connection=each.value)
            for number, each in enumerate(Connection)
        ),
    ]
    return plain + [
        device(text, text, product_id=text, owner_id=text, device_key=text, vendor_connection=text, backend=text)
        for text in HOSTILE
    ]


@attrs.define
class FakeScan:
    """A scan that hands out what it was given."""

    blocks: Iterable[Sequence[Any]]
    done: Certificate = CERTIFICATE
    before_block: Callable[[int], object] = lambda number: None
    devices: int = 0
    finished: bool = False

    async def pages(self) -> AsyncIterator[Sequence[Any]]:
        """Yield the blocks."""
        for number, rows in enumerate(self.blocks):
            self.before_block(number)
            self.devices += len(rows)
            yield rows
        self.finished = True

    @property
    def certificate(self) -> Certificate:
        """The certificate, which says before the end that this is not the end."""
        return attrs.evolve(self.done if self.finished else UNFINISHED, devices=self.devices)


def scan_of(*blocks: Any, **options: Any) -> Any:
    """Return a scan that hands out these blocks."""
    return FakeScan(list(blocks), **options)


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def written(path: Path, devices: Sequence[DeviceUpgrade], done: Certificate = CERTIFICATE) -> export.ScanFile:
    """Return a file with these devices."""
    scan: Any = FakeScan([devices[start : start + 3] for start in range(0, len(devices), 3)], done)
    await export.write(scan, path, replace=True)
    return export.read(path)
