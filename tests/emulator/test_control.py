"""The control API of an emulator: what it tells, what it changes, and how it refuses."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from otaclient.emulator import (
    AnswerFault,
    AtOnceCapacity,
    Constant,
    DropFault,
    EmulatorServer,
    FaultPlan,
    Fleet,
    LatencyTable,
)
from otaclient.emulator.control import PATHS, PREFIX, _is_from_here
from otaclient.errors import OtaError
from otaclient.queries import JobQuery
from otaclient.testing import HandClock, emulator_of, serve
from otaclient.transport.retry import RetryPolicy

FLEET = Fleet.generate(devices=60)
VENDORS = ["enos", "iotda"]


class Desk:
    """A client of the control API."""

    def __init__(self, emulator: EmulatorServer, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Send one request; return the status and what the answer says."""
        data: Any = json.dumps(body) if body is not None and not isinstance(body, str | bytes) else body
        if isinstance(data, bytes):
            data = io.BytesIO(data)
        async with self.session.request(method, PREFIX + path, data=data, **options) as response:
            assert response.content_type == "application/json"
            return response.status, await response.json()

    async def said(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send one request that is granted; return what the answer says."""
        status, said = await self.ask(method, path, body, **options)
        assert status < 300, said
        return said


@pytest.fixture(params=VENDORS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with emulator_of(request.param, FLEET, control=True, clock=HandClock().service) as emulator:
        async with aiohttp.ClientSession(emulator.url) as session:
            yield Desk(emulator, session)


# --- telling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_state_adds_up(vendor: str) -> None:
    """What came in is answered, cut or under way; the answers and the faults are told by kind, the times too."""
    clock = HandClock()
    plan = FaultPlan(
        faults=[
            DropFault(operation="jobs.search", times=1, name="gone"),
            AnswerFault(operation="jobs.search", status=502, times=2),
        ]
    )
    emulator = emulator_of(vendor, FLEET, control=True, clock=clock.service, fault_plan=plan)
    async with serve(vendor, emulator, clock=clock) as service, aiohttp.ClientSession(emulator.url) as session:
        await service.backend.authenticate()
        bare, desk = service.backend.with_options(retry=RetryPolicy.none()), Desk(emulator, session)
        for _ in range(3):
            with pytest.raises(OtaError):
                await bare.jobs.search(JobQuery()).first(1)
        hold = emulator.faults.delay("jobs.search")
        waiting = asyncio.create_task(bare.jobs.search(JobQuery()).first(1))
        await hold.arrived()
        clock.advance(2)
        state = await desk.said("GET", "/state")
        requests = state["requests"]
        assert requests["in_flight"] == 1
        assert requests["total"] == requests["answered"] + requests["unanswered"] + requests["in_flight"]
        assert requests["total"] == sum(requests["by_operation"].values()) == emulator.served.total()
        assert requests["answered"] == sum(state["answers"].values()) == state["latency"]["all"]["count"]
        assert (requests["unanswered"], state["answers"]["502"]) == (1, 2)
        assert state["struck"] == {"answer": 2, "drop": 1, "hold": 1}
        assert [(one["name"], one["struck"], one["is_over"]) for one in state["faults"]] == [
            ("gone", 1, True),
            ("answer-1", 2, True),
        ]
        assert (state["vendor"], state["fleet"]["devices"], state["uptime_seconds"]) == (vendor, 60, 2)
        hold.release()
        await waiting
        state = await desk.said("GET", "/state")
        assert state["requests"]["in_flight"] == 0
        assert state["latency"]["by_operation"]["jobs.search"]["max_seconds"] == 2


async def test_its_own_requests_leave_no_trace(desk: Desk) -> None:
    """They are not counted, not struck, not delayed and take no place: not even with everything against them."""
    desk.emulator.follow(
        FaultPlan(
            latency=LatencyTable(default=Constant(seconds=3600)),
            capacity=AtOnceCapacity(limit=1, service_seconds=3600),
            faults=[DropFault()],
        )
    )
    desk.emulator.faults.drop(times=None)
    for path in ("/", "", "/state", "/schema", "/fault-plan", "/faults", "/faults/drop-1"):
        await desk.said("GET", path)
    assert await desk.said("GET", "/schema") == FaultPlan.schema()
    assert not desk.emulator.served
    assert (await desk.said("GET", "/state"))["requests"]["total"] == 0


async def test_the_list_of_paths_is_whole(desk: Desk) -> None:
    """What it lists is there, method by method, and nothing else is."""
    listed = (await desk.said("GET", ""))["paths"]
    assert set(listed) == {PREFIX + (path or "/") for path in PATHS}
    for path in PATHS:
        taken = set()
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            status, _ = await desk.ask(method, path.replace("{name}", "no-such"), "{}")
            if status != 405:
                taken.add(method)
        assert taken == set(PATHS[path])


# --- changing --------------------------------------------------------------------------------------------------------


async def test_a_plan_is_put_and_taken_away(desk: Desk) -> None:
    """As JSON or as TOML; the answer is the plan that is followed, and so is what one reads later."""
    plan = {"version": 1, "seed": 3, "faults": [{"kind": "drop", "name": "a", "share": 0.5}]}
    assert await desk.said("PUT", "/fault-plan", plan) == plan
    assert await desk.said("GET", "/fault-plan") == plan
    assert desk.emulator.fault_plan.faults == (DropFault(name="a", share=0.5),)
    toml = 'version = 1\n[capacity]\nkind = "at-once"\nlimit = 4\n'
    headers = {"Content-Type": "application/toml"}
    said = await desk.said("PUT", "/fault-plan", toml, headers=headers)
    assert said == {"version": 1, "capacity": {"kind": "at-once", "limit": 4}}
    assert await desk.said("DELETE", "/fault-plan") == {"version": 1}
    assert desk.emulator.fault_plan == FaultPlan()


async def test_single_faults_come_and_go(desk: Desk) -> None:
    """Each has a name; those that are there go on."""
    first = await desk.said("POST", "/faults", {"kind": "drop", "times": 2})
    assert first == {"kind": "drop", "name": "drop-1", "times": 2, "seen": 0, "struck": 0, "is_over": False}
    await desk.said("POST", "/faults", {"kind": "answer", "status": 503, "operation": "jobs.*", "name": "busy"})
    assert desk.emulator.planned.take("devices.search") is not None
    assert [(one["name"], one["struck"]) for one in await desk.said("GET", "/faults")] == [("drop-1", 1), ("busy", 0)]
    assert (await desk.said("DELETE", "/faults/drop-1"))["struck"] == 1
    assert [one["name"] for one in (await desk.said("GET", "/fault-plan"))["faults"]] == ["busy"]
    assert (await desk.said("GET", "/faults/busy/"))["status"] == 503
    assert await desk.said("DELETE", "/faults") == []
    assert await desk.ask("GET", "/faults/busy") == (
        404,
        {"error": {"message": 'there is no fault "busy"; the faults are: none'}},
    )


async def test_counters_begin_anew_and_still_add_up() -> None:
    """What is under way at the reset counts as if it came in then."""
    clock = HandClock()
    emulator = emulator_of("enos", FLEET, control=True, clock=clock.service)
    async with serve("enos", emulator, clock=clock) as service, aiohttp.ClientSession(emulator.url) as session:
        desk = Desk(emulator, session)
        await service.backend.jobs.search(JobQuery()).first(1)
        hold = emulator.faults.delay("jobs.search")
        waiting = asyncio.create_task(service.backend.jobs.search(JobQuery()).first(1))
        await hold.arrived()
        state = await desk.said("POST", "/reset-counters")
        assert (state["requests"]["total"], state["requests"]["in_flight"], state["answers"]) == (1, 1, {})
        assert (state["struck"], state["latency"]["all"]["count"]) == ({}, 0)
        hold.release()
        await waiting
        requests = (await desk.said("GET", "/state"))["requests"]
        assert (requests["total"], requests["answered"], requests["in_flight"]) == (1, 1, 0)


async def test_tokens_expire_on_demand(desk: Desk) -> None:
    """As when a test calls it on the emulator."""
    expired: list[bool] = []
    desk.emulator.expire_tokens = lambda: expired.append(True)  # type: ignore[method-assign]
    assert await desk.said("POST", "/expire-tokens") == {"expired": True}
    assert expired == [True]


# --- refusing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", {"message": "the body is empty; it must be JSON: send some"}),
        (b"{", {"rule": "it must be JSON"}),
        (b"\xff\xfe\xfa", {"rule": "it must be JSON"}),
        (b"[" * 100_000, {"found": "cannot be read: it is nested too deeply"}),
        (b'{"version":1,"version":1}', {"found": "cannot be read: the key 'version' is there twice"}),
        (b'{"version":NaN}', {"found": "cannot be read: NaN is no number of JSON"}),
        (b'{"version":1,"x\\ud800":1}', {"rule": "it must be JSON"}),
        (b'{"version":1,"seed":' + b"9" * 4000 + b"}", {"key": "seed", "rule": "it must be a whole number from 0"}),
        (b'{"version":1,"seed":' + b"9" * 5000 + b"}", {"rule": "it must be JSON"}),
        (b"[]", {"message": "the body is a list; it must be a table of keys and values: write a table", "key": ""}),
        (b"{}", {"key": "version", "found": "is missing", "remedy": "write version = 1, for example"}),
        (b'{"version":1,"seed":null}', {"key": "seed", "found": "is null"}),
        (
            b'{"version":1,"faults":[{"kind":"drop","shre":1}]}',
            {"key": "faults[0].shre", "found": "is not known", "remedy": "did you mean share?"},
        ),
        (
            b'{"version":1,"faults":[{"kind":"drop","operation":"jobs.serch"}]}',
            {"key": "faults[0].operation", "found": 'is "jobs.serch"', "remedy": "did you mean jobs.search?"},
        ),
    ],
)
async def test_a_wrong_plan_is_refused_and_changes_nothing(desk: Desk, body: bytes, said: dict[str, str]) -> None:
    """The answer names the key, what is there, the rule and the remedy."""
    before = FaultPlan(faults=[DropFault(name="a")])
    desk.emulator.follow(before)
    status, answer = await desk.ask("PUT", "/fault-plan", body)
    assert status == 400
    assert set(answer["error"]) == {"message", "key", "found", "rule", "remedy"}
    for name, text in said.items():
        assert answer["error"][name].startswith(text)
    assert desk.emulator.fault_plan == before


async def test_a_wrong_fault_is_refused_and_changes_nothing(desk: Desk) -> None:
    """By the same rules as in a plan; also a name that is taken."""
    await desk.said("POST", "/faults", {"kind": "drop", "name": "a"})
    for fault, key in (
        ({"kind": "drop", "name": "a"}, "name"),
        ({"kind": "drop", "operation": "x.*"}, "operation"),
        ({"kind": "drop", "share": 2}, "share"),
        ({"kind": "cut"}, "after_bytes"),
        ({"share": 1}, "kind"),
        ([], ""),
    ):
        status, answer = await desk.ask("POST", "/faults", fault)
        assert (status, answer["error"]["key"]) == (400, key)
    assert len(desk.emulator.fault_plan.faults) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "remedy"),
    [
        (
            "PUT",
            "/fault-plan",
            b"version = 1",
            "mend it at that place, or say Content-Type: application/toml if it is ",
        ),
        ("POST", "/faults", b'[{"kind": "drop"}]', 'write {"kind": "drop", "share": 0.01}, for example'),
    ],
)
async def test_a_body_of_another_kind_gets_its_own_remedy(
    desk: Desk, method: str, path: str, body: bytes, remedy: str
) -> None:
    """TOML that is not said to be any, and a list of faults, are told what to send; in JSON, as they came."""
    status, answer = await desk.ask(method, path, body)
    assert (status, answer["error"]["key"]) == (400, "")
    assert answer["error"]["remedy"].startswith(remedy)


async def test_toml_that_is_none_is_refused(desk: Desk) -> None:
    """With the place in it; bytes that are no text too."""
    for body, found in ((b"version", "Expected '='"), (b"\xff", "invalid start byte at byte 0")):
        status, answer = await desk.ask("PUT", "/fault-plan", body, headers={"Content-Type": "application/toml"})
        assert status == 400
        assert found in answer["error"]["found"]


async def test_what_is_not_there_is_told_with_what_is(desk: Desk) -> None:
    """An unknown path lists the paths, an unknown method the methods; a body without end is refused."""
    status, answer = await desk.ask("GET", "/stat")
    assert (status, answer["error"]["message"]) == (404, f"there is nothing at {PREFIX}/stat: take one of the paths")
    assert f"{PREFIX}/state" in answer["paths"]
    async with desk.session.post(f"{PREFIX}/state") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")
        assert "does not take POST: take GET" in await response.text()
    status, answer = await desk.ask("PUT", "/fault-plan", b"x" * (16 * 1024 * 1024 + 1))
    assert (status, "shorter" in answer["error"]["message"]) == (413, True)


async def test_a_bug_is_logged_and_answered(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that goes wrong in it takes the emulator down."""
    desk.emulator.reset_counters = None  # type: ignore[assignment, method-assign]
    with caplog.at_level(logging.ERROR):
        status, answer = await desk.ask("POST", "/reset-counters")
    assert (status, answer["error"]["message"]) == (500, "unexpected TypeError; this is a fault of otaclient")
    assert "POST /__emulator__/reset-counters failed" in caplog.text
    await desk.said("GET", "/state")


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("", False),
        (None, False),
    ],
)
def test_only_clients_on_this_machine_are_let_in(address: str | None, is_here: bool) -> None:
    """Whatever the emulator is bound to."""
    assert _is_from_here(address) is is_here


