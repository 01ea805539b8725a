"""Flexible searches of IoTDA devices, at their own pace; and which devices are being upgraded."""

from typing import Any

import msgspec
import pytest

import otaclient
from otaclient.errors import DeadlineExceededError, InvalidQueryError, NotFoundError, PayloadError
from otaclient.models import Connection, DeviceId
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import MarkerWindow, RawPage
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_iotda import AkSkCredentials, IotdaBackend, IotdaConfig, plugin
from otaclient_iotda.pace import SEARCHES_PER_SECOND
from otaclient_iotda.upgrading import LEAST_REQUESTS
from support.network import ScriptedTransport

ALL = "select * from device"
TURN = 1 / SEARCHES_PER_SECOND


def reply(body: Any, status: int = 200) -> HttpResponse:
    """Return an answer."""
    return HttpResponse(status=status, body=body if isinstance(body, bytes) else msgspec.json.encode(body))


def opened(*answers: Any, **options: Any) -> tuple[IotdaBackend, ScriptedTransport, HandClock]:
    """Return a client, the network that answers it, and its clock."""
    keys = AkSkCredentials(access_key="AK", secret_key="very-secret")
    config = IotdaConfig(endpoint="https://iotda.cn-north-4.myhuaweicloud.com", project_id="p1", credentials=keys)
    network, clock = ScriptedTransport(answers), HandClock()
    session = Session(label="north", transport=network, clock=clock, roll=lambda: 0.5, **options)
    return plugin.open(config, session), network, clock


# --- what a statement finds ------------------------------------------------------------------------------------------


async def test_a_statement_finds_devices() -> None:
    """As the shared model, and with everything that the vendor sent; it went out as it is."""
    row = {
        "device_id": "d1",
        "node_id": "n1",
        "product_id": "p",
        "app_id": "space",
        "fw_version": "V1.0",
        "status": "ONLINE",
        "tags": [{"tag_key": "site", "tag_value": "hall"}],
        "groups": {"g": 1},
        "marker": "a" * 24,
    }
    iotda, network, _ = opened(reply({"devices": [row, {"device_id": "d2", "marker": "9" * 24}]}))
    found = await iotda.search_devices(ALL)
    first, second = found.devices
    assert (first.device_id, first.device_key, first.product_id, first.owner_id) == ("d1", "n1", "p", "space")
    assert (first.firmware_version, first.connection, first.upgrading) == ("V1.0", Connection.ONLINE, None)
    assert (second.device_id, second.firmware_version, second.backend) == ("d2", None, "north")
    assert found.rows[0]["tags"] == ({"tag_key": "site", "tag_value": "hall"},)
    assert (found.marker, found.count) == ("9" * 24, None)
    (request,) = network.sent
    assert (request.method, request.path) == ("POST", "/v5/iot/p1/search/query-devices")
    assert msgspec.json.decode(request.body) == {"sql": ALL}


@pytest.mark.parametrize("answer", [{"devices": []}, {"devices": None}])
async def test_a_statement_may_find_nothing(answer: Any) -> None:
    """Then there is no marker to go on from."""
    iotda, _, _ = opened(reply(answer))
    found = await iotda.search_devices(ALL)
    assert (found.devices, found.rows, found.marker, found.count) == ((), (), None, None)


async def test_a_statement_may_count() -> None:
    """It finds a number and no devices."""
    iotda, _, _ = opened(reply({"count": 7}))
    found = await iotda.search_devices("select count(*) from device")
    assert (found.count, found.devices) == (7, ())


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        (ALL, {}),
        (ALL, []),
        (ALL, {"devices": 7}),
        (ALL, {"devices": [{"device_id": "d"}, {"fw_version": "1"}]}),
        (ALL, b"<html>"),
        ("select count(*) from device", {"devices": []}),
        ("select count(1) from device", {"count": "n/a"}),
    ],
)
async def test_answers_that_are_none(sql: str, answer: Any) -> None:
    """They are errors that name the operation; no row is dropped."""
    iotda, _, _ = opened(reply(answer))
    with pytest.raises(PayloadError) as caught:
        await iotda.search_devices(sql)
    assert (caught.value.operation, caught.value.backend, caught.value.attempts) == ("devices.query", "north", 1)


