"""A soak: 64 tasks use one client of a vendor in bad weather for a given time, and what has to hold afterwards."""

import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs

import otaclient
from otaclient.errors import OtaError
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceUpgradeQuery
from otaclient.registry import backend_plugin
from otaclient.settings import load_config
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from soak.callers import CALLERS, Caller, Gate, Known
from soak.counting import Calls, Fate, NumberingTransport, Observed
from soak.windows import Window, growing, open_files, window_now
from support.loop_watch import Block, LoopWatch

__all__ = ["Outcome", "Plan", "soak"]

LIMITS: Final = Limits(concurrency=32)
_LONG_SECONDS: Final = 60.0
_OPERATIONS: Final = 15
_POOL_SAMPLE_SECONDS: Final = 0.02
# Nothing takes as long as this, unless it hangs.
_HANGING_SECONDS: Final = 60.0


@attrs.frozen(kw_only=True)
class Plan:
    """What to do."""

    vendor: str
    seconds: float
    windows: int = 12
    devices: int = 1500
    seed: int = 1
    timeout_seconds: float = 4.0
    say: Callable[[str], object] = print


@attrs.define(kw_only=True)
class Outcome:
    """What a soak found."""

    plan: Plan
    calls: Calls = attrs.field(factory=Calls)
    events: Observed = attrs.field(factory=Observed)
    windows: list[Window] = attrs.field(factory=list)
    largest_pool: int = 0
    fates: bytes = b""
    service: dict[str, Any] = attrs.field(factory=dict)
    blocks: list[Block] = attrs.field(factory=list)
    longest_step_seconds: float = 0.0
    longest_collection_seconds: float = 0.0
    steps: int = 0
    failures: list[str] = attrs.field(factory=list)
    """What does not hold; nothing where all is well."""

    def expect(self, holds: bool, words: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.failures.append(words)


async def soak(plan: Plan) -> Outcome:
    """Run one, and judge it."""
    outcome = Outcome(plan=plan)
    watch = LoopWatch()
    with watch.watching(), tempfile.TemporaryDirectory(prefix="otaclient-soak-") as folder:
        async with _service(plan) as service:
            await _use(outcome, service, watch, Path(folder))
        left = [found.name for found in os.scandir(folder)]
        outcome.expect(not left, f"downloads have left files behind: {left}")
    outcome.blocks, outcome.steps = watch.blocks, watch.steps
    outcome.longest_step_seconds = watch.longest_seconds
    outcome.longest_collection_seconds = watch.longest_collection_seconds
    _judge(outcome)
    return outcome


class _Service:
    """The process on the other side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, command: str) -> dict[str, Any]:
        """Send a line, and return what comes back."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        return await self.line()

    async def line(self) -> dict[str, Any]:
        """Return the next line."""
        assert self._process.stdout is not None
        text = await self._process.stdout.readline()
        found: dict[str, Any] = json.loads(text)
        return found


@asynccontextmanager
async def _service(plan: Plan) -> AsyncIterator[_Service]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "soak.service",
        plan.vendor,
        str(plan.devices),
        str(plan.seed),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=2**26,
    )
    try:
        yield _Service(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _use(outcome: Outcome, service: _Service, watch: LoopWatch, folder: Path) -> None:
    plan = outcome.plan
    settings = (await service.line())["environment"]
    with watch.exempt():  # once in a life: what is installed is looked up, modules are imported, files are read
        plugin = backend_plugin(plan.vendor)
        config = load_config(plugin.name, plugin.config_type, environ=settings)
    pool = AiohttpTransport(TransportOptions(), max_connections=LIMITS.concurrency)
    transport = NumberingTransport(pool)
    session = Session(
        label=plan.vendor,
        transport=transport,
        timeout_seconds=plan.timeout_seconds,
        limits=LIMITS,
        on_event=outcome.events,
    )
    backend = plugin.open(config, session)
    files_before = open_files()
    tasks_before = asyncio.all_tasks()
    sampler = asyncio.create_task(_sample(pool, outcome))
    known = await Known.of(backend, files=Capability.FIRMWARE_DOWNLOAD in backend.capabilities)
    await service.ask("bad")
    await _call_and_measure(outcome, service, backend, known, pool, watch, folder)
    await service.ask("good")
    await _check_usable(outcome, backend)
    slots = session.limiter._slots
    outcome.expect(slots.taken == 0, f"{slots.taken} slots of the limiter are taken while nobody calls")
    outcome.expect(not slots._waiting, "somebody waits for a slot while nobody calls")
    outcome.expect(not session.ownership._sleeping, "somebody sleeps while nobody calls")
    await _close_under_way(outcome, backend)
    sampler.cancel()
    await asyncio.wait([sampler])
    outcome.service = await service.ask("report")
    outcome.fates = bytes(transport.fates)
    left = asyncio.all_tasks() - tasks_before
    outcome.expect(not left, f"tasks are left: {left}")
    outcome.expect(open_files() <= files_before, f"{open_files() - files_before} file descriptors are left open")


async def _call_and_measure(
    outcome: Outcome,
    service: _Service,
    backend: Backend,
    known: Known,
    pool: AiohttpTransport,
    watch: LoopWatch,
    folder: Path,
) -> None:
    plan, calls = outcome.plan, outcome.calls
    rng = random.Random(plan.seed)
    gate = Gate(CALLERS)
    callers = [
        Caller(number, gate, backend=backend, known=known, calls=calls, rng=random.Random(rng.random()), folder=folder)
        for number in range(CALLERS)
    ]
    tasks = [asyncio.create_task(caller.work()) for caller in callers]
    began = time.monotonic()
    for number in range(1, plan.windows + 1):
        await _until(began + plan.seconds * (number - 0.5) / plan.windows)
        await service.ask("restart")
        await _until(began + plan.seconds * number / plan.windows)
        if not await gate.close(seconds=_HANGING_SECONDS):
            outcome.failures.extend(f"a caller hangs in {caller.calling}" for caller in callers if caller.calling)
            break
        with watch.exempt():
            window = window_now(seconds=time.monotonic() - began, calls=calls.ended, pooled=_connections(pool))
        outcome.windows.append(window)
        plan.say(_line(window, outcome))
        gate.open(for_good=number == plan.windows)
    gate.open(for_good=True)
    done, pending = await asyncio.wait(tasks, timeout=_HANGING_SECONDS)
    outcome.expect(not pending, f"{len(pending)} callers hang")
    outcome.failures.extend(f"a caller broke: {task.exception()!r}" for task in done if task.exception())


async def _until(instant: float) -> None:
    await asyncio.sleep(max(0.0, instant - time.monotonic()))


async def _sample(pool: AiohttpTransport, outcome: Outcome) -> None:
    while True:
        outcome.largest_pool = max(outcome.largest_pool, _connections(pool))
        await asyncio.sleep(_POOL_SAMPLE_SECONDS)


def _connections(pool: AiohttpTransport) -> int:
    session = pool._session
    if session is None or session.connector is None:
        return 0
    connector: Any = session.connector
    return len(connector._acquired) + sum(len(kept) for kept in connector._conns.values())


async def _check_usable(outcome: Outcome, backend: Backend) -> None:
    """After all that, in good weather, a scan has to be complete and certified."""
    # A pause that was asked for in bad weather may still last, longer than a caller in a hurry has time.
    patient = backend.with_options(timeout_seconds=_HANGING_SECONDS)
    try:
        async with otaclient.scan([(patient, DeviceUpgradeQuery())]) as scan:
            seen = [device.device_id async for device in scan]
    except OtaError as error:
        outcome.failures.append(f"the last scan failed, in good weather: {error}")
        return
    outcome.expect(len(set(seen)) == len(seen) == outcome.plan.devices, f"the last scan saw {len(seen)} devices")
    verdict = scan.certificate.verdict
    outcome.expect(verdict is otaclient.Verdict.CERTIFIED, f"the last scan is {verdict}")


async def _close_under_way(outcome: Outcome, backend: Backend) -> None:
    """Close the client under its callers: all of them get an answer, or an error that says so."""
    tasks = [asyncio.create_task(_once(backend)) for _ in range(CALLERS)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await backend.aclose()
    done, pending = await asyncio.wait(tasks, timeout=_HANGING_SECONDS)
    outcome.expect(not pending, f"{len(pending)} calls hang after the client was closed")
    wrong = [task.exception() for task in done if not isinstance(task.exception(), OtaError)]
    outcome.expect(not wrong, f"{len(wrong)} calls on a closed client have not ended in an error: {wrong[:3]}")


async def _once(backend: Backend) -> None:
    async for _ in backend.devices.search(DeviceUpgradeQuery()):
        pass


def _judge(outcome: Outcome) -> None:
    calls, events, plan = outcome.calls, outcome.events, outcome.plan
    fates = outcome.fates
    arrivals = zlib.decompress(base64.b64decode(outcome.service["arrivals"]))
    arrivals += bytes(max(0, len(fates) - len(arrivals)))
    expect = outcome.expect
    outcome.failures.extend(calls.bugs)
    outcome.failures.extend(growing(outcome.windows))
    outcome.failures.extend(f"the emulator: {crash}" for crash in outcome.service["crashes"])
    outcome.failures.extend(f"the event loop was blocked: {block}" for block in outcome.blocks)
    expect(calls.begun == calls.ended, f"{calls.begun} calls began and {calls.ended} ended")
    # An attempt that was cancelled has begun and not finished; all others have finished.
    cancelled, left = fates.count(Fate.CANCELLED), fates.count(Fate.LEFT)
    expect(events.started == len(fates), f"{events.started} attempts began in events, {len(fates)} on the wire")
    expect(
        len(fates) - cancelled - left <= events.finished <= len(fates) - cancelled,
        f"{events.finished} attempts finished in events, {len(fates) - cancelled} on the wire, {left} perhaps not",
    )
    expect(not fates.count(Fate.UNDER_WAY), "an attempt has not ended")
    pairs = list(zip(fates, arrivals, strict=False))
    expect(len(arrivals) == len(fates), "the service has seen attempts that nobody made")
    expect(max(arrivals) == 1, f"one attempt came in {max(arrivals)} times")
    expect((Fate.NOT_SENT, 1) not in pairs, "an attempt that was not sent has arrived")
    expect((Fate.ANSWERED, 0) not in pairs, "an attempt was answered that never arrived")
    served = sum(outcome.service["served"].values())
    expect(served == sum(arrivals), f"{served} requests were served, {sum(arrivals)} attempts came in")
    expect(outcome.service["unnumbered"] == 0, "a request has come in that is no attempt")
    expect(
        outcome.largest_pool <= (LIMITS.concurrency or 0),
        f"{outcome.largest_pool} connections at once in a pool of {LIMITS.concurrency}",
    )
    if plan.seconds >= _LONG_SECONDS:  # in a few seconds chance may leave out some of it
        expect(Fate.NOT_SENT in fates, "no attempt was refused")
        expect(events.tokens > 1, "no token died")
        expect(len(calls.results) > _OPERATIONS, f"only these operations had results: {sorted(calls.results)}")


def _line(window: Window, outcome: Outcome) -> str:
    return (
        f"{window.seconds:7.1f} s  {window.calls:9,} calls  {outcome.events.started:9,} attempts  "
        f"{sum(window.objects.values()):8,} objects  {window.tasks:4} tasks  {window.files:4} files  "
        f"{window.blocks:9,} blocks  "
        f"{window.resident_bytes / 2**20:7.1f} MiB"
    )
