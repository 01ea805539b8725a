"""The names of jobs at the vendor: with a fingerprint that is not the user's, and that filters are not to see.

The default text of a name carries the fingerprint. Every job has that text, it is sure to be kept, and a search by
``name.defaultValue`` finds it. Translations, which the vendor's console shows in their locales, stay as they are.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from otaclient.fingerprint import is_fingerprint, unmarked
from otaclient.models import Job, LocalizedText
from otaclient.queries import DEFAULT_LOCALE, JobQuery
from otaclient_enos.expression import JOBS
from otaclient_enos.plans import Plan

__all__ = ["fingerprint_in", "query_by_fingerprint", "without_fingerprints"]

# Where the vendor looks for a text without a locale: in the default, the Chinese and the English name.
_LOOKED_IN: Final = (DEFAULT_LOCALE, "zh_CN", "en_US")


def fingerprint_in(job: Job) -> str | None:
    """Return the fingerprint in a job's name; ``None`` without one."""
    return unmarked(_default_text(job))[1]


def query_by_fingerprint(fingerprint: str) -> JobQuery:
    """Return the query for the jobs with a fingerprint."""
    return JobQuery(name_contains=fingerprint, locale=DEFAULT_LOCALE)


def without_fingerprints(plan: Plan[Job], query: JobQuery) -> Plan[Job]:
    """Return a plan that leaves out what only a fingerprint brought in, unless a whole one is looked for."""
    text = query.name_contains
    if text is None or is_fingerprint(text) or not JOBS.knows_locale("name", query.locale):
        return plan
    wanted, locales = text.casefold(), _LOOKED_IN if query.locale is None else (query.locale,)

    def is_meant(job: Job) -> bool:
        if fingerprint_in(job) is None or wanted not in _default_text(job).casefold():
            return True
        name = job.name or LocalizedText(default="")
        return any(wanted in name.for_locale(locale).casefold() for locale in locales)

    return attrs.evolve(plan, filters={**plan.filters, "name_contains": is_meant})


def _default_text(job: Job) -> str:
    """Return the default text as the vendor has it, where that is not the name's own."""
    name: Any = job.extra.get("name")
    text: Any = name.get("defaultValue") if isinstance(name, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return text if isinstance(text, str) else ""
