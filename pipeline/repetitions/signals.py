"""Curves that may carry a movement: joint positions seen from the body's centre, joint angles, principal components.

All are free of place and zoom: positions are relative to the hip centre and measured in trunk lengths, angles are in
radians (so one unit is about as much movement in either), and everything lies on one even time grid, whatever the
clip's frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.poses import Array, PoseSequence
from pipeline.signal import body_size_px, fill_gaps

GRID_HZ = 20.0  # twice the sampling that 0.4 s repetitions need with their second harmonic
SMOOTHING_S = 0.08  # standard deviation of the Gaussian: half of the power is left at 1.7 Hz, key-point jitter is gone
TRUNK_PER_BODY = 0.3  # trunk over stature (Winter 2009, table 4.1: 0.288 H from hip to shoulder)
MIN_JOINT_SCORE = 0.1  # a joint less sure than this on average is a guess
COMPONENTS = 3
SPACE_DIMENSIONS = 8
CUT_TRUNKS, CUT_TRUNKS_PER_S = 0.5, 6.0  # no movement carries both edges of the body further between two frames
DRIFT_S = 2.0  # slower than this is posture and place, not the repeated movement

_LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = ("nose", *(f"{side}_{joint}" for joint in _LIMB_JOINTS for side in ("left", "right")))
ANGLES = {
    "elbow": ("shoulder", "elbow", "wrist"),
    "shoulder": ("hip", "shoulder", "elbow"),
    "hip": ("shoulder", "hip", "knee"),
    "knee": ("hip", "knee", "ankle"),
}
SIDE_ANGLES = tuple(f"{side}_{name}_angle" for name in ANGLES for side in ("left", "right"))
_MEAN_ANGLES = tuple(f"{name}_angle" for name in ANGLES)
_PLACES = tuple(f"{joint}_{axis}" for joint in JOINTS for axis in "xy")
SIGNAL_NAMES = (
    *_MEAN_ANGLES,
    *SIDE_ANGLES,
    *_PLACES,
    *(f"{kind}_component_{number}" for kind in ("body", "symmetric") for number in range(1, COMPONENTS + 1)),
)


@dataclass(frozen=True, eq=False)
class Signals:
    """One person's candidate curves on an even time grid.

    Attributes:
        time_s: (N,) seconds, ``1 / GRID_HZ`` apart.
        names: S names out of ``SIGNAL_NAMES``; positions are in trunk lengths (y down), angles in radians.
        values: (N, S), NaN where the person, or what the curve needs, was not seen.
        body: (N, D) the whole posture in few dimensions; no NaN.
        symmetric: (N, E) the posture with left and right averaged, so that sides may alternate; no NaN.
        boxes: (N, 4) left, top, right, bottom of the joints in trunk lengths in the picture; NaN where not seen.
        places: (N, 13, 2) the joints of ``JOINTS`` from the centre, in trunk lengths; NaN where not seen.
        runs: (R, 2) first and one past last grid index of the stretches without a long gap or a cut.
    """

    time_s: Array
    names: tuple[str, ...]
    values: Array
    body: Array
    symmetric: Array
    boxes: Array
    places: Array
    runs: NDArray[np.int_]

    def __len__(self) -> int:
        return len(self.time_s)

    def __getitem__(self, name: str) -> Array:
        """(N,) the curve called ``name``."""
        return self.values[:, self.names.index(name)]


def candidate_signals(sequence: PoseSequence, max_gap_s: float, *, despike_s: float = 0.0) -> Signals:
    """All curves that could carry a movement of this person.

    Gaps up to ``max_gap_s`` are bridged by a straight line; a longer one, or a hard cut (the whole body jumps between
    two frames), splits the curves into runs. ``despike_s`` is the width of a running median that takes out moments in
    which the pose model saw another posture; it blunts fast movement, too.
    """
    trunk_px = TRUNK_PER_BODY * body_size_px(sequence)
    if len(sequence) < 2 or not np.isfinite(trunk_px) or trunk_px <= 0:
        return _no_signals()
    points = _points(sequence) / trunk_px
    seen = np.isfinite(points).all(axis=2).any(axis=1)
    rows = np.flatnonzero(seen)
    if len(rows) < 2:
        return _no_signals()
    points, frame_s = points[rows], sequence.time_s[rows]  # frames in which the person was seen at all
    time_s = np.arange(frame_s[0], frame_s[-1] + 1e-9, 1 / GRID_HZ)
    breaks = _breaks(points, frame_s, max_gap_s)
    points = fill_gaps(points, frame_s, max_gap_s)
    block = np.searchsorted(breaks, time_s, side="right")
    runs = _runs(block, time_s, frame_s, max_gap_s)
    grid = np.full((len(time_s), len(JOINTS), 2), np.nan)
    for start, end in runs:
        inside = _within(frame_s, breaks, time_s[start])
        even = _resampled(points[inside], frame_s[inside], time_s[start:end])
        grid[start:end] = smoothed(_despiked(even, despike_s), SMOOTHING_S)

    centre = _centre(grid)
    places = grid - centre[:, None]
    boxes = np.concatenate([np.fmin.reduce(grid, axis=1), np.fmax.reduce(grid, axis=1)], axis=1)
    angles = _angles(grid)
    means = (angles[:, 0::2] + angles[:, 1::2]) / 2
    flat = places.reshape(len(grid), -1)
    mirrored = np.concatenate([_symmetric(places), means], axis=1)
    body, symmetric = _space(flat), _space(mirrored)
    values = np.concatenate([means, angles, flat, _components(flat), _components(mirrored)], axis=1)
    hidden = ~np.isfinite(flat).any(axis=1)
    values[hidden] = np.nan
    return Signals(time_s, SIGNAL_NAMES, values, body, symmetric, boxes, places, runs)


def _no_signals() -> Signals:
    return Signals(
        np.empty(0),
        SIGNAL_NAMES,
        np.empty((0, len(SIGNAL_NAMES))),
        np.empty((0, 1)),
        np.empty((0, 1)),
        np.empty((0, 4)),
        np.empty((0, len(JOINTS), 2)),
        np.empty((0, 2), dtype=np.int_),
    )


def _points(sequence: PoseSequence) -> Array:
    """(T, 13, 2) pixels of ``JOINTS``; NaN for joints that the skeleton lacks or that are guesses throughout."""
    points = np.full((len(sequence), len(JOINTS), 2), np.nan)
    for number, joint in enumerate(JOINTS):
        if joint not in sequence.skeleton:
            continue
        score = sequence.score[:, sequence.skeleton.index(joint)]
        known = score[np.isfinite(score)]
        if known.size and known.mean() >= MIN_JOINT_SCORE:
            points[:, number] = sequence[joint]
    return points


def _breaks(points: Array, frame_s: Array, max_gap_s: float) -> Array:
    """Times at which a new run starts: after a long gap, or where the person's whole box jumps (a hard cut)."""
    step_s = np.diff(frame_s)
    low, high = np.fmin.reduce(points, axis=1), np.fmax.reduce(points, axis=1)
    jump = np.minimum(np.abs(np.diff(low, axis=0)), np.abs(np.diff(high, axis=0))).max(axis=1)
    cut = jump > CUT_TRUNKS + CUT_TRUNKS_PER_S * step_s
    return frame_s[1:][cut | (step_s > max_gap_s + 1e-9)]


