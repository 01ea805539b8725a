"""Journey 7: wait for a job, with its failures grouped by reason."""

import ast
import re

from support.reader import Reader

PAGE = "docs/guides/jobs.md"


def test_wait_for_a_job(enos: Reader) -> None:
    """The numbers add up: whoever does not have it has failed for one of the reasons."""
    enos.follow(PAGE, "Choose firmware and devices")
    first, again, *_ = enos.follow(PAGE, "Create", differs=("jobs create",))
    assert (first, again) == ("running\n", "True\n")
    *_, waited = enos.follow(PAGE, "Watch", differs=("jobs watch", "jobs.wait"))
    said, reasons = waited.splitlines()
    found = re.fullmatch(r"(\w+) (\d+) of 99", said)
    assert found is not None
    failures = ast.literal_eval(reasons)
    assert sum(failures.values()) == 99 - int(found[2])
    assert found[1] == ("partially_succeeded" if failures else "succeeded")
    assert list(failures.values()) == sorted(failures.values(), reverse=True)
