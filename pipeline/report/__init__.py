"""Reports on paper: one run, or one person over several sessions, as one HTML file or one PDF.

``make_report`` and ``make_progress_report`` give the file's bytes; ``write_report`` keeps both beside the run.
"""

from pipeline.report.document import Document
from pipeline.report.making import KINDS, make_progress_report, make_report, write_report
from pipeline.report.sessions import ReportError, Session, read_session

__all__ = [
    "KINDS",
    "Document",
    "ReportError",
    "Session",
    "make_progress_report",
    "make_report",
    "read_session",
    "write_report",
]
