"""The push-up: depth at the elbows, and a straight line from shoulders to feet."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.movements.base import Metric, Movement, Rule, RuleParameters
from pipeline.movements.common import SHOULDERS, arm, by_side, lowered, tempo_metrics
from pipeline.movements.geometry import Estimate, Side, Unmeasurable, Window
from pipeline.poses import Array


@dataclass(frozen=True)
class PushUpParameters(RuleParameters):
    """When a push-up is called faulty.

    elbow_deg: inner angle of the elbow at the lowest point; 90 is asked for, 10 more for the error of the key points.
    sag_deg: the hips hang below the line from shoulders to knees, against where the repetition begins.
    pike_deg: the hips stick up above that line.
    """

    elbow_deg: float = 100.0
    sag_deg: float = 14.0
    pike_deg: float = 35.0


UPRIGHT_DEG = 35.0  # the trunk from the vertical; hands on a bench leave it at 50 or more

PRESETS = MappingProxyType(
    {
        "beginner": PushUpParameters(elbow_deg=115.0, sag_deg=20.0, pike_deg=45.0),
        "standard": PushUpParameters(),
        "strict": PushUpParameters(elbow_deg=90.0, sag_deg=10.0, pike_deg=25.0),
    }
)


def effort(window: Window) -> Array:
    """(T,) how far the shoulders are below their highest place, in trunk lengths."""
    return lowered(window, *SHOULDERS)


def lying(window: Window, side: Side) -> None:
    """Raises Unmeasurable when somebody stands up in between: no push-up, whatever was asked for."""
    trunk, _ = window.inclination("sagittal", (f"{side}_hip",), (f"{side}_shoulder",))
    known = np.abs(trunk[np.isfinite(trunk)])
    if len(known) and np.percentile(known, 10) < UPRIGHT_DEG:
        raise Unmeasurable("the body is upright")


def elbow_at_turn(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """Inner angle of the elbow at the lowest point."""
    lying(window, side)
    value, error = window.bend("sagittal", *arm(side))
    return window.at(value, error, arm(side), window.bottom), arm(side)


def _line(window: Window, side: Side) -> tuple[Array, Array, tuple[str, ...]]:
    """(T,) degrees by which the hip is above (positive) or below the straight line, its error, and the joints.

    To the knee, not to the ankle: feet are often outside the picture.
    """
    joints = (f"{side}_shoulder", f"{side}_hip", f"{side}_knee")
    trunk, trunk_error = window.inclination("sagittal", joints[1:2], joints[:1])
    thigh, thigh_error = window.inclination("sagittal", joints[2:], joints[1:2])
    lying(window, side)
    return trunk - thigh, np.hypot(trunk_error, thigh_error), joints


def sag(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """The most by which the hips drop below the line, in degrees, against the best moment of the repetition.

    Models place the hip joint off the line by some degrees, differently for everybody; so the straightest tenth of the
    repetition is taken as straight, unless it sags itself.
    """
    value, error, joints = _line(window, side)
    worst = window.at(value, error, joints, pick="lowest")
    best = window.at(value, error, joints, pick="highest")
    return Estimate(min(best.value, 0.0) - worst.value, worst.error, worst.time_s, worst.clarity), joints


def pike(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """By how much the hips stick up above the line most of the time, in degrees."""
    value, error, joints = _line(window, side)
    return window.at(value, error, joints), joints


METRICS = (
    Metric("elbow_deg", "elbow angle at the lowest point", "°", by_side(elbow_at_turn), 20.0),
    Metric("sag_deg", "hips below the body's line", "°", by_side(sag), 12.0),
    Metric("pike_deg", "hips above the body's line", "°", by_side(pike), 12.0),
    *tempo_metrics(("down", "pause", "up")),
)
RULES = (
    Rule("shallow", "not low enough", "elbow_deg", "elbow_deg", True, 15.0,
         "90° push-up of the FITNESSGRAM test (Plowman and Meredith 2013); the margin was set on clips",
         "Go down until your elbows are bent to a right angle."),
    Rule("sagging_hips", "hips sag", "sag_deg", "sag_deg", True, 8.0,
         "straight back: FITNESSGRAM test (Plowman and Meredith 2013); the number was set on clips",
         "Tighten your stomach, so that chest and hips rise together."),
    Rule("hips_high", "hips too high", "pike_deg", "pike_deg", True, 10.0,
         "straight back: FITNESSGRAM test (Plowman and Meredith 2013); the number was set on clips",
         "Lower your hips until shoulders, hips and knees are in one line."),
)  # fmt: skip

PUSH_UP = Movement(
    "push_up",
    "push-up",
    effort,
    curves=("left_elbow_flexion", "right_elbow_flexion", "left_hip_flexion", "right_hip_flexion", "trunk"),
    metrics=METRICS,
    rules=RULES,
    least=0.1,
    presets=PRESETS,
)
