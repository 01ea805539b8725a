"""The rules of the chain, one by one: what joins, what is weak, what contradicts."""

from collections.abc import Sequence

import pytest

from otaclient.fleet.chain import Chain
from otaclient.fleet.sightings import Sightings


def chain_of(*reads: Sequence[str]) -> Chain:
    """Return the chain of these reads."""
    chain = Chain(Sightings())
    for read in reads:
        chain.add(read)
    return chain


def test_two_shared_rows_in_order_join() -> None:
    """A read that shares two known rows, in their order, is joined."""
    match = chain_of("abcd").match("cdef")
    assert (match.shared, match.in_order, match.repeated, match.tail_known) == (2, True, False, False)
    assert match.joins


def test_one_shared_row_is_weak_and_none_is_a_gap() -> None:
    """One row proves as much, but shows nothing about the order; none proves nothing."""
    assert chain_of("abcd").match("defg").is_weak
    match = chain_of("abcd").match("efgh")
    assert not match.joins
    assert not match.is_weak


def test_another_order_contradicts() -> None:
    """Known rows that come in another order than before break the assumption of the proof."""
    assert not chain_of("abcd").match("dcef").in_order
    assert not chain_of("abcd", "cdef").match("efa").in_order


def test_a_key_twice_in_one_read_joins_nothing() -> None:
    """A read that repeats a row is no window of the listing."""
    match = chain_of("abcd").match("ccde")
    assert match.repeated
    assert not match.joins


def test_the_order_is_known_along_the_whole_chain() -> None:
    """A row that was read long ago and turns up at the end is a contradiction, not a join."""
    chain = chain_of("abcd", "cdef", "efgh")
    assert not chain.match("ghb").in_order
    assert chain.match("bfh").in_order


@pytest.mark.parametrize("read", ["abxcd", "xabcd", "abcxd"])
def test_rows_that_joined_in_between_never_contradict(read: str) -> None:
    """New rows between known ones, or before them, are in order wherever they are seen again."""
    chain = chain_of("abcd", read, "cdef")
    assert chain.match(read).in_order
    assert chain.match([*read, "e"]).in_order
    assert chain.size == 7


def test_new_rows_behind_a_row_in_the_middle_do_not_extend_the_end() -> None:
    """A read in the middle of the chain, reread after many rows joined there, does not reach beyond the end."""
    chain = chain_of("abcd", "cdef", "efgh", "abxy")
    assert chain.match("bxyc").in_order
    assert chain.match("xcdgh").in_order


def test_new_rows_at_the_head_come_before_all() -> None:
    """A closing read of new rows alone lies before everything known."""
    chain = chain_of("abcd")
    chain.add("wxyz", at_head=True)
    assert chain.match("yzab").in_order
    assert not chain.match("azb").in_order


def test_the_known_tail_ends_the_closing_read() -> None:
    """A closing read has met the known rows when its last ones are known."""
    chain = chain_of("abcd")
    assert chain.match("xyab").tail_known
    assert not chain.match("abxy").tail_known
    assert chain.match("a").tail_known
    assert not chain.match("").tail_known


def test_neighbours_remember_the_first_read_and_the_latest() -> None:
    """Flat memory: old reads are forgotten, but for the first ones, which the closing read at the head has to meet."""
    chain = Chain(Sightings(2))
    reads = ["abcd", "cdef", "efgh", "ghij", "ijkl", "klmn", "mnop"]
    for read in reads:
        chain.match(read)
        chain.add(read)
    assert chain.match("ab").shared == 2
    assert chain.match("op").joins
    assert chain.match("ij").shared == 0
    assert chain.may_forget(7)
    assert not chain.may_forget(2)
