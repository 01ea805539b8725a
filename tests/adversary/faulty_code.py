"""Faults to put into the certified scan, each of which breaks one of its rules; and how a faulty copy is loaded.

A fault is a small change to the text of one module. A text that is no longer there is an error, so that the list stays
true to the code.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

import attrs

import otaclient

__all__ = ["Mutation", "Rule", "changed", "loaded"]

_PACKAGE = Path(otaclient.__file__).parent
_MODULES = (
    "certified_markers", "certified_pages", "chain", "cuts", "expected", "page_windows", "plan", "proof", "ranges",
    "reader", "scan", "scan_options", "sightings", "walks",
)  # fmt: skip


class Rule(StrEnum):
    """What makes a certificate true, and a scan with one affordable."""

    WINDOWS = "neighbouring windows overlap, whatever the paging; what cannot overlap and get on is refused"
    FIRST_ALONE = "the first read goes alone; of markers, the first base is its marker"
    JOIN = "two rows shared by key join a read; one is weak, none is a gap"
    REPEATED = "a key twice in one read joins nothing"
    MARKER_JOIN = "at offset 0, on the marker on which a joined read that was not empty ended, a read is joined"
    START = "the first joined read is the one at row 0, or without a marker"
    END_PAGES = "a page ends a listing when it is short, not empty, and its own total agrees; else it is read again"
    ECHO = "the answer is to the question: number and size are echoed, no more rows than asked for"
    END_MARKERS = "markers end with an empty page on the marker of a joined read; counts and short pages prove nothing"
    MARKER_DOWN = "every page with rows has a marker, and it goes down"
    EMPTY = "an empty target is believed when a second read says the same"
    ORDER = "the order is watched along the whole chain, in every phase"
    CLOSING = "after the end, closing reads at the head and at the tail, joined to known rows"
    RANGES = "ranges of time overlap, with open outer ends, and each has a proof of its own"
    GAP = "at a gap, what is in flight is dropped, and the walk goes on from the last joined read"
    PACE = "at a gap the overlap grows and the flight shrinks; both recover"
    BUDGET = "repairs have a budget, growth left out; beyond it the scan ends, and says so"
    BOUND = "at most so many pages in flight and waiting"
    FIRST_SIGHTING = "a device is yielded once; a later, different sighting is counted"
    MEMORY = "neighbours are remembered, and no more"
    VERDICT = "certified only when finished, without an error, without a doubt, and asked for"


@attrs.frozen
class Mutation:
    """A change to the text of one module."""

    rule: Rule
    module: str
    """Below ``otaclient``, such as ``fleet.chain``."""
    what: str
    """What the faulty code does."""
    changes: tuple[tuple[str, str], ...]
    """Texts that stand in the module exactly once, and what takes their place."""

    @property
    def path(self) -> Path:
        """The file that is changed."""
        return _PACKAGE.joinpath(*self.module.split(".")).with_suffix(".py")

    def source(self) -> str:
        """Return the changed module.

        Raises:
            ValueError: A text stands there not exactly once.
        """
        source = self.path.read_text(encoding="utf-8")
        for old, new in self.changes:
            if source.count(old) != 1:
                raise ValueError(
                    f"{self.module} has {source.count(old)} times, not once: {old!r} (mutation {self.what})"
                )
            source = source.replace(old, new)
        return source


@contextmanager
def loaded(mutation: Mutation | None) -> Iterator[Any]:
    """Import a second copy of the scan's modules, one of them changed, and hand them out by their names.

    Whatever is imported in the meantime gets the copy, too. Afterwards everything is as before.
    """
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_of_the_scan(name)}
    finder = _Finder(mutation)
    sys.meta_path.insert(0, finder)
    try:
        yield SimpleNamespace(**{name: importlib.import_module(f"otaclient.fleet.{name}") for name in _MODULES})
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_of_the_scan(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, module in kept.items():
            if name.count(".") == 1:
                setattr(otaclient, name.removeprefix("otaclient."), module)


def _is_of_the_scan(name: str) -> bool:
    return name in {"otaclient.paging", "otaclient.fleet"} or name.startswith("otaclient.fleet.")


class _Finder(MetaPathFinder):
    def __init__(self, mutation: Mutation | None) -> None:
        self._mutation = mutation

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        mutation = self._mutation
        if mutation is None or fullname != f"otaclient.{mutation.module}":
            return None
        loader = _Mutated(fullname, str(mutation.path))
        loader.mutated = mutation.source()
        return importlib.util.spec_from_file_location(fullname, mutation.path, loader=loader)


class _Mutated(SourceFileLoader):
    mutated: str

    def get_code(self, fullname: str) -> CodeType:
        """Return the changed code; under another name, so that no tracer takes it for the module's own lines."""
        return compile(self.mutated, f"{fullname} (mutated)", "exec", dont_inherit=True)


def changed(rule: Rule, module: str, what: str, *texts: str) -> Mutation:
    """Return a mutation; texts are the old one, the new one, and perhaps more of these pairs."""
    return Mutation(rule, module, what, tuple(zip(texts[::2], texts[1::2], strict=True)))
