"""Builders of the requests that change something. The session repeats none of them after an unclear answer.

Sources: Huawei Cloud IoTDA API reference, "Create an OTA Upgrade Package", "Delete an OTA Upgrade Package", "Create an
OTA Module", "Update an OTA Module", "Delete an OTA Module", "Create a Batch Task", "Stop a Batch Task", "Retry a Batch
Task", "Confirm a Batch Task", "Delete a Batch Task".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from otaclient.counted import counted
from otaclient.errors import InvalidQueryError
from otaclient.fingerprint import how_to_check, unmarked
from otaclient.models import FirmwareKind
from otaclient.structuring import encode_json
from otaclient.transport.http import HttpRequest
from otaclient_iotda import checks
from otaclient_iotda.mapping import TASK_TYPE
from otaclient_iotda.requests import project_path

__all__ = [
    "Deed",
    "act_on_task",
    "create_module",
    "create_package",
    "create_task",
    "delete_module",
    "delete_package",
    "delete_task",
    "update_module",
]

LONGEST_ALIAS: Final = 64
LONGEST_DESCRIPTION: Final = 1024

Deed: TypeAlias = Literal["stop", "retry", "confirm"]
"""What one can do to a batch task, in the vendor's words."""

_DEEDS: Final[Mapping[Deed, str]] = {"stop": "the stop of", "retry": "the retry of", "confirm": "the confirmation of"}


# --- packages --------------------------------------------------------------------------------------------------------


def create_package(project_id: str, fields: Mapping[str, Any]) -> HttpRequest:
    """Build ``POST /v5/iot/{project_id}/ota-upgrades/packages`` from checked fields."""
    return HttpRequest(
        operation="firmware.create",
        method="POST",
        path=project_path(project_id, "ota-upgrades/packages"),
        body=encode_json(fields),
        idempotent=False,
        subject=f"the firmware of version {fields['version']!r}",
        how_to_check="look for its product and version with firmware.search before you create it again",
    )


def delete_package(project_id: str, package_id: str) -> HttpRequest:
    """Build ``DELETE /v5/iot/{project_id}/ota-upgrades/packages/{package_id}``.

    Raises:
        InvalidQueryError: The identifier cannot be one.
    """
    checks.PACKAGE_ID.check(package_id, "firmware_id")
    return HttpRequest(
        operation="firmware.delete",
        method="DELETE",
        path=project_path(project_id, f"ota-upgrades/packages/{package_id}"),
        idempotent=False,
        subject=f"the deletion of firmware {package_id!r}",
        how_to_check="firmware.get finds it as long as it is there",
    )


# --- modules ---------------------------------------------------------------------------------------------------------


def create_module(project_id: str, *, app_id: str | None, product_id: str, name: str, **texts: Any) -> HttpRequest:
    """Build ``POST /v5/iot/{project_id}/ota-upgrades/modules``.

    Raises:
        InvalidQueryError: The resource space is missing, or a value is wrong.
    """
    if app_id is None:
        raise InvalidQueryError(
            "the resource space is missing, without which IoTDA creates no module: set app_id of the configuration, "
            "or use with_options(owner_id=...)"
        )
    fields = {
        "app_id": app_id,
        "product_id": checks.PRODUCT_ID.check(product_id, "product_id"),
        "module_name": checks.MODULE_NAME.check(name, "name"),
        **_module_fields(**texts),
    }
    return HttpRequest(
        operation="modules.create",
        method="POST",
        path=project_path(project_id, "ota-upgrades/modules"),
        body=encode_json(fields),
        idempotent=False,
        subject=f"the module {name!r}",
        how_to_check="look for its product and name with modules.search before you create it again",
    )


def update_module(project_id: str, module_id: str, **texts: Any) -> HttpRequest:
    """Build ``PUT /v5/iot/{project_id}/ota-upgrades/modules/{module_id}``.

    Raises:
        InvalidQueryError: The identifier cannot be one, nothing is to be changed, or a text is too long.
    """
    checks.MODULE_ID.check(module_id, "module_id")
    fields = _module_fields(**texts)
    if not fields:
        raise InvalidQueryError("neither alias nor description is given: give what is to be changed")
    return HttpRequest(
        operation="modules.update",
        method="PUT",
        path=project_path(project_id, f"ota-upgrades/modules/{module_id}"),
        body=encode_json(fields),
        idempotent=False,
        subject=f"the change of module {module_id!r}",
        how_to_check="modules.get shows its texts",
    )


