"""The built site: whole, and asking nobody else for anything. ``make docs`` builds it and then runs this."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urldefrag, urlsplit

import pytest

import otaclient
from support.doc_blocks import ROOT

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# What a browser fetches by itself, by tag and attribute; of links alone, nothing.
FETCHED: Final = {
    ("audio", "src"), ("embed", "src"), ("iframe", "src"), ("image", "href"), ("img", "src"), ("img", "srcset"),
    ("input", "src"), ("link", "href"), ("object", "data"), ("script", "src"), ("source", "src"),
    ("source", "srcset"), ("track", "src"), ("use", "href"), ("video", "poster"), ("video", "src"),
}  # fmt: skip

# Addresses in the theme's own script, and why none of them is asked.
IN_THE_SCRIPT: Final = {
    "https://api.github.com": "asked for the facts of a repository: mkdocs.yml names none (repo_url)",
    "https://unpkg.com/mermaid": "loaded where a page has a diagram of the kind mermaid: none has",
    "https://unpkg.com/resize-observer-polyfill": "loaded by browsers without ResizeObserver, older than 2020",
    "https://clipboardjs.com": "in a comment, as all that follow",
    "https://bit.ly": "the same",
    "http://lunrjs.com": "the same",
    "http://code.google.com/p/urim": "the same",
    "http://en.wikipedia.org": "the same",
    "http://tartarus.org": "the same",
}


class Page(HTMLParser):
    """What a page fetches, links to, and can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.classes: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag says."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values["id"]} if "id" in values else set()
        self.classes |= set(values.get("class", "").split())
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") in {"canonical", "next", "prev"}:
            return
        for name, value in values.items():
            if (tag, name.removeprefix("xlink:")) in FETCHED:
                self.fetched += [part.split()[0] for part in value.split(",") if part.strip()]
            self.fetched += re.findall(r"url\(([^)]*)\)", value) if name == "style" else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site: the one that ``OTACLIENT_SITE`` names, else one built with warnings as errors."""
    if "OTACLIENT_SITE" in os.environ:
        return ROOT / os.environ["OTACLIENT_SITE"]
    if find_spec("mkdocs") is None:
        pytest.skip("the extra docs is not installed: make docs runs this")
    built = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(built)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return built


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All pages by their files."""
    found = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(found) > 20
    return found


def test_no_page_fetches_anything_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    """Scripts, styles, fonts and pictures are files of the site, and they are there."""
    for path, page in pages.items():
        for address in page.fetched:
            parts = urlsplit(address)
            assert not parts.netloc, f"{path}: {address}"
            if parts.scheme == "data" or path.name == "404.html":  # that one's addresses begin at the server's root
                continue
            assert not parts.scheme, f"{path}: {address}"
            assert (path.parent / parts.path).resolve().is_relative_to(site.resolve())
            assert (path.parent / parts.path).is_file(), f"{path}: {address}"


def test_no_style_fetches_anything_from_elsewhere(site: Path) -> None:
    """No web fonts: neither imported nor by address."""
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", text), path
        assert not re.search(r"@import", text), path


def test_scripts_hold_no_address_that_is_asked(site: Path, pages: dict[Path, Page]) -> None:
    """Each address in a script is known, with the reason why no page asks it."""
    for path in site.rglob("*.js"):
        # The text of the pages; and what cuts the words of languages that this site is not in.
        if path.name == "search_index.js" or path.parent.name in {"lunr", "min"}:
            continue
        for address in re.findall(r"https?://[\w.-]+(?:/[\w.@/-]*)?", path.read_text(encoding="utf-8")):
            assert any(address.startswith(known) for known in IN_THE_SCRIPT), f"{path}: {address}"
    assert not any("mermaid" in page.classes for page in pages.values())
    assert "repo_url" not in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_link_within_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    """Pages and anchors, those of the reference included."""
    for path, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if urlsplit(link).scheme or urlsplit(link).netloc or path.name == "404.html":
                continue
            file = (path.parent / target).resolve() if target else path
            assert file in pages or file.is_file(), f"{path}: {link}"
            assert not anchor or anchor == "__top" or anchor in pages[file].anchors, f"{path}: {link}"


def test_the_reference_has_the_whole_public_api(pages: dict[Path, Page]) -> None:
    """Every name that the package exports is documented."""
    anchors = set().union(*(page.anchors for page in pages.values()))
    missing = [name for name in otaclient.__all__ if f"otaclient.{name}" not in anchors]
    assert not [name for name in missing if f"otaclient.errors.{name}" not in anchors]
    for name in ("otaclient_enos.EnosConfig", "otaclient_iotda.IotdaConfig", "otaclient_iotda.AkSkCredentials"):
        assert name in anchors


@pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed here")
def test_search_works_from_a_file_without_a_network(site: Path, tmp_path: Path) -> None:
    """Opened as a file, with every host unknown, the search finds pages."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=20000", "--dump-dom", f"{(site / 'index.html').resolve().as_uri()}?q=fingerprint",
        ],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    results = re.findall(r'<a href="([^"]*)" class="md-search-result__link"', done.stdout)
    assert any("retries.html" in result for result in results), done.stderr[-2000:]
