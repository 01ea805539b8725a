"""The operations on batch tasks: list, show, create, stop, retry, confirm, delete.

How the vendor refuses what the state of a task or of a subtask does not allow is not known: the refusals whose code
begins with ``IOTDA.999`` are our choice, and so are their statuses.

Source: Huawei Cloud IoTDA, "Create a Batch Task", "Query the Batch Task List", "Query a Batch Task", "Stop a Batch
Task", "Retry a Batch Task", "Confirm a Batch Task", "Delete a Batch Task".
"""

import re
from array import array
from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import Final

from otaclient.emulator import FirmwareRecord, Fleet, JobRecord
from otaclient.emulator.engine import FINAL_STATUSES, JobEngine, JobOrder
from otaclient.emulator.records import TASK_STATUSES
from otaclient.emulator.refusals import TooManyVersionsError
from otaclient.models import FirmwareKind, JobKind, TaskStatus
from otaclient_iotda.emulator import render, selection
from otaclient_iotda.emulator.bodies import NewTask, new_task, targets_meant
from otaclient_iotda.emulator.calls import (
    NO_CONTENT,
    UNKNOWN_RESOURCE,
    UNKNOWN_SPACE,
    Answer,
    Call,
    Paging,
    Refused,
)
from otaclient_iotda.emulator.filters import detail_filter, task_filter
from otaclient_iotda.emulator.groups import DeviceGroups
from otaclient_iotda.emulator.modules import ModuleVersions
from otaclient_iotda.emulator.packages import PackageBook
from otaclient_iotda.emulator.refusals import Refusal
from otaclient_iotda.emulator.task_records import TaskBook

__all__ = ["TaskOperations"]

ONGOING_FOR_TOO_LONG_SECONDS: Final = 24 * 3600
"""After which the platform gives up on a device: the time that it has for download and report."""

NOT_IN_THIS_STATE: Final = Refusal(
    status=HTTPStatus.CONFLICT, code="IOTDA.999003", message="The state of the batch task does not allow this."
)
NOT_FOR_THIS_TYPE: Final = Refusal(
    status=HTTPStatus.BAD_REQUEST, code="IOTDA.999004", message="This is for firmware and software upgrades only."
)
MIXED_PACKAGES: Final = Refusal(
    status=HTTPStatus.BAD_REQUEST,
    code="IOTDA.999005",
    message="The packages are not all of one product, and of the type that the task installs.",
)
OVERLAPPING_PACKAGES: Final = Refusal(
    status=HTTPStatus.BAD_REQUEST,
    code="IOTDA.999006",
    message="The source versions that the packages support overlap.",
)
UNKNOWN_DEVICE: Final = Refusal(
    status=HTTPStatus.NOT_FOUND, code="IOTDA.999007", message="A target is no device of the packages' product."
)
NO_DEVICES: Final = Refusal(
    status=HTTPStatus.BAD_REQUEST, code="IOTDA.999008", message="The groups have no device of the packages' product."
)
TOO_MANY_VERSIONS: Final = Refusal(
    status=HTTPStatus.BAD_REQUEST, code="IOTDA.999009", message="The emulated devices cannot hold another new version."
)
NO_TARGET: Final = ("IOTDA.999010", "The device is no target of this batch task.")
TARGET_NOT_IN_THIS_STATE: Final = ("IOTDA.999011", "The state of the subtask does not allow this.")

_TASK_ID = re.compile(r"[a-f0-9]{1,24}")
_KIND: Final = {task_type: kind for kind, task_type in render.TASK_TYPE.items()}
_ENDED: Final = frozenset({"Success", "Fail", "PartialSuccess", "Stopped"})
_NOT_TO_STOP: Final = _ENDED | {"Stopping"}
_NOT_TO_RETRY: Final = frozenset({"Success", "Stopped", "Stopping", "Waitting", "Initializing"})
_NOT_ENDED: Final = frozenset(render.TASK_STATUS.values()) - _ENDED
_PLAIN_KINDS: Final = (FirmwareKind.FIRMWARE, FirmwareKind.SOFTWARE)
_STOPPABLE: Final = (TaskStatus.PENDING, TaskStatus.PUBLISHED, TaskStatus.UPGRADING, TaskStatus.RETRYING)
_RETRYABLE: Final = (TaskStatus.FAILED, TaskStatus.RETRYING, TaskStatus.CANCELLED)


