"""From a person's poses to windows in seconds: landmarks on an even clock, each frame scaled to its own box.

The box is that of the thirteen core joints, which every skeleton of the house has. So landmarks in pixels, landmarks
that were already scaled to the box of all 33 points (RepCount), and COCO-17 key points give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import BLAZEPOSE_33

RATE_HZ = 15.0  # quick enough for jumping jacks (about 1 Hz), and no more than the slowest camera that is promised
WINDOW = 48  # samples: 3.2 s, at least one slow repetition
HOP = 8  # samples between two windows: 0.53 s
MAX_GAP_S = 0.35  # a longer time without the person stays missing
MIN_CORE = 7  # of 13: a box of fewer joints is the box of a limb
HELD = 0.06  # of the box: the third most moving joint goes less far in somebody who holds still, jitter included
MIN_SEEN = 15  # samples of a window: with less than a second nothing is said

CORE: tuple[str, ...] = (
    "nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
CORE_INDEX = np.array([BLAZEPOSE_33.index(joint) for joint in CORE])
_MIRROR = np.array(BLAZEPOSE_33.mirror_order)


@dataclass(frozen=True, eq=False)
class Clock:
    """A person on the even clock.

    Attributes:
        first: number of the first sample; sample ``n`` is at ``n / RATE_HZ`` seconds, so a stream and a clip agree.
        points: (S, 33, 3) landmarks as they came (pixels, or metres), y down, z away from the camera; NaN missing.
    """

    first: int
    points: NDArray[np.floating]

    @property
    def time_s(self) -> Array:
        """(S,) seconds of the samples."""
        return (self.first + np.arange(len(self.points))) / RATE_HZ


def landmarks(sequence: PoseSequence) -> Array:
    """(T, 33, 3) the BlazePose landmarks that the sequence has: x, y of the picture (y down), z away from the camera.

    Depth is that of ``xyz_m``; without it NaN. A sequence that is only in space is seen from its front.
    """
    whole = sequence.to(BLAZEPOSE_33)
    points = np.full((len(whole), len(BLAZEPOSE_33), 3), np.nan)
    points[..., :2] = whole.xy_px
    if whole.xyz_m is not None:
        points[..., 2] = -whole.xyz_m[..., 2]
        if not np.isfinite(whole.xy_px).any():
            points[..., :2] = whole.xyz_m[..., :2] * (1, -1)
    return points


def on_clock(sequence: PoseSequence) -> Clock:
    """The landmarks at ``RATE_HZ``, linear between frames at most ``MAX_GAP_S`` apart (NaN elsewhere)."""
    return resampled(sequence.time_s, landmarks(sequence))


def resampled(time_s: Array, points: Array) -> Clock:
    """The same for bare landmarks: (T,) seconds and (T, 33, 3) points, NaN missing."""
    if not len(time_s):
        return Clock(0, np.empty((0, *points.shape[1:])))
    first = int(np.ceil(time_s[0] * RATE_HZ - 1e-6))
    last = int(np.floor(time_s[-1] * RATE_HZ + 1e-6))
    grid = np.arange(first, last + 1) / RATE_HZ
    flat = np.asarray(points, dtype=np.float64).reshape(len(time_s), -1)
    out = np.full((len(grid), flat.shape[1]), np.nan)
    patterns, which = np.unique(np.isfinite(flat), axis=1, return_inverse=True)
    for number, known in enumerate(patterns.T):
        columns = np.flatnonzero(which.ravel() == number)
        rows = np.flatnonzero(known)
        if not len(rows):
            continue
        after = np.clip(np.searchsorted(time_s[rows], grid - 1e-9), 0, len(rows) - 1)
        before = np.clip(after - 1, 0, None)
        exact = np.abs(time_s[rows][after] - grid) < 1e-6
        before = np.where(exact, after, before)
        span = time_s[rows][after] - time_s[rows][before]
        inside = (grid >= time_s[rows][before] - 1e-6) & (grid <= time_s[rows][after] + 1e-6) & (span <= MAX_GAP_S)
        share = np.divide(grid - time_s[rows][before], span, out=np.zeros_like(grid), where=span > 0)[:, None]
        values = flat[np.ix_(rows, columns)]
        mixed = values[before] * (1 - share) + values[after] * share
        out[np.ix_(inside, columns)] = mixed[inside]
    return Clock(first, out.reshape(len(grid), *points.shape[1:]))


def boxed(points: NDArray[np.floating], core_index: NDArray[np.int64] = CORE_INDEX) -> NDArray[np.float32]:
    """Each frame in its own box: (..., J, D) with the core joints spanning 0..1 in each dimension.

    A frame with fewer than ``MIN_CORE`` core joints is missing; a dimension without extent or never seen is NaN.

    Args:
        points: (..., J, D), the 33 landmarks unless ``core_index`` says where the core joints are.
    """
    points = np.asarray(points, dtype=np.float32)
    core = points[..., core_index, :]
    seen = np.isfinite(core)
    low = np.where(seen, core, np.inf).min(axis=-2, keepdims=True)
    high = np.where(seen, core, -np.inf).max(axis=-2, keepdims=True)
    usable = (seen[..., :2].all(axis=-1).sum(axis=-1) >= MIN_CORE)[..., None, None] & (high > low)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (points - low) / np.where(usable, high - low, np.nan)
    return np.asarray(np.clip(scaled, -3.0, 4.0), dtype=np.float32)


def mirrored(box_points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Boxed points as a mirror shows them: x reversed, left and right exchanged."""
    flipped = np.array(box_points[..., _MIRROR, :], dtype=np.float32)
    flipped[..., 0] = 1.0 - flipped[..., 0]
    return flipped


def window_centres(first: int, last: int) -> NDArray[np.int64]:
    """The samples, multiples of ``HOP``, that windows are centred on: from the one before to the one after a clip."""
    return np.arange(first // HOP, -(-last // HOP) + 1) * HOP


def cut(clock: Clock, centres: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, WINDOW, 33, 3) boxed windows around the samples; NaN outside the clip."""
    scaled = boxed(clock.points) if len(clock.points) else np.empty((0, len(BLAZEPOSE_33), 3), np.float32)
    around = np.full((len(scaled) + 2 * WINDOW, *scaled.shape[1:]), np.nan, np.float32)
    around[WINDOW : WINDOW + len(scaled)] = scaled
    starts = np.asarray(centres, dtype=np.int64) - WINDOW // 2 - clock.first + WINDOW
    starts = np.clip(starts, 0, len(scaled) + WINDOW)
    return np.asarray(around[starts[:, None] + np.arange(WINDOW)])


def held(windows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N,) where a boxed window (N, T, 33, 3) shows somebody who hardly moves.

    The way of a joint is that between the low and the high tenth of its places; a joint that was never seen has none.
    In the validation films 99.5 % of the windows of held postures are below ``HELD``, and 2 % of those of exercises.
    """
    core = np.asarray(windows[:, :, CORE_INDEX, :2], dtype=np.float32)
    seen = np.isfinite(core)
    middle = np.where(seen, core, 0).sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    ranked = np.sort(np.where(seen, core, middle), axis=1)
    edge = round(core.shape[1] / 10)
    way = np.linalg.norm(ranked[:, -1 - edge] - ranked[:, edge], axis=2)
    return np.asarray(np.sort(way, axis=1)[:, -3] < HELD)


def seen_frames(windows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N, T) where a frame of a boxed window is there at all."""
    return np.isfinite(windows[..., CORE_INDEX, :2]).all(axis=-1).sum(axis=-1) >= MIN_CORE
