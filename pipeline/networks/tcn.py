"""The temporal convolutional network of Bai et al. 2018, in the shape that Keras programs of this kind use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

DILATIONS = (1, 2, 4, 8, 16, 32)


class CausalConvolution(nn.Conv1d):
    """A dilated convolution that sees the present and the past: (N, C, T) to (N, D, T)."""

    def forward(self, values: Tensor) -> Tensor:
        reach = (self.kernel_size[0] - 1) * self.dilation[0]
        return super().forward(functional.pad(values, (reach, 0)))


class ResidualBlock(nn.Module):
    """Two dilated convolutions, and a shortcut that is 1x1 where the number of channels changes."""

    def __init__(self, inputs: int, filters: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConvolution(inputs, filters, kernel, dilation=dilation)
        self.second = CausalConvolution(filters, filters, kernel, dilation=dilation)
        self.shortcut: nn.Module = nn.Conv1d(inputs, filters, 1) if inputs != filters else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        inner = self.dropout(functional.relu(self.first(values)))
        inner = self.dropout(functional.relu(self.second(inner)))
        return functional.relu(inner + self.shortcut(values)), inner


class TemporalConvolutions(nn.Module):
    """One stack of residual blocks; the answer is the sum of the blocks' own contributions at the last sample.

    With 189 inputs, 64 filters, kernel 5 and the default dilations it has 298,688 parameters.
    """

    def __init__(
        self,
        inputs: int = 189,
        filters: int = 64,
        kernel: int = 5,
        dilations: tuple[int, ...] = DILATIONS,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = [inputs, *[filters] * len(dilations)]
        self.blocks = nn.ModuleList(
            ResidualBlock(channels[number], filters, kernel, dilation, dropout)
            for number, dilation in enumerate(dilations)
        )

    def forward(self, values: Tensor) -> Tensor:
        contributions = []
        for block in self.blocks:
            values, inner = block(values)
            contributions.append(inner)
        return functional.relu(torch.stack(contributions).sum(dim=0))[..., -1]


class TcnClassifier(nn.Module):
    """Features, standardised and masked, through the stack, a dense layer, and class scores.

    Args of ``forward``: features (N, T, F) with NaN missing. Returns (N, classes) logits.
    """

    def __init__(self, classes: int, inputs: int = 189, dense: int = 128, dropout: float = 0.2) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.stack = TemporalConvolutions(inputs, dropout=dropout)
        self.dense = nn.Linear(64, dense)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dense, classes)

    def forward(self, features: Tensor) -> Tensor:
        seen = ~torch.isnan(features)
        values = (torch.nan_to_num(features) - self.mean) / self.scale  # masked: 0 is the mean of every feature
        values = torch.where(seen, values.clamp(-8.0, 8.0), torch.zeros_like(values))
        hidden = self.stack(values.transpose(1, 2))
        answer: Tensor = self.head(self.dropout(functional.relu(self.dense(hidden))))
        return answer
