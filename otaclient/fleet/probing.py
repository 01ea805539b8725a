"""How many rows the walks of a scan have, asked of the vendors with the smallest pages there are."""

from collections.abc import Sequence
from typing import Any

from otaclient.errors import OtaError
from otaclient.fleet.fetcher import fetch_each
from otaclient.paging import first_window
from otaclient.reads import ReadSource

__all__ = ["totals_of"]


async def totals_of(backend: str, source: ReadSource[Any], *, concurrency: int) -> Sequence[int | None]:
    """Return what the vendor says each walk's number of rows is, with one request for each.

    Args:
        backend: The backend's label, for errors.
        source: The raw reads.
        concurrency: The most requests at once.

    Returns:
        The totals in the order of the walks; ``None`` where the vendor tells none, or none that can be.

    Raises:
        OtaError: See :meth:`otaclient.transport.session.Session.call`.
    """
    partitions = source.partitions()
    window = first_window(source.paging, 1)

    async def told(number: int) -> int | None:
        try:
            total = source.facts(await source.fetch(partitions[number], window)).total
        except OtaError as error:
            error.during(operation=source.operation, backend=backend, attempts=1)
            raise
        return None if total is None or total < 0 else total

    totals: list[int | None] = [None] * len(partitions)
    async with fetch_each(range(len(partitions)), told, concurrency=concurrency) as outcomes:
        async for outcome in outcomes:
            totals[outcome.key] = outcome.unwrap()
    return totals
