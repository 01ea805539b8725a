"""The names of jobs at the vendor: with a fingerprint that is not the user's.

IoTDA has one text for a name and no search by it: listings are filtered here, by the name without the fingerprint.
"""

from typing import Any

import attrs

from otaclient.fingerprint import is_fingerprint, unmarked
from otaclient.models import Job
from otaclient.queries import JobQuery
from otaclient_iotda.plans import Plan

__all__ = ["fingerprint_in", "with_fingerprints"]


def fingerprint_in(job: Job) -> str | None:
    """Return the fingerprint in a job's name; ``None`` without one."""
    text: Any = job.extra.get("task_name")
    return unmarked(text)[1] if isinstance(text, str) else None


def with_fingerprints(plan: Plan[Job], query: JobQuery) -> Plan[Job]:
    """Return a plan that finds the job with a fingerprint, where a whole one is looked for."""
    text = query.name_contains
    if text is None or not is_fingerprint(text):
        return plan

    def has_it(job: Job) -> bool:
        return fingerprint_in(job) == text

    return attrs.evolve(plan, filters={**plan.filters, "name_contains": has_it})
