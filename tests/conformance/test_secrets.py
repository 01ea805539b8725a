"""No credential turns up anywhere but in the requests that need it, whatever happens to them."""

import asyncio
import json
import os
import pickle
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

import otaclient
from otaclient.emulator.faults import AnswerWith, DropConnection
from otaclient.errors import ResponseLostError
from otaclient.fleet.scan import scan
from otaclient.protocols import Capability
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery
from otaclient.registry import backend_plugin, emulator_class
from otaclient.secret import Secret, credentials_in
from otaclient.transport.http import HttpRequest
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient_enos import EnosConfig
from support.canaries import Canaries, credential_fields, logged, parts_of_types, rendered_error, renderings
from support.echo import ECHOES, noting
from support.forward_proxy import proxying
from support.lost_answers import CutAfterCommit, CutAnswer
from support.piping import talking
from support.watched_secrets import FLEET, WORLDS, Watched, config_of, options_of, outcome_of, watched
from support.writes import WRITES, space_of

pytestmark = pytest.mark.blocks_loop("searches all that was said for secrets, between the calls")

# Where every operation meets every failure; the other worlds sign in other ways, and do all else alike.
THOROUGH: Final = ("enos", "iotda aksk")
SOME: Final = frozenset({"firmware.get", "devices.search", "jobs.create", "jobs.stop"})

EVERY: Final = bool(os.environ.get("OTACLIENT_EVERY_FAILURE"))
"""Whether every operation meets every failure; else, every operation meets a fourth of them, not all the same."""


def _is_tried(world: str, operation: str, failure: str) -> bool:
    if world not in THOROUGH and operation not in SOME:
        return False
    return EVERY or (zlib.crc32(operation.encode()) + zlib.crc32(failure.encode())) % 4 == 0


# --- every operation -------------------------------------------------------------------------------------------------

Call = Callable[[], Awaitable[Any]]


async def calls_of(vendor: Watched, folder: Path) -> dict[str, Call]:
    """Return every operation, ready to be called; what they need has been looked up."""
    backend: Any = vendor.backend
    firmware, devices = await vendor.choose(3)
    (job,) = await backend.jobs.search().first(1)
    reads: dict[str, Call] = {
        "authenticate": backend.authenticate,
        "firmware.get": lambda: backend.firmware.get(firmware.firmware_id),
        "firmware.search": lambda: backend.firmware.search(FirmwareQuery(kinds=["firmware"])).collect(10_000),
        "firmware.reported_versions": lambda: backend.firmware.reported_versions(firmware.product_id),
        "firmware.download": lambda: backend.firmware.download(firmware, folder / "new.bin"),
        "jobs.get": lambda: backend.jobs.get(job.job_id),
        "jobs.search": lambda: backend.jobs.search().collect(10_000),
        "jobs.tasks": lambda: backend.jobs.tasks(DeviceTaskQuery(job_id=job.job_id)).collect(10_000),
        "jobs.progress": lambda: backend.jobs.progress(job.job_id),
        "jobs.wait": lambda: backend.jobs.wait(job.job_id, timeout_seconds=5),
        "devices.search": lambda: backend.devices.search(DeviceUpgradeQuery()).collect(10_000),
        "devices.get": lambda: backend.devices.get(devices[0].device_id),
        "scan": lambda: _scanned(backend),
    }
    if vendor.name == "iotda":
        reads["search_devices"] = lambda: backend.search_devices("select * from device limit 5")
        reads["modules.search"] = lambda: backend.modules.search(product_id=firmware.product_id).collect(10)
        reads["upgrading"] = lambda: backend.devices.search(DeviceUpgradeQuery(resolve_upgrading=True)).first(3)
        vendor.backend = backend.with_options(owner_id=await space_of(vendor))
    missing = {capability.value for capability in Capability} - {*reads, *WRITES}
    known = {"firmware.upload", "jobs.hold", "devices.upgrading"}
    assert missing <= known | {name for name in missing if "." not in name}, f"operations without a call: {missing}"
    writes = {name: (await prepare(vendor)).call for name, prepare in WRITES.items()}
    return reads | writes


async def _scanned(backend: Any) -> None:
    async with scan([(backend, DeviceUpgradeQuery())]) as found:
        async for _ in found:
            pass


