"""The score that the scorers learn: derived from UI-PRMD, because nobody graded its repetitions.

It is not a clinician's grade. A repetition's distance is how far it lies from correct repetitions of the same movement
by *other* people, in canonical form (view, height and bone lengths taken out), over the joints that count. As in Liao,
Vakanski and Xian 2020 (IEEE TNSRE 28(2), "A deep learning framework for assessing physical rehabilitation
exercises"), a person's incorrect repetitions are judged against the same person's correct ones, and correct and
incorrect repetitions have scoring functions of their own: 0 is as near as that person's correct repetitions usually
are, incorrect ones begin at 1, and 4 is where the worst 2.5 % of incorrect ones lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.scoring.exercises import WORST_SCORE

NEIGHBOURS = 10  # correct repetitions that a distance is averaged over
INCORRECT_FROM = 1.0  # what UI-PRMD calls incorrect scores at least this
_WORST_QUANTILE = 0.975


def between(a: Array, b: Array) -> Array:
    """(N, M) root mean square distances of the joints of (N, F, J, 3) and (M, F, J, 3), in trunk lengths."""
    points = a.shape[1] * a.shape[2]
    left, right = a.reshape(len(a), points * 3), b.reshape(len(b), points * 3)
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * left @ right.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / points))


def distance(xyz: Array, correct: Array, counted: tuple[int, ...]) -> Array:
    """(N,) mean distance to the nearest ``NEIGHBOURS`` correct repetitions, in trunk lengths.

    Args:
        xyz: (N, 48, 13, 3) canonical repetitions; correct: (M, 48, 13, 3) correct ones by other people.
        counted: joints that count. NaN where there is no correct repetition.
    """
    if not len(correct):
        return np.full(len(xyz), np.nan)
    joints = list(counted)
    nearest = np.sort(between(xyz[:, :, joints], correct[:, :, joints]), axis=1)[:, :NEIGHBOURS]
    return np.asarray(nearest.mean(axis=1))


def distances_to_others(xyz: Array, subject: NDArray[np.str_], incorrect: NDArray[np.bool_], counted: tuple[int, ...]
                        ) -> Array:  # fmt: skip
    """(N,) each repetition's distance to the correct ones of all other people; one exercise at a time."""
    found = np.full(len(xyz), np.nan)
    for who in np.unique(subject):
        own = subject == who
        found[own] = distance(xyz[own], xyz[~own & ~incorrect], counted)
    return found


@dataclass(frozen=True)
class Anchors:
    """Where an exercise's scale begins and ends, in trunk lengths.

    usual: the median distance of correct repetitions. worst: how much further the worst incorrect ones lie.
    """

    usual: float
    worst: float

    def formula(self, distances: Array) -> Array:
        """The score of somebody whose correct repetitions nobody knows: 0 at ``usual``, 4 at ``worst`` beyond."""
        return np.asarray(np.clip((distances - self.usual) / self.worst, 0, 1) * WORST_SCORE)


def derived(distances: Array, subject: NDArray[np.str_], incorrect: NDArray[np.bool_]) -> tuple[Array, Anchors]:
    """The target of every repetition of one exercise, and the exercise's anchors.

    Args:
        distances: (N,) of ``distances_to_others``.
        subject: (N,) who; incorrect: (N,) what the data set says.

    Returns:
        (N,) scores 0..4: with e the distance beyond the median of the same person's correct repetitions and w the
        97.5 % quantile of e over incorrect ones, correct: min(4 e / w, 1), incorrect: 1 + 3 min(e / w, 1).
    """
    usual = float(np.median(distances[~incorrect])) if (~incorrect).any() else 0.0
    beyond = np.empty(len(distances))
    for who in np.unique(subject):
        own = subject == who
        correct = own & ~incorrect
        beyond[own] = distances[own] - (np.median(distances[correct]) if correct.any() else usual)
    beyond = np.maximum(beyond, 0.0)
    worst = max(float(np.quantile(beyond[incorrect], _WORST_QUANTILE)) if incorrect.any() else 0.0, 1e-3)
    share = np.minimum(beyond / worst, 1.0)
    scores = np.where(
        incorrect,
        INCORRECT_FROM + (WORST_SCORE - INCORRECT_FROM) * share,
        np.minimum(WORST_SCORE * share, INCORRECT_FROM),
    )
    return scores, Anchors(usual, worst)
