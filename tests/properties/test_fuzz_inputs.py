"""Whatever people, files and headers say: a value that can be used, or a documented error before any request.

The long form is ``OTACLIENT_FUZZ_EXAMPLES=20000 pytest -p no:cacheprovider --timeout 0 tests/properties``.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient.cli.failures import UsageError
from otaclient.cli.job_file import new_job, read_job_file
from otaclient.errors import ConfigurationError, InvalidQueryError, OtaError
from otaclient.export.stamp import Stamp
from otaclient.models import FirmwareKind
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.registry import backend_plugin
from otaclient.settings import load_config
from otaclient.structuring import encode_json
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse, Sink, encode_query, http_date, retry_after_seconds
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient.transport.skew import skew_seconds
from otaclient_enos import EnosConfig
from otaclient_enos.new_jobs import job_fields as enos_fields
from otaclient_iotda import IotdaConfig, TokenCredentials
from otaclient_iotda.new_jobs import job_fields as iotda_fields

EXAMPLES = int(os.environ.get("OTACLIENT_FUZZ_EXAMPLES", "25"))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
"""Also halves of surrogate pairs, which no encoding takes."""
ODD = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "%",
        "_",
        "*",
        "?",
        "/",
        "..",
        "a/../b",
        "a?b=c",
        "a&b",
        "a b",
        "a\nb",
        "a\r\nX: y",
        "\0",
        "' or '1'='1",
    ]
)
WORDS = ODD | ANY_TEXT | st.sampled_from(["5ed0dd4a646542001b3d113f", "pump-1", "1.0"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)


# --- headers ---------------------------------------------------------------------------------------------------------

CALENDAR = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Xyz", ""]),
    st.integers(-1, 40) | st.integers(),
    st.sampled_from(["Jan", "Feb", "Foo"]),
    st.integers(0, 10_000) | st.integers(),
    st.integers(0, 30) | st.integers(),
    st.integers(0, 70),
    st.integers(0, 70) | st.integers(),
    st.sampled_from(["GMT", "+0000", "-2359", "+9999", "-99999999999999999999", ""]),
)


@FUZZ
@given(text=CALENDAR | ANY_TEXT | st.integers().map(str) | st.text("0123456789", max_size=400))
def test_dates_of_headers(text: str) -> None:
    """A date is an instant or none, and advice never longer than a day."""
    instant = http_date(text)
    assert instant is None or instant.tzinfo is not None
    response = HttpResponse(status=429, headers={"date": text, "retry-after": text})
    advised = retry_after_seconds(response, now=NOW)
    assert advised is None or 0 <= advised <= 86_400
    skew = skew_seconds(response, NOW)
    assert skew is None or abs(skew) < 1e12


# --- settings --------------------------------------------------------------------------------------------------------

SETTINGS = ["endpoint", "org_id", "app_key", "app_secret", "project_id", "auth", "access_key", "token", "x", "derived"]
TABLES = st.dictionaries(st.sampled_from(SETTINGS) | WORDS, LEAVES | st.lists(LEAVES, max_size=2), max_size=6)


def as_toml(table: dict[str, Any]) -> str:
    """Return a table as TOML, as well as that goes."""
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items() if value is not None]
    return "[default.enos]\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the files of all examples."""
    return tmp_path_factory.mktemp("fuzz")


def test_settings(folder: Path) -> None:
    """Any file and any environment makes a configuration, or an error that is one line."""

    @FUZZ
    @given(
        content=TABLES.map(lambda table: as_toml(table).encode("utf-8", "surrogatepass")) | st.binary(max_size=60),
        variables=st.dictionaries(st.sampled_from(SETTINGS).map(str.upper), WORDS, max_size=4),
        vendor=st.sampled_from(["enos", "iotda"]),
        profile=st.none() | WORDS,
    )
    def load(content: bytes, variables: dict[str, str], vendor: str, profile: str | None) -> None:
        (folder / "otaclient.toml").write_bytes(content.replace(b"default.enos", f"default.{vendor}".encode()))
        environ = {f"OTACLIENT_{vendor.upper()}_{name}": value for name, value in variables.items()}
        try:
            load_config(vendor, backend_plugin(vendor).config_type, profile=profile, environ=environ, folders=[folder])
        except ConfigurationError as error:
            assert "\n" not in str(error)

    load()