class TaskOperations:
    """What the service does with the batch tasks of one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        engine: JobEngine,
        listed: Callable[[], Sequence[JobRecord]],
        *,
        devices: render.DeviceRows,
        groups: DeviceGroups,
        modules: ModuleVersions,
        packages: PackageBook,
        book: TaskBook,
        paging: Paging,
        lists_all_targets: bool,
    ) -> None:
        self._fleet = fleet
        self._engine = engine
        self._listed = listed
        self._devices = devices
        self._groups = groups
        self._modules = modules
        self._packages = packages
        self._book = book
        self._paging = paging
        self._lists_all_targets = lists_all_targets

    def list_tasks(self, call: Call) -> Answer:
        """Answer ``GET batchtasks``."""
        wanted, now_ms = task_filter(call.parameters), self._engine.now_ms
        jobs = self._listed()
        ids = render.job_record_ids(jobs)
        meant = [
            number
            for number in selection.tasks(self._fleet, jobs, wanted)
            if wanted.status in {None, self._book.status(jobs[number], now_ms=now_ms)}
        ]
        page = self._paging.cut(meant, wanted.window, ids)
        rows = [self._book.task(jobs[number], now_ms=now_ms) for number in page.numbers]
        return Answer.of({"batchtasks": rows, "page": self._paging.info(page, ids)})

    def show_task(self, call: Call) -> Answer:
        """Answer ``GET batchtasks/{task_id}``."""
        wanted = detail_filter(call.parameters)
        job = self._meant(call)
        ids = render.detail_record_ids(job)
        page = self._paging.cut(selection.positions(self._devices, job, wanted), wanted.window, ids)
        content = {
            "batchtask": self._book.task(job, now_ms=self._engine.now_ms),
            "task_details": [self._book.detail(job, position) for position in page.numbers],
        }
        return Answer.of({**content, "page": self._paging.info(page, ids)})

    # --- creating -----------------------------------------------------------------------------------------------------

    def create_task(self, call: Call) -> Answer:
        """Answer ``POST batchtasks``."""
        new = new_task(call.body, now=call.now)
        if new.app_id is not None and new.app_id not in render.app_ids():
            raise Refused(UNKNOWN_SPACE)
        kind = _KIND[new.task_type]
        packages = self._chosen(new, kind)
        product_id = packages[0].product_id
        order = JobOrder(
            name=new.task_name,
            kind=JobKind.UPGRADE,
            firmware_ids=tuple(package.firmware_id for package in packages),
            targets=self._rows(new, product_id),
            group_ids=new.group_ids,
            timeout_seconds=ONGOING_FOR_TOO_LONG_SECONDS,
            retry_count=new.retry_count,
            retry_interval_minutes=new.retry_interval,
            scheduled_at_ms=None if new.scheduled_at is None else round(new.scheduled_at.timestamp() * 1000),
            held=bool(new.need_confirm),
            # Which version of a module a device has the simulated fleet does not know.
            checks_source_versions=kind is not FirmwareKind.MODULE,
            vendor=_as_given(new),
        )
        try:
            job = self._engine.create(order)
        except TooManyVersionsError:
            raise Refused(TOO_MANY_VERSIONS) from None
        return Answer.of(self._book.task(job, now_ms=self._engine.now_ms), status=HTTPStatus.CREATED)

    def _chosen(self, new: NewTask, kind: FirmwareKind) -> list[FirmwareRecord]:
        found = [self._packages.record(package_id) for package_id in new.package_ids]
        packages = [record for record in found if record is not None]
        if len(packages) < len(found):
            raise Refused(UNKNOWN_RESOURCE)
        if {record.kind for record in packages} != {kind} or len({record.product_id for record in packages}) > 1:
            raise Refused(MIXED_PACKAGES)
        if new.app_id not in {None, render.app_id(self._fleet, packages[0].product_id)}:
            raise Refused(UNKNOWN_RESOURCE)  # a package of another resource space is not seen from this one
        if _overlap([record.source_versions for record in packages]):
            raise Refused(OVERLAPPING_PACKAGES)
        return packages

    def _rows(self, new: NewTask, product_id: str) -> "array[int]":
        """The devices that a task reaches; of a group, those of the product."""
        if new.targets:
            rows = [self._devices.row_of_device(target) for target in new.targets]
            known = [row for row in rows if row is not None and self._fleet.devices.product_id(row) == product_id]
            if len(known) < len(rows):
                raise Refused(UNKNOWN_DEVICE)
            return array("I", known)
        members: set[int] = set()
        for group_id in new.group_ids:
            group = self._groups.rows(group_id)
            if group is None:
                raise Refused(UNKNOWN_RESOURCE)
            members.update(row for row in group if self._fleet.devices.product_id(row) == product_id)
        if not members:
            raise Refused(NO_DEVICES)
        return array("I", sorted(members))

    # --- acting -------------------------------------------------------------------------------------------------------

    def stop_task(self, call: Call) -> Answer:
        """Answer ``POST batchtasks/{task_id}/stop``."""
        job, targets = self._meant(call), targets_meant(call.body)
        self._check(job, refused=_NOT_TO_STOP, kinds=_PLAIN_KINDS)

        def cancel(positions: Sequence[int]) -> None:
            if targets is None:
                self._engine.stop(job.job_id)
            else:
                self._engine.cancel_tasks(job.job_id, positions, from_states=_STOPPABLE)

        return self._act(job, targets, lambda position: _state(job, position) in _STOPPABLE, cancel)

    def retry_task(self, call: Call) -> Answer:
        """Answer ``POST batchtasks/{task_id}/retry``."""
        job, targets = self._meant(call), targets_meant(call.body)
        self._check(job, refused=_NOT_TO_RETRY, kinds=_PLAIN_KINDS)

        def retry(positions: Sequence[int]) -> None:
            self._engine.retry_tasks(job.job_id, positions, from_states=_RETRYABLE)

        return self._act(job, targets, lambda position: _state(job, position) in _RETRYABLE, retry)

    def confirm_task(self, call: Call) -> Answer:
        """Answer ``POST batchtasks/{task_id}/confirm``."""
        job, targets = self._meant(call), targets_meant(call.body)
        self._check(job, refused=_NOT_TO_STOP, kinds=tuple(render.TASK_TYPE))

        def held(position: int) -> bool:
            return _state(job, position) is TaskStatus.PENDING and self._engine.is_held(job, position)

        def release(positions: Sequence[int]) -> None:
            self._engine.confirm(job.job_id, positions)

        return self._act(job, targets, held, release)

    def delete_task(self, call: Call) -> Answer:
        """Answer ``DELETE batchtasks/{task_id}``."""
        job = self._meant(call)
        self._check(job, refused=_NOT_ENDED, kinds=tuple(render.TASK_TYPE))
        self._modules.keep(job)
        self._engine.delete(job.job_id, when=FINAL_STATUSES)
        return NO_CONTENT

    def _meant(self, call: Call) -> JobRecord:
        job = self._fleet.job_record(call.identifier("task_id", _TASK_ID))
        if job is None:
            raise Refused(UNKNOWN_RESOURCE)
        return job

    def _check(self, job: JobRecord, *, refused: Collection[str], kinds: Collection[FirmwareKind]) -> None:
        if job.firmware_kind not in kinds:
            raise Refused(NOT_FOR_THIS_TYPE)
        if self._book.status(job, now_ms=self._engine.now_ms) in refused:
            raise Refused(NOT_IN_THIS_STATE)

    def _act(
        self,
        job: JobRecord,
        targets: Sequence[str] | None,
        good: Callable[[int], bool],
        do: Callable[[Sequence[int]], None],
    ) -> Answer:
        """Do something to subtasks: to all that it can be done to, or to those that are named, each with a result."""
        if targets is None:
            every = [position for position in range(len(job.targets)) if good(position)]
            listed = every if self._lists_all_targets else []
            do(every)
            return Answer.of({"targets": [_result(self._devices.device_id(job.targets[each])) for each in listed]})
        chosen: list[int] = []
        results: list[dict[str, str]] = []
        for target in targets:
            row = self._devices.row_of_device(target)
            position = None if row is None else job.position_of(row)
            if position is None:
                results.append(_result(target, NO_TARGET))
            elif position in chosen or not good(position):
                results.append(_result(target, TARGET_NOT_IN_THIS_STATE))
            else:
                chosen.append(position)
                results.append(_result(target))
        if chosen:
            do(chosen)
        return Answer.of({"targets": results})


def _state(job: JobRecord, position: int) -> TaskStatus:
    return TASK_STATUSES[job.task_states[position]]


def _overlap(supported: Sequence[tuple[str, ...]]) -> bool:
    """Whether some device could take two of several packages; one that lists no source version supports any."""
    listed = [version for versions in supported for version in versions]
    return len(supported) > 1 and (() in supported or len(set(listed)) < len(listed))


def _result(target: str, error: tuple[str, str] | None = None) -> dict[str, str]:
    if error is None:
        return {"target": target, "status": "success"}
    return {"target": target, "status": "failure", "error_code": error[0], "error_msg": error[1]}


def _as_given(new: NewTask) -> dict[str, object]:
    """What a task shows as it was given; what was not given it does not show."""
    given = {
        "document": new.document,
        "need_confirm": new.need_confirm,
        "task_mode": new.task_mode,
        "task_ext_info": new.task_ext_info,
        "task_policy": new.policy,
    }
    return {name: value for name, value in given.items() if value is not None}
