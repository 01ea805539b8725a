"""The test kit: emulated vendors for the tests of applications, and the conformance suite for backends.

For applications there are pytest fixtures (:mod:`otaclient.testing.pytest_plugin`), and :func:`serve` where there is no
pytest. For backends there is :class:`otaclient.testing.conformance.BackendConformance`, which needs pytest.
"""

from otaclient.testing.clock import HandClock
from otaclient.testing.service import EmulatedVendor, Service, emulator_of, serve

__all__ = ["EmulatedVendor", "HandClock", "Service", "emulator_of", "serve"]
