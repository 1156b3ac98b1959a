"""Reports on paper: one run, or one person over several sessions, as one HTML file or one PDF.

``make_report`` and ``make_progress_report`` give the file's bytes; ``write_report`` keeps both beside the run. They are
imported when they are first asked for, because they bring seaborn, and every command looks in here for its options.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.report.document import KINDS, Document, Kind

if TYPE_CHECKING:
    from pipeline.report.making import make_progress_report, make_report, write_report
    from pipeline.report.sessions import ReportError, Session, read_session

_PLACES = {
    "making": ("make_progress_report", "make_report", "write_report"),
    "sessions": ("ReportError", "Session", "read_session"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "KINDS",
    "Document",
    "Kind",
    "ReportError",
    "Session",
    "make_progress_report",
    "make_report",
    "read_session",
    "write_report",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'pipeline.report' has no attribute {name!r}")
    return getattr(import_module(f"pipeline.report.{_MODULE_OF[name]}"), name)
