"""The OTA modules of products: parts of a device that are upgraded apart from its firmware and software.

Source: Huawei Cloud IoTDA, "Create an OTA Module", "Query the OTA Module List", "Query an OTA Module", "Update an OTA
Module", "Delete an OTA Module".
"""

import hashlib
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import attrs

from otaclient.emulator import Fleet, JobRecord
from otaclient.emulator.records import TASK_STATUSES
from otaclient.models import FirmwareKind, TaskStatus
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.bodies import ModuleChange, NewModule, module_change, new_module
from otaclient_iotda.emulator.calls import (
    NO_CONTENT,
    UNKNOWN_PRODUCT,
    UNKNOWN_RESOURCE,
    UNKNOWN_SPACE,
    Answer,
    Call,
    Paging,
    Refused,
)
from otaclient_iotda.emulator.filters import ModuleFilter, RecordIds, module_filter, wire_time
from otaclient_iotda.emulator.refusals import Refusal

__all__ = ["ModuleOperations", "ModuleRecord", "ModuleVersions", "Modules"]

MOST_MODULES: Final = 10
"""Of one product."""

# How the vendor refuses a name that is taken, or one module too many, is not known: both are our choice, and no codes
# of the vendor's.
MODULE_EXISTS: Final = Refusal(
    status=HTTPStatus.CONFLICT, code="IOTDA.999012", message="The product has a module of this name already."
)
TOO_MANY_MODULES: Final = Refusal(
    status=HTTPStatus.BAD_REQUEST, code="IOTDA.999013", message="The product has 10 modules already."
)

_MODULE_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
_SUCCEEDED: Final = TASK_STATUSES.index(TaskStatus.SUCCEEDED)

# The middle 5 bytes of the modules' record ids.
_FIXED: Final = 0x5D036ACA5B


@attrs.frozen(kw_only=True)
class ModuleRecord:
    """A module of a product."""

    module_id: str
    record_id: int
    app_id: str
    product_id: str
    product_name: str
    module_name: str
    alias_name: str | None
    description: str | None
    created_at_s: int

    def row(self) -> dict[str, object]:
        """Return the module on the wire, the same in the list and alone; what it has no text for is missing."""
        row: dict[str, object] = {
            "module_id": self.module_id,
            "app_id": self.app_id,
            "product_id": self.product_id,
            "product_name": self.product_name,
            "module_name": self.module_name,
            "create_time": wire_time(self.created_at_s),
        }
        texts = {"alias_name": self.alias_name, "description": self.description}
        return row | {name: text for name, text in texts.items() if text is not None}


class Modules:
    """The modules of one fleet: at first those that its module packages are for."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._records: list[ModuleRecord] = []
        self._made = 0
        for firmware in fleet.firmware:
            if firmware.module_name is not None and not self.named(firmware.product_id, firmware.module_name):
                new = NewModule(
                    app_id=render.app_id(fleet, firmware.product_id),
                    product_id=firmware.product_id,
                    module_name=firmware.module_name,
                    alias_name=None,
                    description=None,
                )
                self.add(new, now_s=firmware.created_at_s)

    @property
    def ids(self) -> RecordIds:
        """The hidden ids of the modules, which are numbered from the oldest."""
        values = [record.record_id for record in self._records]
        return RecordIds(value=values.__getitem__)

    def record(self, number: int) -> ModuleRecord:
        """Return the module with this number."""
        return self._records[number]

    def matching(self, wanted: ModuleFilter) -> Sequence[int]:
        """Return the numbers of the modules that a query means, ascending."""
        return [
            number
            for number, record in enumerate(self._records)
            if wanted.app_id in {None, record.app_id} and wanted.product_id in {None, record.product_id}
        ]

    def of_product(self, product_id: str) -> int:
        """Return how many modules a product has."""
        return sum(record.product_id == product_id for record in self._records)

    def named(self, product_id: str, module_name: str) -> ModuleRecord | None:
        """Return a product's module of this name, or ``None``."""
        found = (each for each in self._records if (each.product_id, each.module_name) == (product_id, module_name))
        return next(found, None)

    def get(self, module_id: str) -> ModuleRecord | None:
        """Return the module with this identifier, or ``None``."""
        return next((record for record in self._records if record.module_id == module_id), None)

    def add(self, new: NewModule, *, now_s: int) -> ModuleRecord:
        """Create a module, which nothing forbids."""
        self._made += 1
        product = self._fleet.product(new.product_id)
        record_id = RecordIds.made(now_s, _FIXED, self._made)
        if self._records:  # a clock that stands, or that a test has set back, still gives rising ids
            record_id = max(record_id, self._records[-1].record_id + 1)
        record = ModuleRecord(
            module_id=hashlib.md5(f"module/{self._made}".encode(), usedforsecurity=False).hexdigest(),
            record_id=record_id,
            app_id=new.app_id,
            product_id=new.product_id,
            product_name="" if product is None else product.name,
            module_name=new.module_name,
            alias_name=new.alias_name,
            description=new.description,
            created_at_s=now_s,
        )
        self._records.append(record)
        return record

    def change(self, record: ModuleRecord, change: ModuleChange) -> ModuleRecord:
        """Change the texts of a module."""
        changed = attrs.evolve(
            record,
            alias_name=record.alias_name if change.alias_name is None else change.alias_name,
            description=record.description if change.description is None else change.description,
        )
        self._records[self._records.index(record)] = changed
        return changed

    def remove(self, record: ModuleRecord) -> None:
        """Delete a module."""
        self._records.remove(record)


