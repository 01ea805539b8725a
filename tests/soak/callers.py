"""What the tasks of a soak do: every operation of the interface, drawn from a seed, over and over."""

import asyncio
import hashlib
import itertools
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import anyio
import attrs

import otaclient
from otaclient.models import Firmware, FirmwareKind, JobId, JobScope, LocalizedText, NewFirmware, NewJob
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from soak.counting import Calls

__all__ = ["CALLERS", "Caller", "Gate", "Known"]

CALLERS: Final = 64
_CANCELLED_SHARE: Final = 0.08
_UPLOAD_BYTES: Final = 200_000
_LARGEST_JOB: Final = 3
_LONGEST_DOWNLOAD_SECONDS: Final = 3.0


class Gate:
    """Lets the callers go on, or collects them where they do nothing."""

    def __init__(self, callers: int) -> None:
        self._callers = callers
        self._waiting = 0
        self._open = asyncio.Event()
        self._open.set()
        self._all_wait = asyncio.Event()
        self.ended = False

    async def passed(self) -> bool:
        """Wait while it is closed; ``False`` for a caller that has to go home."""
        if not self._open.is_set():
            self._waiting += 1
            if self._waiting == self._callers:
                self._all_wait.set()
            await self._open.wait()
            self._waiting -= 1
        return not self.ended

    async def close(self, *, seconds: float) -> bool:
        """Close it, and wait until every caller waits behind it; ``False`` when some have not come by then."""
        self._all_wait.clear()
        self._open.clear()
        with anyio.move_on_after(seconds):
            await self._all_wait.wait()
        return self._all_wait.is_set()

    def open(self, *, for_good: bool = False) -> None:
        """Let the callers go on; ``for_good``: home."""
        self.ended = for_good
        self._open.set()


@attrs.frozen(kw_only=True)
class Known:
    """What the callers know of the fleet beforehand."""

    firmware: tuple[Firmware, ...]
    downloadable: tuple[Firmware, ...]
    job_ids: tuple[str, ...]
    products: tuple[str, ...]
    devices: tuple[str, ...]
    """As jobs name them, of ``products[0]``."""
    device_ids: tuple[str, ...]
    owner_id: str | None
    """For whom a vendor that has to be told creates something."""
    target: Firmware
    """Of ``products[0]``: what jobs bring to its devices."""

    @classmethod
    async def of(cls, backend: Backend, *, files: bool) -> "Known":
        """Look around, in good weather."""
        firmware = await backend.firmware.search(FirmwareQuery(kinds=["firmware"])).first(200)
        jobs = await backend.jobs.search(JobQuery()).first(50)
        plain = [
            found
            for found in firmware
            if found.product_id
            and found.kind is FirmwareKind.FIRMWARE
            and not found.source_versions
            and (found.verification is None or not found.verification.required)
        ]
        target = plain[0]
        devices = await backend.devices.search(DeviceUpgradeQuery(products=[str(target.product_id)])).first(200)
        products = {str(found.product_id): None for found in (target, *plain)}
        return cls(
            firmware=tuple(firmware),
            downloadable=tuple(firmware[:5]) if files else (),
            job_ids=tuple(job.job_id for job in jobs),
            products=tuple(products)[:3],
            devices=tuple(
                str(device.device_key if backend.name == "enos" else device.device_id)
                for device in devices
                if device.firmware_version not in {None, target.version}
            ),
            device_ids=tuple(device.device_id for device in devices),
            owner_id=target.owner_id if backend.name == "iotda" else None,
            target=target,
        )


