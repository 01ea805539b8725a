"""Fault plans as documents: what is read, and the schema that says the same."""

import json
import re
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import DocumentError, FaultPlan
from otaclient.emulator.documents import ListOf, OneOf, Record, Table, declared_in
from otaclient.emulator.shapes import MapOf, Number, Shape, Text, literal

# --- documents of every form -----------------------------------------------------------------------------------------

TEXTS = {
    "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True),
    "operation": st.sampled_from(["*", "jobs.*", "devices.search", "x-y_z"]),
    "body": st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), max_size=20),
    "join_at": st.sampled_from(["newest", "oldest", "any"]),
    "jump_to": st.sampled_from(["newest", "oldest", "any"]),
}


def values(shape: Shape, name: str) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each shape
    """Return values of a document that a shape takes."""
    match shape:
        case Number(whole=True):
            return st.integers(int(shape.at_least) + shape.beyond, int(shape.at_most))
        case Number():
            return st.floats(shape.at_least, shape.at_most, exclude_min=shape.beyond)
        case Text():
            return TEXTS[name]
        case MapOf() if name == "headers":
            return st.dictionaries(
                st.sampled_from(["Content-Type", "X-A"]), st.from_regex(r"[ -~]{0,9}", fullmatch=True)
            )
        case MapOf():
            return st.dictionaries(TEXTS["operation"], values(shape.values, name), max_size=3)
        case ListOf():
            return st.lists(values(shape.item, name), max_size=3)
        case Table():
            return tables(shape.record)
        case OneOf():
            return st.one_of([tables(record).map(_with(shape.by, record.kind)) for record in shape.records])
        case _:
            raise AssertionError(shape)


def _with(key: str, kind: str) -> Any:
    return lambda table: {key: kind, **table}


ORDERED = (("from_seconds", "to_seconds"), ("median_seconds", "p99_seconds"))


def tables(record: type[Record]) -> st.SearchStrategy[dict[str, Any]]:
    """Return tables of a document that a record takes."""
    keys = declared_in(record)
    return st.fixed_dictionaries(
        {one.name: values(one.shape, one.name) for one in keys if one.is_required},
        optional={one.name: values(one.shape, one.name) for one in keys if not one.is_required},
    ).filter(_is_ordered)


def _is_ordered(table: Mapping[str, Any]) -> bool:
    names = [fault["name"] for fault in table.get("faults", []) if "name" in fault]
    ordered = all(table.get(low, 0) < table[high] for low, high in ORDERED if high in table)
    return ordered and len(set(names)) == len(names)


DOCUMENTS = tables(FaultPlan)


@given(DOCUMENTS)
def test_a_plan_is_what_its_document_says(document: dict[str, Any]) -> None:
    """Read from a document, from TOML and from JSON it is the same; and so it is when it was written and read again."""
    plan = FaultPlan.from_document(document)
    written = plan.document()
    assert FaultPlan.from_document(written) == plan
    assert FaultPlan.from_document(json.loads(json.dumps(written))) == plan
    text = "".join(f"{key} = {literal(value)}\n" for key, value in document.items())
    assert FaultPlan.from_toml(text) == plan
    assert plan.named() == plan.named().named()


# --- the schema ------------------------------------------------------------------------------------------------------


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Tell whether a value fits a JSON Schema, as far as ours go."""
    if "oneOf" in schema:
        return sum(fits(value, one) for one in schema["oneOf"]) == 1
    if "const" in schema:
        return bool(value == schema["const"])
    match schema["type"]:
        case "string":
            return isinstance(value, str) and re.search(schema["pattern"], value) is not None
        case "array":
            return isinstance(value, list) and all(fits(one, schema["items"]) for one in value)
        case "object":
            return isinstance(value, dict) and _object_fits(value, schema)
        case kind:
            assert kind in {"integer", "number"}
            is_number = isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
            return (
                is_number
                and value <= schema["maximum"]
                and (value > schema["exclusiveMinimum"] if "exclusiveMinimum" in schema else value >= schema["minimum"])
            )


def _object_fits(value: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    if "propertyNames" in schema and not all(re.search(schema["propertyNames"]["pattern"], name) for name in value):
        return False
    if any(name not in value for name in schema.get("required", [])):
        return False
    known, others = schema.get("properties", {}), schema["additionalProperties"]
    if others is False:
        return all(name in known and fits(inner, known[name]) for name, inner in value.items())
    return all(fits(inner, others) for inner in value.values())


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place inside a document: what holds it, and its key."""
    found: list[tuple[Any, Any]] = []
    for key, inner in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += _places(inner)
    return found


WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, -0.5, 1e12, 2**60, "", "a b", "ü", "x" * 99, [], {}, [{}], {"kind": "drop"}, 0, 1, 700]
)


@given(DOCUMENTS, st.data())
def test_the_schema_takes_what_the_reader_takes(document: dict[str, Any], data: st.DataObject) -> None:
    """With any one value replaced by another, or an unknown key added, both agree whether that is still a plan."""
    schema = FaultPlan.schema()
    assert fits(document, schema)
    holder, key = data.draw(st.sampled_from(_places(document)))
    holder[key] = data.draw(WRONG)
    if data.draw(st.booleans()) and isinstance(holder, dict):
        holder["unheard_of"] = holder.pop(key)
    try:
        FaultPlan.from_document(document)
    except DocumentError as error:
        # Rules between two keys are in the descriptions of the schema only.
        between_keys = ("must be after", "must not be below", "has that name already", "server itself sets")
        assert not fits(document, schema) or any(words in error.rule for words in between_keys)
    else:
        assert fits(document, schema)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["version", "faults", "kind", "distribution", "latency", "default", "operations", "capacity", "headers"]
            ),
            inner | st.sampled_from(["drop", "answer", "at-once", "constant", 1]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_no_document_is_too_strange(document: Any) -> None:
    """Whatever it is, it is a plan or refused in words."""
    try:
        FaultPlan.from_document(document)
    except DocumentError as error:
        assert error.rule
        assert error.remedy
        assert str(error)
