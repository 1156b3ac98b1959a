"""The report of one run, for the person who moved and whoever treats or trains them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.movements.analyze import movement_named
from pipeline.movements.base import Metric, MovementReport, Remark, RepetitionReport
from pipeline.movements.evidence import amount, limit_words, reading
from pipeline.movements.figures import (
    comparison_figure,
    curve_label,
    curves_figure,
    main_metric,
    mean_and_spread,
    repetitions_figure,
    symmetry,
)
from pipeline.report.document import (
    Block,
    Bullets,
    Cell,
    Document,
    Finding,
    Numbers,
    Paragraph,
    Section,
    Table,
    Tone,
    cells,
)
from pipeline.report.pictures import MOST_THUMBNAILS, figure_picture, moment_picture
from pipeline.report.sessions import Session
from pipeline.report.stored import FALLS, stored_sections

VIEWS = {"front": "the front", "back": "behind", "side": "the side", "oblique": "an angle", "space": "points in space"}
LIMITS = (
    "One camera sees the body from one side: what this view cannot show was not judged, and is listed above.",
    "Angles are measured between key points that a computer model finds in each picture. Each carries a standard "
    "error; loose clothes, poor light and covered joints make it larger. Small differences mean nothing.",
    "The limits are general ones for healthy adults and are named with their sources below. They do not know this "
    "person's history, pain or goals.",
    "This report supports the talk between a person and their therapist or trainer. It is no diagnosis, and Kinoscope "
    "is no medical device.",
)


def run_document(session: Session, note: str = "") -> Document:
    """The report of a run.

    Args:
        note: a sentence of whoever hands it out, printed at the top.
    """
    sections: list[Section] = []
    if note.strip():
        sections.append(Section("Note", (Paragraph(note.strip()),)))
    stored = stored_sections(session.results, None if session.person is None else session.person.person)
    sections += [section for section in stored if section.title == FALLS]  # nobody should have to look for these
    if not session.sets:
        sections.append(Section("Repeated movement", _nothing(session)))
    for report in session.sets:
        sections += set_sections(session, report, several=len(session.sets) > 1)
    sections += [section for section in stored if section.title != FALLS]
    sections.append(Section("What this report cannot say", (Bullets(LIMITS),)))
    sections.append(Section("How it was measured", _methods(session)))
    title = "Movement report"
    if session.sets:
        title = f"Movement report: {session.sets[0].movement_label}"
    return Document(title, _subtitle(session), _facts(session), tuple(sections), footer(session.run.id))


def footer(run: str) -> str:
    """Where the report comes from, in one line."""
    return f"Kinoscope {__version__} · {run} · report made {datetime.now(UTC):%d %B %Y}"


def _subtitle(session: Session) -> str:
    return f"{session.manifest.subject or 'Person not named'}, {session.day:%d %B %Y}"


def _facts(session: Session) -> tuple[tuple[str, str], ...]:
    manifest = session.manifest
    facts = [
        ("Person", manifest.subject or "not named"),
        ("Date", f"{session.day:%d %B %Y}"),
        ("Clip", str(manifest.source.get("name") or manifest.id)[:60]),
    ]
    if manifest.frames > 1:
        facts.append(("Length", f"{manifest.duration_s:.1f} s"))
    if session.sets and session.sets[0].view_confidence > 0:
        facts.append(("Filmed from", VIEWS.get(session.sets[0].view, session.sets[0].view)))
    if len(manifest.people) > 1 and session.person is not None:
        facts.append(("Person in the clip", f"number {session.person.person} of {len(manifest.people)}"))
    words = [tag for tag in manifest.tags if not _is_day(tag)]
    if words:
        facts.append(("Tags", ", ".join(words)))
    return tuple(facts)


def _is_day(tag: str) -> bool:
    try:
        datetime.fromisoformat(tag.strip())
    except ValueError:
        return False
    return True


def _nothing(session: Session) -> tuple[Block, ...]:
    if session.person is None:
        return (Paragraph("Nobody was found in this clip.", "fault"),)
    if len(session.recording) < 2:
        return (Paragraph("This run is a single picture: there is no movement to report."),)
    return (
        Paragraph("No repeated movement was found in this clip."),
        Paragraph("Film with the whole body in view, from before the first repetition to after the last.", "note"),
    )


def set_sections(session: Session, report: MovementReport, *, several: bool) -> list[Section]:
    """Everything about one set."""
    name = f": {report.movement_label}" if several else ""
    sections = [Section(f"At a glance{name}", _glance(report))]
    if report.remarks:
        sections.append(Section(f"What to work on{name}", _faults(session, report)))
    if report.repetitions:
        sections.append(Section(f"Every repetition{name}", (_repetitions(session, report),)))
    if report.curves and np.isfinite(np.concatenate([v.ravel() for v in report.curves.values()])).any():
        sections.append(Section(f"Curves{name}", _curves(report)))
    if report.refusals:
        sections.append(Section(f"What this clip cannot show{name}", _refusals(report)))
    return sections


def _glance(report: MovementReport) -> tuple[Block, ...]:
    good = sum(repetition.verdict == "good" for repetition in report.repetitions)
    cut = len(report.repetitions) - report.complete
    numbers = [(str(report.complete), "complete repetitions")]
    if report.has_rules and report.complete:
        numbers.append((f"{good} of {report.complete}", "without a fault"))
    if cut:
        numbers.append((str(cut), "cut off by the clip's ends"))
    metric = main_metric(movement_named(report.movement))
    values = [found.value for r in report.repetitions if r.complete and metric and (found := reading(r, metric.name))]
    if metric is not None and values:
        mean = float(np.mean(values))
        mean = 0.0 if metric.unit == "°" and abs(mean) < 0.5 else mean  # no "-0°"
        numbers.append((amount(mean, metric.unit), f"mean {short_label(metric).lower()}"))
    durations = [r.end_s - r.start_s for r in report.repetitions if r.complete]
    if durations:
        numbers.append((f"{np.mean(durations):.1f} s", "mean time of a repetition"))
    return Numbers(tuple(numbers)), Bullets(report.summary)


def short_label(metric: Metric) -> str:
    """The first words of a metric's label."""
    words = metric.label.split(" (")[0]
    return f"{words[:1].upper()}{words[1:]}"


