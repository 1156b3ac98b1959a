"""The frame of rules: what a movement is, what is measured, and what a report says.

A metric measures (``Reading``), a rule compares a reading with a threshold from the parameters (``Remark``). What the
view or the key points cannot support becomes a refusal that says why; it is never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np

from pipeline.movements.geometry import Estimate, Phase, Window
from pipeline.poses import Array

SCHEMA_VERSION = 1

Severity = Literal["mild", "moderate", "severe"]
ReadingSide = Literal["left", "right", "both"]


@dataclass(frozen=True)
class Reading:
    """One measured number of one repetition.

    Attributes:
        metric: its name, which ends in its unit.
        side: of the body; "both" for the middle, or for the mean of the two sides.
        value: NaN when refused.
        error: standard error in the metric's unit.
        time_s: the moment that shows it.
        joints: those to highlight.
        clarity: 0..1 mean score of its key points.
        refused: why there is no value; empty when there is one.
    """

    metric: str
    side: ReadingSide = "both"
    value: float = math.nan
    error: float = math.nan
    time_s: float = math.nan
    joints: tuple[str, ...] = ()
    clarity: float = 0.0
    refused: str = ""


Measured = Mapping[ReadingSide, tuple[Estimate, tuple[str, ...]]]


@dataclass(frozen=True)
class Metric:
    """Something that can be measured in a repetition.

    Attributes:
        name: snake_case, ends in its unit.
        label: in plain words.
        unit: "°", "%", "s", ...
        measure: gives estimates and joints by side; raises ``Unmeasurable`` with the reason.
        max_error: a standard error above this refuses the reading; in the metric's unit.
        information: shown, but no rule judges it.
    """

    name: str
    label: str
    unit: str
    measure: Callable[[Window], Measured]
    max_error: float = math.inf
    information: bool = False


@dataclass(frozen=True)
class Rule:
    """A fault: a metric beyond a threshold.

    Attributes:
        fault: its name: "knees_in", "heels_up", ...
        label: in plain words.
        metric: what it judges.
        threshold: the parameter that holds the limit.
        above: a fault above the limit, else below it.
        step: each further step beyond the limit raises the severity by one.
        source: where the limit comes from.
        advice: what to do, one sentence.
        judged: "both" judges the middle of the body or the mean of the sides, "each" every side by itself.
    """

    fault: str
    label: str
    metric: str
    threshold: str
    above: bool
    step: float
    source: str
    advice: str
    judged: Literal["both", "each"] = "both"


@dataclass(frozen=True)
class RuleParameters:
    """What every movement's thresholds have in common.

    min_confidence: a remark must be at least this sure; 0.6 is more likely right than wrong, errors included.
    """

    min_confidence: float = 0.6

    def __post_init__(self) -> None:
        for threshold in fields(self):
            if not math.isfinite(value := getattr(self, threshold.name)):
                raise ValueError(f"{threshold.name} is {value!r}; a threshold must be a finite number.")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence is {self.min_confidence!r}; it must be between 0 and 1.")


@dataclass(frozen=True)
class Movement:
    """A movement with all that is known about it.

    Attributes:
        name: as in the list of movements; label: in plain words.
        curves: names of angles (``ANGLE_NAMES``) that are worth looking at.
        effort: (T,) how far the movement has gone, in any unit, from rest to the turning point; drives the phases.
        phases: names of the way to the turning point, of the pause there, and of the way back.
        metrics, rules: see there; none means that it is counted only.
        least: what moves less than this, in the unit of ``effort``, is not this movement.
        presets: thresholds by name; all of the same class.
    """

    name: str
    label: str
    effort: Callable[[Window], Array]
    curves: tuple[str, ...] = ()
    phases: tuple[str, str, str] = ("down", "pause", "up")
    metrics: tuple[Metric, ...] = ()
    rules: tuple[Rule, ...] = ()
    least: float = 0.0
    presets: Mapping[str, RuleParameters] = field(
        default_factory=lambda: dict.fromkeys(("standard", "beginner", "strict"), RuleParameters())
    )

    def __post_init__(self) -> None:
        known = {metric.name for metric in self.metrics}
        for rule in self.rules:
            if rule.metric not in known:
                raise ValueError(f"rule {rule.fault!r} of {self.name} judges the unknown metric {rule.metric!r}.")
            for preset in self.presets.values():
                if not hasattr(preset, rule.threshold):
                    raise ValueError(f"the presets of {self.name} lack the threshold {rule.threshold!r}.")

    def metric(self, name: str) -> Metric:
        return next(metric for metric in self.metrics if metric.name == name)


@dataclass(frozen=True)
class MeasuredRepetition:
    """One repetition as it was measured; nothing is judged yet."""

    start_s: float
    turn_s: float
    end_s: float
    complete: bool
    confidence: float
    view: str
    yaw_deg: float
    phases: tuple[Phase, ...]
    readings: tuple[Reading, ...]


@dataclass(frozen=True, eq=False)
class Measurements:
    """The slow half of the analysis: ``judge`` can be asked about it any number of times.

    Attributes:
        movement: name; chosen: "given", or how ``auto`` came to it; movement_confidence: 0..1.
        person: id.
        view, view_confidence: of most of the time.
        repetitions: in time order.
        curves: names to (T,) values at ``time_s``: angles in degrees.
    """

    movement: str
    chosen: str
    movement_confidence: float
    person: int
    view: str
    view_confidence: float
    repetitions: tuple[MeasuredRepetition, ...]
    time_s: Array
    curves: Mapping[str, Array]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remark:
    """A fault with its evidence.

    Attributes:
        fault: name; label: in plain words; metric: what was judged; side: of the body.
        value, error, unit: what was measured; threshold: the limit; threshold_source: where the limit comes from.
        severity: how far beyond the limit; confidence: 0..1 that the value is beyond it, from error and key points.
        time_s: the frame that proves it; joints: to highlight there.
        advice: one plain sentence.
    """

    fault: str
    label: str
    metric: str
    side: ReadingSide
    value: float
    error: float
    unit: str
    threshold: float
    threshold_source: str
    severity: Severity
    confidence: float
    time_s: float
    joints: tuple[str, ...]
    advice: str


@dataclass(frozen=True)
class Refusal:
    """A metric that could not be had, why, and in which repetitions (numbers from 1)."""

    metric: str
    label: str
    side: ReadingSide
    reason: str
    repetitions: tuple[int, ...]


@dataclass(frozen=True)
class RepetitionReport:
    """One repetition, judged. ``verdict``: "good", "faults", "cut off" or "not judged"."""

    number: int
    person: int
    start_s: float
    turn_s: float
    end_s: float
    complete: bool
    confidence: float
    view: str
    verdict: str
    phases: tuple[Phase, ...]
    metrics: tuple[Reading, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, eq=False)
class MovementReport:
    """Everything that is said about one person's set.

    Attributes:
        repetitions: judged, in time order; refusals: what could not be measured.
        summary: sentences in plain words; consistency: how alike the complete repetitions are (seconds, percent,
            degrees), empty for fewer than three.
        parameters, preset: the thresholds used ("custom" when they are no preset's).
        curves: names to (T,) values at ``time_s``.
    """

    movement: str
    movement_label: str
    movement_confidence: float
    chosen: str
    person: int
    view: str
    view_confidence: float
    repetitions: tuple[RepetitionReport, ...]
    refusals: tuple[Refusal, ...]
    summary: tuple[str, ...]
    consistency: Mapping[str, float]
    has_rules: bool
    preset: str
    parameters: Mapping[str, Any]
    time_s: Array
    curves: Mapping[str, Array]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """All remarks of the set, in time order of the repetitions."""
        return tuple(remark for repetition in self.repetitions for remark in repetition.remarks)

    @property
    def complete(self) -> int:
        """How many repetitions are complete."""
        return sum(repetition.complete for repetition in self.repetitions)

    def to_json(self, *, curves: bool = True) -> dict[str, Any]:
        """A dictionary of plain values for JSON; what is unknown is None."""
        document = {
            name: plain(value)
            for name, value in {
                "schema_version": SCHEMA_VERSION,
                "movement": self.movement,
                "movement_label": self.movement_label,
                "movement_confidence": self.movement_confidence,
                "chosen": self.chosen,
                "person": self.person,
                "view": self.view,
                "view_confidence": self.view_confidence,
                "complete_repetitions": self.complete,
                "repetitions": [asdict(repetition) for repetition in self.repetitions],
                "refusals": [asdict(refusal) for refusal in self.refusals],
                "summary": self.summary,
                "consistency": self.consistency,
                "has_rules": self.has_rules,
                "preset": self.preset,
                "parameters": self.parameters,
            }.items()
        }
        if curves:
            document["time_s"] = plain(self.time_s)
            document["curves"] = {name: plain(np.round(values, 2)) for name, values in self.curves.items()}
        return document


def plain(value: Any) -> Any:
    """Lists, dictionaries, numbers and text only; NaN becomes None, numbers are cut to four decimals."""
    if isinstance(value, np.ndarray):
        return [None if not np.isfinite(x) else round(float(x), 4) for x in value.ravel()]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return round(float(value), 4) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
