"""The watch over event loops: it fails the tests that block one, and leaves alone those that do not."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.loop_watch import LoopWatch

TESTS = Path(__file__).resolve().parents[1]


def compute(seconds: float) -> None:
    """Use the processor for so long, however many others want it."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def watched(body: Callable[[LoopWatch], Any], **options: Any) -> LoopWatch:
    """Return the watch that saw a coroutine."""
    watch = LoopWatch(**options)
    with watch.watching():
        asyncio.run(body(watch))
    return watch


@pytest.mark.blocks_loop("that is what is tested")
def test_a_step_that_computes_for_long_is_named() -> None:
    """Where it stopped is told; the time is the thread's own, so a machine under load changes nothing."""

    async def body(_watch: LoopWatch) -> None:
        compute(0.3)
        await asyncio.sleep(0)

    (block,) = watched(body, longest_step_seconds=0.05).blocks
    assert block.seconds is not None
    assert block.seconds >= 0.3
    assert "body" in block.where
    assert "test_loop_watch.py" in str(block)


@pytest.mark.blocks_loop("that is what is tested")
def test_callbacks_are_steps_too() -> None:
    """What the loop calls by itself counts like a task."""

    async def body(_watch: LoopWatch) -> None:
        asyncio.get_running_loop().call_soon(compute, 0.3)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    (block,) = watched(body, longest_step_seconds=0.05).blocks
    assert "in compute" in block.where


def test_many_short_steps_are_no_long_one() -> None:
    """A task that lets others run in between blocks nobody, however long it takes in all."""

    async def body(_watch: LoopWatch) -> None:
        for _ in range(20):
            compute(0.005)
            await asyncio.sleep(0)

    watch = watched(body, longest_step_seconds=0.05)
    assert not watch.blocks
    assert watch.steps >= 20


def test_waiting_is_not_computing() -> None:
    """A loop that waits, and a thread that computes beside it, are no blocks."""

    async def body(_watch: LoopWatch) -> None:
        await asyncio.gather(asyncio.sleep(0.06), asyncio.to_thread(compute, 0.3))

    assert not watched(body, longest_step_seconds=0.05).blocks


@pytest.mark.blocks_loop("that is what is tested")
def test_calls_that_wait_are_caught_by_name() -> None:
    """A sleep computes nothing, and still blocks; none of no time at all, and none on another thread."""

    async def body(_watch: LoopWatch) -> None:
        time.sleep(0)  # noqa: ASYNC251 - it lets another thread run, no more
        await asyncio.to_thread(time.sleep, 0.001)
        time.sleep(0.001)  # noqa: ASYNC251 - the block

    (block,) = watched(body).blocks
    assert block.what == "time.sleep was called on the event loop's thread"
    assert block.seconds is None
    assert "test_loop_watch.py" in block.where


LIBRARY = """
def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()

async def read_in_step(path):
    return read(path)
"""


def imagined(filename: str) -> dict[str, Any]:
    """Return the functions of a module that a file of the project might hold."""
    names: dict[str, Any] = {}
    exec(compile(LIBRARY, str(TESTS.parent / filename), "exec"), names)  # noqa: S102 - of our own text
    return names


@pytest.mark.blocks_loop("that is what is tested")
def test_coroutines_of_the_library_open_no_files(tmp_path: Path) -> None:
    """However deep below them it happens; in another thread it is right, and a test may read what it likes."""
    path = tmp_path / "file.txt"
    path.write_text("content", encoding="utf-8")
    ours, emulators, commands = map(imagined, ("otaclient/new.py", "otaclient/emulator/new.py", "otaclient/cli/new.py"))

    async def body(_watch: LoopWatch) -> None:
        path.read_text(encoding="utf-8")
        ours["read"](path)
        await asyncio.to_thread(ours["read"], path)
        await emulators["read_in_step"](path)
        await commands["read_in_step"](path)
        await ours["read_in_step"](path)

    (block,) = watched(body).blocks
    assert block.what == f"open {str(path)!r} was called on the event loop's thread"
    assert block.where.startswith("otaclient/new.py:3 in read <- otaclient/new.py:7 in read_in_step")


@pytest.mark.blocks_loop("that is what is tested")
def test_what_is_exempt_is_not_judged() -> None:
    """Neither the calls nor the step itself."""

    async def body(watch: LoopWatch) -> None:
        with watch.exempt():
            time.sleep(0.001)  # noqa: ASYNC251 - exempt
            compute(0.3)

    assert not watched(body, longest_step_seconds=0.05).blocks


BLOCKING = """
import asyncio, time
import pytest

def compute():
    end = time.thread_time() + 0.4
    while time.thread_time() < end:
        pass

@pytest.fixture
async def slow_fixture():
    compute()
    yield

async def test_quick(): await asyncio.sleep(0)
async def test_computes(): compute()
async def test_sleeps(): time.sleep(0.001)
async def test_fixture(slow_fixture): pass
async def test_own_failure(): assert False
stalls = [True]
async def test_that_the_machine_has_stalled(slow_once):
    if stalls: stalls.pop(); compute()
@pytest.fixture
async def slow_once(module_wide):
    module_wide.append("used")
    assert module_wide == ["used"] * (2 - len(stalls))
@pytest.fixture(scope="module")
def module_wide():
    return []
@pytest.mark.blocks_loop("for good reason")
async def test_marked(): compute()
@pytest.mark.blocks_loop
async def test_without_reason(): pass
"""


def test_the_plugin_fails_the_tests_that_block(tmp_path: Path) -> None:
    """In a run of its own: the ones that block fail and say where; quick and marked ones pass."""
    (tmp_path / "test_it.py").write_text(BLOCKING, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "support.loop_plugin"]
    run = subprocess.run(
        [*command, "--strict-markers", "test_it.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    failed = {
        line.split("::")[1].split()[0]
        for line in run.stdout.splitlines()
        if line.startswith(("FAILED test", "ERROR test"))
    }
    assert failed == {"test_computes", "test_sleeps", "test_fixture", "test_own_failure", "test_without_reason"}, (
        run.stdout
    )
    assert "the event loop was blocked:\n  a step of the event loop computed for 4" in run.stdout
    assert "time.sleep was called on the event loop's thread" in run.stdout
    assert "the marker blocks_loop needs a reason" in run.stdout
    assert "3 passed" in run.stdout  # the quick one, the marked one, and the one that blocked just once
