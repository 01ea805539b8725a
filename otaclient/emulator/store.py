"""The firmware store of the simulated service: what can be created and deleted, and where the bytes are."""

import hashlib
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from otaclient.emulator.clock import Clock
from otaclient.emulator.fleet import Fleet
from otaclient.emulator.listing import RecentWrites
from otaclient.emulator.records import FirmwareRecord
from otaclient.emulator.refusals import FirmwareInUseError, NameExistsError, NoSuchFirmwareError, VersionExistsError
from otaclient.models import FirmwareKind

__all__ = ["ContentWriter", "FirmwareOrder", "FirmwareStore", "StoredContent"]

_CHUNK_BYTES: Final = 64 * 1024


class StoredContent:
    """The bytes of an uploaded firmware, in a temporary file that goes when this does."""

    def __init__(self, path: Path, *, size_bytes: int, md5: str, sha256: str) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.md5 = md5
        self.sha256 = sha256
        weakref.finalize(self, path.unlink, missing_ok=True)


class ContentWriter:
    """Takes the bytes of an upload while they arrive."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="otaclient-emulator-", delete=False)  # noqa: SIM115
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self.path = Path(self._file.name)
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._file.write(chunk)
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self.size_bytes += len(chunk)

    def finish(self) -> StoredContent:
        """Return what was written."""
        self._file.close()
        return StoredContent(
            self.path,
            size_bytes=self.size_bytes,
            md5=self._md5.hexdigest(),
            sha256=self._sha256.hexdigest(),
        )

    def discard(self) -> None:
        """Drop what was written; nothing happens after ``finish``."""
        if not self._file.closed:
            self._file.close()
            self.path.unlink()


@attrs.frozen(kw_only=True)
class FirmwareOrder:
    """What to create a firmware from."""

    version: str
    kind: FirmwareKind = FirmwareKind.FIRMWARE
    product_id: str = ""
    """Empty for a firmware that is bound to no product."""
    name: str = ""
    """Unique within the product; empty where the vendor knows no names."""
    translations: Mapping[str, str] = attrs.field(factory=dict[str, str])
    description: str | None = None
    file_name: str = ""
    verification_required: bool = False
    max_verification_devices: int = 0
    min_verified_successes: int = 1
    source_versions: tuple[str, ...] = ()
    tags: Mapping[str, str] = attrs.field(factory=dict[str, str])
    custom_info: str | None = None
    module_name: str | None = None
    vendor: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


class FirmwareStore:
    """Creates and deletes the firmware of one fleet."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self.writes: RecentWrites[FirmwareRecord] = RecentWrites(lambda record: record.firmware_id)
        self._fleet = fleet
        self._clock = clock
        self._contents: dict[str, StoredContent] = {}

    def writer(self) -> ContentWriter:
        """Return what takes the bytes of a new firmware while they arrive."""
        return ContentWriter()

    def create(self, order: FirmwareOrder, content: StoredContent | None = None) -> FirmwareRecord:
        """Create a firmware, with its bytes where the service keeps them itself.

        Raises:
            VersionExistsError: The product has a firmware of this kind and version (of this module, for modules).
            NameExistsError: The product has a firmware of this name.
        """
        fleet = self._fleet
        self.check(order)
        now_ms = self._clock.now_ms()
        identifier, created_at_ms = fleet.new_identity(now_ms, fleet.firmware[-1] if fleet.firmware else None)
        record = FirmwareRecord(
            firmware_id=identifier,
            created_at_ms=created_at_ms,
            size_bytes=0 if content is None else content.size_bytes,
            md5="" if content is None else content.md5,
            sha256="" if content is None else content.sha256,
            product_shown=bool(order.product_id),
            verified=False,
            **attrs.asdict(order, recurse=False),
        )
        if content is not None:
            self._contents[identifier] = content
        fleet.add_firmware(record)
        self.writes.added(record, now_ms)
        return record

    def check(self, order: FirmwareOrder) -> None:
        """Check what must be unique; raises as ``create`` does."""
        rivals = [record for record in self._fleet.firmware if record.product_id == order.product_id]
        wanted = (order.kind, order.version, order.module_name)
        if any((record.kind, record.version, record.module_name) == wanted for record in rivals):
            raise VersionExistsError(f"{order.kind} {order.version} exists already")
        if order.name and any(record.name == order.name for record in rivals):
            raise NameExistsError(f"{order.name} exists already")

    def delete(self, firmware_id: str) -> None:
        """Delete a firmware and its bytes.

        Raises:
            NoSuchFirmwareError: There is none with this identifier.
            FirmwareInUseError: A job with devices yet to upgrade uses it.
        """
        record = self._fleet.firmware_record(firmware_id)
        if record is None:
            raise NoSuchFirmwareError(f"there is no firmware {firmware_id}")
        if any(firmware_id in job.firmware_ids and job.open_tasks() for job in self._fleet.jobs):
            raise FirmwareInUseError(f"a job uses firmware {firmware_id}")
        self._fleet.remove_firmware(record)
        self._contents.pop(firmware_id, None)
        self.writes.removed(record, self._clock.now_ms())

    def chunks(self, record: FirmwareRecord, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a firmware from ``start`` up to and without ``stop``."""
        content = self._contents.get(record.firmware_id)
        if content is None:
            yield record.content()[start:stop]
            return
        with content.path.open("rb") as file:
            file.seek(start)
            while start < stop and (chunk := file.read(min(_CHUNK_BYTES, stop - start))):
                start += len(chunk)
                yield chunk
