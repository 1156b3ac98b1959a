"""Networks that lift a flat skeleton into space. Inputs and outputs are those of ``pipeline.scoring.lift``.

Shapes: B sequences, W frames, 13 joints (Kinect-13). ``INPUTS`` numbers a frame: 26 coordinates, 13 confidences, and 3
that say where the body stands in the picture and how large it is there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

JOINTS = 13
INPUTS = 3 * JOINTS + 3


_BODY_M = 1.70  # the height of the bodies that networks give, in which the features' coordinates count
_ERRORS = (-6.0, 2.0)  # logarithms of the smallest and largest error that is told: 2.5 mm and 7 m
_USUAL_ERROR = -2.7  # logarithm of 7 cm: where a network's own estimate of its error begins


def _last(layer: nn.Linear | nn.Conv1d) -> nn.Linear | nn.Conv1d:
    """A last layer of points and errors that begins with the usual error."""
    assert layer.bias is not None
    nn.init.constant_(layer.bias[3 * JOINTS :], _USUAL_ERROR)
    return layer


def _split(raw: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 52) to points (..., 13, 3) and the logarithm of each joint's expected error (..., 13)."""
    points, error = raw[..., : 3 * JOINTS], raw[..., 3 * JOINTS :]
    middle, half = sum(_ERRORS) / 2, (_ERRORS[1] - _ERRORS[0]) / 2
    # bounded smoothly: a hard bound gives no gradient beyond it, and what once got there would stay there
    return points.unflatten(-1, (JOINTS, 3)), middle + half * torch.tanh((error - middle) / half)


class DenseToKinect(nn.Module):
    """The floor's first network: each frame's detected xy to the Kinect's xy in metres."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * JOINTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2 * JOINTS)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, W, INPUTS), of which only the coordinates are used, to (B, W, 13, 2) metres."""
        return self.layers(features[..., : 2 * JOINTS]).unflatten(-1, (JOINTS, 2))


class DenseDepth(nn.Module):
    """The floor's second network: each frame's Kinect xy to z, and how wrong that may be."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * JOINTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2 * JOINTS)
        )

    def forward(self, xy_m: Tensor) -> tuple[Tensor, Tensor]:
        """(B, W, 13, 2) metres to z (B, W, 13) in metres and the logarithm of its expected error in metres."""
        raw = self.layers(xy_m.flatten(-2))
        return raw[..., :JOINTS], raw[..., JOINTS:]


class _Bounded(nn.GELU):
    """GELU of at most six standard deviations: of motion unlike all that was learned, blocks enlarge each other's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clamp(max=6.0))


class _Block(nn.Module):
    """A dilated convolution and a mixing of channels, added to what came in."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, padding_mode="replicate"),
            nn.BatchNorm1d(channels),
            _Bounded(),
            nn.Dropout(dropout),
            nn.Conv1d(channels, channels, 1),
            nn.BatchNorm1d(channels),
            _Bounded(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class TemporalLift(nn.Module):
    """Dilated convolutions over time with the clip's own average as context (who it is, from where it is seen).

    What was seen is carried past the layers to x and y, so that they need only learn what perspective does to it.
    """

    def __init__(self, channels: int = 128, dilations: tuple[int, ...] = (1, 2, 4, 8, 1), dropout: float = 0.1) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv1d(INPUTS, channels, 1), nn.BatchNorm1d(channels), nn.GELU())
        self.frame = _Block(channels, 1, dropout)
        self.context = nn.Sequential(nn.Linear(2 * channels, channels), nn.GELU(), nn.Linear(channels, channels))
        self.blocks = nn.Sequential(*(_Block(channels, dilation, dropout) for dilation in dilations))
        self.leave = _last(nn.Conv1d(channels, 4 * JOINTS, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, W, INPUTS) to points (B, W, 13, 3) in metres and the logarithm of their expected errors (B, W, 13)."""
        hidden = self.frame(self.enter(features.transpose(1, 2)))
        # a root has no gradient at 0, which is the variance of somebody who keeps perfectly still
        spread = (hidden.var(dim=2, correction=0) + 1e-6).sqrt()
        whole = torch.cat([hidden.mean(dim=2), spread], dim=1)
        hidden = self.blocks(hidden + self.context(whole)[..., None])
        points, error = _split(self.leave(hidden).transpose(1, 2))
        flat = _BODY_M * features[..., : 2 * JOINTS].unflatten(-1, (JOINTS, 2))
        return points + functional.pad(flat, (0, 1)), error


class SimpleBaseline3D(nn.Module):
    """Martinez, Hossain, Romero and Little 2017: residual dense layers on one frame's coordinates."""

    def __init__(self, width: int = 512, blocks: int = 2, dropout: float = 0.25) -> None:
        super().__init__()

        def layer(inputs: int) -> list[nn.Module]:
            return [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]

        self.enter = nn.Sequential(*layer(2 * JOINTS))
        self.blocks = nn.ModuleList(nn.Sequential(*layer(width), *layer(width)) for _ in range(blocks))
        self.leave = _last(nn.Linear(width, 4 * JOINTS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """As ``TemporalLift``; confidences and place in the picture are not used, as in the paper."""
        hidden = self.enter(features[..., : 2 * JOINTS].flatten(0, 1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return _split(self.leave(hidden).unflatten(0, features.shape[:2]))


class VideoPose3D(nn.Module):
    """Pavllo, Feichtenhofer, Grangier and Auli 2019: dilated convolutions over 27 frames of coordinates."""

    def __init__(self, channels: int = 256, dropout: float = 0.25) -> None:
        super().__init__()

        def layer(inputs: int, kernel: int, dilation: int) -> list[nn.Module]:
            return [
                nn.Conv1d(
                    inputs,
                    channels,
                    kernel,
                    padding=dilation * (kernel // 2),
                    dilation=dilation,
                    padding_mode="replicate",
                    bias=False,
                ),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.Dropout(dropout),
            ]

        self.enter = nn.Sequential(*layer(2 * JOINTS, 3, 1))
        self.blocks = nn.ModuleList(
            nn.Sequential(*layer(channels, 3, dilation), *layer(channels, 1, 1)) for dilation in (3, 9)
        )
        self.leave = _last(nn.Conv1d(channels, 4 * JOINTS, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """As ``TemporalLift``; confidences and place in the picture are not used, as in the paper."""
        hidden = self.enter(features[..., : 2 * JOINTS].transpose(1, 2))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return _split(self.leave(hidden).transpose(1, 2))


ARCHITECTURES: dict[str, type[nn.Module]] = {
    "temporal": TemporalLift,
    "simple_baseline": SimpleBaseline3D,
    "video_pose": VideoPose3D,
}
