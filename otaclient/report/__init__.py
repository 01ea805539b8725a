"""What a fleet looks like, and what changed in it, as one page for people who do not run this library.

::

    from otaclient import export, report

    made = report.made(export.read("new.parquet"), since=export.read("old.parquet"))
    Path("report.html").write_text(report.page(made), encoding="utf-8")

The steps are apart: :class:`Survey` counts, :class:`Comparison` compares, :func:`page` writes HTML, and none of these
reads or writes a file.
"""

from otaclient.report.comparison import Change, Changes, Comparison
from otaclient.report.listing import Listed
from otaclient.report.making import Report, made
from otaclient.report.page import page
from otaclient.report.source import Source, trust_in
from otaclient.report.survey import Survey
from otaclient.report.version_order import later_of

__all__ = [
    "Change",
    "Changes",
    "Comparison",
    "Listed",
    "Report",
    "Source",
    "Survey",
    "later_of",
    "made",
    "page",
    "trust_in",
]
