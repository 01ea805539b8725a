"""Worker threads are waited for, and so leave nothing behind that a cancelled task has cleaned up."""

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from otaclient.downloads import receiving
from otaclient.files import ContentRules, opened_content
from otaclient.threads import in_thread

RULES = ContentRules(largest_bytes=1000, suffixes=(".bin",), name_of_bytes="x.bin")


class Gate:
    """Holds a thread up."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_through(self) -> None:
        """Say that the thread is here, and wait."""
        self.reached.set()
        assert self.opened.wait(10)

    async def until_reached(self) -> None:
        """Wait for the thread."""
        while not self.reached.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0)

    def before(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: Callable[..., bool]) -> None:
        """Hold up whoever calls something."""
        original = getattr(owner, name)

        def held_up(*arguments: Any, **options: Any) -> Any:
            if when(*arguments):
                self.pass_through()
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, held_up)


def names_in(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return [path.name for path in folder.iterdir()]


async def cancelled_meanwhile(gate: Gate, task: "asyncio.Task[Any]") -> None:
    """Cancel a task whose thread is held up, and only then let the thread go on."""
    await gate.until_reached()
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_what_it_returns_and_raises_comes_through() -> None:
    """As if there were no thread."""
    assert await in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_task_waits_for_its_thread(fails: bool) -> None:
    """However often it is cancelled; what the thread returns or raises concerns nobody any more."""
    gate, done = Gate(), threading.Event()

    def work() -> None:
        gate.pass_through()
        done.set()
        if fails:
            raise OSError("no longer of interest")

    await cancelled_meanwhile(gate, asyncio.create_task(in_thread(work)))
    assert done.is_set()


async def test_a_scope_that_is_cancelled_waits_too() -> None:
    """Time-outs of anyio cancel again and again, and are no reason to leave."""
    gate, done = Gate(), threading.Event()

    def work() -> None:
        gate.pass_through()
        done.set()

    async def release() -> None:
        await gate.until_reached()
        scope.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        gate.opened.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(release)
        with anyio.CancelScope() as scope:
            await in_thread(work)
    assert (scope.cancelled_caught, done.is_set()) == (True, True)


async def test_a_download_that_is_cancelled_while_its_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is gone afterwards."""
    gate = Gate()
    gate.before(monkeypatch, Path, "open", lambda *arguments: "xb" in arguments)

    async def download() -> None:
        async with receiving(tmp_path / "x.bin", expected_bytes=None):
            pass

    await cancelled_meanwhile(gate, asyncio.create_task(download()))
    assert names_in(tmp_path) == []


async def test_a_download_that_is_cancelled_while_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread does not make the file anew after it was removed."""
    gate = Gate()
    gate.before(monkeypatch, Path, "open", lambda *arguments: "ab" in arguments)

    async def download() -> None:
        async with receiving(tmp_path / "x.bin", expected_bytes=None) as part:
            await part.write(b"half of it")

    await cancelled_meanwhile(gate, asyncio.create_task(download()))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("place", ["made", "written"])
async def test_an_upload_that_is_cancelled_while_its_content_is_spooled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The temporary file is gone and closed afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gate = Gate()
    if place == "made":
        gate.before(monkeypatch, tempfile, "mkstemp", lambda *_arguments: True)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        if place == "written":
            asyncio.get_running_loop().call_soon(gate.reached.set)
            await in_thread(gate.pass_through)
        yield b"two"

    async def upload() -> None:
        async with opened_content(pieces(), algorithm="md5", rules=RULES):
            pass

    await cancelled_meanwhile(gate, asyncio.create_task(upload()))
    assert names_in(tmp_path) == []
