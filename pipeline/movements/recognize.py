"""Which movement is this? Simple kinematic rules, and where none fits, the trained recogniser.

In the rules everything is taken within the repetitions that were found, in trunk lengths, so place and zoom do not
matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.poses import Array, PoseSequence
from pipeline.repetitions import Repetition

_MIN_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Guess:
    """The movement ("unknown" when nothing fits), 0..1 how sure, and why in words."""

    movement: str
    confidence: float
    reason: str


@dataclass(frozen=True)
class Features:
    """What the rules look at; lengths in trunk lengths, angles in degrees.

    trunk_deg: usual angle of the trunk from the vertical; upright_deg: the smallest; trunk_range_deg: how much it
        changes.
    hips, shoulders, hands: how far they travel vertically.
    hands_high, hands_low: largest and smallest height of the hands over the shoulders.
    hands_travel: how far the hands move in the picture.
    elbow_range_deg: change of the elbows.
    arm_range_deg: change of the upper arms' direction.
    knee_range_deg, thigh_difference: change of the knees; difference of the thighs' heights at the turning point.
    feet_range: change of the feet's distance.
    """

    trunk_deg: float
    upright_deg: float
    trunk_range_deg: float
    hips: float
    shoulders: float
    hands_high: float
    hands_low: float
    hands_travel: float
    elbow_range_deg: float
    arm_range_deg: float
    knee_range_deg: float
    thigh_difference: float
    feet_range: float


def recognize(sequence: PoseSequence, repetitions: Sequence[Repetition]) -> Guess:
    """The movement of these repetitions.

    Args:
        sequence: cleaned, from the picture or from space.
    """
    whole = [repetition for repetition in repetitions if repetition.complete] or list(repetitions)
    if not whole:
        return Guess("unknown", 0.0, "no repetition was found")
    rows = [features(sequence.between(r.start_s, r.end_s + 1e-6), r.turn_s) for r in whole[:12]]
    known = [row for row in rows if row is not None]
    if not known:
        return Guess("unknown", 0.0, "the trunk was not seen")
    columns = {name: np.array([getattr(row, name) for row in known]) for name in Features.__annotations__}
    typical = Features(**{name: _percentile(values, 50) for name, values in columns.items()})
    scores = {name: _fit(conditions) for name, conditions in _conditions(typical).items()}
    best = max(scores, key=lambda name: scores[name])
    second = max((score for name, score in scores.items() if name != best), default=0.0)
    confidence = scores[best] * (1 - 0.5 * second)
    if confidence < _MIN_CONFIDENCE:
        return Guess("unknown", 1 - scores[best], "no movement's description fits well")
    return Guess(best, confidence, "recognised by what moves and how far")


def by_network(sequence: PoseSequence) -> Guess:
    """What the trained recogniser (``pipeline.recognition``) says of a person; "unknown" without its weights, too."""
    from pipeline.recognition.classes import RecognitionError
    from pipeline.recognition.segments import recognize as named

    try:
        found = named(sequence, count=False)
    except RecognitionError as error:
        return Guess("unknown", 0.0, str(error))
    name = found.main()
    sure = [segment.confidence for segment in found.segments if segment.exercise == name]
    return Guess(name, max(sure, default=0.0), "no rule fits; named by the trained recogniser")


def _more(value: float, limit: float, width: float) -> float:
    """0..1, 0.5 at the limit: how clearly the value is above it; NaN where it is unknown."""
    if not np.isfinite(value):
        return float("nan")
    return float(1 / (1 + np.exp(-4 * (value - limit) / width)))


def _less(value: float, limit: float, width: float) -> float:
    return 1 - _more(value, limit, width)


def _fit(conditions: Sequence[float]) -> float:
    """The weakest known condition, softened by the others; each unknown one takes three tenths of the certainty."""
    known = [condition for condition in conditions if np.isfinite(condition)]
    if not known:
        return 0.0
    return float(min(known) ** 0.7 * np.mean(known) ** 0.3 * 0.7 ** (len(conditions) - len(known)))


def _conditions(f: Features) -> dict[str, tuple[float, ...]]:
    """Each movement's description as conditions that all should hold."""
    lying, upright = _more(f.upright_deg, 50, 15), _less(f.upright_deg, 40, 15)
    hands_still = _less(f.hands_travel, 0.35, 0.25)
    legs_bend = _more(f.hips, 0.13, 0.1)
    legs_still = _less(f.knee_range_deg, 45, 20)
    return {
        "push_up": (lying, _more(f.elbow_range_deg, 35, 25), _more(f.shoulders, 0.2, 0.15),
                    _less(f.hands_high, 0.1, 0.3), hands_still),
        "bench_press": (lying, _more(f.elbow_range_deg, 35, 25), _less(f.shoulders, 0.2, 0.15),
                        _more(f.hands_high, 0.4, 0.3)),
        "sit_up": (_more(f.trunk_range_deg, 30, 15), _less(f.hips, 0.3, 0.2), _more(f.shoulders, 0.35, 0.2),
                   _more(f.upright_deg + f.trunk_range_deg, 65, 15)),
        "pull_up": (upright, _more(f.hands_low, 0.0, 0.2), _more(f.shoulders, 0.3, 0.2), hands_still,
                    _more(f.hips, 0.3, 0.2)),
        "squat": (upright, legs_bend, _more(f.shoulders, 0.3, 0.2), _more(f.knee_range_deg, 35, 20),
                  _less(f.thigh_difference, 0.25, 0.2), _less(f.hands_high, 0.75, 0.3),
                  _less(f.upright_deg + f.trunk_range_deg, 82, 12)),
        "lunge": (upright, _more(f.hips, 0.2, 0.15), _more(f.thigh_difference, 0.3, 0.15),
                  _less(f.hands_high, 0.75, 0.3)),
        "deadlift": (_more(f.trunk_range_deg, 35, 15), _more(f.hands_travel, 0.5, 0.3), _less(f.hands_high, -0.3, 0.3),
                     _less(f.elbow_range_deg, 40, 20), _more(f.shoulders, 0.4, 0.2)),
        "jumping_jack": (upright, _more(f.hands_high, 0.3, 0.3), _less(f.hands_low, -0.3, 0.3),
                         _more(f.feet_range, 0.35, 0.2), _less(f.hips, 0.5, 0.2)),
        "biceps_curl": (upright, _more(f.elbow_range_deg, 60, 25), legs_still, _less(f.hands_high, 0.25, 0.2),
                        _less(f.hands_low, -0.2, 0.2), _less(f.arm_range_deg, 60, 25)),
        "overhead_press": (upright, _more(f.elbow_range_deg, 35, 25), legs_still, _more(f.hands_high, 0.6, 0.25),
                           _more(f.hands_low, -0.5, 0.25), _more(f.hands_travel - f.shoulders, 0.1, 0.2)),
        "front_raise": (upright, _less(f.elbow_range_deg, 55, 25), legs_still, _more(f.arm_range_deg, 50, 20),
                        _less(f.hands_high, 0.7, 0.3), _less(f.hands_low, -0.5, 0.25), _less(f.feet_range, 0.35, 0.2)),
    }  # fmt: skip


