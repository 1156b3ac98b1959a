"""The scorers: a repetition in canonical form and its exercise in, a score of 0 (perfect) to 4 (worst) out.

All of them see the repetition's difference to the exercise's reference motion twice: as it is, and without the
difference of the posture at rest (before and after), which is the person's and the sensor's rather than the movement's.
Joints that are free in the exercise are hidden before anything is computed, so moving them cannot change the score.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from pipeline.networks.signals import signals, summary

WORST = 4.0
CHANNELS = 6  # of a joint in a frame
_REST = 3  # frames at each end that show the posture at rest


def at_rest(xyz: Tensor) -> Tensor:
    """(N, 1, J, 3) the posture that (N, F, J, 3) repetitions begin and end in."""
    return (xyz[:, :_REST].mean(dim=1, keepdim=True) + xyz[:, -_REST:].mean(dim=1, keepdim=True)) / 2


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
        """(N, F, J, 6) differences to the reference in spreads, with and without those at rest; free joints have none.

        Args:
            xyz: (N, F, J, 3) canonical.
            exercise: (N,) positions.
        """
        difference = (xyz - self.reference[exercise]) / self.spread[exercise][:, None, :, None]
        difference = difference * self.counted[exercise][:, None, :, None]
        return torch.cat([difference, difference - at_rest(difference)], dim=-1)

    @abstractmethod
    def forward(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """(N,) scores 0..4 of (N, F, J, 3) canonical repetitions of (N,) exercises."""

    @classmethod
    def restored(cls, state: dict[str, Tensor]) -> Self:
        """The network of a state dictionary. Raises KeyError or RuntimeError when it is none of this design."""
        network = cls(state["reference"], state["counted"], state["spread"])
        network.load_state_dict(state)
        return network.eval()


class Answering(Scorer):
    """A network whose answer, any number, is squeezed into a score."""

    def forward(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """(N,) scores 0..4."""
        return WORST * torch.sigmoid(self.answer(self.seen(xyz, exercise), exercise))

    @abstractmethod
    def answer(self, seen: Tensor, exercise: Tensor) -> Tensor:
        """(N,) any numbers; 0 means the middle of the scale."""


class CnnLstm(Answering):
    """Two temporal convolutions, an LSTM over half the frames, a dense layer: the ported design."""

    def __init__(
        self, reference: Tensor, counted: Tensor, spread: Tensor, width: int = 64, dropout: float = 0.3
    ) -> None:
        super().__init__(reference, counted, spread)
        exercises, joints = counted.shape
        self.exercise = nn.Embedding(exercises, 8)
        self.convolutions = nn.Sequential(
            nn.Dropout1d(0.1),
            nn.Conv1d(joints * CHANNELS + 8, width, 5, stride=2, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(width, width, 5, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
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


class TransformerScorer(Answering):
    """A layer of attention over twelve tokens of four frames each, one of the whole, and the exercise's, which answers.

    The token of the whole is how far each joint goes, and how unevenly: largest, smallest and spread of its places, and
    of its speed.
    """

    def __init__(
        self, reference: Tensor, counted: Tensor, spread: Tensor, width: int = 64, dropout: float = 0.2
    ) -> None:
        super().__init__(reference, counted, spread)
        exercises, joints = counted.shape
        self.exercise = nn.Embedding(exercises, width)
        self.token = nn.Conv1d(joints * CHANNELS, width, 6, stride=4, padding=1)
        self.whole = nn.Sequential(nn.Dropout(dropout), nn.Linear(joints * (3 * CHANNELS + 6), width))
        self.place = nn.Parameter(0.02 * torch.randn(2 + reference.shape[1] // 4, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.dense = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, 1))

    def answer(self, seen: Tensor, exercise: Tensor) -> Tensor:
        """(N,) from the answering token."""
        tokens = self.token(seen.flatten(2).transpose(1, 2)).transpose(1, 2)
        first = torch.stack([self.exercise(exercise), self.whole(extent(seen))], dim=1)
        out: Tensor = self.dense(self.encoder(torch.cat([first, tokens], dim=1) + self.place)[:, 0])[:, 0]
        return out


def extent(seen: Tensor) -> Tensor:
    """(N, J * (3 C + 6)) how far (N, F, J, C) goes: largest, smallest, spread; and spread and peak of its speed."""
    speed = (seen[:, 1:, :, 3:] - seen[:, :-1, :, 3:]).abs()
    parts = [seen.amax(dim=1), seen.amin(dim=1), seen.std(dim=1), speed.std(dim=1), speed.amax(dim=1)]
    return torch.cat(parts, dim=-1).flatten(1)


ASKED = 2  # which values trees ask for: a forest that learned others would answer nonsense


class ForestScorer(Scorer):
    """A forest of extremely randomized trees (Geurts, Ernst and Wehenkel 2006) for each exercise, as tensors.

    What is learned: ``split`` (E, T, N) the feature that a node asks for, -1 in a leaf; ``edge`` (E, T, N) up to which
    value it goes to the next node, beyond to ``beyond`` (E, T, N); ``leaf`` (E, T, N) the score there.
    """

    split: Tensor
    edge: Tensor
    beyond: Tensor
    leaf: Tensor

    def __init__(self, reference: Tensor, counted: Tensor, spread: Tensor) -> None:
        super().__init__(reference, counted, spread)
        self.register_buffer("asks_for", torch.tensor([ASKED]))
        nothing = torch.zeros(len(reference), 1, 1)
        self.plant(nothing.to(torch.int16) - 1, nothing, nothing.to(torch.int16), nothing + WORST / 2)
        self._deepest = 64

    def plant(self, split: Tensor, edge: Tensor, beyond: Tensor, leaf: Tensor) -> None:
        """Put trees in the place of what is there."""
        for name, value in (("split", split), ("edge", edge), ("beyond", beyond), ("leaf", leaf)):
            self.register_buffer(name, value)

    @classmethod
    def restored(cls, state: dict[str, Tensor]) -> Self:
        """As of every scorer."""
        if state["asks_for"].tolist() != [ASKED]:
            raise KeyError("asks_for")
        network = cls(state["reference"], state["counted"], state["spread"])
        network.plant(state["split"], state["edge"], state["beyond"], state["leaf"])
        return network.eval()

    def asked(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """(N, K) what the trees ask for: ``signals.summary`` of angles and distances."""
        return summary(signals(xyz, self.counted[exercise]))

    def forward(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """(N,) the mean of the trees' scores."""
        asked = self.asked(xyz, exercise)
        split, edge, beyond, leaf = (values[exercise] for values in (self.split, self.edge, self.beyond, self.leaf))
        node = torch.zeros(split.shape[:2], dtype=torch.long)
        for _ in range(self._deepest):
            here = node[..., None]
            feature = split.gather(2, here)[..., 0].long()
            if bool((feature < 0).all()):
                break
            on = asked.gather(1, feature.clamp(min=0)) <= edge.gather(2, here)[..., 0]
            onward = torch.where(on, node + 1, beyond.gather(2, here)[..., 0].long())
            node = torch.where(feature < 0, node, onward)
        return leaf.gather(2, node[..., None])[..., 0].mean(dim=1)


