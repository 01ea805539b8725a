"""The ``expression`` of EnOS searches: exactly the fields and operators that each operation allows, quoted safely.

Sources: EnOS "API FAQs" (How to use expression); EnOS Connection Service, "V2.1 Search Firmware", "V2.1 Search Device
Upgrade", "V2.1 Search OTA Job", "V2.1 Search Device Task".
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.queries import DEFAULT_LOCALE

__all__ = [
    "DEVICES",
    "FIRMWARE",
    "JOBS",
    "MOST_IN_VALUES",
    "TASKS",
    "Comparison",
    "Grammar",
    "Operator",
    "batches",
    "check_characters",
    "check_locale",
    "quoted",
    "render",
]

# The most values in one ``in (...)``. No limit is documented; this one keeps an expression within a few kilobytes.
MOST_IN_VALUES: Final = 100

# A language, perhaps a script, perhaps a country: the form of the keys under which names carry their translations.
_LOCALE: Final = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_([A-Z]{2}|[0-9]{3}))?")


class Operator(StrEnum):
    """How a field is compared."""

    EQUAL = "="
    IN = "in"
    LIKE = "like"


Operand: TypeAlias = str | bool | tuple[str, ...]


@attrs.frozen(kw_only=True)
class Comparison:
    """One field compared with a value. Made by :class:`Grammar`, which knows what is allowed."""

    field: str
    operator: Operator
    value: Operand
    filter_name: str
    """The filter of the query that it stands for, for messages."""


@attrs.frozen(kw_only=True)
class Grammar:
    """What one operation lets one compare."""

    operation: str
    fields: Mapping[str, frozenset[Operator]]
    default_locale: str = DEFAULT_LOCALE
    """How this operation spells the untranslated name: the operations differ."""

    def one_of(self, field: str, values: Sequence[str], *, filter_name: str) -> Comparison:
        """Return the comparison that a field has one of these values."""
        if len(values) == 1:
            return self._comparison(field, Operator.EQUAL, values[0], filter_name)
        return self._comparison(field, Operator.IN, tuple(values), filter_name)

    def equals(self, field: str, value: str | bool, *, filter_name: str) -> Comparison:
        """Return the comparison that a field has this value."""
        return self._comparison(field, Operator.EQUAL, value, filter_name)

    def contains(self, field: str, text: str, *, locale: str | None, filter_name: str) -> Comparison:
        """Return the comparison that a name contains a text.

        Without a locale the vendor looks in the default, the Chinese and the English name.
        """
        return self._comparison(self._localized(field, locale), Operator.LIKE, text, filter_name)

    def knows_locale(self, field: str, locale: str | None) -> bool:
        """Tell whether the operation can look for a name in this locale."""
        return self._localized(field, locale) in self.fields

    def _localized(self, field: str, locale: str | None) -> str:
        if locale is None:
            return field
        return f"{field}.{self.default_locale if locale == DEFAULT_LOCALE else locale}"

    def _comparison(self, field: str, operator: Operator, value: Operand, filter_name: str) -> Comparison:
        allowed = self.fields.get(field)
        if allowed is None:
            raise InvalidQueryError(
                f"EnOS cannot compare {field} here: it knows {', '.join(self.fields)}", operation=self.operation
            )
        if operator not in allowed:
            raise InvalidQueryError(
                f"EnOS cannot compare {field} with {operator}: it allows {', '.join(sorted(allowed))}",
                operation=self.operation,
            )
        return Comparison(field=field, operator=operator, value=value, filter_name=filter_name)


_MEMBERSHIP: Final = frozenset({Operator.EQUAL, Operator.IN})
_EQUALITY: Final = frozenset({Operator.EQUAL})
_SUBSTRING: Final = frozenset({Operator.LIKE})


def _name(field: str, default_locale: str) -> dict[str, frozenset[Operator]]:
    # Vendor samples search jobs in further locales; the documentation lists these.
    return dict.fromkeys((field, *(f"{field}.{locale}" for locale in (default_locale, "zh_CN", "en_US"))), _SUBSTRING)


FIRMWARE: Final = Grammar(
    operation="firmware.search",
    fields={"productKey": _MEMBERSHIP, "isVerified": _EQUALITY, **_name("name", DEFAULT_LOCALE)},
)
JOBS: Final = Grammar(
    operation="jobs.search",
    fields={
        "productKey": _MEMBERSHIP,
        "firmwareId": _MEMBERSHIP,
        "firmwareVersion": _MEMBERSHIP,
        "type": _EQUALITY,
        "status": _EQUALITY,
        **_name("name", "defaultValue"),
        **_name("firmwareName", "defaultValue"),
    },
    default_locale="defaultValue",
)
DEVICES: Final = Grammar(
    operation="devices.search",
    fields={"productKey": _MEMBERSHIP, "firmwareVersion": _MEMBERSHIP, "isUpgrading": _EQUALITY},
)
TASKS: Final = Grammar(
    operation="jobs.tasks",
    fields=dict.fromkeys(("jobId", "deviceKey", "fromVersion", "toVersion", "status", "desc"), _MEMBERSHIP),
)


def render(comparisons: Iterable[Comparison]) -> str | None:
    """Return the expression that all comparisons hold, or ``None`` where there are none.

    Raises:
        InvalidQueryError: A value cannot be quoted.
    """
    return " and ".join(_rendered(comparison) for comparison in comparisons) or None


def batches(values: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the values in groups that each fit into one ``in (...)``."""
    return tuple(tuple(values[start : start + MOST_IN_VALUES]) for start in range(0, len(values), MOST_IN_VALUES))


def quoted(value: str, *, filter_name: str) -> str:
    """Return a text as a literal, in the kind of quotes that does not occur in it.

    How a quote inside a literal would be escaped is not documented, so nothing is escaped.

    Raises:
        InvalidQueryError: It holds quotes of both kinds, or a control character.
    """
    check_characters(value, name=filter_name)
    for quote in ("'", '"'):
        if quote not in value:
            return f"{quote}{value}{quote}"
    raise InvalidQueryError(
        f"{filter_name} holds {value!r}, with quotes of both kinds, which no EnOS expression can say: "
        "leave it out and compare on your side"
    )


def check_characters(value: str, *, name: str) -> None:
    """Refuse a text that cannot be put into a request faithfully.

    How EnOS reads control characters inside a literal is not documented, and no identifier, version or name that its
    console takes holds one; lone surrogates have no UTF-8 at all. So both are refused rather than sent.

    Raises:
        InvalidQueryError: It holds a control character or half a surrogate pair.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise InvalidQueryError(f"{name} holds {value!r}, with a control character in it: remove that character")


def check_locale(locale: Any) -> None:
    """Refuse a text that names no locale.

    Raises:
        InvalidQueryError: It does not look like ``zh_CN``, and is not ``default``.
    """
    if not isinstance(locale, str) or not (locale == DEFAULT_LOCALE or _LOCALE.fullmatch(locale)):
        raise InvalidQueryError(
            f"locale is {locale!r}: give one with an underscore such as zh_CN, or {DEFAULT_LOCALE!r}, or leave it out"
        )


def _rendered(comparison: Comparison) -> str:
    value = comparison.value
    match value:
        case bool():
            literal = "true" if value else "false"
        case str():
            literal = quoted(value, filter_name=comparison.filter_name)
        case _:
            literal = f"({', '.join(quoted(item, filter_name=comparison.filter_name) for item in value)})"
    return f"{comparison.field} {comparison.operator} {literal}"
