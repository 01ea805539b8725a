"""Reading the JSON of a request member by member, as lenient with numbers as the service is."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, cast

from otaclient_enos.emulator.requests import INVALID_ARGUMENT, RefusalError

__all__ = ["Members"]

_NUMBER_DIGITS: Final = 20
_SEVERAL: Final[Mapping[type[object], str]] = {str: "strings", list: "arrays", dict: "objects"}


class Members:
    """The members of one JSON object. What is null counts as missing; every method raises ``RefusalError``."""

    def __init__(self, members: Mapping[str, Any], *, path: str = "") -> None:
        self._members = members
        self._path = path

    def has(self, name: str) -> bool:
        """Return whether a member is there."""
        return self._members.get(name) is not None

    def refuse(self, name: str, why: str) -> NoReturn:
        """Refuse the request because of a member."""
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument {self._path}{name}: {why}")

    def must(self, *names: str) -> None:
        """Refuse the request unless these members are there."""
        for name in names:
            if not self.has(name):
                self.refuse(name, f"{name} is missing")

    def text(self, name: str) -> str:
        """Return a text that must be there."""
        self.must(name)
        value = self._members[name]
        if not isinstance(value, str):
            self.refuse(name, "it is not a string")
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return a text that must be one of these."""
        value = self.text(name)
        if value not in allowed:
            self.refuse(name, f"{value} is not one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean; ``None`` where it is missing."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "it is not a boolean")
        return value

    def number(self, name: str, *, least: int, most: int) -> int | None:
        """Return a whole number; ``None`` where it is missing.

        The vendor's samples send numbers as text in places, and its service reads them.
        """
        value = self._members.get(name)
        if value is None:
            return None
        if isinstance(value, str) and len(value) < _NUMBER_DIGITS and _is_number(value):
            value = int(value)
        if type(value) is not int:
            self.refuse(name, "it is not an integer")
        if not least <= value <= most:
            self.refuse(name, f"{value} is not in {least} to {most}")
        return value

    def texts(self, name: str) -> list[str] | None:
        """Return an array of texts; ``None`` where it is missing."""
        value = self._members.get(name)
        if value is None:
            return None
        return cast("list[str]", self._array(name, value, str))

    def objects(self, name: str) -> list[dict[str, Any]] | None:
        """Return an array of objects; ``None`` where it is missing."""
        value = self._members.get(name)
        if value is None:
            return None
        return cast("list[dict[str, Any]]", self._array(name, value, dict))

    def _array(self, name: str, value: Any, kind: type[object]) -> object:
        if not isinstance(value, list) or not all(isinstance(each, kind) for each in cast("Iterable[object]", value)):
            self.refuse(name, f"it is not an array of {_SEVERAL[kind]}")
        return cast("object", value)

    def mapping(self, name: str, kind: type[object]) -> dict[str, Any] | None:
        """Return an object whose values are all of this type; ``None`` where it is missing."""
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, dict) or not all(
            isinstance(each, kind) for each in cast("dict[str, Any]", value).values()
        ):
            self.refuse(name, "it is not an object" + (f" of {_SEVERAL[kind]}" if kind in _SEVERAL else ""))
        return cast("dict[str, Any]", value)

    def inner(self, name: str) -> "Members | None":
        """Return the members of an object inside; ``None`` where it is missing."""
        value = self.mapping(name, object)
        return None if value is None else Members(value, path=f"{self._path}{name}.")

    def name(self, name: str) -> dict[str, Any] | None:
        """Return a StringI18n struct; ``None`` where it is missing."""
        inner = self.inner(name)
        if inner is None:
            return None
        if not inner.text("defaultValue"):
            inner.refuse("defaultValue", "it is empty")
        return {"defaultValue": inner.text("defaultValue"), "i18nValue": inner.mapping("i18nValue", str) or {}}


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()
