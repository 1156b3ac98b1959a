"""The last stage: a score of 0 (perfect) to 4 (worst) for each repetition, how sure it is, and what cost the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.poses import Array
from pipeline.scoring.canonical import FRAMES, Canonical
from pipeline.scoring.exercises import Exercise, band
from pipeline.scoring.models import SCORERS, ScorerModel, read_scorer
from pipeline.skeletons import KINECT_13

MOMENTS = 6  # parts of a repetition that points are attributed to
MOST_REASONS = 4
LEAST_POINTS = 0.1  # a joint at a moment that costs less is no reason
_OVERLAP_FRAMES = 4  # moments fade into each other, so that a replaced one does not jump


@dataclass(frozen=True)
class Reason:
    """A joint at a moment that cost points.

    points: how much lower the score would be with the reference motion in its place (measured, not estimated).
    rule: what the movement rules say about this joint there; "" where they say nothing.
    """

    joint: str
    start_s: float
    end_s: float
    points: float
    rule: str = ""

    @property
    def time_s(self) -> float:
        """The middle of the moment."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, eq=False)
class RepetitionScore:
    """One repetition, scored.

    low, high: the interval. reasons: most points first. explained: by how much the score falls when all of them are
    put right together. costs: (13, 6) points of every joint (in the order of ``joints``) at every moment.
    """

    start_s: float
    end_s: float
    score: float
    low: float
    high: float
    band: str
    reasons: tuple[Reason, ...]
    explained: float
    joints: tuple[str, ...]
    costs: Array


@lru_cache(maxsize=4)
def scorer(design: str = SCORERS[0], folder: Path | None = None) -> ScorerModel:
    """A shipped scorer. Raises ModelMissingError."""
    return read_scorer(design, folder)


def raw_scores(model: ScorerModel, motions: Array | Sequence[Array], exercise: Exercise) -> Array:
    """(N,) scores of (N, 48, 13, 3) canonical repetitions."""
    import torch

    stack = torch.from_numpy(np.asarray(motions, dtype=np.float32))
    which = torch.full((len(stack),), exercise.position, dtype=torch.long)
    with torch.inference_mode():
        return np.asarray(model.network(stack, which).numpy(), dtype=np.float64)


def moment_weights() -> Array:
    """(6, 48) how much each frame belongs to each moment: 1 inside, fading to 0 over the neighbours, sum 1."""
    edges = np.linspace(0, FRAMES, MOMENTS + 1)
    middle = np.arange(FRAMES) + 0.5
    rise = [np.clip((middle - edge) / _OVERLAP_FRAMES + 0.5, 0, 1) for edge in edges[1:-1]]
    steps = [np.ones(FRAMES), *rise, np.zeros(FRAMES)]
    return np.stack([before - after for before, after in pairwise(steps)])


def replaced(xyz: Array, reference: Array, weight: Array) -> Array:
    """The motion (48, 13, 3) with the reference in its place where ``weight`` (48, 13) is 1."""
    return np.asarray(xyz * (1 - weight[..., None]) + reference * weight[..., None])


def score_repetition(model: ScorerModel, one: Canonical, exercise: Exercise) -> RepetitionScore:
    """Score one repetition and find what cost the points.

    A joint at a moment is replaced by the exercise's reference motion; what the score falls by is what it cost
    (occlusion, Zeiler and Fergus 2014). Joints that are free in the exercise cost nothing by construction.
    """
    reference = model.network.reference[exercise.position].double().numpy()
    weights = moment_weights()
    places = [(joint, moment) for joint in exercise.counted for moment in range(MOMENTS)]
    motions = [one.xyz]
    for joint, moment in places:
        mask = np.zeros(one.xyz.shape[:2])
        mask[:, joint] = weights[moment]
        motions.append(replaced(one.xyz, reference, mask))
    scores = raw_scores(model, motions, exercise)
    score = float(scores[0])
    costs = np.zeros((len(KINECT_13), MOMENTS))
    for (joint, moment), without in zip(places, scores[1:], strict=True):
        costs[joint, moment] = score - without
    found = _reasons(costs, one)
    together = np.zeros(one.xyz.shape[:2])
    for joint, moments in found:
        together[:, joint] += weights[list(moments)].sum(axis=0)
    explained = score - float(raw_scores(model, [replaced(one.xyz, reference, together)], exercise)[0])
    low, high = model.intervals.around(score)
    return RepetitionScore(
        float(one.time_s[0]),
        float(one.time_s[-1]),
        score,
        low,
        high,
        band(score),
        tuple(_reason(costs, one, joint, moments) for joint, moments in found),
        explained if found else 0.0,
        one.joints,
        costs,
    )


def _reasons(costs: Array, one: Canonical) -> list[tuple[int, tuple[int, ...]]]:
    """The costliest joints with the neighbouring moments that cost points in them, one stretch a joint."""
    stretches = []
    for joint in range(len(one.joints)):
        peak = int(np.argmax(costs[joint]))
        if costs[joint, peak] < LEAST_POINTS:
            continue
        first = last = peak
        while first > 0 and costs[joint, first - 1] >= costs[joint, peak] / 2:
            first -= 1
        while last + 1 < MOMENTS and costs[joint, last + 1] >= costs[joint, peak] / 2:
            last += 1
        stretches.append((joint, tuple(range(first, last + 1))))
    stretches.sort(key=lambda found: -float(costs[found[0], list(found[1])].sum()))
    return stretches[:MOST_REASONS]


def _reason(costs: Array, one: Canonical, joint: int, moments: tuple[int, ...]) -> Reason:
    duration = one.time_s[-1] - one.time_s[0]
    start, end = one.time_s[0] + duration * moments[0] / MOMENTS, one.time_s[0] + duration * (moments[-1] + 1) / MOMENTS
    return Reason(one.joints[joint], float(start), float(end), float(costs[joint, list(moments)].sum()))
