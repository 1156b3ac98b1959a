"""What the lifting networks learn from and are measured on: windows of 2D with the 3D behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import PoseSequence
from pipeline.scoring.lift import GRID_HZ, USUAL_HEIGHT_M, WINDOW, Floats, features, stature
from pipeline.skeletons import KINECT_13
from pipeline.training.cameras import Noise, in_world, noisy, random_camera, resampled, view
from pipeline.training.detected_pairs import Pair
from pipeline.training.motion_data import Motion, load

_MIRROR = np.array([-1, 1, 1], dtype=np.float32)
_ACROSS = np.array([1, 0], dtype=np.float32)
_ORDER = list(KINECT_13.mirror_order)
# Left out of training to choose and to stop by; the data sets' held-out subjects are looked at once at the end.
VALIDATION: dict[str, tuple[str, ...]] = {
    "ui_prmd_kinect": ("7", "8"),
    "ui_prmd_vicon": ("7", "8"),
    "hdm05": ("mm",),
    "cmu": ("01", "07"),
    "precog": ("1", "2"),
}
# Windows and views of each data set in training: what is rare is seen from more sides.
_VIEWS = {"ui_prmd_kinect": 2, "ui_prmd_vicon": 1, "hdm05": 5, "cmu": 3, "precog": 3, "irds": 2}
_FEWEST_FRAMES = 8

# Measured by ``cameras.measured_noise`` on 80 training clips (without the validation's people): BlazePose on rendered
# figures. How often it exchanges the legs was not measured.
BLAZEPOSE_NOISE = Noise(
    bias=(0.015, 0.019, 0.017, 0.018, 0.015, 0.012, 0.012, 0.012, 0.011, 0.011, 0.009, 0.010, 0.010),
    drift=(0.005, 0.010, 0.010, 0.014, 0.013, 0.014, 0.014, 0.009, 0.009, 0.011, 0.011, 0.010, 0.009),
    jitter=(0.001, 0.003, 0.002, 0.003, 0.004, 0.004, 0.004, 0.003, 0.003, 0.004, 0.003, 0.004, 0.005),
    lost=0.058,
    lost_size=0.161,
    swapped=0.02,
)


@dataclass(frozen=True, eq=False)
class Windows:
    """N windows of W frames at 15 frames a second.

    xy_px: (N, W, 13, 2); score: (N, W, 13); size: (N, 2) of the picture; xyz_m: (N, W, 13, 3) the truth, scaled to a
    body of 1.70 m; scale: (N,) true metres of one of those metres; real: (N, W) False where a short sequence is
    continued by its last frame; clip: (N,) a number for each sequence, shared by its windows; source: (N,).
    """

    xy_px: Floats
    score: Floats
    size: Floats
    xyz_m: Floats
    scale: Floats
    real: NDArray[np.bool_]
    clip: NDArray[np.int64]
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.clip)

    def part(self, index: NDArray) -> Windows:
        """The windows chosen by positions or a mask."""
        return Windows(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def joined(parts: Sequence[Windows]) -> Windows:
    """All windows as one; clips keep apart. Raises ValueError when there are none."""
    if not parts:
        raise ValueError("there are no windows to join; load some motion first.")
    shifted, start = [], 0
    for part in parts:
        shifted.append(replace(part, clip=part.clip + start))
        start += int(part.clip.max(initial=-1)) + 1
    return Windows(**{f.name: np.concatenate([getattr(p, f.name) for p in shifted]) for f in fields(Windows)})


def _cut(seen: PoseSequence, truth: PoseSequence, clip: int, source: str) -> Iterator[Windows]:
    """The windows of one sequence; ``seen`` and ``truth`` are Kinect-13 on the same 15 Hz grid, ``seen`` bridged."""
    assert truth.xyz_m is not None
    frames = len(truth)
    body = float(stature(truth.xyz_m[None])[0])
    if frames < _FEWEST_FRAMES or not np.isfinite(body) or body < 0.8:
        return
    scale = body / USUAL_HEIGHT_M
    for start in range(0, max(frames - WINDOW // 2, 1), WINDOW):
        first = max(0, min(start, frames - WINDOW))
        index = np.minimum(first + np.arange(WINDOW), frames - 1)
        yield Windows(
            seen.xy_px[index][None].astype(np.float32),
            np.nan_to_num(seen.score[index])[None].astype(np.float32),
            np.array([truth.image_size], dtype=np.float32),
            (truth.xyz_m[index] / scale)[None].astype(np.float32),
            np.array([scale], dtype=np.float32),
            (first + np.arange(WINDOW) < frames)[None],
            np.array([clip]),
            np.array([source], dtype="U24"),
        )


def windows_of_motion(motions: Sequence[Motion], views: int, rng: np.random.Generator) -> list[Windows]:
    """Exact 2D of each motion from ``views`` random cameras; motions with joints that were never seen are left out."""
    found: list[Windows] = []
    for number, motion in enumerate(motions):
        even = resampled(motion, GRID_HZ)
        if len(even) < _FEWEST_FRAMES or not np.isfinite(even.xyz_m).all():
            continue
        world = in_world(even)
        for _ in range(views):
            seen = view(world, random_camera(rng, world))
            if np.isfinite(seen.xy_px).all():
                found += _cut(replace(seen, xyz_m=None), seen, number, motion.source)
    return found


def windows_of_pairs(pairs: Sequence[Pair]) -> list[Windows]:
    """Detected 2D with exact 3D; clips in which the person was hardly found are left out."""
    found: list[Windows] = []
    for number, pair in enumerate(pairs):
        flat = bridged(pair.detected.to(KINECT_13))
        if flat is not None:
            found += _cut(flat, pair.truth, number, pair.source)
    return found


def bridged(flat: PoseSequence) -> PoseSequence | None:
    """The sequence with every gap filled linearly (confidence 0); None when under half of the frames are there."""
    known = np.isfinite(flat.xy_px).all(axis=2)
    if not len(flat) or known.all(axis=1).mean() < 0.5:
        return None
    xy = np.array(flat.xy_px)
    for joint in range(xy.shape[1]):
        for axis in range(2):
            seen = known[:, joint]
            xy[:, joint, axis] = np.interp(flat.time_s, flat.time_s[seen], xy[seen, joint, axis])
    return replace(flat, xy_px=xy, score=np.where(known, np.nan_to_num(flat.score), 0.0))


def motion_windows(split: str, seed: int = 3, share: float = 1.0) -> Windows:
    """Exact 2D and truth of "train" or "validation" (subjects of ``VALIDATION``), or "test" (held-out subjects).

    share: of the motions that are used, for quick trials.
    """
    rng = np.random.default_rng([seed, ("train", "validation", "test").index(split)])
    parts: list[Windows] = []
    for name, views in _VIEWS.items():
        left_out = set(VALIDATION.get(name, ()))
        if split == "train":
            motions = [motion for motion in load(name) if motion.subject not in left_out]
        elif split == "validation":
            motions = load(name, left_out) if left_out else []
            views = 1
        else:
            motions = load(name, ("9",) if name.startswith("ui_prmd") else ("tr",)) if name in _HELD_OUT else []
            views = 1
        if len(motions) and share < 1:
            motions = [motions[k] for k in rng.choice(len(motions), max(2, int(share * len(motions))), replace=False)]
        found = windows_of_motion(motions, views, rng)
        if found:
            parts.append(joined_of_one(found))
    return joined(parts)


_HELD_OUT = ("ui_prmd_kinect", "hdm05")


def joined_of_one(found: Sequence[Windows]) -> Windows:
    """Windows whose clip numbers already belong together, as one."""
    return Windows(**{f.name: np.concatenate([getattr(p, f.name) for p in found]) for f in fields(Windows)})


def batch(
    windows: Windows,
    pairs: Windows | None,
    size: int,
    length: int,
    pair_share: float,
    noise: Noise,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """One training batch: features (B, L, 42), truth (B, L, 13, 3), real frames (B, L).

    A data set is drawn in proportion to the root of its size. Exact 2D is spoiled by ``noise`` of a random strength
    from none to one and a half times as bad. Half of the windows are mirrored; confidences are now and then withheld.

    Args:
        windows: of exact 2D; pairs: of detected 2D, or None; size: how many windows; length: consecutive frames of each
            that are kept: short parts of many windows teach more in the same time than a few whole ones.
        pair_share: of the batch that is from ``pairs``; noise: see ``cameras.Noise``; rng: decides everything.
    """
    order = [np.flatnonzero(windows.source == name) for name in np.unique(windows.source)]
    weights = np.sqrt([len(rows) for rows in order])
    from_pairs = round(size * pair_share) if pairs is not None else 0
    chosen = rng.choice(len(order), size - from_pairs, p=weights / weights.sum())
    index = np.array([rng.choice(order[k]) for k in chosen])
    part = windows.part(index)
    strength = rng.uniform(0.0, 1.5, len(index)).astype(np.float32)
    xy, score = noisy(part.xy_px, noise, rng, stature(part.xy_px).astype(np.float32) * strength)
    part = replace(part, xy_px=xy, score=score)
    if pairs is not None and from_pairs:
        part = joined([part, pairs.part(rng.integers(len(pairs), size=from_pairs))])
    withheld = rng.random(size) < 0.15
    score = np.where(withheld[:, None, None], np.float32(0.9), part.score)
    xy, score, truth = mirrored(part.xy_px, score, part.xyz_m, part.size, rng.random(size) < 0.5)
    seen = features(xy, score, part.size)
    start = rng.integers(0, np.maximum(part.real.sum(axis=1) - length, 0) + 1)
    kept = np.minimum(start[:, None] + np.arange(length), WINDOW - 1)
    rows = np.arange(size)[:, None]
    return seen[rows, kept], truth[rows, kept], part.real[rows, kept]


def mirrored(
    xy: Floats, score: Floats, truth: Floats, size_px: Floats, flip: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """The windows marked in ``flip`` (B,) as a mirror shows them: x reversed, left and right exchanged."""
    xy, score, truth = xy.copy(), score.copy(), truth.copy()
    xy[flip] = xy[flip][:, :, _ORDER] * _MIRROR[:2] + size_px[flip][:, None, None] * _ACROSS
    score[flip] = score[flip][:, :, _ORDER]
    truth[flip] = truth[flip][:, :, _ORDER] * _MIRROR
    return xy, score, truth
