"""What a canonical repetition may look like from another camera, sensor and trimming: for training only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Variation:
    """How far repetitions are varied.

    turn_deg: left over of the camera's direction after the turn to the front.
    tilt_deg: of the camera.
    offset: constant error of each joint in trunk lengths; wander: slowly changing error.
    crop: share of the repetition by which its ends may be cut wrong.
    warp: uneven speed.
    """

    turn_deg: float = 15.0
    tilt_deg: float = 7.0
    offset: float = 0.03
    wander: float = 0.03
    crop: float = 0.08
    warp: float = 0.15


def varied(xyz: Tensor, how: Variation, generator: torch.Generator) -> Tensor:
    """(N, F, J, 3) repetitions, each varied at random."""
    n, frames, joints, _ = xyz.shape

    def uniform(most: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * most

    def normal(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=generator)

    def turned(a: Tensor, b: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
        cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
        return cosine * a + sine * b, cosine * b - sine * a

    x, y, z = xyz.unbind(-1)
    x, z = turned(x, z, uniform(math.radians(how.turn_deg)))
    y, z = turned(y, z, uniform(math.radians(how.tilt_deg)))
    wander = torch.nn.functional.interpolate(normal(joints * 3, 8), frames, mode="linear")
    moved = torch.stack([x, y, z], -1) + how.offset * normal(1, joints, 3)
    moved = moved + how.wander * wander.view(n, joints, 3, frames).permute(0, 3, 1, 2)
    share = torch.linspace(0, 1, frames)[None]
    start, end = uniform(how.crop)[:, None], 1 + uniform(how.crop)[:, None]
    share = start + (end - start) * share + uniform(how.warp)[:, None] * torch.sin(math.pi * share) / math.pi
    place = share.clamp(0, 1) * (frames - 1)
    below = place.floor().long().clamp(max=frames - 2)
    part = (place - below)[..., None, None]
    index = below[..., None, None].expand(-1, -1, joints, 3)
    return moved.gather(1, index) * (1 - part) + moved.gather(1, index + 1) * part


def blended(xyz: Tensor, target: Tensor, group: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of the repetitions mixed with another of the same group (exercise and verdict): people in between.

    After mixup (Zhang et al. 2018), but never across exercises or verdicts.
    """
    order = torch.argsort(group.float() + torch.rand(len(group), generator=generator) * 0.5)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    same = group == group[partner]
    share = torch.rand(len(group), generator=generator) * 0.5
    share = torch.where(same & (torch.rand(len(group), generator=generator) < 0.5), share, torch.zeros_like(share))
    wide = share[:, None, None, None]
    return xyz * (1 - wide) + xyz[partner] * wide, target * (1 - share) + target[partner] * share


class Styles:
    """How each person does each exercise on average, to let one person's repetition be done in another's style.

    With eight people, networks take the way that somebody stands and moves for a fault; this makes many people of them.
    """

    def __init__(self, xyz: Tensor, exercise: Tensor, person: Tensor, usual: Tensor) -> None:
        """xyz (N, F, J, 3); exercise, person: (N,) numbers from 0; usual: (N,) True for what shows the style."""
        people = int(person.max()) + 1 if len(person) else 1
        found, self._own = torch.unique(exercise * people + person, return_inverse=True)
        rows = [self._own == group for group in range(len(found))]
        self._mean = torch.stack([xyz[own & usual if (own & usual).any() else own].mean(dim=0) for own in rows])
        of = found // people
        self._first = torch.searchsorted(of, exercise)
        self._count = torch.searchsorted(of, exercise, right=True) - self._first

    def exchanged(self, xyz: Tensor, chosen: Tensor, most: float, generator: torch.Generator) -> Tensor:
        """(B, F, J, 3), the ``chosen`` (B,) of all repetitions, moved up to ``most`` of the way to other styles."""

        def somebody() -> Tensor:
            share = torch.rand(len(chosen), generator=generator)
            return self._mean[self._first[chosen] + (share * self._count[chosen]).long()]

        def how_far() -> Tensor:
            return most * torch.rand(len(chosen), 1, 1, 1, generator=generator)

        one, two = somebody(), somebody()
        towards = how_far() * (one - self._mean[self._own[chosen]])
        return xyz + towards + 0.7 * (2 * how_far() - most) * (one - two)
