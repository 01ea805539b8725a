"""The values in which backends and the core speak of raw reads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import PayloadError
from otaclient.reads import Markers, MarkerWindow, PageFacts, Partition, RawPage, Rows
from otaclient.transport.http import HttpResponse


@given(
    page=st.integers(1, 20),
    largest_offset=st.integers(0, 100),
    rows=st.none() | st.integers(-3, 200),
    data=st.data(),
)
def test_offsets_go_on_while_rows_are_left_and_the_vendor_allows_it(
    page: int, largest_offset: int, rows: int | None, data: st.DataObject
) -> None:
    """One after the other, each as far behind the last as a page reaches without its overlap."""
    overlap = data.draw(st.integers(0, page - 1))
    paging = Markers(largest_page=page, default_page=page, largest_offset=largest_offset)
    expected = [0]
    while (rows is None or expected[-1] + page < rows) and expected[-1] + page - overlap <= largest_offset:
        expected.append(expected[-1] + page - overlap)
    assert list(paging.offsets(rows, overlap=overlap)) == expected
    if not overlap:
        assert list(paging.offsets(rows)) == expected


@pytest.mark.parametrize("total", ["12", [], {}, b"1"])
def test_a_total_that_is_no_number_is_the_vendors_fault(total: Any) -> None:
    """Nothing is reckoned with it."""
    with pytest.raises(PayloadError) as caught:
        PageFacts(rows=1, total=total)
    assert str(caught.value) == f"a page's total is {total!r}, which is no number"


@pytest.mark.parametrize("total", [None, 0, -1, 10**12, 7.0])
def test_any_number_may_be_a_total(total: Any) -> None:
    """Totals lag and lie, so that a wrong one is no error here."""
    assert PageFacts(rows=1, total=total).total == total


def test_what_is_not_said_is_unknown() -> None:
    """A page says nothing of itself, a window begins at its marker, and a walk is all there is of its listing."""
    said = PageFacts(rows=1)
    assert (said.total, said.marker, said.number, said.size) == (None, None, None, None)
    assert MarkerWindow("ff", 3).offset == 0
    walk = Partition(label="")
    assert (walk.filters, walk.between, walk.registered) == (None, None, (None, None))
    page = RawPage(partition=walk, window=MarkerWindow(None, 3), response=HttpResponse(status=200, body=b""))
    assert page.other_requests == 0
    rows = Rows(good=["d1"])
    assert (rows.errors, rows.facts) == ((), None)


def test_a_walk_is_known_by_its_label_and_filters() -> None:
    """How it can be cut into parts makes it no other walk, and is not shown."""
    whole = Partition(label="product p1", filters=("p1",))
    cut = Partition(
        label="product p1",
        filters=("p1",),
        between=lambda after, before: whole,
        registered=(datetime(2026, 1, 1, tzinfo=UTC), None),
    )
    assert cut == whole
    assert cut != Partition(label="product p1", filters=("p2",))
    assert cut != Partition(label="product p2", filters=("p1",))
    assert "between" not in repr(cut)
