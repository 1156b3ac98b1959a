"""Angles and distances of a canonical repetition, as somebody who looks at it would name them: what the trees ask for.

A signal that needs a free joint is zero, so that moving that joint changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pipeline.skeletons import KINECT_13

MOMENTS = 16
_J = {joint: number for number, joint in enumerate(KINECT_13.joints)}
_SIDES = ("left", "right")
_FAR = 1e-6


def signals(xyz: Tensor, counted: Tensor) -> Tensor:
    """(N, F, S) signals: angles in degrees, places and distances in trunk lengths, x left, y up, z forward.

    Args:
        xyz: (N, F, 13, 3) canonical.
        counted: (N, 13) 1 where a joint counts, 0 where it is free.
    """
    found = [value * counted[:, [_J[joint] for joint in joints]].amin(dim=1)[:, None] for value, joints in _named(xyz)]
    return torch.stack(found, dim=-1)


def summary(curves: Tensor) -> Tensor:
    """(N, 25 S) of (N, F, S) signals, F a multiple of 16: how far, how unevenly, when, and their course.

    Of each signal: largest, smallest, range, spread; spread and peak of its change between sixteenths; when it is
    largest and smallest (0..1); how far it goes above and below its value at rest; the means of fifteen sixteenths less
    that of the first.
    """
    moments = curves.unflatten(1, (MOMENTS, -1)).mean(dim=2)
    change = moments[:, 1:] - moments[:, :-1]
    rest = (curves[:, :3].mean(dim=1) + curves[:, -3:].mean(dim=1)) / 2
    high, low, last = curves.amax(dim=1), curves.amin(dim=1), curves.shape[1] - 1
    whole = [
        high, low, high - low, curves.std(dim=1), change.std(dim=1), change.abs().amax(dim=1),
        curves.argmax(dim=1) / last, curves.argmin(dim=1) / last, high - rest, low - rest,
    ]  # fmt: skip
    return torch.cat([torch.stack(whole, dim=1), moments[:, 1:] - moments[:, :1]], dim=1).flatten(1)


def _named(xyz: Tensor) -> Iterator[tuple[Tensor, tuple[str, ...]]]:
    """Every signal (N, F) and the joints that it needs."""

    def at(joint: str) -> Tensor:
        return xyz[:, :, _J[joint]]

    def both(part: str) -> tuple[str, str]:
        return f"left_{part}", f"right_{part}"

    def middle(part: str) -> Tensor:
        return (at(f"left_{part}") + at(f"right_{part}")) / 2

    trunk = middle("shoulder") - middle("hip")
    ends = (*both("shoulder"), *both("hip"))
    yield from ((value, ends) for value in _tilts(trunk))
    for part in ("shoulder", "hip"):
        across = at(f"left_{part}") - at(f"right_{part}")
        yield across[..., 1], both(part)
        yield torch.rad2deg(torch.atan2(across[..., 2], across[..., 0])), both(part)
    for side in _SIDES:
        leg = tuple(f"{side}_{part}" for part in ("hip", "knee", "foot"))
        yield from _limb(at, leg, f"{side}_shoulder")
        yield from ((value, leg) for value in _beside_line(*(at(joint) for joint in leg)))
        yield from _limb(at, tuple(f"{side}_{part}" for part in ("shoulder", "elbow", "hand")), f"{side}_hip")
    apart = [at(f"left_{part}") - at(f"right_{part}") for part in ("knee", "foot")]
    wide = [value.norm(dim=-1) for value in apart]
    legs = (*both("knee"), *both("foot"))
    yield from ((value, legs) for value in (*wide, wide[0] / (wide[1] + 0.1), *(value[..., 1] for value in apart)))
    over = middle("shoulder") - middle("foot")
    yield from ((over[..., axis], (*both("shoulder"), *both("foot"))) for axis in (0, 2))
    yield (middle("knee") - middle("foot"))[..., 2], legs


def _limb(
    at: Callable[[str], Tensor], joints: tuple[str, ...], before: str
) -> Iterator[tuple[Tensor, tuple[str, ...]]]:
    """A limb's two bends and its two bones' tilts, and where its middle and its end are."""
    root, bend, end = joints
    yield _angle(at(root) - at(bend), at(end) - at(bend)), joints
    yield _angle(at(before) - at(root), at(bend) - at(root)), (before, root, bend)
    yield from ((value, joints) for value in _tilts(at(root) - at(bend)))
    yield from ((value, joints) for value in _tilts(at(bend) - at(end)))
    yield from ((at(joint)[..., axis], joints) for joint in (bend, end) for axis in range(3))


def _tilts(bone: Tensor) -> tuple[Tensor, Tensor]:
    """How far a bone leans forwards and to the left, -90..90: unlike angles in a plane, these never jump."""
    way = bone / bone.norm(dim=-1, keepdim=True).clamp(min=_FAR)
    return torch.rad2deg(torch.asin(way[..., 2].clamp(-1, 1))), torch.rad2deg(torch.asin(way[..., 0].clamp(-1, 1)))


def _beside_line(hip: Tensor, knee: Tensor, foot: Tensor) -> tuple[Tensor, Tensor]:
    """How far the knee is to the left and in front of the line from hip to foot."""
    line = foot - hip
    share = (((knee - hip) * line).sum(-1) / line.square().sum(-1).clamp(min=_FAR)).clamp(0, 1)
    beside = knee - hip - share[..., None] * line
    return beside[..., 0], beside[..., 2]


def _angle(one: Tensor, other: Tensor) -> Tensor:
    cosine = (one * other).sum(-1) / (one.norm(dim=-1) * other.norm(dim=-1)).clamp(min=_FAR)
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
