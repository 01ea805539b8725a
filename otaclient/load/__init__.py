"""Load tests: a client that hides nothing, and calls that come when they are due.

::

    from otaclient import load

    async with load.open_bare("enos") as enos:
        ids = [job.job_id async for job in enos.jobs.search()]
        test = load.OpenModel(
            [load.Operation("jobs.get", lambda draws: enos.jobs.get(draws.choice(ids)))],
            load.Arrivals.poisson(rate=200, seconds=30),
            seed=7,
        )
        print(await test.run())
"""

from otaclient.histogram import RELATIVE_ERROR, Histogram
from otaclient.load.arrivals import Arrivals, Step
from otaclient.load.bare import bare_session, open_bare
from otaclient.load.open_model import Call, OpenModel, Operation
from otaclient.load.report import TOLERATED_LAG_SECONDS, Failures, OperationReport, Report
from otaclient.load.results import CallResult, write_lines
from otaclient.load.watching import Watched, watched

__all__ = [
    "RELATIVE_ERROR",
    "TOLERATED_LAG_SECONDS",
    "Arrivals",
    "Call",
    "CallResult",
    "Failures",
    "Histogram",
    "OpenModel",
    "Operation",
    "OperationReport",
    "Report",
    "Step",
    "Watched",
    "bare_session",
    "open_bare",
    "watched",
    "write_lines",
]
