"""Calls that begin when they are due, in time that a test drives: client and service are real, the wire is not."""

import asyncio
import gc
import random
from typing import Any

import pytest

from otaclient.emulator.faults import AnswerWith, Hold
from otaclient.load import Arrivals, CallResult, OpenModel, Operation, Report
from otaclient.queries import FirmwareQuery
from support.load_service import LoadService, Recorder, Stall
from support.modelled_load import modelled, reading, run

pytestmark = pytest.mark.blocks_loop("an hour of simulated time is over in one step of the real loop")


# --- what is charged to whom -----------------------------------------------------------------------------------------


def test_a_stalled_service_is_charged_with_every_call_that_was_due() -> None:
    """It stalls for a second at 100 calls a second: a hundred calls waited, the first for almost a second.

    A closed loop would have noted one slow call among 201 (coordinated omission).
    """

    async def course(service: LoadService) -> tuple[Report, list[CallResult]]:
        test, results = modelled(service, Arrivals.constant(rate=100, seconds=3))
        begin = service.clock.monotonic()
        service.emulator.faults.add(Stall(service.clock, begin + 0.995, begin + 1.995), times=None)
        return await test.run(), results

    report, results = run(course)
    figures = report.operations["jobs.get"]
    slow = [result for result in results if result.response_seconds > 0.001]
    assert (figures.due, figures.succeeded, len(slow)) == (300, 300, 100)
    assert sorted(result.response_seconds for result in slow) == pytest.approx([n / 100 - 0.005 for n in range(1, 101)])
    # The client sent each when it was due, so all of that is service.
    assert all(result.wait_seconds == pytest.approx(0, abs=1e-9) for result in results)
    assert figures.response.percentile(50) < 0.001
    assert figures.response.percentile(90) == pytest.approx(0.695, rel=0.01)
    assert figures.service.percentile(100) == pytest.approx(0.995)
    assert report.most_in_flight == 100
    assert report.harness_kept_up


def test_a_stalled_harness_is_not_charged_to_the_service() -> None:
    """It stops for half a second: calls begin late, which is wait, and said to be the harness's own."""

    async def course(service: LoadService) -> tuple[Report, list[CallResult]]:
        async def call(draws: random.Random) -> None:
            if service.clock.monotonic() - begin == pytest.approx(1.0):
                service.loop.advance(0.5)
            await service.client.jobs.get(draws.choice(ids))

        ids = service.job_ids
        test, results = modelled(service, Arrivals.constant(rate=20, seconds=3), Operation("jobs.get", call))
        begin = service.clock.monotonic()
        return await test.run(), results

    report, results = run(course)
    figures = report.operations["jobs.get"]
    late = sorted((result.lag_seconds for result in results if result.lag_seconds > 0.001), reverse=True)
    assert late == pytest.approx([0.45, 0.40, 0.35, 0.30, 0.25, 0.20, 0.15, 0.10, 0.05])
    assert figures.service.largest_seconds < 0.001
    assert figures.wait.largest_seconds == pytest.approx(0.5)
    # Whoever wanted an answer waited for the harness, too.
    assert sorted((result.response_seconds for result in results), reverse=True)[:10] == pytest.approx([0.5, *late])
    assert not report.harness_kept_up
    assert report.remarks[0].startswith("THE HARNESS WAS A BOTTLENECK: 1 % of calls began 450.0 ms late or more")


def test_a_token_that_dies_is_an_attempt_of_its_own() -> None:
    """The call that hears of it fails; the next one gets another, which takes time that is no service of either."""

    async def course(service: LoadService) -> tuple[Report, list[CallResult], dict[str, int]]:
        test, results = modelled(service, Arrivals.constant(rate=1, seconds=4))
        dead = AnswerWith(status=200, headers={"Content-Type": "application/json"}, body=b'{"code":4011}')
        service.emulator.faults.add(dead, "jobs.get")
        now = service.clock.monotonic()
        service.emulator.faults.add(Stall(service.clock, now, now + 1.25), "token.get", times=None)
        return await test.run(), results, dict(service.emulator.served)

    report, results, served = run(course)
    assert [result.error for result in results] == ["AuthenticationError", None, None, None]
    assert [result.requests for result in results] == [1, 1, 1, 1]
    assert [round(result.wait_seconds, 3) for result in results] == [0, 0.25, 0, 0]
    assert all(result.service_seconds < 0.001 for result in results)
    assert served == {"jobs.get": 4, "token.get": 1}
    assert report.tokens.largest_seconds == pytest.approx(0.25)
    assert "1 request for access tokens on the way, the longest 250.0 ms" in report.remarks[1]


# --- how many at once ------------------------------------------------------------------------------------------------


