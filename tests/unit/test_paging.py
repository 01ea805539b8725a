"""Paging over any read source: items across pages, pages on request, cursors that resume."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError, PayloadError
from otaclient.paging import Paged, first_window, next_window
from otaclient.reads import MarkerWindow, PageFacts, PageNumbers, PageWindow, Paging
from support.listing import MARKERS, PAGE_NUMBERS, ListSource

WALKS = st.lists(st.lists(st.integers(1, 500), unique=True, max_size=45), min_size=1, max_size=3)
PAGINGS = st.sampled_from([PAGE_NUMBERS, MARKERS])


def paged(source: ListSource, *, backend: str = "test", query: object = "all", **options: Any) -> Paged[Any]:
    """Return a listing over a source."""
    return Paged(source, backend=backend, query=query, **options)


def expected(source: ListSource) -> list[str]:
    """Return the identifiers in listing order."""
    if isinstance(source.paging, PageNumbers):
        return [f"d{number}" for walk in source.walks for number in walk]
    return [f"d{number}" for walk in source.walks for number in sorted(walk, reverse=True)]


@given(walks=WALKS, paging=PAGINGS, size=st.integers(1, 10))
async def test_paging_gives_back_its_input(walks: list[list[int]], paging: Paging, size: int) -> None:
    """Every row comes once and in order, for any number of walks and any page size."""
    source = ListSource(*walks, paging=paging)
    pages = [page async for page in paged(source).pages(page_size=size)]
    assert [row.device_id for page in pages for row in page.items] == expected(source)
    assert [page.cursor is None for page in pages] == [False] * (len(pages) - 1) + [True]
    assert [row.device_id async for row in paged(source)] == expected(source)


@given(walks=WALKS, paging=PAGINGS, size=st.integers(1, 10), total=st.sampled_from([None, 0, -1, 3, 10**9]))
async def test_lying_totals_lose_nothing(walks: list[list[int]], paging: Paging, size: int, total: int | None) -> None:
    """A total that is absent, too low, too high or negative neither ends a walk early nor keeps it from ending."""
    source = ListSource(*walks, paging=paging)
    source.total = lambda rows: total
    found = [row.device_id async for page in paged(source).pages(page_size=size) for row in page.items]
    assert found == expected(source)


@given(walks=WALKS, paging=PAGINGS, size=st.integers(1, 10), data=st.data())
async def test_any_cursor_resumes(walks: list[list[int]], paging: Paging, size: int, data: st.DataObject) -> None:
    """Going on from any page's cursor, in another listing of the same query, gives exactly the rest."""
    source = ListSource(*walks, paging=paging)
    pages = [page async for page in paged(source).pages(page_size=size)]
    cut = data.draw(st.integers(0, len(pages) - 1))
    cursor = pages[cut].cursor
    if cursor is not None:
        rest = [page async for page in paged(source).pages(cursor=cursor)]
        assert [page.items for page in rest] == [page.items for page in pages[cut + 1 :]]


async def test_first_stops_asking() -> None:
    """``first(n)`` asks for no more pages than it needs, and no larger ones."""
    source = ListSource(range(100))
    assert [row.device_id for row in await paged(source).first(3)] == ["d0", "d1", "d2"]
    assert [window for _, window in source.asked] == [PageWindow(1, 3)]
    assert len(await paged(ListSource(range(2))).first(9)) == 2
    with pytest.raises(InvalidQueryError, match=r"first\(0\)"):
        await paged(source).first(0)


async def test_collect_refuses_to_cut_off() -> None:
    """``collect`` gives everything or an error, never a part."""
    assert len(await paged(ListSource(range(5))).collect(5)) == 5
    with pytest.raises(InvalidQueryError, match="more than max_items=4"):
        await paged(ListSource(range(5))).collect(4)


async def test_filters_of_ours_do_not_end_a_walk() -> None:
    """A page without a match is not the end."""
    source = ListSource(range(20))
    source.keep_if = lambda row: row.device_id == "d19"
    pages = [page async for page in paged(source).pages()]
    assert [len(page.items) for page in pages] == [0, 0, 0, 0, 1, 0]
    assert pages[0].total == 20


async def test_settled_waits_first() -> None:
    """``settled=True`` waits before the first page, and only then."""
    waited: list[int] = []
    source = ListSource(range(3))

    async def settle() -> None:
        waited.append(len(source.asked))

    listing = paged(source, settle=settle)
    assert [page async for page in listing.pages()]
    assert waited == []
    source.asked.clear()
    assert [page async for page in listing.pages(settled=True)]
    assert waited == [0]
    assert [page async for page in paged(source).pages(settled=True)]


@pytest.mark.parametrize("size", [0, -1, 11, True, 2.0, "4"])
def test_page_sizes_are_checked_at_once(size: Any) -> None:
    """A page size that the vendor does not have is refused when it is given, with the range."""
    source = ListSource(range(3))
    with pytest.raises(InvalidQueryError, match="takes 1 to 10"):
        paged(source).pages(page_size=size)
    assert source.asked == []


