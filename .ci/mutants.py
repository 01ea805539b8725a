"""Mutation testing of the pure core: which small faults the tests of a module miss. Run it by ``.ci/mutation``.

mutmut makes the faults and tries those inside functions, quickly, each in a fork of a process that has imported
everything. What it cannot try like that is tried here, each in a process that imports the faulty text: faults at module
and class level, in decorated functions, and in functions that run at import. So is what survived, to be sure.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import ndiff
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import libcst
from libcst import matchers
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import file_mutation
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode
from mutmut.mutation.trampoline_templates import mangle_function_name

ENOUGH: Final = 0.9
"""The share of faults that the tests of each module have to find."""

# mutmut's exit codes of a test that failed. Its limit of time is one of the clock, which a busy machine can reach, too:
# what took longer is tried once more here, with a limit of the processor's time.
_FOUND: Final = frozenset({1, 3})
_MOST_BYTES: Final = 1 << 30
# How much longer than its processor time a trial may take on a busy machine.
_MOST_WAITING: Final = 10
_TOOL: Final = Path(sys.executable).with_name("mutmut")
_PYTEST: Final = ("--hypothesis-seed=0", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov")

_UNIT: Final = "tests/unit/test_{}.py"
_RULES: Final = "tests/adversary/test_mutations.py::test_the_rules_as_they_are_pass_every_check"


# All that counts is whether a test fails: its smallest example, and a memory of such, would take most of the time.
_PROFILE: Final = """
from hypothesis import Phase
settings.register_profile("ci", deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile("ci")
"""


class Tests(NamedTuple):
    """The tests that should find every fault in a module."""

    quick: tuple[str, ...]
    slower: tuple[str, ...] = ()
    """Asked only about what the quick ones miss."""


TESTS: Final = {
    "otaclient/transport/retry.py": Tests(("retry",)),
    "otaclient/paging.py": Tests(("paging",)),
    "otaclient/reads.py": Tests(("reads",), ("paging",)),
    "otaclient/fingerprint.py": Tests(("fingerprint",)),
    "otaclient_enos/expression.py": Tests(("enos_expression",)),
    "otaclient_enos/signing.py": Tests(("enos_signing",)),
    "otaclient_iotda/signing.py": Tests(("iotda_signing",)),
    "otaclient_iotda/statements.py": Tests(("iotda_statements",)),
    "otaclient/fleet/ledger.py": Tests(("ledger",)),
    "otaclient/fleet/proof.py": Tests(("proof",)),
    "otaclient/fleet/sightings.py": Tests(("sightings", "chain"), ("scan",)),
    "otaclient/fleet/chain.py": Tests(("chain", "sightings")),
    "otaclient/fleet/cuts.py": Tests(("cuts",), ("ranges",)),
    "otaclient/fleet/ranges.py": Tests(("ranges",), ("plan", _RULES)),
    "otaclient/fleet/page_windows.py": Tests(("certified_pages",), (_RULES, "plan")),
    "otaclient/fleet/certified_pages.py": Tests(
        ("certified_pages", "certified_scan"), (_RULES, "scan_bad_pages", "scan_bad_input", "plan")
    ),
    "otaclient/fleet/certified_markers.py": Tests(
        ("certified_markers", "certified_scan"), (_RULES, "scan_bad_pages", "scan_bad_input", "plan")
    ),
}
"""The modules of the pure core: below ``tests/unit``, what is named by its module.

``transport/adaptive.py`` is not among them: most of it is figures that were tuned, and a little more or less of one is
no fault. Simulations say whether they do.
"""


class Fault(NamedTuple):
    """A small change to a module."""

    name: str
    """What mutmut calls it; empty where it does not try it."""
    line: int
    text: Callable[[], str]
    """Gives the whole faulty module."""


class _Faults(file_mutation.MutationVisitor):
    """Collects what mutmut would change, decorated functions included, with the line of each change."""

    def __init__(self) -> None:
        super().__init__(mutation_operators, IgnoredCode(set(), set(), set()))
        self.lines: list[int] = []
        self.classes: dict[libcst.CSTNode, str] = {}

    def on_visit(self, node: libcst.CSTNode) -> bool:
        if isinstance(node, libcst.ClassDef):
            self.classes.update((child, node.name.value) for child in node.body.body)
        return super().on_visit(node)

    def _create_mutations(self, node: libcst.CSTNode) -> None:
        super()._create_mutations(node)
        position = self.get_metadata(PositionProvider, node, None)
        line = position.start.line if position else (self.lines or [1])[-1]
        self.lines += [line] * (len(self.mutations) - len(self.lines))

    def _skip_node_and_children(self, node: libcst.CSTNode) -> bool:
        if _is_for_readers(node):
            return True
        if isinstance(node, libcst.FunctionDef) and node.decorators:
            return False
        return bool(super()._skip_node_and_children(node))


def _is_for_readers(node: libcst.CSTNode) -> bool:
    """Tell what no test can see: ``__all__``, type variables and aliases, and the labels of an enumeration."""
    name = matchers.Name
    labelled = matchers.ClassDef(bases=[matchers.Arg(value=name("Enum"))])
    return matchers.matches(
        node,
        labelled
        | matchers.Assign(targets=[matchers.AssignTarget(target=name("__all__"))])
        | matchers.Assign(value=matchers.Call(func=name("TypeVar") | name("ParamSpec")))
        | matchers.AnnAssign(annotation=matchers.Annotation(annotation=name("TypeAlias"))),
    )


def faults_of(source: str) -> Iterator[Fault]:
    """Yield every faulty version of a module."""
    wrapper = MetadataWrapper(libcst.parse_module(source))
    visitor = _Faults()
    wrapper.visit(visitor)
    numbers: Counter[str] = Counter()
    for mutation, line in zip(visitor.mutations, visitor.lines, strict=True):
        text = partial(_text_of, wrapper.module, mutation)
        function, name = mutation.contained_by_top_level_function, ""
        if isinstance(function, libcst.FunctionDef):
            mangled = mangle_function_name(name=function.name.value, class_name=visitor.classes.get(function))
            numbers[mangled] += 1
            name = f"{mangled}__mutmut_{numbers[mangled]}"
        yield Fault(name, line, text)


def _text_of(module: libcst.Module, mutation: file_mutation.Mutation) -> str:
    faulty = module.deep_replace(mutation.original_node, mutation.mutated_node)
    assert isinstance(faulty, libcst.Module)
    return faulty.code


def _paths(tests: tuple[str, ...]) -> list[str]:
    return [test if "/" in test else _UNIT.format(test) for test in tests]


def tried_by_mutmut(path: str, tests: list[str]) -> dict[str, int]:
    """Return the exit codes of mutmut's own run over one module."""
    lines = [
        "[mutmut]",
        *("source_paths=", "    otaclient", "    otaclient_enos", "    otaclient_iotda"),
        *("only_mutate=", f"    {path}"),
        *("pytest_add_cli_args=", *(f"    {option}" for option in _PYTEST)),
        *("pytest_add_cli_args_test_selection=", *(f"    {test}" for test in tests)),
    ]
    Path("setup.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.rmtree("mutants", ignore_errors=True)
    command = [_TOOL, "run", "--max-children", "1"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - nothing from outside
    if run.returncode != 0:
        sys.exit(f"{path}: mutmut failed\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}")
    results = json.loads(Path("mutants", f"{path}.meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    shutil.rmtree("mutants")
    return {name.rpartition(".")[2]: code for name, code in results.items()}


def status_of_tests(tests: list[str], *, seconds: int, write_bytecode: bool = False) -> int:
    """Return how the tests ended in a process that has imported nothing of the project yet."""
    child = os.fork()
    if child:
        return _status_of(child, most_seconds=_MOST_WAITING * seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    sys.dont_write_bytecode = not write_bytecode
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    import pytest

    # A plugin that the parent has imported cannot have its asserts rewritten; it has none that matter here.
    os._exit(int(pytest.main(["-x", "-q", "-W", "ignore:Module already imported", *_PYTEST, *tests])))


def _status_of(child: int, *, most_seconds: float) -> int:
    """Return how a process ended; what has not by then waits for ever, as some faulty code does, and is ended."""
    began = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - began > most_seconds:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


def found_by(tests: Tests, path: str) -> tuple[int, int]:
    """Print the faults that the tests miss; return how many they find, and how many there are in all."""
    quick, every = _paths(tests.quick), _paths(tests.quick + tests.slower)
    module = Path(path)
    source = module.read_text(encoding="utf-8")
    began = _seconds_of_children()
    if status_of_tests(every, seconds=600, write_bytecode=True) != 0:
        sys.exit(f"{path}: its tests fail without any fault")
    most = 10 + 5 * int(_seconds_of_children() - began)
    tried = tried_by_mutmut(path, quick)
    faults = list(faults_of(source))
    unknown = tried.keys() - {fault.name for fault in faults}
    if unknown:
        sys.exit(f"{path}: mutmut tried what is not in the list: {sorted(unknown)}")
    missed = 0
    # A compiled copy is told from a newer text by its time in seconds and its size: too coarse for this.
    for compiled in module.parent.glob(f"__pycache__/{module.stem}.*"):
        compiled.unlink()
    for fault in faults:
        if tried.get(fault.name) in _FOUND:
            continue
        text = fault.text()
        module.write_text(text, encoding="utf-8")
        if status_of_tests(every, seconds=most) == 0:
            missed += 1
            print(f"    {path}:{fault.line} survived\n{shown(source, text)}", flush=True)
    module.write_text(source, encoding="utf-8")
    return len(faults) - missed, len(faults)


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shown(source: str, faulty: str) -> str:
    """Return the change as lines of text."""
    changed = [line for line in ndiff(source.splitlines(), faulty.splitlines()) if line[0] in "+-"]
    return "\n".join(f"        {line[0]} {line[1:].strip()}" for line in changed)


def main(wanted: list[str]) -> None:
    """Try the modules whose path holds one of the words, or all, and say what survived."""
    # Plain imports, so that the processes that try a fault begin with them.
    import aioresponses  # noqa: F401
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401

    sys.path.insert(0, str(Path.cwd()))
    os.environ["OTACLIENT_ADVERSARY_SCANS"] = "200"
    os.environ["OTACLIENT_MUTATION_SCANS"] = "20"
    # Some faults never end, and some of those remember ever more.
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    with Path("tests/conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(_PROFILE)
    chosen = [path for path in TESTS if not wanted or any(word in path for word in wanted)]
    if not chosen:
        sys.exit(f"no module is called {' or '.join(wanted)}: there are {', '.join(TESTS)}")
    summary, enough = [], True
    for path in chosen:
        began = time.monotonic()
        found, total = found_by(TESTS[path], path)
        enough = enough and found >= ENOUGH * total
        summary.append(
            f"{path:40} {found:4} of {total:4} found, {found / total:6.1%}, {time.monotonic() - began:4.0f} s"
        )
        print(summary[-1], flush=True)
    print("\n==> summary", *summary, sep="\n")
    if not enough:
        sys.exit(f"below {ENOUGH:.0%}")


if __name__ == "__main__":
    main(sys.argv[1:])