def test_every_credential_field_has_a_canary() -> None:
    """The fields are found by their types, so that a new one must be given a canary."""
    held: set[tuple[type[Any], str]] = set()
    wanted: set[tuple[type[Any], str]] = set()
    for world in WORLDS:
        canaries = Canaries()
        name = world.split()[0]
        emulator = emulator_class(name)(FLEET, **options_of(world, canaries))
        emulator._port = 1
        config = config_of(world, emulator)
        for cls in parts_of_types(backend_plugin(name).config_type):
            wanted |= {(cls, field) for field in credential_fields(cls)}
        for part in (config, getattr(config, "credentials", config)):
            for field in credential_fields(type(part)):
                value = getattr(part, field)
                text = value.reveal() if isinstance(value, Secret) else value
                assert text in canaries.texts.values(), f"{field} of {type(part).__name__} holds no canary"
                assert text in {secret.reveal() for secret in credentials_in(config)}, f"{field} is not found by type"
                held.add((type(part), field))
    assert held == wanted
    assert len(held) == 8


def test_canaries_are_found() -> None:
    """The search itself finds parts and encodings, and nothing in other texts."""
    canaries = Canaries()
    text = canaries.new("app_secret")
    assert canaries.found_in(f"xx{text[7:16]}xx") == {"app_secret"}
    assert not canaries.found_in(f"xx{text[7:15]}xx")
    for name, echo in ECHOES.items():
        assert canaries.found_in(echo.encode(f"xy | {text} |")) == {"app_secret"}, name
    assert not canaries.found_in(repr(canaries.__class__) + "emulator-app-secret" * 10)


# --- when all goes well ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
async def test_what_is_there_shows_no_credential(world: str, tmp_path: Path) -> None:
    """Configurations, clients, records, pages, events and logs, of every operation, at every log level."""
    async with watched(world) as vendor:
        calls = await calls_of(vendor, tmp_path)
        said: dict[str, str] = {}
        for name, call in calls.items():
            if name == "jobs.wait":
                continue
            found: list[Any] = []

            async def kept(call: Call = call, found: list[Any] = found) -> None:
                found.append(await call())

            error = await outcome_of(kept)
            said |= renderings(f"what {name} returns", found) if error is None else rendered_error(error)
        page = await anext(vendor.backend.firmware.search().pages())
        things = {
            "the config": vendor.config,
            "the client": vendor.backend,
            "its session": vendor.backend._session,  # type: ignore[attr-defined]
            "its dialect": vendor.backend._session.dialect,  # type: ignore[attr-defined]
            "a listing": vendor.backend.firmware.search(),
            "a page": page,
            "its answer": page.response,
        }
        for name, thing in things.items():
            said |= renderings(name, thing)
        vendor.canaries.check(said)
        vendor.check()
        dictionary = attrs.asdict(vendor.config)
        assert "Secret('***')" in repr(dictionary)
        identifiers = {"app_key", "access_key", "username"}
        assert vendor.canaries.found_in(repr(dictionary)) <= identifiers, "asked for by name, identifiers are given"
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(vendor.config)


@pytest.mark.parametrize("world", THOROUGH)
async def test_debugging_asyncio_shows_no_credential(world: str) -> None:
    """In debug mode, a loop logs the calls that it makes, when it finds them slow; here, all."""
    loop = asyncio.get_running_loop()
    async with watched(world) as vendor:
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
        try:
            await vendor.backend.firmware.search().first(3)
            known = [secret.reveal() for secret in credentials_in(vendor.config)]
            vendor.emulator.faults.add(ECHOES["not found"].knowing(known))
            await outcome_of(lambda: vendor.backend.firmware.search().first(3))
        finally:
            loop.set_debug(False)
        assert "took" in vendor.log.getvalue()
        vendor.check()


# --- when it does not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
async def test_no_error_repeats_what_a_server_repeats(world: str, tmp_path: Path) -> None:
    """A server that knows all secrets writes them wherever it can; every operation fails, and says none of them."""
    async with watched(world) as vendor:
        calls = await calls_of(vendor, tmp_path)
        failed: set[str] = set()
        known = [secret.reveal() for secret in credentials_in(vendor.config)]
        for kind, echo in ECHOES.items():
            for name, call in calls.items():
                if not _is_tried(world, name, kind):
                    continue
                await vendor.backend.authenticate()
                vendor.emulator.faults.clear()
                vendor.emulator.faults.add(echo.knowing(known), times=None)
                error = await outcome_of(call)
                vendor.emulator.faults.clear()
                if error is None:
                    continue
                failed.add(name)
                try:
                    vendor.canaries.check(rendered_error(error))
                except AssertionError as leak:
                    leak.add_note(f"{name}, {kind}")
                    raise
        vendor.check()
        assert failed >= ({*calls} - {"authenticate"} if world in THOROUGH else SOME)


@pytest.mark.parametrize("world", ["enos", "iotda password"])
async def test_no_failing_login_repeats_it(world: str) -> None:
    """The bodies of these requests hold the secret itself, or what was made of it; so do the answers, the token."""
    for kind, echo in ECHOES.items():
        async with watched(world) as vendor:
            known = [secret.reveal() for secret in credentials_in(vendor.config)]
            bodies: list[str] = []
            vendor.emulator.faults.add(_Noting(echo.knowing(known), bodies), times=None)
            error = await outcome_of(vendor.backend.authenticate)
            assert error is not None, kind
            for number, body in enumerate(bodies):
                encryption = json.loads(body).get("encryption")
                if encryption:
                    vendor.canaries.add(f"encryption {number}", encryption)
            assert bodies
            vendor.canaries.check(rendered_error(error))
            vendor.check()