async def test_what_the_vendor_refuses_is_named() -> None:
    """The statement is in the error: it is what has to be changed."""
    for status, kind, words in (
        (400, InvalidQueryError, f"list for {ALL!r}: the vendor cannot use the request: no"),
        (404, NotFoundError, f"there is no list for {ALL!r}: no"),
    ):
        iotda, _, _ = opened(reply({"error_code": "IOTDA.000006", "error_msg": "no"}, status))
        with pytest.raises(kind) as caught:
            await iotda.search_devices(ALL)
        assert caught.value.message == words


async def test_a_statement_beyond_the_limits_is_not_sent() -> None:
    """Nor does it take a turn."""
    iotda, network, clock = opened(reply({"devices": []}))
    with pytest.raises(InvalidQueryError, match="at most 400") as caught:
        await iotda.search_devices("x" * 401)
    assert (caught.value.operation, network.sent) == ("devices.query", [])
    await iotda.search_devices(ALL)
    assert clock.slept == []


# --- pace ------------------------------------------------------------------------------------------------------------


async def test_searches_take_turns() -> None:
    """One in a little more than a second, over all clients made of one; other operations do not wait."""
    iotda, network, clock = opened(*[reply({"devices": []})] * 4)
    clones = [iotda, iotda.with_options(owner_id="x"), iotda.with_options(limits=Limits.unlimited())]
    started = clock.seconds
    for clone in clones:
        await clone.search_devices(ALL)
    assert clock.seconds - started == pytest.approx(2 * TURN)
    network.answers = [reply({"device_id": "d"})]
    await iotda.devices.get("d")
    assert clock.seconds - started == pytest.approx(2 * TURN)


async def test_a_turn_beyond_the_deadline_is_not_waited_for() -> None:
    """Who asks for it hears so at once; nothing is sent, and no turn is lost."""
    iotda, network, clock = opened(*[reply({"devices": []})] * 2, timeout_seconds=TURN - 0.01)
    await iotda.search_devices(ALL)
    for _ in range(3):
        with pytest.raises(DeadlineExceededError) as caught:
            await iotda.search_devices(ALL)
        assert (caught.value.operation, caught.value.attempts) == ("devices.query", 0)
    assert (len(network.sent), clock.slept) == (1, [])
    clock.seconds += TURN
    await iotda.search_devices(ALL)
    assert (len(network.sent), clock.slept) == (2, [])


async def test_a_throttled_search_slows_down_searches_alone() -> None:
    """The repeated one waits for its turn; what else the client does goes on."""
    throttled = reply({"error_code": "APIGW.0308", "error_msg": "Too fast."}, 429)
    iotda, network, clock = opened(throttled, reply({"device_id": "d"}), reply({"devices": []}))
    quick = iotda.with_options(retry=RetryPolicy.none())
    with pytest.raises(otaclient.RateLimitedError):
        await quick.search_devices(ALL)
    await iotda.devices.get("d")
    assert clock.slept == []
    await iotda.search_devices(ALL)
    assert sum(clock.slept) == pytest.approx(TURN)
    assert len(network.sent) == 3


async def test_searches_also_keep_to_the_clients_own_limits() -> None:
    """Where no slot comes free in time, the search is refused, and its slot is given back after each call."""
    iotda, _, _ = opened(*[reply({"devices": []})] * 3, limits=Limits(concurrency=1))
    for _ in range(3):
        await iotda.search_devices(ALL)


# --- who is being upgraded -------------------------------------------------------------------------------------------


