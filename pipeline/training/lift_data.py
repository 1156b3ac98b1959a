"""What the lifting networks learn from and are measured on: windows of 2D with the 3D behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import PoseSequence
from pipeline.scoring.lift import GRID_HZ, USUAL_HEIGHT_M, WINDOW, Floats, features, stature
from pipeline.skeletons import KINECT_13
from pipeline.training.cameras import (
    Noise,
    camera_around,
    in_world,
    noisy,
    random_camera,
    reach,
    resampled,
    view,
    views,
)
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
# IntelliRehabDS is left out: its people lean 8 degrees towards the sensor (the others 2), which is how that stood.
DATA_SETS = ("ui_prmd_kinect", "ui_prmd_vicon", "hdm05", "cmu", "precog")
_FEWEST_FRAMES = 8
_BORROWED = 0.5  # of the projected windows have the errors of a drawn clip
_HELD = 0.25  # of the projected windows have a body that keeps still, but for a limb or two
_EXACT = 0.15  # of them have exact 2D, as have key points that were drawn or corrected by hand
_STEADY = 0.15  # of them have errors that do not change, as has somebody who keeps still before a pose model
_CONFIDENT = 0.9  # where confidences are withheld or the 2D is exact
_SMALLEST_BODY_M = 0.8

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
    continued by its last frame; clip: (N,) a number for each sequence, shared by its windows; source: (N,);
    error: (N, W, 13, 2) reported minus exact 2D in body heights (0 for exact 2D).
    """

    xy_px: Floats
    score: Floats
    size: Floats
    xyz_m: Floats
    scale: Floats
    real: NDArray[np.bool_]
    clip: NDArray[np.int64]
    source: NDArray[np.str_]
    error: Floats

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
    if frames < _FEWEST_FRAMES or not np.isfinite(body) or body < _SMALLEST_BODY_M:
        return
    scale = body / USUAL_HEIGHT_M
    height_px = max(float(stature(truth.xy_px[None])[0]), 1.0)
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
            ((seen.xy_px - truth.xy_px)[index] / height_px)[None].astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class Tracks:
    """S recorded motions at 15 frames a second, one after the other, to be seen by a new camera every time.

    xyz_m: (F, 13, 3) hip-centred, in metres; root_m: (F, 3) in the room; first and frames: (S,) where each begins and
    how long it is; scale: (S,) see ``Windows``; reach: (S, 3) see ``cameras.reach``; source: (S,).
    """

    xyz_m: Floats
    root_m: Floats
    first: NDArray[np.int64]
    frames: NDArray[np.int64]
    scale: Floats
    reach: Floats
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.first)


def tracks_of(motions: Sequence[Motion]) -> Tracks:
    """The motions as tracks; those that are too short or have joints that were never seen are left out.

    Raises ValueError when none is left.
    """
    kept, scales, spaces, sources = [], [], [], []
    for motion in motions:
        even = resampled(motion, GRID_HZ)
        if len(even) < _FEWEST_FRAMES or not np.isfinite(even.xyz_m).all():
            continue
        body = float(stature(even.xyz_m[None])[0])
        if body < _SMALLEST_BODY_M:
            continue
        world = in_world(even)
        kept.append(world)
        scales.append(body / USUAL_HEIGHT_M)
        spaces.append(reach(world))
        sources.append(motion.source)
    if not kept:
        raise ValueError("there is no motion to learn from; load some with at least half a second of whole bodies.")
    frames = np.array([len(world) for world in kept])
    return Tracks(
        np.concatenate([world.xyz_m for world in kept if world.xyz_m is not None]).astype(np.float32),
        np.concatenate([world.root_m for world in kept if world.root_m is not None]).astype(np.float32),
        np.cumsum(frames) - frames,
        frames,
        np.array(scales, dtype=np.float32),
        np.array(spaces, dtype=np.float32),
        np.array(sources, dtype="U24"),
    )


