"""From runs to report files."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.document import KINDS, Document, Kind
from pipeline.report.html import to_html
from pipeline.report.pdf import to_pdf
from pipeline.report.progress import progress_document, sessions_of
from pipeline.report.run_report import run_document
from pipeline.report.sessions import ReportError, read_session
from pipeline.runs import Run, RunStore, write_atomically


def render(document: Document, kind: Kind) -> bytes:
    """The document as a file. Raises ReportError for any other kind."""
    if kind not in KINDS:
        raise ReportError(f"a report is made as {' or '.join(KINDS)}, not {kind!r}.")
    return to_html(document) if kind == "html" else to_pdf(document)


def make_report(run: Run, kind: Kind = "html", person: int | None = None, note: str = "") -> bytes:
    """The report of a run: summary, faults with their frames, repetitions, curves, falls, score, methods, limits.

    Sets are judged as they were kept in the run; when none was, the movement that is found in it is.

    Args:
        kind: "html" (one file, nothing loaded from elsewhere) or "pdf" (A4).
        person: whose; default is who was analysed before, else who moves most.
        note: a sentence of yours for the top.

    Raises:
        ReportError, RunError: no such person, or the run cannot be read.
    """
    return render(run_document(read_session(run, person), note), kind)


def write_report(run: Run, person: int | None = None, note: str = "", kinds: tuple[Kind, ...] = KINDS) -> list[Path]:
    """``make_report``, kept in the run as ``report.html`` and ``report.pdf``; an earlier one is replaced."""
    document = run_document(read_session(run, person), note)
    paths = []
    for kind in kinds:
        path = run.folder / f"report.{kind}"
        write_atomically(path, render(document, kind))
        paths.append(path)
    return paths


def make_progress_report(store: RunStore, subject: str, kind: Kind = "html") -> bytes:
    """All sessions of one person, oldest first: what changed, with figures.

    Args:
        subject: the name that the runs carry, in any case.

    Raises:
        ReportError: no run of a clip carries this name.
    """
    return render(progress_document(subject, sessions_of(store, subject)), kind)
