"""The EnOS client over a scripted network: what it sends, and what comes out."""

from typing import Any

import pytest

from otaclient.errors import (
    ConfigurationError,
    InvalidQueryError,
    NotFoundError,
    PayloadError,
    TransportError,
    UnsupportedOperationError,
)
from otaclient.models import Firmware, Job, JobId
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import PageWindow
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient_enos import EnosBackend, EnosConfig, plugin
from support.enos_backend import CONFIG, FIRMWARE, Stage, answer, token

JOB = {"jobId": "j1", "status": "started"}


async def test_firmware_get_asks_and_maps() -> None:
    """One signed request after the token; the record carries the client's label."""
    stage = Stage(token(), answer(FIRMWARE))
    assert await stage.enos.firmware.get("f1") == Firmware(backend="plant-7", firmware_id="f1", version="1.0")  # type: ignore[arg-type]
    assert stage.paths == ["get", "ota-firmwares"]
    sent = stage.transport.sent[1]
    assert dict(sent.query) == {"action": "get", "orgId": "o1", "firmwareId": "f1"}
    assert sent.headers["apim-accesstoken"] == "t-1"


async def test_jobs_get_asks_and_maps() -> None:
    """As with firmware."""
    stage = Stage(token(), answer(JOB))
    found = await stage.enos.jobs.get(JobId("j1"))
    assert isinstance(found, Job)
    assert (found.job_id, found.backend) == ("j1", "plant-7")
    assert dict(stage.transport.sent[1].query) == {"action": "get", "orgId": "o1", "jobId": "j1"}


async def test_what_does_not_exist_is_not_found() -> None:
    """The error names the identifier, the operation, the backend and the vendor's request."""
    stage = Stage(token(), answer(None, code=24404))
    with pytest.raises(NotFoundError) as caught:
        await stage.enos.firmware.get("f9")
    error = caught.value
    assert "firmware 'f9'" in error.message
    facts = (error.operation, error.backend, error.attempts, error.vendor_code, error.request_id)
    assert facts == ("firmware.get", "plant-7", 1, "24404", "r-1")


@pytest.mark.parametrize("name", ["firmware", "jobs"])
async def test_identifiers_that_cannot_be_right_send_nothing(name: str) -> None:
    """Not even a token is asked for."""
    stage = Stage()
    with pytest.raises(InvalidQueryError) as caught:
        await getattr(stage.enos, name).get("")
    assert (caught.value.operation, caught.value.backend) == (f"{name}.get", "plant-7")
    assert not stage.transport.sent


@pytest.mark.parametrize("name", ["firmware", "jobs"])
async def test_a_record_that_is_none_names_backend_and_operation(name: str) -> None:
    """Success without the record is an error of the payload, never ``None``."""
    stage = Stage(token(), answer(None))
    with pytest.raises(PayloadError) as caught:
        await getattr(stage.enos, name).get("x")
    assert (caught.value.operation, caught.value.backend, caught.value.attempts) == (f"{name}.get", "plant-7", 1)


async def test_a_plain_loop_crosses_all_pages() -> None:
    """Items of every page come out, one request a page."""
    rows = [{"assetId": f"a{number}"} for number in range(120)]
    pages = [
        answer(rows[start : start + 50], pageNo=number, pageSize=50, totalSize=120)
        for number, start in ((1, 0), (2, 50), (3, 100))
    ]
    stage = Stage(token(), *pages)
    found = [upgrade.device_id async for upgrade in stage.enos.devices.search()]
    assert found == [row["assetId"] for row in rows]
    assert [stage.body(number)["pagination"]["pageNo"] for number in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("query", "path", "action"),
    [
        (FirmwareQuery(), "ota-firmwares", "search"),
        (JobQuery(), "ota-jobs", "search"),
        (DeviceUpgradeQuery(), "ota-firmwares", "searchDeviceUpgrade"),
        (DeviceTaskQuery(job_id=JobId("j1")), "ota-jobs", "searchTask"),
    ],
)
async def test_searches_go_to_their_actions(query: Any, path: str, action: str) -> None:
    """A query's type chooses the listing, in ``search`` and in ``reads``."""
    stage = Stage(token(), answer([]), answer([]))
    enos = stage.enos
    searches: dict[type[Any], Any] = {
        FirmwareQuery: enos.firmware.search,
        JobQuery: enos.jobs.search,
        DeviceUpgradeQuery: enos.devices.search,
        DeviceTaskQuery: enos.jobs.tasks,
    }
    assert await searches[type(query)](query).collect(10) == ()
    source = enos.reads(query)
    await source.fetch(source.partitions()[0], PageWindow(1, 50))
    for sent in stage.transport.sent[1:]:
        assert (sent.path.rsplit("/", 1)[1], dict(sent.query)["action"]) == (path, action)


