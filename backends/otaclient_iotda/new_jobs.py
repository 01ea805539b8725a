"""What to create a batch task from, checked and as the wire has it. Pure functions.

Sources: Huawei Cloud IoTDA API reference, "Create a Batch Task"; IoTDA best practices, "Performing OTA Firmware
Upgrades" (several packages for one task).
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from otaclient.checks import check_job_parts, checked_count, checked_flag
from otaclient.errors import InvalidQueryError
from otaclient.fingerprint import SUFFIX_LENGTH, check_unmarked, marked
from otaclient.models import (
    Firmware,
    FirmwareKind,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    LocalizedText,
    NewJob,
    RetrySchedule,
)
from otaclient.structuring import encode_json
from otaclient_iotda import checks
from otaclient_iotda.mapping import TASK_TYPE
from otaclient_iotda.requests import wire_time

__all__ = ["check_firmware_kind", "job_fields", "kind_of"]

LONGEST_NAME: Final = 128
MOST_PACKAGES: Final = 10
MOST_TARGETS: Final = 30_000
MOST_RETRIES: Final = 5
LONGEST_RETRY_INTERVAL_MINUTES: Final = 1440
# The vendor names the largest numbers of the retries only.
LEAST_RETRIES: Final = 0
LATEST_START: Final = timedelta(days=7)
LONGEST_EXTRA_INFO: Final = 512

# "Chinese characters, letters, digits and underscores". Letters of other scripts are not named, and so not taken.
_NOT_FOR_NAMES: Final = re.compile(r"[^A-Za-z0-9_\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")


def job_fields(
    job: NewJob,
    *,
    app_id: str | None,
    now: datetime,
    fingerprint: str | None = None,
    firmware_kind: FirmwareKind | None = None,
    gateway_mode: bool = False,
    extra_info: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the body of the request that creates a batch task, but for its type.

    Args:
        job: What to create it from.
        app_id: The resource space; ``None`` for the vendor's default one.
        now: The present, from which a start may be at most seven days away.
        fingerprint: What the name is to end with, beyond the user's own words.
        firmware_kind: What the packages are, where the caller says.
        gateway_mode: Whether gateways upgrade the devices behind them.
        extra_info: What is handed to the devices with the upgrade notice.

    Raises:
        InvalidQueryError: IoTDA cannot do that; names the field, the rule and the remedy.
    """
    check_job_parts(job)
    if job.kind != JobKind.UPGRADE:
        raise InvalidQueryError(f"kind is {str(job.kind)!r}: IoTDA only knows jobs of the kind {JobKind.UPGRADE}")
    package_ids = checks.checked_list(job.firmware_ids, checks.PACKAGE_ID, name="firmware_ids", most=MOST_PACKAGES)
    if not package_ids:
        raise InvalidQueryError("firmware_ids is empty: name at least one package")
    fields: dict[str, Any] = {
        "task_name": _name(job.name, fingerprint),
        **_scope(job.scope),
        "document": {"package_ids": package_ids},
        **_policy(job.policy, now),
        **_hold(job),
    }
    if app_id is not None:
        fields["app_id"] = app_id
    if checked_flag(gateway_mode, name="gateway_mode"):
        fields["task_mode"] = "GATEWAY"
    if extra_info is not None:
        fields["task_ext_info"] = _extra_info(extra_info)
    if firmware_kind is not None:
        check_firmware_kind(firmware_kind, gateway_mode=gateway_mode)
    return fields


def check_firmware_kind(kind: Any, *, gateway_mode: bool) -> None:
    """Refuse a kind of firmware that no batch task installs, or not in this way.

    Raises:
        InvalidQueryError: It is one.
    """
    if not isinstance(kind, str) or kind not in TASK_TYPE:
        raise InvalidQueryError(f"firmware_kind is {kind!r}: give one of {', '.join(TASK_TYPE)}")
    if gateway_mode and kind == FirmwareKind.MODULE:
        raise InvalidQueryError("gateway_mode is set, but gateways upgrade no modules: leave it out")


def kind_of(packages: Sequence[Firmware]) -> FirmwareKind:
    """Return what some packages are that one job is to install.

    Raises:
        InvalidQueryError: They are of several kinds or of an unknown one, or two of them suit the same source version.
    """
    kinds = dict.fromkeys(package.kind for package in packages)
    if len(kinds) > 1 or FirmwareKind.UNKNOWN in kinds:
        listed = ", ".join(f"{package.firmware_id} is {package.vendor_kind or package.kind}" for package in packages)
        raise InvalidQueryError(f"firmware_ids holds packages that one job cannot install together: {listed}")
    by_version: dict[str, Firmware] = {}
    for package in packages:
        if len(packages) > 1 and not package.source_versions:
            raise InvalidQueryError(
                f"firmware_ids holds several packages, of which {package.firmware_id} suits every source version: "
                "several packages of one job must not overlap"
            )
        for version in package.source_versions:
            other = by_version.setdefault(version, package)
            if other is not package:
                raise InvalidQueryError(
                    f"firmware_ids holds {other.firmware_id} and {package.firmware_id}, which both suit the source "
                    f"version {version!r}: several packages of one job must not overlap"
                )
    return next(iter(kinds))


