"""Paging over any read source: items across pages, pages on request, cursors that resume."""

import base64
import gc
import re
import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import DeadlineExceededError, InvalidQueryError, PayloadError
from otaclient.models import DeviceUpgrade
from otaclient.paging import Paged, first_window, next_window
from otaclient.reads import (
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
from support.listing import MARKERS, PAGE_NUMBERS, ListSource
from support.messages import whole

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


@given(walks=WALKS, paging=PAGINGS, size=st.integers(1, 10), label=st.text(max_size=9), data=st.data())
async def test_any_cursor_resumes(
    walks: list[list[int]], paging: Paging, size: int, label: str, data: st.DataObject
) -> None:
    """Going on from any page's cursor, in another listing of the same query, gives exactly the rest."""
    source = ListSource(*walks, paging=paging)
    pages = [page async for page in paged(source, backend=label).pages(page_size=size)]
    cut = data.draw(st.integers(0, len(pages) - 1))
    cursor = pages[cut].cursor
    if cursor is not None:
        assert re.fullmatch("[A-Za-z0-9_-]+", cursor), "it may stand in an address as it is"
        rest = [page async for page in paged(source, backend=label).pages(cursor=cursor, page_size=size)]
        assert [page.items for page in rest] == [page.items for page in pages[cut + 1 :]]


@pytest.mark.parametrize(
    ("paging", "place"), [(PAGE_NUMBERS, "Miw0XQ"), (MARKERS, "IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAxYSIsNF0")]
)
async def test_a_cursor_of_this_release_will_be_understood(paging: Paging, place: str) -> None:
    """People keep them: this text may only change along with the version in it."""
    listing = paged(ListSource(range(30), paging=paging), backend="test?>")
    assert await first_cursor(listing) == f"WzEsInRlc3Q_PiBkZXZpY2VzLnNlYXJjaCIsIjNhZDAyMGNhMDNhZmUzODgiLDAs{place}"


async def test_first_stops_asking() -> None:
    """``first(n)`` asks for no more pages than it needs, and no larger ones."""
    source = ListSource(range(100))
    assert [row.device_id for row in await paged(source).first(3)] == ["d0", "d1", "d2"]
    assert [window for _, window in source.asked] == [PageWindow(1, 3)]
    source.asked.clear()
    assert len(await paged(source).first(9)) == 9
    assert [window for _, window in source.asked] == [PageWindow(1, 4), PageWindow(2, 4), PageWindow(3, 4)]
    assert len(await paged(ListSource(range(2))).first(9)) == 2
    assert len(await paged(source).first(1)) == 1
    with pytest.raises(InvalidQueryError, match=whole("devices.search: first(0): ask for a whole number, at least 1")):
        await paged(source).first(0)


@pytest.mark.parametrize("wrong", [-1, "3", 1.5, True])
async def test_first_wants_a_number(wrong: Any) -> None:
    """What is none is refused before anything is asked."""
    source = ListSource(range(5))
    with pytest.raises(InvalidQueryError, match="ask for a whole number, at least 1"):
        await paged(source).first(wrong)
    assert not source.asked


@pytest.mark.parametrize("wrong", [-1, "5", 1.5, None])
async def test_collect_wants_a_number_that_it_can_reach(wrong: Any) -> None:
    """Otherwise a whole fleet would be kept in memory."""
    message = f"devices.search: max_items is {wrong!r}: give a whole number, at least 0"
    with pytest.raises(InvalidQueryError, match=whole(message)):
        await paged(ListSource(range(5))).collect(wrong)


async def test_collect_of_nothing_says_that_there_is_nothing() -> None:
    """``collect(0)`` is a way to be told when something is there."""
    assert await paged(ListSource([])).collect(0) == ()
    with pytest.raises(InvalidQueryError, match="there are more than max_items=0"):
        await paged(ListSource(range(1))).collect(0)


async def test_collect_refuses_to_cut_off() -> None:
    """``collect`` gives everything or an error, never a part."""
    assert [row.device_id for row in await paged(ListSource(range(5))).collect(5)] == ["d0", "d1", "d2", "d3", "d4"]
    message = "devices.search: there are more than max_items=4: raise it, narrow the query, or iterate"
    with pytest.raises(InvalidQueryError, match=whole(message)):
        await paged(ListSource(range(5))).collect(4)


async def test_filters_of_ours_do_not_end_a_walk() -> None:
    """A page without a match is not the end."""
    source = ListSource(range(20))
    source.keep_if = lambda row: row.device_id == "d19"
    pages = [page async for page in paged(source).pages()]
    assert [len(page.items) for page in pages] == [0, 0, 0, 0, 1, 0]
    assert [page.total for page in pages] == [20] * 6
    assert "response" not in repr(pages[0]), "an answer may be long, and hold more than was asked for"
    assert [msgspec.json.decode(page.response.body)["rows"][:1] for page in pages] == [[0], [4], [8], [12], [16], []]


async def test_settled_waits_first() -> None:
    """``settled=True`` waits before the first page, and only then."""
    waited: list[int] = []
    source = ListSource(range(3))

    async def settle() -> None:
        waited.append(len(source.asked))

    listing = paged(source, settle=settle)
    assert [page async for page in listing.pages()]
    assert len(await listing.collect(3)) == 3
    assert waited == []
    source.asked.clear()
    assert [page async for page in listing.pages(settled=True)]
    assert waited == [0]
    cursor = await first_cursor(paged(ListSource(range(9))))
    source.asked.clear()
    assert not [page.items async for page in listing.pages(cursor=cursor) if page.items]
    assert waited == [0]
    source.asked.clear()
    assert [page async for page in listing.pages(cursor=cursor, settled=True)]
    assert waited == [0, 0]
    assert [page async for page in paged(source).pages(settled=True)]


@pytest.mark.parametrize("size", [0, -1, 11, True, 2.0, "4"])
def test_page_sizes_are_checked_at_once(size: Any) -> None:
    """A page size that the vendor does not have is refused when it is given, with the range."""
    source = ListSource(range(3))
    message = f"devices.search: page_size is {size!r}: test devices.search takes 1 to 10"
    with pytest.raises(InvalidQueryError, match=whole(message)):
        paged(source).pages(page_size=size)
    assert source.asked == []


def encoded(*fields: Any) -> str:
    """Return a cursor with these fields."""
    return base64.urlsafe_b64encode(msgspec.json.encode(fields)).decode().rstrip("=")


NOT_OURS = "it is not one that a Page gave out"


def unusable(why: str) -> str:
    """Return the pattern of the whole refusal of a cursor."""
    return whole(f"devices.search: the cursor cannot be used: {why}")


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
    for options, why in (
        ({"backend": "other"}, "it belongs to test devices.search, not to other devices.search"),
        ({"query": "some"}, "it belongs to another query: ask again with the query that it came from"),
    ):
        with pytest.raises(InvalidQueryError, match=unusable(why)):
            paged(source, **options).pages(cursor=cursor)
    message = "devices.search: page_size is 7, but the cursor was made with 4: leave page_size out"
    with pytest.raises(InvalidQueryError, match=whole(message)):
        paged(source).pages(cursor=cursor, page_size=7)
    with pytest.raises(InvalidQueryError, match=unusable("it is of version 99, made by another release")):
        paged(source).pages(cursor=encoded(99, "test devices.search", "", 0, 2, 4))
    assert source.asked == []


@pytest.mark.parametrize(
    "cursor", ["", "2", "5c90fa7d3c4e4405e8525079", "???", "W10", "ffffffffffffffffffffffff", "é", encoded(1, 2)]
)
def test_malformed_cursors_are_refused(cursor: str) -> None:
    """What is not a cursor of this library, a vendor's marker or page number included, is refused at once."""
    with pytest.raises(InvalidQueryError, match=unusable(NOT_OURS)):
        paged(ListSource(range(3))).pages(cursor=cursor)


async def test_a_cursor_with_anything_else_in_it_is_refused() -> None:
    """Nothing is skipped over to make sense of it."""
    source = ListSource(range(30))
    cursor = await first_cursor(paged(source))
    for changed in (f"{cursor[:9]} {cursor[9:]}", f"{cursor[:8]}    {cursor[8:]}", f"{cursor}\n", cursor[:-1]):
        with pytest.raises(InvalidQueryError, match=unusable(NOT_OURS)):
            paged(source).pages(cursor=changed)


@pytest.mark.parametrize(
    ("paging", "fits", "others"),
    [(PAGE_NUMBERS, (1, 2, 99), ("abc", 0, -1, None, True)), (MARKERS, ("abc", None), (3, 0))],
)
async def test_a_cursor_has_a_place_of_its_paging(paging: Paging, fits: Sequence[Any], others: Sequence[Any]) -> None:
    """A page number from 1, or a marker; a walk that there is, and a page size within the limit."""
    listing = paged(ListSource(range(30), range(5), paging=paging))
    cursor = await first_cursor(listing)
    version, scope, digest, *_ = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for walk, place, size in product((0, 1), fits, (1, 4, 10)):
        listing.pages(cursor=encoded(version, scope, digest, walk, place, size))
    wrong: list[tuple[Any, Any, Any]] = [
        *((0, other, 4) for other in others),
        *((walk, fits[0], 4) for walk in (-1, 2, 7)),
        *((0, fits[0], size) for size in (-1, 0, 11)),
        *(("0", fits[0], 4), (0, fits[0], "4"), (None, fits[0], 4), (0, fits[0], 4.5)),
    ]
    for fields in wrong:
        with pytest.raises(InvalidQueryError, match=unusable(NOT_OURS)):
            listing.pages(cursor=encoded(version, scope, digest, *fields))


@given(text=st.text())
def test_no_text_breaks_the_cursor_parser(text: str) -> None:
    """Whatever is given as a cursor, only our own error comes out."""
    with pytest.raises(InvalidQueryError):
        paged(ListSource(range(3))).pages(cursor=text)


class BadRows(ListSource):
    """Its pages took two requests, and hold rows that are not as documented."""

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return the window."""
        raw = await super().fetch(partition, window)
        return attrs.evolve(raw, response=HttpResponse(status=203, body=raw.response.body, attempts=2))

    def decode(self, raw: RawPage, /) -> Rows[DeviceUpgrade]:
        """Return one good row and two bad ones, the second of which has two faults."""
        errors = [
            PayloadError("bad", backend="b1", problems=("$[1]: no id",)),
            PayloadError("worse", backend="b2", problems=("$[2].id: null", "$[2].version: 7")),
        ]
        return Rows(good=super().decode(raw).good[:1], errors=errors)


async def test_bad_rows_are_an_error_of_the_page() -> None:
    """Plain paging does not hide a broken record, and says how many of how many there are, and where."""
    source = BadRows(range(6))
    message = (
        "b1 devices.search: 2 of 3 rows of the page are not as documented (HTTP 203, attempts 2): $[1]: no id; "
        "$[2].id: null; $[2].version: 7"
    )
    with pytest.raises(PayloadError, match=whole(message)) as caught:
        await paged(source).collect(10)
    assert str(caught.value.__cause__) == "b1: bad: $[1]: no id"


@pytest.mark.parametrize(
    ("window", "facts", "following"),
    [
        (PageWindow(1, 4), PageFacts(rows=4), PageWindow(2, 4)),
        (PageWindow(1, 4), PageFacts(rows=4, total=4), PageWindow(2, 4)),
        (PageWindow(3, 4), PageFacts(rows=3, total=11), None),
        (PageWindow(3, 4), PageFacts(rows=3, total=12), PageWindow(4, 4)),
        (PageWindow(3, 4), PageFacts(rows=3, total=10), None),
        (PageWindow(3, 4), PageFacts(rows=3), None),
        (PageWindow(3, 4), PageFacts(rows=0, total=99), None),
        (PageWindow(3, 4), PageFacts(rows=4, number=3, size=4), PageWindow(4, 4)),
        (MarkerWindow(None, 4), PageFacts(rows=4, marker="bb"), MarkerWindow("bb", 4)),
        (MarkerWindow("BC", 4), PageFacts(rows=1, marker="bb"), MarkerWindow("bb", 4)),
        (MarkerWindow("bc", 4), PageFacts(rows=1, marker="BB"), MarkerWindow("BB", 4)),
        (MarkerWindow("bb", 4), PageFacts(rows=0, total=99, marker="cc"), None),
    ],
)
def test_what_comes_next(window: Window, facts: PageFacts, following: Window | None) -> None:
    """Page numbers end with an empty page, or a short one that the total agrees with; markers with an empty page."""
    assert next_window(window, facts) == following


@pytest.mark.parametrize(
    "facts", [PageFacts(rows=4, number=1), PageFacts(rows=4, size=50), PageFacts(rows=4, number=3, size=4)]
)
def test_an_answer_to_another_question_is_refused(facts: PageFacts) -> None:
    """A vendor that ignores the page number or clamps the page size would lose rows silently."""
    message = (
        f"asked for page 2 of size 4, but the answer says page {facts.number} of size {facts.size}: rows could be lost"
    )
    with pytest.raises(PayloadError, match=whole(message)):
        next_window(PageWindow(2, 4), facts)


@pytest.mark.parametrize("window", [PageWindow(2, 4), MarkerWindow(None, 4)])
def test_more_rows_than_asked_for_are_refused(window: Window) -> None:
    """The next window would repeat them, or begin in the middle of what came."""
    with pytest.raises(PayloadError, match=whole("asked for at most 4 rows, but the answer holds 5")):
        next_window(window, PageFacts(rows=5, marker="aa"))


@pytest.mark.parametrize("marker", [None, ""])
def test_rows_without_a_marker_are_refused(marker: str | None) -> None:
    """A page with rows but without a marker cannot be continued."""
    message = "a page with rows came without the marker of its last row: the walk cannot go on"
    with pytest.raises(PayloadError, match=whole(message)):
        next_window(MarkerWindow(None, 4), PageFacts(rows=4, marker=marker))


@pytest.mark.parametrize("marker", ["aa", "AA", "ab"])
def test_a_marker_that_does_not_go_down_is_refused(marker: str) -> None:
    """The same page for ever, or a marker that goes up, ends in an error and not in a loop."""
    message = f"the marker went from aa to {marker}, not down: it would not end"
    with pytest.raises(PayloadError, match=whole(message)):
        next_window(MarkerWindow("aa", 4), PageFacts(rows=4, marker=marker))


@pytest.mark.parametrize(("label", "told"), [("north", "north"), (None, "test")])
async def test_an_answer_that_cannot_be_gone_on_from_says_whose_it_is(label: str | None, told: str) -> None:
    """The error names the client and the operation, and has the status and the attempts, as every other."""
    source = ListSource(range(1, 9), paging=MARKERS)
    source.facts = lambda raw: PageFacts(rows=4)  # type: ignore[method-assign]
    with pytest.raises(PayloadError) as caught:
        await paged(source, label=label).collect(99)
    error = caught.value
    assert (error.backend, error.operation, error.status, error.attempts) == (told, "devices.search", 200, 1)


async def test_a_listing_that_cannot_be_waited_for_says_which_it_is() -> None:
    """The error of the wait for earlier writes has the operation, too."""

    async def too_late() -> None:
        raise DeadlineExceededError("too late")

    with pytest.raises(DeadlineExceededError) as caught:
        await anext(paged(ListSource(range(3)), settle=too_late).pages(settled=True))
    assert str(caught.value) == "test devices.search: too late"


def test_first_windows() -> None:
    """Page numbers begin at 1, markers above everything."""
    assert (first_window(PAGE_NUMBERS, 3), first_window(MARKERS, 3)) == (PageWindow(1, 3), MarkerWindow(None, 3))


async def test_nothing_is_left_open_behind_what_was_enough() -> None:
    """The walk is closed when its reader has enough, and not when the collector comes round to it."""
    left: list[object] = []
    asyncgen_hooks = sys.get_asyncgen_hooks()
    listing = paged(ListSource([*range(1, 60)], paging=PAGE_NUMBERS))
    sys.set_asyncgen_hooks(finalizer=left.append)
    try:
        assert [row.device_id for row in await listing.first(2)] == ["d1", "d2"]
        with pytest.raises(InvalidQueryError):
            await listing.collect(3)
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*asyncgen_hooks)
    assert left == []