class Platform:
    """A service with some jobs, of which it shows what is asked for."""

    def __init__(self, jobs: dict[str, tuple[str, str, dict[str, str]]]) -> None:
        self.jobs = jobs
        self.devices = [f"d{number}" for number in range(6)]
        self.deleted: set[str] = set()
        self.sent: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer with one page; the page behind a marker is empty."""
        self.sent.append(request)
        asked = dict(request.query)
        place = request.path.removeprefix("/v5/iot/p1/")
        if place == "devices":
            return self._page("devices", [{"device_id": device} for device in self.devices], asked)
        if place == "batchtasks":
            rows = [
                {"task_id": job_id}
                for job_id, (kind, status, _) in self.jobs.items()
                if (kind, status) == (asked["task_type"], asked["status"])
            ]
            return self._page("batchtasks", rows, asked)
        job_id = place.removeprefix("batchtasks/")
        if job_id in self.deleted:
            return reply({"error_code": "IOTDA.000029", "error_msg": "No such task."}, 404)
        targets = self.jobs[job_id][2]
        rows = [{"target": each} for each, status in targets.items() if status == asked["task_detail_status"]]
        return self._page("task_details", rows, asked)

    def _page(self, key: str, rows: list[Any], asked: dict[str, str]) -> HttpResponse:
        found = [] if "marker" in asked else rows
        return reply({key: found, "page": {"count": len(rows), "marker": "a" * 24 if found else None}})


def platform() -> Platform:
    """Return a service with open jobs of all types, and one that has ended."""
    return Platform(
        {
            "a1": ("firmwareUpgrade", "Processing", {"d0": "Processing", "d1": "Success", "d9": "Waitting"}),
            "a2": ("softwareUpgrade", "Waitting", {"d2": "Waitting", "d0": "Waitting"}),
            "a3": ("moduleUpgrade", "Stopping", {"d3": "FailWaitRetry", "d4": "Stopped"}),
            "a4": ("firmwareUpgrade", "Fail", {"d5": "Processing"}),
        }
    )


UPGRADING = {"d0": True, "d1": False, "d2": True, "d3": True, "d4": False, "d5": False}


async def test_open_jobs_tell_who_is_being_upgraded() -> None:
    """Those whose upgrade is waiting, in process, or to be tried again; the jobs are read once, before the devices."""
    service = platform()
    iotda, network, _ = opened()
    network.answers = [service] * 60
    found = [device async for device in iotda.devices.search(DeviceUpgradeQuery(resolve_upgrading=True))]
    assert {device.device_id: device.upgrading for device in found} == UPGRADING
    places = [request.path.removeprefix("/v5/iot/p1/") for request in service.sent]
    assert places[-2:] == ["devices", "devices"]
    assert "devices" not in places[:-2]
    assert (
        LEAST_REQUESTS == 12 == len({request.query for request in service.sent if request.path.endswith("tasks")}) - 3
    )


@pytest.mark.parametrize(("wanted", "count"), [(True, 3), (False, 3)])
async def test_only_those_that_are_or_are_not(wanted: bool, count: int) -> None:
    """The vendor cannot filter by it, so that is done here."""
    iotda, network, _ = opened()
    network.answers = [platform()] * 60
    listing = iotda.devices.search(DeviceUpgradeQuery(resolve_upgrading=True, upgrading=wanted))
    found = [device async for device in listing]
    assert [device.device_id for device in found] == [name for name, state in UPGRADING.items() if state is wanted]
    assert len(found) == count


async def test_a_scan_finds_out_once() -> None:
    """And says beforehand what that costs."""
    service = platform()
    iotda, network, _ = opened()
    network.answers = [service] * 200
    query = DeviceUpgradeQuery(resolve_upgrading=True, upgrading=True, owner_id="space")
    scan = otaclient.scan([(iotda, query)])
    text = await scan.explain()
    assert "the vendor filters app_id=space (upgrading is told by the tasks of all open jobs" in text
    assert "12 requests or more" in text
    assert "filtered here: upgrading" in text
    async with scan:
        assert {device.device_id async for device in scan} == {"d0", "d2", "d3"}
    lists = [dict(request.query) for request in service.sent if request.path.endswith("batchtasks")]
    assert len([asked for asked in lists if "marker" not in asked]) == LEAST_REQUESTS
    assert {asked["app_id"] for asked in lists} == {"space"}


async def test_what_finding_out_cost_is_told_even_where_the_page_after_it_fails() -> None:
    """The requests were sent, so the certificate counts them."""
    service = platform()

    def answer(request: HttpRequest) -> HttpResponse:
        return reply(b"<html>") if request.path.endswith("devices") else service(request)

    iotda, network, _ = opened()
    network.answers = [answer] * 60
    async with otaclient.scan([(iotda, DeviceUpgradeQuery(resolve_upgrading=True))], on_error="collect") as scan:
        assert [device async for device in scan] == []
    assert (scan.certificate.requests, len(scan.errors)) == (len(network.sent), 1)


async def test_without_any_filter_the_cost_is_said_too() -> None:
    """As what is asked before."""
    iotda, _, _ = opened()
    assert iotda.reads(DeviceUpgradeQuery(resolve_upgrading=True)).pushed_down.startswith("nothing (upgrading is told")
    assert iotda.reads(DeviceUpgradeQuery()).pushed_down == ""


async def test_a_listing_that_is_walked_again_finds_out_again() -> None:
    """What changed in between shows; one that goes on does not find out again."""
    service = platform()
    iotda, network, _ = opened()
    network.answers = [service] * 200
    listing = iotda.devices.search(DeviceUpgradeQuery(resolve_upgrading=True, upgrading=True))
    assert [device.device_id async for device in listing] == ["d0", "d2", "d3"]
    service.jobs["a3"][2]["d4"] = "Processing"
    assert [device.device_id async for device in listing] == ["d0", "d2", "d3", "d4"]


async def test_a_job_that_is_deleted_meanwhile_upgrades_nobody() -> None:
    """It is no error."""
    service = platform()
    service.deleted.add("a3")
    iotda, network, _ = opened()
    network.answers = [service] * 60
    listing = iotda.devices.search(DeviceUpgradeQuery(resolve_upgrading=True, upgrading=True))
    assert [device.device_id async for device in listing] == ["d0", "d2"]


async def test_another_error_of_a_job_is_raised() -> None:
    """Without its targets nobody can tell."""
    service = platform()

    def answer(request: HttpRequest) -> HttpResponse:
        return reply(b"<html>") if request.path.endswith("a2") else service(request)

    iotda, network, _ = opened()
    network.answers = [answer] * 60
    with pytest.raises(PayloadError, match=r"jobs\.tasks"):
        await iotda.devices.search(DeviceUpgradeQuery(resolve_upgrading=True)).first(1)


async def test_a_page_from_elsewhere_tells_nothing_of_upgrades() -> None:
    """Rows that are decoded before anything was asked say that they do not know."""
    iotda, _, _ = opened()
    source = iotda.reads(DeviceUpgradeQuery(resolve_upgrading=True))
    raw = RawPage(
        partition=source.partitions()[0],
        window=MarkerWindow(None, 50),
        response=reply({"devices": [{"device_id": "d"}]}),
    )
    assert [(row.device_id, row.upgrading) for row in source.decode(raw).good] == [(DeviceId("d"), None)]


async def test_one_device_does_not_say() -> None:
    """A single device costs a single request, and leaves it open."""
    iotda, network, _ = opened(reply({"device_id": "d"}), reply({"error_code": "x", "error_msg": "y"}, 404))
    assert (await iotda.devices.get("d")).upgrading is None
    with pytest.raises(NotFoundError):
        await iotda.devices.get("e")
    assert len(network.sent) == 2
