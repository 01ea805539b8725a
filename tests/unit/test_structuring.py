"""Strict structuring: no silent coercion."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError, PayloadError
from otaclient.structuring import (
    camel_case,
    decode_json,
    encode_json,
    keep_raw,
    problems_of,
    shallow,
    structure,
    structure_rows,
    wire_converter,
)
from otaclient.transport.http import HttpRequest, HttpResponse

REQUEST = HttpRequest(operation="firmware.get", method="GET", path="/")
CONVERTER = wire_converter(rename=camel_case)


@attrs.frozen(kw_only=True)
class Inner:
    """Nested."""

    default_value: str
    by_locale: dict[str, str] | None = None


@attrs.frozen(kw_only=True)
class Outer:
    """One field of every shape that wire classes use."""

    firmware_id: str
    count: int | None = None
    share: float | None = None
    flag: bool | None = None
    size: int | str | None = None
    inner: Inner | None = None
    texts: tuple[str, ...] | None = None
    inners: tuple[Inner, ...] | None = None
    anything: Any = None
    odd: str | None = attrs.field(default=None, metadata={"wire": "ODD"})


@attrs.frozen(kw_only=True)
class Kept:
    """One that knows what it was made from."""

    default_value: str
    raw: Any = None


def response(body: bytes) -> HttpResponse:
    """Return a good answer with this body."""
    return HttpResponse(status=200, body=body)


def test_everything_fits() -> None:
    """Each shape is read as it is; unknown keys are ignored."""
    value = {
        "firmwareId": "a",
        "count": 1,
        "share": 2,
        "flag": False,
        "size": "7",
        "inner": {"defaultValue": "x", "byLocale": {"en": "y"}},
        "texts": ["a"],
        "inners": [{"defaultValue": "z"}],
        "anything": [1],
        "ODD": "o",
        "new": {"since": 3},
    }
    outer = structure(CONVERTER, value, Outer, request=REQUEST, response=response(b""))
    assert outer == Outer(
        firmware_id="a",
        count=1,
        share=2,
        flag=False,
        size="7",
        inner=Inner(default_value="x", by_locale={"en": "y"}),
        texts=("a",),
        inners=(Inner(default_value="z"),),
        anything=[1],
        odd="o",
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "key 'firmwareId' is missing @ $.firmware_id"),
        ({"firmwareId": None}, "expected text, got null @ $.firmware_id"),
        ({"firmwareId": 7}, "expected text, got whole number @ $.firmware_id"),
        ({"firmwareId": "a", "count": "1"}, "expected whole number or null, got text @ $.count"),
        ({"firmwareId": "a", "count": True}, "expected whole number or null, got true or false @ $.count"),
        ({"firmwareId": "a", "count": 1.0}, "expected whole number or null, got number @ $.count"),
        ({"firmwareId": "a", "flag": "false"}, "expected true or false or null, got text @ $.flag"),
        ({"firmwareId": "a", "size": 1.5}, "expected whole number or text or null, got number @ $.size"),
        ({"firmwareId": "a", "texts": "abc"}, "expected array, got text @ $.texts"),
        ({"firmwareId": "a", "texts": ["a", 1]}, "expected text, got whole number @ $.texts[1]"),
        ({"firmwareId": "a", "inner": []}, "expected object, got array @ $.inner"),
        (
            {"firmwareId": "a", "inner": {"defaultValue": "x", "byLocale": []}},
            "expected object, got array @ $.inner.by_locale",
        ),
        (
            {"firmwareId": "a", "inners": [{"defaultValue": 3}]},
            "expected text, got whole number @ $.inners[0].default_value",
        ),
        ([], "expected object, got array @ $"),
    ],
)
def test_nothing_is_coerced(value: Any, problem: str) -> None:
    """Another type is an error that names the path, never a value made up of it."""
    with pytest.raises(PayloadError) as caught:
        structure(CONVERTER, value, Outer, request=REQUEST, response=response(b""))
    assert caught.value.problems == (problem,)
    assert problem in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_only_documented_errors_come_out(value: Any) -> None:
    """Whatever JSON a vendor sends, it fits or is a ``PayloadError``."""
    try:
        structure(
            CONVERTER,
            {"firmwareId": "a", "inner": value, "texts": value},
            Outer,
            request=REQUEST,
            response=response(b""),
        )
    except PayloadError as error:
        assert error.problems


def test_one_bad_row_does_not_lose_the_others() -> None:
    """Good rows come back, and an error for each bad one with its place in the page."""
    rows, errors = structure_rows(
        CONVERTER,
        [{"firmwareId": "a"}, {"firmwareId": 1}, {"firmwareId": "c"}],
        Outer,
        path="$.data",
        request=REQUEST,
        response=response(b""),
    )
    assert [row.firmware_id for row in rows] == ["a", "c"]
    assert [error.problems for error in errors] == [("expected text, got whole number @ $.data[1].firmware_id",)]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": 1', b'{"a": 1} // comment', b'{"a": "\xff"}', b"[" * 5000])
def test_what_is_not_json_is_an_error(body: bytes) -> None:
    """Nothing is parsed leniently; status and excerpt are kept."""
    with pytest.raises(PayloadError, match="not JSON") as caught:
        decode_json(REQUEST, response(body))
    assert (caught.value.status, caught.value.operation) == (200, "firmware.get")
    assert caught.value.excerpt is not None


def test_json_is_compact_utf8() -> None:
    """What is signed is what is sent: raw UTF-8 without blanks."""
    assert encode_json({"a": "固件", "b": [1, None]}) == '{"a":"固件","b":[1,null]}'.encode()


def test_errors_of_our_own_keep_their_words() -> None:
    """A hook that raises an error of the library is quoted without its context."""
    assert problems_of(InvalidQueryError("no such day", operation="o")) == ("no such day @ $",)


@pytest.mark.parametrize("kind", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: [1, {"a": inner}]])
def test_what_is_kept_as_it_came_is_not_nested_for_ever(kind: Any) -> None:
    """Whoever copies, compares or prints it later must not run out of stack."""
    value: Any = 7
    for _ in range(30):
        value = kind(value)
    assert shallow(value) is value
    for _ in range(70):
        value = kind(value)
    with pytest.raises(ValueError, match="nested deeper than 64 levels"):
        shallow(value)


def test_what_an_object_was_made_from_can_be_kept() -> None:
    """With what its class does not know, even when that is called ``raw``; other classes keep nothing."""
    converter = wire_converter(rename=camel_case)
    keep_raw(converter, Kept)
    for value in ({"defaultValue": "x", "new": [1]}, {"defaultValue": "x", "raw": 7}):
        made = converter.structure(value, Kept)
        assert (made.default_value, made.raw) == ("x", value)
    assert CONVERTER.structure({"defaultValue": "x", "new": 1}, Kept).raw is None
