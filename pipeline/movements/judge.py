"""Thresholds against measurements: the quick half, which a slider may run again at every move."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, replace

import numpy as np
from scipy import special

from pipeline.movements.base import (
    MeasuredRepetition,
    Measurements,
    Metric,
    Movement,
    MovementReport,
    Reading,
    Refusal,
    Remark,
    RepetitionReport,
    Rule,
    RuleParameters,
    Severity,
)

_SEVERITIES: tuple[Severity, ...] = ("mild", "moderate", "severe")


def judge_with(movement: Movement, measurements: Measurements, parameters: RuleParameters) -> MovementReport:
    """The report of a set under these thresholds; see ``analyze.judge``."""
    repetitions = tuple(
        _judged(movement, measurements.person, number, repetition, parameters)
        for number, repetition in enumerate(measurements.repetitions, start=1)
    )
    refusals = _refusals(movement, measurements.repetitions)
    preset = next((name for name, values in movement.presets.items() if values == parameters), "custom")
    return MovementReport(
        movement=movement.name,
        movement_label=movement.label,
        movement_confidence=measurements.movement_confidence,
        chosen=measurements.chosen,
        person=measurements.person,
        view=measurements.view,
        view_confidence=measurements.view_confidence,
        repetitions=repetitions,
        refusals=refusals,
        summary=_summary(movement, repetitions, refusals, measurements.notes),
        consistency=consistency(repetitions),
        has_rules=bool(movement.rules),
        preset=preset,
        parameters=asdict(parameters),
        time_s=measurements.time_s,
        curves=measurements.curves,
    )


def _judged(
    movement: Movement, person: int, number: int, repetition: MeasuredRepetition, parameters: RuleParameters
) -> RepetitionReport:
    remarks: tuple[Remark, ...] = ()
    judged: set[str] = set()
    if repetition.complete:
        for rule in movement.rules:
            readings = [r for r in repetition.readings if r.metric == rule.metric and not r.refused]
            readings = [r for r in readings if (r.side == "both") == (rule.judged == "both")]
            judged |= {rule.fault} if readings else set()
            remarks += _remark(rule, movement.metric(rule.metric), readings, parameters)
        remarks = _one_a_fault(remarks)
    if not repetition.complete:
        verdict = "cut off"
    elif remarks:
        verdict = "faults"
    else:  # without the first of its rules, the depth, nobody can call a repetition good
        verdict = "good" if movement.rules and movement.rules[0].fault in judged else "not judged"
    return RepetitionReport(
        number, person, repetition.start_s, repetition.turn_s, repetition.end_s, repetition.complete,
        repetition.confidence, repetition.view, verdict, repetition.phases, repetition.readings, remarks,
    )  # fmt: skip


def _remark(rule: Rule, metric: Metric, readings: list[Reading], parameters: RuleParameters) -> tuple[Remark, ...]:
    """At most one remark a rule: of the worst side, called "both" when both sides show the fault."""
    limit = float(getattr(parameters, rule.threshold))
    direction = 1 if rule.above else -1
    found = []
    for reading in readings:
        beyond = direction * (reading.value - limit)
        confidence = remark_confidence(beyond, reading.error, reading.clarity)
        if beyond > 0 and confidence >= parameters.min_confidence:
            found.append((beyond, confidence, reading))
    if not found:
        return ()
    beyond, confidence, worst = max(found, key=lambda row: row[0])
    joints = tuple(dict.fromkeys(joint for _, _, reading in found for joint in reading.joints))
    return (
        Remark(
            fault=rule.fault,
            label=rule.label,
            metric=rule.metric,
            side="both" if len(found) > 1 else worst.side,
            value=worst.value,
            error=worst.error,
            unit=metric.unit,
            threshold=limit,
            threshold_source=rule.source,
            severity=_SEVERITIES[min(int(beyond // rule.step), 2)],
            confidence=confidence,
            time_s=worst.time_s,
            joints=joints,
            advice=rule.advice,
        ),
    )


def _one_a_fault(remarks: tuple[Remark, ...]) -> tuple[Remark, ...]:
    """Several metrics may show the same fault: the one that shows it worst speaks (then the surest)."""
    strongest: dict[str, Remark] = {}
    for remark in sorted(remarks, key=lambda r: (-_SEVERITIES.index(r.severity), -r.confidence)):
        strongest.setdefault(remark.fault, remark)
    return tuple(sorted(strongest.values(), key=lambda remark: remark.time_s))


def remark_confidence(beyond: float, error: float, clarity: float) -> float:
    """0..1 that the true value is beyond the limit: the normal probability, times how well the points were seen.

    Scores between 0.8 and 1 count as well seen (the models' scores of visible points spread that much).
    """
    if not math.isfinite(beyond):
        return 0.0
    sure = float(special.ndtr(beyond / error)) if math.isfinite(error) and error > 0 else float(beyond > 0)
    return sure * float(np.clip(clarity / 0.8, 0.0, 1.0))


def _refusals(movement: Movement, repetitions: Iterable[MeasuredRepetition]) -> tuple[Refusal, ...]:
    """Alike refusals of several repetitions as one."""
    found: dict[tuple[str, str, str], Refusal] = {}
    for number, repetition in enumerate(repetitions, start=1):
        for reading in repetition.readings:
            if not reading.refused:
                continue
            key = (reading.metric, reading.side, reading.refused)
            earlier = found.get(key)
            if earlier is None:
                label = movement.metric(reading.metric).label
                found[key] = Refusal(reading.metric, label, reading.side, reading.refused, (number,))
            else:
                found[key] = replace(earlier, repetitions=(*earlier.repetitions, number))
    return tuple(found.values())


def _summary(
    movement: Movement,
    repetitions: tuple[RepetitionReport, ...],
    refusals: tuple[Refusal, ...],
    notes: tuple[str, ...],
) -> tuple[str, ...]:
    """The set in plain words; what makes the whole doubtful (``notes``) right after the count."""
    if not repetitions:
        which = f" of this movement ({movement.label})" if movement.metrics else ""
        return (f"No repetition{which} was found.", *notes)
    complete = [repetition for repetition in repetitions if repetition.complete]
    cut = len(repetitions) - len(complete)
    lines = [
        f"{_count(len(complete), 'complete repetition')} of: {movement.label}"
        + (f", and {_count(cut, 'repetition')} cut off by the clip." if cut else "."),
        *notes,
    ]
    if not movement.rules:
        return (*lines, f"There are no form rules for this movement ({movement.label}) yet: counts and angles only.")
    faults: dict[str, list[RepetitionReport]] = {}
    labels: dict[str, Remark] = {}
    for repetition in complete:
        for remark in repetition.remarks:
            faults.setdefault(remark.fault, []).append(repetition)
            labels.setdefault(remark.fault, remark)
    for fault, shown in sorted(faults.items(), key=lambda item: -len(item[1])):
        numbers = sorted({repetition.number for repetition in shown})
        label = labels[fault].label
        lines.append(
            f"{label[:1].upper()}{label[1:]} in {len(numbers)} of {len(complete)} "
            f"({'repetition' if len(numbers) == 1 else 'repetitions'} {_listed(numbers)}). "
            f"{labels[fault].advice}"
        )
    judged = [repetition for repetition in complete if repetition.verdict != "not judged"]
    if judged and not faults:
        lines.append("No fault was found in what this view shows.")
    lines += _in_words(consistency(repetitions))
    missing = sorted({refusal.label for refusal in refusals if len(refusal.repetitions) == len(repetitions)})
    if missing:
        lines.append(f"Not judged from this clip: {', '.join(missing)}.")
    return tuple(lines)


def consistency(repetitions: Iterable[RepetitionReport]) -> dict[str, float]:
    """How alike the complete repetitions are: duration, its variation, and the spread of the depth where it is known.

    ``duration_variation_percent`` is the coefficient of variation; ``depth_deviation_deg`` the standard deviation.
    """
    complete = [repetition for repetition in repetitions if repetition.complete]
    if len(complete) < 3:
        return {}
    durations = np.array([repetition.end_s - repetition.start_s for repetition in complete])
    found = {
        "duration_s": float(durations.mean()),
        "duration_variation_percent": 100 * float(durations.std(ddof=1) / durations.mean()),
    }
    depths = [
        reading.value
        for repetition in complete
        for reading in repetition.metrics
        if reading.metric == "thigh_deg" and reading.side == "both" and not reading.refused
    ]
    if len(depths) >= 3:
        found["depth_deviation_deg"] = float(np.std(depths, ddof=1))
    return found


def _in_words(alike: dict[str, float]) -> list[str]:
    if not alike:
        return []
    spread = alike["duration_variation_percent"]
    words = "even" if spread < 10 else "somewhat uneven" if spread < 20 else "uneven"
    lines = [f"Tempo: {alike['duration_s']:.1f} s a repetition, {words} (varies by {spread:.0f} %)."]
    if "depth_deviation_deg" in alike:
        lines.append(f"The depth varies by {alike['depth_deviation_deg']:.0f}° (standard deviation of the thigh).")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(numbers: list[int]) -> str:
    """1, 2, 3, 5 as "1-3, 5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
