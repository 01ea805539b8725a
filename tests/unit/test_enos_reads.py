"""EnOS listings: what of a query the vendor filters, what is filtered here, how it splits, how pages become models."""

from datetime import UTC, datetime
from itertools import product
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
    FrozenMap,
    Job,
    JobId,
    JobKind,
    JobStatus,
    LocalizedText,
)
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import MarkerWindow, PageFacts, PageNumbers, PageWindow, RawPage
from otaclient.testing import HandClock
from otaclient.transport.http import HttpResponse
from otaclient_enos.expression import MOST_IN_VALUES
from otaclient_enos.plans import Plan, plan_devices, plan_firmware, plan_jobs
from otaclient_enos.reads import EnosReads
from otaclient_enos.requests import Organisation
from support.network import ScriptedTransport, session_over

ORG = Organisation(org_id="o1", api_version="v2.1")
MANY = tuple(f"v{number}" for number in range(2 * MOST_IN_VALUES + 1))


def reads(plan: Plan[Any], *answers: HttpResponse) -> tuple[EnosReads[Any], ScriptedTransport]:
    """Return the reads of a plan, and the network that answers them."""
    transport = ScriptedTransport(answers)
    return EnosReads(session_over(transport, HandClock()), ORG, plan), transport


def page(*rows: Any, **pagination: int) -> HttpResponse:
    """Return a page of rows."""
    return HttpResponse(
        status=200, body=msgspec.json.encode({"code": 0, "data": rows, "pagination": pagination or None})
    )


def expressions(plan: Plan[Any]) -> list[str | None]:
    """Return what each walk asks for."""
    return [partition.filters for partition in plan.partitions]


@pytest.mark.parametrize(
    "plan", [plan_firmware(FirmwareQuery()), plan_jobs(JobQuery()), plan_devices(DeviceUpgradeQuery())]
)
def test_without_filters_one_walk_sees_everything(plan: Plan[Any]) -> None:
    """There is no expression, no label, and nothing is filtered here."""
    source, _ = reads(plan)
    (partition,) = source.partitions()
    assert (partition.label, partition.filters) == ("", None)
    assert (source.pushed_down, source.filtered_here) == ("", ())


def test_paging_has_the_vendors_limits() -> None:
    """At most 200 rows a page, 50 unless asked otherwise."""
    source, _ = reads(plan_jobs(JobQuery()))
    assert source.paging == PageNumbers(largest_page=200, default_page=50)
    assert (source.operation, source.org_id) == ("jobs.search", "o1")


def test_firmware_filters_are_pushed_down() -> None:
    """Products, verification and name go to the vendor."""
    plan = plan_firmware(FirmwareQuery(products=["p1", "p2"], verified=True, name_contains="fw", locale="default"))
    expected = "productKey in ('p1', 'p2') and isVerified = true and name.default like 'fw'"
    assert (expressions(plan), plan.pushed_down, dict(plan.filters)) == ([expected], expected, {})


def test_job_filters_are_pushed_down() -> None:
    """All of them."""
    query = JobQuery(
        products=["p1"],
        firmware_ids=["f1"],
        firmware_versions=["1.0", "2.0"],
        kind=JobKind.VERIFICATION,
        status=JobStatus.STOPPED,
        name_contains="roll",
        firmware_name_contains="fw",
        locale="zh_CN",
    )
    expected = (
        "productKey = 'p1' and firmwareId = 'f1' and firmwareVersion in ('1.0', '2.0') and type = 'verify' "
        "and status = 'stopped' and name.zh_CN like 'roll' and firmwareName.zh_CN like 'fw'"
    )
    assert expressions(plan_jobs(query)) == [expected]
    assert expressions(plan_jobs(JobQuery(kind=JobKind.UPGRADE, status=JobStatus.RUNNING))) == [
        "type = 'upgrade' and status = 'started'"
    ]
    assert expressions(plan_jobs(JobQuery(firmware_name_contains="x"))) == ["firmwareName like 'x'"]


def test_device_filters_are_pushed_down() -> None:
    """Products, versions and whether a device is upgrading; resolving the latter needs nothing."""
    query = DeviceUpgradeQuery(products=["p1"], versions=["1.0"], upgrading=False, resolve_upgrading=True)
    assert expressions(plan_devices(query)) == ["productKey = 'p1' and firmwareVersion = '1.0' and isUpgrading = false"]