def test_nothing_caps_what_is_in_flight() -> None:
    """Also beyond what a client has by default: the service holds as many requests as were due."""

    async def course(service: LoadService) -> tuple[Report, int]:
        hold = Hold()
        service.emulator.faults.add(hold, times=None)
        test, _ = modelled(service, Arrivals.constant(rate=300, seconds=1))
        running = asyncio.create_task(test.run())
        await asyncio.sleep(2)
        held = service.requests
        service.emulator.faults.release_all()
        return await running, held

    report, held = run(course)
    assert (held, report.most_in_flight) == (300, 300)


def test_calls_beyond_the_cap_are_told() -> None:
    """Those that could not begin are counted and told, and a remark says what the figures lack."""

    async def course(service: LoadService) -> tuple[Report, list[CallResult], int]:
        test, results = modelled(service, Arrivals.constant(rate=100, seconds=3), max_in_flight=10)
        begin = service.clock.monotonic()
        service.emulator.faults.add(Stall(service.clock, begin + 0.995, begin + 1.995), times=None)
        return await test.run(), results, service.requests

    report, results, requests = run(course)
    figures = report.operations["jobs.get"]
    assert (figures.due, figures.not_begun, figures.succeeded, requests) == (300, 90, 210, 210)
    assert report.most_in_flight == 10
    missing = [result for result in results if result.began is None]
    assert [result.due for result in missing] == pytest.approx([1.1 + n / 100 for n in range(90)])
    assert all(each.response_seconds is each.wait_seconds is each.lag_seconds is None for each in missing)
    assert "90 of 300 calls did not begin, because max_in_flight was reached" in report.remarks[1]


# --- the same seed, the same requests --------------------------------------------------------------------------------


def mixed(service: LoadService) -> tuple[Operation, ...]:
    """Return three operations that choose what they ask for."""
    client, firmware = service.client, [str(each.firmware_id) for each in service.emulator.expected_firmware("x")]
    return (
        reading(service, weight=3),
        Operation("firmware.get", lambda draws: client.firmware.get(draws.choice(firmware))),
        Operation(
            "firmware.search",
            lambda draws: client.firmware.search(FirmwareQuery(kinds=["firmware"])).first(draws.randint(1, 3)),
        ),
    )


def requests_of(name: str, arrivals: Arrivals, seed: int, *, delay_seconds: float = 0.0) -> list[tuple[Any, ...]]:
    """Return what a load test sent, in the order in which it came in."""

    async def course(service: LoadService) -> list[tuple[Any, ...]]:
        recorder = Recorder(delay_seconds=delay_seconds)
        service.emulator.faults.add(recorder, times=None)
        test, _ = modelled(service, arrivals, *mixed(service), seed=seed)
        report = await test.run()
        assert report.total.failed == 0
        return recorder.requests

    found: list[tuple[Any, ...]] = run(course, name)
    return found


@pytest.mark.parametrize("name", ["enos", "iotda"])
def test_the_same_seed_sends_the_same_requests(name: str) -> None:
    """Byte for byte, headers and bodies too, and in the same order; also at another rate, and of a slower service."""
    arrivals = Arrivals.poisson(rate=50, seconds=2)
    first = requests_of(name, arrivals, seed=7)
    assert len(first) > 75
    assert len({request[1] for request in first}) > 5
    assert requests_of(name, arrivals, seed=7) == first
    assert requests_of(name, arrivals, seed=7, delay_seconds=0.3) == first
    others = requests_of(name, Arrivals.constant(rate=10, seconds=4), seed=7)
    assert others == first[:40]
    assert requests_of(name, arrivals, seed=8)[:50] != first[:50]


def test_operations_come_by_weight() -> None:
    """Three times the weight, three times as many."""

    async def course(service: LoadService) -> Report:
        async def nothing(_draws: random.Random) -> None: ...

        operations = [Operation("seldom", nothing), Operation("often", nothing, weight=3)]
        return await modelled(service, Arrivals.constant(rate=400, seconds=10), *operations)[0].run()

    report = run(course)
    assert report.operations["often"].due / report.total.due == pytest.approx(0.75, abs=0.02)


def _results_in_memory() -> int:
    gc.collect()
    return sum(type(thing) is CallResult for thing in gc.get_objects())


def test_memory_stays_flat() -> None:
    """Calls are made up when they are due, and nothing is kept of those that have ended."""

    async def course(service: LoadService) -> tuple[Report, int, int]:
        tasks = []

        async def nothing(_draws: random.Random) -> None:
            tasks.append(len(asyncio.all_tasks()))

        test = OpenModel([Operation("nothing", nothing)], Arrivals.poisson(1000, 3), clock=service.clock)
        before = _results_in_memory()
        report = await test.run()
        return report, max(tasks), _results_in_memory() - before

    report, most_tasks, kept = run(course)
    assert report.total.due > 2500
    assert (report.most_in_flight, kept) == (1, 0)
    assert most_tasks < 10
