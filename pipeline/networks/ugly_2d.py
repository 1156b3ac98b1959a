"""The hybrid network of the ugly-2D gate: a small picture network beside the stream of poses.

The picture network is read where the key points are, so that it can tell whether they lie on the body.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.networks.ugly_2d_shape import BODY, CROP, CROP_MARGIN, EACH, JOINTS, LEVELS, POSE


class Ugly2D(nn.Module):
    """Is a window of five frames good enough, and which of its key points are?

    Args:
        width: of the dense layers.
        dropout: of features, before the answer.
    """

    def __init__(self, width: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        near, far = 12, 24
        self.near = nn.Sequential(nn.Conv2d(1, near, 3, 2, 1), nn.BatchNorm2d(near), nn.ReLU())
        self.far = nn.Sequential(nn.Conv2d(near, far, 3, 2, 1), nn.BatchNorm2d(far), nn.ReLU(),
                                 nn.Conv2d(far, far, 3, 1, 1), nn.BatchNorm2d(far), nn.ReLU())  # fmt: skip
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * far, 24), nn.ReLU())
        self.joint = nn.Sequential(nn.Linear(EACH + near + far, width), nn.ReLU(), nn.Linear(width, 24), nn.ReLU())
        self.which = nn.Parameter(torch.zeros(JOINTS, 24))
        self.body = nn.Sequential(
            nn.Dropout(dropout / 2), nn.Linear(POSE, width), nn.ReLU(), nn.Linear(width, 40), nn.ReLU()
        )
        self.together = nn.Sequential(nn.Linear(2 * (40 + 24 + 24) + 1, width), nn.ReLU(), nn.Dropout(dropout))
        self.levels = nn.Linear(width, len(LEVELS))
        self.each = nn.Sequential(nn.Linear(width + 48, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, crops: Tensor, poses: Tensor, has_pictures: Tensor) -> Tensor:
        """The gate's logits for each window.

        Args:
            crops: (B, 5, 48, 48) grey values 0..1; poses: (B, 5, POSE); has_pictures: (B,) 0 where crops are not known.

        Returns:
            (B, 5 + 13): that the mean error is at most each of ``LEVELS``; that each key point's is at most a tenth of
            the torso.
        """
        batch, frames = poses.shape[:2]
        each = poses[..., : JOINTS * EACH].reshape(batch * frames, JOINTS, EACH)
        assert poses.shape[-1] == JOINTS * EACH + BODY
        near = self.near(crops.reshape(batch * frames, 1, CROP, CROP))
        far = self.far(near)
        there = has_pictures.repeat_interleave(frames)
        place = (each[:, :, None, :2] * (2 / CROP_MARGIN)).clamp(-1, 1)
        looked = torch.cat(
            [functional.grid_sample(layer, place, align_corners=False)[..., 0] for layer in (near, far)], dim=1
        ).transpose(1, 2)
        joints = self.joint(torch.cat([each, looked * there[:, None, None]], dim=2)) + self.which
        whole = self.whole(far) * there[:, None]
        frame = torch.cat([self.body(poses), whole.view(batch, frames, -1),
                           joints.mean(dim=1).view(batch, frames, -1)], dim=2)  # fmt: skip
        window = self.together(torch.cat([frame.mean(dim=1), frame.amax(dim=1), has_pictures[:, None]], dim=1))
        joints = joints.view(batch, frames, JOINTS, -1)
        joints = torch.cat([joints.mean(dim=1), joints.amax(dim=1)], dim=2)
        told = self.each(torch.cat([joints, window[:, None].expand(-1, JOINTS, -1)], dim=2))[..., 0]
        return torch.cat([self.levels(window), told], dim=1)