def seen_anew(tracks: Tracks, count: int, rng: np.random.Generator) -> Windows:
    """``count`` windows of random moments of random tracks, of bodies with other proportions, by random cameras.

    A data set is drawn in proportion to the root of its length, a track within it in proportion to its length.
    """
    weight = tracks.frames.astype(np.float64)
    for name in np.unique(tracks.source):
        mine = tracks.source == name
        weight[mine] /= np.sqrt(weight[mine].sum())
    rows = rng.choice(len(tracks), count, p=weight / weight.sum())
    start = rng.integers(0, np.maximum(tracks.frames[rows] - WINDOW, 0) + 1)
    inside = start[:, None] + np.arange(WINDOW)
    frame = tracks.first[rows, None] + np.minimum(inside, tracks.frames[rows, None] - 1)
    before, root = held(tracks, frame, rng)
    points = other_proportions(before, rng)
    scale = tracks.scale[rows] * (stature(points) / stature(before)).astype(np.float32)
    cameras = [camera_around(rng, (float(low), float(high), float(far))) for low, high, far in tracks.reach[rows]]
    pixels, truth = views(points, root, cameras)
    whole = np.isfinite(pixels).all(axis=(1, 2, 3))
    found = Windows(
        np.nan_to_num(pixels).astype(np.float32),
        np.ones(pixels.shape[:3], dtype=np.float32),
        np.array([camera.size for camera in cameras], dtype=np.float32),
        (truth / scale[:, None, None, None]).astype(np.float32),
        scale,
        inside < tracks.frames[rows, None],
        rows,
        tracks.source[rows],
        np.zeros(pixels.shape, dtype=np.float32),
    )
    if whole.all():
        return found
    return found.part(rng.choice(np.flatnonzero(whole), count))


