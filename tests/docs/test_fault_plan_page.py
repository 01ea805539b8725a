"""The page and the schema of fault plans say what the declarations say; the guide's plans are plans."""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest

from otaclient.emulator import FaultPlan
from otaclient.emulator.control import PATHS, PREFIX
from otaclient.emulator.documents import Declared, ListOf, OneOf, Record, Table, declared_in, summary
from otaclient.emulator.shapes import MapOf, Shape, literal
from support.doc_blocks import ROOT, blocks_of

# OTACLIENT_DOCS_UPDATE=1 python -m pytest tests/docs/test_fault_plan_page.py writes them.
UPDATE: Final = bool(os.environ.get("OTACLIENT_DOCS_UPDATE"))
PAGE: Final = ROOT / "docs" / "reference" / "emulators.md"
SCHEMA: Final = ROOT / "docs" / "reference" / "fault-plan.schema.json"
GUIDE: Final = ROOT / "docs" / "guides" / "emulator.md"


def inner_records(shape: Shape) -> list[tuple[str, type[Record]]]:
    """Return the records inside a shape, with the key that tells which."""
    match shape:
        case Table():
            return [("", shape.record)]
        case OneOf():
            return [(shape.by, record) for record in shape.records]
        case ListOf():
            return inner_records(shape.item)
        case MapOf():
            return inner_records(shape.values)
        case _:
            return []


def tables(record: type[Record], where: str, seen: set[type[Record]]) -> list[str]:
    """Return the parts of the page about a record's table, and the tables inside it."""
    keys = declared_in(record)
    inner = [(one, found) for one in keys for found in inner_records(one.shape)]
    # What is common to all kinds of a table is told once.
    common = common_keys(record)
    own = [one for one in keys if one.name not in common]
    lines = [f"### `{where}`", "", f"{cell(summary(record))} Class `{record.__name__}`.", ""]
    lines += rows(own) if own else ["No keys of its own.", ""]
    for one, (by, found) in inner:
        if found in seen:
            continue
        seen.add(found)
        deeper = one.name if where == "plan" else f"{where}.{one.name}"
        if by and (shared := common_keys(found)) and found is inner_of(one)[0]:
            lines += [
                f"### `{deeper}`: every kind",
                "",
                *rows([key for key in declared_in(found) if key.name in shared]),
            ]
        lines += tables(found, f'{deeper}, {by} = "{found.kind}"' if by else deeper, seen)
    return lines


def inner_of(one: Declared) -> list[type[Record]]:
    return [record for _, record in inner_records(one.shape)]


def common_keys(record: type[Record]) -> set[str]:
    """Return the keys that a record has from the class above it, as it has them."""
    above: Any = record.__mro__[1]
    if above is Record:
        return set()
    known = {one.name: (one.meaning, one.shape) for one in declared_in(above)}
    return {one.name for one in declared_in(record) if known.get(one.name) == (one.meaning, one.shape)}


def rows(keys: list[Declared]) -> list[str]:
    lines = ["| key | must be | default | meaning |", "| --- | --- | --- | --- |"]
    for one in keys:
        if one.is_required:
            default = "required"
        else:
            shown = one.shape.written(one.default) if one.default is not None else None
            default = f"`{literal(shown)}`" if shown not in (None, {}, []) else "-"
        lines.append(f"| `{one.name}` | {cell(one.shape.words)} | {default} | {cell(one.meaning)} |")
    return [*lines, ""]


def cell(text: str) -> str:
    return text.replace("``", "`").replace("*", "\\*").replace("`jobs.\\*`", "`jobs.*`").replace("`\\*`", "`*`")


def paths() -> list[str]:
    """Return the table of the control API."""
    lines = ["| path | method | what |", "| --- | --- | --- |"]
    lines += [
        f"| `{PREFIX}{path or '/'}` | {method} | {cell(what)} |"
        for path, methods in PATHS.items()
        for method, what in methods.items()
    ]
    return [*lines, ""]


@pytest.mark.parametrize("name", ["tables", "paths"])
def test_the_page_says_what_the_declarations_say(name: str) -> None:
    """Every table with its keys, what they must be, and what they mean; every path with its methods."""
    written = tables(FaultPlan, "plan", set()) if name == "tables" else paths()
    text = PAGE.read_text(encoding="utf-8")
    between = re.compile(rf"(<!-- {name}: begin [^\n]*-->\n)(.*)(<!-- {name}: end -->)", re.DOTALL)
    expected = between.sub(lambda match: match[1] + "\n" + "\n".join(written) + match[3], text)
    if UPDATE:
        PAGE.write_text(expected, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == expected


def test_the_schema_file_is_the_schema() -> None:
    """Editors that read it know what the reader knows."""
    expected = json.dumps(FaultPlan.schema(), indent=2) + "\n"
    if UPDATE:
        SCHEMA.write_text(expected, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == expected


def test_every_kind_of_record_is_on_the_page() -> None:
    """None is lost on the way through the tables."""
    text = PAGE.read_text(encoding="utf-8")
    names = set(re.findall(r"Class `(\w+)`", text))
    known: set[type[Record]] = {FaultPlan}
    waiting: list[type[Record]] = [FaultPlan]
    while waiting:
        found = {record for one in declared_in(waiting.pop()) for record in inner_of(one)} - known
        known |= found
        waiting += found
    assert names == {record.__name__ for record in known}
    assert len(names) > 15


def test_the_guides_plans_are_plans(tmp_path: Path) -> None:
    """Each file in TOML that the guide shows is read without complaint."""
    files = [block for block in blocks_of(GUIDE) if block.language == "toml"]
    assert files
    for block in files:
        path = tmp_path / str(block.file_name)
        path.write_text(block.text, encoding="utf-8")
        assert FaultPlan.read(path) != FaultPlan()
