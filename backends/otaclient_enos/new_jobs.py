"""What to create a job from, checked and as the wire has it. Pure functions.

No table of the scope, the retries and the schedule is published: their names are those of the vendor's answers and
samples.

Source: EnOS Connection Service, "V2.1 Create OTA Job".
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, Final

from otaclient.checks import check_job_parts, checked_count, checked_flag
from otaclient.errors import InvalidQueryError, UnsupportedOperationError
from otaclient.fingerprint import check_unmarked, marked
from otaclient.models import JobKind, JobPolicy, JobSchedule, JobScope, NewJob, PolicyMode, RetrySchedule
from otaclient_enos.checks import LARGEST_INTEGER, checked_text, name_fields
from otaclient_enos.mapping import JOB_KIND_WORDS, PARTIAL_SCOPE, POLICY_MODE_WORDS, WHOLE_SCOPE
from otaclient_enos.signing import epoch_ms

__all__ = ["check_target_version", "job_fields"]

SHORTEST_TIMEOUT_SECONDS: Final = 300
LONGEST_TIMEOUT_SECONDS: Final = 172_800
# Both are mandatory on the wire. A job's devices are fixed when it is created, and no device asks, unless one says so.
DEFAULT_MODE: Final = PolicyMode.SNAPSHOT
DEFAULT_DEVICE_MAY_REQUEST: Final = False
# The vendor's sample spells it like this; whether the wire has "includedNodes" instead is not known.
TREE_ID: Final = "treeId"
TREE_NODES: Final = "includedNotes"
# From the date line eastwards to the other side of it.
_UTC_OFFSETS: Final = (-12 * 60, 14 * 60)

_NEEDS_A_SCOPE: Final = "give scope.devices, tags, attributes or asset_trees, or set scope.everything"


def job_fields(job: NewJob, fingerprint: str | None = None) -> dict[str, Any]:
    """Return the body of the request that creates a job; its firmware goes into the query.

    Args:
        job: What to create it from.
        fingerprint: What its name is to end with, beyond the user's own words.

    Raises:
        InvalidQueryError: EnOS cannot do that; names the field, the rule and the remedy.
        UnsupportedOperationError: The job is to wait for a confirmation, which EnOS does not know.
    """
    check_job_parts(job)
    if job.hold or job.policy.hold:
        raise UnsupportedOperationError("EnOS has no jobs that wait for a confirmation: leave hold out")
    _listed(job.firmware_ids, name="firmware_ids")
    if len(job.firmware_ids) != 1:
        raise InvalidQueryError(f"firmware_ids holds {len(job.firmware_ids)}: a job of EnOS has exactly one firmware")
    checked_text(job.firmware_ids[0], name="firmware_ids")
    if job.kind not in JOB_KIND_WORDS:
        raise InvalidQueryError(f"kind is {str(job.kind)!r}: EnOS knows {' and '.join(JOB_KIND_WORDS)}")
    policy = _verification_policy if job.kind == JobKind.VERIFICATION else _upgrade_policy
    return {
        "name": _name(job.name, fingerprint),
        "type": JOB_KIND_WORDS[job.kind],
        "upgradeScope": _scope(job.scope, job.kind),
        **policy(job.policy),
    }


def check_target_version(job: NewJob, version: str) -> None:
    """Refuse to upgrade devices to the version that they have.

    Raises:
        InvalidQueryError: The version of the job's firmware is among its source versions.
    """
    if version in job.scope.source_versions:
        raise InvalidQueryError(
            f"scope.source_versions holds {version!r}, which is the version of the firmware itself: leave it out"
        )


def _name(name: Any, fingerprint: str | None) -> dict[str, Any]:
    # How long the name of a job may be is not documented: a name that is too long, the vendor refuses.
    fields = name_fields(name, name="name")
    check_unmarked(fields["defaultValue"])
    return {**fields, "defaultValue": marked(fields["defaultValue"], fingerprint)}


# --- scope -----------------------------------------------------------------------------------------------------------


def _scope(scope: JobScope, kind: JobKind) -> dict[str, Any]:
    if scope.groups:
        raise InvalidQueryError("scope.groups is given, but EnOS has no device groups: use tags, or asset_trees")
    narrowed: dict[str, Any] = {
        "deviceKeys": _texts(scope.devices, name="scope.devices"),
        "attributes": _accepted(scope.attributes, name="scope.attributes", texts_only=False),
        "tags": _accepted(scope.tags, name="scope.tags", texts_only=True),
        "assetTrees": [_tree(tree) for tree in _listed(scope.asset_trees, name="scope.asset_trees")],
    }
    narrowed = {name: value for name, value in narrowed.items() if value}
    if scope.everything and kind == JobKind.VERIFICATION:
        raise InvalidQueryError(
            "scope.everything is set, but a verification job is for a few devices: give scope.devices, for example"
        )
    if scope.everything and narrowed:
        raise InvalidQueryError(
            "scope.everything is set beside a filter: leave one out. Only source_versions go with everything"
        )
    if not scope.everything and not narrowed:
        # Versions alone would do for EnOS, but reach the whole fleet: that is to be said, not to happen.
        raise InvalidQueryError(f"the job reaches no device: {_NEEDS_A_SCOPE}")
    fields: dict[str, Any] = {"type": WHOLE_SCOPE if scope.everything else PARTIAL_SCOPE, **narrowed}
    if scope.source_versions:
        fields["versionNumbers"] = _texts(scope.source_versions, name="scope.source_versions")
    return fields


def _listed(values: Any, *, name: str) -> Sequence[Any]:
    if isinstance(values, str):
        raise InvalidQueryError(f"{name} is the bare text {values!r}: give a tuple, such as ({values!r},)")
    if not isinstance(values, Sequence):
        raise InvalidQueryError(f"{name} is {values!r}: give a tuple")
    return values  # pyright: ignore[reportUnknownVariableType]


def _texts(values: Any, *, name: str) -> list[str]:
    return [checked_text(value, name=name) for value in _listed(values, name=name)]


def _accepted(conditions: Mapping[str, Any], *, name: str, texts_only: bool) -> dict[str, list[Any]]:
    """Return each tag or attribute with the list of its accepted values."""
    fields: dict[str, list[Any]] = {}
    for key, values in conditions.items():
        place = f"{name}[{key!r}]"
        checked_text(key, name=name)
        if not _listed(values, name=place):
            raise InvalidQueryError(f"{place} has no accepted value: give at least one, or leave it out")
        fields[key] = [_accepted_value(value, place, texts_only=texts_only) for value in values]
    return fields


def _accepted_value(value: Any, place: str, *, texts_only: bool) -> Any:
    if texts_only or isinstance(value, str):
        return checked_text(value, name=place)
    # No number beyond what 64 bits hold is one that JSON carries safely.
    if not isinstance(value, bool | int | float) or not isfinite(value) or (type(value) is int and abs(value) >> 63):
        raise InvalidQueryError(f"{place} holds {value!r}: give texts, numbers, or True and False")
    return value


def _tree(tree: Any) -> dict[str, Any]:
    given: dict[Any, Any] = dict(tree) if isinstance(tree, Mapping) else {}  # pyright: ignore[reportUnknownArgumentType]
    if TREE_ID not in given or not set(given) <= {TREE_ID, TREE_NODES}:
        raise InvalidQueryError(
            f"scope.asset_trees holds {tree!r}: give mappings with {TREE_ID}, and with {TREE_NODES} for a part of it"
        )
    fields: dict[str, Any] = {TREE_ID: checked_text(given[TREE_ID], name=f"scope.asset_trees {TREE_ID}")}
    if TREE_NODES in given:
        fields[TREE_NODES] = _texts(given[TREE_NODES], name=f"scope.asset_trees {TREE_NODES}")
    return fields


# --- policy ----------------------------------------------------------------------------------------------------------


def _upgrade_policy(policy: JobPolicy) -> dict[str, Any]:
    mode = DEFAULT_MODE if policy.mode is None else policy.mode
    if mode not in POLICY_MODE_WORDS:
        raise InvalidQueryError(f"policy.mode is {str(mode)!r}: EnOS knows {' and '.join(POLICY_MODE_WORDS)}")
    asks = DEFAULT_DEVICE_MAY_REQUEST if policy.device_may_request is None else policy.device_may_request
    fields: dict[str, Any] = {
        "upgradePolicy": POLICY_MODE_WORDS[mode],
        "enableUpgradeRequest": checked_flag(asks, name="policy.device_may_request"),
        **_timeout(policy),
    }
    if policy.max_concurrency is not None:
        fields["maximumConcurrency"] = _count(policy.max_concurrency, name="policy.max_concurrency")
    if policy.retry is not None:
        fields["retryPolicy"] = _retry(policy.retry)
    if policy.schedule is not None:
        fields["schedulePolicy"] = _schedule(policy.schedule)
    return fields


def _verification_policy(policy: JobPolicy) -> dict[str, Any]:
    for name in ("mode", "device_may_request", "max_concurrency", "retry", "schedule"):
        if getattr(policy, name) is not None:
            raise InvalidQueryError(f"policy.{name} is given, but a verification job of EnOS has none: leave it out")
    return _timeout(policy)


def _timeout(policy: JobPolicy) -> dict[str, Any]:
    if policy.timeout_seconds is None:
        return {}
    seconds = checked_count(
        policy.timeout_seconds,
        name="policy.timeout_seconds",
        least=SHORTEST_TIMEOUT_SECONDS,
        most=LONGEST_TIMEOUT_SECONDS,
    )
    return {"upgradeTimeout": seconds}


def _retry(retry: RetrySchedule) -> dict[str, Any]:
    least = 1 if retry.enabled else 0
    fields: dict[str, Any] = {
        "enableRetry": checked_flag(retry.enabled, name="policy.retry.enabled"),
        "retryCount": _count(retry.count, name="policy.retry.count", least=least),
    }
    if retry.interval_minutes is not None:
        fields["retryInterval"] = _count(retry.interval_minutes, name="policy.retry.interval_minutes")
    return fields


def _count(value: Any, *, name: str, least: int = 1) -> int:
    return checked_count(value, name=name, least=least, most=LARGEST_INTEGER)


def _schedule(schedule: JobSchedule) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if schedule.repeats_daily is not None:
        fields["isRepeatDaily"] = checked_flag(schedule.repeats_daily, name="policy.schedule.repeats_daily")
    if schedule.start_at is not None:
        fields["startTimestamp"] = _milliseconds(schedule.start_at, name="policy.schedule.start_at")
    if schedule.end_at is not None:
        fields["endTimestamp"] = _milliseconds(schedule.end_at, name="policy.schedule.end_at")
    if schedule.utc_offset_minutes is not None:
        least, most = _UTC_OFFSETS
        fields["timezoneOffsetInMinutes"] = checked_count(
            schedule.utc_offset_minutes, name="policy.schedule.utc_offset_minutes", least=least, most=most
        )
    if not fields:
        raise InvalidQueryError("policy.schedule says nothing: leave it out, and the job starts at once")
    if "endTimestamp" in fields and fields["endTimestamp"] <= fields.get("startTimestamp", -1):
        raise InvalidQueryError("policy.schedule.end_at is not later than start_at: swap them")
    return fields


def _milliseconds(instant: Any, *, name: str) -> int:
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        raise InvalidQueryError(f"{name} is {instant!r}: give a datetime with a time zone")
    if instant.microsecond % 1000:
        raise InvalidQueryError(
            f"{name} is {instant.isoformat()}: EnOS knows whole milliseconds; use .replace(microsecond=0)"
        )
    milliseconds = epoch_ms(instant)
    if milliseconds < 0:
        raise InvalidQueryError(f"{name} is {instant.isoformat()}: it must not be before 1970")
    return milliseconds
