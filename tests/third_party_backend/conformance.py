"""The third party states its conformance; it is installed as a distribution of its own when this runs."""

from otaclient.testing.conformance import BackendConformance


class TestDepot(BackendConformance):
    backend = "depot"
