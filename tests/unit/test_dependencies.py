"""What is installed is what pyproject.toml asks for, and its licences let anybody use it. Needs no network."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME_EXTRAS: Final = ("cli",)
# What may be used in any program, as these licences' texts have it; no copyleft beyond a file.
PERMISSIVE: Final = re.compile(
    r"MIT|Apache|BSD|ISC|PSF|Python Software Foundation|MPL-2\.0|Mozilla Public License 2\.0|0BSD|Unlicense",
    re.IGNORECASE,
)
COPYLEFT: Final = re.compile(r"\bA?GPL|\bLGPL|General Public License|SSPL|Commons Clause", re.IGNORECASE)


def declared(*extras: str) -> list[Requirement]:
    """Return what the project itself asks for."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(text) for texts in lists for text in texts]


def needed(requirements: list[Requirement]) -> Iterator[Distribution]:
    """Yield the distributions behind requirements, and behind theirs in turn, as they are installed here."""
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            pytest.fail(f"{name} is asked for and not installed")
        yield found
        waiting += [Requirement(text) for text in found.requires or ()]


RUNTIME: Final = list(needed(declared(*RUNTIME_EXTRAS)))


def licence_of(found: Distribution) -> str:
    """Return all that a distribution says about its licence."""
    data = found.metadata
    said = [*(data.get_all("License-Expression") or ()), *(data.get_all("License") or ())]
    said += [text for text in data.get_all("Classifier") or () if text.startswith("License ::")]
    return "; ".join(text.splitlines()[0] for text in said if text.strip())


@pytest.mark.parametrize("requirement", declared("cli", "test"), ids=str)
def test_what_is_installed_is_within_its_bounds(requirement: Requirement) -> None:
    """Every direct dependency has a lower bound, and the version that the tests run with is one that it allows."""
    if requirement.name == "otaclient":
        return
    assert any(bound.operator in {">=", "=="} for bound in requirement.specifier), "no lower bound"
    version = distribution(requirement.name).version
    assert requirement.specifier.contains(version, prereleases=True), f"{version} is installed"


@pytest.mark.parametrize("found", RUNTIME, ids=lambda found: found.metadata["Name"])
def test_whoever_uses_the_library_may(found: Distribution) -> None:
    """What comes along at run time has a permissive licence."""
    licence = licence_of(found)
    assert PERMISSIVE.search(licence), licence
    assert not COPYLEFT.search(licence), licence


def test_the_direct_dependencies_are_among_them() -> None:
    """The walk finds what it is to look at."""
    names = {canonicalize_name(found.metadata["Name"]) for found in RUNTIME}
    assert {"aiohttp", "attrs", "cattrs", "msgspec", "rich", "cyclopts", "multidict"} <= names
