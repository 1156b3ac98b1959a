"""The lunge: depth of the front leg, upright trunk, front knee over its foot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.movements.base import Measured, Metric, Movement, Rule, RuleParameters
from pipeline.movements.common import HIPS, SideMeasure, lean_at_turn, lowered, tempo_metrics
from pipeline.movements.geometry import SIDES, Estimate, Side, Unmeasurable, Window
from pipeline.movements.squat import feet_seen, knee, knees_past_toes, thigh
from pipeline.poses import Array


@dataclass(frozen=True)
class LungeParameters(RuleParameters):
    """When a lunge is called faulty.

    thigh_deg: front thigh above the horizontal at the lowest point; as in the squat.
    shin_inward_deg: front shin leaning towards the middle of the body, so that the knee is inside its foot.
    lean_deg: trunk from the vertical at the lowest point.
    """

    thigh_deg: float = 32.0
    shin_inward_deg: float = 10.0
    lean_deg: float = 30.0


PRESETS = MappingProxyType(
    {
        "beginner": LungeParameters(thigh_deg=42.0, shin_inward_deg=14.0, lean_deg=38.0),
        "standard": LungeParameters(),
        "strict": LungeParameters(thigh_deg=18.0, shin_inward_deg=7.0, lean_deg=22.0),
    }
)


def effort(window: Window) -> Array:
    """(T,) how far the hips are below their highest place, in trunk lengths."""
    return lowered(window, *HIPS)


def front_side(window: Window) -> Side:
    """The leg in front: from the side its foot is further ahead; else the thigh that is level at the lowest point.

    Raises:
        Unmeasurable: the legs are too much alike.
    """
    if window.sees_sagittal(0.77):
        ahead = {s: float(np.nanmedian(window.track("sagittal", window.ankle(s))[window.bottom, 0])) for s in SIDES}
        if abs(ahead["left"] - ahead["right"]) > 0.3:
            return "left" if ahead["left"] > ahead["right"] else "right"
    height = {side: window.heights(f"{side}_hip") - window.heights(f"{side}_knee") for side in SIDES}
    length = window.full_length("left_hip", "left_knee")
    here = {side: float(np.nanmedian(height[side][window.bottom])) / length for side in SIDES}
    if not abs(here["left"] - here["right"]) > 0.15:
        raise Unmeasurable("it is not clear which leg is in front")
    return "left" if here["left"] < here["right"] else "right"


def of_front(measure: SideMeasure) -> Callable[[Window], Measured]:
    """The same of the leg in front, which speaks for both."""

    def front(window: Window) -> Measured:
        side = front_side(window)
        found = measure(window, side)
        return {side: found, "both": found}

    return front


def shin(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """Degrees by which the shin leans inwards at the lowest point, seen from the front.

    The thigh points at the camera there, so the frontal-plane projection angle means little; the shin does not.
    """
    knee_joint, ankle = f"{side}_knee", window.ankle(side)
    value, error = window.inclination("frontal", (ankle,), (knee_joint,))
    feet_seen(window, side)
    joints = (knee_joint, ankle)
    inwards = -value if side == "left" else value
    return window.at(inwards, error, joints, window.bottom), joints


METRICS = (
    Metric("thigh_deg", "depth (front thigh against the horizontal)", "°", of_front(thigh), 15.0),
    Metric("knee_deg", "front knee angle", "°", of_front(knee), 15.0, True),
    Metric("shin_inward_deg", "front knee over its foot", "°", of_front(shin), 12.0),
    Metric("lean_deg", "trunk lean", "°", lean_at_turn, 12.0),
    Metric(
        "knees_past_toes_percent", "front knee past the toes", "% of the trunk", of_front(knees_past_toes), 20.0, True
    ),
    *tempo_metrics(("down", "pause", "up")),
)
_COACHING = "common coaching of the lunge"
RULES = (
    Rule("shallow", "not deep enough", "thigh_deg", "thigh_deg", True, 15.0,
         f"{_COACHING} (front thigh level) for the rule; the number was set on clips",
         "Sink straight down until your front thigh is level with the floor."),
    Rule("knees_in", "front knee falls inwards", "shin_inward_deg", "shin_inward_deg", True, 8.0,
         "knee over foot: Ageberg et al. 2010, BMC Musculoskelet. Disord. 11:265; the number was set on clips and on "
         "the rendered actor",
         "Keep your front knee over its foot."),
    Rule("forward_lean", "trunk leans far forward", "lean_deg", "lean_deg", True, 8.0,
         f"{_COACHING} (upright trunk) for the rule; the number was set on clips and on the rendered actor",
         "Keep your trunk upright, and let the hips sink between your feet."),
)  # fmt: skip

LUNGE = Movement(
    "lunge",
    "lunge",
    effort,
    curves=("left_knee_flexion", "right_knee_flexion", "left_hip_flexion", "right_hip_flexion", "trunk"),
    metrics=METRICS,
    rules=RULES,
    least=0.15,
    presets=PRESETS,
)
