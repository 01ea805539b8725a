"""Reports: what is counted, what changed, and how far the files can be trusted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient import report
from otaclient.errors import InvalidQueryError
from otaclient.fleet.ledger import Verdict
from otaclient.models import DeviceUpgrade
from otaclient.report import Change, Comparison, Source, Survey, later_of
from otaclient.report.comparison import MEANINGS
from otaclient.report.source import comparison_doubts, trust_in
from otaclient.report.text import share, shown
from support.exports import CERTIFICATE, UNCERTAIN, device, varied, written

# --- the order of versions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("1.9", "1.10"),
        ("1.0.0", "2"),
        ("v1.2", "V1.3"),
        ("1.2", "1.2.1"),
        ("1.2", "1.2-7"),
        ("FW-2.1", "fw-2.2"),
        ("fw_2", "fw_10"),
        ("1.0.0-rc1", "1.0.0"),
        ("1.0.0-rc2", "1.0.0-rc10"),
        ("1.0.0-alpha.9", "1.0.0-beta.1"),
        ("1.0-dev", "1.0-a1"),
        ("1.0.0-rc1", "1.0.1"),
        ("1.0.2k", "1.0.3k"),
        ("1.0-5-g3f2a", "1.0-7-g99aa"),
        ("1.4.2_20240101", "1.4.2_20240102"),
        ("9" * 5000, "1" + "0" * 5000),
        ("1.0.0+b", "1.0.1+a"),
    ],
)
def test_versions_that_have_an_order(earlier: str, later: str) -> None:
    """The first part that differs decides where its order is beyond doubt."""
    assert (later_of(later, earlier), later_of(earlier, later)) == (1, -1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.2", "1.2"),
        ("1.2", "v1.2.0"),
        ("1.2+abc", "1.2+def"),
        ("1.0-g3f2a", "1.0-g99aa"),
        ("3f2a91", "99aa00"),
        ("stable", "testing"),
        ("1.0-foo", "1.0"),
        ("1.0-3f2a", "1.0"),
        ("a1", "b1x"),
        ("1.0.2k", "1.0.2l"),
        ("", "latest"),
        ("rc1", "pre1"),
    ],
)
def test_versions_that_have_none(one: str, other: str) -> None:
    """Where makers disagree, nothing is told, rather than something wrong."""
    assert (later_of(one, other), later_of(other, one)) == (0, 0)


VERSIONS = st.text("0123456789.-_+vVrcabz g", max_size=10) | st.text(max_size=6)


@given(one=VERSIONS, other=VERSIONS)
def test_the_order_has_two_sides(one: str, other: str) -> None:
    """Whatever is compared, turning it round turns the answer round, and nothing is later than itself."""
    assert later_of(one, other) == -later_of(other, one)
    assert later_of(one, one) == 0


# --- comparing -------------------------------------------------------------------------------------------------------


def compared(before: list[DeviceUpgrade], now: list[DeviceUpgrade], *, list_limit: int = 10) -> report.Changes:
    """Return what changed."""
    comparison = Comparison([before], list_limit=list_limit)
    comparison.add(now)
    return comparison.changes()


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ({"firmware": "1.0"}, {"firmware": "1.1"}, Change.UPGRADED),
        ({"firmware": "1.0", "upgrading": True}, {"firmware": "1.1", "upgrading": True}, Change.UPGRADED),
        ({"firmware": "1.1"}, {"firmware": "1.0"}, Change.ROLLED_BACK),
        ({"firmware": "1.0"}, {"firmware": "1.0"}, Change.UNCHANGED),
        ({"firmware": None}, {"firmware": None}, Change.UNCHANGED),
        ({"firmware": "1.0", "upgrading": True}, {"firmware": "1.0", "upgrading": True}, Change.STUCK),
        ({"firmware": None, "upgrading": True}, {"firmware": None, "upgrading": True}, Change.STUCK),
        ({"firmware": "1.0", "upgrading": True}, {"firmware": "1.0", "upgrading": None}, Change.UNCHANGED),
        ({"firmware": "1.0", "upgrading": False}, {"firmware": "1.0", "upgrading": True}, Change.UNCHANGED),
        ({"firmware": "1.0"}, {"firmware": "nightly"}, Change.CHANGED),
        ({"firmware": "1.0"}, {"firmware": "1.0.0"}, Change.CHANGED),
        ({"firmware": None}, {"firmware": "1.0"}, Change.CHANGED),
        ({"firmware": "1.0"}, {"firmware": None}, Change.CHANGED),
        ({"firmware": "1.0"}, {"firmware": "1.1", "product_id": "other"}, Change.CHANGED),
        ({"firmware": "1.0"}, {"firmware": "1.0", "product_id": "other"}, Change.UNCHANGED),
        ({"software_version": "1"}, {"software_version": "2"}, Change.UPGRADED),
        ({"software_version": "2"}, {"software_version": "1"}, Change.ROLLED_BACK),
        ({"software_version": None}, {"software_version": "1"}, Change.CHANGED),
        (
            {"firmware": "2.0", "software_version": "1"},
            {"firmware": "1.0", "software_version": "2"},
            Change.ROLLED_BACK,
        ),
        ({"software_version": "1", "upgrading": True}, {"software_version": "2", "upgrading": True}, Change.UPGRADED),
        ({"backend": "iotda"}, {}, Change.APPEARED),
    ],
)
def test_each_change_by_its_definition(before: dict[str, Any], now: dict[str, Any], change: Change) -> None:
    """A device that is in both files, or has only its identifier in common, is exactly what the definitions say."""
    changes = compared([device("a", **before)], [device("a", **now)])
    found = [each for each in MEANINGS if changes.count(each)]
    assert found == ([change] if change is not Change.APPEARED else [Change.APPEARED, Change.VANISHED])


FLEETS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.sampled_from([None, "1", "2", "x"]), st.sampled_from([None, True, False]))
)


@given(before=FLEETS, now=FLEETS)
def test_the_numbers_add_up(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Every device of either file is counted once, whatever order the files are in."""
    files = [[device(name, version, upgrading=up) for name, (version, up) in fleet.items()] for fleet in (before, now)]
    changes = compared(*files)
    both = sum(changes.count(each) for each in MEANINGS if each not in {Change.APPEARED, Change.VANISHED})
    assert both + changes.count(Change.VANISHED) == len(before)
    assert both + changes.count(Change.APPEARED) == len(now)
    assert both == len(before.keys() & now.keys())
    turned = compared(files[0][::-1], files[1][::-1])
    for change in MEANINGS:
        assert turned.listings[change].devices == changes.listings[change].devices


