"""Which tasks of a job an expression means.

The columns of a job are compared as a whole, and what was found is kept until a task of the job changes: a page costs
what the page costs.
"""

from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Final

import attrs

from otaclient.emulator import FirmwareRecord, Fleet, JobRecord, Remark
from otaclient.emulator.masks import all_of, any_of, column, marked, places
from otaclient.emulator.records import TASK_STATUSES
from otaclient.models import TaskStatus
from otaclient_enos.emulator.filters import Both, Comparison, Either, Node

__all__ = ["STATUS_WORDS", "Selections", "description"]

# No status "cancelled" is documented. The vendor's sample retries tasks "failed or cancelled" and looks for the latter
# by the description `Cancelled by user`; only failed tasks can be retried. A task that is to be tried again by itself
# waits for its turn once more.
STATUS_WORDS: Final[Mapping[TaskStatus, str]] = {
    TaskStatus.PENDING: "init",
    TaskStatus.PUBLISHED: "published",
    TaskStatus.UPGRADING: "upgrading",
    TaskStatus.SUCCEEDED: "succeeded",
    TaskStatus.FAILED: "failed",
    TaskStatus.RETRYING: "init",
    TaskStatus.CANCELLED: "failed",
    TaskStatus.REMOVED: "failed",
    TaskStatus.UNKNOWN: "failed",
}
# Both of the vendor's own words; all others are ours, as the service hands on what devices say.
_DESCRIPTIONS: Final = {"finished": "upgrading firmware finished", "cancelled": "Cancelled by user", "none": None}

_KEPT_SELECTIONS: Final = 64


def description(remark: Remark) -> str | None:
    """Return what ``desc`` says."""
    return _DESCRIPTIONS.get(remark.name, remark.text)


class Selections:
    """The positions of tasks that meet expressions; the latest are kept for as long as their job does not change."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._kept: OrderedDict[tuple[str, Node], tuple[int, Sequence[int]]] = OrderedDict()

    def matching(self, job: JobRecord, firmware: FirmwareRecord, node: Node | None) -> Sequence[int]:
        """Return the positions of a job's tasks that meet an expression, ascending."""
        everything = range(len(job.targets))
        if node is None:
            return everything
        key = (job.job_id, node)
        revision, positions = self._kept.get(key, (-1, ()))
        if revision != job.revision:
            meant = _Matcher(self._fleet, job, firmware).mask(node)
            if isinstance(meant, bool):
                return everything if meant else ()
            positions = array("I", compress(everything, meant))
            self._kept[key] = (job.revision, positions)
            if len(self._kept) > _KEPT_SELECTIONS:
                self._kept.popitem(last=False)
        return positions


@attrs.frozen
class _Matcher:
    """Compares the columns of one job: a boolean says the same of all its tasks, a mask has one byte a task."""

    fleet: Fleet
    job: JobRecord
    firmware: FirmwareRecord

    def mask(self, node: Node) -> bool | bytes:
        if isinstance(node, Both | Either):
            return self._combined(node)
        return self._compared(node, frozenset(map(str, node.values)))

    def _combined(self, node: Both | Either) -> bool | bytes:
        every = isinstance(node, Both)
        masks: list[bytes] = []
        for part in node.parts:
            mask = self.mask(part)
            if not isinstance(mask, bool):
                masks.append(mask)
            elif mask is not every:
                return mask
        if not masks:
            return every
        return (all_of if every else any_of)(masks, len(self.job.targets))

    def _compared(self, node: Comparison, wanted: frozenset[str]) -> bool | bytes:
        job = self.job
        match node.field:
            case "jobId":
                return job.job_id in wanted
            case "toVersion":
                return self.firmware.version in wanted
            case "deviceKey":
                return self._of_devices(wanted)
            case "fromVersion":
                texts = self.fleet.devices.version_texts(job.firmware_kind)
                return column(job.from_versions, places(texts, wanted))
            case "status":
                words = [STATUS_WORDS[status] for status in TASK_STATUSES]
                return column(job.task_states, places(words, wanted))
            case _:
                return column(job.remarks, places([description(each) for each in self.fleet.remarks], wanted))

    def _of_devices(self, keys: frozenset[str]) -> bool | bytes:
        rows = (row for row in map(self.fleet.devices.row_of_key, keys) if row is not None)
        positions = [position for position in map(self.job.position_of, rows) if position is not None]
        return marked(positions, len(self.job.targets)) if positions else False