def _faults(session: Session, report: MovementReport) -> tuple[Block, ...]:
    """Each fault once: how often, the clearest example with its frame, what to do."""
    found: dict[str, list[tuple[RepetitionReport, Remark]]] = {}
    for repetition in report.repetitions:
        for remark in repetition.remarks:
            found.setdefault(remark.fault, []).append((repetition, remark))
    order = sorted(found.values(), key=lambda cases: -len({repetition.number for repetition, _ in cases}))
    blocks: list[Block] = []
    for cases in order:
        grade = {"mild": 0, "moderate": 1, "severe": 2}
        repetition, worst = max(cases, key=lambda case: (grade[case[1].severity], case[1].confidence))
        numbers = sorted({case.number for case, _ in cases})
        side = "" if worst.side == "both" else f" ({worst.side} side)"
        lines = (
            f"In {len(numbers)} of {report.complete} repetitions (number {_listed(numbers)}).",
            f"Clearest in repetition {repetition.number} at {worst.time_s:.1f} s: "
            f"{amount(worst.value, worst.unit)} ± {amount(worst.error, worst.unit)} (should be {limit_words(worst)}). "
            f"{worst.severity.capitalize()}, {_sure(worst.confidence)}.",
            f"What to do: {worst.advice}",
        )
        title = f"{worst.label[:1].upper()}{worst.label[1:]}{side}"
        blocks.append(Finding(title, lines, moment_picture(session, repetition, worst)))
    return tuple(blocks)


def _sure(confidence: float) -> str:
    return "more than 99 % sure" if confidence > 0.99 else f"{100 * confidence:.0f} % sure"


def _listed(numbers: list[int]) -> str:
    """1, 2, 3, 5 as "1 to 3, 5"."""
    parts: list[str] = []
    start = previous = numbers[0]
    for number in [*numbers[1:], None]:
        if number is not None and number == previous + 1:
            previous = number
            continue
        parts.append(str(start) if start == previous else f"{start} to {previous}" if previous - start > 1
                     else f"{start}, {previous}")  # fmt: skip
        if number is not None:
            start = previous = number
    return ", ".join(parts)


_TONES: Mapping[str, Tone] = {"good": "good", "faults": "fault"}


def _repetitions(session: Session, report: MovementReport) -> Table:
    metric = main_metric(movement_named(report.movement))
    pictured = len(report.repetitions) <= MOST_THUMBNAILS
    heads = ["No.", "Time in the clip", "Took", "Verdict"]
    widths = [5.0, 15.0, 9.0, 34.0]
    measured = metric is not None and any(reading(r, metric.name) for r in report.repetitions)
    sides = metric is not None and any(np.isfinite(symmetry(r, metric.name)) for r in report.repetitions)
    if measured and metric is not None:
        heads, widths = [*heads, short_label(metric)], [*widths, 14.0]
    if sides:
        heads, widths = [*heads, "Left-right difference"], [*widths, 13.0]
    if pictured:
        heads, widths = ["Turning point", *heads], [12.0, *widths]
    rows = []
    for repetition in report.repetitions:
        faults = ", ".join(dict.fromkeys(remark.label for remark in repetition.remarks))
        verdict = faults or {"good": "good", "cut off": "cut off by the clip's end"}.get(
            repetition.verdict, "not judged"
        )
        row = [
            Cell(str(repetition.number)),
            Cell(f"{repetition.start_s:.1f} to {repetition.end_s:.1f} s"),
            Cell(f"{repetition.end_s - repetition.start_s:.1f} s"),
            Cell(verdict, tone=_TONES.get(repetition.verdict, "plain")),
        ]
        if measured and metric is not None:
            found = reading(repetition, metric.name)
            text = "–" if found is None else f"{amount(found.value, metric.unit)} ± {amount(found.error, metric.unit)}"
            row.append(Cell(text))
        if sides and metric is not None:
            row.append(Cell(amount(symmetry(repetition, metric.name), metric.unit)))
        if pictured:
            picture = moment_picture(session, repetition, None, metric, close=True)
            row.insert(0, Cell("" if picture else "–", picture))
        rows.append(tuple(row))
    caption = "± is the standard error of the measurement."
    if metric is not None and measured:
        caption = f"{short_label(metric)}: {metric.label}. {caption}"
    return Table(tuple(heads), tuple(rows), tuple(widths), caption)


