"""The bad-3D gate: stops before a score would mean nothing, and says which joint at which moment.

A motion passes when it is like the exercise as people do it, well or badly.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.poses import Array
from pipeline.scoring.canonical import Canonical, canonical
from pipeline.scoring.exercises import EXERCISES, Exercise
from pipeline.scoring.models import GateModel, read_gate
from pipeline.scoring.verdict import Verdict

if TYPE_CHECKING:
    import torch

FRAMES = 10
_THIRDS = (slice(0, 4), slice(3, 7), slice(6, 10))
WHEN = ("beginning", "middle", "end")


@dataclass(frozen=True)
class Likeness:
    """How much a motion is like an exercise: ``plausibility`` 0..1, and what is least like it."""

    exercise: str
    plausibility: float
    joint: str
    when: str
    time_s: float


@lru_cache(maxsize=2)
def gate(folder: Path | None = None) -> GateModel:
    """The shipped gate. Raises ModelMissingError."""
    return read_gate(folder)


def likeness(model: GateModel, xyz_m: Array, time_s: Array, exercise: Exercise) -> Likeness:
    """How much a repetition (T, 13, 3) in metres is like this exercise. Raises CanonicalError."""
    import torch

    one = canonical(xyz_m, time_s, exercise.counted, FRAMES)
    reference = model.network.reference[exercise.position].numpy()
    motions, places = [one.xyz], [(0, 0)]
    for joint in exercise.counted:
        for third, frames in enumerate(_THIRDS):
            replaced = one.xyz.copy()
            replaced[frames, joint] = reference[frames, joint]
            motions.append(replaced)
            places.append((joint, third))
    stack = torch.from_numpy(np.array(motions, dtype=np.float32))
    with torch.inference_mode():
        logits = model.network(stack, _same(exercise, len(motions))).numpy()
    worst = 1 + int(np.argmax(logits[1:]))
    joint, third = places[worst]
    middle = (_THIRDS[third].start + _THIRDS[third].stop - 1) // 2
    return Likeness(
        exercise.name,
        float(1 / (1 + np.exp(-logits[0]))),
        one.joints[joint],
        WHEN[third],
        float(one.time_s[middle]),
    )


def _same(exercise: Exercise, count: int) -> torch.Tensor:
    import torch

    return torch.full((count,), exercise.position, dtype=torch.long)


def most_like(
    model: GateModel, xyz_m: Array, time_s: Array, among: Collection[str] = tuple(EXERCISES)
) -> tuple[Likeness, ...]:
    """The three most plausible of these exercises, the best first. Raises CanonicalError."""
    import torch

    asked = [EXERCISES[name] for name in among]
    ones: list[Canonical] = [canonical(xyz_m, time_s, e.counted, FRAMES) for e in asked]
    with torch.inference_mode():
        logits = model.network(
            torch.from_numpy(np.array([one.xyz for one in ones], dtype=np.float32)),
            torch.tensor([exercise.position for exercise in asked]),
        ).numpy()
    best = [name for _, name in sorted(zip(-logits, among, strict=True))]
    return tuple(likeness(model, xyz_m, time_s, EXERCISES[name]) for name in best[:3])


def judge(model: GateModel, found: list[Likeness], chosen: Exercise, others: tuple[Likeness, ...] = ()) -> Verdict:
    """Whether the repetitions can be scored as this exercise.

    Args:
        found: one a repetition; none refuses.
        others: what the first repetition is like instead, for the advice.
    """
    measurements = {
        "threshold": model.threshold,
        "repetitions": [
            {"plausibility": one.plausibility, "joint": one.joint, "when": one.when, "time_s": one.time_s}
            for one in found
        ],
    }
    if not found:
        return Verdict(False, ("No repetition of any exercise was found; film one from its beginning to its end.",),
                       measurements)  # fmt: skip
    good = [one for one in found if one.plausibility >= model.threshold]
    if good:
        left = len(found) - len(good)
        left_out = (f"{left} of {len(found)} repetitions are unlike the exercise and were left out.",) if left else ()
        return Verdict(True, left_out, measurements)
    worst = min(found, key=lambda one: one.plausibility)
    reasons: tuple[str, ...] = (
        f"This is no {chosen.label} that can be scored: the {worst.joint.replace('_', ' ')} at {worst.time_s:.1f} s "
        f"({worst.when} of the repetition) is furthest from it.",
    )
    alike = [other for other in others if other.plausibility >= model.threshold and other.exercise != chosen.name]
    if alike:
        reasons += (f"It looks like {EXERCISES[alike[0].exercise].label}: choose that exercise, or automatic.",)
    else:
        reasons += (f"It is unlike any exercise that can be scored; there are {_listed()}.",)
    return Verdict(False, reasons, measurements)


def _listed() -> str:
    return ", ".join(exercise.label for exercise in EXERCISES.values())