class ModuleOperations:
    """What the service does with the modules of one fleet."""

    def __init__(self, fleet: Fleet, modules: Modules, *, paging: Paging) -> None:
        self._fleet = fleet
        self._modules = modules
        self._paging = paging

    def list_modules(self, call: Call) -> Answer:
        """Answer ``GET ota-upgrades/modules``."""
        wanted = module_filter(call.parameters)
        ids = self._modules.ids
        page = self._paging.cut(self._modules.matching(wanted), wanted.window, ids)
        rows = [self._modules.record(number).row() for number in page.numbers]
        return Answer.of({"modules": rows, "page": self._paging.info(page, ids)})

    def show_module(self, call: Call) -> Answer:
        """Answer ``GET ota-upgrades/modules/{module_id}``."""
        return Answer.of(self._meant(call).row())

    def create_module(self, call: Call) -> Answer:
        """Answer ``POST ota-upgrades/modules``."""
        new = new_module(call.body)
        if new.app_id not in render.app_ids():
            raise Refused(UNKNOWN_SPACE)
        if self._fleet.product(new.product_id) is None or render.app_id(self._fleet, new.product_id) != new.app_id:
            raise Refused(UNKNOWN_PRODUCT)
        if self._modules.named(new.product_id, new.module_name) is not None:
            raise Refused(MODULE_EXISTS)
        if self._modules.of_product(new.product_id) >= MOST_MODULES:
            raise Refused(TOO_MANY_MODULES)
        return Answer.of(self._modules.add(new, now_s=call.now_s).row(), status=HTTPStatus.CREATED)

    def update_module(self, call: Call) -> Answer:
        """Answer ``PUT ota-upgrades/modules/{module_id}``."""
        record = self._meant(call)
        return Answer.of(self._modules.change(record, module_change(call.body)).row())

    def delete_module(self, call: Call) -> Answer:
        """Answer ``DELETE ota-upgrades/modules/{module_id}``. That packages for it stay is our choice."""
        self._modules.remove(self._meant(call))
        return NO_CONTENT

    def _meant(self, call: Call) -> ModuleRecord:
        record = self._modules.get(call.identifier("module_id", _MODULE_ID))
        if record is None:
            raise Refused(UNKNOWN_RESOURCE)
        return record


class ModuleVersions:
    """Which versions of which modules the devices report: those that the tasks of the fleet have installed.

    Every second device came from the factory with a first version of the module ``radio``.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._kept: dict[int, dict[str, str]] = {}
        """By row, what tasks installed that have been deleted since."""

    def of_device(self, row: int) -> list[dict[str, str]]:
        """Return the modules of a device, with their versions."""
        versions = {"radio": "m1.0"} if row % 2 else {}
        versions |= self._kept.get(row, {})
        for job in self._fleet.jobs:
            if job.firmware_kind is FirmwareKind.MODULE:
                position = job.position_of(row)
                if position is not None and job.task_states[position] == _SUCCEEDED:
                    versions |= self._installed(job, position)
        return [{"module_name": name, "module_version": version} for name, version in versions.items()]

    def keep(self, job: JobRecord) -> None:
        """Remember what a task has installed that is about to be deleted."""
        if job.firmware_kind is FirmwareKind.MODULE:
            for position, state in enumerate(job.task_states):
                if state == _SUCCEEDED:
                    self._kept.setdefault(job.targets[position], {}).update(self._installed(job, position))

    def _installed(self, job: JobRecord, position: int) -> dict[str, str]:
        record = self._fleet.known_firmware(job.firmware_ids[job.choices[position]])
        return {} if record is None or record.module_name is None else {record.module_name: record.version}
