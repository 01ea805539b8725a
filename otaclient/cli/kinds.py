"""How each kind of record is shown in a table."""

from enum import StrEnum
from typing import Final

from otaclient.cli.listing import Kind
from otaclient.cli.screen import Tone
from otaclient.cli.table import Column
from otaclient.models import DeviceTask, DeviceUpgrade, DownloadedFirmware, Firmware, Job

__all__ = ["DEVICES", "DOWNLOADS", "FIRMWARE", "JOBS", "TASKS"]

_STATUS: Final = {
    "succeeded": Tone.GOOD,
    "failed": Tone.BAD,
    **dict.fromkeys(("partially_succeeded", "stopped", "stopping", "cancelled", "removed"), Tone.DOUBTFUL),
    **dict.fromkeys(("running", "upgrading", "retrying", "published"), Tone.BUSY),
}
_CONNECTION: Final = {"online": Tone.GOOD, "abnormal": Tone.BAD}


def _words(status: StrEnum) -> str:
    return status.value.replace("_", " ")


def _verified(firmware: Firmware) -> str | None:
    verified = None if firmware.verification is None else firmware.verification.verified
    return None if verified is None else "verified" if verified else "not verified"


def _upgrading(device: DeviceUpgrade) -> str | None:
    return None if device.upgrading is None else "upgrading" if device.upgrading else "not upgrading"


FIRMWARE = Kind(
    model=Firmware,
    noun="firmware",
    columns=(
        Column("firmware id", "firmware_id"),
        Column("version", "version"),
        Column("product", "product_id"),
        Column("name", "name", flexible=True),
        Column("kind", "kind"),
        Column("bytes", "size_bytes", right=True),
        Column("verified", "verification.verified"),
        Column("created", "created_at"),
    ),
    state=_verified,
)

JOBS = Kind(
    model=Job,
    noun="jobs",
    columns=(
        Column("job id", "job_id"),
        Column("name", "name", flexible=True),
        Column("status", "status", tones=_STATUS),
        Column("product", "product_id"),
        Column("version", "firmware_version"),
        Column("devices", "progress.total", right=True),
        Column("succeeded", "progress.succeeded", right=True),
        Column("kind", "kind"),
        Column("created", "created_at"),
    ),
    state=lambda job: _words(job.status),
)

DEVICES = Kind(
    model=DeviceUpgrade,
    noun="devices",
    columns=(
        Column("device id", "device_id"),
        Column("key", "device_key"),
        Column("product", "product_id"),
        Column("version", "firmware_version"),
        Column("upgrading", "upgrading", tones={"yes": Tone.BUSY}),
        Column("connection", "connection", tones=_CONNECTION),
    ),
    state=_upgrading,
)

TASKS = Kind(
    model=DeviceTask,
    noun="device tasks",
    columns=(
        Column("device id", "device_id"),
        Column("key", "device_key"),
        Column("status", "status", tones=_STATUS),
        Column("from", "from_version"),
        Column("to", "to_version"),
        Column("%", "progress_percent", right=True),
        Column("failure", "failure.message", flexible=True),
        Column("updated", "updated_at"),
    ),
    state=lambda task: _words(task.status),
)

DOWNLOADS = Kind(
    model=DownloadedFirmware,
    noun="files",
    columns=(
        Column("path", "path"),
        Column("bytes", "size_bytes", right=True),
        Column("sha256", "sha256"),
        Column("verified", "verified"),
    ),
)
