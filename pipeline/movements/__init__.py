"""What people do with their bodies, repetition by repetition: measured once, judged by thresholds that can be moved.

``analyze`` does everything; ``measure`` is its slow half and ``judge`` its quick one. A movement is one file: a
``Movement`` with its metrics, its rules and its presets of thresholds.
"""

from pipeline.movements.analyze import (
    AUTO,
    MOVEMENTS,
    UNKNOWN,
    MovementError,
    analyze,
    judge,
    measure,
    measure_repetitions,
    movement_named,
    thresholds,
)
from pipeline.movements.base import (
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
)
from pipeline.movements.geometry import Phase

__all__ = [
    "AUTO",
    "MOVEMENTS",
    "UNKNOWN",
    "Measurements",
    "Metric",
    "Movement",
    "MovementError",
    "MovementReport",
    "Phase",
    "Reading",
    "Refusal",
    "Remark",
    "RepetitionReport",
    "Rule",
    "RuleParameters",
    "analyze",
    "judge",
    "measure",
    "measure_repetitions",
    "movement_named",
    "thresholds",
]
