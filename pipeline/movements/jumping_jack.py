"""The jumping jack: hands over the head, feet apart, both sides alike."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.movements.base import Measured, Metric, Movement, Rule, RuleParameters
from pipeline.movements.common import SHOULDERS, hands_above_shoulders, tempo_metrics
from pipeline.movements.geometry import SIDES, Estimate, Window

WRISTS = ("left_wrist", "right_wrist")
NEARER_LOOKS_HIGHER = 0.25  # trunk lengths, hands overhead, camera four metres away (rendered actor)


@dataclass(frozen=True)
class JackParameters(RuleParameters):
    """When a jumping jack is called faulty.

    hands_above_shoulders: height of the hands over the shoulders at the top, in trunk lengths; the head ends at 0.6.
    feet_apart: distance of the ankles at the top over that of the shoulders.
    hand_difference: one hand higher than the other at the top, in trunk lengths.
    """

    hands_above_shoulders: float = 0.5
    feet_apart: float = 1.0
    hand_difference: float = 0.3


PRESETS = MappingProxyType(
    {
        "beginner": JackParameters(hands_above_shoulders=0.35, feet_apart=0.8, hand_difference=0.4),
        "standard": JackParameters(),
        "strict": JackParameters(hands_above_shoulders=0.7, feet_apart=1.3, hand_difference=0.2),
    }
)


def hands(window: Window) -> Measured:
    error = window.height_error("left_wrist", "left_shoulder")
    return {"both": (window.at(hands_above_shoulders(window), error, WRISTS, window.bottom, "highest"), WRISTS)}


def hand_difference(window: Window) -> Measured:
    """Difference of the hands' heights; from the side the nearer hand looks higher (perspective), which is an error."""
    value = np.abs(window.heights(WRISTS[0]) - window.heights(WRISTS[1]))
    turned = 0.0 if window.space else NEARER_LOOKS_HIGHER * abs(np.sin(np.radians(window.yaw_deg)))
    error = np.hypot(window.height_error(*WRISTS), turned)
    return {"both": (window.at(value, error, WRISTS, window.bottom), WRISTS)}


def feet(window: Window) -> Measured:
    """Largest distance of the ankles over the usual distance of the shoulders."""
    frontal = window.plane("frontal")
    ankles = tuple(window.ankle(side) for side in SIDES)
    apart = np.abs((window.track("frontal", ankles[0]) - window.track("frontal", ankles[1]))[:, 0])
    width = np.abs((window.track("frontal", SHOULDERS[0]) - window.track("frontal", SHOULDERS[1]))[:, 0])
    usual = max(float(np.nanmedian(width)), 0.1) if np.isfinite(width).any() else float("nan")
    error = np.sqrt(2) * np.nanmedian(frontal.error) * frontal.stretch / usual * np.hypot(1, apart / usual)
    found = window.at(apart / usual, error, ankles + SHOULDERS, pick="highest")
    return {"both": (Estimate(found.value, found.error, found.time_s, found.clarity), ankles)}


METRICS = (
    Metric("hands_above_shoulders_trunks", "height of the hands", "trunk lengths", hands, 0.3),
    Metric("feet_apart_ratio", "feet apart", "shoulder widths", feet, 0.4),
    Metric("hand_difference_trunks", "hands at the same height", "trunk lengths", hand_difference, 0.3),
    *tempo_metrics(("out", "top", "in")),
)
_USUAL = "the usual description (hands meet overhead, feet wider than the shoulders); the number was set on clips"
RULES = (
    Rule("shallow", "hands not over the head", "hands_above_shoulders_trunks", "hands_above_shoulders", False, 0.25,
         _USUAL, "Swing your arms up until your hands are over your head."),
    Rule("feet_narrow", "feet not apart", "feet_apart_ratio", "feet_apart", False, 0.3,
         _USUAL, "Jump until your feet are wider apart than your shoulders."),
    Rule("asymmetric", "one hand lower than the other", "hand_difference_trunks", "hand_difference", True, 0.2,
         "the number was set on the rendered actor", "Raise both arms to the same height."),
)  # fmt: skip

JUMPING_JACK = Movement(
    "jumping_jack",
    "jumping jack",
    hands_above_shoulders,
    curves=("left_shoulder_flexion", "right_shoulder_flexion", "left_knee_flexion", "right_knee_flexion"),
    phases=("out", "top", "in"),
    metrics=METRICS,
    rules=RULES,
    least=0.3,
    presets=PRESETS,
)
