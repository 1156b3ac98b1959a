"""Movements that are counted and shown as curves: there are no form rules for them yet, and the report says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.movements.base import Movement
from pipeline.movements.common import HIPS, SHOULDERS, tempo_metrics, trunk_lean
from pipeline.movements.geometry import Window
from pipeline.poses import Array

WRISTS = ("left_wrist", "right_wrist")
_ARMS = ("left_elbow_flexion", "right_elbow_flexion", "left_shoulder_flexion", "right_shoulder_flexion")
_HIPS = ("left_hip_flexion", "right_hip_flexion", "left_knee_flexion", "right_knee_flexion", "trunk")


def hands_over_shoulders(window: Window) -> Array:
    return window.heights(*WRISTS) - window.heights(*SHOULDERS)


def shoulders_to_hands(window: Window) -> Array:
    return -np.abs(hands_over_shoulders(window))


def trunk_forwards(window: Window) -> Array:
    value, _ = trunk_lean(window)
    return value


def trunk_height(window: Window) -> Array:
    return window.heights(*SHOULDERS) - window.heights(*HIPS)


def _counted(
    name: str, label: str, effort: Callable[[Window], Array], curves: tuple[str, ...], first: str, least: float
) -> Movement:
    phases = ("down", "pause", "up") if first == "down" else ("up", "pause", "down")
    return Movement(name, label, effort, curves, phases, tempo_metrics(phases), least=least)


COUNTED = (
    _counted("deadlift", "deadlift", trunk_forwards, _HIPS, "down", 15.0),
    _counted("bench_press", "bench press", shoulders_to_hands, _ARMS, "down", 0.1),
    _counted("pull_up", "pull-up", shoulders_to_hands, _ARMS, "up", 0.1),
    _counted("sit_up", "sit-up", trunk_height, _HIPS, "up", 0.15),
    _counted("front_raise", "front raise", hands_over_shoulders, _ARMS, "up", 0.2),
)