# --- files of jobs ---------------------------------------------------------------------------------------------------

NAMED = st.text("abcdefgh_", min_size=1, max_size=8)
JOBS = st.fixed_dictionaries(
    {"name": NAMED | TREES, "firmware_ids": st.lists(NAMED, max_size=2) | TREES},
    optional={
        "kind": st.sampled_from(["upgrade", "verification"]) | TREES,
        "hold": st.booleans() | LEAVES,
        "scope": st.fixed_dictionaries(
            {},
            optional={
                "devices": st.lists(WORDS, max_size=2),
                "source_versions": st.lists(WORDS, max_size=2),
                "groups": st.lists(WORDS, max_size=2),
                "tags": st.dictionaries(WORDS, st.lists(WORDS, max_size=2), max_size=2) | TREES,
                "attributes": st.dictionaries(WORDS, st.lists(LEAVES, max_size=2), max_size=2) | TREES,
                "asset_trees": st.lists(st.dictionaries(WORDS, TREES, max_size=2), max_size=2) | TREES,
                "everything": st.booleans() | LEAVES,
            },
        )
        | TREES,
        "policy": st.fixed_dictionaries(
            {},
            optional={
                "mode": st.sampled_from(["snapshot", "incremental"]) | LEAVES,
                "timeout_seconds": st.integers() | LEAVES,
                "max_concurrency": st.integers() | LEAVES,
                "retry": st.fixed_dictionaries(
                    {}, optional={"count": st.integers(), "interval_minutes": st.integers(), "enabled": st.booleans()}
                )
                | TREES,
                "schedule": st.fixed_dictionaries(
                    {},
                    optional={
                        "start_at": st.datetimes().map(lambda at: f"{at.isoformat()}+14:00") | WORDS,
                        "end_at": st.datetimes().map(lambda at: f"{at.isoformat()}-14:00") | WORDS,
                        "repeats_daily": st.booleans(),
                        "utc_offset_minutes": st.integers(),
                    },
                )
                | TREES,
                "device_may_request": st.booleans() | LEAVES,
            },
        )
        | TREES,
    },
)


def test_job_files(folder: Path) -> None:
    """Any file makes a request body, or an error that says what is wrong with it."""

    @FUZZ
    @given(
        content=JOBS.map(lambda job: json.dumps(job).encode("utf-8", "surrogatepass"))
        | TREES.map(lambda tree: json.dumps(tree).encode("utf-8", "surrogatepass"))
        | st.integers(1, 100_000).map(lambda levels: b'{"name":' * levels)
        | st.binary(max_size=40),
        suffix=st.sampled_from([".json", ".json", ".json", ".toml"]),
    )
    def read(content: bytes, suffix: str) -> None:
        path = folder / f"job{suffix}"
        path.write_bytes(content)
        try:
            job = new_job(read_job_file(path))
        except (UsageError, InvalidQueryError):
            return
        builders: tuple[Callable[[], Any], ...] = (
            lambda: enos_fields(job),
            lambda: iotda_fields(job, app_id=None, now=NOW, fingerprint=None, firmware_kind=FirmwareKind.FIRMWARE),
        )
        for fields in builders:
            with suppress(InvalidQueryError):
                encode_json(fields())

    read()


@FUZZ
@given(content=TREES.map(lambda tree: json.dumps(tree).encode("utf-8", "surrogatepass")) | st.binary(max_size=60))
def test_certificates(content: bytes) -> None:
    """What is stored beside a file is a stamp, or an error."""
    try:
        Stamp.from_json(content, where=Path("fleet.csv.certificate.json"))
    except OtaError as error:
        assert "fleet.csv.certificate.json" in str(error)


