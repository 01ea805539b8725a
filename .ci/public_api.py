#!/usr/bin/env python3
"""The public interface, as text: .ci/public_api.py writes it to .ci/public-api.txt; with --check it compares.

Public is what the reference on the site describes, with all that can be reached from it. So a change that a user could
notice shows in the history as a change of one file, and nothing becomes public by accident.
"""

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / ".ci" / "public-api.txt"
PACKAGES = ("otaclient", "otaclient_enos", "otaclient_iotda")
DESCRIBED = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def described() -> list[str]:
    """Return the paths that the reference describes."""
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return sorted({path for page in pages for path in DESCRIBED.findall(page.read_text(encoding="utf-8"))})


def lines_of(thing: griffe.Object | griffe.Alias, path: str) -> Iterator[str]:
    """Yield a line for an object, and for each of its public members."""
    if thing.is_module:
        exported = thing.exports
        for name in sorted(map(str, exported if exported is not None else ())):
            yield from lines_of(thing.members[name], f"{path}.{name}")
    elif thing.is_class:
        bases = ", ".join(map(str, thing.bases))
        yield f"class {path}({bases})"
        for name, member in sorted(thing.all_members.items()):
            if name == "__init__" or not name.startswith("_"):
                yield from lines_of(member, f"{path}.{name}")
    elif thing.is_function:
        yield f"{'async ' if 'async' in thing.labels else ''}def {path}({parameters(thing)}) -> {thing.returns}"
    elif thing.is_attribute:
        kind = "property" if "property" in thing.labels else "attribute"
        value = f" = {thing.value}" if thing.value is not None and kind == "attribute" else ""
        yield f"{kind} {path}: {thing.annotation}{value}"


def parameters(function: griffe.Function | griffe.Alias) -> str:
    """Return the parameters as they are declared."""
    shown: list[str] = []
    seen_star = False
    for one in function.parameters:
        if one.kind is griffe.ParameterKind.keyword_only and not seen_star:
            shown.append("*")
        seen_star = seen_star or one.kind in {griffe.ParameterKind.keyword_only, griffe.ParameterKind.var_positional}
        star = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(one.kind, "")
        annotation = f": {one.annotation}" if one.annotation is not None else ""
        default = f" = {one.default}" if one.default is not None and not star else ""
        shown.append(f"{star}{one.name}{annotation}{default}")
        if one.kind is griffe.ParameterKind.positional_only and is_last_positional_only(function, one.name):
            shown.append("/")
    return ", ".join(shown)


def is_last_positional_only(function: griffe.Function | griffe.Alias, name: str) -> bool:
    """Tell whether it is the last parameter that goes by its place alone."""
    names = [one.name for one in function.parameters if one.kind is griffe.ParameterKind.positional_only]
    return names[-1] == name


def public_api() -> str:
    """Return the whole of it, a line for each name, sorted."""
    loader = griffe.GriffeLoader(search_paths=[ROOT, ROOT / "backends"])
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases(external=False)
    paths = described()
    exported = {f"otaclient.{name}" for name in loader.modules_collection["otaclient"].exports or ()}
    if forgotten := {
        name for name in exported - set(paths) if not is_described(loader.modules_collection[name], paths)
    }:
        sys.exit(f"exported, and nowhere in the reference: {', '.join(sorted(forgotten))}")
    lines = {line for path in paths for line in lines_of(loader.modules_collection[path], path)}
    return "".join(
        f"{line}\n" for line in sorted(lines, key=lambda line: (line.removeprefix("async ").split(" ", 1)[1], line))
    )


def is_described(thing: griffe.Object | griffe.Alias, paths: list[str]) -> bool:
    """Tell whether the reference describes a name that is exported, or the module where it is at home."""
    home = thing.canonical_path
    return home in paths or home.rpartition(".")[0] in paths


def main() -> int:
    """Write, or compare."""
    now = public_api()
    if sys.argv[1:] != ["--check"]:
        STORED.write_text(now, encoding="utf-8")
        return 0
    before = STORED.read_text(encoding="utf-8")
    sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), now.splitlines(True), "stored", "now", n=0))
    if before != now:
        print("The public interface has changed: if it is meant, run .ci/public_api.py, and say so in CHANGELOG.md.")
    return int(before != now)


if __name__ == "__main__":
    raise SystemExit(main())
