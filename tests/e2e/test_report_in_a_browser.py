"""The page in a real browser: on a desk, on a phone, in the dark and on paper; offline, and without a script."""

import asyncio
import re
import zlib
from collections import Counter
from pathlib import Path

import pytest

from otaclient import report
from support.browser import Browser, browser
from support.exports import HOSTILE, UNCERTAIN, device, varied, written

PHONE, DESK = 390, 1100
# The chart's colours, as the style has them; one of each theme's paper.
BLUE, ORANGE, GREEN = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)
LIGHT, DARK = (0xFF, 0xFF, 0xFF), (0x14, 0x18, 0x1D)


def colours(png: bytes) -> "Counter[tuple[int, int, int]]":
    """Return how many pixels of each colour a picture has."""
    width, height, position, packed = int.from_bytes(png[16:20]), int.from_bytes(png[20:24]), 8, b""
    channels = {2: 3, 6: 4}[png[25]]
    while position < len(png):
        length = int.from_bytes(png[position : position + 4])
        if png[position + 4 : position + 8] == b"IDAT":
            packed += png[position + 8 : position + 8 + length]
        position += 12 + length
    raw, size = zlib.decompress(packed), width * channels
    before = bytearray(size)
    found: Counter[tuple[int, int, int]] = Counter()
    for number in range(height):
        start = number * (size + 1)
        line = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + size]), before, channels)
        found.update(zip(line[0::channels], line[1::channels], line[2::channels], strict=True))
        before = line
    return found


def _unfiltered(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    """Undo the filter of a line, as the PNG specification says."""
    if kind == 2:
        return bytearray((one + other) & 255 for one, other in zip(line, above, strict=True))
    for place in range(len(line) if kind else 0):
        left = line[place - step] if place >= step else 0
        corner = above[place - step] if place >= step else 0
        line[place] = (line[place] + _guess(kind, left, above[place], corner)) & 255
    return line


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 1:
        return left
    if kind == 3:
        return (left + up) // 2
    estimate = left + up - corner
    return min((left, up, corner), key=lambda each: abs(estimate - each))


async def page_of(folder: Path) -> Path:
    """Return a page with everything on it: charts, lists, doubts, and devices with hostile names."""
    now = [*varied(), *(device(f"d{number}", f"1.{number % 9}", upgrading=number % 7 == 0) for number in range(200))]
    now += [device("x" * 300, "v" * 300, product_id="p" * 300)]
    before = [device(f"d{number}", "1.4", upgrading=True) for number in range(220)]
    old = await written(folder / "old.csv", before)
    new = await written(folder / "new.csv", now, UNCERTAIN)
    path = folder / "report.html"
    path.write_text(report.page(report.made(new, since=old)), encoding="utf-8")
    return path


async def width_of_content(page: Browser) -> int:
    """Return how wide the page is; wider than the window, and one would have to scroll sideways."""
    return int(await page.evaluate("document.documentElement.scrollWidth"))


@pytest.mark.timeout(120)
async def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """It asks for nothing, fits every width, shows its charts in every theme, and prints."""
    path = await page_of(tmp_path)
    async with browser(tmp_path / "profile") as page:
        for width in (PHONE, DESK):
            for dark in (False, True):
                await page.open(path, width=width, dark=dark)
                assert (page.requests, page.complaints) == ([path.as_uri()], [])
                assert await width_of_content(page) == width
                assert await page.evaluate("document.scripts.length + document.images.length") == 0
                chart = await page.evaluate("document.querySelector('svg.bar').getBoundingClientRect().top + scrollY")
                seen = await asyncio.to_thread(colours, await page.screenshot(top=chart, height=120))
                assert seen.most_common(1)[0][0] in ({DARK} if dark else {LIGHT})
                assert all(seen[colour] > 500 for colour in (BLUE, ORANGE, GREEN)), seen.most_common(12)
        text = await page.evaluate("document.body.innerText")
        assert all(name in text for name in ("UNCERTAIN: devices may be missing", HOSTILE[0]))
        narrow = await page.evaluate(
            "[...document.querySelectorAll('svg.bar text')].filter(each => "
            "each.getBBox().width > each.previousSibling.getBBox().width).length"
        )
        assert narrow == 0
        printed = await page.printed()
    assert printed.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", printed)) >= 3


@pytest.mark.timeout(120)
async def test_the_checks_above_can_fail(tmp_path: Path) -> None:
    """A page that asks for a picture, runs a script or is too wide is noticed; and our policy forbids the first two."""
    bad = tmp_path / "bad.html"
    worse = '<img src="http://127.0.0.1:9/x.png"><script>alert(7)</script><div style="width: 2000px">wide</div>'
    good = (await page_of(tmp_path)).read_text(encoding="utf-8")
    async with browser(tmp_path / "profile") as page:
        bad.write_text(f'<!DOCTYPE html><meta name="viewport" content="width=device-width">{worse}', encoding="utf-8")
        await page.open(bad, width=DESK)
        assert "http://127.0.0.1:9/x.png" in page.requests
        assert any("dialogue" in each for each in page.complaints)
        assert await width_of_content(page) > DESK
        bad.write_text(good.replace("<h1>", f"{worse}<h1>"), encoding="utf-8")
        await page.open(bad, width=DESK)
        forbidden = " ".join(page.complaints)
        assert "dialogue" not in forbidden
        assert "script" in forbidden
        assert "127.0.0.1:9/x.png" in forbidden
