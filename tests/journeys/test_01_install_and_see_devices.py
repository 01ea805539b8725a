"""Journey 1: install, and see devices, within a minute."""

import os
import shutil
import sysconfig
import time
from pathlib import Path
from typing import Final

from support.doc_blocks import ROOT
from support.reader import FULL, reading, section

SOURCE: Final = ("pyproject.toml", "README.md", "LICENSE", "otaclient", "backends")
MOST_SECONDS: Final = 60


def test_install_and_see_devices(tmp_path: Path) -> None:
    """What the tutorial says, in a copy of the source; all the way, it ends within a minute."""
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    # Dependencies are taken from the environment of the tests, unless it goes all the way: tests need no network.
    offline = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": sysconfig.get_path("purelib")}
    fresh = {name: os.environ[name] for name in os.environ if name.startswith("PIP_")} | {"PIP_NO_CACHE_DIR": "1"}
    with reading(tmp_path, variables=fresh if FULL else offline) as reader:
        install = section("docs/tutorial.md", "1. Install")[0].text
        assert "pip install -e " in install
        if not FULL:  # an editable one needs a build package that the tests do not have
            install = install.replace(" -e ", " ")
        (demo,) = section("docs/tutorial.md", "2. Look at the demo")
        see = demo.text.splitlines()[0].removeprefix("$ ")
        begin = time.monotonic()
        # One shell for all of it, because activating an environment is a matter of the shell.
        printed = reader.run(f"set -e\n{install}\n{see}\ncommand -v otaclient")
        took = time.monotonic() - begin
    assert "all            500" in printed
    assert "Check        passed: the emulators hold 1,000 devices; each was read once, every record equal" in printed
    assert "certified: 1,000 devices" in printed
    assert printed.splitlines()[-1] == str(tmp_path / ".venv" / "bin" / "otaclient")
    assert not FULL or took < MOST_SECONDS, f"{took:.0f} s"