def test_a_device_that_comes_twice_counts_once() -> None:
    """In either file, what repeats is left out and counted."""
    changes = compared([device("a"), device("a"), device("b")], [device("a"), device("a"), device("c"), device("c")])
    assert changes.repeated == 3
    assert {each: changes.count(each) for each in MEANINGS if changes.count(each)} == {
        Change.UNCHANGED: 1,
        Change.APPEARED: 1,
        Change.VANISHED: 1,
    }


def test_lists_are_short_and_sorted() -> None:
    """Of many devices the first ones are kept, by backend, product and identifier, whatever order they come in."""
    names = [f"{number * 7919 % 9973:05}" for number in range(5000)]
    changes = compared([], [device(name) for name in names], list_limit=3)
    assert changes.count(Change.APPEARED) == 5000
    assert [each.device_id for each in changes.listings[Change.APPEARED].devices] == sorted(names)[:3]
    assert changes.listings[Change.APPEARED].devices[0].product == "pump"
    assert report.Listed("e", "d", None, None).product is None


# --- how far files can be trusted ------------------------------------------------------------------------------------


def source(certificate: Any = CERTIFICATE, **fields: Any) -> Source:
    """Return a file in words."""
    return Source(name="fleet.csv", certificate=certificate, stamp_name="fleet.csv.certificate.json", **fields)


