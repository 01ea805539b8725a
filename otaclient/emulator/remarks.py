"""Why a task of the simulated fleet stands where it stands; each vendor says it in its own words."""

from typing import Final

import attrs

__all__ = [
    "CANCELLED_BY_USER",
    "CONFLICT",
    "CONNECTION_LOST",
    "DOWNLOAD_FAILED",
    "FAILURES",
    "FINISHED",
    "IGNORED",
    "INTEGRITY_FAILED",
    "NO_REMARK",
    "OFFLINE",
    "OUT_OF_MEMORY",
    "REMARKS",
    "SAME_VERSION",
    "STORAGE_FULL",
    "TIMED_OUT",
    "UNSUITABLE_VERSION",
    "VERSION_UNREPORTED",
    "WRITING_FAILED",
    "Remark",
]


@attrs.frozen
class Remark:
    """Why a task stands where it stands."""

    name: str
    """By which a vendor finds its own words."""
    text: str
    """For a vendor that has none."""


NO_REMARK: Final = Remark("none", "")
FINISHED: Final = Remark("finished", "upgrade finished")
SAME_VERSION: Final = Remark("same_version", "the device has this version already")
CANCELLED_BY_USER: Final = Remark("cancelled", "cancelled by the user")
TIMED_OUT: Final = Remark("timed_out", "the device did not finish in time")
CONFLICT: Final = Remark("conflict", "another job is upgrading the device")
UNSUITABLE_VERSION: Final = Remark("unsuitable_version", "no firmware of the job fits the version of the device")

DOWNLOAD_FAILED: Final = Remark("download_failed", "download failed")
INTEGRITY_FAILED: Final = Remark("integrity_failed", "the digest of the downloaded file is wrong")
WRITING_FAILED: Final = Remark("writing_failed", "writing the firmware failed")
IGNORED: Final = Remark("ignored", "the device ignored the upgrade")
STORAGE_FULL: Final = Remark("storage_full", "not enough storage for the firmware")
OUT_OF_MEMORY: Final = Remark("out_of_memory", "out of memory while downloading")
CONNECTION_LOST: Final = Remark("connection_lost", "connection lost while downloading")
OFFLINE: Final = Remark("offline", "the device is not online")
VERSION_UNREPORTED: Final = Remark("version_unreported", "the device did not report its version")

FAILURES: Final = (
    DOWNLOAD_FAILED,
    INTEGRITY_FAILED,
    WRITING_FAILED,
    IGNORED,
    STORAGE_FULL,
    OUT_OF_MEMORY,
    CONNECTION_LOST,
    OFFLINE,
    VERSION_UNREPORTED,
)
"""What goes wrong on devices."""

REMARKS: Final = (
    NO_REMARK,
    FINISHED,
    SAME_VERSION,
    CANCELLED_BY_USER,
    TIMED_OUT,
    CONFLICT,
    UNSUITABLE_VERSION,
    *FAILURES,
)
"""What the bytes of ``JobRecord.remarks`` stand for in a new fleet; a plan with failures of its own adds to them."""
