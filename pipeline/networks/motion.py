"""A small residual convolutional network over the core joints' places: the better of the two recognisers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class MotionBlock(nn.Module):
    """Two convolutions of 5 samples with batch norm and a shortcut: (N, C, T) to (N, D, T)."""

    def __init__(self, inputs: int, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv1d(inputs, channels, 5, padding=2 * dilation, dilation=dilation, bias=False)
        self.second = nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation, bias=False)
        self.first_norm, self.second_norm = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)
        self.shortcut: nn.Module = nn.Conv1d(inputs, channels, 1) if inputs != channels else nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(values)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(values))


class MotionClassifier(nn.Module):
    """Which exercise a window shows, from where the joints are in the frame's box.

    The places, whether each was seen, and their change from sample to sample go through residual blocks at full, half
    and quarter rate; what is left of time is summed up by learned attention, mean and maximum over the frames that
    were seen.

    Args of ``forward``: places (N, T, J, 2), NaN missing, T a multiple of 4. Returns (N, classes) logits.
    """

    def __init__(
        self, classes: int, joints: int = 13, channels: tuple[int, int, int] = (48, 72, 96), dropout: float = 0.3
    ) -> None:
        super().__init__()
        a, b, c = channels
        self.stem = nn.Conv1d(joints * 5, a, 3, padding=1)
        self.at_full = MotionBlock(a, a)
        self.at_half = MotionBlock(a, b)
        self.at_quarter = MotionBlock(b, c)
        self.wide = MotionBlock(c, c, dilation=2)
        self.attention = nn.Conv1d(c, 4, 1)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(c * 6, 128)
        self.head = nn.Linear(128, classes)

    def forward(self, places: Tensor) -> Tensor:
        seen = ~torch.isnan(places).any(dim=-1)
        values = torch.where(seen[..., None], torch.nan_to_num(places) - 0.5, torch.zeros_like(places))
        both = seen[:, 1:] & seen[:, :-1]
        change = (values[:, 1:] - values[:, :-1]) * both[..., None] * 5.0
        change = functional.pad(change, (0, 0, 0, 0, 1, 0))
        mask = seen.to(places.dtype)
        flat = torch.cat([values.flatten(2), change.flatten(2), mask], dim=2).transpose(1, 2)
        there = (mask.sum(dim=2) > 0).to(places.dtype)[:, None]
        hidden = self.at_full(functional.relu(self.stem(flat))) * there
        hidden = self.at_half(functional.avg_pool1d(hidden, 2))
        hidden = self.at_quarter(functional.avg_pool1d(hidden, 2))
        hidden = self.wide(hidden)
        frames = functional.max_pool1d(there, 4)
        absent = (1.0 - frames) * -1e4
        weights = torch.softmax(self.attention(hidden) + absent, dim=2)
        attended = torch.einsum("ncs,nks->nck", hidden, weights).flatten(1)
        mean = (hidden * frames).sum(dim=2) / frames.sum(dim=2).clamp(min=1.0)
        highest = (hidden + absent).amax(dim=2).clamp(min=0.0)
        summary = self.dropout(torch.cat([attended, mean, highest], dim=1))
        answer: Tensor = self.head(self.dropout(functional.relu(self.dense(summary))))
        return answer
