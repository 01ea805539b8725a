"""IoTDA listings: how a query splits into walks, what is filtered where, how pages become models."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError, PayloadError
from otaclient.models import (
    DeviceId,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    Job,
    JobId,
    JobStatus,
    LocalizedText,
)
from otaclient.paging import Paged
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import Markers, MarkerWindow, PageFacts, PageWindow, Partition, RawPage
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient_iotda.plans import Plan, plan_devices, plan_firmware, plan_jobs
from otaclient_iotda.reads import IotdaReads
from support.network import ScriptedTransport, session_over

MARKER = "5c90fa7d3c4e4405e8525079"
AT = datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)


def reads(plan: Plan[Any], *answers: Any) -> tuple[IotdaReads[Any], ScriptedTransport]:
    """Return the reads of a plan, and the network that answers them."""
    transport = ScriptedTransport(answers)
    return IotdaReads(session_over(transport, HandClock()), "p1", plan), transport


def page(key: str, *rows: Any, marker: str | None = MARKER) -> HttpResponse:
    """Return a page of rows."""
    body = {key: rows, "page": {"count": 7, "marker": marker}}
    return HttpResponse(status=200, body=msgspec.json.encode(body))


def walks(plan: Plan[Any]) -> list[tuple[str, dict[str, str]]]:
    """Return the label and the filters of each walk."""
    return [(partition.label, dict(partition.filters)) for partition in plan.partitions]


def job(**fields: Any) -> Job:
    """Return a job."""
    given: dict[str, Any] = {"backend": "b", "job_id": JobId("j"), "status": JobStatus.PENDING}
    return Job(**(given | fields))


# --- queries ---------------------------------------------------------------------------------------------------------


def test_firmware_takes_one_walk_for_each_type() -> None:
    """The vendor lists one package type at a time; nothing is filtered here."""
    plan = plan_firmware(FirmwareQuery())
    assert walks(plan) == [
        ("firmwarePackage", {"package_type": "firmwarePackage"}),
        ("softwarePackage", {"package_type": "softwarePackage"}),
        ("modulePackage", {"package_type": "modulePackage"}),
    ]
    source, _ = reads(plan)
    assert source.pushed_down == "package_type=firmwarePackage|softwarePackage|modulePackage"
    assert (source.filtered_here, source.operation) == ((), "firmware.search")


def test_firmware_takes_one_walk_for_each_kind_and_product() -> None:
    """Kinds and products multiply; version and owner are in every walk."""
    plan = plan_firmware(FirmwareQuery(kinds=["software", "module"], products=["a", "b"], version="V2", owner_id="o"))
    both = {"app_id": "o", "version": "V2"}
    assert walks(plan) == [
        ("softwarePackage a", {"package_type": "softwarePackage", "product_id": "a", **both}),
        ("softwarePackage b", {"package_type": "softwarePackage", "product_id": "b", **both}),
        ("modulePackage a", {"package_type": "modulePackage", "product_id": "a", **both}),
        ("modulePackage b", {"package_type": "modulePackage", "product_id": "b", **both}),
    ]
    assert plan.pushed_down == "package_type=softwarePackage|modulePackage, app_id=o, product_id=a|b, version=V2"


def test_one_walk_has_no_label() -> None:
    """A label tells walks apart; where there is one, there is nothing to tell."""
    assert walks(plan_firmware(FirmwareQuery(kinds=["firmware"]))) == [("", {"package_type": "firmwarePackage"})]
    assert walks(plan_devices(DeviceUpgradeQuery())) == [("", {})]


@pytest.mark.parametrize(
    ("make", "query"),
    [(plan_firmware, FirmwareQuery), (plan_jobs, JobQuery), (plan_devices, DeviceUpgradeQuery)],
)
def test_the_owner_of_the_query_wins(make: Callable[..., Plan[Any]], query: Callable[..., Any]) -> None:
    """Without one it is the client's resource space, without that there is none."""
    owners = [
        {walk.get("app_id") for _, walk in walks(plan)}
        for plan in (make(query()), make(query(), app_id="c"), make(query(owner_id="q"), app_id="c"))
    ]
    assert owners == [{None}, {"c"}, {"q"}]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (JobStatus.RUNNING, "Processing"),
        (JobStatus.STOPPING, "Stopping"),
        (JobStatus.STOPPED, "Stopped"),
        (JobStatus.SUCCEEDED, "Success"),
        (JobStatus.PARTIALLY_SUCCEEDED, "PartialSuccess"),
        (JobStatus.FAILED, "Fail"),
    ],
)
def test_a_status_that_is_one_state_is_pushed_down(status: JobStatus, word: str) -> None:
    """In every walk; nothing is left to filter here."""
    plan = plan_jobs(JobQuery(status=status))
    assert walks(plan) == [
        (kind, {"task_type": kind, "status": word}) for kind in ("firmwareUpgrade", "softwareUpgrade", "moduleUpgrade")
    ]
    assert dict(plan.filters) == {}


