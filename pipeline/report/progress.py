"""One person over several sessions: the same movement, measured again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import seaborn as sns
from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline.movements.analyze import movement_named
from pipeline.movements.base import Metric, MovementReport
from pipeline.movements.evidence import amount, reading
from pipeline.movements.figures import COLORS, VERDICT_COLORS, limits_of, main_metric
from pipeline.report.document import Block, Bullets, Cell, Document, Numbers, Paragraph, Section, Table
from pipeline.report.pictures import figure_picture
from pipeline.report.run_report import LIMITS, VIEWS, footer, short_label
from pipeline.report.sessions import ReportError, Session, read_session
from pipeline.runs import RunStore

_CLEAR = 2.0  # standard errors of the difference: 95 % for normal errors


@dataclass(frozen=True, eq=False)
class Visit:
    """One set of one session, in numbers; NaN where they are not known.

    Attributes:
        session, report: the run and its set.
        depth, depth_sd, depth_error: mean of the main measure, its spread over the repetitions, and the standard error
            of that mean (spread and measurement together).
        tempo_s, tempo_sd_s: a repetition's time.
        good: share of the complete repetitions without a fault; NaN without rules.
        score: the stored exercise score (0 best, 4 worst).
    """

    session: Session
    report: MovementReport
    depth: float
    depth_sd: float
    depth_error: float
    tempo_s: float
    tempo_sd_s: float
    good: float
    score: float

    @property
    def day(self) -> date:
        """When it took place."""
        return self.session.day


def sessions_of(store: RunStore, subject: str) -> list[Session]:
    """The sessions of a person, oldest first; runs that cannot be read and pictures are left out.

    Raises:
        ReportError: nobody of this name; the message lists the names there are.
    """
    wanted = " ".join(subject.split()).casefold()
    names: set[str] = set()
    found: list[Session] = []
    for run in store.runs():
        try:
            manifest = run.manifest
            name = " ".join(manifest.subject.split())
            names |= {name} if name else set()
            if wanted and name.casefold() == wanted and manifest.source.get("kind") != "image":
                found.append(read_session(run))
        except ValueError:
            continue
    if not found:
        known = ", ".join(sorted(names, key=str.casefold)[:12]) or "nobody yet; Outputs gives a run its subject"
        raise ReportError(f"No clip of {subject!r} is in {store.folder}; there is: {known}.")
    return sorted(found, key=lambda session: (session.day, session.manifest.created_utc))


def visit_of(session: Session, report: MovementReport) -> Visit:
    """The numbers of a set; only complete repetitions count."""
    whole = [repetition for repetition in report.repetitions if repetition.complete]
    metric = main_metric(movement_named(report.movement))
    readings = [found for r in whole if metric is not None and (found := reading(r, metric.name)) is not None]
    values = np.array([found.value for found in readings])
    errors = np.array([found.error for found in readings])
    tempo = np.array([r.end_s - r.start_s for r in whole])
    stored = [result.get("score") for name, result in session.results.items() if name.startswith("scor")]
    scores = [float(score) for score in stored if isinstance(score, int | float)]
    good = sum(r.verdict == "good" for r in whole)
    return Visit(
        session,
        report,
        _mean(values),
        _spread(values),
        math.hypot(_spread(values) / math.sqrt(max(len(values), 1)), _mean(errors)) if len(values) else math.nan,
        _mean(tempo),
        _spread(tempo),
        good / len(whole) if whole and report.has_rules else math.nan,
        scores[-1] if scores else math.nan,
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0 if len(values) else math.nan


def progress_document(subject: str, sessions: Sequence[Session]) -> Document:
    """The report of a person's sessions, oldest first.

    Args:
        subject: as it is to be printed.
        sessions: from ``sessions_of``.
    """
    name = next((s.manifest.subject for s in sessions if s.manifest.subject), subject)
    by_movement: dict[str, list[Visit]] = {}
    for session in sessions:
        for report in session.sets:
            by_movement.setdefault(report.movement, []).append(visit_of(session, report))
    order = sorted(by_movement.values(), key=lambda visits: -len(visits))
    sections = [section for visits in order for section in _movement_sections(visits)]
    without = [session for session in sessions if not session.sets]
    if without:
        days = ", ".join(f"{session.day:%d %b %Y}" for session in without)
        sections.append(Section("Sessions without a set", (Paragraph(f"No repeated movement was found on: {days}."),)))
    sections.append(Section("What this report cannot say", (Bullets((*LIMITS[1:2], *LIMITS[3:])),)))
    first, last = sessions[0].day, sessions[-1].day
    when = f"{first:%d %B %Y}" if first == last else f"{first:%d %B %Y} to {last:%d %B %Y}"
    facts = (
        ("Person", name),
        ("Sessions", str(len(sessions))),
        ("From", f"{first:%d %B %Y}"),
        ("To", f"{last:%d %B %Y}"),
        ("Movements", ", ".join(visits[0].report.movement_label for visits in order) or "none found"),
    )
    return Document("Progress report", f"{name}, {when}", facts, tuple(sections), footer(f"{len(sessions)} sessions"))


def _movement_sections(visits: list[Visit]) -> list[Section]:
    report = visits[0].report
    label = f"{report.movement_label[:1].upper()}{report.movement_label[1:]}"
    metric = main_metric(movement_named(report.movement))
    blocks: list[Block] = []
    if len(visits) > 1:
        blocks += _change(visits, metric)
        blocks.append(
            figure_picture(
                progress_figure(visits, metric),
                f"{label} over the sessions",
                "Points: session means; bars: standard deviation over the repetitions; dashed: the limit used.",
            )
        )
    else:
        blocks.append(Paragraph("One session so far; the next one shows the change.", "note"))
    blocks.append(_table(visits, metric))
    return [Section(label, tuple(blocks))]


def _change(visits: list[Visit], metric: Metric | None) -> list[Block]:
    """First against last session, in numbers and in words."""
    first, last = visits[0], visits[-1]
    numbers: list[tuple[str, str]] = [(str(sum(v.report.complete for v in visits)), "complete repetitions in all")]
    sentences: list[str] = []
    if metric is not None and math.isfinite(first.depth) and math.isfinite(last.depth):
        difference = last.depth - first.depth
        error = math.hypot(first.depth_error, last.depth_error)
        numbers.append((_signed(difference, metric.unit), f"{short_label(metric).lower()}, first to last"))
        clear = abs(difference) > _CLEAR * error
        size = f"(difference {_signed(difference, metric.unit)}, standard error {amount(error, metric.unit)})"
        sentences.append(
            f"{short_label(metric)}: {amount(first.depth, metric.unit)} in the first session, "
            f"{amount(last.depth, metric.unit)} in the last. "
            + (f"That is more than the measurement could produce by chance {size}." if clear else
               f"That is within what the measurement can produce by chance {size}: no clear change.")
        )  # fmt: skip
    if math.isfinite(first.good) and math.isfinite(last.good):
        numbers.append((f"{first.good:.0%} → {last.good:.0%}", "repetitions without a fault"))
    if math.isfinite(first.tempo_s) and math.isfinite(last.tempo_s):
        sentences.append(
            f"A repetition took {first.tempo_s:.1f} s in the first session and {last.tempo_s:.1f} s in the last."
        )
    gone, new = _faults(first) - _faults(last), _faults(last) - _faults(first)
    if gone:
        sentences.append(f"No longer seen: {', '.join(sorted(gone))}.")
    if new:
        sentences.append(f"New in the last session: {', '.join(sorted(new))}.")
    if math.isfinite(first.score) and math.isfinite(last.score):
        sentences.append(f"Exercise score (0 is perfect, 4 the worst): {first.score:.1f} and {last.score:.1f}.")
    blocks: list[Block] = [Numbers(tuple(numbers)), Bullets(tuple(sentences))]
    if len({visit.report.view for visit in visits}) > 1:
        views = ", ".join(dict.fromkeys(VIEWS.get(v.report.view, v.report.view) for v in visits))
        blocks.append(
            Paragraph(
                f"The sessions were filmed from different sides ({views}), so faults seen and not seen are no fair "
                "comparison. Film from the same place each time.",
                "fault",
            )
        )
    return blocks


def _faults(visit: Visit) -> set[str]:
    return {remark.label for remark in visit.report.remarks}


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value >= 0 else '−'}{amount(abs(value), unit)}"


def _table(visits: list[Visit], metric: Metric | None) -> Table:
    unit = metric.unit if metric else ""
    columns: list[tuple[str, float, Callable[[Visit], str]]] = [
        ("Date", 16.0, lambda v: f"{v.day:%d %b %Y}"),
        ("Filmed from", 14.0, lambda v: VIEWS.get(v.report.view, v.report.view)),
        ("Complete", 11.0, lambda v: str(v.report.complete)),
    ]
    if any(math.isfinite(v.good) for v in visits):
        columns.append(("No fault", 11.0, lambda v: f"{v.good:.0%}" if math.isfinite(v.good) else "–"))
    if metric is not None:
        columns.append((short_label(metric), 17.0, lambda v: _spread_text(v.depth, v.depth_sd, unit)))
    columns.append(("Time of a repetition", 17.0, lambda v: _spread_text(v.tempo_s, v.tempo_sd_s, "s")))
    if any(math.isfinite(v.score) for v in visits):
        columns.append(("Score", 9.0, lambda v: f"{v.score:.1f}" if math.isfinite(v.score) else "–"))
    columns.append(("Faults seen", 30.0, lambda v: ", ".join(sorted(_faults(v))) or "none"))
    rows = tuple(tuple(Cell(write(visit)) for _, _, write in columns) for visit in visits)
    return Table(
        tuple(head for head, _, _ in columns), rows, tuple(width for _, width, _ in columns),
        f"{f'{short_label(metric)}: {metric.label}. ' if metric else ''}"
        "Mean ± standard deviation over the complete repetitions.",
    )  # fmt: skip


def _spread_text(mean: float, spread: float, unit: str) -> str:
    if not math.isfinite(mean):
        return "–"
    return f"{mean:.1f} ± {spread:.1f} s" if unit == "s" else f"{amount(mean, unit)} ± {amount(spread, unit)}"


def progress_figure(visits: Sequence[Visit], metric: Metric | None) -> Figure:
    """The main measure, the share of good repetitions and the tempo over the sessions, side by side (seaborn)."""
    labels = _labels([visit.day for visit in visits])
    places = np.arange(len(visits))
    panels: list[tuple[str, list[float], list[float], list[float]]] = []
    if metric is not None and any(math.isfinite(v.depth) for v in visits):
        title = f"{short_label(metric)} ({metric.unit})" if metric.unit else short_label(metric)
        limits = limits_of(visits[-1].report, metric)
        panels.append((title, [v.depth for v in visits], [v.depth_sd for v in visits], limits))
    if any(math.isfinite(v.good) for v in visits):
        panels.append(("Without a fault (%)", [100 * v.good for v in visits], [], []))
    panels.append(("Time of a repetition (s)", [v.tempo_s for v in visits], [v.tempo_sd_s for v in visits], []))
    figure = Figure(figsize=(3.1 * len(panels) + 0.4, 2.9), layout="constrained")
    with rc_context({**sns.axes_style("whitegrid"), **sns.plotting_context("paper", font_scale=1.05)}):
        axes = np.ravel(figure.subplots(1, len(panels)))
    for number, (panel, (title, means, spreads, limits)) in enumerate(zip(axes, panels, strict=True)):
        sns.lineplot(x=places, y=means, ax=panel, color=COLORS[number], marker="o", errorbar=None, estimator=None)
        if spreads:
            panel.errorbar(places, means, yerr=np.nan_to_num(spreads), fmt="none", color=COLORS[number], capsize=3)
        for limit in limits:
            panel.axhline(limit, color=VERDICT_COLORS["faults"], linestyle="--", linewidth=1)
        panel.set(title=title, xlabel="", ylabel="")
        panel.set_xticks(places, labels, rotation=30, ha="right")
        panel.margins(x=0.15, y=0.2)
        if title.startswith("Without"):
            panel.set_ylim(-5, 105)
    sns.despine(figure)
    return figure


def _labels(days: list[date]) -> list[str]:
    """Dates, numbered where a day has several sessions."""
    labels = []
    for number, day in enumerate(days):
        same = days[:number].count(day)
        text = f"{day:%d %b}" if len({d.year for d in days}) == 1 else f"{day:%d %b %y}"
        labels.append(f"{text} ({same + 1})" if days.count(day) > 1 else text)
    return labels