def _runs(block: NDArray[np.int_], time_s: Array, frame_s: Array, max_gap_s: float) -> NDArray[np.int_]:
    after = np.minimum(np.searchsorted(frame_s, time_s - 1e-9), len(frame_s) - 1)
    gap = frame_s[after] - frame_s[np.maximum(after - 1, 0)]
    on_frame = np.abs(frame_s[after] - time_s) < 1e-6
    usable = on_frame | (gap <= max_gap_s + 1e-9)
    edges = np.flatnonzero((np.diff(block) != 0) | (np.diff(usable.astype(int)) != 0)) + 1
    bounds = np.concatenate([[0], edges, [len(time_s)]]).astype(int)
    runs = [(a, b) for a, b in pairwise(bounds.tolist()) if b - a >= 3 and usable[a:b].all()]
    return np.array(runs, dtype=np.int_).reshape(-1, 2)


def _within(frame_s: Array, breaks: Array, moment: float) -> NDArray[np.bool_]:
    """The frames between the breaks that enclose ``moment``."""
    number = int(np.searchsorted(breaks, moment, side="right"))
    start = breaks[number - 1] if number else -np.inf
    end = breaks[number] if number < len(breaks) else np.inf
    return (frame_s >= start) & (frame_s < end)


def _resampled(points: Array, frame_s: Array, time_s: Array) -> Array:
    """Linear interpolation at ``time_s``; NaN on either side of a moment gives NaN."""
    if len(frame_s) == 1:
        return np.repeat(points, len(time_s), axis=0)
    before = np.clip(np.searchsorted(frame_s, time_s, side="right") - 1, 0, len(frame_s) - 2)
    share = np.clip((time_s - frame_s[before]) / (frame_s[before + 1] - frame_s[before]), 0, 1)[:, None, None]
    first, second = points[before], points[before + 1]
    return np.where(share <= 0, first, np.where(share >= 1, second, (1 - share) * first + share * second))


