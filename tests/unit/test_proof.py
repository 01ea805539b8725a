"""The doubts about a walk, and how much it may read before it is given up."""

import pytest

from otaclient.fleet.proof import Doubt, Findings


def read(findings: Findings, times: int, *, repair: bool = False) -> Findings:
    """Count some reads."""
    for _ in range(times):
        findings.read(repair=repair)
    return findings


def most_reads(findings: Findings, limit: str) -> int:
    """Return after how many reads a limit is still kept."""
    while not getattr(findings, limit):
        findings.read(repair=True)
    return findings.reads - 1


def test_a_walk_begins_without_doubts() -> None:
    """Nothing was read, and nothing is held against it."""
    findings = Findings(2.0)
    assert (findings.reads, findings.repairs, dict(findings.doubts)) == (0, 0, {})
    assert not findings.is_spent
    assert not findings.is_exhausted


def test_reasons_are_read_by_people() -> None:
    """Each says what was found, as a rule by its kind; nothing else tells them why there is no certificate."""
    assert [doubt.value for doubt in Doubt] == [
        "gap: neighbouring reads share no rows, so rows between them may be missing",
        "weak join: neighbouring reads share only one row",
        "a row comes twice in one read, so the read proves nothing",
        "contradiction: rows changed their order while they were read",
        "end: the last page does not agree with the vendor's total",
        "end: the pages repeat and no end was reached",
        "closing read: new rows kept coming, faster than they could be read",
        "dedupe=neighbours: a read went farther back than is remembered, so devices may have come twice",
        "dedupe=neighbours: targets share devices, and not all are remembered, so devices may have come twice",
        "repair budget: closing the gaps would have taken more requests than allowed",
    ]


def test_doubts_are_counted() -> None:
    """Each kind by itself."""
    findings = Findings(2.0)
    for doubt in (Doubt.GAP, Doubt.ORDER, Doubt.GAP):
        findings.note(doubt)
    assert dict(findings.doubts) == {Doubt.GAP: 2, Doubt.ORDER: 1}


def test_the_whole_hears_of_its_parts() -> None:
    """Of every doubt, read and repair; but each part has its own, and a budget of its own."""
    whole = Findings(0.5)
    one, other = whole.part(), whole.part()
    one.note(Doubt.END)
    read(read(one, 3), 2, repair=True)
    read(other, 63)
    assert (whole.reads, whole.repairs, dict(whole.doubts)) == (68, 2, {Doubt.END: 1})
    assert (one.reads, one.repairs, dict(one.doubts)) == (5, 2, {Doubt.END: 1})
    assert (other.reads, other.repairs, dict(other.doubts)) == (63, 0, {})
    assert other.is_spent
    assert not one.is_spent


@pytest.mark.parametrize(
    ("budget", "total", "seen", "spent", "exhausted"),
    [
        # Plain reads: one for each page of 50, and one more. Sixty repairs are free; a fifth and fifty reads more
        # are made without any.
        (0.0, 0, 0, 61, 123),
        (2.0, 0, 0, 63, 125),
        (0.0, 1, 0, 62, 124),
        (0.0, 50, 0, 62, 124),
        (0.0, 51, 0, 63, 125),
        (0.0, 0, 51, 63, 125),
        (0.5, 500, 500, 76, 141),
        (2.0, 5_000, 5_000, 363, 485),
        # A count far beyond what was seen buys no end of reads.
        (0.0, 10**6, 0, 20_061, 1_010),
        (1.0, 10**6, 500, 40_062, 1_220),
        (1.0, 10**6, 501, 40_062, 1_240),
    ],
)
def test_how_far_one_reads(budget: float, total: int, seen: int, spent: int, exhausted: int) -> None:
    """Repairs have a budget beyond plain paging; and with it used up, one goes on to an end that is near."""

    def findings() -> Findings:
        found = Findings(budget)
        found.expect_plain(total, seen=seen, largest_page=50)
        return found

    assert most_reads(findings(), "is_spent") == spent
    assert most_reads(findings(), "is_exhausted") == exhausted


def test_a_fleet_may_grow_tenfold_and_by_a_thousand_reads() -> None:
    """Beyond that it is not followed; and one that shrinks takes nothing back."""
    findings = Findings(0.0)
    findings.expect_plain(5_000, seen=0, largest_page=50)  # 101 plain reads
    findings.expect_plain(100_000, seen=0, largest_page=50)
    findings.expect_plain(10, seen=10, largest_page=50)
    assert most_reads(findings, "is_spent") == 2_001 + 60
    findings.expect_plain(10**9, seen=0, largest_page=50)
    assert most_reads(findings, "is_spent") == 10 * 101 + 1_000 + 60


def test_without_a_count_what_was_seen_decides() -> None:
    """Until a count is told: that bounds the growth from then on."""
    findings = Findings(0.0)
    findings.expect_plain(None, seen=1_000_000, largest_page=50)
    assert most_reads(findings, "is_spent") == 20_001 + 60
    findings.expect_plain(5_000, seen=5_000, largest_page=50)
    findings.expect_plain(10**9, seen=5_000, largest_page=50)
    assert most_reads(findings, "is_spent") == 20_001 + 60


def test_where_the_end_was_seen_a_count_buys_no_more_than_growth() -> None:
    """Tenfold what was seen by then, and a thousand reads, whether the vendor counts or not."""
    for told in (None, 10**30):
        findings = Findings(0.0)
        findings.expect_plain(told, seen=500, largest_page=50)
        findings.end_is_near()
        findings.expect_plain(told, seen=10**6, largest_page=50)
        assert most_reads(findings, "is_spent") == 10 * 11 + 1_000 + 60