async def test_a_query_may_name_another_organisation() -> None:
    """Its owner replaces orgId, and cursors of the one are refused by the other."""
    full = answer([FIRMWARE], pageNo=1, pageSize=1, totalSize=2)
    stage = Stage(token(), full, full)
    pages = stage.enos.firmware.search(FirmwareQuery(owner_id="o2")).pages(page_size=1)
    cursor = (await anext(pages)).cursor
    assert dict(stage.transport.sent[1].query)["orgId"] == "o2"
    with pytest.raises(InvalidQueryError, match="another query"):
        stage.enos.firmware.search().pages(cursor=cursor)
    other = stage.enos.with_options(owner_id="o3")
    await anext(other.firmware.search().pages(page_size=1))
    assert dict(stage.transport.sent[2].query)["orgId"] == "o3"
    with pytest.raises(InvalidQueryError, match="another query"):
        stage.enos.firmware.search(FirmwareQuery()).pages(cursor=cursor)


@pytest.mark.parametrize("name", ["firmware", "jobs", "devices"])
@pytest.mark.parametrize("query", ["BXwU4kMk", DeviceTaskQuery(job_id=JobId("j"))])
def test_a_query_of_another_kind_is_refused_at_once(name: str, query: Any) -> None:
    """At the call of ``search``, not at the first row."""
    with pytest.raises(InvalidQueryError, match=f"the query is a {type(query).__name__}: give a ") as caught:
        getattr(Stage().enos, name).search(query)
    assert (caught.value.operation, caught.value.backend) == (f"{name}.search", "plant-7")


def test_a_query_that_cannot_be_answered_is_refused_at_once() -> None:
    """At the call of ``search``, with operation and backend."""
    with pytest.raises(InvalidQueryError) as caught:
        Stage().enos.firmware.search(FirmwareQuery(kinds=["module"]))
    assert (caught.value.operation, caught.value.backend) == ("firmware.search", "plant-7")
    with pytest.raises(InvalidQueryError, match="owner_id"):
        Stage().enos.jobs.search(JobQuery(owner_id=" "))


async def test_what_is_not_there_is_refused_before_any_request() -> None:
    """Capabilities list what works; the rest raises."""
    stage = Stage()
    assert stage.enos.capabilities == set(Capability) - {Capability.DEVICES_GET, Capability.JOBS_HOLD}
    with pytest.raises(UnsupportedOperationError):
        await stage.enos.devices.get("a1")
    assert not stage.transport.sent


def test_the_client_tells_who_it_is() -> None:
    """Name, label, listener; its representation shows label and endpoint, no key and no secret."""
    stage = Stage()
    assert isinstance(stage.enos, Backend)
    assert (stage.enos.name, stage.enos.label, stage.enos.on_event) == ("enos", "plant-7", stage.events.append)
    assert repr(stage.enos) == "<EnosBackend 'plant-7' at https://apim.example.com>"
    assert (plugin.name, plugin.config_type) == ("enos", EnosConfig)


async def test_open_makes_a_client_with_a_pool_of_its_own() -> None:
    """The class method takes the options of ``open_backend``; closing twice does no harm."""
    async with EnosBackend.open(CONFIG, timeout_seconds=5, retry=RetryPolicy.none(), limits=Limits.unlimited()) as enos:
        assert enos.label == "enos"
    await enos.aclose()
    with pytest.raises(TransportError, match="closed"):
        await enos.firmware.get("f1")
    assert EnosBackend.open(CONFIG, label="other").label == "other"


async def test_other_options_share_token_and_pool() -> None:
    """The same token serves both; closing the derived client closes nothing."""
    stage = Stage(token(), answer(FIRMWARE), answer(JOB))
    async with stage.enos.with_options(timeout_seconds=1, retry=RetryPolicy.none()) as derived:
        await derived.firmware.get("f1")
    await stage.enos.jobs.get("j1")
    assert stage.paths == ["get", "ota-firmwares", "ota-jobs"]
    assert stage.transport.closed == 0
    await stage.enos.aclose()
    assert stage.transport.closed == 1


@pytest.mark.parametrize("owner_id", ["", "o 2"])
def test_an_owner_that_cannot_be_right_is_refused(owner_id: str) -> None:
    """The option is named."""
    with pytest.raises(ConfigurationError, match="owner_id"):
        Stage().enos.with_options(owner_id=owner_id)