def smoothed(values: Array, deviation_s: float) -> Array:
    """Gaussian smoothing along time that leaves NaN where it was and does not let it spread."""
    finite = np.isfinite(values)
    sigma = deviation_s * GRID_HZ
    weight = ndimage.gaussian_filter1d(finite.astype(float), sigma, axis=0, mode="nearest")
    smooth = ndimage.gaussian_filter1d(np.where(finite, values, 0.0), sigma, axis=0, mode="nearest")
    return np.where(finite, smooth / np.maximum(weight, 1e-9), np.nan)


def _despiked(values: Array, width_s: float) -> Array:
    """Running median of (N, J, 2) along time; NaN stays where it was and counts as the column's median elsewhere."""
    width = 2 * int(width_s * GRID_HZ / 2) + 1
    finite = np.isfinite(values)
    if width < 3 or not finite.any():
        return values
    seen = finite.any(axis=0)
    filled = values.copy()
    middle = np.nanmedian(values[:, seen], axis=0)
    filled[:, seen] = np.where(finite[:, seen], values[:, seen], middle)
    return np.where(finite, ndimage.median_filter(filled, size=(width, 1, 1), mode="nearest"), np.nan)


def _centre(grid: Array) -> Array:
    """(N, 2) hip centre; the shoulders' where no hip is ever seen, else the mean of all joints."""
    for joint in ("hip", "shoulder"):
        pair = grid[:, [JOINTS.index(f"left_{joint}"), JOINTS.index(f"right_{joint}")]]
        if np.isfinite(pair).any():
            return _nanmean(pair, axis=1)
    return _nanmean(grid, axis=1)


def _nanmean(values: Array, axis: int) -> Array:
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    return np.where(count, np.where(finite, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def _angles(grid: Array) -> Array:
    """(N, 8) inner angles of ``ANGLES`` in radians, left and right in turn."""
    columns = []
    for parts in ANGLES.values():
        for side in ("left", "right"):
            a, b, c = (grid[:, JOINTS.index(f"{side}_{part}")] for part in parts)
            u, v = a - b, c - b
            columns.append(np.abs(np.arctan2(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0], (u * v).sum(axis=1))))
    return np.stack(columns, axis=1)


def _symmetric(places: Array) -> Array:
    """(N, ...) what does not change when left and right trade places: mean heights, and distances of pairs."""
    left, right = places[:, 1::2], places[:, 2::2]
    heights = (left[..., 1] + right[..., 1]) / 2
    middles = (left[..., 0] + right[..., 0]) / 2
    apart = np.linalg.norm(left - right, axis=2)
    return np.concatenate([heights, middles, apart, places[:, 0]], axis=1)


def _known(values: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The columns that are mostly there, gaps filled with the column's median, and the rows seen at all."""
    finite = np.isfinite(values)
    seen = finite.any(axis=1)
    if not seen.any():
        return np.zeros((len(values), 1)), seen
    columns = finite[seen].mean(axis=0) >= 0.5
    if not columns.any():
        return np.zeros((len(values), 1)), seen
    chosen = values[:, columns]
    return np.where(np.isfinite(chosen), chosen, np.nanmedian(chosen, axis=0)), seen


def _space(values: Array) -> Array:
    """(N, <= SPACE_DIMENSIONS) the columns projected on their main directions; distances stay nearly the same."""
    known, seen = _known(values)
    if not seen.any():
        return np.zeros((len(values), 1))
    centred = known - known[seen].mean(axis=0)
    _, vectors = np.linalg.eigh(centred[seen].T @ centred[seen])
    return np.ascontiguousarray(centred @ vectors[:, ::-1][:, :SPACE_DIMENSIONS])


def _components(values: Array) -> Array:
    """(N, COMPONENTS) principal components of the movement, drift left out when finding their directions."""
    known, seen = _known(values)
    components = np.full((len(values), COMPONENTS), np.nan)
    if seen.any():
        moving = (known - smoothed(known, DRIFT_S))[seen]
        _, vectors = np.linalg.eigh(moving.T @ moving)
        found = ((known[seen] - known[seen].mean(axis=0)) @ vectors[:, ::-1])[:, :COMPONENTS] / np.sqrt(3.0)
        components[seen, : found.shape[1]] = found
    return components
