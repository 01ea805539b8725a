"""Secrets that an answer brings back: taken out of an error before anybody sees it. No I/O here.

A gateway in trouble, or a server that is not the vendor's, may repeat what it was asked, credentials included, and
errors quote answers. What is searched for is not a list of suspicious names: it is every credential of the client, and
every header that was sent with a request and is not known to be harmless.
"""

import base64
import dis
import inspect
import json
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from traceback import walk_tb
from types import FrameType
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus

import msgspec

from otaclient.errors import ApiError, OtaError, PayloadError
from otaclient.secret import Secret
from otaclient.transport.http import HttpRequest

__all__ = [
    "LOGIN_OPERATION",
    "as_identifier",
    "secrets_of_request",
    "without_answer",
    "without_secrets",
    "without_variables",
]

LOGIN_OPERATION: Final = "authenticate"
"""The operation whose requests carry credentials in their body."""

_MASK: Final = "***"
# A shorter part of a secret may be in any text by chance, and gives nothing away.
_PART_CHARACTERS: Final = 9
# Secrets shorter than that are searched for as a whole; below this, they would be found in every other word.
_LEAST_CHARACTERS: Final = 6
# Access tokens of many kilobytes are searched for as they are; encoded, they are words that no answer holds otherwise.
_LONGEST_ENCODED: Final = 512
# An error quotes a vendor; it is no place for a whole body.
_LONGEST_TEXT: Final = 4096

_HARMLESS_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "apim-timestamp",
        "content-length",
        "content-type",
        "host",
        "instance-id",
        "range",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-project-id",
        "x-sdk-content-sha256",
        "x-sdk-date",
    }
)
"""The headers that may be seen. All others are taken for secrets, also those that nobody here knows."""

# A header's value by words, the names of parameters such as `Signature=` left out.
_WORD: Final = re.compile(r"(?![A-Za-z-]+=[^\s,;=])[^\s,;=/\"]+")
# Of an excerpt, what reads like a key or a signature: that of a request that was answered well is not known any more.
_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/=_~%-]{9,}")
_OPAQUE_CHARACTERS: Final = 32
# No identifier or digest is as long; an access token is, in whatever encoding.
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/=_~%-]{72,}")
# Both vendors' signatures are 64 hexadecimal digits; no identifier is as long.
_SIGNATURE: Final = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")
# One word, and shorter than a signature: whatever else comes under these names is neither a code nor an identifier.
_IDENTIFIER: Final = re.compile(r"[!-~]{1,48}")
_IDENTIFIERS: Final = ("request_id", "vendor_code")
# How our own packages begin, those of the backends among them.
_LIBRARY: Final = __name__.partition(".")[0]
_MAY_BE_SUSPENDED: Final = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_YIELD: Final = dis.opmap["YIELD_VALUE"]
# What our own code says of an error; no answer has a part in it.
_OURS: Final = frozenset({"operation", "backend", "fingerprint"})


def secrets_of_request(request: HttpRequest, *, endpoint: str) -> tuple[str, ...]:
    """Return what a signed request holds that must not be seen, word by word."""
    harmless = [value for name, value in request.headers.items() if name.lower() in _HARMLESS_HEADERS]
    plain = " ".join((endpoint, request.path, *(value for _, value in request.query), *harmless, *request.headers))
    known = plain.lower()
    found = [value for name, value in request.headers.items() if name.lower() not in _HARMLESS_HEADERS]
    if request.operation == LOGIN_OPERATION:
        found += _texts_in(request.body)
    # A short word of a longer value may be in any text.
    words = (word for value in found for word in (value, *_WORD.findall(value)) if len(word) >= _PART_CHARACTERS)
    # A scheme such as SDK-HMAC-SHA256 is followed by what belongs to it.
    schemes = {value.partition(" ")[0] for value in found if " " in value}
    return tuple(
        dict.fromkeys(word for word in words if " " not in word and word not in schemes and word.lower() not in known)
    )


def as_identifier(said: str | None) -> str | None:
    """Return what a vendor calls something; masked where it can be no such name, and may be a signature."""
    return said if said is None or _IDENTIFIER.fullmatch(said) else _MASK


def without_secrets(error: BaseException, secrets: Iterable[Secret | str]) -> None:
    """Take secrets out of all that an error says, and the errors behind it, in place."""
    searched = _Searched(secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets)
    for one in _all_behind(error):
        _clean(one, searched)


def without_variables(error: BaseException) -> None:
    """Clear the local variables of the call frames that an error, and the errors behind it, came through, in place.

    They would be the request or its answer, for whoever collects them. Where the error came from can still be told.
    Frames that have not ended are left alone: somebody who caught the error may be at work in them, in whatever task.
    So are those of a caller, who may have been handling an error of his own when he called.
    """
    packages = {_package(frame) for frame, _ in walk_tb(error.__traceback__)}
    # What a package that we called has caught begins in a frame of its own, through which went what it made of it.
    ours: set[FrameType] = set()
    for one in _all_behind(error):
        is_ours = False
        for frame, _ in walk_tb(one.__traceback__):
            package = _package(frame)
            is_ours = is_ours or frame in ours or package in packages or package.startswith(_LIBRARY)
            if is_ours:
                ours.add(frame)
                _clear(frame)


def _package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


def _clear(frame: FrameType) -> None:
    # To clear the frame of a suspended coroutine ends the coroutine. Python 3.13 and later refuse to, as all refuse
    # for frames that run; before, what tells is that the last thing it did was to yield.
    code = frame.f_code
    if code.co_flags & _MAY_BE_SUSPENDED and frame.f_lasti >= 0 and code.co_code[frame.f_lasti] == _YIELD:
        return
    with suppress(RuntimeError):
        frame.clear()


