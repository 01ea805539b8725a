"""Documents of named values, such as a file in TOML: declared once, read strictly, described for people and machines.

A class declares each of its fields with what the value must be and what it means. Reading, writing, the JSON Schema and
the tables of the documentation all come from these declarations, and so does the check of what Python code passes.
"""

import inspect
import json
import tomllib
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar, cast

import attrs

from otaclient.emulator.shapes import DocumentError, Shape, is_list, is_table, joined, literal, shown, suggestion

__all__ = [
    "Declared",
    "ListOf",
    "OneOf",
    "Record",
    "Table",
    "declared",
    "declared_in",
    "document_from_json",
    "document_from_toml",
    "in_document",
    "not_utf8",
    "record_in",
    "record_schema",
    "summary",
]

_DECLARATION: Final = "otaclient.emulator.documents"


class Record(ABC):  # noqa: B024 - what is shared is how it is declared
    """What a table of a document becomes: an attrs class whose fields are :func:`declared`."""

    kind: ClassVar[str] = ""
    """Which of several it is, for :class:`OneOf`."""


_R = TypeVar("_R", bound=Record)


@attrs.frozen(kw_only=True)
class Table(Shape):
    """A table with known keys."""

    record: type[Record]
    words: str = "a table"
    example: Any = attrs.field(factory=dict[str, Any])

    def accepts(self, value: Any) -> bool:
        """Tell whether it is the record."""
        return isinstance(value, self.record)

    def read(self, found: Any, key: str) -> Any:
        """Return the record."""
        return record_in(self.record, found, key)

    def written(self, value: Any) -> Any:
        """Return the record as it stands in a document."""
        return in_document(value)

    def schema(self) -> dict[str, Any]:
        """Return the schema of the record."""
        return record_schema(self.record)


@attrs.frozen(kw_only=True)
class OneOf(Shape):
    """A table of one of several kinds, which one of its keys tells."""

    by: str
    """The key that tells the kind."""
    records: Sequence[type[Record]]
    noun: str
    """What it is, such as ``fault``."""
    example: Any
    words: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "words", f"a table with a {self.by}, one of {', '.join(self._kinds())}")

    def accepts(self, value: Any) -> bool:
        """Tell whether it is one of the records."""
        return isinstance(value, tuple(self.records))

    def read(self, found: Any, key: str) -> Any:
        """Return the record of the kind that the table tells."""
        if not is_table(found):
            raise self.refusal(found, key)
        kinds, kind = self._kinds(), found.get(self.by)
        if not isinstance(kind, str) or kind not in kinds:
            hint = (
                suggestion(kind, kinds)
                if isinstance(kind, str)
                else f"write {self.by} = {literal(kinds[0])}, for example"
            )
            raise DocumentError(
                key=joined(key, self.by),
                found="is missing" if self.by not in found else f"is {shown(kind)}",
                rule=f"it must be one of {', '.join(kinds)}",
                remedy=hint,
            )
        record = self.records[kinds.index(kind)]
        rest = {name: value for name, value in found.items() if name != self.by}
        return record_in(record, rest, key, also=self.by)

    def written(self, value: Any) -> Any:
        """Return the record with its kind."""
        return {self.by: value.kind, **in_document(value)}

    def schema(self) -> dict[str, Any]:
        """Return the schemas of all kinds."""
        found: list[dict[str, Any]] = []
        for record in self.records:
            schema = record_schema(record)
            schema["properties"] = {self.by: {"const": record.kind}, **schema["properties"]}
            schema["required"] = [self.by, *schema.get("required", [])]
            found.append(schema)
        return {"oneOf": found}

    def _kinds(self) -> list[str]:
        return [record.kind for record in self.records]


@attrs.frozen(kw_only=True)
class ListOf(Shape):
    """Several of one shape."""

    item: Shape
    words: str = attrs.field(init=False)
    example: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "words", "a list of tables")
        object.__setattr__(self, "example", [self.item.example])

    def accepts(self, value: Any) -> bool:
        """Tell whether all of them fit."""
        return isinstance(value, tuple | list) and all(map(self.item.accepts, cast(Sequence[Any], value)))

    def read(self, found: Any, key: str) -> Any:
        """Return all of them."""
        if not is_list(found):
            raise self.refusal(found, key)
        return tuple(self.item.read(inner, f"{key}[{position}]") for position, inner in enumerate(found))

    def written(self, value: Any) -> Any:
        """Return all of them as they stand in a document."""
        return [self.item.written(inner) for inner in value]

    def schema(self) -> dict[str, Any]:
        """Return the schema of the list."""
        return {"type": "array", "items": self.item.schema()}


# --- declarations ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Declared:
    """What one key of a table is."""

    name: str
    shape: Shape
    meaning: str
    default: Any
    """What counts where the key is left out; ``attrs.NOTHING`` where it must not be."""
    is_required: bool
    """Whether a document must have it."""


