"""Both engines for the rows that come by the million give the same: of valid pages, of odd ones, of broken ones."""

import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import otaclient_enos.reads
import otaclient_enos.responses
import otaclient_iotda.reads
import otaclient_iotda.responses
from otaclient import decoding
from otaclient.decoding import Columns, straight_rows
from otaclient.errors import PayloadError
from otaclient.models import DeviceUpgrade
from otaclient.protocols import Backend
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery
from otaclient.reads import MarkerWindow, PageWindow, RawPage, Rows, Window
from otaclient.structuring import camel_case, wire_name
from otaclient.transport.http import HttpResponse
from otaclient_enos import EnosConfig
from otaclient_enos import wire as enos_wire
from otaclient_enos.backend import EnosBackend
from otaclient_iotda import IotdaConfig, TokenCredentials
from otaclient_iotda import wire as iotda_wire
from otaclient_iotda.backend import IotdaBackend

Read = Callable[[bytes], Rows[Any]]
ENOS = EnosBackend.open(
    EnosConfig(endpoint="https://enos.test", org_id="o1", app_key="k", app_secret="s"),
    label="plant",
)
KEYLESS = TokenCredentials(token="t")
IOTDA = IotdaBackend.open(
    IotdaConfig(endpoint="https://iotda.test", project_id="0" * 32, credentials=KEYLESS), label="plant"
)


def reading(backend: Backend, query: Any, window: Window) -> Read:
    """Return the reading of a page of what a query asks for."""
    source = backend.reads(query)
    (partition,) = source.partitions()
    return lambda body: source.decode(
        RawPage(partition=partition, window=window, response=HttpResponse(status=200, body=body))
    )


@attrs.frozen
class Kind:
    """One kind of row: how a page of it is read, and what it looks like."""

    read: Read
    struct: type[Any]
    rows_key: str
    envelope: str
    rename: Any = None


PAGE, MARKER = PageWindow(1, 200), MarkerWindow(None, 50)
TASKS = DeviceTaskQuery(job_id="5f0dd4a646542001b3d113f0")  # type: ignore[arg-type]
KINDS = {
    "enos devices": Kind(
        reading(ENOS, DeviceUpgradeQuery(), PAGE), enos_wire.DeviceFirmware, "data", "pagination", camel_case
    ),
    "enos tasks": Kind(reading(ENOS, TASKS, PAGE), enos_wire.TaskInfo, "data", "pagination", camel_case),
    "iotda devices": Kind(reading(IOTDA, DeviceUpgradeQuery(), MARKER), iotda_wire.Device, "devices", "page"),
    "iotda tasks": Kind(reading(IOTDA, TASKS, MARKER), iotda_wire.TaskDetail, "task_details", "page"),
}

