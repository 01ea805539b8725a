"""Locust drives the client: its users wait outside, and its statistics get the service time of each request.

Locust runs on gevent, the client on asyncio: one event loop runs in a greenlet, and all users share one client on it.

    pip install 'otaclient[load]'
    otaclient emulator enos          # in another terminal: prints what to export
    locust -f locustfile.py --headless --users 20 --spawn-rate 20 --run-time 30s

OTACLIENT_LOAD_BACKEND says whom to ask (enos), OTACLIENT_LOAD_SEED what the users draw from (1).
"""

import asyncio
import itertools
import os
import random
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import gevent
from locust import User, constant_throughput, events, task

import otaclient
from otaclient import OtaError, load

BACKEND = os.environ.get("OTACLIENT_LOAD_BACKEND", "enos")
SEED = int(os.environ.get("OTACLIENT_LOAD_SEED", "1"))

gevent.get_hub().loop.update_now()  # or the time that the imports took would be missing from --run-time


class Bridge:
    """One event loop in a greenlet, and the client that lives on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._open = AsyncExitStack()
        self._greenlet = gevent.spawn(self.loop.run_forever)
        self.client, self.job_ids = self.run(self._prepared())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Carry a coroutine out on the loop, while other greenlets go on."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Close the client and the loop."""
        self.run(self._open.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._greenlet.join()
        self.loop.close()

    async def _prepared(self) -> tuple[otaclient.Backend, list[otaclient.JobId]]:
        client = await self._open.enter_async_context(load.open_bare(BACKEND, timeout_seconds=10))
        return client, [job.job_id async for job in client.jobs.search()]


class FleetUser(User):
    """Asks for a job once a second, if the answers allow it."""

    wait_time = constant_throughput(1)
    bridge: Bridge | None = None
    numbers = itertools.count()

    def on_start(self) -> None:
        """Begin with draws of one's own, so that equal seeds ask for equal things."""
        self.draws = random.Random(f"{SEED} {next(self.numbers)}")

    @task
    def get_job(self) -> None:
        """Ask for one of the jobs."""
        bridge = self.bridge
        assert bridge is not None
        self.report(bridge.run(_watched(bridge.client.jobs.get(self.draws.choice(bridge.job_ids)))))

    def report(self, seen: load.Watched) -> None:
        """Report each request of a call: without the wait for the loop, which is Locust's own."""
        for attempt in (*seen.token_attempts, *seen.attempts):
            self.environment.events.request.fire(
                request_type=attempt.backend,
                name=attempt.operation,
                response_time=attempt.seconds * 1000,
                response_length=attempt.response_bytes,
                exception=None if attempt.error is None else RuntimeError(f"{attempt.error} {attempt.status or ''}"),
                context={},
            )


async def _watched(coroutine: Coroutine[Any, Any, Any]) -> load.Watched:
    with load.watched() as seen:
        try:
            await coroutine
        except OtaError:
            if not seen.requests:  # nothing was sent: a mistake of the test, which the statistics would not show
                raise
    return seen


@events.test_start.add_listener
def _open(**_: Any) -> None:
    try:
        FleetUser.bridge = Bridge()
    except OtaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)  # at once: a runner that is told to quit here would go on until --run-time, or for ever


@events.test_stop.add_listener
def _close(**_: Any) -> None:
    if FleetUser.bridge is not None:
        FleetUser.bridge.close()
