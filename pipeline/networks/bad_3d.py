"""The bad-3D gate: whether a motion is anything like the exercise that it shall be scored as."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bad3dGate(nn.Module):
    """A dense network on 10 frames x 39 values, the ported design, with the exercise beside them.

    Args:
        reference: (E, F, J, 3) the reference motion of each exercise.
        counted: (E, J) 1 where the joint counts, 0 where it is free (and hidden).
        spread: (E, J) how far real repetitions lie from the reference.
    """

    reference: Tensor
    counted: Tensor
    spread: Tensor

    def __init__(self, reference: Tensor, counted: Tensor, spread: Tensor, width: int = 128, dropout: float = 0.2
                 ) -> None:  # fmt: skip
        super().__init__()
        self.register_buffer("reference", reference)
        self.register_buffer("counted", counted)
        self.register_buffer("spread", spread)
        exercises, frames, joints, _ = reference.shape
        self.dense = nn.Sequential(
            nn.Linear(frames * joints * 3 + exercises, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width // 2),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width // 2, 1),
        )

    def forward(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """(N, F, J, 3) and (N,) positions to (N,) logits: it is this exercise, done well or badly."""
        difference = (xyz - self.reference[exercise]) / self.spread[exercise][:, None, :, None]
        hidden = (difference * self.counted[exercise][:, None, :, None]).flatten(1)
        which = torch.nn.functional.one_hot(exercise, len(self.reference)).to(hidden.dtype)
        # far away is far away: no motion may be so strange that the network has never seen its like
        out: Tensor = self.dense(torch.cat([8 * torch.tanh(hidden / 8), which], dim=1))[:, 0]
        return out
