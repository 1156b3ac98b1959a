"""Random virtual cameras: recorded motion as a pinhole camera would see it, and as a pose model would report it.

``view`` gives exact 2D; ``noisy`` spoils it the way pose models spoil it, with numbers measured on rendered figures
(``measured_noise``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import KINECT_13
from pipeline.synthetic.camera import Camera
from pipeline.training.motion_data import Motion

GRID_HZ = 15.0  # the lift's own frame rate; every sequence is brought to it and back
SIZES = ((640, 480), (480, 640), (640, 360), (360, 640), (480, 480))
_MEMORY = 0.85  # of slow errors, from frame to frame
_ANKLE_M = 0.08  # height of an ankle that stands on the floor


@dataclass(frozen=True)
class Noise:
    """How a pose model errs on the joints of Kinect-13. Lengths are shares of the body's height in pixels.

    bias: (13,) standard deviation of the error that stays through a clip; drift: of the one that changes slowly;
    jitter: of the one that is new in every frame; lost: share of joints that are far off; lost_size: how far.
    """

    bias: tuple[float, ...]
    drift: tuple[float, ...]
    jitter: tuple[float, ...]
    lost: float = 0.01
    lost_size: float = 0.08
    swapped: float = 0.02

    def __post_init__(self) -> None:
        for name in ("bias", "drift", "jitter"):
            if len(getattr(self, name)) != len(KINECT_13):
                raise ValueError(f"{name} needs {len(KINECT_13)} numbers, one a joint of Kinect-13.")


def resampled(motion: Motion, hz: float = GRID_HZ) -> Motion:
    """The motion on a regular grid of ``hz``; joints that the sensor lost are bridged linearly.

    Joints that were never seen stay NaN.
    """
    if len(motion) == 0:
        return motion
    grid = np.arange(int(np.floor(motion.time_s[-1] * hz + 1e-6)) + 1) / hz

    def on_grid(values: Array) -> Array:
        flat = values.reshape(len(values), -1)
        columns = np.full((len(grid), flat.shape[1]), np.nan)
        for number in range(flat.shape[1]):
            known = np.isfinite(flat[:, number])
            if known.any():
                columns[:, number] = np.interp(grid, motion.time_s[known], flat[known, number])
        return columns.reshape(len(grid), *values.shape[1:])

    nearest = np.abs(motion.time_s[:, None] - grid[None]).argmin(axis=0)
    labels = None if motion.frame_label is None else tuple(motion.frame_label[k] for k in nearest)
    return replace(motion, time_s=grid, xyz_m=on_grid(motion.xyz_m), root_m=on_grid(motion.root_m), frame_label=labels)


def in_world(motion: Motion) -> PoseSequence:
    """The motion around the middle of a room with its feet on the floor, ready to be drawn or projected."""
    root = motion.root_m - np.array([1, 0, 1]) * np.nanmedian(motion.root_m, axis=0)
    lowest = np.nanmin(motion.xyz_m[..., 1] + root[:, None, 1], axis=1)
    root[:, 1] += _ANKLE_M - np.nanpercentile(lowest, 5)
    shape = (len(motion), len(KINECT_13))
    return PoseSequence(
        KINECT_13, motion.time_s, np.full((*shape, 2), np.nan), np.ones(shape), motion.xyz_m, (0, 0), root_m=root
    )


def random_camera(rng: np.random.Generator, world: PoseSequence) -> Camera:
    """A camera that keeps most of the motion in its picture: any side, phone to normal lens, hip to head height.

    Six of ten stand in front of the person or obliquely, as people film exercises; the others anywhere.
    """
    return camera_around(rng, reach(world))


def reach(world: PoseSequence) -> tuple[float, float, float]:
    """How low, how high and how far from the middle of the room a motion goes, in metres."""
    assert world.xyz_m is not None and world.root_m is not None
    points = world.xyz_m + world.root_m[:, None]
    low, high = np.nanpercentile(points[..., 1], (1, 99))
    across = np.nanpercentile(np.linalg.norm(points[..., (0, 2)], axis=-1), 99)
    return float(low), float(high), float(across)


def camera_around(rng: np.random.Generator, space: tuple[float, float, float]) -> Camera:
    """As ``random_camera``, for a motion with this ``reach``."""
    low, high, across = space
    size = SIZES[int(rng.integers(len(SIZES)))]
    width, height = size
    focal_mm = float(rng.uniform(24, 50))
    focal_px = focal_mm / 36.0 * max(size)
    tall = (high - low + 0.25) * focal_px / (height * rng.uniform(0.5, 0.95))
    wide = 2 * (across + 0.1) * focal_px / (width * rng.uniform(0.6, 1.0))
    distance = float(max(tall, wide, 1.5)) + across / 2
    height_m = float(rng.uniform(0.5, 1.75))
    middle = (low + high) / 2
    pitch = float(np.degrees(np.arctan2(height_m - middle, distance)) + rng.normal(0, 2.0))
    yaw = float(rng.uniform(-100, 100) if rng.random() < 0.6 else rng.uniform(-180, 180))
    return Camera(yaw, height_m, distance, float(np.clip(pitch, -30, 45)), focal_mm, size)


def view(world: PoseSequence, camera: Camera) -> PoseSequence:
    """The sequence as ``camera`` sees it: exact ``xy_px``, and ``xyz_m`` in the camera's level axes."""
    assert world.xyz_m is not None and world.root_m is not None
    pixels, _ = camera.project(world.xyz_m + world.root_m[:, None])
    turn = camera.level_axes.T
    return replace(
        world,
        xy_px=pixels,
        score=np.isfinite(pixels).all(axis=2).astype(np.float64),
        xyz_m=world.xyz_m @ turn,
        root_m=world.root_m @ turn,
        image_size=camera.size,
    )


