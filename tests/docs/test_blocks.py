"""What the pages show is what works: every block of code runs, and prints what the page says."""

import asyncio
import os
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

import otaclient
from otaclient.emulator import Fleet
from support.doc_blocks import PAGES, ROOT, blocks_of, commands_in, rewrite
from support.doc_runner import running

# OTACLIENT_DOCS_UPDATE=1 python -m pytest tests/docs/test_blocks.py puts into the pages what is printed now.
UPDATE: Final = bool(os.environ.get("OTACLIENT_DOCS_UPDATE"))

LANGUAGES: Final = {"python", "sh", "console", "text", "toml", "json"}

_INSTALLS: Final = "makes an environment of its own; a test below checks that the extra exists"
_MAKES: Final = "makes an environment of its own; a test below checks that the target exists"
NOT_RUN: Final[dict[str, str]] = {
    "make ": _MAKES,
    "pip install ": _INSTALLS,
    ".venv/bin/pip install ": _INSTALLS,
    "python3 -m venv ": _INSTALLS,
    ". .venv/bin/activate": _INSTALLS,
    "OTACLIENT_DOCS_UPDATE=1 ": "runs these very tests",
    "PYTHONPATH=tests python tests/adversary/measure_drift.py": "takes many minutes",
    "A million devices": "takes a minute: tests/journeys runs it, smaller unless asked",
    "who_runs_what.py": "reads the file of those million devices; compiled here",
    "sh nightly.sh": "starts the command by its name: tests/journeys runs it",
    "uvicorn ": "needs an ASGI server, and never ends: tests/journeys runs it where there is one",
    "python open_model.py ": "tests/e2e/test_load_examples.py runs it, in a process of its own",
    "locustfile.py": "gevent would change this very process: tests/e2e/test_load_examples.py runs it, where Locust is",
    "locust ": "the same",
    "Before: client": "needs the vendor's client: tests/vendor_client runs it, in an environment of its own",
    "Before: all packages": "the same",
    "Before: a rollout": "the same",
    "Before: failed devices": "the same",
    "Before: devices": "needs a package under the GPL, which is not installed; compiled only",
    "Before: stop a job": "the same",
}
"""How commands, and titles of blocks, begin that are shown and not run, with the reason."""

ENDS_WITH: Final = {"otaclient jobs watch --backend enos JOB_ID": 1}
"""In an emulator some devices fail, and then this says so."""

BRINGS_ITS_OWN: Final = {"docs/guides/emulator.md", "docs/guides/nightly.md", "docs/tutorial.md"}
"""Pages that start their own emulators, and begin without settings."""

GIVEN: Final = {
    "README.md": {
        "job.toml": """name = "Gateways to 2.5.7"
firmware_ids = ["69442cf155f40ad9a2d4d71d"]
scope = { everything = true, source_versions = ["2.4.0"] }
"""
    }
}
"""Files that a page takes for granted."""


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """The fleet of ``otaclient emulator enos --devices 2000``."""
    return Fleet.generate(devices=2000, seed=7)


@pytest.mark.blocks_loop("what a page shows, and the command, may read a small file between two requests")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_runs(page: Path, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page, one after the other, run as they stand and print what the page shows."""
    blocks, name = blocks_of(page), str(page.relative_to(ROOT))
    for file, text in GIVEN.get(name, {}).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    configured = name not in BRINGS_ITS_OWN
    with running(
        page, tmp_path, monkeypatch, fleet=fleet, not_run=NOT_RUN, ends_with=ENDS_WITH, configured=configured
    ) as run:
        for block in blocks:
            run.run(block)
    if UPDATE:
        rewrite(run.changes)
    assert not run.changes or UPDATE, "\n".join(
        f"{block.place} shows\n{block.text}\nbut this is printed:\n{text}" for block, text in run.changes
    )


def test_an_update_lets_lines_stand_that_differ_in_a_time_alone(tmp_path: Path) -> None:
    """A page changes where its output did: in the right columns, and no line of one command becomes another's."""
    page = tmp_path / "page.md"

    def shown(name: str, one: str, other: str) -> str:
        return f"$ one\nname   {name}\nat     {one}\n$ other\nname     b\nat       {other}\n"

    old = shown("a", "2026-01-01 08:00:00Z", "2026-02-02 08:00:00Z")
    page.write_text(f"```console\n{old}```\n", encoding="utf-8")
    (block,) = blocks_of(page)
    rewrite([(block, shown("new", "2027-01-01 08:00:00Z", "2027-02-02 08:00:00Z"))])
    expected = shown("new", "2026-01-01 08:00:00Z", "2026-02-02 08:00:00Z")
    assert page.read_text(encoding="utf-8") == f"```console\n{expected}```\n"
    rewrite([(block, expected.replace("at     ", "at   "))])
    assert "at   2026-01-01 08:00:00Z\n" in page.read_text(encoding="utf-8")


def test_a_page_that_breaks_off_leaves_no_client_open(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its connections would be complained of while some other page runs."""
    page = tmp_path / "page.md"
    lines = 'mine = otaclient.open_backend("enos")\nawait mine.authenticate()\nraise LookupError'
    page.write_text(f"```python\n{lines}\n```\n", encoding="utf-8")
    with running(page, tmp_path, monkeypatch, fleet=fleet, not_run={}, ends_with={}) as run:
        for block in blocks_of(page):
            with pytest.raises(LookupError):
                run.run(block)
    with pytest.raises(otaclient.TransportError, match="is closed"):
        asyncio.run(run.namespace["mine"].authenticate())


def test_every_block_says_what_it_is() -> None:
    """A block in a language that nothing here runs, or in none, would never be checked."""
    unknown = [block.place for page in PAGES for block in blocks_of(page) if block.language not in LANGUAGES]
    assert not unknown


def test_no_page_has_a_fence_that_is_not_found() -> None:
    """Every fence belongs to a block, so that none escapes."""
    for page in PAGES:
        fences = re.findall(r"^ *(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks_of(page)), page


def test_what_is_not_run_is_on_some_page() -> None:
    """The list of exceptions holds nothing that no page shows any more."""
    blocks = [block for page in PAGES for block in blocks_of(page)]
    shown = [block.title for block in blocks if block.title is not None]
    shells = [block for block in blocks if block.language in {"sh", "console"}]
    shown += [command.line for block in shells for command in commands_in(block)]
    assert not [key for key in NOT_RUN if not any(text.startswith(key) for text in shown)]


def test_targets_and_extras_exist() -> None:
    """What the pages tell one to make and to install is there."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^(?:\$ )?make (\w+)", text, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for names in set(re.findall(r"(?:otaclient|\.)\[([\w,]+)\]", text)):
        assert set(names.split(",")) <= set(extras), names
