"""The overhead press: straight arms over the head, an upright trunk, level hands."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.movements.base import Measured, Metric, Movement, Rule, RuleParameters
from pipeline.movements.common import (
    HIPS,
    PERSPECTIVE_DEG,
    SHOULDERS,
    by_side,
    elbow_at_turn,
    hands_above_shoulders,
    tempo_metrics,
    trunk_lean,
)
from pipeline.movements.geometry import Estimate, Unmeasurable, Window

WRISTS = ("right_wrist", "left_wrist")


@dataclass(frozen=True)
class PressParameters(RuleParameters):
    """When a press is called faulty.

    elbow_deg: inner angle of the elbow at the top; less is not pressed out.
    lean_back_deg: the trunk leans back at the top.
    hand_tilt_deg: the line between the hands is not level at the top, against where the repetition begins.
    """

    elbow_deg: float = 145.0
    lean_back_deg: float = 18.0
    hand_tilt_deg: float = 6.0


PRESETS = MappingProxyType(
    {
        "beginner": PressParameters(elbow_deg=135.0, lean_back_deg=24.0, hand_tilt_deg=9.0),
        "standard": PressParameters(),
        "strict": PressParameters(elbow_deg=155.0, lean_back_deg=12.0, hand_tilt_deg=4.0),
    }
)


def lean_back(window: Window) -> Measured:
    """Degrees by which the trunk leans back at the top."""
    value, error = trunk_lean(window)
    joints = SHOULDERS + HIPS
    return {"both": (window.at(-value, error, joints, window.bottom), joints)}


def hand_tilt(window: Window) -> Measured:
    """The line between the hands against the horizontal at the top, less what it was at the beginning."""
    frontal = window.plane("frontal")
    vector = window.track("frontal", WRISTS[1]) - window.track("frontal", WRISTS[0])
    tilt = np.degrees(np.arctan2(vector[:, 1], np.maximum(vector[:, 0], 0.2)))
    if not np.isfinite(tilt[window.rest]).any():
        raise Unmeasurable("the beginning of the repetition was not seen")
    noise = np.degrees(2 * np.nanmedian(frontal.error) / np.maximum(np.linalg.norm(vector, axis=1), 0.2))
    noise = np.hypot(noise, PERSPECTIVE_DEG * frontal.cotangent)
    found = window.at(tilt - np.nanmedian(tilt[window.rest]), noise, WRISTS, window.bottom)
    return {"both": (Estimate(abs(found.value), found.error, found.time_s, found.clarity), WRISTS)}


METRICS = (
    Metric("elbow_deg", "elbow angle at the top", "°", by_side(elbow_at_turn), 25.0),
    Metric("lean_back_deg", "trunk leaning back", "°", lean_back, 10.0),
    Metric("hand_tilt_deg", "hands at the same height", "°", hand_tilt, 7.0),
    *tempo_metrics(("up", "pause", "down")),
)
_COACHING = "common coaching of the press"
RULES = (
    Rule("shallow", "not pressed all the way up", "elbow_deg", "elbow_deg", False, 15.0,
         f"{_COACHING} (elbows fully extended) for the rule; the number was set on clips",
         "Press until your arms are straight."),
    Rule("lean_back", "trunk leans back", "lean_back_deg", "lean_back_deg", True, 8.0,
         f"{_COACHING} (no arching of the back) for the rule; the number was set on clips",
         "Tighten your stomach, and keep your ribs down while you press."),
    Rule("asymmetric", "one hand higher than the other", "hand_tilt_deg", "hand_tilt_deg", True, 5.0,
         "the number was set on the rendered actor", "Press both hands to the same height."),
)  # fmt: skip

OVERHEAD_PRESS = Movement(
    "overhead_press",
    "overhead press",
    hands_above_shoulders,
    curves=("left_elbow_flexion", "right_elbow_flexion", "left_shoulder_flexion", "right_shoulder_flexion", "trunk"),
    phases=("up", "pause", "down"),
    metrics=METRICS,
    rules=RULES,
    least=0.2,
    presets=PRESETS,
)
