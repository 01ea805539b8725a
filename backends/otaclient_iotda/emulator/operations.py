"""The table of the operations: each with its method, its path, and the vendor-neutral name under which it is counted.

The operations name their own pages.
"""

from collections.abc import Callable, Iterable
from typing import Final

from otaclient.emulator import EmulatorServer
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.auth import Edition
from otaclient_iotda.emulator.calls import Answer, Call, Paging
from otaclient_iotda.emulator.devices import DeviceOperations
from otaclient_iotda.emulator.groups import DeviceGroups
from otaclient_iotda.emulator.modules import ModuleOperations, Modules, ModuleVersions
from otaclient_iotda.emulator.packages import PackageBook, PackageOperations
from otaclient_iotda.emulator.task_records import TaskBook
from otaclient_iotda.emulator.tasks import TaskOperations

__all__ = ["NAMES", "Operation", "Operations"]

Operation = Callable[[Call], Answer]

NAMES: Final = frozenset(
    {
        *(f"firmware.{name}" for name in ("search", "create", "get", "delete")),
        *(f"modules.{name}" for name in ("search", "create", "get", "update", "delete")),
        *(f"jobs.{name}" for name in ("search", "create", "get", "tasks", "stop", "retry_tasks", "confirm", "delete")),
        *(f"devices.{name}" for name in ("search", "get", "query")),
    }
)
"""The names of all operations; ``modules.*`` and ``devices.query`` (the flexible search) are this vendor's own."""


class Operations:
    """All operations over one fleet, and what they share."""

    def __init__(
        self,
        server: EmulatorServer,
        *,
        paging: Paging,
        edition: Edition | None,
        search_pause_seconds: float,
        time_bounds_inclusive: bool,
        lists_all_targets: bool,
    ) -> None:
        fleet = server.fleet
        versions = ModuleVersions(fleet)
        rows = render.DeviceRows(fleet, versions.of_device)
        packages = PackageBook(fleet)
        self.groups = DeviceGroups(fleet)
        self.task_book = TaskBook(fleet, rows)
        self._devices = DeviceOperations(
            fleet,
            rows=rows,
            groups=self.groups,
            paging=paging,
            edition=edition,
            search_pause_seconds=search_pause_seconds,
            time_bounds_inclusive=time_bounds_inclusive,
        )
        self._modules = ModuleOperations(fleet, Modules(fleet), paging=paging)
        self._packages = PackageOperations(fleet, server.store, server.listed_firmware, book=packages, paging=paging)
        self._tasks = TaskOperations(
            fleet,
            server.engine,
            server.listed_jobs,
            devices=rows,
            groups=self.groups,
            modules=versions,
            packages=packages,
            book=self.task_book,
            paging=paging,
            lists_all_targets=lists_all_targets,
        )

    def table(self) -> Iterable[tuple[str, str, str, Operation]]:
        """Return the method, the path below the project, the name and the code of each operation."""
        packages, modules, tasks, devices = self._packages, self._modules, self._tasks, self._devices
        package, module, task = "ota-upgrades/packages", "ota-upgrades/modules", "batchtasks"
        return (
            ("GET", package, "firmware.search", packages.list_packages),
            ("POST", package, "firmware.create", packages.create_package),
            ("GET", f"{package}/{{package_id}}", "firmware.get", packages.show_package),
            ("DELETE", f"{package}/{{package_id}}", "firmware.delete", packages.delete_package),
            ("GET", module, "modules.search", modules.list_modules),
            ("POST", module, "modules.create", modules.create_module),
            ("GET", f"{module}/{{module_id}}", "modules.get", modules.show_module),
            ("PUT", f"{module}/{{module_id}}", "modules.update", modules.update_module),
            ("DELETE", f"{module}/{{module_id}}", "modules.delete", modules.delete_module),
            ("GET", task, "jobs.search", tasks.list_tasks),
            ("POST", task, "jobs.create", tasks.create_task),
            ("GET", f"{task}/{{task_id}}", "jobs.get", tasks.show_task),
            ("POST", f"{task}/{{task_id}}/stop", "jobs.stop", tasks.stop_task),
            ("POST", f"{task}/{{task_id}}/retry", "jobs.retry_tasks", tasks.retry_task),
            ("POST", f"{task}/{{task_id}}/confirm", "jobs.confirm", tasks.confirm_task),
            ("DELETE", f"{task}/{{task_id}}", "jobs.delete", tasks.delete_task),
            ("GET", "devices", "devices.search", devices.list_devices),
            ("GET", "devices/{device_id}", "devices.get", devices.show_device),
            ("POST", "search/query-devices", "devices.query", devices.search_devices),
        )