def views(xyz_m: NDArray, root_m: NDArray, cameras: Sequence[Camera]) -> tuple[Array, Array]:
    """Many short motions, each as its own camera sees it.

    Args:
        xyz_m: (B, W, 13, 3) hip-centred; root_m: (B, W, 3) in the room; cameras: B of them.

    Returns:
        Exact pixels (B, W, 13, 2), NaN behind the lens, and the points in each camera's level axes (B, W, 13, 3).
    """
    level, axes, position = (
        np.stack([getattr(camera, name) for camera in cameras]) for name in ("level_axes", "axes", "position_m")
    )
    focal = np.array([camera.focal_px for camera in cameras])[:, None, None, None]
    middle = (np.array([camera.size for camera in cameras]) - 1)[:, None, None] / 2
    seen = np.einsum("bwjk,blk->bwjl", xyz_m + (root_m - position[:, None])[:, :, None], axes)
    away = np.where(seen[..., 2:] < -0.05, -seen[..., 2:], np.nan)
    pixels = middle + focal * seen[..., :2] * (1, -1) / away
    return pixels, np.einsum("bwjk,blk->bwjl", xyz_m, level)


def noisy(
    xy_px: NDArray, noise: Noise, rng: np.random.Generator, height_px: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Exact 2D as a pose model would report it.

    Args:
        xy_px: (B, W, 13, 2) of Kinect-13; noise: see there; rng: decides everything; height_px: (B,) the body's height.

    Returns:
        Wrong pixels of the same shape, and confidences (B, W, 13) that are low where the error is large.
    """
    batch, frames, joints, _ = xy_px.shape
    shape = (batch, frames, joints)
    bias = rng.standard_normal((batch, 1, joints, 2), dtype=np.float32) * _column(noise.bias)
    drift = _slow(rng, shape) * _column(noise.drift)
    jitter = rng.standard_normal((*shape, 2), dtype=np.float32) * _column(noise.jitter)
    lost = _runs(rng, shape, noise.lost)[..., None] * noise.lost_size * _slow(rng, shape)
    error = bias + drift + jitter + lost
    xy = xy_px + height_px[:, None, None, None] * error
    legs = _runs(rng, (batch, frames, 1), noise.swapped)  # the legs cross in a side view
    order = np.arange(joints)
    for left, right in KINECT_13.left_right[3:]:
        order[left], order[right] = right, left
    xy = np.where(legs[..., None], xy[:, :, order], xy)
    size = np.sqrt((error**2).sum(axis=3))
    score = rng.uniform(0.8, 1.0, size.shape) / (1 + np.exp((size - 0.06) / 0.02))
    return xy.astype(np.float32), score.astype(np.float32)


def _column(values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)[:, None]


def _slow(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """(B, W, 13, 2) unit-variance errors that change slowly (a first-order autoregressive process over W)."""
    slow = rng.standard_normal((*shape, 2), dtype=np.float32)
    for frame in range(1, shape[1]):
        slow[:, frame] = _MEMORY * slow[:, frame - 1] + np.sqrt(1 - _MEMORY**2) * slow[:, frame]
    return slow


def _runs(rng: np.random.Generator, shape: tuple[int, int, int], share: float, length: int = 5) -> NDArray[np.bool_]:
    """(B, W, J) True in runs of about ``length`` frames that cover ``share`` of everything."""
    starts = rng.random(shape) < share / length
    runs = np.zeros(shape, dtype=bool)
    for offset in range(min(length, shape[1])):
        runs[:, offset:] |= starts[:, : shape[1] - offset]
    return runs


def measured_noise(error: Array, clip: NDArray) -> Noise:
    """The numbers of a ``Noise`` from real errors.

    Args:
        error: (N, 13, 2) reported minus true position as shares of the body's height, NaN where unknown.
        clip: (N,) which clip each frame is of, in time order.
    """
    size = np.linalg.norm(error, axis=2)
    wild = size > 0.08
    usual = np.where(wild[..., None], np.nan, error)
    means: list[Array] = []
    changes: dict[int, list[Array]] = {1: [], 3: []}
    for number in np.unique(clip):
        part = usual[clip == number]
        means.append(np.nanmean(part, axis=0))
        for lag, found in changes.items():
            found.append(part[lag:] - part[:-lag])
    # what is new in every frame changes alike over any time; what drifts changes more over a longer one
    one, three = (np.nanvar(np.concatenate(changes[lag]), axis=0).mean(axis=1) for lag in (1, 3))
    drift = np.sqrt(np.maximum((three - one) / (2 * (_MEMORY - _MEMORY**3)), 1e-8))
    jitter = np.sqrt(np.maximum(one / 2 - (1 - _MEMORY) * drift**2, 1e-8))
    bias = np.sqrt(np.nanmean(np.stack(means) ** 2, axis=(0, 2)))
    lost_size = float(np.sqrt(np.nanmean(size[wild] ** 2) / 2)) if wild.any() else 0.08

    def listed(values: Array) -> tuple[float, ...]:
        return tuple(round(float(value), 5) for value in values)

    return Noise(listed(bias), listed(drift), listed(jitter), round(float(np.nanmean(wild)), 4), round(lost_size, 4))
