"""What the vendor's official Python client has called; the name of this file sorts behind those of the others."""

from otaclient_iotda.emulator import IotdaEmulator
from vendor_client.official_client import FLEET, served


def test_nothing_was_left_out() -> None:
    """Run last: every operation that the emulator has was called by the vendor's client."""
    routes = {route.kwargs["name"] for route in IotdaEmulator(FLEET).routes() if hasattr(route, "kwargs")}
    assert routes - {"token.get"} <= set(served)
    assert "other" not in served
