"""The hybrid network of the ugly-2D gate: a small picture network beside the stream of poses."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.networks.ugly_2d_shape import CROP, MOTION, POSE


class Ugly2D(nn.Module):
    """Is a window of five frames good enough, and how many of its key points?"""

    def __init__(self, width: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        channels = (1, 8, 16, 32)
        self.pictures = nn.Sequential(
            *(
                layer
                for a, b in pairwise(channels)
                for layer in (nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU())
            ),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * channels[-1], 24),
            nn.ReLU(),
        )
        self.poses = nn.Sequential(nn.Linear(POSE + MOTION, width), nn.ReLU(), nn.Linear(width, 40), nn.ReLU())
        self.together = nn.Sequential(
            nn.Linear(2 * (40 + 24) + 1, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 2)
        )

    def forward(self, crops: Tensor, poses: Tensor, has_pictures: Tensor) -> Tensor:
        """The gate's two logits for each window.

        Args:
            crops: (B, 5, 48, 48) grey values 0..1; poses: (B, 5, 66); has_pictures: (B,) 0 where crops are not known.

        Returns:
            (B, 2): goodness (the error is at most a tenth of the torso), confidence (the share of joints for which
            that is so).
        """
        batch, frames = poses.shape[:2]
        seen = self.pictures(crops.reshape(batch * frames, 1, CROP, CROP)).reshape(batch, frames, -1)
        seen = seen * has_pictures[:, None, None]
        both = torch.cat([self.poses(poses), seen], dim=2)
        whole = torch.cat([both.mean(dim=1), both.amax(dim=1), has_pictures[:, None]], dim=1)
        return self.together(whole)
