"""``otaclient completion``: the scripts are those of the shells, and a real shell completes with them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from otaclient.cli import main

ASK = """
source "$1"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
"$(complete -p otaclient | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The script of each shell, as the command prints it."""
    folder = tmp_path_factory.mktemp("scripts")
    found: dict[str, Path] = {}
    for shell in ("bash", "zsh", "fish"):
        found[shell] = folder / f"otaclient.{shell}"
        with pytest.MonkeyPatch.context() as patched, found[shell].open("w", encoding="utf-8") as file:
            patched.setattr("sys.stdout", file)
            assert main(["completion", shell]) == 0
    return found


@pytest.mark.parametrize(
    ("typed", "offered", "not_offered"),
    [
        ("otaclient ", {"demo", "devices", "jobs", "completion"}, {"scan"}),
        ("otaclient de", {"demo", "devices"}, {"jobs"}),
        ("otaclient jobs ", {"list", "watch", "retry"}, {"scan"}),
        ("otaclient --backend enos devices ", {"scan", "list", "show"}, {"watch"}),
        ("otaclient devices scan --de", {"--dedupe"}, {"--out"}),
        ("otaclient devices scan --upgrading --ou", {"--out"}, {"--dedupe"}),
        ("otaclient jobs list --status ", {"running", "stopped"}, {"enos"}),
        ("otaclient jobs list --format ", {"table", "json", "jsonl", "csv"}, set()),
        ("otaclient completion ", {"bash", "zsh", "fish"}, set()),
    ],
)
def test_bash_completes(scripts: dict[str, Path], typed: str, offered: set[str], not_offered: set[str]) -> None:
    """A real bash offers commands, options and the values of options."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    done = subprocess.run(
        [bash, "--norc", "-c", ASK, "bash", str(scripts["bash"]), *typed.split(" ")],
        capture_output=True,
        text=True,
        check=True,
    )
    found = set(done.stdout.split())
    assert done.stderr == ""
    assert offered <= found
    assert not not_offered & found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_shells_own(scripts: dict[str, Path], shell: str) -> None:
    """It names every command, and the shell itself, where it is installed, finds no fault in it."""
    script = scripts[shell].read_text(encoding="utf-8")
    assert {"bash": "complete -F", "zsh": "#compdef otaclient", "fish": "complete -c otaclient"}[shell] in script
    for word in ("devices", "scan", "firmware", "upload", "watch", "--idempotency-key".lstrip("-")):
        assert word in script
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n", str(scripts[shell])], check=True, capture_output=True)
