"""Fails every test in which an event loop is blocked; ``tests/conftest.py`` turns it on for the whole suite.

A test that blocks is run once more before it fails: what blocks does so every time, but a virtual machine whose
processor is taken away in the middle of a step counts that time as the step's.

Where a test blocks by design, say why: ``@pytest.mark.blocks_loop("generates a fleet of a million inside")``.
"""

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from support.loop_watch import LONGEST_STEP_SECONDS, LoopWatch

_MARKER: Final = "blocks_loop"
_WATCH: Final = pytest.StashKey[LoopWatch]()
_HAS_BLOCKED: Final = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Watch from now on."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(reason): the test may block an event loop (more than {LONGEST_STEP_SECONDS * 1000:.0f} ms of CPU "
        "time in a step, or a call that waits), for the reason that it gives",
    )
    stack = ExitStack()
    config.stash[_WATCH] = stack.enter_context(LoopWatch().watching())
    config.add_cleanup(stack.close)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test, and once more when it has blocked a loop."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if item.stash.get(_HAS_BLOCKED, False):
        again: Any = item
        again._initrequest()  # new fixtures
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge the fixtures."""
    return (yield from _judged(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge the test."""
    return (yield from _judged(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge what the fixtures do afterwards."""
    return (yield from _judged(item))


def _judged(item: pytest.Item) -> Generator[None, Any, Any]:
    watch = item.config.stash[_WATCH]
    watch.blocks.clear()
    result = yield
    marker = item.get_closest_marker(_MARKER)
    if marker is not None and not (marker.args and isinstance(marker.args[0], str) and marker.args[0]):
        pytest.fail(f"the marker {_MARKER} needs a reason, as its first argument", pytrace=False)
    if watch.blocks and marker is None:
        item.stash[_HAS_BLOCKED] = True
        listed = "\n".join(f"  {block}" for block in watch.blocks)
        pytest.fail(f"the event loop was blocked:\n{listed}", pytrace=False)
    return result