def _all_behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and all that it came of."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions


def without_answer(error: OtaError) -> None:
    """Take out of an error about a good answer what it may repeat of the request, whose headers are gone, in place."""
    if isinstance(error, PayloadError) and error.excerpt is not None:
        error.excerpt = _OPAQUE.sub(_masked_if_opaque, error.excerpt)
    if isinstance(error, ApiError):
        error.message = _SIGNATURE.sub(_MASK, error.message)
        error.args = (error.message,)
        error.vendor_message = error.vendor_message and _SIGNATURE.sub(_MASK, error.vendor_message)
    without_variables(error)


def _clean(error: BaseException, searched: "_Searched") -> None:
    if isinstance(error, OtaError):
        for name in _IDENTIFIERS:
            setattr(error, name, as_identifier(getattr(error, name)))
    # Without a status no answer came, and what is said is ours, such as the path of a file.
    is_answer = isinstance(error, OtaError) and error.status is not None
    ours = _OURS if isinstance(error, OtaError) else frozenset[str]()
    for name, value in tuple(vars(error).items()):
        cleaned = value if name in ours else searched.cleaned(value)
        if is_answer and isinstance(cleaned, str):
            cleaned = _LONG_WORD.sub(_MASK, cleaned)
        if cleaned is not value:
            setattr(error, name, cleaned)
    arguments = (error.message,) if isinstance(error, OtaError) else searched.cleaned(error.args)
    if arguments is not error.args:
        error.args = arguments


def _masked_if_opaque(found: re.Match[str]) -> str:
    # At the end, an excerpt may have been cut in the middle of one.
    is_long = len(found.group()) >= _OPAQUE_CHARACTERS or found.end() == len(found.string)
    return _MASK if is_long and any(map(str.isdigit, found.group())) else found.group()


class _Searched:
    """Texts to be found in others, as they are and in the encodings in which they may come back."""

    def __init__(self, texts: Iterable[str]) -> None:
        forms = {form: None for text in texts for form in _forms_of(text)}
        # One text to search in; no part of two of them lies across the separator.
        self._joined = "\0".join(forms).translate(_LOWER)
        self._short = [form for form in forms if len(form) < _PART_CHARACTERS]

    def cleaned(self, value: Any) -> Any:
        """Return a value with the texts taken out of it; the same object where there is nothing to take out."""
        if isinstance(value, str):
            text = self._text(value)
            return value if text == value else text
        if isinstance(value, bytes):
            text = value.decode("latin-1")
            cleaned = self._text(text)
            return value if cleaned == text else cleaned.encode("latin-1", "replace")
        kind: Any = value.__class__
        if kind is not tuple and kind is not list:
            return value
        items: list[Any] = [self.cleaned(item) for item in value]
        is_clean = all(new is old for new, old in zip(items, value, strict=True))
        return value if is_clean else tuple(items) if kind is tuple else items

    def _text(self, text: str) -> str:
        if len(text) > _LONGEST_TEXT:
            text = f"{text[:_LONGEST_TEXT]}…"
        for short in self._short:
            text = text.replace(short, _MASK)
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        # Hosts come in lower case, and hexadecimal digits in either.
        lowered, begin, start = text.translate(_LOWER), 0, 0
        while start + _PART_CHARACTERS <= len(text):
            end = start + _PART_CHARACTERS
            if lowered[start:end] not in self._joined:
                start += 1
                continue
            while end < len(text) and lowered[start : end + 1] in self._joined:
                end += 1
            yield text[begin:start] + _MASK
            begin = start = end
        yield text[begin:]


def _forms_of(text: str) -> Iterator[str]:
    """Yield a text as it is and encoded; nothing for one that is too short to be found without harm."""
    from html import escape  # slow to import, and needed once something has failed

    if len(text) < _LEAST_CHARACTERS:
        return
    text = str(text)
    yield text
    for in_json in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield in_json
        yield in_json.replace("/", "\\/")
        yield from (in_json.translate(escapes) for escapes in _JSON_FOR_PAGES)
    in_html = escape(text)
    yield in_html
    yield in_html.replace("&#x27;", "&#39;")
    data = text.encode("utf-8", "surrogatepass")
    yield quote(data, safe="")
    yield quote(data, safe="!'()*")  # as JavaScript has it
    yield quote_plus(data)
    if len(text) > _LONGEST_ENCODED:
        return
    yield data.hex()
    for offset in range(3):
        # What stands before and behind it shares a character at either end.
        encoded = base64.b64encode(bytes(offset) + data).decode()
        whole = encoded[(0, 2, 3)[offset] :].rstrip("=")
        kept = whole if (offset + len(data)) % 3 == 0 else whole[:-1]
        yield kept
        yield kept.translate(_URL_SAFE)


# What writers of JSON escape so that it can be part of a page: those of Go, and of Java.
_JSON_FOR_PAGES: Final = tuple({ord(one): f"\\u{ord(one):04x}" for one in signs} for signs in ("&<>", "&<>'="))
_URL_SAFE: Final = str.maketrans("+/", "-_")
# Of ASCII alone: elsewhere, a letter may have another length in lower case.
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def _texts_in(body: bytes) -> Iterator[str]:
    """Yield the texts in a JSON body, those in it that are names left out."""
    try:
        waiting: list[Any] = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
