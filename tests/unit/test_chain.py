"""The rules of the chain, one by one: what joins, what is weak, what contradicts."""

from collections.abc import Sequence
from itertools import pairwise, permutations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.fleet.chain import Chain, Match
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


def test_the_order_of_a_read_that_did_not_join_counts() -> None:
    """Its rows are read again, but what it showed was so at some moment."""
    chain = chain_of("abcd")
    chain.refuse("ghij")
    chain.add("cdefgh")
    assert chain.match("ghij").in_order
    assert not chain.match("ghxji").in_order
    chain.refuse("xx")
    assert chain.match("x").in_order


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


@pytest.mark.parametrize("reads", [1, 2, 3])
@pytest.mark.parametrize("in_order", [True, False])
def test_as_many_of_the_first_reads_are_remembered_for_good(reads: int, in_order: bool) -> None:
    """No more, and no fewer: each read here adds two rows to two known ones."""
    sightings = Sightings(reads)
    chain, other = Chain(sightings), Chain(sightings)
    rows = [chr(code) for code in range(ord("a"), ord("z"))]
    for start in range(0, 20, 2):
        # What another chain saw first is remembered by the same rule, wherever it stands in this one.
        seen_by = chain if in_order else other
        seen_by.add(rows[start : start + 4])
        if not in_order:
            chain.add(rows[start : start + 4])
    kept = [row for row in rows[:20] if chain.match([row]).shared]
    assert kept[: 2 * reads + 2] == rows[: 2 * reads + 2]
    assert rows[2 * reads + 2] not in kept


# --- against the rules as they are written ---------------------------------------------------------------------------


class PlainChain:
    """The rules of a chain and nothing else: every row has its rank in one table."""

    def __init__(self) -> None:
        self.ranks: dict[str, int] = {}
        self.late: set[str] = set()
        self._highest = -1
        self._frontier = self._anchor = 0

    def match(self, keys: Sequence[str]) -> Match:
        """Return what a read has in common with the joined ones."""
        known = self._known(keys)
        recent = [place for place, rank in known if rank >= self._anchor]
        return Match(
            rows=len(keys),
            shared=len(known),
            at_anchor=len(recent),
            leading=sum(key not in self.ranks for key in keys[: recent[0]]) if recent else 0,
            in_order=all(before <= behind for (_, before), (_, behind) in pairwise(known)),
            repeated=len(set(keys)) < len(keys),
            tail_known=bool(keys) and all(key in self.ranks and key not in self.late for key in keys[-2:]),
        )

    def add(self, keys: Sequence[str], *, at_head: bool, closing: bool) -> None:
        """Take in a read without a repeated row."""
        known = self._known(keys)
        if closing:
            self.late.update(key for key in keys if key not in self.ranks)
        if not known:
            first, step = (-1, 0) if at_head else (self._highest + 1, 1)
            self.ranks.update((key, first + step * place) for place, key in enumerate(keys))
            self._frontier, self._highest = (first, first + len(keys) - 1) if step else (self._frontier, self._highest)
            self._anchor = self._anchor if closing else first
            return
        (_, lowest), (last, last_rank) = known[0], known[-1]
        rank = lowest
        for key in keys[: last + 1]:
            rank = max(rank, self.ranks.setdefault(key, rank))
        extends = last_rank >= self._frontier
        for key in keys[last + 1 :]:
            self._highest += extends
            self.ranks[key] = self._highest if extends else rank
        self._frontier = lowest if extends else self._frontier
        self._anchor = self._anchor if closing else lowest

    def _known(self, keys: Sequence[str]) -> list[tuple[int, int]]:
        return [(place, self.ranks[key]) for place, key in enumerate(keys) if key in self.ranks]


KEYS = st.sampled_from("abcdefghijkl")
READS = st.lists(
    st.tuples(st.integers(0, 1), st.lists(KEYS, max_size=6, unique=True), st.booleans(), st.booleans()),
    max_size=8,
)


@given(reads=READS, looks=st.lists(st.lists(KEYS, max_size=6), min_size=1, max_size=3))
def test_two_chains_over_one_memory_know_what_the_rules_say(
    reads: list[tuple[int, list[str], bool, bool]], looks: list[list[str]]
) -> None:
    """Whatever was read, in whatever order and by whichever chain: what a read matches follows from the rules alone."""
    sightings = Sightings()
    chains, plain = [Chain(sightings), Chain(sightings)], [PlainChain(), PlainChain()]
    for which, keys, at_head, closing in reads:
        assert chains[which].match(keys) == plain[which].match(keys)
        chains[which].add(keys, at_head=at_head, closing=closing)
        plain[which].add(keys, at_head=at_head, closing=closing)
    for chain, rules in zip(chains, plain, strict=True):
        assert (chain.size, chain.joined_late) == (len(rules.ranks), len(rules.late))
        for look in [*looks, *map(list, permutations(rules.ranks, 2))]:
            assert chain.match(look) == rules.match(look)


def test_the_next_read_has_to_meet_the_last_one_unless_that_was_a_closing_read() -> None:
    """Behind a closing read the walk goes on elsewhere."""
    chain = chain_of("abcd", "cdef")
    assert not chain.match("abxy").joins
    chain.add("abc", at_head=True, closing=True)
    assert not chain.match("abxy").joins
    assert chain.match("cdxy").joins
    chain.add("abc", at_head=True)
    assert chain.match("abxy").joins


MATCH = Match(rows=4, shared=2, at_anchor=2, leading=0, in_order=True, repeated=False, tail_known=False)


@pytest.mark.parametrize(
    ("match", "is_what"),
    [
        (MATCH, {"joins"}),
        (attrs.evolve(MATCH, leading=2), {"joins"}),
        (attrs.evolve(MATCH, leading=3), set()),
        (attrs.evolve(MATCH, shared=4, at_anchor=4, in_order=False), {"joins", "is_behind"}),
        (attrs.evolve(MATCH, repeated=True), set()),
        (attrs.evolve(MATCH, shared=4, repeated=True), set()),
        (attrs.evolve(MATCH, shared=4, at_anchor=0), {"is_behind"}),
        (attrs.evolve(MATCH, shared=3, at_anchor=0), set()),
        (attrs.evolve(MATCH, rows=2, at_anchor=0), {"is_behind"}),
        (attrs.evolve(MATCH, rows=1, shared=1, at_anchor=1), {"is_weak"}),
        (attrs.evolve(MATCH, at_anchor=1), {"is_weak"}),
        (attrs.evolve(MATCH, at_anchor=1, repeated=True), set()),
        (attrs.evolve(MATCH, rows=0, shared=0, at_anchor=0), set()),
    ],
)
def test_what_a_match_proves(match: Match, is_what: set[str]) -> None:
    """Two rows of the last read join, unless more new ones come before them; one is weak, a repeated one nothing."""
    assert {name for name in ("joins", "is_behind", "is_weak") if getattr(match, name)} == is_what


def test_a_row_that_comes_twice_in_one_read_counts_once() -> None:
    """The number of rows is what the vendor's total is compared with."""
    chain = Chain(Sightings())
    chain.add(list("aab"))
    assert chain.size == 2
    chain.add(list("bcc"))
    assert chain.size == 3