def declared(
    shape: Shape,
    meaning: str,
    *,
    default: Any = attrs.NOTHING,
    converter: Callable[[Any], Any] | None = None,
    required: bool = False,
) -> Any:
    """Return a field of a record.

    Args:
        shape: What its value must be.
        meaning: What it means, for the documentation.
        default: What counts where it is left out; without it, it must be given. ``None`` fits then, too.
        converter: Makes what is kept of what is given.
        required: Whether a document must have it also where Python code need not give it.
    """

    def check(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
        if value is not None or default is not None:
            shape.check(value, field.name)

    return attrs.field(
        default=default, converter=converter, validator=check, metadata={_DECLARATION: (shape, meaning, required)}
    )


def declared_in(record: type[Record]) -> list[Declared]:
    """Return what the keys of a record's table are, those first that must be given."""
    found: list[Declared] = []
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", record)):
        shape, meaning, required = field.metadata[_DECLARATION]
        found.append(Declared(field.name, shape, meaning, field.default, required or field.default is attrs.NOTHING))
    return sorted(found, key=lambda one: not one.is_required)


def record_schema(record: type[Record]) -> dict[str, Any]:
    """Return the JSON Schema of a record's table."""
    keys = declared_in(record)
    properties: dict[str, Any] = {}
    for one in keys:
        properties[one.name] = {"description": one.meaning, **one.shape.schema()}
        if not one.is_required and one.default is not None:
            properties[one.name]["default"] = one.shape.written(one.default)
    required = [one.name for one in keys if one.is_required]
    return {
        "type": "object",
        "description": summary(record),
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def summary(record: type[Record]) -> str:
    """Return what a record is, in one line."""
    return (inspect.getdoc(record) or "").partition("\n")[0]


# --- reading and writing ---------------------------------------------------------------------------------------------


def document_from_toml(text: str) -> dict[str, Any]:
    """Return the document that a text in TOML holds.

    Raises:
        DocumentError: It is no TOML; says where.
    """
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also of a number with too many digits
        raise _unreadable("TOML", str(error)) from None
    except RecursionError:
        raise _unreadable("TOML", "it is nested too deeply") from None


def document_from_json(text: str | bytes) -> Any:
    """Return the document that a text in JSON holds.

    Raises:
        DocumentError: It is no JSON; says where.
    """
    try:
        found = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refused_number)
        json.dumps(found, ensure_ascii=False).encode()  # half a character could not be sent anywhere
        return found
    except ValueError as error:  # of the text, and of bytes that are none
        raise _unreadable("JSON", str(error)) from None
    except RecursionError:
        raise _unreadable("JSON", "it is nested too deeply") from None


def not_utf8(error: UnicodeDecodeError) -> DocumentError:
    """Return the error of what should hold a document and is no text."""
    return DocumentError(
        key="",
        found=f"cannot be read: {error.reason} at byte {error.start}",
        rule="it must be text in UTF-8",
        remedy="save it as UTF-8",
    )


def _unreadable(language: str, reason: str) -> DocumentError:
    return DocumentError(
        key="", found=f"cannot be read: {reason}", rule=f"it must be {language}", remedy="mend it at that place"
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _refused_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def record_in(record: type[_R], found: Any, key: str = "", *, also: str | None = None) -> _R:
    """Return the record that a table of a document is.

    Args:
        record: Its class.
        found: The table.
        key: Where it stands.
        also: A further key that it may have had.

    Raises:
        DocumentError: It is no such table; names the key, the value, the rule and the remedy.
    """
    if not is_table(found):
        raise DocumentError(
            key=key, found=f"is {shown(found)}", rule="it must be a table of keys and values", remedy="write a table"
        )
    keys = {one.name: one for one in declared_in(record)}
    for name in found:
        if name not in keys:
            known = [*([] if also is None else [also]), *keys]
            noun = f'of the {also} "{record.kind}" ' if also is not None else ""
            raise DocumentError(
                key=joined(key, name),
                found="is not known",
                rule=f"the keys {noun}are {', '.join(known)}",
                remedy=suggestion(name, known),
            )
    values = dict(_values(keys, found, key))
    try:
        return record(**values)
    except DocumentError as error:
        raise error.below(key) from None


def _values(keys: Mapping[str, Declared], found: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    for name, one in keys.items():
        if name not in found:
            if one.is_required:
                raise DocumentError(
                    key=joined(key, name),
                    found="is missing",
                    rule=f"it must be {one.shape.words}",
                    remedy=one.shape.remedy(name),
                )
        elif found[name] is None:  # JSON has it, and ``None`` may stand for a key that was left out
            raise one.shape.refusal(None, joined(key, name))
        else:
            yield name, one.shape.read(found[name], joined(key, name))


def in_document(record: Record) -> dict[str, Any]:
    """Return a record as a table of a document, without the keys that may be left out."""
    return {
        one.name: one.shape.written(value)
        for one in declared_in(type(record))
        if (value := getattr(record, one.name)) != one.default or one.is_required
    }