# --- what callers hand in --------------------------------------------------------------------------------------------


class Witness:
    """A network that sees what would be sent."""

    def __init__(self) -> None:
        self.seen: list[HttpRequest] = []

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        self.seen.append(request)
        if "token" in request.path:
            return HttpResponse(status=200, body=b'{"status":0,"data":{"accessToken":"t","expire":7200}}')
        return HttpResponse(status=404, body=b'{"code":24404}')

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""


CONFIGS = {
    "enos": EnosConfig(endpoint="https://enos.test", org_id="o1", app_key="k", app_secret="s"),
    "iotda": IotdaConfig(
        endpoint="https://iotda.test", project_id="0" * 32, credentials=TokenCredentials(token="t" * 8)
    ),
}
CALLS: dict[str, Callable[[Any, str], Awaitable[Any]]] = {
    "firmware.get": lambda client, text: client.firmware.get(text),
    "firmware.delete": lambda client, text: client.firmware.delete(text),
    "jobs.get": lambda client, text: client.jobs.get(text),
    "jobs.stop": lambda client, text: client.jobs.stop(text),
    "jobs.cancel_tasks": lambda client, text: client.jobs.cancel_tasks("5ed0dd4a646542001b3d113f", [text]),
    "firmware of a product": lambda client, text: client.firmware.search(FirmwareQuery(products=[text])).first(1),
    "firmware of a version": lambda client, text: client.firmware.search(
        FirmwareQuery(version=text, products=["p"], kinds=["firmware"])
    ).first(1),
    "jobs by name": lambda client, text: client.jobs.search(JobQuery(name_contains=text)).first(1),
    "devices of a product": lambda client, text: client.devices.search(DeviceUpgradeQuery(products=[text])).first(1),
    "devices of an owner": lambda client, text: client.devices.search(DeviceUpgradeQuery(owner_id=text)).first(1),
    "tasks of a device": lambda client, text: client.jobs.tasks(
        DeviceTaskQuery(job_id="5ed0dd4a646542001b3d113f", devices=[text])  # type: ignore[arg-type]
    ).first(1),
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples."""
    with asyncio.Runner() as opened:
        yield opened


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("vendor", CONFIGS)
def test_texts_of_callers_stay_what_they_are(runner: asyncio.Runner, vendor: str, name: str) -> None:
    """A text is refused before anything is sent, or arrives whole and as nothing but itself."""

    async def asked(text: str) -> list[HttpRequest]:
        witness = Witness()
        session = Session(label=vendor, transport=witness, clock=HandClock(), retry=RetryPolicy.none())
        async with backend_plugin(vendor).open(CONFIGS[vendor], session) as client:
            try:
                await CALLS[name](client, text)
            except InvalidQueryError as error:
                assert error.status is not None or witness.seen == []
            except OtaError:
                assert witness.seen
        return witness.seen

    plain = runner.run(asked("pump-1"))

    @FUZZ
    @given(text=WORDS)
    def check(text: str) -> None:
        for number, request in enumerate(runner.run(asked(text))):
            written = f"{request.path}?{encode_query(request.query)}"
            assert written.isascii()
            assert written.isprintable()
            assert " " not in written
            parts = urlsplit(f"https://host.test{written}")
            assert parts.hostname == "host.test"
            assert parts.path == request.path
            assert parts.fragment == ""
            assert request.path == quote(unquote(request.path), safe="/%-._~") or "%" in request.path
            assert parse_qsl(parts.query, keep_blank_values=True) == list(request.query)
            # Neither a path of more parts, nor a further parameter: the text is where it belongs.
            if number < len(plain):
                assert request.path.count("/") == plain[number].path.count("/")
                assert ".." not in request.path.split("/")
                assert [key for key, _ in request.query] == [key for key, _ in plain[number].query]

    check()
