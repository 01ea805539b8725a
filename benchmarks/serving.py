"""The page server as a process of its own, on a core of its own."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

__all__ = ["ROOT", "PageServer", "page_server"]

ROOT = Path(__file__).parents[1]


@attrs.frozen(kw_only=True)
class PageServer:
    """Where the pages are."""

    ports: Mapping[int, int]
    """By the delay in milliseconds."""
    enos_devices: int
    iotda_devices: int
    pinned: bool
    """Whether client and server have a core each."""

    def endpoint(self, *, delay_ms: int = 0) -> str:
        """Return the address whose answers come after a delay."""
        return f"http://127.0.0.1:{self.ports[delay_ms]}"

    def requests(self) -> int:
        """Return how many pages were asked for so far, at all addresses."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=30)
        try:
            connection.request("GET", "/requests")
            return int(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def page_server(*, enos_devices: int, iotda_devices: int, delays_ms: Sequence[int]) -> Iterator[PageServer]:
    """Run a page server, and keep this process off its core where there are two or more."""
    command = [sys.executable, "-m", "benchmarks.page_server", str(enos_devices), str(iotda_devices)]
    mine, its = _cores()
    if its is not None:
        os.sched_setaffinity(0, {its})  # inherited by the server, which keeps it
    command += map(str, delays_ms)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT) as process:  # noqa: S603 - our own module
        if mine is not None:
            os.sched_setaffinity(0, {mine})
        try:
            assert process.stdout is not None
            ports = {int(delay): port for delay, port in json.loads(process.stdout.readline()).items()}
            yield PageServer(
                ports=ports, enos_devices=enos_devices, iotda_devices=iotda_devices, pinned=mine is not None
            )
        finally:
            process.terminate()


def _cores() -> tuple[int | None, int | None]:
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None, None
    mine, its, *_ = sorted(os.sched_getaffinity(0))
    return mine, its
