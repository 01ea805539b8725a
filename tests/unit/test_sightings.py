"""What a scan remembers of rows: whether they are new, where they stood, whether they have changed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.fleet.chain import Chain
from otaclient.fleet.sightings import Batch, Sightings, content_of
from otaclient.models import DeviceTask, DeviceUpgrade, TaskStatus


def seen(*reads: str, most: int | None = None) -> Sightings:
    """Return the memory after some reads."""
    sightings = Sightings(most)
    for read in reads:
        look = sightings.look(list(read))
        sightings.settle(look)
    return sightings


def test_rows_are_new_once() -> None:
    """Known rows are found with their place in the batch that brought them."""
    look = seen("abcd", "cdef").look(list("efgc"))
    assert look.new("1234") == ["3"]
    assert [(place, batch.keys[there]) for place, batch, there in look.known] == [(0, "e"), (1, "f"), (3, "c")]


def test_a_key_that_comes_twice_is_new_once() -> None:
    """Of values beside the keys, the first one counts."""
    look = seen("ab").look(list("bcdc"))
    assert look.repeated
    assert look.new([1, 2, 3, 4]) == [2, 3]


def test_a_look_that_is_not_settled_leaves_nothing_behind() -> None:
    """A read that was not joined may be read again: its rows are still new then."""
    sightings = seen("ab")
    assert sightings.look(list("bcc")).new("123") == ["2"]
    assert sightings.look(list("cd")).new("12") == ["1", "2"]
    sightings.look(list("ab"))
    assert set(sightings._of) == {"a", "b"}


@given(st.lists(st.tuples(st.lists(st.sampled_from("abcdefghij"), max_size=6), st.booleans()), max_size=9))
def test_a_memory_without_bounds_is_a_table(reads: list[tuple[list[str], bool]]) -> None:
    """What is known are the rows of the reads that were settled, each at its place; everything else is new."""
    sightings, settled = Sightings(), set[str]()
    for keys, counts in reads:
        look = sightings.look(keys)
        assert sightings.look(keys) is look
        first = {key: place for place, key in reversed(list(enumerate(keys))) if key not in settled}
        assert look.repeated is (len(set(keys)) < len(keys))
        assert [(place, batch.keys[there]) for place, batch, there in look.known] == [
            (place, key) for place, key in enumerate(keys) if key in settled
        ]
        assert look.new(range(len(keys))) == sorted(first.values())
        if counts:
            sightings.settle(look)
            assert look.fresh.keys == sorted(first, key=first.__getitem__)
            settled |= set(keys)
        assert not sightings.may_forget(10**9)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_bounded_memory_holds_the_latest_reads(most: int) -> None:
    """As many as it is told, besides the read that is looked at, and what is kept."""
    sightings = Sightings(most)
    for number in range(12):
        sightings.settle(sightings.look([f"{number} first", f"{number} second"]), keep=number in {1, 2})
    look = sightings.look(["new"])
    kept = {1, 2, *range(12 - most, 12)}
    assert set(sightings._of) == {f"{number} {row}" for number in kept for row in ("first", "second")} | {"new"}
    sightings.settle(look)
    # A safe share is half of what is kept from the beginning, or of what the latest reads showed, if that is more.
    sure = max(4, 2 * most + 1) // 2
    assert [rows for rows in range(20) if not sightings.may_forget(rows)] == list(range(sure + 1))
    sightings.hold()
    for number in range(12):
        sightings.settle(sightings.look([f"later {number}"]))
    assert {f"{number} first" for number in kept} <= set(sightings._of)
    sure = max(4, 2 * most + 1 + most + 1) // 2
    assert [rows for rows in range(20) if not sightings.may_forget(rows)] == list(range(sure + 1))


def test_nothing_is_doubtful_before_anything_was_forgotten() -> None:
    """However little is remembered."""
    sightings = seen("a", "b", most=5)
    assert not sightings.may_forget(10**9)
    assert sightings.another().reads == 5
    assert sightings.another().look(["a"]).new("x") == ["x"]


def test_changes_are_told_by_a_digest() -> None:
    """The digest belongs to the row's place in its batch."""
    sightings = seen("abc")
    ((_, batch, there),) = sightings.look(["b"]).known
    assert not batch.has_changed(there, "2")  # nothing is known of its content yet
    batch.remember(["1", "2", "3"])
    assert not batch.has_changed(there, "2")
    assert batch.has_changed(there, "3")