def test_the_version_of_firmware_is_filtered_here() -> None:
    """The vendor's expression does not know it, the rows do."""
    source, _ = reads(plan_firmware(FirmwareQuery(version="2.0")))
    assert (source.filtered_here, source.pushed_down) == (("version",), "")
    wanted = Firmware(backend="b", firmware_id=FirmwareId("f"), version="2.0")
    other = Firmware(backend="b", firmware_id=FirmwareId("f"), version="2.0.1")
    assert (source.keep(wanted), source.keep(other)) == (True, False)


def test_names_in_other_locales_are_filtered_here() -> None:
    """A locale that the vendor cannot search: case does not matter, a missing translation falls back to the default."""
    name = LocalizedText(default="Pump Firmware", translations=FrozenMap({"ja_JP": "ポンプ"}))
    firmware = Firmware(backend="b", firmware_id=FirmwareId("f"), version="1", name=name)
    source, _ = reads(plan_firmware(FirmwareQuery(name_contains="PUMP", locale="es_ES")))
    assert (source.filtered_here, source.keep(firmware)) == (("name_contains",), True)
    source, _ = reads(plan_firmware(FirmwareQuery(name_contains="pump", locale="ja_JP")))
    assert not source.keep(firmware)
    assert not source.keep(Firmware(backend="b", firmware_id=FirmwareId("f"), version="1"))


def test_both_names_of_a_job_are_filtered_here_in_other_locales() -> None:
    """The job's and its firmware's, each by itself."""
    query = JobQuery(name_contains="roll", firmware_name_contains="ポンプ", locale="ja_JP")
    source, _ = reads(plan_jobs(query))
    assert source.filtered_here == ("name_contains", "firmware_name_contains")
    roll, pump = LocalizedText(default="Roll out"), LocalizedText(default="ポンプ")
    job = Job(backend="b", job_id=JobId("j"), status=JobStatus.RUNNING, name=roll, firmware_name=pump)
    assert source.keep(job)
    assert not source.keep(Job(backend="b", job_id=JobId("j"), status=JobStatus.RUNNING, name=roll))


@pytest.mark.parametrize(
    ("plan", "query", "words"),
    [
        (plan_firmware, FirmwareQuery(kinds=["software", "module"]), "kinds is software, module: EnOS has only"),
        (plan_firmware, FirmwareQuery(locale="zh_CN"), "add name_contains"),
        (plan_firmware, FirmwareQuery(name_contains="x", locale="zh-CN"), "locale is 'zh-CN'"),
        (plan_firmware, FirmwareQuery(products=["a'\""]), "products holds"),
        (plan_jobs, JobQuery(locale="zh_CN"), "add name_contains or firmware_name_contains"),
        (plan_jobs, JobQuery(status=JobStatus.SUCCEEDED), "status is 'succeeded': EnOS only knows running or stopped"),
        (plan_jobs, JobQuery(name_contains="a\x07"), "name_contains holds"),
        (plan_devices, DeviceUpgradeQuery(registered_after=datetime(2026, 1, 1, tzinfo=UTC)), "registered_after is"),
        (plan_devices, DeviceUpgradeQuery(registered_before=datetime(2026, 1, 1, tzinfo=UTC)), "registered_before is"),
        (plan_devices, DeviceUpgradeQuery(versions=["a'\""]), "versions holds"),
    ],
)
def test_what_cannot_be_filtered_is_refused(plan: Any, query: Any, words: str) -> None:
    """Before any request, with the name of the filter and what to do."""
    with pytest.raises(InvalidQueryError, match=words):
        plan(query)


def test_the_only_kind_may_be_asked_for() -> None:
    """Together with others, too: there is nothing of those."""
    assert expressions(plan_firmware(FirmwareQuery(kinds=["firmware", "software"]))) == [None]


def test_long_lists_of_what_never_changes_are_split() -> None:
    """Each walk takes a part that fits; the labels tell them apart, and the summary counts instead of listing."""
    plan = plan_devices(DeviceUpgradeQuery(products=MANY, upgrading=True))
    assert [partition.label for partition in plan.partitions] == ["products 1/3", "products 2/3", "products 3/3"]
    assert plan.partitions[-1].filters == f"productKey = '{MANY[-1]}' and isUpgrading = true"
    assert plan.pushed_down == f"productKey in ({len(MANY)} values) and isUpgrading = true"


def test_several_long_lists_are_crossed() -> None:
    """Every combination of parts is one walk; a short list stands whole in each."""
    plan = plan_jobs(JobQuery(products=MANY, firmware_ids=["f1"], firmware_versions=MANY[: MOST_IN_VALUES + 1]))
    labels = [f"products {a}/3, firmware_versions {b}/2" for a, b in product((1, 2, 3), (1, 2))]
    assert [partition.label for partition in plan.partitions] == labels
    assert all("firmwareId = 'f1'" in (partition.filters or "") for partition in plan.partitions)
    assert len(set(expressions(plan))) == 6
    assert (
        plan.pushed_down
        == "productKey in (201 values) and firmwareId in (1 values) and firmwareVersion in (101 values)"
    )


