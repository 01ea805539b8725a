"""What every test shares: the hypothesis profile, the watch over event loops, and a mend for aioresponses."""

import inspect
import os
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import core as aioresponses_core
from hypothesis import settings

pytest_plugins = ["otaclient.testing.pytest_plugin", "support.loop_plugin"]

# Shared machines stall now and then: an example that takes long is no failure.
settings.register_profile("ci", deadline=None, print_blob=True)
settings.register_profile("few", parent=settings.get_profile("ci"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class _ResponseWithStreamWriter(aiohttp.ClientResponse):
    """Supplies the constructor argument of aiohttp 3.14 that aioresponses 0.7.9 does not know."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.fixture(scope="session", autouse=True)
def aioresponses_with_current_aiohttp() -> Iterator[None]:
    """Patch aioresponses for the whole run, only where aiohttp asks for the argument."""
    needed = "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters
    with pytest.MonkeyPatch.context() as patch:
        if needed:
            patch.setattr(aioresponses_core, "ClientResponse", _ResponseWithStreamWriter)
        yield


@pytest.fixture(scope="session", autouse=True)
def backends_are_imported() -> None:
    """Import the backends before any event loop runs: done in the first client's step, that would block it."""
    for group in ("otaclient.backends", "otaclient.emulators"):
        for found in entry_points(group=group):
            found.load()
