"""A scan of a large IoTDA fleet in ranges of registration time, over HTTP: each device once, at the price planned."""

import random
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio.to_thread
import pytest

import otaclient
from otaclient import Backend, DeviceUpgradeQuery, Limits, Verdict
from otaclient.cli import main
from otaclient.emulator import Fleet
from otaclient_iotda.emulator import IotdaEmulator

pytestmark = pytest.mark.blocks_loop("generates fleets of 20,000 devices, and compares with them, inside the loop")

DEVICES = 20_000
LEAST_REQUESTS = DEVICES // 50
CONCURRENCY = 32


def fleet(kind: str) -> Fleet:
    """Return a fleet whose devices registered evenly over the years, or 70 % of them in 20 bursts of an hour."""
    made = Fleet.generate(devices=DEVICES, seed=11)
    if kind == "bursts":
        rng = random.Random(11)
        seconds = made.devices.registered_at_s
        begins = [rng.randrange(seconds[0], seconds[-1] - 3600) for _ in range(20)]
        found: set[int] = set()
        while len(found) < DEVICES:
            burst = rng.random() < 0.7
            found.add(rng.choice(begins) + rng.randrange(3600) if burst else rng.randrange(seconds[0], seconds[-1]))
        made.devices.registered_at_s = array("I", sorted(found))
    return made


@asynccontextmanager
async def serving(kind: str, **options: Any) -> AsyncIterator[tuple[IotdaEmulator, Backend]]:
    """Serve a fleet, and open a client that may have as many requests in flight as a scan has."""
    async with IotdaEmulator(fleet(kind), **options) as emulator:
        limits = Limits(concurrency=CONCURRENCY)
        async with otaclient.open_backend("iotda", config=emulator.config(), limits=limits) as backend:
            yield emulator, backend


@pytest.mark.parametrize(
    ("kind", "certify", "inclusive"),
    [("even", True, True), ("even", False, True), ("bursts", True, True), ("bursts", True, False)],
)
async def test_a_large_fleet_is_read_in_ranges(kind: str, certify: bool, inclusive: bool) -> None:
    """Certified, every device once and as the vendor has it, with at most 12 % more requests than there are pages."""
    async with serving(kind, time_bounds_inclusive=inclusive) as (emulator, backend):
        targets = [(backend, DeviceUpgradeQuery())]
        async with otaclient.scan(targets, concurrency=CONCURRENCY, certify=certify) as scan:
            found = [device async for device in scan]
        expected = list(emulator.expected_devices("iotda"))
    assert len(found) == len(expected)
    assert {device.device_id: device for device in found} == {device.device_id: device for device in expected}
    certificate = scan.certificate
    assert certificate.verdict is (Verdict.CERTIFIED if certify else Verdict.UNPROVED)
    assert certificate.repairs == 0
    assert certificate.requests <= 1.12 * LEAST_REQUESTS
    assert certificate.requests == emulator.served["devices.search"]


async def test_the_querys_own_ends_hold_in_every_range() -> None:
    """Devices that registered outside of what the query asks for do not come with the ranges."""
    async with serving("even") as (emulator, backend):
        seconds = emulator.fleet.devices.registered_at_s
        first, last = seconds[DEVICES // 8], seconds[-DEVICES // 8]
        query = DeviceUpgradeQuery(
            registered_after=datetime.fromtimestamp(first, UTC) + timedelta(seconds=1),
            registered_before=datetime.fromtimestamp(last, UTC),
        )
        async with otaclient.scan([(backend, query)], concurrency=CONCURRENCY) as scan:
            found = {device.device_id async for device in scan}
        rows = [device.device_id for device in emulator.expected_devices("iotda")]
    # The listing is newest first; the emulator counts the ends in.
    assert found == set(rows[DEVICES // 8 - 1 : -DEVICES // 8 - 1])
    assert scan.certificate.verdict is Verdict.CERTIFIED


async def test_the_terminal_explains_and_asks(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Any) -> None:
    """``--explain`` sends nothing; with ``--probe`` one request says how many there are, and what they take."""
    monkeypatch.chdir(tmp_path)
    async with IotdaEmulator(fleet("even")) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        words = ("devices", "scan", "--backend", "iotda", "--concurrency", "32", "--explain")
        assert await anyio.to_thread.run_sync(main, words) == 0
        plan = capsys.readouterr().out
        assert sum(emulator.served.values()) == 0
        assert await anyio.to_thread.run_sync(main, [*words, "--probe"]) == 0
        assert emulator.served["devices.search"] == 1
        told = capsys.readouterr().out
        assert await anyio.to_thread.run_sync(main, [*words[:-1], "--probe"]) == 2
        assert "--probe only says more about a plan: add --explain" in capsys.readouterr().err
    assert "ranges: a walk of 10,000 rows or more is split by registration time into up to 6" in plan
    assert "for 100,000 rows in a walk" in plan
    assert told.endswith("in all: about 429 requests for 20,000 rows (without the proof 401)\n")