def held(tracks: Tracks, frame: NDArray[np.int64], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Points (B, W, 13, 3) and roots (B, W, 3) of these frames (B, W), of which some bodies are held still.

    Half of those move between two moments of the window, before and after which they keep still; the others never do.
    Of most of them arms or legs go on moving. Nobody in the recordings keeps as still as a body that is drawn.
    """
    points, root = tracks.xyz_m[frame], tracks.root_m[frame]
    rows = np.flatnonzero(rng.random(len(frame)) < _HELD)
    moves = np.sort(rng.integers(frame.shape[1], size=(len(rows), 2)), axis=1)
    moves[: len(rows) // 2, 1] = moves[: len(rows) // 2, 0]
    at = frame[rows[:, None], np.clip(np.arange(frame.shape[1]), moves[:, :1], moves[:, 1:])]
    still = tracks.xyz_m[at]
    limbs = points[rows] - points[rows][:, :, _HUNG_FROM] + still[:, :, _HUNG_FROM]
    free = _FREE[rng.integers(len(_FREE), size=len(rows))]
    points[rows], root[rows] = np.where(free[:, None, :, None], limbs, still), tracks.root_m[at]
    return points, root


def other_proportions(xyz_m: Floats, rng: np.random.Generator, spread: float = 0.06) -> Floats:
    """Bodies (B, W, 13, 3) in the same poses with bones that are a few per cent longer or shorter, alike on both sides.

    spread: standard deviation of each bone's factor, 1 in the middle.
    """
    bones = xyz_m - xyz_m[:, :, _PARENT] * _HAS_PARENT
    hips = xyz_m[:, :, 7:9].mean(axis=2)
    middle = xyz_m[:, :, 1:3].mean(axis=2)
    bones[:, :, 0] = xyz_m[:, :, 0] - middle
    bones[:, :, 1:3] -= middle[:, :, None]
    bones[:, :, 7:9] -= hips[:, :, None]
    factor = 1 + spread * np.clip(rng.standard_normal((len(xyz_m), 8), dtype=np.float32), -2.5, 2.5)
    bones *= factor[:, None, _BONE, None]
    points = bones.copy()
    middle = factor[:, None, 7, None] * (middle - hips)
    points[:, :, :3] += middle[:, :, None]
    for joint in (3, 4, 5, 6, 9, 10, 11, 12):
        points[:, :, joint] += points[:, :, _PARENT[joint]]
    return points


# Of Kinect-13: head and shoulders hang from the shoulders' middle, the hips from theirs, the rest from these.
_PARENT = np.array([0, 0, 0, 1, 2, 3, 4, 0, 0, 7, 8, 9, 10])
_HAS_PARENT = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1], dtype=np.float32)[:, None]
_BONE = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6])
# The joint that a limb hangs from; and what of a body that is held may move: nothing, both arms, one of them, the legs.
_HUNG_FROM = np.array([0, 1, 2, 1, 2, 1, 2, 7, 8, 7, 8, 7, 8])
_FREE = np.array(
    [np.isin(np.arange(13), limbs) for limbs in ([], [], [3, 4, 5, 6], [3, 4, 5, 6], [3, 5], [4, 6], [9, 10, 11, 12])]
)


def windows_of_motion(motions: Sequence[Motion], rng: np.random.Generator) -> list[Windows]:
    """Exact 2D of each motion from a random camera; motions with joints that were never seen are left out."""
    found: list[Windows] = []
    for number, motion in enumerate(motions):
        even = resampled(motion, GRID_HZ)
        if len(even) < _FEWEST_FRAMES or not np.isfinite(even.xyz_m).all():
            continue
        world = in_world(even)
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


def motion_tracks(share: float = 1.0, seed: int = 3) -> Tracks:
    """Everything that may be trained on: without ``VALIDATION`` and the held-out subjects.

    share: of the motions that are used, for quick trials.
    """
    motions: list[Motion] = []
    for name in DATA_SETS:
        left_out = VALIDATION.get(name, ())
        motions += _share([motion for motion in load(name) if motion.subject not in left_out], share, seed)
    return tracks_of(motions)


def motion_windows(split: str, seed: int = 3, share: float = 1.0) -> Windows:
    """Exact 2D and truth of "validation" (subjects of ``VALIDATION``) or "test" (held-out subjects).

    UI-PRMD's Kinect sequences and HDM05, each from one random camera; share: of the motions that are used.
    """
    rng = np.random.default_rng([seed, ("train", "validation", "test").index(split)])
    parts: list[Windows] = []
    for name, held_out in (("ui_prmd_kinect", ("9",)), ("hdm05", ("tr",))):
        motions = load(name, VALIDATION[name] if split == "validation" else held_out)
        parts.append(joined_of_one(windows_of_motion(_share(motions, share, seed), rng)))
    return joined(parts)


def _share(motions: list[Motion], share: float, seed: int) -> list[Motion]:
    if share >= 1 or not motions:
        return motions
    rng = np.random.default_rng(seed)
    return [motions[k] for k in rng.choice(len(motions), max(2, int(share * len(motions))), replace=False)]


def joined_of_one(found: Sequence[Windows]) -> Windows:
    """Windows whose clip numbers already belong together, as one."""
    return Windows(**{f.name: np.concatenate([getattr(p, f.name) for p in found]) for f in fields(Windows)})


def batch(
    tracks: Tracks,
    pairs: Windows | None,
    size: int,
    length: int,
    pair_share: float,
    noise: Noise,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """One training batch: features (B, L, 42), truth (B, L, 13, 3), real frames (B, L).

    Exact 2D is spoiled by ``noise`` of a random strength from none to one and a half times as bad, or, where there are
    ``pairs``, half of it by what the pose model really did to another clip; some of it stays exact, and of some the
    errors do not change. Half of the windows are mirrored; confidences are now and then withheld.

    Args:
        tracks: see ``seen_anew``; pairs: of detected 2D, or None; size: how many windows; length: consecutive frames of
            each that are kept: short parts of many windows teach more in the same time than a few whole ones.
        pair_share: of the batch that is from ``pairs``; noise: see ``cameras.Noise``; rng: decides everything.
    """
    from_pairs = round(size * pair_share) if pairs is not None else 0
    part = seen_anew(tracks, size - from_pairs, rng)
    strength = rng.uniform(0.0, 1.5, len(part)).astype(np.float32)
    height_px = stature(part.xy_px).astype(np.float32)
    xy, score = noisy(part.xy_px, noise, rng, height_px * strength)
    if pairs is not None and len(pairs):
        lent = np.flatnonzero(rng.random(len(part)) < _BORROWED)
        rows = rng.integers(len(pairs), size=len(lent))
        much = height_px[lent] * rng.uniform(0.5, 1.2, len(lent)).astype(np.float32)
        xy[lent] = part.xy_px[lent] + much[:, None, None, None] * pairs.error[rows]
        score[lent] = pairs.score[rows]
    kind = rng.random(len(part))
    exact, steady = kind < _EXACT, (kind >= _EXACT) & (kind < _EXACT + _STEADY)
    xy[exact], score[exact] = part.xy_px[exact], np.float32(_CONFIDENT)
    xy[steady] = part.xy_px[steady] + (xy[steady] - part.xy_px[steady])[:, :1]
    score[steady] = score[steady][:, :1]
    part = replace(part, xy_px=xy, score=score)
    if pairs is not None and from_pairs:
        part = joined([part, pairs.part(rng.integers(len(pairs), size=from_pairs))])
    withheld = rng.random(size) < 0.15
    score = np.where(withheld[:, None, None], np.float32(_CONFIDENT), part.score)
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
