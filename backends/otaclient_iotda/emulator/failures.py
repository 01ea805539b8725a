"""Why a subtask stands where it stands, in the vendor's words.

Source: Huawei Cloud IoTDA FAQ, "What Are the Common Causes of Upgrade Failures"; API reference v5, "Error Codes".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otaclient.emulator.plan import JobPlan
from otaclient.emulator.remarks import (
    CONFLICT,
    CONNECTION_LOST,
    DOWNLOAD_FAILED,
    FAILURES,
    IGNORED,
    INTEGRITY_FAILED,
    OFFLINE,
    OUT_OF_MEMORY,
    SAME_VERSION,
    STORAGE_FULL,
    TIMED_OUT,
    UNSUITABLE_VERSION,
    VERSION_UNREPORTED,
    WRITING_FAILED,
    Remark,
)

__all__ = [
    "DEFAULT_PLAN",
    "DOCUMENTED_FAILURES",
    "INVALID_URI",
    "NEVER_ONLINE",
    "NO_CELL_ID",
    "UNSUPPORTED_PACKAGE",
    "failure_of",
    "output_of",
]

NEVER_ONLINE: Final = Remark("never_online", "Waiting for the device online timeout")
NO_CELL_ID: Final = Remark("no_cell_id", "Waiting for report cellId timeout")
UNSUPPORTED_PACKAGE: Final = Remark("unsupported_package", "Unsupported package type")
INVALID_URI: Final = Remark("invalid_uri", "Invalid URI")

DOCUMENTED_FAILURES: Final = (*FAILURES, NEVER_ONLINE, NO_CELL_ID, UNSUPPORTED_PACKAGE, INVALID_URI)
"""What a plan lets devices fail with, so that in time every text of the vendor is seen."""

DEFAULT_PLAN: Final = JobPlan(failures=DOCUMENTED_FAILURES)

_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        OFFLINE.name: "Device Abnormal is not online",
        CONFLICT.name: "Task Conflict",
        VERSION_UNREPORTED.name: "Waiting for report device firmware version timeout",
        IGNORED.name: "Wait for the device to report upgrade result timeout",
        TIMED_OUT.name: "Updating timeout and query device version for check timeout",
        DOWNLOAD_FAILED.name: "Waiting for device downloaded package timeout",
        INTEGRITY_FAILED.name: "Integrity check failure for new downloaded package",
        STORAGE_FULL.name: "Not enough storage for the new firmware package",
        OUT_OF_MEMORY.name: "Out of memory during downloading process",
        CONNECTION_LOST.name: "Connection lost during downloading process",
        WRITING_FAILED.name: "Firmware update failed",
        # The vendor has an error for this, of which neither the wording nor the number is known: our choice.
        UNSUITABLE_VERSION.name: "The current version cannot be upgraded to the target version",
    }
)
# Of the family of upgrade failures only these two numbers are known, and not which text belongs to which.
_CODE: Final = "IOTDA.005009"
_CODES: Final[Mapping[str, str]] = MappingProxyType({UNSUITABLE_VERSION.name: "IOTDA.005005"})

_SAME_VERSION_TEXT: Final = "The current version is the same as the target version"


def failure_of(remark: Remark) -> dict[str, str]:
    """Return the error of a subtask that failed, or waits to be tried again."""
    return {"error_code": _CODES.get(remark.name, _CODE), "error_msg": _TEXTS.get(remark.name, remark.text)}


def output_of(remark: Remark) -> str:
    """Return the free text of a subtask that has something to say without having failed, else the empty text."""
    return _SAME_VERSION_TEXT if remark == SAME_VERSION else ""
