"""What the checks start from: an emulator, and a client of the vendor's.

A plain pytest run loads this file without having that client, so it is imported where it is wanted.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vendor_client.official_client import Running


@pytest.fixture
def service() -> "Iterator[Running]":
    """An emulator that takes both signatures."""
    from vendor_client.official_client import running

    with running() as started:
        yield started


@pytest.fixture(params=["plain", "derived"])
def service_and_client(request: pytest.FixtureRequest) -> "Iterator[tuple[Running, Any]]":
    """A shared endpoint with a client that signs plainly; a dedicated one with a client that derives its key."""
    from vendor_client.official_client import running

    derived = request.param == "derived"
    with running(edition="standard" if derived else "basic") as started:
        yield started, started.client(derived=derived)
