"""When a motion happens: repetitions in time, natural variation, smooth transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from pipeline.poses import Array

FAULTS = ("knees_in", "heels_up", "forward_lean", "shallow", "asymmetric")


class MotionError(ValueError):
    """A motion was asked for something it cannot do."""


@dataclass(frozen=True)
class Tempo:
    """Seconds of one repetition: to the turning point, held there, back, and the rest before the next one."""

    down_s: float = 1.2
    pause_s: float = 0.2
    up_s: float = 1.0
    rest_s: float = 0.4

    def __post_init__(self) -> None:
        if min(self.down_s, self.up_s) <= 0 or min(self.pause_s, self.rest_s) < 0:
            raise MotionError(f"a tempo needs positive down and up seconds and no negative ones, got {self}.")

    @property
    def total_s(self) -> float:
        return self.down_s + self.pause_s + self.up_s + self.rest_s


@dataclass(frozen=True)
class Repetition:
    """Ground truth of one repetition.

    Attributes:
        start_s: movement begins; turn_s: middle of the hold at the turning point; end_s: movement ends, or the clip
            does when the repetition is not complete.
        complete: it reached its turning point and came back.
        depth: share of the motion's full range that was asked of this repetition.
        side: "left", "right" or "both": the leading side where a motion alternates.
        faults: severity 0..1 of every fault shown.
    """

    start_s: float
    turn_s: float
    end_s: float
    complete: bool = True
    depth: float = 1.0
    side: str = "both"
    faults: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Timeline:
    """Phase of the motion in time: 0 at rest, 1 at the turning point of a full repetition.

    Attributes:
        time_s: (T,) seconds; phase: (T,) 0..1 without the depth; depth: (T,) the depth of the present repetition.
        index: (T,) number of the present (or last) repetition, -1 before the first.
    """

    time_s: Array
    phase: Array
    depth: Array
    index: NDArray[np.int64]
    repetitions: tuple[Repetition, ...]
    duration_s: float


def smooth(share: Array | float) -> Array:
    """Minimum-jerk transition from 0 to 1 (Flash & Hogan 1985), clipped outside."""
    x = np.clip(np.asarray(share, dtype=np.float64), 0.0, 1.0)
    eased: Array = x**3 * (10 - 15 * x + 6 * x**2)
    return eased


def keyed(time_s: Array, keys: Mapping[float, float]) -> Array:
    """(T,) a value through keys {time: value}, without overshoot, constant outside (PCHIP)."""
    times = sorted(keys)
    if len(times) == 1:
        return np.full(len(time_s), keys[times[0]])
    curve: Array = PchipInterpolator(times, [keys[t] for t in times])(np.clip(time_s, times[0], times[-1]))
    return curve


def sway(time_s: Array, seed: int, channel: int) -> Array:
    """(T,) slow wander between about -1 and 1: four sines of 0.1 to 0.7 Hz with random phases."""
    rng = np.random.default_rng([seed, channel])
    frequency, phase = rng.uniform(0.1, 0.7, 4), rng.uniform(0, 2 * np.pi, 4)
    total: Array = np.sin(2 * np.pi * frequency * time_s[:, None] + phase).sum(axis=1) / 2.5
    return total


def repetition_plan(
    count: int,
    tempo: Tempo,
    lead_in_s: float,
    depth: float,
    faults: Mapping[str, float],
    seed: int,
    variation: float,
    alternating: bool,
) -> tuple[Repetition, ...]:
    """The repetitions, each a little different in speed (about 6 %) and depth (about 2 %) at ``variation`` 1."""
    rng = np.random.default_rng([seed, 77])
    asked = depth * (1 - 0.55 * faults.get("shallow", 0.0))
    plan, start = [], lead_in_s
    for number in range(count):
        pace = float(np.exp(0.06 * variation * np.clip(rng.standard_normal(), -2, 2)))
        reached = asked * (1 + 0.02 * variation * float(np.clip(rng.standard_normal(), -2, 2)))
        turn = start + pace * (tempo.down_s + tempo.pause_s / 2)
        end = start + pace * (tempo.down_s + tempo.pause_s + tempo.up_s)
        side = ("right", "left")[number % 2] if alternating else "both"
        shown = {name: severity for name, severity in faults.items() if severity > 0}
        plan.append(Repetition(start, turn, end, True, reached, side, shown))
        start = end + pace * tempo.rest_s
    return tuple(plan)


def timeline(time_s: Array, plan: tuple[Repetition, ...], tempo: Tempo, duration_s: float) -> Timeline:
    """Phase, depth and number of the repetition at every time; repetitions cut off by the end are marked so."""
    phase, depth = np.zeros(len(time_s)), np.full(len(time_s), plan[0].depth if plan else 1.0)
    index = np.full(len(time_s), -1, dtype=np.int64)
    shown = []
    for number, repetition in enumerate(plan):
        if repetition.start_s >= duration_s:
            break
        pace = (repetition.end_s - repetition.start_s) / (tempo.down_s + tempo.pause_s + tempo.up_s)
        since = (time_s - repetition.start_s) / pace
        back = smooth((since - tempo.down_s - tempo.pause_s) / tempo.up_s)
        here = time_s >= repetition.start_s
        phase[here] = (smooth(since / tempo.down_s) - back)[here]
        depth[here], index[here] = repetition.depth, number
        whole = repetition.end_s <= duration_s + 1e-9
        shown.append(
            Repetition(
                repetition.start_s,
                min(repetition.turn_s, duration_s),
                min(repetition.end_s, duration_s),
                whole,
                repetition.depth,
                repetition.side,
                repetition.faults,
            )
        )
    return Timeline(time_s, phase, depth, index, tuple(shown), duration_s)


@dataclass(frozen=True)
class FallTimes:
    """Ground truth of a fall: balance is lost at ``onset_s``, the trunk or pelvis meets the floor at ``impact_s``."""

    onset_s: float
    impact_s: float


@dataclass(frozen=True)
class Cue:
    """What a motion is told.

    Attributes:
        since_s: (T,) seconds since the motion began (negative while the person waits).
        times: the repetitions.
        faults: severity 0..1 of each.
        repetitions: how often, for the motions that count otherwise.
        seed: of whatever is left to chance.
    """

    since_s: Array
    times: Timeline
    faults: Mapping[str, float]
    repetitions: int
    seed: int

    @property
    def effort(self) -> Array:
        """(T,) phase times depth: how far into the movement the person is."""
        return self.times.phase * self.times.depth

    def fault(self, name: str) -> float:
        """Severity of a fault, 0 when it is not shown."""
        return float(self.faults.get(name, 0.0))
