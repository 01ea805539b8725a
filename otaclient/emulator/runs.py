"""What the engine remembers of a job that it drives, beside the job's own record."""

from array import array
from collections import deque
from typing import Final

import attrs

from otaclient.emulator.devices import ABSENT, DeviceTable
from otaclient.emulator.plan import Draws, JobPlan
from otaclient.emulator.records import FirmwareRecord, JobRecord
from otaclient.models import JobKind

__all__ = ["Run", "next_opening", "suitable_choices"]

_DAY_MS: Final = 86_400_000


@attrs.define(kw_only=True, eq=False)
class Run:
    """A job that is being driven: who is next, and how often each device has been tried."""

    job: JobRecord
    plan: JobPlan
    draws: Draws
    column: bytearray | None
    """The device table's column that a success writes."""
    goals: tuple[int, ...]
    """By place among the job's firmware, the byte that a success writes."""
    choices: bytes
    """By the byte of a device's version, which firmware it gets; ``ABSENT`` where none fits."""
    joining: frozenset[int] | None = None
    """The only devices that may join an incremental job later; ``None`` where any may."""
    ready: deque[int] = attrs.field(factory=deque[int])
    """Pending tasks in the order of their turn. Some may be pending no more, or stand here twice."""
    turns: "array[int]" = attrs.field(factory=lambda: array("H"))
    """Grows where a task is taken out of its course: what was planned for it before is void."""
    attempts: "array[int]" = attrs.field(factory=lambda: array("H"))
    """How often each task has been tried before."""
    retries: "array[int]" = attrs.field(factory=lambda: array("H"))
    """How many of those the job's own retries were, since somebody last asked for one."""
    held: bytearray = attrs.field(factory=bytearray)
    """One byte a task, 1 where it waits for a confirmation; empty for a job that waits for none."""
    in_flight: int = 0
    """How many devices were told and are not done."""
    open: int = 0
    """How many tasks are not done with."""
    opens_at_ms: int | None = None
    """When the job goes on, where that is planned."""
    gone: bool = False
    """Whether the job has been deleted."""

    def __attrs_post_init__(self) -> None:
        count = len(self.job.targets)
        self.turns, self.attempts, self.retries = (array("H", bytes(2 * count)) for _ in range(3))

    @property
    def counts_from_published(self) -> bool:
        """Whether the time limit of a task runs from when the device was told, not from when it begins."""
        return self.job.kind is JobKind.VERIFICATION

    @property
    def timeout_ms(self) -> int:
        """How long a device may take."""
        return self.plan.milliseconds(self.job.timeout_seconds)

    @property
    def retry_pause_ms(self) -> int:
        """How long a failed device waits for its next attempt."""
        return self.plan.milliseconds(self.job.retry_interval_minutes * 60)

    def is_held(self, position: int) -> bool:
        """Return whether a task waits for a confirmation."""
        return bool(self.held) and self.held[position] == 1

    def all_held(self) -> bool:
        """Return whether every task waits for a confirmation."""
        return bool(self.held) and 0 not in self.held

    def take_out(self, position: int) -> None:
        """Take a task out of its course: what is planned for it is void."""
        self.turns[position] = (self.turns[position] + 1) & 0xFFFF

    def next_attempt(self, position: int) -> None:
        """Count an attempt that is over."""
        self.attempts[position] = (self.attempts[position] + 1) & 0xFFFF

    def join(self, row: int, version: int, at_ms: int) -> None:
        """Give one more device a pending task."""
        self.ready.append(len(self.job.targets))
        self.job.add_target(row, version=version, choice=self.choices[version], at_ms=at_ms)
        for counter in (self.turns, self.attempts, self.retries):
            counter.append(0)
        self.open += 1


def suitable_choices(firmware: list[FirmwareRecord], devices: DeviceTable, *, checked: bool) -> bytes:
    """Return, by the byte of a device's version, which of the firmware it gets; ``ABSENT`` where none fits.

    Args:
        firmware: The firmware of a job, all of one kind.
        devices: Knows which byte is which version.
        checked: Whether a firmware that names source versions is only for devices with one of them; otherwise every
            device gets the first firmware.
    """
    if not checked:
        return bytes(256)
    texts = devices.version_texts(firmware[0].kind)
    fitting = bytearray()
    for byte in range(256):
        version = texts[byte] if byte < len(texts) else None
        places = (
            place
            for place, record in enumerate(firmware)
            if not record.source_versions or version in record.source_versions
        )
        fitting.append(next(places, ABSENT))
    return bytes(fitting)


def next_opening(job: JobRecord, at_ms: int) -> int | None:
    """Return the first instant at or after this one at which the job may tell devices; ``None``: never again."""
    start, end = job.scheduled_at_ms, job.window_ends_at_ms
    if start is None:
        return at_ms
    if at_ms < start or end is None:
        return max(at_ms, start)
    if not job.repeats_daily:
        return at_ms if at_ms < end else None
    passed = (at_ms - start) % _DAY_MS
    return at_ms if passed < end - start else at_ms + _DAY_MS - passed
