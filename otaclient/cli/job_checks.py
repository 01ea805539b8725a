"""What no vendor can make of a new job: found out before anything is asked of a backend, or of whoever types.

What one vendor alone refuses, such as a time that is too long for it, its backend says: ``jobs.check``.
"""

from collections.abc import Iterator
from typing import Any

from otaclient.cli.failures import UsageError
from otaclient.fingerprint import check_unmarked, chosen_fingerprint
from otaclient.models import JobPolicy, JobSchedule, JobScope, NewJob

__all__ = ["check_key", "check_new_job"]


def check_key(idempotency_key: str | None, *, fingerprint: bool) -> None:
    """Refuse a key that cannot work.

    Raises:
        UsageError: It is empty, or there is to be no fingerprint, by which it works.
        InvalidQueryError: It cannot be encoded.
    """
    if idempotency_key is not None and not fingerprint:
        raise UsageError("--idempotency-key works through the fingerprint: leave it or --no-fingerprint out")
    if idempotency_key is not None and not idempotency_key.strip():
        raise UsageError("--idempotency-key is an empty text: give one of yours for this job, or leave it out")
    chosen_fingerprint(idempotency_key, wanted=fingerprint)


def check_new_job(job: NewJob) -> None:
    """Refuse what contradicts itself, or is out of every range.

    Raises:
        UsageError: It names the option, its value and the rule.
        InvalidQueryError: The name ends in a fingerprint.
    """
    for fault in (*_faults_of_name(job), *_faults_of_scope(job.scope), *_faults_of_policy(job.policy)):
        raise UsageError(fault)
    check_unmarked(job.name.default)


def _faults_of_name(job: NewJob) -> Iterator[str]:
    if not job.name.default.strip():
        yield "--name is an empty text: give the job a name"
    if not job.firmware_ids:
        yield "firmware_ids is an empty list: give --firmware-id"
    if not all(text.strip() for text in job.firmware_ids):
        yield "--firmware-id is an empty text: give the firmware's identifier"


def _faults_of_scope(scope: JobScope) -> Iterator[str]:
    narrower = (
        ("--device", scope.devices),
        ("--group", scope.groups),
        ("--tag", scope.tags),
        ("--attribute", scope.attributes),
        ("asset_trees", scope.asset_trees),
    )
    given = [option for option, value in narrower if value]
    if scope.everything and given:
        yield (
            f"--everything and {given[0]} are given, but the one means all devices: leave one of them out; only "
            "--source-version goes with --everything"
        )


def _faults_of_policy(policy: JobPolicy) -> Iterator[str]:
    retry = policy.retry
    numbers: list[tuple[str, Any, int]] = [
        ("--timeout-seconds", policy.timeout_seconds, 1),
        ("--max-concurrency", policy.max_concurrency, 1),
        ("--retry-count", None if retry is None else retry.count, 0),
        ("--retry-interval-minutes", None if retry is None else retry.interval_minutes, 0),
    ]
    for option, value, least in numbers:
        if value is not None and value < least:
            yield f"{option} is {value}: give a whole number, at least {least}"
    if policy.schedule is not None:
        yield from _faults_of_schedule(policy.schedule)


def _faults_of_schedule(schedule: JobSchedule) -> Iterator[str]:
    if schedule == JobSchedule():
        yield "the schedule says nothing: leave it out, and the job starts at once"
    start, end = schedule.start_at, schedule.end_at
    if start is not None and end is not None and end <= start:
        yield f"--end-at {end.isoformat()} is not later than --start-at {start.isoformat()}: swap them"
