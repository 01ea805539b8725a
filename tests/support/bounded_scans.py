"""Scans of listings that may never end: whoever asks too often is stopped."""

from typing import Any

import anyio.lowlevel

from otaclient.fleet.ledger import Certificate
from otaclient.fleet.scan import scan
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Markers, PageNumbers
from support.listing import ListBackend, ListSource

PAGES = PageNumbers(largest_page=50, default_page=50)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)
QUERY = DeviceUpgradeQuery()
_MOST_REQUESTS = 2_000
"""For 200 rows: whoever asks more often asks for ever."""


class EndlessError(Exception):
    """A scan does not end."""


def bounded(source: ListSource) -> ListSource:
    """Let a source end a scan that does not end by itself."""

    async def answer() -> None:
        await anyio.lowlevel.checkpoint()
        if len(source.asked) > _MOST_REQUESTS:
            raise EndlessError

    source.before_answer = answer
    return source


async def scanned(source: ListSource, **options: Any) -> tuple[list[str], Certificate]:
    """Scan a source to its end."""
    targets: Any = [(ListBackend(bounded(source)), QUERY)]
    async with scan(targets, **options) as running:
        found = [row.device_id async for row in running]
    return found, running.certificate