def delete_module(project_id: str, module_id: str) -> HttpRequest:
    """Build ``DELETE /v5/iot/{project_id}/ota-upgrades/modules/{module_id}``.

    Raises:
        InvalidQueryError: The identifier cannot be one.
    """
    checks.MODULE_ID.check(module_id, "module_id")
    return HttpRequest(
        operation="modules.delete",
        method="DELETE",
        path=project_path(project_id, f"ota-upgrades/modules/{module_id}"),
        idempotent=False,
        subject=f"the deletion of module {module_id!r}",
        how_to_check="modules.get finds it as long as it is there",
    )


def _module_fields(*, alias: str | None = None, description: str | None = None) -> dict[str, str]:
    fields: dict[str, str] = {}
    if alias is not None:
        fields["alias_name"] = checks.checked_prose(alias, name="alias", longest=LONGEST_ALIAS)
    if description is not None:
        fields["description"] = checks.checked_prose(description, name="description", longest=LONGEST_DESCRIPTION)
    return fields


# --- batch tasks -----------------------------------------------------------------------------------------------------


def create_task(
    project_id: str, fields: Mapping[str, Any], kind: FirmwareKind, fingerprint: str | None = None
) -> HttpRequest:
    """Build ``POST /v5/iot/{project_id}/batchtasks`` from checked fields, for packages of one kind.

    Args:
        project_id: The project.
        fields: The body, but for its type.
        kind: What the packages are.
        fingerprint: What the name in the fields ends with, beyond the user's own words.
    """
    return HttpRequest(
        operation="jobs.create",
        method="POST",
        path=project_path(project_id, "batchtasks"),
        body=encode_json({**fields, "task_type": TASK_TYPE[kind]}),
        idempotent=False,
        subject=f"the job {unmarked(fields['task_name'])[0]!r}",
        how_to_check=how_to_check(fingerprint),
    )


def act_on_task(
    project_id: str, deed: Deed, task_id: str, targets: Sequence[str] | None, *, operation: str
) -> HttpRequest:
    """Build ``POST /v5/iot/{project_id}/batchtasks/{task_id}/stop``, ``retry`` or ``confirm``.

    Args:
        project_id: The project.
        deed: Which of them.
        task_id: The task.
        targets: The devices, at least one; ``None`` for all of the task.
        operation: The public operation.

    Raises:
        InvalidQueryError: The identifier cannot be one, or there is no device in the list.
    """
    checks.TASK_ID.check(task_id, "job_id")
    if targets is not None and not targets:
        raise InvalidQueryError("devices is an empty list, which for IoTDA means all: name at least one device")
    whom = "" if targets is None else f"{counted(len(targets), 'device')} of "
    return HttpRequest(
        operation=operation,
        method="POST",
        path=project_path(project_id, f"batchtasks/{task_id}/{deed}"),
        body=encode_json({} if targets is None else {"targets": list(targets)}),
        idempotent=False,
        subject=f"{_DEEDS[deed]} {whom}job {task_id!r}",
        how_to_check="jobs.get shows where it stands, jobs.tasks where each device does",
    )


def delete_task(project_id: str, task_id: str) -> HttpRequest:
    """Build ``DELETE /v5/iot/{project_id}/batchtasks/{task_id}``.

    Raises:
        InvalidQueryError: The identifier cannot be one.
    """
    checks.TASK_ID.check(task_id, "job_id")
    return HttpRequest(
        operation="jobs.delete",
        method="DELETE",
        path=project_path(project_id, f"batchtasks/{task_id}"),
        idempotent=False,
        subject=f"the deletion of job {task_id!r}",
        how_to_check="jobs.get finds it as long as it is there",
    )