TEXTS = st.text(max_size=12) | st.sampled_from(["ONLINE", "FROZEN", "failed", "Success", "1.0", "-3", "1600000000000"])
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from([0, -1, 100, 1_600_000_000_000, 2**63, 2**64])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def records(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Return records: most of them as documented, some with the wrong thing somewhere, or without something."""
    keys = [wire_name(field, kind.rename) for field in attrs.fields(kind.struct)]
    usual = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, TEXTS | st.none() | st.booleans()))
    named = st.fixed_dictionaries(dict.fromkeys(keys, TEXTS))
    strange = st.dictionaries(st.sampled_from([*keys, "newField", ""]), ANYTHING, max_size=4)
    return st.tuples(named | usual, st.just({}) | strange).map(lambda parts: {**parts[0], **parts[1]})


def pages(kind: Kind) -> st.SearchStrategy[Any]:
    """Return pages: some are none."""
    rows = st.lists(records(kind), max_size=4) | ANYTHING
    around = (
        st.none() | ANYTHING | st.just({"pageNo": 1, "pageSize": "2", "totalSize": 3, "count": 5, "marker": "a" * 24})
    )
    page = st.fixed_dictionaries(
        {}, optional={"code": st.just(0), kind.rows_key: rows, kind.envelope: around, "x": ANYTHING}
    )
    return page | ANYTHING


def outcome(read: Read, body: bytes) -> Any:
    """Return what comes of a page: rows with their exact types, and every error in full."""
    try:
        rows = read(body)
    except PayloadError:
        return "refused"
    good = [(type(row), row, hash(row), repr(row)) for row in rows.good]
    return good, [(error.message, error.problems) for error in rows.errors]


def plainly(read: Read) -> Read:
    """Return the reading without the fast engines."""

    def read_plainly(body: bytes) -> Rows[Any]:
        with (
            mock.patch.dict(otaclient_enos.responses._FAST, clear=True),
            mock.patch.dict(otaclient_iotda.responses._FAST, clear=True),
        ):
            return read(body)

    return read_plainly


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_both_engines_agree(kind: Kind) -> None:
    """Whatever JSON comes: the same rows, the same errors, the same refusal."""

    @given(page=pages(kind))
    def agree(page: Any) -> None:
        body = json.dumps(page, ensure_ascii=False).encode()
        assert outcome(kind.read, body) == outcome(plainly(kind.read), body)

    agree()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_broken_bytes_never_make_rows_that_the_plain_engine_reads_otherwise(kind: Kind) -> None:
    """Cut, doubled and flipped bytes: an error of ours, or the rows that the plain engine reads.

    Only text in fields that nobody reads may be broken without the fast engine noticing.
    """

    @given(page=pages(kind), data=st.data())
    def agree(page: Any, data: st.DataObject) -> None:
        whole = json.dumps(page, ensure_ascii=False).encode()
        at = data.draw(st.integers(0, len(whole)))
        body = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 3)) :]
        plain = outcome(plainly(kind.read), body)
        fast = outcome(kind.read, body)
        try:
            body.decode()
        except UnicodeDecodeError:
            assert plain in ("refused", fast)
        else:
            assert fast == plain

    agree()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_fast_engine_is_the_one_in_use(kind: Kind) -> None:
    """The self-check held: a page as documented never reaches the plain engine."""
    fields = attrs.fields(kind.struct)
    record = {wire_name(field, kind.rename): "text" for field in fields if field.default is attrs.NOTHING}
    body = msgspec.json.encode({kind.rows_key: [record, record]})
    with (
        mock.patch.object(otaclient_enos.reads, "parse_rows") as slow,
        mock.patch.object(otaclient_iotda.reads, "parse_rows", slow),
    ):
        rows = kind.read(body)
    assert not slow.called
    assert len(rows.good) == 2
    assert rows.facts is not None
    assert rows.facts.rows == 2


def test_one_bad_record_costs_that_record_only() -> None:
    """The page falls back to the plain engine, which names the record."""
    rows = KINDS["enos devices"].read(b'{"code":0,"data":[{"assetId":"a"},{"assetId":7},{"assetId":"c"}]}')
    assert [row.device_id for row in rows.good] == ["a", "c"]
    assert [error.problems for error in rows.errors] == [("expected text, got whole number @ $.data[1].asset_id",)]
    assert rows.facts is None


@attrs.frozen(kw_only=True)
class Record:
    """A wire class."""

    name: str
    flag: bool | None = None


COLUMNS = Columns(struct=Record, model=DeviceUpgrade, taken={"device_id": "name", "upgrading": "flag"})


def engine() -> Any:
    """Return a new engine for them."""
    return straight_rows(COLUMNS, rows_key="rows", envelope={})


def test_an_engine_that_does_not_agree_with_the_plain_one_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """A later msgspec may work in another way: the self-check notices wrong rows as well as errors."""
    assert engine() is not None
    with mock.patch.object(decoding, "_for_each"), caplog.at_level("INFO", "otaclient"):
        assert engine() is None
    assert "DeviceUpgrade rows are read by the plain engine" in caplog.text
    with mock.patch.object(msgspec, "defstruct", side_effect=TypeError("another msgspec")):
        assert engine() is None
    with mock.patch.object(decoding, "_shadow_of", return_value=str):
        assert engine() is None


def test_rows_of_one_page_are_the_model_itself() -> None:
    """Equal, frozen, hashable, picklable, of the very class; the vendor's keys are nowhere in it."""
    (row,) = engine()(b'{"rows":[{"name":"d1","flag":true,"other":1}]}', None, "plant").rows
    assert type(row) is DeviceUpgrade
    assert row == DeviceUpgrade(backend="plant", device_id="d1", upgrading=True)  # type: ignore[arg-type]
    assert attrs.evolve(row, upgrading=None).upgrading is None
    assert not hasattr(row, "name")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        row.upgrading = False  # type: ignore[misc]
