"""A fleet of its own with a clock and an engine that runs its jobs."""

from collections.abc import Sequence
from typing import Any

from otaclient.emulator import (
    FirmwareOrder,
    FirmwareStore,
    Fleet,
    JobEngine,
    JobOrder,
    JobPlan,
    JobRecord,
    ManualClock,
    Remark,
)
from otaclient.emulator.clock import epoch_ms
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.emulator.records import TASK_STATUSES, FirmwareRecord
from otaclient.models import FirmwareKind, TaskStatus

FLEET = Fleet.generate(devices=400, jobs=0)
NOW_MS = epoch_ms(DEFAULT_NOW)

# Everything takes exactly as long as it says, and succeeds.
SURE = JobPlan(pending_seconds=1, published_seconds=5, upgrading_seconds=60, spread=0, failing_share=0)

PENDING, PUBLISHED, UPGRADING = TaskStatus.PENDING, TaskStatus.PUBLISHED, TaskStatus.UPGRADING
SUCCEEDED, FAILED, RETRYING, CANCELLED = (
    TaskStatus.SUCCEEDED,
    TaskStatus.FAILED,
    TaskStatus.RETRYING,
    TaskStatus.CANCELLED,
)
OPEN = frozenset({PENDING, PUBLISHED, UPGRADING, RETRYING})


class World:
    """A fleet of its own, with a clock and an engine."""

    def __init__(self, plan: JobPlan = SURE, fleet: Fleet = FLEET) -> None:
        self.fleet = fleet.copy()
        self.clock = ManualClock(DEFAULT_NOW)
        self.engine = JobEngine(self.fleet, self.clock, plan=plan)
        self.store = FirmwareStore(self.fleet, self.clock)
        self.product = self.fleet.products[0].product_id

    def release(self, version: str = "X1", **fields: Any) -> FirmwareRecord:
        fields = {"product_id": self.product, "name": f"firmware {version}", **fields}
        return self.store.create(FirmwareOrder(version=version, **fields))

    def rows(self, count: int, kind: FirmwareKind = FirmwareKind.FIRMWARE) -> list[int]:
        return list(self.engine.eligible([self.product], [], kind))[:count]

    def start(
        self, targets: Sequence[int] | int = 3, firmware: FirmwareRecord | None = None, **fields: Any
    ) -> JobRecord:
        firmware = firmware or self.fleet.firmware_record(self.release(f"X{len(self.fleet.firmware)}").firmware_id)
        assert firmware is not None
        rows = self.rows(targets) if isinstance(targets, int) else targets
        return self.engine.create(JobOrder(name="job", firmware_ids=(firmware.firmware_id,), targets=rows, **fields))

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.engine.settle()

    def remarks(self, job: JobRecord) -> list[Remark]:
        return [self.fleet.remarks[index] for index in job.remarks]


def states(job: JobRecord) -> list[TaskStatus]:
    return [TASK_STATUSES[index] for index in job.task_states]