@attrs.frozen
class _Noting:
    """A fault that notes the bodies of the requests that it strikes."""

    fault: Any
    bodies: list[str]

    async def strike(self, request: Any) -> Any:
        """Note and strike."""
        self.bodies.append((await request.read()).decode())
        return await self.fault.strike(request)


STRIKES: Final[dict[str, Callable[[], Any]]] = {
    "cut before the answer": DropConnection,
    "cut after it took effect": CutAfterCommit,
    "cut in the answer": CutAnswer,
    "bare 502": lambda: AnswerWith(status=502, headers={}, body=b""),
    "throttled": lambda: AnswerWith(status=429, headers={"Retry-After": "1"}, body=b"{}"),
    "too long a pause": lambda: AnswerWith(status=429, headers={"Retry-After": "900"}, body=b"{}"),
}


@pytest.mark.parametrize("world", THOROUGH)
async def test_no_broken_connection_shows_a_credential(world: str, tmp_path: Path) -> None:
    """With retries, too: the errors of aiohttp behind ours, and the variables of its functions, hold requests."""
    async with watched(world, retry=RetryPolicy(max_attempts=2)) as vendor:
        calls = await calls_of(vendor, tmp_path)
        for kind, strike in STRIKES.items():
            for name, call in calls.items():
                if not _is_tried(world, name, kind):
                    continue
                vendor.emulator.faults.add(strike(), times=None)
                error = await outcome_of(call)
                vendor.emulator.faults.clear()
                if error is None:
                    assert name == "authenticate", (name, kind)
                    continue
                vendor.canaries.check(rendered_error(error))
        vendor.check()


async def _repeating_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the headers of the request in the place of the status line."""
    head = await reader.read(65536)
    writer.write(b"HTTP/1.1 " + head.split(b"\r\n", 2)[2].replace(b"\r\n", b" ")[-300:] + b"\r\n\r\n")
    await writer.drain()


async def _repeating_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the headers of the request, folded and without a colon."""
    head = await reader.read(65536)
    writer.write(b"HTTP/1.1 200 OK\r\n" + head.split(b"\r\n", 2)[2].replace(b": ", b" ") + b"\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("talk", [_repeating_line, _repeating_header])
@pytest.mark.parametrize("world", THOROUGH)
async def test_no_error_repeats_an_answer_that_is_not_http(world: str, talk: Any) -> None:
    """What cannot be read is quoted by aiohttp."""
    async with watched(world) as vendor, talking(talk) as port:
        await vendor.backend.authenticate()
        session = vendor.backend._session  # type: ignore[attr-defined]
        sign, note = session.dialect.sign, noting(vendor.canaries.add)

        def signed(request: HttpRequest, **options: Any) -> HttpRequest:
            request = sign(request, **options)
            note(request)
            return request

        elsewhere = attrs.evolve(session.dialect, endpoint=f"http://127.0.0.1:{port}", sign=signed)
        speaking: Any = type(vendor.backend)
        backend: Any = speaking(vendor.config, session.speaking(elsewhere))
        error = await outcome_of(lambda: backend.firmware.search().first(1))
        assert isinstance(error, ResponseLostError)
        vendor.canaries.check(rendered_error(error))
        vendor.check()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", [None, b"complete nonsense\r\n\r\n", b""])
async def test_no_failing_proxy_shows_its_password(scheme: str, answer: bytes | None) -> None:
    """Nor the proxy's user, as they are or as the header has them."""
    canaries = Canaries()
    name, password = canaries.new("proxy_username"), canaries.new("proxy_password")
    assert credential_fields(TransportOptions) == ("proxy_username", "proxy_password")
    options = TransportOptions(proxy="http://127.0.0.1:1", proxy_username=name, proxy_password=Secret(password))
    said = renderings("the options", options)
    with logged() as log:
        async with proxying(wanted="Basic other", answer=answer) as proxy:
            config = EnosConfig(endpoint=f"{scheme}://127.0.0.1:1", org_id="o", app_key="k", app_secret="s")
            client = otaclient.open_backend(
                "enos", config=config, transport=attrs.evolve(options, proxy=proxy.url), retry=RetryPolicy.none()
            )
            async with client:
                error = await outcome_of(client.authenticate)
        assert proxy.heads
    assert error is not None
    canaries.check(said | rendered_error(error) | {"the log": log.getvalue()})
