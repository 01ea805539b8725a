"""Secrets, and how they are taken out of what is said."""

import asyncio
import base64
import copy
import html
import json
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from traceback import walk_tb
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import ApiError, OtaError, PayloadError
from otaclient.secret import Revealed, Secret, credentials_in, last_characters
from otaclient.structuring import encode_json, structure, wire_converter
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.redaction import secrets_of_request, without_answer, without_secrets, without_variables

SECRET = 'k3y"with+odd/characters=AND%MORE'
SHORT_WORDS = "aB3&xY'9(<qW/m=p\"1!Zs>k%"
"""No nine of its letters in a row are left alone by every encoding: one that is not known is not found in part."""
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "lower case": str.lower,
    "json": lambda text: json.dumps(text)[1:-1],
    "json with escaped slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json of go": lambda text: json.dumps(text)[1:-1].translate({ord(one): f"\\u{ord(one):04x}" for one in "&<>"}),
    "json of java": lambda text: json.dumps(text)[1:-1].translate({ord(one): f"\\u{ord(one):04x}" for one in "&<>'="}),
    "html": html.escape,
    "html of others": lambda text: html.escape(text).replace("&#x27;", "&#39;"),
    "quoted by javascript": lambda text: quote(text, safe="!'()*"),
    "quoted": lambda text: quote(text, safe=""),
    "hexadecimal": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind something": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "base64 for urls": lambda text: base64.urlsafe_b64encode(f"u:{text}".encode()).decode(),
}


@attrs.frozen(kw_only=True)
class Listed:
    """What a vendor may send as an array, or leave out."""

    items: tuple[str, ...] | None


def said_by(error: BaseException, *secrets: str) -> str:
    """Return what an error says after secrets were taken out."""
    without_secrets(error, secrets)
    return repr((error, str(error), error.args, vars(error)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found(form: str) -> None:
    """Whole, and in the middle of other words, which stay."""
    shown = FORMS[form](SECRET)
    text = said_by(ApiError(f"before {shown} after", vendor_message=f"x{shown}y", status=400), SECRET)
    assert shown[4:-4] not in text
    assert "before " in text
    assert "***" in text
    assert " after" in text


@pytest.mark.parametrize("form", [form for form in FORMS if "base64" not in form])
def test_secrets_full_of_signs_are_found_whole(form: str) -> None:
    """Whatever an encoding makes of each sign."""
    shown = FORMS[form](SHORT_WORDS)
    said = ApiError(f"before {shown} after", status=400)
    said_by(said, SHORT_WORDS)
    assert said.message == "before *** after"


@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=9, max_size=60),
    st.text(max_size=30),
    st.data(),
)
def test_no_part_of_more_than_eight_characters_stays(secret: str, around: str, data: st.DataObject) -> None:
    """Cut out anywhere, in any form."""
    shown = FORMS[data.draw(st.sampled_from(["plain", "json", "quoted", "hexadecimal"]))](secret)
    begin = data.draw(st.integers(0, len(shown)))
    part = shown[begin : data.draw(st.integers(begin, len(shown)))]
    error = OtaError(f"{around}{part}{around}")
    without_secrets(error, [secret])
    left = error.message.replace(around, "") if around else error.message
    assert not any(
        shown[start : start + 9] in left for start in range(len(shown) - 8) if shown[start : start + 9] in part
    )


def test_short_secrets_are_found_whole_and_the_shortest_not_at_all() -> None:
    """A password of four letters is in every other word."""
    assert "hunter2" not in said_by(OtaError("the password hunter2 is wrong"), "hunter2")
    assert "the word" in said_by(OtaError("the word"), "word")


def test_what_is_long_is_cut() -> None:
    """An error is no place for a whole body."""
    error = ApiError("x " * 10_000, status=500)
    without_secrets(error, ())
    assert len(error.message) == 4097


def test_our_own_words_stay() -> None:
    """The operation, the label and the fingerprint are not the vendor's; nor are texts without any answer."""
    error = OtaError("cannot write /" + "folder/" * 20, operation="firmware.get", backend="firmware.get")
    without_secrets(error, ["firmware.get"])
    assert (error.operation, error.backend) == ("firmware.get", "firmware.get")
    assert "folder/folder" in error.message


