"""A text that must not be seen: it hides from ``repr``, ``str``, formatting, logs and pickles."""

from collections.abc import Iterator
from typing import Any, NoReturn

import attrs

__all__ = ["Revealed", "Secret", "credentials_in", "last_characters"]

_SHOWN_CHARACTERS = 4
# Of a shorter text, the last four are too much of it.
_LEAST_CHARACTERS = 3 * _SHOWN_CHARACTERS


class Revealed(str):
    """A secret text while it is used: a plain text in everything but its ``repr``.

    Whoever collects the local variables of a failed call, as crash reporters do, collects their ``repr``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret text cannot be pickled")


class Secret:
    """A secret text; only :meth:`reveal` gives it back.

    Two secrets are equal when their texts are. A secret refuses to be pickled, because a pickle is a file or a message
    that somebody else can read.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        # Whatever else came in by mistake stays what it is, for the checks of the configuration to refuse.
        given: Any = text
        self._text: str = Revealed(given) if isinstance(given, str) else given

    @classmethod
    def of(cls, value: "str | Secret") -> "Secret":
        """Return ``value`` as a secret; a secret comes back as it is."""
        return value if isinstance(value, Secret) else cls(value)

    @classmethod
    def of_optional(cls, value: "str | Secret | None") -> "Secret | None":
        """Return ``value`` as a secret, or ``None`` where there is none."""
        return None if value is None else cls.of(value)

    def reveal(self) -> str:
        """Return the secret text, for the one place that puts it into a header or a digest.

        Its ``repr`` still hides it; what is made of it, such as a header's value, does not.
        """
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied by pickling: pass the setting's source on instead")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Secret":
        return self


def last_characters(text: object) -> str:
    """Return what tells one identifier of a pair of keys from another, and no more; for ``attrs.field(repr=...)``.

    Such an identifier is half of a credential, and where the halves were taken for each other it is the other half.
    """
    if text is None:
        return "None"
    enough = isinstance(text, str) and len(text) >= _LEAST_CHARACTERS
    return f"'…{text[-_SHOWN_CHARACTERS:]}'" if isinstance(text, str) and enough else "'…'"


def credentials_in(config: Any) -> tuple[Secret, ...]:
    """Return the credentials in a configuration, found by the types of its fields, however deep.

    They are all that is a :class:`Secret`, and all that is declared to be shown by its :func:`last_characters` only.
    """
    return tuple(_credentials_in(config))


def _credentials_in(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
        return
    held_by: Any = value.__class__
    if attrs.has(held_by):
        for field in attrs.fields(held_by):
            held = getattr(value, field.name)
            if field.repr is last_characters and held is not None:
                yield Secret(held)
            else:
                yield from _credentials_in(held)
