"""The report as a page: what it says, how large it is, and that nothing of a device runs in it."""

import asyncio
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import attrs

from otaclient import export, report
from otaclient.fleet.ledger import CertificatePart
from otaclient.report import Change
from otaclient.report.comparison import MEANINGS
from support.exports import HOSTILE, UNCERTAIN, device, varied, written


class Page(HTMLParser):
    """What a page is made of; refuses what is not closed in order."""

    VOID = frozenset({"meta", "link", "br", "rect"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: "list[tuple[str, str | None]]") -> None:
        """Note a tag."""
        self.tags[tag] += 1
        self.addresses += [value or "" for name, value in attributes if name in {"src", "href", "srcset", "data"}]
        self.handlers += [name for name, _ in attributes if name.startswith("on") or name == "style"]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: "list[tuple[str, str | None]]") -> None:
        """Note a tag without content."""
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        """Check that the last tag ends first."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)

    @property
    def words(self) -> str:
        """All text."""
        return re.sub(r"\s+", " ", " ".join(self.text))


ALLOWED = {
    "html",
    "head",
    "meta",
    "link",
    "title",
    "style",
    "body",
    "header",
    "footer",
    "section",
    "div",
    "h1",
    "h2",
    "h3",
}
ALLOWED |= {
    "p",
    "ul",
    "li",
    "b",
    "br",
    "span",
    "bdi",
    "code",
    "dl",
    "dt",
    "dd",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
ALLOWED |= {"svg", "rect", "text"}


def checked(made: report.Report) -> Page:
    """Return the page of a report, which holds nothing but what we write."""
    page = Page(report.page(made))
    assert set(page.tags) <= ALLOWED
    assert page.addresses == ["data:,"]
    assert page.handlers == []
    return page


async def test_a_page_of_hostile_devices(tmp_path: Path) -> None:
    """Whatever devices are called, it is text, visible, and turns nothing round."""
    now = varied()
    before = [attrs.evolve(each, firmware_version="0", upgrading=True) for each in now[:-3]]
    old = await written(tmp_path / "old.parquet", before)
    file = await written(tmp_path / "<b>new.csv", now, attrs.evolve(UNCERTAIN, reasons=HOSTILE))
    page = checked(report.made(file, since=old))
    assert "<script>alert(1)</script>" in page.words
    assert "\\u202eturned\\x1b[31m\\x00" in page.words
    assert all(letter.isprintable() or letter == "\n" for letter in "".join(page.text))
    assert "<b>new.csv" in page.words


async def test_a_page_says_what_it_should(tmp_path: Path) -> None:
    """Numbers, changes with their lists, the certificate, and what the words mean."""
    before = [device("up", "1.0"), device("down", "2.0"), device("stuck", "1.0", upgrading=True), device("gone")]
    now = [device("up", "1.1"), device("down", "1.0"), device("stuck", "1.0", upgrading=True), device("new", None)]
    old, new = await written(tmp_path / "old.csv", before), await written(tmp_path / "new.jsonl", now)
    words = checked(report.made(new, since=old)).words
    for expected in (
        "Certified: no device was missed",
        "4 devices 1 products 2 firmware versions 1 upgrading now 1 upgraded 1 stuck 1 rolled back",
        "were upgraded 1 are stuck 1 were rolled back 1 changed, order not told 0 are unchanged 0 appeared 1 vanished",
        "3 devices are in both files. With the 1 that appeared, these are the 4 of the later file;",
        "with the 1 that vanished, the 4 of the earlier one.",
        "Devices that were upgraded: 1 device product before now up pump enos 1.0 1.1",
        "Devices that vanished: 1 device product before now gone pump enos 1.0.0 -",
        "1 of 4 devices (25.0 %).",
        "not told by the vendor 1",
        MEANINGS[Change.STUCK],
    ):
        assert expected in words
    assert "may be wrong" not in words
    old = await written(tmp_path / "old.csv", before, UNCERTAIN)
    new = await written(tmp_path / "new.csv", now)
    words = checked(report.made(new, since=old)).words
    assert "This comparison may be wrong" in words
    assert "What the earlier file rests on" not in words
    assert "UNCERTAIN: devices may be missing" in words


async def test_a_page_of_an_empty_fleet(tmp_path: Path) -> None:
    """It is made, and says that there is nothing, and what that rests on."""
    certified = checked(report.made(await written(tmp_path / "fleet.csv", [])))
    assert "The file holds no devices The scan proved that the vendor listed none" in certified.words
    (tmp_path / "fleet.csv.certificate.json").unlink()
    empty = export.read(tmp_path / "fleet.csv")
    assert "Whether there really are none is not proved." in checked(report.made(empty)).words
    both = checked(report.made(empty, since=empty))
    assert "0 devices are in both files." in both.words
    assert "at a time that is not known" in both.words


async def test_who_is_upgrading_may_not_be_known(tmp_path: Path) -> None:
    """Nobody asked: that is no zero."""
    file = await written(tmp_path / "fleet.csv", [device("a", upgrading=None), device("b", upgrading=None)])
    assert "Not known of any device: the scan did not ask." in checked(report.made(file)).words
    file = await written(tmp_path / "fleet.csv", [device("a", upgrading=None), device("b", upgrading=True)])
    assert "1 of 2 devices (50.0 %) ; of 1 it is not told." in checked(report.made(file)).words.replace(")", ") ")


async def test_software_versions_have_their_own_table(tmp_path: Path) -> None:
    """Where a product has software, its versions are shown too."""
    old = await written(tmp_path / "old.csv", [])
    file = await written(tmp_path / "fleet.csv", [device("a", software_version="7"), device("b", upgrading=True)])
    words = checked(report.made(file)).words
    assert "software version devices share" in words
    assert "1.0.0, software 7" in checked(report.made(file, since=old)).words


LONG = '"&<' * 60


def test_the_page_stays_small_whatever_the_fleet(tmp_path: Path) -> None:
    """Thousands of products and versions with hostile names make less than 500 kB; what is left out is counted."""
    part = CertificatePart(backend=LONG, query=LONG * 9, finished=False, devices=1, reads=1, errors=(LONG * 9,) * 20)
    bad = attrs.evolve(UNCERTAIN, reasons=(LONG * 9,) * 40, parts=(part,) * 50)
    rows = [
        device(
            f"{product}-{number}", f"{number}{LONG}", product_id=f"{product}{LONG}", software_version=f"{number}{LONG}"
        )
        for product in range(60)
        for number in range(30)
    ]
    file = asyncio.run(written(tmp_path / "fleet.csv", rows, bad))
    html = report.page(report.made(file, since=file, list_limit=1))
    assert len(html.encode()) < 500_000
    words = checked(report.made(file)).words
    assert "And 30 more products with 900 devices together" in words
    assert "20 other versions 20 66.7 %" in words
    assert "and 17 more errors" in words
    assert "and 40 more parts" in words


async def test_long_lists_say_what_is_missing(tmp_path: Path) -> None:
    """A list that is cut says of how many, and how to get all."""
    file = await written(tmp_path / "fleet.csv", [device(f"{number:03}", upgrading=True) for number in range(30)])
    page = report.page(report.made(file, list_limit=7))
    words = Page(page).words
    assert "Devices being upgraded now: 30 The first 7 by backend" in words
    assert "--list-limit 30" in words
    assert "<code>006</code>" in page
    assert "<code>007</code>" not in page
