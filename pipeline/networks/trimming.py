"""The trimmer: which frames of a clip show the exercise, and where a repetition begins."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Trimmer(nn.Module):
    """A bidirectional GRU over poses and their velocities, 15 frames a second.

    Args:
        joints: of the skeleton.
        width: of the GRU, each way.
        axes: of a joint; 2 for the variant on landmarks in their box.
    """

    def __init__(self, joints: int = 13, width: int = 48, dropout: float = 0.2, axes: int = 3) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Linear(joints * 2 * axes, 64), nn.ReLU(), nn.Dropout(dropout))
        self.gru = nn.GRU(64, width, batch_first=True, bidirectional=True)
        self.answer = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, 2))

    def forward(self, xyz: Tensor) -> Tensor:
        """(N, T, J, axes) poses in trunk lengths to (N, T, 2) logits: exercising; a repetition begins."""
        speed = torch.diff(xyz, dim=1, prepend=xyz[:, :1]) * 5.0
        states, _ = self.gru(self.look(torch.cat([xyz, speed], dim=-1).flatten(2)))
        out: Tensor = self.answer(states)
        return out
