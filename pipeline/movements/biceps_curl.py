"""The biceps curl: still upper arms, still trunk."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.movements.base import Metric, Movement, Rule, RuleParameters
from pipeline.movements.common import (
    arm,
    by_side,
    difference_of_sides,
    elbow,
    elbow_at_turn,
    lean_swing,
    tempo_metrics,
)
from pipeline.movements.geometry import Estimate, Side, Window
from pipeline.poses import Array


@dataclass(frozen=True)
class CurlParameters(RuleParameters):
    """When a curl is called faulty.

    elbow_deg: inner angle of the elbow at the top; bent further than this counts as curled up.
    upper_arm_swing_deg: by how much the upper arm's angle changes; it should hang still.
    trunk_swing_deg: by how much the trunk's lean changes; momentum from the back.
    asymmetry_deg: one elbow is bent less than the other at the top.
    """

    elbow_deg: float = 85.0
    upper_arm_swing_deg: float = 35.0
    trunk_swing_deg: float = 15.0
    asymmetry_deg: float = 25.0


PRESETS = MappingProxyType(
    {
        "beginner": CurlParameters(
            elbow_deg=95.0, upper_arm_swing_deg=45.0, trunk_swing_deg=20.0, asymmetry_deg=35.0
        ),
        "standard": CurlParameters(),
        "strict": CurlParameters(elbow_deg=70.0, upper_arm_swing_deg=25.0, trunk_swing_deg=10.0, asymmetry_deg=18.0),
    }
)  # fmt: skip


def effort(window: Window) -> Array:
    """(T,) degrees of elbow flexion of the arm that is bent more."""
    bent = [180 - elbow(window, side)[0] for side in window.sides()]
    return np.asarray(np.fmax.reduce(bent))


def upper_arm_swing(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """Range of the upper arm's angle from the vertical within the repetition, from the side."""
    joints = arm(side)[:2]
    value, error = window.inclination("sagittal", joints[1:], joints[:1])
    high = window.at(value, error, joints, pick="highest")
    low = window.at(value, error, joints, pick="lowest")
    return Estimate(high.value - low.value, low.error, low.time_s, low.clarity), joints


METRICS = (
    Metric("elbow_deg", "elbow angle at the top", "°", by_side(elbow_at_turn), 25.0),
    Metric("upper_arm_swing_deg", "movement of the upper arm", "°", by_side(upper_arm_swing), 15.0),
    Metric("trunk_swing_deg", "swing of the trunk", "°", lean_swing, 10.0),
    Metric("asymmetry_deg", "left/right symmetry", "°", difference_of_sides(elbow_at_turn), 20.0),
    *tempo_metrics(("up", "pause", "down")),
)
_COACHING = "common coaching of the curl"
RULES = (
    Rule("shallow", "not curled all the way", "elbow_deg", "elbow_deg", True, 15.0,
         "the number was set on clips", "Bring the weight up to your shoulders."),
    Rule("elbow_swing", "elbows swing forward", "upper_arm_swing_deg", "upper_arm_swing_deg", True, 12.0,
         f"{_COACHING} (upper arms stationary) for the rule; the number was set on clips",
         "Keep your upper arms still at your sides, and use less weight if you can't."),
    Rule("trunk_swing", "the trunk swings", "trunk_swing_deg", "trunk_swing_deg", True, 8.0,
         f"{_COACHING} (no swinging of the body) for the rule; the number was set on clips",
         "Stand still, and let only the forearms move."),
    Rule("asymmetric", "one arm lower than the other", "asymmetry_deg", "asymmetry_deg", True, 15.0,
         "the number was set on the rendered actor", "Lift both arms to the same height."),
)  # fmt: skip

BICEPS_CURL = Movement(
    "biceps_curl",
    "biceps curl",
    effort,
    curves=("left_elbow_flexion", "right_elbow_flexion", "left_arm", "right_arm", "trunk"),
    phases=("up", "pause", "down"),
    metrics=METRICS,
    rules=RULES,
    least=30.0,
    presets=PRESETS,
)