def test_a_status_that_is_two_states_is_filtered_here() -> None:
    """Two walks could both miss a task that goes from one state to the next."""
    source, _ = reads(plan_jobs(JobQuery(status=JobStatus.PENDING)))
    assert source.filtered_here == ("status",)
    assert "status" not in source.pushed_down
    assert source.keep(job())
    assert not source.keep(job(status=JobStatus.RUNNING))


def test_packages_and_names_of_tasks_are_filtered_here() -> None:
    """A task matches with any of its packages, and with its name in any case; all filters must agree."""
    source, _ = reads(
        plan_jobs(JobQuery(firmware_ids=["a", "b"], name_contains="Night", locale="default", kind="upgrade"))
    )
    assert source.filtered_here == ("firmware_ids", "name_contains")
    named = LocalizedText(default="the NIGHT shift")
    assert source.keep(job(firmware_ids=(FirmwareId("x"), FirmwareId("b")), name=named))
    assert not source.keep(job(firmware_ids=(FirmwareId("x"),), name=named))
    assert not source.keep(job(firmware_ids=(FirmwareId("a"),), name=LocalizedText(default="day")))
    assert not source.keep(job(firmware_ids=(FirmwareId("a"),)))


def test_devices() -> None:
    """One walk for each product; times of registration are widened to whole seconds; versions are filtered here."""
    plan = plan_devices(
        DeviceUpgradeQuery(
            products=["a", "b"], versions=["1", "2"], registered_after=AT, registered_before=AT.replace(second=7)
        )
    )
    times = {"start_time": "20260102T030405Z", "end_time": "20260102T030408Z"}
    assert walks(plan) == [("a", {"product_id": "a", **times}), ("b", {"product_id": "b", **times})]
    source, _ = reads(plan)
    assert source.filtered_here == ("versions",)
    kept = [
        source.keep(DeviceUpgrade(backend="b", device_id=DeviceId("d"), firmware_version=version))
        for version in ("1", "2", "3", None)
    ]
    assert kept == [True, True, False, False]


@pytest.mark.parametrize(
    ("make", "query", "words"),
    [
        (plan_firmware, FirmwareQuery(verified=False), "verified is given"),
        (plan_firmware, FirmwareQuery(name_contains="x"), "name_contains is given"),
        (plan_firmware, FirmwareQuery(locale="zh_CN"), "locale is given"),
        (plan_firmware, FirmwareQuery(products=["a'b"]), "products"),
        (plan_firmware, FirmwareQuery(version="1 0"), "version"),
        (plan_jobs, JobQuery(products=["a"]), "give firmware_ids"),
        (plan_jobs, JobQuery(firmware_versions=["1"]), "give firmware_ids"),
        (plan_jobs, JobQuery(firmware_name_contains="x"), "give firmware_ids"),
        (plan_jobs, JobQuery(kind="verification"), "kind is 'verification'"),
        (plan_jobs, JobQuery(locale="zh_CN", name_contains="x"), "have no translations"),
        (plan_jobs, JobQuery(locale="default"), "nothing to look for"),
        (plan_jobs, JobQuery(owner_id="a/b"), "owner_id"),
        (plan_devices, DeviceUpgradeQuery(upgrading=False), "resolve_upgrading=True is needed"),
        (plan_devices, DeviceUpgradeQuery(products=["a", "b c"]), "products"),
    ],
)
def test_what_can_be_filtered_nowhere_is_refused(make: Callable[..., Any], query: Any, words: str) -> None:
    """One error that names the field and says what to do."""
    with pytest.raises(InvalidQueryError, match=words):
        make(query)


# --- windows and pages -----------------------------------------------------------------------------------------------


async def test_a_window_becomes_a_page() -> None:
    """A fetch asks for the walk's filters and the window; the page keeps its bytes until they are decoded."""
    rows = [{"package_id": "a", "version": "1"}, {"package_id": "b", "version": "2", "package_type": "softwarePackage"}]
    source, network = reads(plan_firmware(FirmwareQuery(kinds=["firmware"])), page("packages", *rows))
    (walk,) = source.partitions()
    raw = await source.fetch(walk, MarkerWindow(MARKER, 2, 4))
    sent = network.sent[0]
    assert sent.path == "/v5/iot/p1/ota-upgrades/packages"
    assert sent.query == (("package_type", "firmwarePackage"), ("limit", "2"), ("marker", MARKER), ("offset", "4"))
    assert source.facts(raw) == PageFacts(rows=2, total=7, marker=MARKER)
    decoded = source.decode(raw)
    assert (list(map(source.key, decoded.good)), list(decoded.errors)) == (["a", "b"], [])
    assert {row.backend for row in decoded.good} == {"test"}
    assert all(map(source.keep, decoded.good))