def test_whatever_is_behind_an_error_is_cleaned_too() -> None:
    """Causes, contexts, groups, notes, and bytes."""
    try:
        try:
            raise ExceptionGroup("two", [ValueError(SECRET), TypeError(SECRET.encode())])
        except ExceptionGroup as two:
            two.add_note(f"said {SECRET}")
            raise KeyError((SECRET, [SECRET])) from two
    except KeyError as key:
        error = OtaError("failed")
        error.__context__ = key
    without_secrets(error, [SECRET])
    key_error = error.__context__
    assert key_error is not None
    group = key_error.__cause__
    assert isinstance(group, ExceptionGroup)
    assert SECRET not in repr((key_error, group, group.exceptions, group.__notes__))


def test_variables_of_calls_that_have_ended_are_gone() -> None:
    """Also of those that the errors behind it came through."""

    def fail(request: str) -> None:
        raise ValueError(len(request))

    try:
        try:
            fail(SECRET)
        except ValueError as first:
            raise OtaError("failed") from first
    except OtaError as error:
        without_variables(error)
        assert error.__cause__ is not None
        frames = [frame for frame, _ in walk_tb(error.__cause__.__traceback__)]
    assert frames[-1].f_code.co_name == "fail"
    assert frames[-1].f_locals == {}


@pytest.mark.parametrize("kind", ["coroutine", "generator", "asynchronous generator"])
async def test_whoever_caught_an_error_and_works_on_is_left_alone(kind: str) -> None:
    """To clear the frame of somebody who waits would end him, in the midst of his work."""
    errors: list[OtaError] = []
    gate = asyncio.Event()

    def fail() -> None:
        raise OtaError("failed")

    async def coroutine() -> str:
        try:
            fail()
        except OtaError as error:
            errors.append(error)
        await gate.wait()
        return "done"

    def generator() -> Iterator[str]:
        try:
            fail()
        except OtaError as error:
            errors.append(error)
        yield "working"
        yield "done"

    async def generating() -> AsyncIterator[str]:
        try:
            fail()
        except OtaError as error:
            errors.append(error)
        yield "working"
        yield "done"

    task, one, many = asyncio.ensure_future(coroutine()), generator(), generating()
    if kind == "coroutine":
        await asyncio.sleep(0)
    elif kind == "generator":
        assert next(one) == "working"
    else:
        assert await anext(many) == "working"
    without_variables(errors[0])
    gate.set()
    if kind == "generator":
        assert next(one) == "done"
    elif kind == "asynchronous generator":
        assert await anext(many) == "done"
    assert await task == "done"


APPLICATION = """
def handle(library):
    def fail(own):
        raise ValueError

    try:
        fail("his")
    except ValueError:
        library()
"""


def test_variables_of_packages_that_were_called_are_gone() -> None:
    """Of errors that such a package has caught and collected, the frames begin in it, and not in ours."""
    request = HttpRequest(operation="firmware.reported_versions", method="GET", path="/")
    answer = HttpResponse(status=200, body=json.dumps({"items": SECRET}).encode())

    def read() -> None:
        try:
            structure(wire_converter(), json.loads(answer.body), Listed, request=request, response=answer)
        except OtaError as error:
            without_variables(error)
            raise

    with pytest.raises(PayloadError) as caught:
        read()
    waiting: list[BaseException] = [caught.value]
    seen = 0
    while waiting:
        error = waiting.pop()
        seen += 1
        waiting += [behind for behind in (error.__cause__, *getattr(error, "exceptions", ())) if behind is not None]
        for frame, _line in walk_tb(error.__traceback__):
            assert frame.f_code.co_name.startswith("test_") or SECRET not in repr(frame.f_locals.values())
    assert seen > 2


def test_a_caller_keeps_his_own_variables() -> None:
    """Errors that he was handling when he called are his."""
    behind: list[BaseException | None] = []

    def library() -> None:
        try:
            raise OtaError("failed")
        except OtaError as error:
            without_variables(error)
            behind.append(error.__context__)

    application: dict[str, Any] = {"__name__": "some.application"}
    exec(compile(APPLICATION, "application.py", "exec"), application)  # noqa: S102 - code of another package
    application["handle"](library)
    assert behind[0] is not None
    *_, (frame, _line) = walk_tb(behind[0].__traceback__)
    assert frame.f_locals == {"own": "his"}