def test_what_can_change_about_a_row() -> None:
    """Devices and tasks by their changing fields, any other model as a whole."""
    device = DeviceUpgrade(backend="b", device_id="d", product_id="p", firmware_version="2")  # type: ignore[arg-type]
    task = DeviceTask(backend="b", job_id="j", device_id="d", status=TaskStatus.FAILED, vendor_status="failed")  # type: ignore[arg-type]
    assert content_of([device])(device) == ("2", None, None)
    assert content_of([task])(task) == ("failed", None, None, None, None, None)
    assert content_of(["row"])("row") == "row"
    assert content_of([])("row") == "row"


def test_only_the_latest_reads_are_remembered() -> None:
    """Memory stays flat, except for what is kept for good."""
    sightings = seen("ab", "bc", "cd", "de", "ef", most=2)
    look = sightings.look(list("abcdef"))
    known = [batch is not look.fresh for batch in look.batches]
    assert (known[:2], known[-2:]) == ([False, False], [True, True])
    sightings = Sightings(1)
    sightings.settle(sightings.look(["first"]), keep=True)
    for number in range(9):
        sightings.settle(sightings.look([str(number)]))
    assert sightings.look(["first"]).new("x") == []


def test_rows_that_are_seen_again_are_remembered_longer() -> None:
    """A repair reads the same rows again and again: they must not be forgotten while it does."""
    sightings = seen("abcd", "de", "dx", "dy", "dz", "dw", most=2)
    assert sightings.look(["a"]).new("x") == []


def test_rows_behind_those_that_are_seen_again_are_forgotten_in_time() -> None:
    """What is seen again goes behind all others, so that it does not keep what was not."""
    sightings = seen("a", "b", "c", "ad", "e", "f", most=3)
    assert sightings.look(["b"]).new("1") == ["1"]
    assert seen("a", "b", "c", "ad", "e", "f", most=3).look(["c"]).new("1") == []


def test_what_is_held_adds_up() -> None:
    """Each time that something is held, it is kept besides what was held before."""
    sightings = Sightings(1)
    for read in ("abcd", "efgh"):
        sightings.settle(sightings.look(list(read)))
        sightings.hold()
    for read in "ijk":
        sightings.settle(sightings.look([read]))
    # Eight are held, and the latest two are there; what is older than these is gone.
    assert [sightings.may_forget(rows) for rows in (5, 6)] == [False, True]


def test_a_bounded_memory_is_bounded() -> None:
    """Whatever comes and goes, no more than the rows of a few reads are kept."""
    rng = random.Random(7)
    sightings = Sightings(4)
    for number in range(500):
        start = max(0, number * 8 - rng.randrange(20))
        sightings.settle(sightings.look([str(row) for row in range(start, start + 10)]))
    assert len(sightings._of) < 200


@pytest.mark.parametrize("first", ["abcdef", "fedcba"])
def test_two_chains_share_a_memory_but_not_their_order(first: str) -> None:
    """Parts of one listing may overlap: a row is new once, and each chain joins by its own reads."""
    sightings = Sightings()
    one, other = Chain(sightings), Chain(sightings)
    one.add(list(first))
    assert other.match(list("cdef")).shared == 0
    other.add(list("cdefgh"))
    assert other.size == 6
    assert other.match(list("efgh")).joins
    assert other.match(list("efgh")).in_order
    assert one.match(list("gh")).shared == 0
    assert sightings.look(list("abcdefgh")).new("abcdefgh") == []


@given(contents=st.lists(st.tuples(st.text(max_size=3), st.booleans()), min_size=1, max_size=30))
def test_a_change_is_noticed(contents: list[tuple[str, bool]]) -> None:
    """What a row said at first is known by half of a hash, which is 4 bytes a row: the same again is no change."""
    batch = Batch()
    assert not batch.has_changed(0, contents[0])
    batch.remember(contents)
    assert not any(batch.has_changed(place, content) for place, content in enumerate(contents))
    assert all(batch.has_changed(place, (content, "new")) for place, content in enumerate(contents))
    assert batch.digests is not None
    assert (batch.digests.itemsize, len(batch.digests)) == (4, len(contents))