class Caller:
    """One task that calls and calls.

    Args:
        number: Which one it is.
        gate: Where it waits when it is told to.
        backend: What it calls.
        known: What there is to ask for.
        calls: Where every call is counted.
        rng: What it draws from.
        folder: Where downloads go.
    """

    _numbers = itertools.count(1)

    def __init__(
        self, number: int, gate: Gate, *, backend: Backend, known: Known, calls: Calls, rng: random.Random, folder: Path
    ) -> None:
        self.calling: str | None = None
        """What it waits for; ``None`` between two calls."""
        self._number = number
        self._gate = gate
        self._backend = backend
        self._writer = backend if known.owner_id is None else backend.with_options(owner_id=known.owner_id)
        self._known = known
        self._calls = calls
        self._rng = rng
        self._folder = folder
        has = backend.capabilities
        self._scenarios: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (10, self._read_firmware),
            (10, self._read_job),
            (6, self._list_firmware),
            (6, self._list_jobs),
            (6, self._list_tasks),
            (6, self._list_devices),
            (3, self._fan_out),
            (1.5, self._scan),
            (1, self._leave_a_scan),
            (1.5, self._live_through_a_job),
            (1.5, self._live_through_a_firmware),
            (3, self._other_options),
            (2, self._ask_the_impossible),
        ]
        if Capability.DEVICES_GET in has:
            self._scenarios.append((10, self._read_device))
        if Capability.FIRMWARE_REPORTED_VERSIONS in has:
            self._scenarios.append((4, self._reported_versions))
        if known.downloadable:
            self._scenarios.append((3, self._download))

    async def work(self) -> None:
        """Call until the gate says otherwise."""
        weights, scenarios = zip(*self._scenarios, strict=True)
        while await self._gate.passed():
            (scenario,) = self._rng.choices(scenarios, weights)
            await scenario()

    async def _run(self, operation: str, call: Awaitable[Any]) -> Any:
        """Make a call, which is now and then cancelled somewhere on its way."""
        seconds = self._rng.choice((0.0, 0.002, 0.01, 0.05, 0.3)) if self._rng.random() < _CANCELLED_SHARE else None
        return await self._run_to_its_end(operation, call, seconds=seconds)

    async def _run_to_its_end(self, operation: str, call: Awaitable[Any], *, seconds: float | None = None) -> Any:
        await self._gate.passed()
        self.calling = operation
        result = await self._calls.run(operation, call, seconds=seconds)
        self.calling = None
        return result

    # --- reads -------------------------------------------------------------------------------------------------------

    async def _read_firmware(self) -> None:
        await self._run("firmware.get", self._backend.firmware.get(self._rng.choice(self._known.firmware).firmware_id))

    async def _read_job(self) -> None:
        job_id = self._rng.choice(self._known.job_ids)
        which = self._rng.choice(("get", "progress"))
        call = self._backend.jobs.get(job_id) if which == "get" else self._backend.jobs.progress(job_id)
        await self._run(f"jobs.{which}", call)

    async def _read_device(self) -> None:
        await self._run("devices.get", self._backend.devices.get(self._rng.choice(self._known.device_ids)))

    async def _reported_versions(self) -> None:
        product = self._rng.choice(self._known.products)
        await self._run("firmware.reported_versions", self._backend.firmware.reported_versions(product))

    async def _list_firmware(self) -> None:
        await self._run("firmware.search", self._backend.firmware.search(FirmwareQuery()).first(60))

    async def _list_jobs(self) -> None:
        await self._run("jobs.search", self._backend.jobs.search(JobQuery()).first(60))

    async def _list_tasks(self) -> None:
        query = DeviceTaskQuery(job_id=JobId(self._rng.choice(self._known.job_ids)))
        await self._run("jobs.tasks", self._backend.jobs.tasks(query).first(120))

    async def _list_devices(self) -> None:
        query = DeviceUpgradeQuery(products=[self._rng.choice(self._known.products)])
        await self._run("devices.search", self._backend.devices.search(query).first(150))

    # --- bulk --------------------------------------------------------------------------------------------------------

    async def _fan_out(self) -> None:
        async def fan_out() -> None:
            keys = self._rng.sample(self._known.job_ids, k=min(6, len(self._known.job_ids)))
            async with otaclient.fetch_each(keys, self._backend.jobs.get, concurrency=4) as outcomes:
                async for outcome in outcomes:
                    if outcome.error is not None and self._rng.random() < 0.3:
                        return

        await self._run("fetch_each", fan_out())

    async def _scan(self) -> None:
        async def scan() -> None:
            query = DeviceUpgradeQuery(products=[self._rng.choice(self._known.products)])
            on_error: Any = self._rng.choice(("raise", "collect"))
            async with otaclient.scan([(self._backend, query)], concurrency=4, on_error=on_error) as scanning:
                async for _ in scanning:
                    pass
            assert scanning.certificate.verdict is not None

        await self._run("scan", scan())

    async def _leave_a_scan(self) -> None:
        async def scan() -> None:
            async with otaclient.scan([(self._backend, DeviceUpgradeQuery())], concurrency=8) as scanning:
                async for _ in scanning:
                    if self._rng.random() < 0.01:
                        break

        await self._run("scan, left", scan())

    # --- files -------------------------------------------------------------------------------------------------------

    async def _download(self) -> None:
        destination = self._folder / f"{self._number}.bin"
        firmware = self._rng.choice(self._known.downloadable)
        # A download may take as long as it likes while bytes keep coming, and those of a stalling one do for hours.
        await self._run_to_its_end(
            "firmware.download",
            self._backend.firmware.download(firmware, destination),
            seconds=self._rng.choice((0.01, *4 * (_LONGEST_DOWNLOAD_SECONDS,))),
        )
        destination.unlink(missing_ok=True)

    async def _live_through_a_firmware(self) -> None:
        version = f"S{self._number}.{next(self._numbers)}"
        content: Any = None
        new = NewFirmware(version=version, product_id=self._known.target.product_id)
        if Capability.FIRMWARE_UPLOAD in self._backend.capabilities:
            new = attrs.evolve(new, name=LocalizedText(default=f"soak_{version}"))
            content = hashlib.sha256(version.encode()).digest() * (_UPLOAD_BYTES // 32)
            if self._rng.random() < 0.5:
                content = _in_pieces(content)
        else:
            new = attrs.evolve(new, location=f"obs://bucket/soak/{version}.bin?region=cn-north-4")
        firmware_id = await self._run("firmware.create", self._writer.firmware.create(new, content))
        if firmware_id is not None:
            await self._run_to_its_end("firmware.delete", self._backend.firmware.delete(firmware_id))

    # --- jobs --------------------------------------------------------------------------------------------------------

    async def _live_through_a_job(self) -> None:
        rng, jobs = self._rng, self._writer.jobs
        devices = tuple(rng.sample(self._known.devices, k=_LARGEST_JOB))
        new = NewJob(
            name=LocalizedText(default=f"soak_{self._number}_{next(self._numbers)}"),
            firmware_ids=(self._known.target.firmware_id,),
            scope=JobScope(devices=devices),
        )
        key = None if rng.random() < 0.8 else f"soak/{self._number}/{rng.randrange(10**9)}"
        job_id = await self._run("jobs.create", jobs.create(new, idempotency_key=key))
        if job_id is None:
            return
        if rng.random() < 0.5:
            await self._run("jobs.cancel_tasks", jobs.cancel_tasks(job_id, devices[:1]))
            await self._run("jobs.retry_tasks", jobs.retry_tasks(job_id, devices[:1]))
        await self._run("jobs.watch", self._watch(job_id))
        if rng.random() < 0.5:
            await self._run("jobs.wait", jobs.wait(job_id, timeout_seconds=1.0))
        await self._run_to_its_end("jobs.stop", jobs.stop(job_id))
        if rng.random() < 0.3:
            await self._run_to_its_end("jobs.start", jobs.start(job_id))
            await self._run_to_its_end("jobs.stop", jobs.stop(job_id))
        await self._run_to_its_end("jobs.delete", jobs.delete(job_id))

    async def _watch(self, job_id: str) -> None:
        most = self._rng.randrange(1, 5)
        async with aclosing(self._backend.jobs.watch(job_id, interval_seconds=0.1)) as readings:  # type: ignore[type-var]
            async for _ in readings:
                most -= 1
                if not most:
                    return

    # --- the rest ----------------------------------------------------------------------------------------------------

    async def _other_options(self) -> None:
        options: Any = self._rng.choice(
            ({"timeout_seconds": 0.005}, {"timeout_seconds": 0.5}, {"retry": otaclient.RetryPolicy.none()})
        )
        async with self._backend.with_options(**options) as other:
            await self._run("other options", other.jobs.search(JobQuery()).first(10))

    async def _ask_the_impossible(self) -> None:
        await self._run("no such job", self._backend.jobs.get("0" * 24))


async def _in_pieces(content: bytes) -> Any:
    for first in range(0, len(content), 50_000):
        yield content[first : first + 50_000]
