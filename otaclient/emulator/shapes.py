"""What a value of a document must be, and what is said of one that is not."""

import difflib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from re import Pattern
from typing import Any, Final, TypeGuard, cast

import attrs

__all__ = [
    "DocumentError",
    "MapOf",
    "Number",
    "Shape",
    "Text",
    "is_list",
    "is_table",
    "joined",
    "literal",
    "shown",
    "suggestion",
]

_LONGEST_VALUE: Final = 60


class DocumentError(ValueError):
    """A value of a document is wrong: which, what it is, what it must be, and what to do."""

    def __init__(self, *, key: str, found: str, rule: str, remedy: str, source: str = "") -> None:
        super().__init__(key, found, rule, remedy, source)
        self.key = key
        """Where it stands, such as ``faults[0].share``; empty for the document itself."""
        self.found = found
        """What is there, such as ``is 2``."""
        self.rule = rule
        self.remedy = remedy
        self.source = source
        """What was read, such as the name of a file."""

    def __str__(self) -> str:
        subject = ": ".join(part for part in (self.source, self.key) if part)
        return f"{subject} {self.found}; {self.rule}: {self.remedy}".lstrip()

    def below(self, key: str) -> "DocumentError":
        """Return the error with its key inside of another."""
        return self._changed(key=joined(key, self.key))

    def of(self, source: str) -> "DocumentError":
        """Return the error with the name of what was read."""
        return self._changed(source=source)

    def _changed(self, *, key: str | None = None, source: str | None = None) -> "DocumentError":
        return DocumentError(
            key=self.key if key is None else key,
            found=self.found,
            rule=self.rule,
            remedy=self.remedy,
            source=self.source if source is None else source,
        )


def joined(above: str, key: str) -> str:
    """Return a key inside of another one."""
    return f"{above}.{key}" if above and key else above or key


def shown(value: Any) -> str:
    """Return a value in words, short enough for a line."""
    if value is None:
        return "null"
    if isinstance(value, Mapping | list | tuple):
        return "a table" if isinstance(value, Mapping) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def is_table(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a value of a document is a table."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a value of a document is a list."""
    return isinstance(value, list)


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return what to do about a word that is not known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else "take one of these, or leave it out"


def literal(value: Any) -> str:
    """Return a value as it is written on one line of TOML."""
    if is_table(value):
        return "{ " + ", ".join(f"{_literal_key(name)} = {literal(inner)}" for name, inner in value.items()) + " }"
    if is_list(value):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _literal_key(name: str) -> str:
    """Return a key as it is written in TOML."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


# --- what a value must be --------------------------------------------------------------------------------------------


class Shape(ABC):
    """What a value must be."""

    words: str
    """What it must be, in words, such as ``a number of at least 0``."""
    example: Any
    """A value that fits, as it stands in a document."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Tell whether a value fits that was read, or that Python code passes."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the value in a document."""

    def read(self, found: Any, key: str) -> Any:  # noqa: ARG002 - shapes with something inside need the key
        """Return the value that stands in a document; whether it fits is checked by whoever holds it."""
        return found

    def written(self, value: Any) -> Any:
        """Return the value as it stands in a document."""
        return value

    def check(self, value: Any, key: str) -> None:
        """Refuse what does not fit.

        Raises:
            DocumentError: It does not.
        """
        if not self.accepts(value):
            raise self.refusal(value, key)

    def refusal(self, value: Any, key: str) -> DocumentError:
        """Return the error about a value that does not fit."""
        name = key.rpartition(".")[2]
        return DocumentError(
            key=key, found=f"is {shown(value)}", rule=f"it must be {self.words}", remedy=self.remedy(name)
        )

    def remedy(self, name: str) -> str:
        """Return what to write; without a name, for a whole document in JSON, as no other has none."""
        example = f"{name} = {literal(self.example)}" if name else json.dumps(self.example, ensure_ascii=False)
        return f"write {example}, for example"


@attrs.frozen(kw_only=True)
class Number(Shape):
    """A number within bounds."""

    at_least: float
    at_most: float
    example: Any
    whole: bool = False
    beyond: bool = False
    """Whether the lower bound itself is too low."""
    words: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        noun = "a whole number" if self.whole else "a number"
        if self.beyond:
            words = f"{noun} above {self.at_least:,} and at most {self.at_most:,}"
        elif self.at_least == self.at_most:
            words = f"{self.at_least:,}"
        else:
            words = f"{noun} from {self.at_least:,} to {self.at_most:,}"
        object.__setattr__(self, "words", words)

    def accepts(self, value: Any) -> bool:
        """Tell whether it is a number within the bounds."""
        # ``True`` is an int for Python, but no number for people.
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return (value > self.at_least if self.beyond else value >= self.at_least) and value <= self.at_most

    def schema(self) -> dict[str, Any]:
        """Return the type and the bounds."""
        lower = "exclusiveMinimum" if self.beyond else "minimum"
        return {"type": "integer" if self.whole else "number", lower: self.at_least, "maximum": self.at_most}


@attrs.frozen(kw_only=True)
class Text(Shape):
    """A text of a certain form."""

    words: str
    example: Any
    pattern: Pattern[str]

    def accepts(self, value: Any) -> bool:
        """Tell whether it is such a text."""
        return isinstance(value, str) and self.pattern.fullmatch(value) is not None

    def schema(self) -> dict[str, Any]:
        """Return the type and the pattern."""
        return {"type": "string", "pattern": f"^(?:{self.pattern.pattern})$"}


@attrs.frozen(kw_only=True)
class MapOf(Shape):
    """A table of values whose keys are up to whoever writes it."""

    words: str
    example: Any
    keys: Text
    values: Shape

    def accepts(self, value: Any) -> bool:
        """Tell whether keys and values all fit."""
        return isinstance(value, Mapping) and all(map(self.values.accepts, cast(Mapping[str, Any], value).values()))

    def read(self, found: Any, key: str) -> Any:
        """Return the values by their keys."""
        if not is_table(found):
            raise self.refusal(found, key)
        values: dict[str, Any] = {}
        for name, inner in found.items():
            if not self.keys.accepts(name):
                raise DocumentError(
                    key=key,
                    found=f"has the key {shown(name)}",
                    rule=f"a key must be {self.keys.words}",
                    remedy=f"write {literal(self.keys.example)}, for example",
                )
            values[name] = self.values.read(inner, joined(key, name))
            self.values.check(values[name], joined(key, name))
        return values

    def check(self, value: Any, key: str) -> None:
        """Refuse what does not fit, key by key."""
        super().check(value, key)
        for name in value:
            self.keys.check(name, key)

    def written(self, value: Any) -> Any:
        """Return the values as they stand in a document."""
        return {name: self.values.written(inner) for name, inner in value.items()}

    def schema(self) -> dict[str, Any]:
        """Return the pattern of the keys, and the schema of the values."""
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^(?:{self.keys.pattern.pattern})$"},
            "additionalProperties": self.values.schema(),
        }
