"""What must not be in the library: text run as code, unpickling, a shell. Looked for in the syntax trees."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = sorted([*(ROOT / "otaclient").rglob("*.py"), *(ROOT / "backends").rglob("*.py")])

# What runs code that is in its data, or hands text to a shell. Of `os`, all that starts other programs.
MODULES: Final = """
pickle cPickle _pickle dill cloudpickle joblib shelve dbm marshal subprocess pty popen2 commands code codeop imp runpy
yaml jsonpickle xml lxml ctypes cffi
"""
BUILTINS: Final = "eval exec compile __import__ breakpoint"
CALLS: Final = """
os.system os.popen os.fork os.forkpty os.startfile os.posix_spawn os.posix_spawnp
os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe
os.execl os.execle os.execlp os.execlpe os.execv os.execve os.execvp os.execvpe
asyncio.create_subprocess_shell asyncio.create_subprocess_exec anyio.run_process anyio.open_process
importlib.import_module builtins.eval builtins.exec ssl._create_unverified_context
"""
FORBIDDEN_MODULES: Final = frozenset(MODULES.split())
FORBIDDEN_NAMES: Final = frozenset(f"{BUILTINS} {CALLS}".split())

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    # The shell in whose language a script is printed; none is run.
    "otaclient/cli/completion.py": frozenset({"shell="}),
    # The names are constants, and the packages are an extra that need not be there.
    "otaclient/export/parquet.py": frozenset({"importlib.import_module"}),
    # The suite for authors of backends checks that records and errors can be pickled: its own bytes, on the spot.
    "otaclient/testing/conformance/client.py": frozenset({"pickle"}),
    "otaclient/testing/conformance/records.py": frozenset({"pickle"}),
}


def findings(tree: ast.AST) -> Iterator[str]:
    """Yield what is forbidden in a module, however it was imported or renamed."""
    nodes = list(ast.walk(tree))
    names = dict(imported(nodes))
    for module in names.values():
        if module.partition(".")[0] in FORBIDDEN_MODULES or module in FORBIDDEN_NAMES:
            yield module
    for node in nodes:
        if isinstance(node, ast.Name | ast.Attribute):
            if (name := dotted(node, names)) in FORBIDDEN_NAMES:
                yield name
        elif isinstance(node, ast.keyword) and node.arg == "shell" and not is_false(node.value):
            yield "shell="


def imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield the names that imports make, each with what it stands for."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """Return what an attribute is called in full."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    return f"{dotted(node.value, names)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def is_false(node: ast.expr) -> bool:
    """Tell whether an argument is the constant ``False``."""
    return isinstance(node, ast.Constant) and node.value is False


def test_no_code_comes_from_data() -> None:
    """No module of the library, its backends, emulators and command runs what it was sent, or starts other programs."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        found[name] = set(findings(ast.parse(path.read_text(encoding="utf-8")))) - ALLOWED.get(name, frozenset())
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import xml.etree.ElementTree as tree",
        "from pickle import loads as decoded",
        "eval('1')",
        "run = exec",
        "import os\nos.system('ls')",
        "import os as machine\nmachine.popen('ls')",
        "from os import system as tell",
        "import asyncio\nasyncio.create_subprocess_shell('ls')",
        "start('ls', shell=True)",
        "import importlib\nimportlib.import_module(name)",
    ],
)
def test_what_is_forbidden_would_be_found(source: str) -> None:
    """The walk sees through other names."""
    assert list(findings(ast.parse(source)))


def test_there_is_something_to_look_at() -> None:
    """Both halves of the tree are walked."""
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == {"otaclient", "backends"}
    assert len(SOURCES) > 100
