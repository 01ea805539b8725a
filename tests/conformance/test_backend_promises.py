"""Both vendors state their conformance; the suite is the public one."""

from otaclient.testing.conformance import BackendConformance


class TestEnos(BackendConformance):
    backend = "enos"


class TestIotda(BackendConformance):
    backend = "iotda"
