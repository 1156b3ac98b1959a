"""Sections for the analyses that a run keeps beside its sets: falls, the exercise score, recognised exercises.

They are read from the run's results, so that the report says what was said then, and needs none of their models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.document import Block, Bullets, Numbers, Paragraph, Section, Table, cells

Result = Mapping[str, Any]
FALLS = "Falls"
_MOST_REASONS = 8


def stored_sections(results: Mapping[str, Result], person: int | None) -> list[Section]:
    """The sections of what is there; none for analyses that were not made."""
    sections = []
    for name in sorted(results):
        result = results[name]
        if result.get("person") not in (None, person):
            continue
        if name.startswith("fall") and isinstance(result.get("events"), list):
            sections.append(Section(FALLS, _falls(result)))
        elif name.startswith("scor") and ("score" in result or "verdicts" in result):
            sections.append(Section("Exercise score", _score(result)))
        elif name.startswith("recogni") and isinstance(result.get("segments"), list):
            sections.append(Section("Exercises in the clip", _segments(result, person)))
    return sections


def _falls(result: Result) -> tuple[Block, ...]:
    events = [event for event in result["events"] if isinstance(event, Mapping)]
    reason = str(result.get("refused") or result.get("reason") or "")
    if reason:
        return (Paragraph(f"Not judged: {reason}"),)
    if not events:
        return (Paragraph(str(result.get("summary") or "No fall was found in this clip.")),)
    rows = tuple(
        cells(
            (
                str(event.get("person", "–")),
                _seconds(event.get("onset_s")),
                _seconds(event.get("impact_s")),
                _seconds(event.get("lying_s")),
                _seconds(event.get("recovered_s")) if event.get("recovered") else "not seen",
                _share(event.get("probability")),
            )
        )
        for event in events
    )
    count = "1 fall was found." if len(events) == 1 else f"{len(events)} falls were found."
    heads = ("Person", "Begins", "Impact", "Lies from", "Up again", "Sure")
    table = Table(heads, rows, (14.0, 17.0, 17.0, 17.0, 17.0, 18.0))
    expected = str(result.get("expected") or "")
    return (Paragraph(count, "fault"), table, *((Paragraph(expected, "note"),) if expected else ()))


def _score(result: Result) -> tuple[Block, ...]:
    blocks: list[Block] = []
    score = result.get("score")
    if _is_number(score):
        numbers = [(f"{score:.1f}", "score: 0 is perfect, 4 the worst")]
        interval = result.get("interval")
        if isinstance(interval, Sequence) and len(interval) == 2 and all(_is_number(v) for v in interval):
            numbers.append((f"{interval[0]:.1f} to {interval[1]:.1f}", "interval"))
        if result.get("band"):
            numbers.append((str(result["band"]), "band"))
        blocks.append(Numbers(tuple(numbers)))
    else:
        blocks.append(Paragraph("No score was given, for the reason below.", "fault"))
    exercise = result.get("exercise_label") or result.get("exercise")
    if exercise:
        blocks.append(Paragraph(f"Exercise: {str(exercise).replace('_', ' ')}."))
    costs = sorted((reason for reason in result.get("reasons") or []), key=lambda reason: -_points(reason))
    reasons = [_sentence(reason) for reason in costs[:_MOST_REASONS]]
    if reasons:
        blocks += [Paragraph("What cost points:" if _is_number(score) else "Why:"), Bullets(tuple(reasons))]
    refused = [_refusal(v) for v in _verdicts(result.get("verdicts")) if v.get("ok") is False]
    if refused and not reasons:
        blocks.append(Bullets(tuple(refused)))
    blocks.append(
        Paragraph(str(result.get("target") or "The score is derived; it is not a clinician's grade."), "note")
    )
    return tuple(blocks)


def _points(reason: Any) -> float:
    points = reason.get("points") if isinstance(reason, Mapping) else None
    return float(points) if isinstance(points, int | float) and _is_number(points) else 0.0


def _refusal(verdict: Mapping[str, Any]) -> str:
    stage = str(verdict.get("stage") or verdict.get("name") or "stage").replace("_", " ")
    return f"{stage}: {'; '.join(map(_sentence, verdict.get('reasons') or []))}"


def _verdicts(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return [{"stage": name, **verdict} for name, verdict in value.items() if isinstance(verdict, Mapping)]
    return [verdict for verdict in value or [] if isinstance(verdict, Mapping)]


def _segments(result: Result, person: int | None) -> tuple[Block, ...]:
    segments = [s for s in result["segments"] if isinstance(s, Mapping) and s.get("person") in (None, person)]
    if not segments:
        return (Paragraph("No known exercise was found in this clip."),)
    rows = tuple(
        cells(
            (
                str(segment.get("label") or segment.get("exercise", "–")).replace("_", " "),
                f"{_seconds(segment.get('start_s'))} to {_seconds(segment.get('end_s'))}",
                str(segment.get("repetitions", "–")),
                _share(segment.get("confidence")),
            )
        )
        for segment in segments
    )
    return (Table(("Exercise", "Time", "Repetitions", "Sure"), rows, (34.0, 30.0, 18.0, 18.0)),)


def _sentence(reason: Any) -> str:
    """A reason that is text, a joint at a moment that cost points, or an object with its text under a usual name."""
    if isinstance(reason, Mapping):
        if reason.get("joint") and _is_number(reason.get("points")):
            where = f" in repetition {reason['repetition']}" if reason.get("repetition") else ""
            rule = f": {reason['rule']}" if reason.get("rule") else ""
            joint = str(reason["joint"]).replace("_", " ")
            return f"{joint}{where} at {_seconds(reason.get('time_s'))}, {reason['points']:.1f} points{rule}"
        text = next((reason[k] for k in ("text", "sentence", "reason", "label", "advice") if reason.get(k)), None)
        if text is not None:
            return str(text)
        return ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in reason.items())
    return str(reason)


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _seconds(value: Any) -> str:
    return f"{value:.1f} s" if _is_number(value) else "–"


def _share(value: Any) -> str:
    if not _is_number(value):
        return "–"
    return "> 99 %" if value > 0.99 else f"{100 * value:.0f} %"
