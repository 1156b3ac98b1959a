"""Measurements that several movements share, each ready to be a ``Metric``'s ``measure``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from pipeline.movements.base import Measured, Metric, ReadingSide
from pipeline.movements.geometry import SIDES, Estimate, PlaneName, Side, Unmeasurable, Window
from pipeline.poses import Array

SHOULDERS = ("left_shoulder", "right_shoulder")
HIPS = ("left_hip", "right_hip")
IMPLAUSIBLE_TILT_DEG = 30.0  # shoulders or hips that tilt more than this were not really seen
PERSPECTIVE_DEG = 8.0  # from an angle, leaning forwards brings one end of a line nearer to the camera, and tilts it
Pick = Literal["median", "highest", "lowest"]
SideMeasure = Callable[[Window, Side], tuple[Estimate, tuple[str, ...]]]


def by_side(measure: SideMeasure) -> Callable[[Window], Measured]:
    """The sides that the view shows, each measured by itself, and their mean as "both"."""

    def sides(window: Window) -> Measured:
        found: dict[ReadingSide, tuple[Estimate, tuple[str, ...]]] = {}
        reasons = []
        for side in window.sides():
            try:
                found[side] = measure(window, side)
            except Unmeasurable as reason:
                reasons.append(str(reason))
        if not found:
            raise Unmeasurable(reasons[0])
        return {**found, "both": mean_of(list(found.values()))}

    return sides


def mean_of(parts: list[tuple[Estimate, tuple[str, ...]]]) -> tuple[Estimate, tuple[str, ...]]:
    """The mean of the sides; its error holds half of their difference, since they should agree."""
    values = np.array([estimate.value for estimate, _ in parts])
    errors = np.array([estimate.error for estimate, _ in parts])
    error = float(np.sqrt((errors**2).sum()) / len(parts))
    time_s = float(np.mean([estimate.time_s for estimate, _ in parts]))
    clarity = float(np.mean([estimate.clarity for estimate, _ in parts]))
    joints = tuple(dict.fromkeys(joint for _, names in parts for joint in names))
    return Estimate(float(values.mean()), error, time_s, clarity), joints


def difference_of_sides(measure: SideMeasure) -> Callable[[Window], Measured]:
    """How much left and right differ; needs a view that shows both."""

    def difference(window: Window) -> Measured:
        if window.near_side is not None:
            raise Unmeasurable("from the side the body hides its far half")
        (left, left_joints), (right, right_joints) = (measure(window, side) for side in SIDES)
        estimate = Estimate(
            abs(left.value - right.value),
            float(np.hypot(left.error, right.error)),
            (left.time_s + right.time_s) / 2,
            min(left.clarity, right.clarity),
        )
        return {"both": (estimate, left_joints + right_joints)}

    return difference


def trunk_lean(window: Window, plane: PlaneName = "sagittal") -> tuple[Array, Array]:
    """(T,) degrees of the trunk from the vertical and its error, which holds the disagreement of the two shoulders.

    The shoulders are level from the side, so the trunk's two sides lean alike; where something hides them, the model
    guesses, and they don't.
    """
    value, error = window.inclination(plane, HIPS, SHOULDERS)
    if plane == "sagittal" and not window.space:
        left, _ = window.inclination(plane, HIPS, SHOULDERS[:1])
        right, _ = window.inclination(plane, HIPS, SHOULDERS[1:])
        expected = 20.0 * window.plane(plane).cotangent  # the width of the shoulders, seen from an angle
        error = np.hypot(error, np.maximum(np.abs(left - right) / 2 - expected, 0.0))
    return value, error


def lean_at_turn(window: Window) -> Measured:
    """Trunk lean at the turning point."""
    value, error = trunk_lean(window)
    joints = SHOULDERS + HIPS
    if window.view == "side":
        window.whole("sagittal", SHOULDERS, HIPS, window.bottom)
    return {"both": (window.at(value, error, joints, window.bottom), joints)}


def lean_swing(window: Window) -> Measured:
    """By how much the trunk's lean changes within the repetition: a swing with the whole body."""
    value, error = trunk_lean(window)
    joints = SHOULDERS + HIPS
    high = window.at(value, error, joints, pick="highest")
    low = window.at(value, error, joints, pick="lowest")
    rest = float(np.nanmedian(value[window.rest])) if np.isfinite(value[window.rest]).any() else low.value
    time_s = high.time_s if high.value - rest > rest - low.value else low.time_s
    return {"both": (Estimate(high.value - low.value, high.error * 0.7, time_s, high.clarity), joints)}


def elbow(window: Window, side: Side) -> tuple[Array, Array]:
    """(T,) inner angle of the elbow in degrees (180 straight), in the plane that the view shows better."""
    return window.bend(best_plane(window), f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")


def elbow_at_turn(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """Inner angle of the elbow at the turning point."""
    value, error = elbow(window, side)
    return window.at(value, error, arm(side), window.bottom), arm(side)


def lowered(window: Window, *names: str) -> Array:
    """(T,) how far the middle of these joints is below its highest place, in trunk lengths."""
    height = window.heights(*names)
    return np.asarray(np.nanmax(height) - height) if np.isfinite(height).any() else height


def hands_above_shoulders(window: Window) -> Array:
    """(T,) how far the hands are above the shoulders, in trunk lengths."""
    return window.heights("left_wrist", "right_wrist") - window.heights(*SHOULDERS)


def best_plane(window: Window) -> PlaneName:
    """The plane that is seen more squarely."""
    if window.space:
        return "sagittal"
    return "sagittal" if abs(np.sin(np.radians(window.yaw_deg))) >= np.sqrt(0.5) else "frontal"


def arm(side: Side) -> tuple[str, ...]:
    return (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")


def change_of_line(window: Window, names: tuple[str, str], frames: Pick = "median") -> Measured:
    """By how much a line from right to left tilts at the turning point, against where the repetition begins and ends.

    The change does not depend on a tilted camera. Positive: the left end goes up.
    """
    plane = window.plane("frontal")
    right, left = names
    vector = window.track("frontal", left) - window.track("frontal", right)
    tilt = np.degrees(np.arctan2(vector[:, 1], vector[:, 0]))
    length = np.maximum(np.linalg.norm(vector, axis=1), 1e-6)
    columns = [window.skeleton.index(name) for name in names]
    noise = np.degrees(np.sqrt((plane.error[:, columns] ** 2).sum(axis=1)) / length)
    noise = np.hypot(noise, PERSPECTIVE_DEG * plane.cotangent)
    start = tilt[window.rest]
    if not np.isfinite(start).any():
        raise Unmeasurable("the beginning of the repetition was not seen")
    joints = (right, left)
    found = window.at(tilt - np.nanmedian(start), noise, joints, window.bottom, frames)
    if abs(found.value) > IMPLAUSIBLE_TILT_DEG:
        raise Unmeasurable("the key points don't fit a body seen from the front")
    return {"both": (Estimate(abs(found.value), found.error, found.time_s, found.clarity), joints)}


def tempo_metrics(phases: tuple[str, str, str]) -> tuple[Metric, ...]:
    """Seconds of each phase, as information."""

    def seconds(name: str) -> Callable[[Window], Measured]:
        def measure(window: Window) -> Measured:
            for phase in window.phases:
                if phase.name == name:
                    return {"both": (Estimate(phase.end_s - phase.start_s, 0.07, phase.start_s, 1.0), ())}
            raise Unmeasurable("the phases of this repetition are not clear")

        return measure

    return tuple(
        Metric(f"{name}_s", f"seconds {name}", "s", seconds(name), information=True) for name in dict.fromkeys(phases)
    )
