"""The scorers: a repetition in canonical form and its exercise in, a score of 0 (perfect) to 4 (worst) out.

All of them see the repetition as its difference to the exercise's reference motion beside the motion itself; joints
that are free in the exercise are hidden before anything is computed, so moving them cannot change the score.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

WORST = 4.0


class Scorer(nn.Module):
    """What the designs share: what they see, and how an answer becomes a score.

    Args:
        reference: (E, F, J, 3) the reference motion of each exercise.
        counted: (E, J) 1 where the joint counts in the exercise, 0 where it is free.
    """

    reference: Tensor
    counted: Tensor
    spread: Tensor

    def __init__(self, reference: Tensor, counted: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("reference", reference)
        self.register_buffer("counted", counted)
        self.register_buffer("spread", spread)  # (E, J) how far correct repetitions lie from the reference

    def seen(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """(N, F, J, 6) the difference to the reference in spreads, and the motion; free joints do as the reference.

        Args:
            xyz: (N, F, J, 3) canonical.
            exercise: (N,) positions.
        """
        reference = self.reference[exercise]
        known = torch.where(self.counted[exercise][:, None, :, None] > 0, xyz, reference)
        difference = (known - reference) / self.spread[exercise][:, None, :, None]
        return torch.cat([difference, known], dim=-1)

    def forward(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """(N,) scores 0..4."""
        return WORST * torch.sigmoid(self.answer(self.seen(xyz, exercise), exercise))

    @abstractmethod
    def answer(self, seen: Tensor, exercise: Tensor) -> Tensor:
        """(N,) any numbers; 0 means the middle of the scale."""


class CnnLstm(Scorer):
    """Two temporal convolutions, an LSTM over half the frames, a dense layer: the ported design."""

    def __init__(
        self, reference: Tensor, counted: Tensor, spread: Tensor, width: int = 64, dropout: float = 0.3
    ) -> None:
        super().__init__(reference, counted, spread)
        exercises, joints = counted.shape
        self.exercise = nn.Embedding(exercises, 8)
        self.convolutions = nn.Sequential(
            nn.Dropout1d(0.1),
            nn.Conv1d(joints * 6 + 8, width, 5, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(width, width, 5, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.MaxPool1d(2),
        )
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.dense = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width + 8, 32), nn.ReLU(), nn.Linear(32, 1))

    def answer(self, seen: Tensor, exercise: Tensor) -> Tensor:
        """(N,) from the LSTM's last state and its mean over time."""
        which = self.exercise(exercise)
        frames = torch.cat([seen.flatten(2), which[:, None].expand(-1, seen.shape[1], -1)], dim=2)
        states, (last, _) = self.lstm(self.convolutions(frames.transpose(1, 2)).transpose(1, 2))
        out: Tensor = self.dense(torch.cat([last[-1], states.mean(dim=1), which], dim=1))[:, 0]
        return out


class TransformerScorer(Scorer):
    """A transformer over time: 24 tokens of two frames each, the exercise as the token that answers."""

    def __init__(
        self, reference: Tensor, counted: Tensor, spread: Tensor, width: int = 64, dropout: float = 0.2
    ) -> None:
        super().__init__(reference, counted, spread)
        exercises, joints = counted.shape
        self.exercise = nn.Embedding(exercises, width)
        self.token = nn.Conv1d(joints * 6, width, 4, stride=2, padding=1)
        self.place = nn.Parameter(0.02 * torch.randn(1 + reference.shape[1] // 2, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.dense = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, 1))

    def answer(self, seen: Tensor, exercise: Tensor) -> Tensor:
        """(N,) from the answering token."""
        tokens = self.token(seen.flatten(2).transpose(1, 2)).transpose(1, 2)
        tokens = torch.cat([self.exercise(exercise)[:, None], tokens], dim=1) + self.place
        out: Tensor = self.dense(self.encoder(tokens)[:, 0])[:, 0]
        return out


DESIGNS: dict[str, type[CnnLstm] | type[TransformerScorer]] = {"cnn_lstm": CnnLstm, "transformer": TransformerScorer}
