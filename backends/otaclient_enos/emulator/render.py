"""Records of the simulated fleet as EnOS puts them on the wire.

Some rows deliberately use the freedom that the documentation leaves (a size as text, a product left out, names that are
null), so that a client that takes the samples for the whole truth fails here rather than in production.

Sources: EnOS Connection Service, "V2.1 Get Firmware File", "V2.1 Search Device Upgrade", "V2.1 Get OTA Job", "V2.1
Search OTA Job".
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from otaclient.emulator import DeviceTable, FirmwareRecord, JobRecord
from otaclient.models import JobKind, JobStatus

__all__ = [
    "SCHEDULE_OFFSET_MINUTES",
    "SCHEDULE_WINDOW_MS",
    "UNREPORTED_VERSION",
    "device_rows",
    "file_url",
    "firmware_info",
    "job_info",
    "job_status",
    "row_variety",
    "string_i18n",
    "unlisted_members",
]

# How a device that never reported a version is listed. Not documented: it could as well be left out.
UNREPORTED_VERSION: Final[str | None] = None

# EnOS jobs are started or stopped and nothing else: a job whose devices are all done is still started.
_STOPPED: Final = frozenset({JobStatus.STOPPED, JobStatus.STOPPING})

# The daily window of scheduled jobs.
SCHEDULE_WINDOW_MS: Final = 6 * 3_600_000
SCHEDULE_OFFSET_MINUTES: Final = 60

# Members of JobInfo that the sample of the get operation lacks.
_ONLY_IN_SEARCH: Final = ("firmwareVersion", "firmwareName", "upgradeTimeout")


def device_rows(table: DeviceTable, rows: Iterable[int], org_id: str) -> list[dict[str, Any]]:
    """Return the DeviceFirmware structs of these rows."""
    serial, key = table.serial, table.key
    products, product_ids = table.product_column, table.product_ids
    reported = table.firmware_version_column
    versions: list[str | None] = [UNREPORTED_VERSION] * 256
    versions[: len(table.firmware_versions)] = table.firmware_versions
    upgrading = table.upgrading_column
    return [
        {
            "orgId": org_id,
            "assetId": serial(row),
            "productKey": product_ids[products[row]],
            "deviceKey": key(row),
            "firmwareVersion": versions[reported[row]],
            "isUpgrading": upgrading[row] == 1,
        }
        for row in rows
    ]


def firmware_info(record: FirmwareRecord, org_id: str) -> dict[str, Any]:
    """Return the FirmwareInfo struct of a firmware."""
    if record.vendor is not None:
        return _created_firmware_info(record, record.vendor, org_id)
    variety = row_variety(record.firmware_id)
    uses_md5 = variety % 2 == 0
    info: dict[str, Any] = {
        "orgId": org_id,
        "firmwareId": record.firmware_id,
        "productKey": record.product_id,
        "name": string_i18n(record.name, record.translations),
        "version": record.version,
        "desc": record.description,
        "signMethod": "md5" if uses_md5 else "sha256",
        "sign": record.md5 if uses_md5 else record.sha256,
        "fileUrl": file_url(record),
        "fileSize": str(record.size_bytes) if variety % 4 == 3 else record.size_bytes,
        "isVerified": record.verified,
        "enableVerification": record.verification_required,
        "createTime": record.created_at_ms,
    }
    if not record.product_shown:
        # "For new firmware files, do not return product information": null in places, absent in others.
        if variety % 2:
            del info["productKey"]
        else:
            info["productKey"] = None
    if record.tags:
        info["firmwareTags"] = dict(record.tags)
    if record.verification_required:
        info["maxAllowedForVerification"] = record.max_verification_devices
        info["minSuccessForVerified"] = record.min_verified_successes
    return info


def _created_firmware_info(record: FirmwareRecord, given: Mapping[str, Any], org_id: str) -> dict[str, Any]:
    """The struct of a firmware that was created through the API: what was given, and nothing that was not."""
    info: dict[str, Any] = {
        "orgId": org_id,
        "firmwareId": record.firmware_id,
        "productKey": record.product_id or None,
        "name": string_i18n(record.name, record.translations),
        "version": record.version,
        "desc": record.description,
        "signMethod": given["signMethod"],
        "sign": given["sign"],
        "fileUrl": file_url(record),
        "fileSize": record.size_bytes,
        "isVerified": record.verified,
        "enableVerification": record.verification_required,
        "createTime": record.created_at_ms,
    }
    if record.tags:
        info["firmwareTags"] = dict(record.tags)
    for member in ("maxAllowedForVerification", "minSuccessForVerified"):
        if given[member] is not None:
            info[member] = given[member]
    return info


def file_url(record: FirmwareRecord) -> str:
    """Return the identifier under which the files service knows the firmware's bytes."""
    return f"enos-connect://{record.firmware_id[8:]}.{record.file_name.rpartition('.')[2]}"


