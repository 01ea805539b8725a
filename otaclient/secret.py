"""A text that must not be seen: it hides from ``repr``, ``str``, formatting, logs and pickles."""

from typing import NoReturn

__all__ = ["Secret"]


class Secret:
    """A secret text; only :meth:`reveal` gives it back.

    Two secrets are equal when their texts are. A secret refuses to be pickled, because a pickle is a file or a message
    that somebody else can read.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def of(cls, value: "str | Secret") -> "Secret":
        """Return ``value`` as a secret; a secret comes back as it is."""
        return value if isinstance(value, Secret) else cls(value)

    @classmethod
    def of_optional(cls, value: "str | Secret | None") -> "Secret | None":
        """Return ``value`` as a secret, or ``None`` where there is none."""
        return None if value is None else cls.of(value)

    def reveal(self) -> str:
        """Return the secret text, for the one place that puts it into a header or a digest."""
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