def _name(name: Any, fingerprint: str | None) -> str:
    if not isinstance(name, LocalizedText):
        raise InvalidQueryError(f"name is {name!r}: give LocalizedText(default=...)", names=("name",))
    if name.translations:
        raise InvalidQueryError("name has translations, but IoTDA stores one text: leave them out")
    text = checks.checked_prose(name.default, name="name", longest=LONGEST_NAME)
    check_unmarked(text)
    if fingerprint is not None and len(text) > LONGEST_NAME - SUFFIX_LENGTH:
        raise InvalidQueryError(
            f"name is {len(text)} characters long: IoTDA takes {LONGEST_NAME}, of which the fingerprint takes "
            f"{SUFFIX_LENGTH}; give at most {LONGEST_NAME - SUFFIX_LENGTH}, or set fingerprint to False"
        )
    if not text:
        raise InvalidQueryError(f"name is empty: IoTDA takes 1 to {LONGEST_NAME} characters")
    if wrong := dict.fromkeys(_NOT_FOR_NAMES.findall(text)):
        raise InvalidQueryError(
            f"name is {text!r} with {', '.join(map(repr, wrong))}: IoTDA takes Chinese characters, letters, digits "
            "and '_'"
        )
    return marked(text, fingerprint)


def _hold(job: NewJob) -> dict[str, bool]:
    hold, policy_hold = checked_flag(job.hold, name="hold"), job.policy.hold
    if policy_hold is None:
        return {"need_confirm": True} if hold else {}
    if hold and not checked_flag(policy_hold, name="policy.hold"):
        raise InvalidQueryError("hold is set, but policy.hold says False: leave one of them out")
    return {"need_confirm": checked_flag(policy_hold, name="policy.hold")}


def _extra_info(info: Any) -> Mapping[str, Any]:
    if not isinstance(info, Mapping):
        raise InvalidQueryError(f"extra_info is {info!r}: give a mapping")
    fields: dict[str, Any] = dict(info)  # pyright: ignore[reportUnknownArgumentType]
    try:
        encoded = encode_json(fields)
        # What is no finite number, that writes as null.
        json.dumps(msgspec.to_builtins(fields), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidQueryError(f"extra_info is {info!r}: give what JSON can hold ({error})") from error
    if (length := len(encoded.decode())) > LONGEST_EXTRA_INFO:
        raise InvalidQueryError(f"extra_info has {length} characters as JSON: IoTDA takes at most {LONGEST_EXTRA_INFO}")
    return fields


# --- scope -----------------------------------------------------------------------------------------------------------


def _scope(scope: JobScope) -> dict[str, Any]:
    for name, remedy in (
        ("source_versions", "the packages themselves say which versions they suit"),
        ("tags", "use groups"),
        ("attributes", "use groups"),
        ("asset_trees", "use groups"),
        ("everything", "name the devices, or a group of them"),
    ):
        if getattr(scope, name):
            raise InvalidQueryError(f"scope.{name} is given, but IoTDA has no such scope: leave it out; {remedy}")
    devices = checks.checked_list(scope.devices, checks.DEVICE_ID, name="scope.devices", most=MOST_TARGETS)
    groups = checks.checked_list(scope.groups, checks.GROUP_ID, name="scope.groups")
    if devices and groups:
        raise InvalidQueryError("scope.devices and scope.groups are given, but IoTDA takes one of them: leave one out")
    if not devices and not groups:
        raise InvalidQueryError("the job reaches no device: give scope.devices or scope.groups")
    return {"targets": devices} if devices else {"targets_filter": {"group_ids": groups}}


# --- policy ----------------------------------------------------------------------------------------------------------


def _policy(policy: JobPolicy, now: datetime) -> dict[str, Any]:
    for name in ("mode", "timeout_seconds", "max_concurrency", "device_may_request"):
        if getattr(policy, name) is not None:
            raise InvalidQueryError(f"policy.{name} is given, but IoTDA has no such setting: leave it out")
    fields: dict[str, Any] = {}
    if policy.schedule is not None:
        fields["schedule_time"] = _start(policy.schedule, now)
    if policy.retry is not None:
        fields |= _retry(policy.retry)
    return {"task_policy": fields} if fields else {}


def _retry(retry: RetrySchedule) -> dict[str, int]:
    if not checked_flag(retry.enabled, name="policy.retry.enabled"):
        raise InvalidQueryError("policy.retry.enabled is False: IoTDA has no such switch; leave policy.retry out")
    if retry.interval_minutes is None:
        raise InvalidQueryError("policy.retry.interval_minutes is missing: IoTDA wants it together with the count")
    return {
        "retry_count": checked_count(retry.count, name="policy.retry.count", least=LEAST_RETRIES, most=MOST_RETRIES),
        "retry_interval": checked_count(
            retry.interval_minutes,
            name="policy.retry.interval_minutes",
            least=0,
            most=LONGEST_RETRY_INTERVAL_MINUTES,
        ),
    }


def _start(schedule: JobSchedule, now: datetime) -> str:
    for name in ("end_at", "repeats_daily", "utc_offset_minutes"):
        if getattr(schedule, name) is not None:
            raise InvalidQueryError(f"policy.schedule.{name} is given, but IoTDA only knows a start: leave it out")
    start: Any = schedule.start_at
    if start is None:
        raise InvalidQueryError("policy.schedule says nothing: leave it out, and the job starts at once")
    if not isinstance(start, datetime) or start.tzinfo is None:
        raise InvalidQueryError(f"policy.schedule.start_at is {start!r}: give a datetime with a time zone")
    if start.microsecond:
        raise InvalidQueryError(
            f"policy.schedule.start_at is {start.isoformat()}: IoTDA knows whole seconds; use .replace(microsecond=0)"
        )
    # What the vendor makes of a start in the past it does not say, so that is left to it.
    if start > now + LATEST_START:
        raise InvalidQueryError(
            f"policy.schedule.start_at is {start.isoformat()}: IoTDA takes a start within {LATEST_START.days} days"
        )
    return wire_time(start.astimezone(now.tzinfo))