def features(part: PoseSequence, turn_s: float) -> Features | None:
    """One repetition's features; None when the trunk was not seen."""
    space = part.xyz_m is not None and not np.isfinite(part.xy_px).any()
    points = part.xyz_m if space and part.xyz_m is not None else part.xy_px * (1.0, -1.0)
    if len(part) < 3:
        return None

    def joint(*names: str) -> Array:
        found = [points[:, part.skeleton.index(name)] for name in names if name in part.skeleton]
        return np.mean(found, axis=0) if found else np.full_like(points[:, 0], np.nan)

    def either(*names: str) -> Array:
        return next((joint(name) for name in names if name in part.skeleton), joint())

    shoulders, hips, hands = (joint(f"left_{n}", f"right_{n}") for n in ("shoulder", "hip", "wrist"))
    trunk = shoulders - hips
    length = np.linalg.norm(trunk, axis=1)
    if not np.isfinite(length).any() or not (size := float(np.nanpercentile(length, 90))) > 0:
        return None
    left_ankle, right_ankle = either("left_ankle", "left_foot"), either("right_ankle", "right_foot")
    lean = np.degrees(np.arccos(np.clip(trunk[:, 1] / np.where(length > 0, length, np.nan), -1, 1)))
    turn = np.abs(part.time_s - turn_s) <= 0.15
    thigh = {s: (joint(f"{s}_hip") - joint(f"{s}_knee"))[:, 1] / size for s in ("left", "right")}
    hips_up = hips[:, 1] if not space else hips[:, 1] - (left_ankle + right_ankle)[:, 1] / 2
    shoulders_up = shoulders[:, 1] if not space else shoulders[:, 1] - (left_ankle + right_ankle)[:, 1] / 2
    over = (hands - shoulders)[:, 1] / size
    return Features(
        trunk_deg=_percentile(lean, 50),
        upright_deg=_percentile(lean, 5),
        trunk_range_deg=_range(lean),
        hips=_range(hips_up) / size,
        shoulders=_range(shoulders_up) / size,
        hands_high=_percentile(over, 95),
        hands_low=_percentile(over, 5),
        hands_travel=float(max(_range(hands[:, axis]) for axis in range(hands.shape[1]))) / size,
        elbow_range_deg=_both(_range(_bend(joint(f"{s}_shoulder"), joint(f"{s}_elbow"), joint(f"{s}_wrist")))
                              for s in ("left", "right")),
        arm_range_deg=_both(_range(_bend(joint(f"{s}_hip"), joint(f"{s}_shoulder"), joint(f"{s}_elbow")))
                            for s in ("left", "right")),
        knee_range_deg=_both(_range(_bend(joint(f"{s}_hip"), joint(f"{s}_knee"), either(f"{s}_ankle", f"{s}_foot")))
                             for s in ("left", "right")),
        thigh_difference=abs(_percentile((thigh["left"] - thigh["right"])[turn], 50)),
        feet_range=_range(np.linalg.norm(left_ankle - right_ankle, axis=1)) / size,
    )  # fmt: skip


def _both(values: Iterable[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _bend(first: Array, middle: Array, last: Array) -> Array:
    u, v = first - middle, last - middle
    norm = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    return np.degrees(np.arccos(np.clip((u * v).sum(axis=1) / np.where(norm > 0, norm, np.nan), -1, 1)))


def _percentile(values: Array, percent: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, percent)) if len(known) else float("nan")


def _range(values: Array) -> float:
    return _percentile(values, 95) - _percentile(values, 5)