def test_a_long_list_of_versions_is_filtered_here() -> None:
    """A device changes its version while one reads: walks that are split by it could both miss it."""
    source, _ = reads(plan_devices(DeviceUpgradeQuery(versions=MANY)))
    assert (len(source.partitions()), source.pushed_down, source.filtered_here) == (1, "", ("versions",))
    known = DeviceUpgrade(backend="b", device_id=DeviceId("d"), firmware_version=MANY[-1])
    assert source.keep(known)
    assert not source.keep(DeviceUpgrade(backend="b", device_id=DeviceId("d")))


@given(st.integers(1, 3 * MOST_IN_VALUES))
def test_walks_cover_every_product_exactly_once(count: int) -> None:
    """However long the list, each product is in one walk, and no walk is too long."""
    products = [f"<{number}>" for number in range(count)]
    asked = [expression or "" for expression in expressions(plan_firmware(FirmwareQuery(products=products)))]
    assert [sum(product in text for text in asked) for product in products] == [1] * count
    assert len(asked) == -(-count // MOST_IN_VALUES)


async def test_a_window_is_one_request() -> None:
    """The page's number and size, and the walk's expression, go into the body."""
    answer = page({"assetId": "a", "isUpgrading": True}, pageNo=3, pageSize=20, totalSize=41)
    source, transport = reads(plan_devices(DeviceUpgradeQuery(products=["p1"])), answer)
    raw = await source.fetch(source.partitions()[0], PageWindow(3, 20))
    (sent,) = transport.sent
    assert msgspec.json.decode(sent.body) == {
        "expression": "productKey = 'p1'",
        "pagination": {"pageNo": 3, "pageSize": 20},
    }
    assert dict(sent.query) == {"action": "searchDeviceUpgrade", "orgId": "o1"}
    assert source.facts(raw) == PageFacts(rows=1, total=41, number=3, size=20)
    rows = source.decode(raw)
    assert rows.good == [DeviceUpgrade(backend="test", device_id=DeviceId("a"), upgrading=True)]
    assert [source.key(row) for row in rows.good] == ["a"]
    assert source.keep(rows.good[0])


@pytest.mark.parametrize(
    ("plan", "row", "key"),
    [
        (plan_firmware(FirmwareQuery()), {"firmwareId": "f1", "version": "1"}, "f1"),
        (plan_jobs(JobQuery()), {"jobId": "j1", "status": "started"}, "j1"),
    ],
)
async def test_each_listing_has_its_own_key(plan: Plan[Any], row: dict[str, Any], key: str) -> None:
    """Firmware by its firmwareId, jobs by their jobId; records carry the client's label."""
    source, _ = reads(plan, page(row))
    (found,) = source.decode(await source.fetch(source.partitions()[0], PageWindow(1, 50))).good
    assert (source.key(found), found.backend) == (key, "test")


async def test_bad_rows_name_operation_and_backend() -> None:
    """So that a log line of a scan over many clients can be understood."""
    source, _ = reads(plan_devices(DeviceUpgradeQuery()), page({"assetId": 1}, {"assetId": "a"}))
    rows = source.decode(await source.fetch(source.partitions()[0], PageWindow(1, 50)))
    (error,) = rows.errors
    assert (error.operation, error.backend, error.status, len(rows.good)) == ("devices.search", "test", 200, 1)


@pytest.mark.parametrize("read", ["facts", "decode"])
def test_what_is_no_page_names_operation_and_backend(read: str) -> None:
    """As every other error."""
    source, _ = reads(plan_devices(DeviceUpgradeQuery()))
    raw = RawPage(
        partition=source.partitions()[0], window=PageWindow(1, 50), response=HttpResponse(status=200, body=b"<html>")
    )
    with pytest.raises(PayloadError) as caught:
        getattr(source, read)(raw)
    assert (caught.value.operation, caught.value.backend, caught.value.attempts) == ("devices.search", "test", 1)


async def test_markers_are_refused() -> None:
    """EnOS has page numbers only."""
    source, transport = reads(plan_devices(DeviceUpgradeQuery()))
    with pytest.raises(InvalidQueryError, match="by number, not by marker"):
        await source.fetch(source.partitions()[0], MarkerWindow(None, 50))
    assert not transport.sent
