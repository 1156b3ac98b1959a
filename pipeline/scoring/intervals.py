"""How sure a score is: conformal intervals from people that the network never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.scoring.exercises import WORST_SCORE

EDGES = (0.75, 1.75)  # scores between which the error differs


@dataclass(frozen=True)
class Intervals:
    """Half widths of the interval for low, middle and high scores, with the share that they are made to cover.

    Split conformal prediction (Vovk, Gammerman and Shafer 2005), one quantile a stratum of the score (Mondrian), on
    scores of people left out of the training (cross-conformal). ``measured`` is the coverage of people left out of the
    quantiles, too.
    """

    half_width: tuple[float, ...]
    coverage: float
    measured: float

    def around(self, score: float) -> tuple[float, float]:
        """The interval of a score, within 0..4."""
        half = self.half_width[int(np.searchsorted(EDGES, score, side="right"))]
        return max(0.0, score - half), min(WORST_SCORE, score + half)

    @classmethod
    def fitted(cls, score: Array, target: Array, subject: NDArray[np.str_], coverage: float = 0.9) -> Self:
        """From held-out scores and their targets (N,); the people tell how well it covers somebody new."""
        covered = []
        for who in np.unique(subject):
            own = subject == who
            half = np.array(_half_widths(score[~own], target[~own], coverage))
            covered.append(np.abs(score[own] - target[own]) <= half[np.searchsorted(EDGES, score[own], side="right")])
        measured = float(np.concatenate(covered).mean()) if covered else float("nan")
        return cls(_half_widths(score, target, coverage), coverage, measured)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"half_width": list(self.half_width), "coverage": self.coverage, "measured": self.measured}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The inverse of ``to_json``."""
        return cls(tuple(values["half_width"]), values["coverage"], values["measured"])


def _half_widths(score: Array, target: Array, coverage: float) -> tuple[float, ...]:
    error, stratum = np.abs(score - target), np.searchsorted(EDGES, score, side="right")
    halves = []
    for number in range(len(EDGES) + 1):
        own = error[stratum == number]
        own = own if len(own) >= 10 else error
        if not len(own):
            halves.append(WORST_SCORE)
            continue
        level = min(1.0, np.ceil((len(own) + 1) * coverage) / len(own))
        halves.append(float(np.quantile(own, level, method="higher")))
    return tuple(halves)
