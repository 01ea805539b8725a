"""Checks an installed wheel: packages, type markers, every entry point. Run it outside the checkout."""

import importlib
import sys
from importlib.metadata import entry_points
from importlib.resources import files

CORE = ("otaclient.export", "otaclient.observability", "otaclient.report", "otaclient.session_backend")
PACKAGES = ("otaclient", "otaclient_enos", "otaclient_iotda")
VENDORS = ["enos", "iotda"]


def check_core() -> None:
    """Import the packages and load the entry points of both groups."""
    for name in PACKAGES:
        module = importlib.import_module(name)
        if not files(name).joinpath("py.typed").is_file():
            sys.exit(f"{name}: no py.typed in the wheel")
        print(f"{name}: {module.__file__}")
    for name in CORE:
        importlib.import_module(name)
    for group in ("otaclient.backends", "otaclient.emulators"):
        found = sorted(entry_points(group=group), key=lambda point: point.name)
        if [point.name for point in found] != VENDORS:
            sys.exit(f"{group}: expected {VENDORS}, found {[point.name for point in found]}")
        for point in found:
            print(f"{group}: {point.name} -> {point.load()!r}")


def check_command() -> None:
    """The command line imports once its extra is installed."""
    print(f"otaclient.cli.main -> {importlib.import_module('otaclient.cli').main!r}")


if __name__ == "__main__":
    {"core": check_core, "cli": check_command}[sys.argv[1]]()
