"""Movements that are counted and shown as curves: there are no form rules for them yet, and the report says so."""

from __future__ import annotations

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


COUNTED = (
    Movement("deadlift", "deadlift", trunk_forwards, _HIPS, metrics=tempo_metrics(("down", "pause", "up"))),
    Movement("bench_press", "bench press", shoulders_to_hands, _ARMS, metrics=tempo_metrics(("down", "pause", "up"))),
    Movement("pull_up", "pull-up", shoulders_to_hands, _ARMS, ("up", "pause", "down"),
             tempo_metrics(("up", "pause", "down"))),
    Movement("sit_up", "sit-up", trunk_height, _HIPS, ("up", "pause", "down"),
             tempo_metrics(("up", "pause", "down"))),
    Movement("front_raise", "front raise", hands_over_shoulders, _ARMS, ("up", "pause", "down"),
             tempo_metrics(("up", "pause", "down"))),
)  # fmt: skip
