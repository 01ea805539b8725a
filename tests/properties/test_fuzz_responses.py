"""Whatever an answer holds, a call comes to a result that can be used, or to a documented error.

The answers are recorded from the emulators and then changed: values, keys, bytes, statuses, headers. The long form is
``OTACLIENT_FUZZ_EXAMPLES=20000 pytest -p no:cacheprovider --timeout 0 tests/properties/test_fuzz_responses.py``.
"""

import json
import os
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otaclient.cli.kinds import DEVICES, FIRMWARE, JOBS, TASKS
from otaclient.cli.output import Format, details, renderer
from otaclient.cli.screen import Screen
from otaclient.cli.table import Column
from otaclient.errors import OtaError, PayloadError
from otaclient.transport.http import HttpResponse
from otaclient.transport.tokens import Token
from support.recorded import Stage

EXAMPLES = int(os.environ.get("OTACLIENT_FUZZ_EXAMPLES", "12"))
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CALLS = {
    "enos": "authenticate firmware.get firmware.search jobs.get jobs.progress jobs.search jobs.tasks devices.search "
    "jobs.create jobs.stop jobs.delete firmware.delete firmware.reported_versions",
    "iotda": "authenticate firmware.get firmware.search jobs.get jobs.progress jobs.search jobs.tasks devices.search "
    "jobs.create jobs.stop jobs.delete firmware.delete devices.get search_devices modules.search",
}
COLUMNS = {kind.model: kind.columns for kind in (DEVICES, FIRMWARE, JOBS, TASKS)}
NAMES = [f"{vendor} {name}" for vendor, names in CALLS.items() for name in names.split()]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Record once, play often."""
    opened = Stage()
    yield opened
    opened.close()


# --- what is changed -------------------------------------------------------------------------------------------------

DATES = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-23:59",
    "2026-02-30T00:00:00Z",
    "20260230T000000Z",
    "00010101T000000Z",
    "99991231T235959Z",
    "Mon, 1 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 1 Jan 2020 00:00:00 +99999999999999999999",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Thu, 01 Jan 1 00:00:00 +2359",
]
ODD_TEXTS = ["", " ", "\0", "\x1b[2J", "\u202e", "=1+1", "-", "nan", "Infinity", "1e999", "9" * 400, "../../etc/passwd"]
TEXTS = st.text(max_size=12) | st.sampled_from([*DATES, *ODD_TEXTS])
NUMBERS = st.sampled_from([0, -1, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**18, 10**40, 10**400]) | st.integers()
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
LEVELS = st.sampled_from([2, 60, 70, 300, 900])


@st.composite
def deep(draw: st.DrawFn) -> Any:
    """Draw a value within many others."""
    value: Any = draw(LEAVES)
    as_list = draw(st.booleans())
    for _ in range(draw(LEVELS)):
        value = [value] if as_list else {"a": value}
    return value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value, and its own."""
    yield path
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with another one at some place; an ellipsis takes the place away."""
    if not path:
        return {} if new is ... else new
    copy: Any = value.copy()
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def other_values(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw a body of which some values are others."""
    value = json.loads(body) if body else {}
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        value = replaced(value, path, draw(ANYTHING | deep() | st.just(...)))
    return json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def other_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw a body of which some bytes are others, or missing, or too many."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=4)) + body[at + draw(st.integers(0, 40)) :]
    return body


HEADERS = st.dictionaries(
    st.sampled_from(["date", "retry-after", "x-request-id", "x-subject-token", "location", "content-type", "etag"]),
    TEXTS | st.text(st.characters(codec=None), max_size=8),
    max_size=3,
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 101, 302, 400, 401, 403, 404, 409, 429, 500, 503, 999])


@st.composite
def other_answers(draw: st.DrawFn, good: HttpResponse) -> HttpResponse:
    """Draw an answer that differs from a good one."""
    bodies = other_values(good.body) | other_bytes(good.body) | st.just(good.body) | st.binary(max_size=30)
    return attrs.evolve(
        good,
        status=draw(st.just(good.status) | STATUSES),
        headers={**good.headers, **draw(HEADERS)},
        body=draw(bodies),
    )


# --- what must hold --------------------------------------------------------------------------------------------------


def check_usable(result: Any) -> None:
    """Check that what a call returned can be compared, printed, stored and shown."""
    repr(result)
    if isinstance(result, Token):
        assert result.text.isascii()
        result.is_fresh(datetime(2026, 1, 1, tzinfo=UTC))
        return
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own
    for model in result if isinstance(result, list | tuple) else [result]:
        if not attrs.has(type(model)):
            continue
        hash(model)
        fields = [field.name for field in attrs.fields(type(model))]
        columns = COLUMNS.get(type(model), (Column("backend", "backend"),)) if "backend" in fields else ()
        for chosen in [*Format] if columns else [Format.JSON, Format.CSV]:
            lines = renderer(chosen, fields=fields, columns=columns, screen=Screen(width=80))
            check_printable(lines.head() + lines.block([model]) + lines.tail())
        check_printable(details(model))


def check_printable(text: str) -> None:
    """Check that nothing in a text steers a terminal."""
    assert text.replace("\n", "").isprintable(), text
    text.encode()


def check_error(error: OtaError) -> None:
    """Check that an error can be told and handed on."""
    str(error)
    repr(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own


@pytest.mark.parametrize("name", NAMES)
def test_any_answer_comes_to_a_result_or_a_documented_error(stage: Stage, name: str) -> None:
    """Nothing else ever comes out of a call."""
    operation = next(one for one in stage.operations if str(one) == name)

    @FUZZ
    @given(changed=other_answers(operation.answers[operation.answered]))
    def comes_to_something(changed: HttpResponse) -> None:
        try:
            result = stage.play(operation, changed)
        except OtaError as error:
            check_error(error)
        else:
            check_usable(result)

    comes_to_something()


KEPT_AS_IT_CAME = [
    "enos firmware.get",
    "enos firmware.search",
    "enos jobs.get",
    "enos jobs.search",
    "iotda firmware.get",
    "iotda firmware.search",
    "iotda jobs.get",
    "iotda jobs.search",
    "iotda search_devices",
    "iotda modules.search",
]


@pytest.mark.parametrize("name", KEPT_AS_IT_CAME)
def test_what_is_nested_for_ever_is_refused_where_it_would_be_kept(stage: Stage, name: str) -> None:
    """Not even as deep as JSON readers go: whoever copies or prints the record would run out of stack."""
    operation = next(one for one in stage.operations if str(one) == name)
    good = operation.answers[operation.answered]
    objects = [path for path in places(json.loads(good.body)) if isinstance(at(json.loads(good.body), path), dict)]
    refused = 0
    for path in objects:
        record = at(json.loads(good.body), path)
        nested: Any = 7
        for _ in range(300):
            nested = [nested]
        body = json.dumps(replaced(json.loads(good.body), path, {**record, "newField": nested})).encode()
        try:
            check_usable(stage.play(operation, attrs.evolve(good, body=body)))
        except PayloadError as error:
            refused += any("nested deeper than" in problem for problem in error.problems)
    assert refused


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """Return what is at some place inside a JSON value."""
    for key in path:
        value = value[key]
    return value


def test_all_recorded_calls_are_tried(stage: Stage) -> None:
    """And what is played back unchanged is what was recorded."""
    assert [str(one) for one in stage.operations] == NAMES
    good = [one for one in stage.operations if not one.refused]
    assert len(good) >= len(NAMES) - 4, [str(one) for one in stage.operations if one.refused]
    for operation in good:
        check_usable(stage.play(operation, operation.answers[operation.answered]))
