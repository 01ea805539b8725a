"""One simulated fleet without a vendor: products, firmware, jobs and devices, all generated from a seed.

The same arguments give the same fleet on every machine and every Python. Each emulator shows it in its vendor's words.
"""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Self

import attrs

from otaclient.emulator.churn import Churn, Turnover
from otaclient.emulator.clock import epoch_ms
from otaclient.emulator.devices import DeviceTable
from otaclient.emulator.generation import draw_devices, draw_firmware, draw_products
from otaclient.emulator.job_generation import draw_jobs
from otaclient.emulator.noise import Noise
from otaclient.emulator.records import FirmwareRecord, JobRecord, Product
from otaclient.emulator.remarks import REMARKS, Remark

__all__ = ["DEFAULT_NOW", "Fleet"]

DEFAULT_NOW: Final = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
"""Where a generated fleet's past ends unless told otherwise."""


@attrs.define(kw_only=True, repr=False)
class Fleet:
    """Everything that a vendor knows about one organisation's devices and their upgrades."""

    seed: int
    now: datetime
    products: Sequence[Product]
    firmware: list[FirmwareRecord]
    """Oldest first."""
    jobs: list[JobRecord]
    """Oldest first."""
    devices: DeviceTable
    remarks: list[Remark] = attrs.field(init=False, factory=lambda: list(REMARKS))
    """What the bytes of ``JobRecord.remarks`` stand for."""
    _firmware_by_id: dict[str, FirmwareRecord] = attrs.field(init=False)
    _deleted_firmware: dict[str, FirmwareRecord] = attrs.field(init=False, factory=dict[str, FirmwareRecord])
    _jobs_by_id: dict[str, JobRecord] = attrs.field(init=False)
    _created: int = attrs.field(init=False, default=0)
    _remark_indices: dict[Remark, int] = attrs.field(init=False)
    _turnover: Turnover | None = attrs.field(init=False, default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        self._firmware_by_id = {record.firmware_id: record for record in self.firmware}
        self._jobs_by_id = {record.job_id: record for record in self.jobs}
        self._remark_indices = {remark: index for index, remark in enumerate(self.remarks)}

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
        _check("devices", devices, 0, 10_000_000)
        _check("products", products, 1, 16)
        _check("versions", versions, 2, 64)
        _check("jobs", jobs, 0, 10_000)
        noise, now_s = Noise(seed), epoch_ms(now) // 1000
        drawn = draw_products(noise, count=products, versions=versions)
        firmware = draw_firmware(noise, drawn, now_s=now_s)
        table = draw_devices(noise, drawn, count=devices, now_s=now_s)
        drawn_jobs = draw_jobs(noise, products=drawn, firmware=firmware, devices=table, count=jobs, now_s=now_s)
        return cls(seed=seed, now=now, products=drawn, firmware=list(firmware), jobs=list(drawn_jobs), devices=table)

    def copy(self) -> Self:
        """Return a fleet of its own that is equal now: an emulator changes the fleet that it serves."""
        return copy.deepcopy(self)

    # --- looking up --------------------------------------------------------------------------------------------------

    def product(self, product_id: str) -> Product | None:
        """Return the product with this identifier, or ``None``."""
        return next((product for product in self.products if product.product_id == product_id), None)

    def firmware_record(self, firmware_id: str) -> FirmwareRecord | None:
        """Return the firmware with this identifier, or ``None``."""
        return self._firmware_by_id.get(firmware_id)

    def known_firmware(self, firmware_id: str) -> FirmwareRecord | None:
        """Return the firmware with this identifier even where it has been deleted: its jobs still speak of it."""
        return self._firmware_by_id.get(firmware_id) or self._deleted_firmware.get(firmware_id)

    def job_record(self, job_id: str) -> JobRecord | None:
        """Return the job with this identifier, or ``None``."""
        return self._jobs_by_id.get(job_id)

    def remark_index(self, remark: Remark) -> int:
        """Return the byte that stands for a remark, which is added to the fleet's where it is new."""
        index = self._remark_indices.get(remark)
        if index is None:
            index = self._remark_indices[remark] = len(self.remarks)
            self.remarks.append(remark)
        return index

    # --- what comes and goes -----------------------------------------------------------------------------------------

    def start_churn(self, churn: Churn) -> None:
        """Let devices come and go between the answers to searches from now on; ``Churn()`` ends it.

        What a reader had to see, ``devices.watch`` tells::

            fleet.start_churn(Churn(leave=0.5, join=0.5))
            watch = fleet.devices.watch()
            ...  # read the listing through an emulator of this fleet
            missed = {fleet.devices.key(row) for row in watch.throughout} - keys_seen
        """
        versions = [product.firmware_versions for product in self.products]
        self._turnover = Turnover(self.devices, versions, churn, first_second=epoch_ms(self.now) // 1000)

    def pass_search(self) -> None:
        """Let happen what happens before a search for devices is answered: an emulator calls it for each."""
        if self._turnover is not None:
            self._turnover.pass_search()

    def new_identity(self, now_ms: int, newest: FirmwareRecord | JobRecord | None) -> tuple[str, int]:
        """Return the identifier and the instant of creation of a record that is to follow ``newest``.

        Both are later than those of ``newest``, also where several records come at once or the clock is behind.
        """
        self._created += 1
        second, created_at_ms = now_ms // 1000, now_ms
        if newest is not None:
            identifier = newest.firmware_id if isinstance(newest, FirmwareRecord) else newest.job_id
            second = max(second, int(identifier[:8], 16) + 1)
            created_at_ms = max(created_at_ms, newest.created_at_ms + 1)
        return f"{second:08x}{Noise(self.seed).hexadecimal(f'created/{self._created}', 16)}", created_at_ms

    def add_firmware(self, record: FirmwareRecord) -> None:
        """Take in a firmware that is newer than all others."""
        self.firmware.append(record)
        self._firmware_by_id[record.firmware_id] = record

    def replace_firmware(self, record: FirmwareRecord) -> None:
        """Put a changed record in the place of the one with its identifier."""
        self.firmware[self.firmware.index(self._firmware_by_id[record.firmware_id])] = record
        self._firmware_by_id[record.firmware_id] = record

    def remove_firmware(self, record: FirmwareRecord) -> None:
        """Delete a firmware; ``known_firmware`` remembers it."""
        self.firmware.remove(record)
        self._deleted_firmware[record.firmware_id] = self._firmware_by_id.pop(record.firmware_id)

    def add_job(self, record: JobRecord) -> None:
        """Take in a job that is newer than all others."""
        self.jobs.append(record)
        self._jobs_by_id[record.job_id] = record

    def remove_job(self, record: JobRecord) -> None:
        """Delete a job, and its tasks with it."""
        del self.jobs[next(place for place, each in enumerate(self.jobs) if each is record)]
        del self._jobs_by_id[record.job_id]


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}; a fleet takes {least} to {most}")