def test_paging_has_the_vendors_limits() -> None:
    """At most 50 rows a page, at most 500 skipped; the whole page unless asked otherwise."""
    source, _ = reads(plan_devices(DeviceUpgradeQuery()))
    assert source.paging == Markers(largest_page=50, default_page=50, largest_offset=500)


@pytest.mark.parametrize("window", [MarkerWindow("zz", 50), MarkerWindow(None, 51), PageWindow(1, 50)])
async def test_a_window_that_cannot_be_is_refused_before_any_request(window: Any) -> None:
    """The error names operation and backend, and nothing was sent."""
    source, network = reads(plan_jobs(JobQuery()))
    with pytest.raises(InvalidQueryError) as caught:
        await source.fetch(source.partitions()[0], window)
    assert (caught.value.operation, caught.value.backend, network.sent) == ("jobs.search", "test", [])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}"])
def test_a_page_that_is_none_names_operation_and_backend(body: bytes) -> None:
    """From its facts and from its rows alike."""
    source, _ = reads(plan_devices(DeviceUpgradeQuery()))
    raw = RawPage(
        partition=Partition(label="", filters=()),
        window=MarkerWindow(None, 50),
        response=HttpResponse(status=200, body=body, attempts=3),
    )
    for read in (source.facts, source.decode):
        with pytest.raises(PayloadError) as caught:
            read(raw)
        error = caught.value
        assert (error.operation, error.backend, error.attempts, error.status) == ("devices.search", "test", 3, 200)


def test_a_bad_row_is_an_error_beside_the_good_ones() -> None:
    """It names its place, operation and backend."""
    source, _ = reads(plan_devices(DeviceUpgradeQuery()))
    raw = RawPage(
        partition=source.partitions()[0],
        window=MarkerWindow(None, 50),
        response=page("devices", {"device_id": "a"}, {"device_id": None}),
    )
    decoded = source.decode(raw)
    assert [row.device_id for row in decoded.good] == ["a"]
    (error,) = decoded.errors
    assert (error.operation, error.backend) == ("devices.search", "test")
    assert "$.devices[1]" in str(error)


@given(count=st.integers(0, 40), size=st.integers(1, 50), versions=st.none() | st.sampled_from([["0"], ["1", "2"]]))
async def test_a_walk_gives_back_every_device_once(count: int, size: int, versions: list[str] | None) -> None:
    """For any page size: the marker of the page leads on, an empty page ends, the count ends nothing."""
    rows = [{"device_id": f"d{number}", "fw_version": str(number % 3)} for number in range(count)]

    def answer(request: HttpRequest) -> HttpResponse:
        asked = dict(request.query)
        start = int(asked["marker"], 16) if "marker" in asked else 0
        found = rows[start : start + int(asked["limit"])]
        # Record ids descend in truth; here the marker counts, from the top, what was seen.
        return page("devices", *found, marker=f"{start + len(found):024x}" if found else None)

    source, network = reads(plan_devices(DeviceUpgradeQuery(versions=versions)))
    network.answers = [answer] * (count // size + 2)
    seen: list[str] = []
    window = MarkerWindow(None, size)
    while True:
        raw = await source.fetch(source.partitions()[0], window)
        facts = source.facts(raw)
        seen += [row.device_id for row in source.decode(raw).good if source.keep(row)]
        if facts.rows == 0:
            break
        window = MarkerWindow(facts.marker, size)
    wanted = [row for row in rows if versions is None or row["fw_version"] in versions]
    assert seen == [row["device_id"] for row in wanted]


async def test_a_cursor_with_another_marker_is_refused_before_any_request() -> None:
    """What was tampered with is one clear error."""
    source, network = reads(plan_jobs(JobQuery()), page("batchtasks", {"task_id": "a"}))
    listing: Paged[Job] = Paged(source, backend="iotda", query="q")
    first = await anext(listing.pages())
    assert first.cursor is not None
    other = Paged(source, backend="enos", query="q")
    with pytest.raises(InvalidQueryError):
        await anext(other.pages(cursor=first.cursor))
    assert len(network.sent) == 1


def test_the_rows_of_each_listing_have_their_key() -> None:
    """The identifiers are those of the models."""
    firmware = Firmware(backend="b", firmware_id=FirmwareId("f"), version="1")
    assert reads(plan_firmware(FirmwareQuery()))[0].key(firmware) == "f"
    assert reads(plan_jobs(JobQuery()))[0].key(job()) == "j"
    assert reads(plan_devices(DeviceUpgradeQuery()))[0].key(DeviceUpgrade(backend="b", device_id=DeviceId("d"))) == "d"