def encoded(*fields: Any) -> str:
    """Return a cursor with these fields."""
    return base64.urlsafe_b64encode(msgspec.json.encode(fields)).decode().rstrip("=")


async def first_cursor(listing: Paged[Any]) -> str:
    """Return the cursor behind the first page."""
    async for page in listing.pages():
        assert page.cursor is not None
        return page.cursor
    raise AssertionError("a listing has at least one page")


async def test_foreign_cursors_are_refused() -> None:
    """A cursor of another backend, operation, query, release or page size says what is wrong with it."""
    source = ListSource(range(30))
    cursor = await first_cursor(paged(source))
    source.asked.clear()
    with pytest.raises(InvalidQueryError, match="belongs to test devices.search, not to other devices.search"):
        paged(source, backend="other").pages(cursor=cursor)
    with pytest.raises(InvalidQueryError, match="another query"):
        paged(source, query="some").pages(cursor=cursor)
    with pytest.raises(InvalidQueryError, match="page_size is 7, but the cursor was made with 4"):
        paged(source).pages(cursor=cursor, page_size=7)
    with pytest.raises(InvalidQueryError, match="of version 99"):
        paged(source).pages(cursor=encoded(99, "test devices.search", "", 0, 2, 4))
    assert source.asked == []


@pytest.mark.parametrize(
    "cursor", ["", "2", "5c90fa7d3c4e4405e8525079", "???", "W10", "ffffffffffffffffffffffff", "é", encoded(1, 2)]
)
def test_malformed_cursors_are_refused(cursor: str) -> None:
    """What is not a cursor of this library, a vendor's marker or page number included, is refused at once."""
    with pytest.raises(InvalidQueryError, match="cursor cannot be used"):
        paged(ListSource(range(3))).pages(cursor=cursor)


@pytest.mark.parametrize(
    ("paging", "place"), [(PAGE_NUMBERS, "abc"), (PAGE_NUMBERS, 0), (PAGE_NUMBERS, None), (MARKERS, 3)]
)
async def test_cursors_of_the_other_paging_are_refused(paging: Paging, place: Any) -> None:
    """A page number is no marker and a marker no page number."""
    source = ListSource(range(30), paging=paging)
    version, scope, digest, *_ = msgspec.json.decode(base64.urlsafe_b64decode(await first_cursor(paged(source)) + "=="))
    for partition, at, size in ((0, place, 4), (7, 2, 4), (0, 2, 99), (-1, 2, 4)):
        with pytest.raises(InvalidQueryError, match="cursor cannot be used"):
            paged(source).pages(cursor=encoded(version, scope, digest, partition, at, size))


@given(text=st.text())
def test_no_text_breaks_the_cursor_parser(text: str) -> None:
    """Whatever is given as a cursor, only our own error comes out."""
    with pytest.raises(InvalidQueryError):
        paged(ListSource(range(3))).pages(cursor=text)


async def test_bad_rows_are_an_error_of_the_page() -> None:
    """Plain paging does not hide a broken record."""
    source = ListSource(range(6))
    source.bad = {2, 3}
    with pytest.raises(PayloadError, match="2 of 4 rows of the page") as caught:
        await paged(source).collect(10)
    assert caught.value.problems == ("$.rows: 2", "$.rows: 3")


@pytest.mark.parametrize(
    "facts", [PageFacts(rows=4, number=1), PageFacts(rows=4, size=50), PageFacts(rows=4, number=3, size=4)]
)
def test_an_answer_to_another_question_is_refused(facts: PageFacts) -> None:
    """A vendor that ignores the page number or clamps the page size would lose rows silently."""
    with pytest.raises(PayloadError, match="rows could be lost"):
        next_window(PageWindow(2, 4), facts)


@pytest.mark.parametrize("marker", [None, ""])
def test_rows_without_a_marker_are_refused(marker: str | None) -> None:
    """A page with rows but without a marker cannot be continued."""
    with pytest.raises(PayloadError, match="without the marker"):
        next_window(MarkerWindow(None, 4), PageFacts(rows=4, marker=marker))


@pytest.mark.parametrize("marker", ["aa", "AA", "ab"])
def test_a_marker_that_does_not_go_down_is_refused(marker: str) -> None:
    """The same page for ever, or a marker that goes up, ends in an error and not in a loop."""
    with pytest.raises(PayloadError, match="not down"):
        next_window(MarkerWindow("aa", 4), PageFacts(rows=4, marker=marker))


def test_first_windows() -> None:
    """Page numbers begin at 1, markers above everything."""
    assert (first_window(PAGE_NUMBERS, 3), first_window(MARKERS, 3)) == (PageWindow(1, 3), MarkerWindow(None, 3))
