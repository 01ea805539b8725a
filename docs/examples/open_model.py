"""An open-model load test: calls come when they are due, however the service fares with earlier ones.

Settings come from the environment or from otaclient.toml, as ever. Against an emulator::

    otaclient emulator enos          # in another terminal: prints what to export
    python open_model.py --rate 50 --seconds 10 --seed 7
"""

import argparse
import asyncio
import gc
import json
import random
from contextlib import ExitStack
from pathlib import Path

import otaclient
from otaclient import DeviceUpgradeQuery, OtaError, load


async def operations(client: otaclient.Backend) -> list[load.Operation]:
    """Return what the test does, over and over: each call chooses by draws of its own, and is one request."""
    jobs = [job.job_id async for job in client.jobs.search()]
    firmware = [each.firmware_id async for each in client.firmware.search()]
    products = sorted({device.product_id for device in await client.devices.search().first(100) if device.product_id})

    async def get_job(draws: random.Random) -> None:
        await client.jobs.get(draws.choice(jobs))

    async def get_firmware(draws: random.Random) -> None:
        await client.firmware.get(draws.choice(firmware))

    async def first_devices(draws: random.Random) -> None:
        await client.devices.search(DeviceUpgradeQuery(products=[draws.choice(products)])).first(1)

    return [
        load.Operation("jobs.get", get_job, weight=6),
        load.Operation("firmware.get", get_firmware, weight=3),
        load.Operation("devices.search", first_devices, weight=1),
    ]


async def main() -> None:
    """Run the test, and print the report; what is known so far, where it is interrupted."""
    options = _options()
    evenly = load.Arrivals.constant if options.even else load.Arrivals.poisson
    async with load.open_bare(options.backend, timeout_seconds=options.timeout) as client:
        with ExitStack() as files:
            results = options.results and files.enter_context(options.results.open("w", buffering=1 << 20))
            test = load.OpenModel(
                await operations(client),
                evenly(rate=options.rate, seconds=options.seconds),
                seed=options.seed,
                max_in_flight=options.max_in_flight,
                on_result=load.write_lines(results) if results else None,
            )
            gc.collect()
            gc.freeze()  # what is there already need not be looked through during the test: each time is a pause
            try:
                await test.run()
            finally:
                gc.unfreeze()
                print(test.report)
                if options.json:
                    options.json.write_text(json.dumps(test.report.as_json()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make calls when they are due, and tell how long they took.")
    parser.add_argument("--backend", default="enos", help="whom to ask: enos (the default), iotda, ...")
    parser.add_argument("--rate", type=float, default=50, help="calls a second (50)")
    parser.add_argument("--seconds", type=float, default=5, help="for how long (5)")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds make equal requests (1)")
    parser.add_argument("--even", action="store_true", help="evenly, and not at random (a Poisson process)")
    parser.add_argument("--max-in-flight", type=int, help="calls due beyond so many do not begin, and are counted")
    parser.add_argument("--timeout", type=float, default=10, help="seconds for a call (10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report, to be merged with others")
    parser.add_argument("--results", type=Path, metavar="FILE", help="also write each call, as a line of JSON")
    options = parser.parse_args()
    for file in (options.json, options.results):
        try:
            if file is not None:
                file.open("a").close()  # before the test, and not only after it
        except OSError as error:
            parser.error(f"{file} cannot be written: {error.strerror}")
    return options


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except OtaError as error:
        raise SystemExit(f"error: {error}") from None
