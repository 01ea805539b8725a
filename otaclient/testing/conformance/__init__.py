"""The conformance suite: what every backend promises, whichever vendor is behind it. Needs pytest.

A backend states its conformance once, in a test module of its own::

    from otaclient.testing.conformance import BackendConformance


    class TestMyBackend(BackendConformance):
        backend = "mine"

The tests are ``async``: with pytest-asyncio outside its auto mode, mark the class with ``pytest.mark.asyncio``; with
anyio's plug-in, with ``pytest.mark.anyio``.
"""

from otaclient.testing.conformance.bulk import BulkPromises
from otaclient.testing.conformance.client import ClientPromises
from otaclient.testing.conformance.devices import DevicePromises
from otaclient.testing.conformance.records import RecordPromises
from otaclient.testing.conformance.writes import WritePromises

__all__ = ["BackendConformance"]


class BackendConformance(DevicePromises, RecordPromises, ClientPromises, BulkPromises, WritePromises):
    """The whole suite for one backend, which a subclass names.

    See :class:`ServedSuite` for what it may override, and :class:`WritePromises` for what it has to, where it creates
    jobs.
    """
