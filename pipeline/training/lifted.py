"""Recorded motion as the chain sees it in video: through a random camera, a pose model's errors, and the shipped lift.

What was lifted once is kept in the user's cache, for as long as the lift's weights are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline import settings
from pipeline.poses import PoseSequence
from pipeline.scoring.lift import Network, lift_with, network, stature
from pipeline.training.cameras import Noise, in_world, noisy, random_camera, resampled, view
from pipeline.training.lift_data import BLAZEPOSE_NOISE
from pipeline.training.motion_data import Motion, load

LIFTED = "+lifted"  # after the name of a source
MOST_YAW_DEG = 75.0  # exercises are filmed from the front or obliquely
_FEWEST_FRAMES = 8


def seen_by_a_camera(motion: Motion, rng: np.random.Generator, noise: Noise = BLAZEPOSE_NOISE) -> PoseSequence | None:
    """The motion at 15 frames a second as a pose model would report it from a random place in front of the person.

    Returns:
        Noisy ``xy_px`` of Kinect-13 and confidences; None when a joint was never recorded, or it is too short.
    """
    even = resampled(motion)
    if len(even) < _FEWEST_FRAMES or not (np.isfinite(even.xyz_m).all() and np.isfinite(even.root_m).all()):
        return None
    world = in_world(even)
    camera = replace(random_camera(rng, world), yaw_deg=float(rng.uniform(-MOST_YAW_DEG, MOST_YAW_DEG)))
    exact = view(world, camera)
    if not np.isfinite(exact.xy_px).all():
        return None
    flat = exact.xy_px[None].astype(np.float32)
    height_px = np.asarray(stature(flat), dtype=np.float32) * np.float32(rng.uniform(0.3, 1.2))
    xy, score = noisy(flat, noise, rng, height_px)
    return replace(exact, xy_px=xy[0].astype(np.float64), score=score[0].astype(np.float64), xyz_m=None, root_m=None)


def lifted(motion: Motion, net: Network, rng: np.random.Generator) -> Motion | None:
    """The motion as the chain knows it from video; None where ``seen_by_a_camera`` is."""
    flat = seen_by_a_camera(motion, rng)
    if flat is None:
        return None
    space = lift_with(net, flat)
    assert space.xyz_m is not None
    if not np.isfinite(space.xyz_m).all():
        return None
    return replace(
        motion, source=motion.source + LIFTED, time_s=space.time_s, xyz_m=space.xyz_m,
        root_m=np.zeros((len(space), 3)), frame_label=None,
    )  # fmt: skip


def lifted_motions(name: str, subjects: Sequence[str] | None = None, view_number: int = 0, data: Path | None = None
                   ) -> list[Motion]:  # fmt: skip
    """A data set's motions lifted from one random camera each; those that cannot be are left out.

    Args:
        name, subjects, data: as of ``motion_data.load``.
        view_number: another number, another camera and other errors for each of them.

    Raises:
        MotionDataError: the data is not here. LiftError: the lift's weights are missing.
    """
    motions = load(name, subjects, data)
    path = _cache(name, motions, view_number)
    if path.is_file():
        return _read(path, motions)
    net, made = network("temporal"), []
    for number, motion in enumerate(motions):
        made.append(lifted(motion, net, np.random.default_rng([view_number, number, 977])))
    _write(path, made)
    return [motion for motion in made if motion is not None]


def _cache(name: str, motions: Sequence[Motion], view_number: int) -> Path:
    """Where they are kept: another place for other motions, weights of the lift, or errors of the pose model."""
    key = hashlib.sha256((settings.PROJECT_DIR / "checkpoints" / "lift.safetensors").read_bytes())
    key.update(repr(BLAZEPOSE_NOISE).encode())
    key.update(repr([(motion.name, len(motion)) for motion in motions]).encode())
    folder = settings.cache_dir() / "lifted"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{view_number}-{key.hexdigest()[:16]}.npz"


def _write(path: Path, made: Iterable[Motion | None]) -> None:
    listed = list(made)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        frames=np.array([0 if motion is None else len(motion) for motion in listed]),
        time_s=np.concatenate([np.empty(0), *(motion.time_s for motion in listed if motion is not None)]),
        xyz_m=np.concatenate(
            [np.empty((0, 13, 3), dtype=np.float32)]
            + [motion.xyz_m.astype(np.float32) for motion in listed if motion is not None]
        ),
    )
    part.replace(path)


def _read(path: Path, motions: Sequence[Motion]) -> list[Motion]:
    with np.load(path) as stored:
        frames, time_s, xyz_m = stored["frames"], stored["time_s"], stored["xyz_m"].astype(np.float64)
    ends = np.cumsum(frames)
    return [
        replace(
            motion,
            source=motion.source + LIFTED,
            time_s=time_s[end - count : end],
            xyz_m=xyz_m[end - count : end],
            root_m=np.zeros((count, 3)),
            frame_label=None,
        )
        for motion, count, end in zip(motions, frames, ends, strict=True)
        if count
    ]
