"""Load tests of an open model against an emulated vendor, in simulated time."""

from collections.abc import Awaitable, Callable
from typing import Any

from otaclient.load import Arrivals, CallResult, OpenModel, Operation
from support.load_service import LoadService, load_service
from support.write_laboratory import simulate


def reading(service: LoadService, **options: Any) -> Operation:
    """Return an operation that reads one of the jobs."""
    ids = service.job_ids
    return Operation("jobs.get", lambda draws: service.client.jobs.get(draws.choice(ids)), **options)


def run(course: Callable[[LoadService], Awaitable[Any]], name: str = "enos", **options: Any) -> Any:
    """Carry out a course with a service, in simulated time."""

    async def main() -> Any:
        async with load_service(name, **options) as service:
            return await course(service)

    return simulate(main())


def modelled(
    service: LoadService, arrivals: Arrivals, *operations: Operation, **options: Any
) -> tuple[OpenModel, list[CallResult]]:
    """Return a load test, and where its results go."""
    results: list[CallResult] = []
    chosen = operations or (reading(service),)
    return OpenModel(chosen, arrivals, on_result=results.append, clock=service.clock, **options), results
