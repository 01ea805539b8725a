"""The test that a page shows first passes in an empty folder, with the configuration that it shows."""

import subprocess
import sys
from pathlib import Path

from support.doc_blocks import ROOT, blocks_of

PAGE = ROOT / "docs/guides/testing.md"


def test_the_first_test_of_the_page_passes(tmp_path: Path) -> None:
    """Nothing but what the page says is needed to run it."""
    files = {block.file_name: block.text for block in blocks_of(PAGE)}
    for name in ("pyproject.toml", "test_rollout.py"):
        (tmp_path / name).write_text(files[name], encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "warning" not in done.stdout
