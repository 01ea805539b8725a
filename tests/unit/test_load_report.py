"""What a load test found, for people and for programs."""

import json
from typing import Any

import pytest

from otaclient.errors import ConfigurationError, RateLimitedError
from otaclient.load import CallResult, Report

TABLE = """\
Calls evenly, 2/s for 2 s; seed 7. 2.5 s until the last had ended, at most 3 in flight.

operation     due  not begun  failed  requests  planned/s  ended/s
jobs.get        3          0       1         3        1.5      1.2
firmware.get    1          1       0         0        0.5      0.0
all             4          1       1         3        2.0      1.2

operation     time           p50         p90         p99       p99.9         max
jobs.get      response  503.8 ms  1,250.0 ms  1,250.0 ms  1,250.0 ms  1,250.0 ms
              service   501.8 ms  1,240.0 ms  1,240.0 ms  1,240.0 ms  1,240.0 ms
              wait        1.0 ms     10.0 ms     10.0 ms     10.0 ms     10.0 ms
firmware.get  response         -           -           -           -           -
              service          -           -           -           -           -
              wait             -           -           -           -           -
all           response  503.8 ms  1,250.0 ms  1,250.0 ms  1,250.0 ms  1,250.0 ms
              service   501.8 ms  1,240.0 ms  1,240.0 ms  1,240.0 ms  1,240.0 ms
              wait        1.0 ms     10.0 ms     10.0 ms     10.0 ms     10.0 ms

jobs.get: 1 x RateLimitedError 429, such as: too many

the harness kept up: 99 % of calls began within 9.0 ms of when they were due
1 of 4 calls did not begin, because max_in_flight was reached: no time tells of them, and they would have been the \
slowest"""


def ended(number: int, *, due: float, lag: float, wait: float, service: float, error: bool = False) -> CallResult:
    """Return a call that was answered."""
    return CallResult(
        number=number,
        operation="jobs.get",
        due=due,
        began=due + lag,
        sent=due + wait,
        ended=due + wait + service,
        requests=1,
        service_seconds=service,
        status=429 if error else 200,
        error="RateLimitedError" if error else None,
        request_id="r",
    )


def not_begun(number: int, operation: str = "firmware.get") -> CallResult:
    """Return a call that could not begin."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("began", "sent", "ended", "service_seconds", "status", "error", "request_id")
    )
    return CallResult(number=number, operation=operation, due=1.5, requests=0, **nothing)


def reported() -> Report:
    """Return a report of four calls."""
    report = Report(plan="evenly, 2/s for 2 s", planned_seconds=2, seeds=(7,), elapsed_seconds=2.5, most_in_flight=3)
    report.note(ended(0, due=0, lag=0.0005, wait=0.001, service=0.1))
    report.note(ended(1, due=0.5, lag=0.0005, wait=0.001, service=0.501, error=True), RateLimitedError("too many"))
    report.note(ended(2, due=1, lag=0.009, wait=0.01, service=1.24))
    report.note(not_begun(3))
    return report


def test_a_table_for_people() -> None:
    """Counts, rates and times for each operation and for all, the errors with an example, and what is to be known."""
    # The median is 502 ms, and told as the end of its bucket, less than 1 % above.
    assert str(reported()) == TABLE


def test_json_tells_everything() -> None:
    """What is read back shows the same table; percentiles and means stand there ready, in milliseconds."""
    report = reported()
    said = json.loads(json.dumps(report.as_json()))
    assert str(Report.from_json(said)) == str(report)
    service = said["operations"]["jobs.get"]["milliseconds"]["service"]
    assert (service["p99"], service["p100"], service["mean"]) == (1240.0, 1240.0, 613.667)
    assert set(said["operations"]["firmware.get"]["milliseconds"]["service"].values()) == {None}
    assert said["harness_kept_up"] is True


def test_reports_of_several_processes_are_merged() -> None:
    """Counts and histograms add up; rates are those of all together."""
    one, two = reported(), reported()
    two.seeds, two.elapsed_seconds = (8,), 3.0
    two.note(not_begun(4, "jobs.tasks"))
    merged = Report.merged([one, two])
    assert (merged.seeds, merged.elapsed_seconds, merged.most_in_flight) == ((7, 8), 3.0, 6)
    figures = merged.operations["jobs.get"]
    assert (figures.due, figures.succeeded, figures.failed, figures.response.count) == (6, 4, 2, 6)
    assert figures.failures["RateLimitedError 429"].example == "too many"
    assert merged.operations["jobs.tasks"].not_begun == 1
    assert merged.total.due == 9
    assert (one.total.due, one.operations["jobs.get"].failures["RateLimitedError 429"].count) == (4, 1)


def test_nothing_to_merge() -> None:
    """It is refused."""
    with pytest.raises(ConfigurationError, match="no report to merge"):
        Report.merged([])


def test_a_late_harness_is_named() -> None:
    """One call in a hundred may be late, two may not: then the times are the harness's."""
    report = Report(plan="", planned_seconds=1, seeds=(1,))
    for number in range(99):
        report.note(ended(number, due=0, lag=0.0, wait=0.0, service=0.001))
    report.note(ended(99, due=0, lag=0.5, wait=0.5, service=0.001))
    assert report.harness_kept_up
    report.note(ended(100, due=0, lag=0.7, wait=0.7, service=0.001))
    assert not report.harness_kept_up
    assert "1 % of calls began 501.8 ms late or more, at most 700.0 ms (tolerable: 10.0 ms)" in report.remarks[0]
    assert "lower the rate, or share it among processes" in report.remarks[0]


def test_nothing_happened() -> None:
    """Nothing is claimed about a harness that began nothing."""
    report = Report(plan="", planned_seconds=0, seeds=(1,))
    report.note(not_begun(0))
    assert report.remarks[0] == "no call began"
    assert "no call began" in str(report)
    assert report.harness_kept_up


@pytest.mark.parametrize(
    "said",
    [{}, [], None, {"plan": 1}, {**Report(plan="", planned_seconds=1, seeds=()).as_json(), "operations": {"a": {}}}],
)
def test_json_that_is_none(said: Any) -> None:
    """What tells of no report is refused, with what would do."""
    with pytest.raises(ConfigurationError, match=r"no report of a load test: .*; give what as_json\(\) returned"):
        Report.from_json(said)
