"""What becomes of the calls of a load test, who is told, and what is refused."""

import asyncio
import io
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from otaclient.emulator.faults import DropConnection, Hold
from otaclient.errors import ConfigurationError
from otaclient.load import Arrivals, CallResult, OpenModel, Operation, Report, write_lines
from otaclient.transport.limits import Limits
from support.load_service import LoadService
from support.modelled_load import modelled, reading, run

pytestmark = pytest.mark.blocks_loop("an hour of simulated time is over in one step of the real loop")


# --- what becomes of calls -------------------------------------------------------------------------------------------


def test_every_result_is_told() -> None:
    """Calls that were answered, refused, cut off, and those that sent nothing: each with its times, and as a line."""

    async def course(service: LoadService) -> tuple[Report, list[dict[str, Any]]]:
        client, ids = service.client, service.job_ids
        faults = service.emulator.faults
        faults.inject("jobs.get", status=429, headers={"Retry-After": "60"})
        faults.add(DropConnection(), "jobs.get")
        calls = iter([ids[0], ids[0], ids[0], "", "no-such-job"])
        file = io.StringIO()
        test = OpenModel(
            [Operation("jobs.get", lambda _: client.jobs.get(next(calls)))],
            Arrivals.constant(rate=1, seconds=5),
            on_result=write_lines(file),
            clock=service.clock,
        )
        return await test.run(), [json.loads(line) for line in file.getvalue().splitlines()]

    report, lines = run(course)
    assert [line["error"] for line in lines] == [
        "RateLimitedError",
        "ResponseLostError",
        None,
        "InvalidQueryError",
        "NotFoundError",
    ]
    assert [line["status"] for line in lines] == [429, None, 200, None, 200]
    assert [line["requests"] for line in lines] == [1, 1, 1, 0, 1]
    assert [line["due"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[2]["request_id"] is None or isinstance(lines[2]["request_id"], str)
    assert lines[3]["sent"] is lines[3]["service_seconds"] is None
    # A throttled answer asks for a minute of silence, which a load test does not keep.
    assert all(line["ended"] - line["due"] < 0.001 for line in lines)
    figures = report.operations["jobs.get"]
    assert {kind: failures.count for kind, failures in figures.failures.items()} == {
        "RateLimitedError 429": 1,
        "ResponseLostError": 1,
        "InvalidQueryError": 1,
        "NotFoundError 200": 1,
    }
    assert (figures.succeeded, figures.failed, figures.ended, figures.requests) == (1, 4, 5, 4)
    assert (figures.response.count, figures.service.count) == (5, 4)


def test_a_call_of_more_requests_is_refused_or_allowed() -> None:
    """As many as the operation says; the report tells where that is more than one."""

    async def course(service: LoadService) -> Report:
        ids = service.job_ids
        operations = [
            Operation("one", lambda draws: service.client.jobs.progress(draws.choice(ids))),
            Operation("many", lambda draws: service.client.jobs.progress(draws.choice(ids)), requests=20),
        ]
        return await modelled(service, Arrivals.constant(rate=10, seconds=2), *operations)[0].run()

    report = run(course)
    one, many = report.operations["one"], report.operations["many"]
    assert (one.succeeded, one.requests) == (0, one.due)
    (failures,) = one.failures.values()
    assert "was to be one request, and needs another one, which was not sent" in failures.example
    assert (many.failed, many.succeeded) == (0, many.due)
    assert many.requests > many.due
    assert any("some operation may make several" in remark for remark in report.remarks)


def test_a_client_that_is_no_bare_one_is_noticed() -> None:
    """Its requests cannot be told apart from their queue, and the report says so."""

    async def course(service: LoadService) -> Report:
        ids = service.job_ids
        async with service.stranger() as client:
            operation = Operation("jobs.get", lambda draws: client.jobs.get(draws.choice(ids)))
            return await modelled(service, Arrivals.constant(rate=10, seconds=1), operation)[0].run()

    report = run(course, limits=Limits(concurrency=2))
    assert report.operations["jobs.get"].unseen == 10
    assert "10 calls succeeded without a request that was seen" in report.remarks[1]


def test_a_mistake_in_the_test_ends_it() -> None:
    """What is no OtaError is raised as it is; what was under way is told as cancelled, none is left out."""

    async def course(service: LoadService) -> tuple[OpenModel, list[CallResult]]:
        async def call(draws: random.Random) -> None:
            if service.requests == 3:
                raise ZeroDivisionError("of the test's own") from KeyError("the cause")
            await service.client.jobs.get(draws.choice(ids))

        ids = service.job_ids
        service.emulator.faults.add(Hold(), "jobs.get", times=1)
        test, results = modelled(service, Arrivals.constant(rate=10, seconds=60), Operation("jobs.get", call))
        with pytest.raises(ZeroDivisionError, match="of the test's own") as caught:
            await test.run()
        assert isinstance(caught.value.__cause__, KeyError)
        return test, results

    test, results = run(course)
    assert [result.error for result in results] == [None, None, "ZeroDivisionError", "CancelledError"]
    assert test.report.elapsed_seconds == pytest.approx(0.3)


def test_one_that_is_stopped_tells_what_it_knows() -> None:
    """Whoever cancels it, as Ctrl-C does, still has the report so far."""

    async def course(service: LoadService) -> OpenModel:
        test, _ = modelled(service, Arrivals.constant(rate=10, seconds=60))
        running = asyncio.create_task(test.run())
        await asyncio.sleep(2.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return test

    test = run(course)
    assert test.report.operations["jobs.get"].succeeded == 21
    assert "2.0 s until the last had ended" in str(test.report)
    assert test.report.planned_seconds == pytest.approx(2.05)


def test_who_listens_cannot_break_it(caplog: pytest.LogCaptureFixture) -> None:
    """An exception in the callback is logged."""

    async def course(service: LoadService) -> Report:
        test = OpenModel(
            [reading(service)],
            Arrivals.constant(rate=2, seconds=1),
            on_result=lambda result: 1 / 0,
            clock=service.clock,
        )
        return await test.run()

    assert run(course).operations["jobs.get"].succeeded == 2
    assert caplog.text.count("ZeroDivisionError") == 2


# --- what is refused -------------------------------------------------------------------------------------------------


async def _nothing(_draws: random.Random) -> None: ...


def test_it_runs_once() -> None:
    """A second run would mix two reports."""

    async def course(service: LoadService) -> None:
        test = OpenModel([reading(service)], Arrivals.constant(rate=1, seconds=1), clock=service.clock)
        await test.run()
        with pytest.raises(ConfigurationError, match="has run already"):
            await test.run()

    run(course)


_NO_LIST: Any = Operation("a", _nothing)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OpenModel([], Arrivals.constant(1, 1)), "there is no operation"),
        (
            lambda: OpenModel([Operation("a", _nothing), Operation("a", _nothing)], Arrivals.constant(1, 1)),
            "two operations are named 'a'",
        ),
        (lambda: OpenModel([Operation("a", _nothing)], Arrivals.constant(1, 1), max_in_flight=0), "max_in_flight is 0"),
        (lambda: OpenModel(_NO_LIST, Arrivals.constant(1, 1)), "give a list of Operation"),
        (lambda: OpenModel([_NO_LIST, 5], Arrivals.constant(1, 1)), "give a list of Operation"),  # type: ignore[list-item]
        (lambda: OpenModel([_NO_LIST], 5), "arrivals is 5: give Arrivals.constant"),  # type: ignore[arg-type]
        (lambda: Operation("a", 5), "call is 5: give an asynchronous function of one argument"),  # type: ignore[arg-type]
        (lambda: Operation("", _nothing), "the name of an operation is ''"),
        (lambda: Operation("a", _nothing, weight=0), "weight is 0: it must be a finite number above 0"),
        (lambda: Operation("a", _nothing, requests=True), "requests is True: it must be a whole number"),
    ],
)
def test_what_cannot_be_right(make: Callable[[], object], words: str) -> None:
    """It is refused before anything is sent, with what it must be."""
    with pytest.raises(ConfigurationError, match=words):
        make()