async def test_other_machines_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get to know why, and nothing of what there is; the vendor's own paths stay open to them."""
    monkeypatch.setattr(web.BaseRequest, "remote", "192.0.2.1")
    for path in ("/state", "/no-such"):
        status, answer = await desk.ask("GET", path)
        assert status == 403
        assert set(answer) == {"error"}
        assert "on its own machine only" in answer["error"]["message"]
    async with desk.session.get("/elsewhere") as response:
        assert response.status == 404


@pytest.mark.parametrize("vendor", VENDORS)
async def test_it_is_off_unless_asked_for(vendor: str) -> None:
    """Then its paths are what they are at the vendor's: unknown; and nothing is watched."""
    async with emulator_of(vendor, FLEET) as emulator, aiohttp.ClientSession(emulator.url) as session:
        async with session.get(f"{PREFIX}/state") as response:
            assert response.status == 404
            assert "/__emulator__/" not in await response.text()
        assert emulator.served == {"other": 1}
        assert emulator._traffic is None
    async with emulator_of(vendor, FLEET, control=True) as emulator, aiohttp.ClientSession(emulator.url) as session:
        async with session.get(f"{PREFIX}x/state") as response:
            assert response.status == 404
        assert emulator.served == {"other": 1}


async def test_a_real_clock_times_to_the_microsecond() -> None:
    """Most requests take less than the millisecond in which emulators count their own time."""
    async with emulator_of("enos", FLEET, control=True) as emulator, aiohttp.ClientSession(emulator.url) as session:
        async with session.get("/elsewhere") as response:
            await response.read()
        assert 0 < (await Desk(emulator, session).said("GET", "/state"))["latency"]["all"]["max_seconds"] < 60
