"""Scanned fleets as files: Parquet, CSV or JSON Lines, with the certificate of the scan stored along.

::

    from otaclient import export

    async with otaclient.scan([(enos, DeviceUpgradeQuery())]) as scan:
        await export.write(scan, "fleet.parquet")

    fleet = export.read("fleet.parquet")
    print(fleet.certificate, fleet.written_at)
    for device in fleet:
        ...

Parquet needs the extra ``export``; it is imported when such a file is written or read, and not before.
"""

from otaclient.export.formats import SUFFIXES, FileFormat
from otaclient.export.reading import ScanFile, read
from otaclient.export.stamp import Stamp, files_of, stamp_path
from otaclient.export.writing import WrittenScan, write

__all__ = ["SUFFIXES", "FileFormat", "ScanFile", "Stamp", "WrittenScan", "files_of", "read", "stamp_path", "write"]
