"""What happens to windows in training: other cameras, and the mistakes that pose models make.

Arrays are (N, T, J, D): windows, samples, joints, dimensions, in shares of the frame's box. ``core`` says where the
thirteen core joints are among the J, in the order of ``windows.CORE``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
ROLL_DEG = 6.0  # standard deviation of the camera's roll
STRETCH = 0.2  # the same of the logarithm of the picture's aspect, which a box has lost
KEYSTONE = 0.05  # the same of the change of scale from one side of a box to the other
_OUT_OF_PLACE = 0.35  # standard deviation of a joint's jump, in boxes


def tilted(xy: Points, rng: np.random.Generator) -> Points:
    """(N, T, J, 2) rolled, stretched, and larger towards one side, as a near camera sees it."""
    count = len(xy)
    turn = np.radians(rng.normal(0, ROLL_DEG, count))
    stretch = np.exp(rng.normal(0, STRETCH, count))
    shear = np.stack([np.cos(turn), -np.sin(turn) * stretch, np.sin(turn) / stretch, np.cos(turn)], axis=-1)
    out = np.einsum("nij,ntkj->ntki", shear.reshape(-1, 2, 2).astype(np.float32), xy - 0.5).astype(np.float32)
    key = rng.normal(0, KEYSTONE, (count, 2)).astype(np.float32)
    out *= 1 + np.einsum("nj,ntkj->ntk", key, out)[..., None]
    return np.asarray(out + 0.5, np.float32)


def noise(shape: tuple[int, ...], exact: NDArray[np.bool_], rng: np.random.Generator) -> Points:
    """Jitter from frame to frame and a wandering error, each joint on its own; shares of the box.

    ``exact`` (N,): what was projected from space gets more.
    """
    count, samples, joints, dimensions = shape
    level = np.where(exact, rng.gamma(2.0, 0.008, count), rng.gamma(2.0, 0.003, count))
    level = level[:, None] * rng.gamma(2.0, 0.5, (count, joints))
    knots = rng.standard_normal((count, samples // 6 + 2, joints, dimensions), np.float32)
    at, share = np.divmod(np.arange(samples) / 6, 1)
    share, at = share[:, None, None].astype(np.float32), at.astype(int)
    slow = knots[:, at] * (1 - share) + knots[:, at + 1] * share
    quick = rng.standard_normal(shape, np.float32)
    constant = rng.standard_normal((count, 1, joints, dimensions), np.float32)
    return np.asarray((quick * 0.5 + slow * 0.8 + constant) * level[:, None, :, None], np.float32)


def with_slips(points: Points, core: NDArray[np.int64], rng: np.random.Generator) -> Points:
    """Joints that jump or land on another one for some frames, sides taken for one another, frames held."""
    count, samples = points.shape[:2]
    for row in np.flatnonzero(rng.random(count) < 0.12):
        for _ in range(rng.integers(1, 4)):
            start = rng.integers(samples)
            end, joint = start + rng.integers(1, 6), rng.choice(core)
            if rng.random() < 0.5:
                points[row, start:end, joint, :2] += rng.normal(0, _OUT_OF_PLACE, 2).astype(np.float32)
            else:
                points[row, start:end, joint] = points[row, start:end, rng.choice(core)]
    left, right = core[1::2], core[2::2]
    for row in np.flatnonzero(rng.random(count) < 0.08):
        limbs = (slice(0, 3), slice(3, 6), slice(0, 6))[rng.integers(3)]
        start, end = (0, samples) if rng.random() < 0.4 else np.sort(rng.integers(0, samples + 1, 2))
        both, other = np.r_[left[limbs], right[limbs]], np.r_[right[limbs], left[limbs]]
        part = points[row, start:end]
        part[:, both] = part[:, other]
    for row in np.flatnonzero(rng.random(count) < 0.1):
        step = int(rng.integers(2, 5))
        points[row] = points[row][np.arange(samples) // step * step]
    return points


def with_missing(points: Points, core: NDArray[np.int64], rng: np.random.Generator) -> Points:
    """Lost joints (an ankle, both legs, an arm), short gaps, and windows that begin late or end early."""
    count, samples = points.shape[:2]
    legs, feet = core[9:], core[11:]
    for row in np.flatnonzero(rng.random(count) < 0.25):
        kind = rng.integers(4)
        lost = [feet, legs, core[[rng.integers(13)]], core[:1]][kind]
        start, end = np.sort(rng.integers(0, samples + 1, 2)) if rng.random() < 0.5 else (0, samples)
        points[row, start:end, lost] = np.nan
    for row in np.flatnonzero(rng.random(count) < 0.2):
        start = rng.integers(0, samples)
        points[row, start : start + rng.integers(2, 12)] = np.nan
    for row in np.flatnonzero(rng.random(count) < 0.25):
        less = rng.integers(4, samples // 2)
        points[row, slice(0, less) if rng.random() < 0.5 else slice(samples - less, samples)] = np.nan
    return points