@pytest.mark.parametrize("name", ["request_id", "vendor_code"])
def test_identifiers_look_like_some(name: str) -> None:
    """What is long, or several words, is neither a code nor an identifier."""
    for text, stays in (("4873095621bd4d0b", True), ("IOTDA.000004", True), ("two words", False), ("a" * 64, False)):
        facts: dict[str, Any] = {name: text}
        error = ApiError("m", status=400, **facts)
        without_secrets(error, ())
        assert getattr(error, name) == (text if stays else "***")


def test_errors_about_good_answers_show_no_signature() -> None:
    """The request is gone by then, so what looks like one is taken for one; digests of files are ours, and stay."""
    signature = "0123456789abcdef" * 4
    error = PayloadError("m", status=200, excerpt=f"<html>502 x-signature: {signature} and cut {signature[:20]}")
    without_answer(error)
    assert error.excerpt == "<html>502 x-signature: *** and cut ***"
    refused = ApiError(f"it says {signature}", vendor_message=signature, status=200)
    without_answer(refused)
    assert (refused.message, refused.args, refused.vendor_message) == ("it says ***", ("it says ***",), "***")
    ours = OtaError(f"the digest is {signature}")
    without_answer(ours)
    assert signature in ours.message


def test_a_signed_request_tells_its_secrets() -> None:
    """The words of unknown headers, but no scheme, no names, nothing that is in the address or in known headers."""
    request = HttpRequest(
        operation="o",
        method="GET",
        path="/v5/iot/project-id-1234",
        headers={
            "Host": "api.example.com",
            "Authorization": "SDK-HMAC-SHA256 Access=ACCESS-KEY-1, SignedHeaders=content-type, Signature=abcdef0123",
            "Content-Type": "application/json",
            "X-New": "project-id-1234 api.example.com",
        },
        body=b'{"password": "not-looked-at"}',
    )
    assert secrets_of_request(request, endpoint="https://api.example.com") == ("ACCESS-KEY-1", "abcdef0123")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"auth": [{"password": "pass-word-1"}, 7, null]}', ("pass-word-1",)),
        (b"no json", ()),
        (b'"\xff"', ()),
    ],
)
def test_a_login_tells_what_is_in_its_body(body: bytes, found: tuple[str, ...]) -> None:
    """Every text in it."""
    request = HttpRequest(operation="authenticate", method="POST", path="/", body=body)
    assert secrets_of_request(request, endpoint="https://h") == found


# --- secrets while they are used -------------------------------------------------------------------------------------


def test_a_revealed_text_hides_from_whoever_collects_variables() -> None:
    """It is a text in everything else; it goes into a request's body, and not into a pickle."""
    text = Secret("secret text").reveal()
    assert (text, f"{text}", text.encode()) == ("secret text", "secret text", b"secret text")
    assert "secret" not in repr({"password": text})
    assert encode_json({"password": text}) == b'{"password":"secret text"}'
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(text)
    with pytest.raises(TypeError, match="is no JSON value"):
        encode_json(object())
    assert isinstance(text, Revealed)


def test_a_secret_is_copied_as_itself() -> None:
    """Copies are no second text in memory."""
    secret = Secret("text")
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret


@pytest.mark.parametrize(
    ("text", "shown"), [("o15475466766371key", "'…1key'"), ("short-key", "'…'"), (None, "None"), (7, "'…'")]
)
def test_identifiers_of_credentials_show_their_last_characters(text: object, shown: str) -> None:
    """Enough to tell two of them apart, too little to be of use."""
    assert last_characters(text) == shown


@attrs.frozen
class _Config:
    key: str | None = attrs.field(repr=last_characters)
    secret: Secret
    name: str = "plant"
    nested: object = None


def test_credentials_are_found_in_configurations() -> None:
    """Secrets, and identifiers that are declared as such; nothing that is not set."""
    config = _Config("key-1", Secret("s1"), nested=_Config(None, Secret("s2")))
    assert [found.reveal() for found in credentials_in(config)] == ["key-1", "s1", "s2"]
    assert credentials_in(None) == ()
    assert "key-1" not in repr(config)
