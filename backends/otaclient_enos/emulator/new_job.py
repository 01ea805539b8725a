"""The definition of a job that is to be created: what the service reads in it, and what it refuses.

The tables of UpgradeScope, RetryPolicy and SchedulePolicy could not be had; names and shapes are those of the vendor's
samples, and limits that no page names are left wide.

Sources: EnOS Connection Service, "V2.1 Create OTA Job", "V2.1 Get OTA Job".
"""

from typing import Any, Final

import attrs

from otaclient.emulator import DeviceTable, FirmwareRecord, JobEngine, JobOrder
from otaclient.models import FirmwareKind, JobKind
from otaclient_enos.emulator.members import Members
from otaclient_enos.emulator.requests import INVALID_ARGUMENT, RefusalError, json_object

__all__ = ["DEFAULT_CONCURRENCY", "DEFAULT_TIMEOUT_SECONDS", "JobDefinition", "job_definition"]

DEFAULT_TIMEOUT_SECONDS: Final = 7_200
_TIMEOUTS: Final = (300, 172_800)
DEFAULT_CONCURRENCY: Final = 300

# No page says what the service does about these; refusing is this emulator's convention.
_UNKNOWN_DEVICES_REFUSED: Final = True
_UNVERIFIED_FIRMWARE_CODE: Final = INVALID_ARGUMENT

_WIDE: Final = 2**31 - 1
_MOST_RETRIES: Final = 60_000
"""Of those that are asked for, how many are made: more than any device ever needs."""
_LATEST_MS: Final = 253_402_300_799_999  # the end of the year 9999
_MOST_OFFSET_MINUTES: Final = 24 * 60
_SCHEDULE_NUMBERS: Final = {
    "startTimestamp": (0, _LATEST_MS),
    "endTimestamp": (0, _LATEST_MS),
    "timezoneOffsetInMinutes": (-_MOST_OFFSET_MINUTES, _MOST_OFFSET_MINUTES),
}


@attrs.frozen(kw_only=True)
class JobDefinition:
    """A definition that was read, in the words and the shapes in which the service gives it back."""

    verifies: bool
    name: dict[str, Any] | None
    scope: dict[str, Any]
    policy: str | None
    device_may_request: bool | None
    timeout_seconds: int
    max_concurrency: int | None
    retry: dict[str, Any] | None
    schedule: dict[str, Any] | None

    def order(self, firmware: FirmwareRecord, *, engine: JobEngine, started: bool) -> JobOrder:
        """Return what the engine creates the job from.

        Raises:
            RefusalError: The devices or the firmware are not what the definition may name.
        """
        table = engine.fleet.devices
        named = self._named_rows(firmware, table)
        versions = tuple(self.scope["versionNumbers"])
        products = [firmware.product_id] if firmware.product_id else []
        rows = engine.eligible(products, versions, FirmwareKind.FIRMWARE)
        if named is not None:
            reached = frozenset(rows) if versions else None
            chosen = [row for row in named if reached is None or row in reached]
        else:
            chosen = list(rows)
        if self._filters_by_what_no_device_has():
            chosen = []
        self._check_firmware(firmware, chosen)
        retry, schedule = self.retry or {}, self.schedule or {}
        start, end = schedule.get("startTimestamp"), schedule.get("endTimestamp")
        return JobOrder(
            name="" if self.name is None else self.name["defaultValue"],
            translations={} if self.name is None else self.name["i18nValue"],
            kind=JobKind.VERIFICATION if self.verifies else JobKind.UPGRADE,
            firmware_ids=(firmware.firmware_id,),
            targets=chosen,
            source_versions=versions,
            everything=self.scope["type"] == "total",
            timeout_seconds=self.timeout_seconds,
            max_concurrency=self.max_concurrency or DEFAULT_CONCURRENCY,
            retry_count=min(retry.get("retryCount", 0), _MOST_RETRIES) if retry.get("enableRetry") else 0,
            retry_interval_minutes=retry.get("retryInterval", 0),
            incremental=self.policy == "incremental",
            joining=frozenset()
            if self._filters_by_what_no_device_has()
            else None
            if named is None
            else frozenset(named),
            device_may_request=self.device_may_request is True,
            scheduled_at_ms=start if start is not None or end is None else engine.now_ms,
            window_ends_at_ms=end,
            repeats_daily=schedule.get("isRepeatDaily") is True,
            started=started,
            vendor=attrs.asdict(self, recurse=False),
        )

    def _named_rows(self, firmware: FirmwareRecord, table: DeviceTable) -> list[int] | None:
        """The rows of the devices that the scope names, each once; ``None`` where it names none."""
        keys: list[str] | None = self.scope["deviceKeys"]
        if keys is None:
            return None
        rows = [table.row_of_key(key, firmware.product_id or None) for key in keys]
        if _UNKNOWN_DEVICES_REFUSED and None in rows:
            unknown = keys[rows.index(None)]
            raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument upgradeScope.deviceKeys: no device {unknown}")
        return list(dict.fromkeys(row for row in rows if row is not None))

    def _filters_by_what_no_device_has(self) -> bool:
        # The simulated devices carry neither attributes nor tags, and stand in no asset tree.
        return any(self.scope[name] for name in ("attributes", "tags", "assetTrees"))

    def _check_firmware(self, firmware: FirmwareRecord, rows: list[int]) -> None:
        if firmware.version in self.scope["versionNumbers"]:
            raise RefusalError(
                INVALID_ARGUMENT,
                f"Invalid Argument upgradeScope.versionNumbers: {firmware.version} is the version of the firmware",
            )
        if self.verifies:
            most = firmware.max_verification_devices
            if 0 < most < len(rows):
                raise RefusalError(
                    INVALID_ARGUMENT, f"Invalid Argument upgradeScope: {len(rows)} devices are more than {most}"
                )
        elif firmware.verification_required and not firmware.verified:
            raise RefusalError(
                _UNVERIFIED_FIRMWARE_CODE, "Invalid Argument firmwareId: the firmware has not been verified"
            )


