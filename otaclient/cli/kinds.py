"""How each kind of record is shown in a table."""

from otaclient.cli.listing import Kind
from otaclient.cli.output import Column
from otaclient.models import DeviceTask, DeviceUpgrade, DownloadedFirmware, Firmware, Job

__all__ = ["DEVICES", "DOWNLOADS", "FIRMWARE", "JOBS", "TASKS"]

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
)

JOBS = Kind(
    model=Job,
    noun="jobs",
    columns=(
        Column("job id", "job_id"),
        Column("name", "name", flexible=True),
        Column("status", "status"),
        Column("product", "product_id"),
        Column("version", "firmware_version"),
        Column("devices", "progress.total", right=True),
        Column("succeeded", "progress.succeeded", right=True),
        Column("kind", "kind"),
        Column("created", "created_at"),
    ),
)

DEVICES = Kind(
    model=DeviceUpgrade,
    noun="devices",
    columns=(
        Column("device id", "device_id"),
        Column("key", "device_key"),
        Column("product", "product_id"),
        Column("version", "firmware_version"),
        Column("upgrading", "upgrading"),
        Column("connection", "connection"),
    ),
)

TASKS = Kind(
    model=DeviceTask,
    noun="device tasks",
    columns=(
        Column("device id", "device_id"),
        Column("key", "device_key"),
        Column("status", "status"),
        Column("from", "from_version"),
        Column("to", "to_version"),
        Column("%", "progress_percent", right=True),
        Column("failure", "failure.message", flexible=True),
        Column("updated", "updated_at"),
    ),
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
