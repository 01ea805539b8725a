"""Pages that repeat, lie, miscount or point nowhere: a scan ends, with an error or without a certificate."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from otaclient.errors import OtaError, PayloadError
from otaclient.models import DeviceUpgrade
from otaclient.reads import MarkerWindow, PageWindow, Paging, RawPage, Rows, Window
from support.bounded_scans import MARKERS, PAGES, scanned
from support.listing import ListSource, device


class _Changed(ListSource):
    """Changes its pages."""

    change: Callable[["_Changed", Window, dict[str, Any]], dict[str, Any]]
    first: dict[str, Any] | None = None

    def _page(self, rows: list[int], window: Window) -> dict[str, Any]:
        page = super()._page(rows, window)
        self.first = self.first or page
        return self.change(self, window, page)


def changed(paging: Paging, change: Callable[[_Changed, Window, dict[str, Any]], dict[str, Any]]) -> _Changed:
    """Return a listing of 200 rows whose pages are changed."""
    source = _Changed(range(200), paging=paging)
    source.change = change
    return source


def _same(source: _Changed, window: Window, _page: dict[str, Any]) -> dict[str, Any]:
    assert source.first is not None
    return {**source.first, "rows": source.first["rows"][: window.size]}


def _same_but_for_the_total(source: _Changed, window: Window, page: dict[str, Any]) -> dict[str, Any]:
    return {**_same(source, window, page), "total": 200 + len(source.asked)}


def _same_but_for_the_marker(source: _Changed, window: Window, page: dict[str, Any]) -> dict[str, Any]:
    return {**_same(source, window, page), "marker": f"{10**6 - len(source.asked):024x}"}


@pytest.mark.parametrize(
    ("paging", "page", "certify"),
    [
        (PAGES, _same, True),
        (PAGES, _same_but_for_the_total, True),
        (MARKERS, _same, True),
        (MARKERS, _same, False),
        (MARKERS, _same_but_for_the_marker, True),
        (PAGES, _same, False),
        (PAGES, _same_but_for_the_total, False),
        (MARKERS, _same_but_for_the_marker, False),
    ],
)
async def test_the_same_page_for_ever_comes_to_an_end(paging: Paging, page: Any, certify: bool) -> None:
    """A vendor that ignores what it is asked for: an error, or an uncertain verdict that says so."""
    try:
        _, certificate = await scanned(changed(paging, page), certify=certify)
    except PayloadError as error:
        assert "it would not end" in str(error)
    else:
        assert certificate.verdict == "uncertain"
        assert certificate.reasons


@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize(
    ("marker", "words"),
    [
        (lambda asked: None, "without the marker"),
        (lambda asked: "", "without the marker"),
        (lambda asked: f"{10**6 + asked:024x}", "not down"),
        (lambda asked: f"{'z' * 24}", "not down"),
    ],
)
async def test_a_marker_that_is_wrong_is_an_error(marker: Any, words: str, certify: bool) -> None:
    """Missing, going up, or not one of the vendor's: the walk does not go on from it, with no row lost in silence."""
    source = changed(MARKERS, lambda source, _window, page: {**page, "marker": marker(len(source.asked))})
    with pytest.raises(PayloadError, match=rf"test devices\.search: .*{words}") as caught:
        # A marker that is none of this listing's cannot be asked with; the second page is refused before that.
        await scanned(_hexadecimal(source), certify=certify)
    assert caught.value.operation == "devices.search"


def _hexadecimal(source: _Changed) -> _Changed:
    """Let a source take any text for a marker: what is not hexadecimal lists everything."""
    listed = source._marker_page

    def page(rows: list[int], window: MarkerWindow) -> dict[str, Any]:
        is_hexadecimal = window.marker is None or set(window.marker) <= set("0123456789abcdef")
        return listed(rows, window if is_hexadecimal else attrs.evolve(window, marker=None))

    source._marker_page = page  # type: ignore[method-assign]
    return source


@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize("paging", [PAGES, MARKERS])
async def test_more_rows_than_asked_for_are_an_error(paging: Paging, certify: bool) -> None:
    """A page that is larger than its window is the answer to another question."""

    def longer(source: _Changed, window: Window, page: dict[str, Any]) -> dict[str, Any]:
        rows = sorted(source.walks[0], reverse=paging is MARKERS)
        if not page["rows"]:
            return page
        begin = rows.index(page["rows"][0])
        found = rows[begin : begin + window.size + 3]
        return {**page, "rows": found, "marker": f"{found[-1]:024x}" if page["marker"] else None}

    with pytest.raises(PayloadError, match=r"asked for at most \d+ rows, but the answer holds"):
        await scanned(changed(paging, longer), certify=certify)


class _Miscounting(ListSource):
    """Decodes other rows than its facts count."""

    more: int

    def decode(self, raw: RawPage, /) -> Rows[DeviceUpgrade]:
        good = list(super().decode(raw).good)
        return Rows(good=[*good, *map(device, range(1000, 1000 + self.more))] if self.more > 0 else good[: self.more])


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
@pytest.mark.parametrize("more", [-1, 1])
async def test_a_page_with_the_wrong_number_of_rows_is_said(paging: Paging, more: int) -> None:
    """Good rows and errors are together as many as the page says it has: else an error, or no certificate."""
    source = _Miscounting(range(200), paging=paging)
    source.more = more
    try:
        _, certificate = await scanned(source)
    except OtaError:
        return
    assert certificate.verdict == "uncertain"


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
async def test_an_empty_closing_read_is_not_believed_at_once(paging: Paging) -> None:
    """A page at the head that is empty, of a listing of 200 rows: read again, or a doubt; never the end of it all."""

    def empty_at_the_head(source: _Changed, window: Window, page: dict[str, Any]) -> dict[str, Any]:
        is_head = window in {PageWindow(1, 50), MarkerWindow(None, 20)}
        return {**page, "rows": [], "marker": None} if is_head and len(source.asked) > 1 else page

    _, certificate = await scanned(changed(paging, empty_at_the_head))
    assert certificate.verdict == "uncertain"