def job_definition(body: bytes) -> JobDefinition:
    """Return what the body of a request defines.

    What a verification job has no use for (policy, retries, schedule, concurrency) is not looked at: the page lists
    none of it, and the vendor's samples send some.

    Raises:
        RefusalError: A member is missing or not as documented.
    """
    members = Members(json_object(body))
    verifies = members.choice("type", ("upgrade", "verify")) == "verify"
    members.must("upgradeScope")
    least, most = _TIMEOUTS
    timeout = members.number("upgradeTimeout", least=least, most=most)
    if not verifies:
        members.must("enableUpgradeRequest")
    return JobDefinition(
        verifies=verifies,
        name=members.name("name"),
        scope=_scope(members, partial_only=verifies),
        policy=None if verifies else members.choice("upgradePolicy", ("snapshot", "incremental")),
        device_may_request=None if verifies else members.flag("enableUpgradeRequest"),
        timeout_seconds=DEFAULT_TIMEOUT_SECONDS if timeout is None else timeout,
        max_concurrency=None
        if verifies
        else members.number("maximumConcurrency", least=1, most=_WIDE) or DEFAULT_CONCURRENCY,
        retry=None if verifies else _retry(members),
        schedule=None if verifies else _schedule(members),
    )


def _scope(members: Members, *, partial_only: bool) -> dict[str, Any]:
    scope = members.inner("upgradeScope")
    assert scope is not None  # it has been looked for
    kind = scope.choice("type", ("partial",) if partial_only else ("total", "partial"))
    read = {
        "type": kind,
        "versionNumbers": scope.texts("versionNumbers") or [],
        "deviceKeys": scope.texts("deviceKeys") or None,
        "attributes": scope.mapping("attributes", list) or None,
        "tags": scope.mapping("tags", list) or None,
        "assetTrees": scope.objects("assetTrees") or None,
    }
    if kind == "partial" and not any(value for name, value in read.items() if name != "type"):
        scope.refuse("type", "partial needs something to select devices by")
    return read


def _retry(members: Members) -> dict[str, Any] | None:
    policy = members.inner("retryPolicy")
    if policy is None:
        return None
    policy.must("enableRetry")
    read: dict[str, Any] = {"enableRetry": policy.flag("enableRetry")}
    for name in ("retryInterval", "retryCount"):
        value = policy.number(name, least=0, most=_WIDE)
        if value is not None:
            read[name] = value
    return read


def _schedule(members: Members) -> dict[str, Any] | None:
    policy = members.inner("schedulePolicy")
    if policy is None:
        return None
    read: dict[str, Any] = {}
    repeats = policy.flag("isRepeatDaily")
    if repeats is not None:
        read["isRepeatDaily"] = repeats
    for name, (least, most) in _SCHEDULE_NUMBERS.items():
        value = policy.number(name, least=least, most=most)
        if value is not None:
            read[name] = value
    if read.get("endTimestamp", _LATEST_MS + 1) <= read.get("startTimestamp", 0):
        policy.refuse("endTimestamp", "it is not after startTimestamp")
    return read
