"""Checks of texts: identifiers, whose form is the vendor's affair, versions, and names with their translations."""

from typing import Any, Final

from otaclient.errors import InvalidQueryError
from otaclient.models import LocalizedText
from otaclient.queries import DEFAULT_LOCALE
from otaclient_enos.expression import check_characters, check_locale

__all__ = ["LARGEST_INTEGER", "checked_text", "name_fields"]

LARGEST_INTEGER: Final = 2**31 - 1
"""What the Integer of the documentation's tables holds."""


def checked_text(value: Any, *, name: str) -> str:
    """Return a text of one line.

    Raises:
        InvalidQueryError: It is no text, is empty, or holds a control character.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidQueryError(f"{name} is {value!r}: give a text that is not empty")
    check_characters(value, name=name)
    return value


def name_fields(text: Any, *, name: str) -> dict[str, Any]:
    """Return a name as the ``StringI18n`` struct.

    Raises:
        InvalidQueryError: It is missing, or empty in some locale, or a locale is none.
    """
    if not isinstance(text, LocalizedText):
        raise InvalidQueryError(f"{name} is {text!r}: EnOS needs one; give LocalizedText(default=...)", names=(name,))
    translations: dict[str, str] = {}
    for locale, translation in text.translations.items():
        if locale == DEFAULT_LOCALE:
            raise InvalidQueryError(f"{name} has a translation into {locale!r}: that is its default text, not a locale")
        check_locale(locale)
        translations[locale] = checked_text(translation, name=f"{name} in {locale}")
    return {"defaultValue": checked_text(text.default, name=name), "i18nValue": translations}