@pytest.mark.parametrize(
    ("about", "headline", "words"),
    [
        (source(), "Certified: no device was missed", "is in the file, once"),
        (source(None), "NO CERTIFICATE", "beside it. Was it left behind"),
        (source(altered=True), "THE CERTIFICATE IS NOT OF THIS CONTENT", "proves nothing about it"),
        (source(UNCERTAIN), "UNCERTAIN: devices may be missing", "Scan again before you act"),
        (source(attrs.evolve(CERTIFICATE, verdict=Verdict.UNPROVED)), "NOT PROVED", "asked for no proof"),
        (source(attrs.evolve(CERTIFICATE, bad_rows=3)), "Certified", "3 rows could not be read"),
        (source(attrs.evolve(CERTIFICATE, seconds=600.0)), "Certified", "10 minutes"),
    ],
)
def test_the_certificate_in_plain_words(about: Source, headline: str, words: str) -> None:
    """Whatever is not certified is said loudly."""
    trust = trust_in(about)
    assert trust.headline.startswith(headline)
    assert any(words in sentence for sentence in trust.sentences)
    assert (trust.tone.value == "good") == about.is_certified


def test_many_reasons_are_cut_and_counted() -> None:
    """The page stays short."""
    trust = trust_in(source(attrs.evolve(UNCERTAIN, reasons=tuple(f"reason {number}" for number in range(14)))))
    assert len(trust.reasons) == 11
    assert trust.reasons[-1] == "and 4 more reasons"


def test_a_comparison_says_why_it_may_be_wrong() -> None:
    """An uncertain file on either side, other questions, repeated rows; nothing where nothing is wrong."""
    assert comparison_doubts(source(), source(), repeated=0) == ()
    assert "vanished may still be there" in comparison_doubts(source(), source(UNCERTAIN), repeated=0)[0]
    assert "appeared may have been there before" in comparison_doubts(source(UNCERTAIN), source(), repeated=0)[0]
    other = attrs.evolve(CERTIFICATE, parts=(attrs.evolve(CERTIFICATE.parts[0], backend="iotda"),))
    assert "do not answer the same question" in comparison_doubts(source(), source(other), repeated=0)[0]
    assert comparison_doubts(source(), source(), repeated=5)[0].startswith("5 rows name a device")


# --- counting --------------------------------------------------------------------------------------------------------


async def test_files_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    """The earlier file cannot be the later one."""
    new, old = await written(tmp_path / "new.csv", []), await written(tmp_path / "old.csv", [])
    assert new.stamp is not None
    late = attrs.evolve(new, stamp=attrs.evolve(new.stamp, written_at=datetime.now(UTC) + timedelta(days=1)))
    with pytest.raises(InvalidQueryError, match="so it is the later one: swap the two"):
        report.made(old, since=late)


async def test_progress_counts_both_files(tmp_path: Path) -> None:
    """A progress bar learns of the rows of both."""
    file, seen = await written(tmp_path / "fleet.csv", varied()), list[int]()
    report.made(file, since=file, on_progress=seen.append)
    assert seen[-1] == 2 * len(varied())


def test_a_survey_orders_products_and_backends() -> None:
    """Products with the most devices come first."""
    survey = Survey(list_limit=1)
    survey.add([device("a", product_id="small"), device("b"), device("c"), device("d", backend="iotda")])
    found = [(each.product, each.backend, each.devices) for each in survey.products]
    assert found == [("pump", "enos", 2), ("small", "enos", 1), ("pump", "iotda", 1)]


def test_shares_do_not_look_like_all_or_nothing() -> None:
    """Only nothing is 0 %, only all is 100 %."""
    shares = [share(0, 0), share(0, 5), share(1, 10_000), share(1, 3), share(9_999, 10_000), share(5, 5)]
    assert shares == ["0 %", "0 %", "< 0.1 %", "33.3 %", "> 99.9 %", "100 %"]
    assert shown("x" * 100).endswith("x…")
