"""The picture of the demo in the README is what the demo shows: it is made anew here, and must be the same."""

import asyncio
import html
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otaclient.cli import main
from otaclient.cli.picture import drawn
from support.browser import browser

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "assets" / "demo.svg"
DEMO = "import sys; from otaclient.cli import main; sys.exit(main())"
NEW_ONE = "it is no longer what the demo shows: make picture, and look at it"


def words(svg: str) -> str:
    """Return what one reads in a picture."""
    lines: dict[float, str] = {}
    for y, text in re.findall(r'<text[^>]* y="([0-9.]+)"[^>]*>([^<]*)', svg):
        lines[float(y)] = lines.get(float(y), "") + text.strip("\n").replace("&#160;", " ")
    return html.unescape("".join(f"\n{lines[y].rstrip()}" for y in sorted(lines))) + "\n"


@pytest.mark.timeout(120)
def test_the_picture_is_what_the_demo_shows(tmp_path: Path) -> None:
    """Neither the run nor the terminal of whoever makes it is in it: equal seeds give equal pictures."""
    done = subprocess.run(
        [sys.executable, "-c", DEMO, "demo", "--picture", str(tmp_path / "demo.svg")],
        env={**os.environ, "COLUMNS": "61", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "demo.svg").read_text(encoding="utf-8")
    shown = done.stdout
    assert words(made) == words(PICTURE.read_text(encoding="utf-8")), NEW_ONE
    assert made == PICTURE.read_text(encoding="utf-8"), NEW_ONE
    for line in ("\notaclient demo\n", "certified: 40,000 devices", "passed: the emulators hold 40,000 devices"):
        assert line in words(made)
    # What differs from run to run was on the terminal, and is not in the picture.
    for measured in (r"http://127\.0\.0\.1:\d+", r"certified: 40,000 devices in [\d.]+ s", r"[\d,]+ bytes"):
        assert re.search(measured, shown)
        assert not re.search(measured, words(made))


def test_the_picture_is_light_and_asks_nobody() -> None:
    """It is under 100 kB, and holds no address that a browser would fetch: no font, no image, no script."""
    svg = PICTURE.read_text(encoding="utf-8")
    assert len(svg) < 100_000
    assert not re.search(r"@font-face|@import|url\((?!#)|<image|<script|href|\bsrc\b", svg)
    assert set(re.findall(r"http[^<\"]*", svg)) == {"http://www.w3.org/2000/svg", "http://127.0.0.1"}
    assert "](docs/assets/demo.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.timeout(120)
async def test_a_browser_draws_it(tmp_path: Path) -> None:
    """It is well-formed, no line runs out of it, and no request leaves for it."""
    async with browser(tmp_path / "profile") as page:
        await page.open(PICTURE, width=1300)
        assert (page.requests, page.complaints) == ([PICTURE.as_uri()], [])
        assert await page.evaluate("document.documentElement.nodeName") == "svg"
        assert await page.evaluate("document.querySelectorAll('parsererror').length") == 0
        outside = (
            "(edge => [...document.querySelectorAll('text')].filter("
            "each => each.getBoundingClientRect().right > edge).length)"
            "(document.documentElement.getBoundingClientRect().right)"
        )
        assert await page.evaluate(outside) == 0


def test_a_picture_does_not_replace_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there under that name is kept, before anything is scanned."""
    monkeypatch.chdir(tmp_path)
    Path("mine.svg").write_text("mine", encoding="utf-8")
    assert main(["demo", "--picture", "mine.svg"]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "mine.svg exists already" in told.err
    assert "--force" in told.err
    assert Path("mine.svg").read_text(encoding="utf-8") == "mine"


def test_a_picture_is_drawn_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tables behind it, it would take longer than a step of a loop may."""
    in_loop: list[bool] = []

    def watched(*arguments: Any, **options: Any) -> str:
        in_loop.append(asyncio._get_running_loop() is not None)
        return drawn(*arguments, **options)

    monkeypatch.setattr("otaclient.cli.demo.drawn", watched)
    assert main(["demo", "--devices", "2", "--picture", str(tmp_path / "demo.svg")]) == 0
    assert in_loop == [False]
