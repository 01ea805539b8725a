"""A listing in memory behind the plug-in contract, for page numbers and for markers."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from otaclient.errors import OtaError, PayloadError
from otaclient.events import Listener
from otaclient.models import DeviceId, DeviceUpgrade
from otaclient.protocols import Capability
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import (
    Markers,
    MarkerWindow,
    PageFacts,
    PageNumbers,
    PageWindow,
    Paging,
    Partition,
    RawPage,
    Rows,
    Window,
)
from otaclient.transport.http import HttpResponse

PAGE_NUMBERS = PageNumbers(largest_page=10, default_page=4)
MARKERS = Markers(largest_page=10, default_page=4, largest_offset=40)


def device(number: int | str, **fields: Any) -> DeviceUpgrade:
    """Return a device of the listing."""
    return DeviceUpgrade(backend="test", device_id=DeviceId(f"d{number}"), **fields)


class ListSource:
    """Serves lists of device numbers, newest first for markers; record ids are the numbers as 24 hexadecimal digits."""

    operation = "devices.search"
    pushed_down = ""
    filtered_here: tuple[str, ...] = ()

    def __init__(self, *walks: Sequence[int], paging: Paging = PAGE_NUMBERS) -> None:
        self.paging = paging
        self.walks = [list(walk) for walk in walks]
        self.asked: list[tuple[str, Window]] = []
        self.total: Callable[[int], int | None] = lambda rows: rows
        self.fail: Callable[[str, Window], Exception | None] = lambda label, window: None
        self.keep_if: Callable[[DeviceUpgrade], bool] = lambda row: True
        self.bad: set[int] = set()
        self.before_answer: Callable[[], Any] | None = None

    def partitions(self) -> Sequence[Partition]:
        """Return one for each list."""
        return [Partition(label=f"list {number}", filters=number) for number in range(len(self.walks))]

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return the window as JSON."""
        self.asked.append((partition.label, window))
        if self.before_answer is not None:
            await self.before_answer()
        error = self.fail(partition.label, window)
        if error is not None:
            raise error
        body = msgspec.json.encode(self._page(self.walks[partition.filters], window))
        return RawPage(partition=partition, window=window, response=HttpResponse(status=200, body=body))

    def _page(self, rows: list[int], window: Window) -> dict[str, Any]:
        if isinstance(window, PageWindow):
            found = rows[(window.number - 1) * window.size : window.number * window.size]
            return {"rows": found, "total": self.total(len(rows)), "marker": None}
        return self._marker_page(sorted(rows, reverse=True), window)

    def _marker_page(self, rows: list[int], window: MarkerWindow) -> dict[str, Any]:
        below = [row for row in rows if window.marker is None or row < int(window.marker, 16)]
        found = below[window.offset : window.offset + window.size]
        return {"rows": found, "total": self.total(len(rows)), "marker": f"{found[-1]:024x}" if found else None}

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says."""
        page = msgspec.json.decode(raw.response.body)
        return PageFacts(rows=len(page["rows"]), total=page["total"], marker=page["marker"])

    def decode(self, raw: RawPage, /) -> Rows[DeviceUpgrade]:
        """Return the devices."""
        rows = msgspec.json.decode(raw.response.body)["rows"]
        errors: list[PayloadError] = [
            PayloadError("bad row", problems=(f"$.rows: {n}",)) for n in rows if n in self.bad
        ]
        return Rows(good=[device(number) for number in rows if number not in self.bad], errors=errors)

    def keep(self, row: DeviceUpgrade, /) -> bool:
        """Apply the test's filter."""
        return self.keep_if(row)

    def key(self, row: DeviceUpgrade, /) -> str:
        """Return the device's identifier."""
        return row.device_id


class ListBackend:
    """As much of a backend as bulk work needs."""

    name = "test"
    capabilities = frozenset({Capability.DEVICES_SEARCH})

    def __init__(self, source: ListSource, *, label: str = "test", on_event: Listener | None = None) -> None:
        self.label = label
        self.on_event = on_event
        self._source = source

    def reads(self, query: DeviceUpgradeQuery, /) -> ListSource:
        """Return the source, whatever the query."""
        return self._source


def failing(error: OtaError, *, label: str) -> Callable[[str, Window], Exception | None]:
    """Return a failure plan: every read of one list fails."""
    return lambda asked, _window: error if asked == label else None
