"""The exercises that can be recognised, under the names that the Movement Analyzer uses."""

from __future__ import annotations

UNKNOWN = "unknown"
EXERCISES: dict[str, str] = {
    "squat": "Squat",
    "push_up": "Push-up",
    "pull_up": "Pull-up",
    "sit_up": "Sit-up",
    "jumping_jack": "Jumping jack",
    "lunge": "Lunge",
    "front_raise": "Front raise",
    "bench_press": "Bench press",
    "biceps_curl": "Biceps curl",
    "overhead_press": "Overhead press",
}
CLASSES: tuple[str, ...] = (*EXERCISES, UNKNOWN)


class RecognitionError(ValueError):
    """Something asked of the recognition that it cannot do; the message says what to do."""


def label(exercise: str) -> str:
    """The exercise in words."""
    return EXERCISES.get(exercise, "No known exercise")
