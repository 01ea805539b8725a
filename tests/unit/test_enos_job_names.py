"""Jobs that are searched by name: fingerprints, which the vendor sees, bring in nothing."""

from typing import Any

import pytest

from otaclient.models import FrozenMap, Job, JobId, JobStatus, LocalizedText
from otaclient.queries import JobQuery
from otaclient_enos.job_names import fingerprint_in, without_fingerprints
from otaclient_enos.plans import plan_jobs

FINGERPRINT = "ota" + "0a1b2c3d4e" * 2
NAME = LocalizedText(default="Pumps", translations=FrozenMap({"zh_CN": "泵"}))


def job(raw: Any, name: LocalizedText | None = NAME) -> Job:
    """Return a job whose name is this at the vendor."""
    extra = FrozenMap({} if raw is None else {"name": raw})
    return Job(backend="b", job_id=JobId("j"), status=JobStatus.RUNNING, name=name, extra=extra)


MARKED = job(FrozenMap({"defaultValue": f"Pumps_{FINGERPRINT}"}))


def test_a_fingerprint_is_read_from_the_vendors_own_name() -> None:
    """Where there is such a name, and a text in it."""
    assert fingerprint_in(MARKED) == FINGERPRINT
    for raw in (None, "text", FrozenMap(), FrozenMap({"defaultValue": 7}), FrozenMap({"defaultValue": "Pumps"})):
        assert fingerprint_in(job(raw)) is None


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ({"name_contains": "PUMP"}, True),
        ({"name_contains": "泵"}, True),
        ({"name_contains": "ump", "locale": "default"}, True),
        ({"name_contains": "0a1b"}, False),
        ({"name_contains": "s_ota"}, False),
        ({"name_contains": "0A1B", "locale": "default"}, False),
        ({"name_contains": "ump", "locale": "zh_CN"}, False),
        ({"name_contains": "whatever the vendor finds alike"}, True),
    ],
)
def test_what_only_a_fingerprint_brings_in_is_left_out(query: dict[str, Any], meant: bool) -> None:
    """Everything else is the vendor's to say."""
    asked = JobQuery(**query)
    plan = without_fingerprints(plan_jobs(asked), asked)
    assert plan.filters["name_contains"](MARKED) is meant
    assert plan.filters["name_contains"](job(None))
    assert plan.pushed_down == plan_jobs(asked).pushed_down


def test_a_name_of_nothing_but_a_fingerprint_is_found_by_nothing() -> None:
    """It has no words of a user's."""
    asked = JobQuery(name_contains="ota")
    plan = without_fingerprints(plan_jobs(asked), asked)
    assert not plan.filters["name_contains"](job(FrozenMap({"defaultValue": f"_{FINGERPRINT}"}), None))


@pytest.mark.parametrize("query", [{}, {"name_contains": FINGERPRINT}, {"name_contains": "ump", "locale": "ja_JP"}])
def test_other_queries_are_left_as_they_are(query: dict[str, Any]) -> None:
    """A whole fingerprint is looked for as it is; other locales are filtered here, by names without one."""
    asked = JobQuery(**query)
    assert set(without_fingerprints(plan_jobs(asked), asked).filters) == set(plan_jobs(asked).filters)