def _curves(report: MovementReport) -> tuple[Block, ...]:
    blocks: list[Block] = [
        figure_picture(
            curves_figure(report),
            "angles over the whole clip",
            "Angles over the clip (0° is straight). Shaded: repetitions; ▲ marks a fault; dotted: turning points.",
        )
    ]
    if report.complete >= 2:
        mean = {curve_label(name): mean_and_spread(report, name) for name in report.curves}
        mean = {name: curve for name, curve in mean.items() if np.isfinite(curve[0]).all()}
        if mean:
            blocks.append(
                figure_picture(
                    comparison_figure(mean, "angle"),
                    "the mean repetition",
                    "The mean of all complete repetitions, from start (0 %) to end (100 %); bands: standard deviation.",
                )
            )
    if 0 < len(report.repetitions) <= MOST_THUMBNAILS:
        blocks.append(figure_picture(repetitions_figure(report), "tempo and main measure of every repetition"))
    return tuple(blocks)


def _refusals(report: MovementReport) -> tuple[Block, ...]:
    """Reasons, alike but for a number in brackets, with what they are the reason for."""
    reasons: dict[str, dict[str, set[int]]] = {}
    for refusal in report.refusals:
        reason = re.sub(r" \(±[^)]*\)$", "", refusal.reason)
        numbers = reasons.setdefault(reason, {}).setdefault(refusal.label, set())
        numbers |= set(refusal.repetitions)
    lines = []
    for reason, labels in reasons.items():
        everywhere = [label for label, numbers in labels.items() if len(numbers) == len(report.repetitions)]
        parts = [", ".join(everywhere)] if everywhere else []
        parts += [
            f"{label} ({_which(numbers, len(report.repetitions))})"
            for label, numbers in labels.items()
            if label not in everywhere
        ]
        lines.append(f"{'; '.join(parts)}: {reason}.")
    return Paragraph("These were not judged, rather than guessed.", "note"), Bullets(tuple(lines))


def _which(numbers: set[int], total: int) -> str:
    """The repetitions by number, or how many they are when that would be long."""
    listed = _listed(sorted(numbers))
    return f"repetition {listed}" if listed.count(",") < 4 else f"{len(numbers)} of {total} repetitions"


def _methods(session: Session) -> tuple[Block, ...]:
    manifest = session.manifest
    blocks: list[Block] = [Table(("What", "Value"), _method_rows(manifest.model, session), (30.0, 70.0))]
    for report in session.sets:
        rules = movement_named(report.movement).rules
        if not rules:
            continue
        rows = tuple(
            cells(
                (
                    f"{rule.label[:1].upper()}{rule.label[1:]}",
                    f"{'at most' if rule.above else 'at least'} "
                    f"{amount(float(report.parameters[rule.threshold]), _unit(report, rule.metric))}",
                    rule.source,
                )
            )
            for rule in rules
        )
        caption = f"Limits used for the {report.movement_label} ({report.preset})."
        blocks.append(Table(("Fault", "Limit", "Where the limit comes from"), rows, (26.0, 16.0, 58.0), caption))
    return tuple(blocks)


def _unit(report: MovementReport, metric: str) -> str:
    return movement_named(report.movement).metric(metric).unit


def _method_rows(model: Mapping[str, Any], session: Session) -> tuple[tuple[Cell, ...], ...]:
    manifest = session.manifest
    fps = manifest.source.get("fps")
    versions = ", ".join(f"{name} {version}" for name, version in dict(model.get("versions") or {}).items())
    rows = [
        ("Key points", str(model.get("name") or "unknown")),
        ("People found by", str(model.get("detector") or "–")),
        ("Ran on", manifest.device or "–"),
        ("Versions", ", ".join(part for part in (f"Kinoscope {manifest.tool_version}", versions) if part)),
        ("Frames", f"{manifest.frames}" + (f", {fps:.4g} a second" if isinstance(fps, int | float) else "")),
        ("Smoothing", "left and right repaired, gaps filled, Butterworth 6 Hz without delay; the stored poses are raw"),
        ("Run", f"{manifest.id}, analysed {manifest.created_utc[:10]}"),
    ]
    for report in session.sets:
        sure = f", {_sure(report.movement_confidence)}" if report.chosen != "given" else " (chosen by hand)"
        rows.append(
            ("Movement", f"{report.movement_label}{sure}; view: {report.view}, {_sure(report.view_confidence)}")
        )
    if manifest.state != "complete":
        rows.append(("State", f"{manifest.state}: only a part of the clip was processed"))
    return tuple(cells(row) for row in rows if row[1] not in ("", "–"))