class EnsembleScorer(Scorer):
    """The mean of what scorers of other designs say; ``parts`` are these by the name of their design."""

    def __init__(
        self, reference: Tensor, counted: Tensor, spread: Tensor, parts: Mapping[str, Scorer] | None = None
    ) -> None:
        super().__init__(reference, counted, spread)
        self.parts = nn.ModuleDict(parts or {})

    @classmethod
    def restored(cls, state: dict[str, Tensor]) -> Self:
        """As of every scorer."""
        of: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith("parts."):
                _, design, name = key.split(".", 2)
                of.setdefault(design, {})[name] = value
        parts = {design: DESIGNS[design].restored(own) for design, own in of.items()}
        return cls(state["reference"], state["counted"], state["spread"], parts).eval()

    def forward(self, xyz: Tensor, exercise: Tensor) -> Tensor:
        """The mean of the parts' scores."""
        return torch.stack([part(xyz, exercise) for part in self.parts.values()]).mean(dim=0)


DESIGNS: dict[str, type[CnnLstm] | type[TransformerScorer] | type[ForestScorer] | type[EnsembleScorer]] = {
    "forest": ForestScorer,
    "cnn_lstm": CnnLstm,
    "transformer": TransformerScorer,
    "ensemble": EnsembleScorer,
}
