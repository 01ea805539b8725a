"""A reader in an empty folder, for each journey, and the clouds of ``docs/index.md``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from support.reader import Reader, reading, section

MOST_SECONDS: Final = 300
"""For a journey: it starts many processes, and waits in real time for jobs to end."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Give a journey more time than a test has."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(MOST_SECONDS))


def start(reader: Reader, vendor: str) -> Reader:
    """Start one of the emulators that all pages ask, and paste what it prints."""
    (block,) = (
        block
        for block in section("docs/index.md", "How to read the examples")
        if block.text.startswith(f"otaclient emulator {vendor} ")
    )
    reader.do(block)
    return reader


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody who has the documentation and the installed command, and nothing else."""
    folder = tmp_path / "empty"
    folder.mkdir()
    with reading(folder) as reader:
        yield reader


@pytest.fixture
def enos(reader: Reader) -> Reader:
    """The reader, with an EnOS to write to."""
    return start(reader, "enos")


@pytest.fixture
def iotda(reader: Reader) -> Reader:
    """The reader, with an IoTDA to write to."""
    return start(reader, "iotda")


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of two clouds that are there for all journeys, which only look at them."""
    with reading(tmp_path_factory.mktemp("clouds")) as reader:
        start(start(reader, "enos"), "iotda")
        yield {name: value for name, value in reader.environment.items() if name.startswith("OTACLIENT_")}


@pytest.fixture
def clouds(reader: Reader, standing: dict[str, str]) -> Reader:
    """The reader, with both clouds to look at."""
    reader.environment |= standing
    return reader
