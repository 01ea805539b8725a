"""One simulated fleet without a vendor: products, firmware, jobs and devices, all generated from a seed.

The same arguments give the same fleet on every machine and every Python. Each emulator shows it in its vendor's words.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Self

import attrs

from otaclient.emulator.clock import epoch_ms
from otaclient.emulator.devices import DeviceTable
from otaclient.emulator.noise import Noise
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus

__all__ = ["DEFAULT_NOW", "TASK_STATUSES", "FirmwareRecord", "Fleet", "JobRecord", "Product", "firmware_content"]

DEFAULT_NOW: Final = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
"""Where a generated fleet's past ends unless told otherwise."""

TASK_STATUSES: Final = tuple(TaskStatus)
"""What the bytes of ``JobRecord.task_states`` stand for."""


@attrs.frozen(kw_only=True)
class Product:
    """A kind of device."""

    product_id: str
    """8 letters and digits, which every vendor accepts."""
    name: str
    key_prefix: str
    """What the keys of its devices begin with."""
    kinds: tuple[FirmwareKind, ...]
    """What its devices can be upgraded: their firmware; some also their software or modules."""
    firmware_versions: tuple[str, ...]
    """Versions that its makers released, oldest first."""
    software_versions: tuple[str, ...]


@attrs.frozen(kw_only=True)
class FirmwareRecord:
    """A firmware in the simulated vendor's store."""

    firmware_id: str
    """24 lower-case hexadecimal digits that begin with the second of creation: a later one sorts higher."""
    product_id: str
    kind: FirmwareKind
    version: str
    name: str
    translations: Mapping[str, str]
    description: str | None
    file_name: str
    size_bytes: int
    md5: str
    sha256: str
    created_at_ms: int
    product_shown: bool
    """Whether a vendor that keeps firmware apart from products names the product of this one."""
    verification_required: bool
    verified: bool
    max_verification_devices: int
    min_verified_successes: int
    source_versions: tuple[str, ...]
    """Versions that may be upgraded with it; none listed means any."""
    tags: Mapping[str, str]
    custom_info: str | None
    module_name: str | None

    @property
    def created_at_s(self) -> int:
        """The second of creation, which no other firmware of the fleet shares."""
        return self.created_at_ms // 1000

    def content(self) -> bytes:
        """Return the bytes of the firmware file: those that the size and the digests speak of."""
        return firmware_content(self.firmware_id, self.size_bytes)


@attrs.define(kw_only=True)
class JobRecord:
    """An upgrade job: a firmware, and one task for each device that it reaches."""

    job_id: str
    """24 lower-case hexadecimal digits that begin with the second of creation: a later one sorts higher."""
    name: str
    translations: Mapping[str, str]
    kind: JobKind
    firmware_kind: FirmwareKind
    product_id: str
    firmware_ids: tuple[str, ...]
    status: JobStatus
    created_at_ms: int
    source_versions: tuple[str, ...]
    everything: bool
    """Whether it reaches every device with a source version, rather than chosen ones."""
    group_ids: tuple[str, ...]
    timeout_seconds: int
    max_concurrency: int
    retry_count: int
    """0 where a failed device is not tried again."""
    retry_interval_minutes: int
    incremental: bool
    """Whether devices that match later join."""
    device_may_request: bool
    scheduled_at_ms: int | None
    """When a pending job begins."""
    targets: "array[int]"
    """Rows of the devices."""
    task_states: bytearray
    """One byte a target: an index into ``TASK_STATUSES``."""

    @property
    def created_at_s(self) -> int:
        """The second of creation, which no other job of the fleet shares."""
        return self.created_at_ms // 1000

    def task_counts(self) -> dict[TaskStatus, int]:
        """Return how many of its devices are in each state; states without a device are left out."""
        counts = Counter(self.task_states)
        return {status: counts[index] for index, status in enumerate(TASK_STATUSES) if counts[index]}


@attrs.define(kw_only=True, repr=False)
class Fleet:
    """Everything that a vendor knows about one organisation's devices and their upgrades."""

    seed: int
    now: datetime
    products: Sequence[Product]
    firmware: Sequence[FirmwareRecord]
    """Oldest first."""
    jobs: Sequence[JobRecord]
    """Oldest first."""
    devices: DeviceTable
    _firmware_by_id: dict[str, FirmwareRecord] = attrs.field(init=False)
    _jobs_by_id: dict[str, JobRecord] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._firmware_by_id = {record.firmware_id: record for record in self.firmware}
        self._jobs_by_id = {record.job_id: record for record in self.jobs}

    def __repr__(self) -> str:
        return f"Fleet(seed={self.seed}, products={len(self.products)}, devices={len(self.devices)})"

    @classmethod
    def generate(
        cls,
        *,
        devices: int = 20_000,
        seed: int = 7,
        products: int = 3,
        versions: int = 12,
        jobs: int = 14,
        now: datetime = DEFAULT_NOW,
    ) -> Self:
        """Generate a fleet.

        Args:
            devices: How many devices, 0 to 10,000,000.
            seed: Whole number; equal seeds give equal fleets.
            products: How many products, 1 to 16.
            versions: How many versions of firmware each product has released, 2 to 64.
            jobs: How many upgrade jobs, 0 to 10,000.
            now: Where the past ends: nothing was created or registered after it. Aware.

        Raises:
            ValueError: A number is out of range, or ``now`` has no time zone.
        """
        from otaclient.emulator import generation, job_generation  # these build on this module

        _check("devices", devices, 0, 10_000_000)
        _check("products", products, 1, 16)
        _check("versions", versions, 2, 64)
        _check("jobs", jobs, 0, 10_000)
        noise, now_s = Noise(seed), epoch_ms(now) // 1000
        drawn = generation.draw_products(noise, count=products, versions=versions)
        firmware = generation.draw_firmware(noise, drawn, now_s=now_s)
        table = generation.draw_devices(noise, drawn, count=devices, now_s=now_s)
        drawn_jobs = job_generation.draw_jobs(
            noise, products=drawn, firmware=firmware, devices=table, count=jobs, now_s=now_s
        )
        return cls(seed=seed, now=now, products=drawn, firmware=firmware, jobs=drawn_jobs, devices=table)

    def product(self, product_id: str) -> Product | None:
        """Return the product with this identifier, or ``None``."""
        return next((product for product in self.products if product.product_id == product_id), None)

    def firmware_record(self, firmware_id: str) -> FirmwareRecord | None:
        """Return the firmware with this identifier, or ``None``."""
        return self._firmware_by_id.get(firmware_id)

    def job_record(self, job_id: str) -> JobRecord | None:
        """Return the job with this identifier, or ``None``."""
        return self._jobs_by_id.get(job_id)


def firmware_content(firmware_id: str, size_bytes: int) -> bytes:
    """Return the bytes of a simulated firmware file."""
    return hashlib.shake_256(f"content/{firmware_id}".encode()).digest(size_bytes)


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}; a fleet takes {least} to {most}")
