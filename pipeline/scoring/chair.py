"""A squat, or sitting down on a chair? No key point shows the chair; what carries the body at its lowest does.

Without a chair the weight has to stay over the feet. Who sits has it behind them: the feet in front, the shins upright,
and the trunk, which leaned forward on the way, straightens. So a measured balance decides, and not which of two learned
motions, recorded of ten people, is the more alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.anthropometry import centre_of_mass
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import KINECT_13

SQUAT, SITTING = "deep_squat", "sit_to_stand"
EVIDENCE = ("weight_over_feet", "straightening_deg", "shin_lean_deg", "feet_forward")
SITS_FROM = (
    0.9  # in doubt it is a squat, the commoner film: seen from the front, a lift may put the weight behind the feet
)
_LOWEST = 0.15  # of the frames, those with the hips nearest to the feet
_J = {joint: number for number, joint in enumerate(KINECT_13.joints)}


@dataclass(frozen=True)
class Chair:
    """A logistic regression on ``EVIDENCE``: learned on UI-PRMD's squats and sittings (stage ``bad_3d``)."""

    weights: tuple[float, ...]
    bias: float

    def sits(self, repetitions: Sequence[Array]) -> bool:
        """Whether these canonical repetitions are sitting down, by the median of their chances; False for none."""
        return bool(repetitions) and bool(np.median([self.chance(one) for one in repetitions]) >= SITS_FROM)

    def chance(self, xyz: Array) -> float:
        """That the (F, 13, 3) canonical repetition is sitting down, 0..1."""
        return float(1 / (1 + np.exp(-(evidence(xyz) @ np.array(self.weights) + self.bias))))


def evidence(xyz: Array) -> Array:
    """(4,) of an (F, 13, 3) canonical repetition (finite, one frame or more), at its lowest: see ``EVIDENCE``.

    weight_over_feet: how far the centre of mass (de Leva 1996) is in front of the ankles, trunk lengths.
    straightening_deg: how much less the trunk leans forward than at its most. shin_lean_deg: forward from the vertical.
    feet_forward: how far the ankles are in front of the hips, trunk lengths.
    """
    shoulder, knee, foot = (
        (xyz[:, _J[f"left_{part}"]] + xyz[:, _J[f"right_{part}"]]) / 2 for part in ("shoulder", "knee", "foot")
    )
    frames = len(xyz)
    poses = PoseSequence(KINECT_13, np.arange(float(frames)), xyz[..., :2], np.ones(xyz.shape[:2]), xyz, (1, 1))
    mass = centre_of_mass(poses, space=True)
    lowest = foot[:, 1] >= np.quantile(foot[:, 1], 1 - _LOWEST)
    lean = np.degrees(np.arctan2(shoulder[:, 2], shoulder[:, 1]))
    shin = np.degrees(np.arctan2(knee[:, 2] - foot[:, 2], knee[:, 1] - foot[:, 1]))
    return np.array(
        [
            (mass - foot)[lowest, 2].mean(),
            lean.max() - lean[lowest].mean(),
            shin[lowest].mean(),
            foot[lowest, 2].mean(),
        ]
    )
