"""Frame trimming: where in a clip the exercise is done, and where each repetition begins and ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.poses import Array
from pipeline.scoring.canonical import facing, filled, standard_lengths
from pipeline.scoring.models import TrimModel, read_trimmer

GRID_HZ = 15.0
SHORTEST_REPETITION_S = 0.7
LONGEST_GAP_S = 0.4  # shorter interruptions of an exercise are none
_SHORTEST_SEGMENT_S = 0.7


@dataclass(frozen=True)
class Segment:
    """A stretch of the exercise; ``repetitions`` are (start, end) in seconds, one after the other."""

    start_s: float
    end_s: float
    repetitions: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Trimmed:
    """What the trimmer says: (G,) times and probabilities on its grid, and the segments."""

    time_s: Array
    active: Array
    begins: Array
    segments: tuple[Segment, ...]

    @property
    def repetitions(self) -> tuple[tuple[float, float], ...]:
        """All repetitions in time order."""
        return tuple(repetition for segment in self.segments for repetition in segment.repetitions)


@lru_cache(maxsize=2)
def trimmer(folder: Path | None = None) -> TrimModel:
    """The shipped trimmer. Raises ModelMissingError."""
    return read_trimmer(folder)


def prepared(xyz_m: Array, time_s: Array) -> tuple[Array, Array]:
    """(G,) times at 15 Hz and (G, 13, 3) poses as the network sees them. Raises CanonicalError."""
    points = standard_lengths(facing(filled(xyz_m, time_s)))
    grid = np.arange(time_s[0], time_s[-1] + 1e-9, 1 / GRID_HZ)
    flat = points.reshape(len(points), -1)
    sampled = np.stack([np.interp(grid, time_s, column) for column in flat.T], axis=1)
    return grid, sampled.reshape(len(grid), *points.shape[1:])


def trim(model: TrimModel, xyz_m: Array, time_s: Array) -> Trimmed:
    """Find the exercise in (T, 13, 3) metres at (T,) seconds.

    Frames without any joint are taken for not exercising. Raises CanonicalError when a joint is never seen.
    """
    import torch

    known = np.isfinite(xyz_m).any(axis=(1, 2))
    if known.sum() < 2:
        return Trimmed(np.empty(0), np.empty(0), np.empty(0), ())
    grid, points = prepared(xyz_m[known], time_s[known])
    with torch.inference_mode():
        answer = torch.sigmoid(model.network(torch.from_numpy(points[None].astype(np.float32))))[0].numpy()
    active, begins = answer.astype(np.float64).T
    nearest = np.abs(grid[:, None] - time_s[known][None]).min(axis=1)
    active = np.where(nearest <= 0.5, active, 0.0)
    return Trimmed(grid, active, begins, segments_of(grid, active, begins, model.active, model.begins))


def segments_of(
    grid: Array, active: Array, begins: Array, threshold: float, begins_threshold: float
) -> tuple[Segment, ...]:
    """Segments and repetitions of the frame-wise probabilities."""
    found: list[tuple[int, int]] = []
    for first, last in _runs(active >= threshold):
        if found and grid[first] - grid[found[-1][1]] < LONGEST_GAP_S:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    step = 1 / GRID_HZ
    return tuple(
        Segment(float(grid[first]), float(grid[last] + step), _repetitions(grid, begins, first, last, begins_threshold))
        for first, last in found
        if grid[last] + step - grid[first] >= _SHORTEST_SEGMENT_S
    )


def _runs(on: np.ndarray) -> list[tuple[int, int]]:
    """First and last position of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _repetitions(
    grid: Array, begins: Array, first: int, last: int, threshold: float
) -> tuple[tuple[float, float], ...]:
    """The segment cut where a repetition begins: peaks of ``begins``, none too near another or an end."""
    from scipy.signal import find_peaks

    apart = max(1, round(SHORTEST_REPETITION_S * GRID_HZ))
    inside = begins[first : last + 1]
    peaks, _ = find_peaks(np.concatenate([[0.0], inside, [0.0]]), height=threshold, distance=apart)
    cuts = [first + int(p) - 1 for p in peaks]
    cuts = [cut for cut in cuts if cut - first >= apart and last - cut >= apart]
    ends = [first, *cuts, last + 1]
    times = [float(grid[k]) if k < len(grid) else float(grid[-1]) for k in ends]
    return tuple(pairwise(times))