def job_info(
    job: JobRecord, firmware: FirmwareRecord, table: DeviceTable, org_id: str, *, searched: bool
) -> dict[str, Any]:
    """Return the JobInfo struct of a job; the search operation shows more of it than the get operation."""
    if job.vendor is not None:
        return _created_job_info(job, job.vendor, firmware, org_id)
    verifies = job.kind is JobKind.VERIFICATION
    info: dict[str, Any] = {
        "orgId": org_id,
        "productKey": job.product_id,
        "jobId": job.job_id,
        # The name is optional when a verification job is created.
        "name": None if verifies else string_i18n(job.name, job.translations),
        "firmwareId": firmware.firmware_id,
        "firmwareVersion": firmware.version,
        "firmwareName": string_i18n(firmware.name, firmware.translations),
        "type": "verify" if verifies else "upgrade",
        "enableUpgradeRequest": None if verifies else job.device_may_request,
        "upgradePolicy": _upgrade_policy(job),
        "upgradeScope": _upgrade_scope(job, table),
        "upgradeTimeout": job.timeout_seconds,
        "startSchedule": None,
        "endSchedule": None,
        "status": job_status(job),
        "createTime": job.created_at_ms,
        **_optional_members(job),
    }
    if not firmware.product_shown:
        del info["productKey"]
    if not searched:
        for member in _ONLY_IN_SEARCH:
            del info[member]
    return info


def _created_job_info(
    job: JobRecord, given: Mapping[str, Any], firmware: FirmwareRecord, org_id: str
) -> dict[str, Any]:
    """The struct of a job that was created through the API: what was given, and the defaults of the service."""
    info: dict[str, Any] = {
        "orgId": org_id,
        "productKey": job.product_id or None,
        "jobId": job.job_id,
        "name": given["name"],
        "firmwareId": firmware.firmware_id,
        "firmwareVersion": firmware.version,
        "firmwareName": string_i18n(firmware.name, firmware.translations),
        "type": "verify" if given["verifies"] else "upgrade",
        "enableUpgradeRequest": given["device_may_request"],
        "upgradePolicy": given["policy"],
        "upgradeScope": given["scope"],
        "upgradeTimeout": given["timeout_seconds"],
        "startSchedule": None,
        "endSchedule": None,
        "status": job_status(job),
        "createTime": job.created_at_ms,
    }
    optional = {"retry": "retryPolicy", "schedule": "schedulePolicy", "max_concurrency": "maximumConcurrency"}
    return info | {member: given[name] for name, member in optional.items() if given[name] is not None}


def job_status(job: JobRecord) -> str:
    """Return the one of EnOS's two words for where the job stands."""
    return "stopped" if job.status in _STOPPED else "started"


def row_variety(identifier: str) -> int:
    """Return a number that decides which documented liberty the record with this identifier takes."""
    return int(identifier[-2:], 16)


def string_i18n(default: str, translations: Mapping[str, str]) -> dict[str, Any]:
    """Return the StringI18n struct of a name."""
    return {"defaultValue": default, "i18nValue": dict(translations)}


def unlisted_members(job: JobRecord) -> dict[str, Any]:
    """Return members that no table lists and only some versions of the service send."""
    return {"startAfterCreate": True} if row_variety(job.job_id) % 2 else {}


def _upgrade_policy(job: JobRecord) -> str | None:
    if job.incremental:
        return "incremental"
    # The vendor's samples show null even for upgrade jobs.
    return None if job.kind is JobKind.VERIFICATION or job.everything else "snapshot"


def _upgrade_scope(job: JobRecord, table: DeviceTable) -> dict[str, Any]:
    return {
        "type": "total" if job.everything else "partial",
        "versionNumbers": list(job.source_versions),
        "deviceKeys": None if job.everything else [table.key(row) for row in job.targets],
        "attributes": None,
        "tags": None,
        "assetTrees": None,
    }


def _optional_members(job: JobRecord) -> dict[str, Any]:
    """Members that the tables list and the samples lack, and those of ``unlisted_members``."""
    members: dict[str, Any] = {}
    if job.kind is JobKind.UPGRADE:
        members["maximumConcurrency"] = job.max_concurrency
        if job.retry_count:
            members["retryPolicy"] = {
                "enableRetry": True,
                "retryInterval": job.retry_interval_minutes,
                "retryCount": job.retry_count,
            }
    if job.scheduled_at_ms is not None:
        members["schedulePolicy"] = {
            "isRepeatDaily": True,
            "startTimestamp": job.scheduled_at_ms,
            "endTimestamp": job.scheduled_at_ms + SCHEDULE_WINDOW_MS,
            "timezoneOffsetInMinutes": SCHEDULE_OFFSET_MINUTES,
        }
    return members | unlisted_members(job)
