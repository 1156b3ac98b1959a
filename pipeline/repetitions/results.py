"""What a repetition is, and what counts as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.poses import SCHEMA_VERSION, Array


@dataclass(frozen=True)
class RepetitionParameters:
    """What counts as a repetition. Lengths are in trunk lengths (hip to shoulder), so zoom does not matter.

    min_duration_s: nothing trained is faster; the fastest skipping and jumping jacks take about 0.4 s.
    max_duration_s: slower than this is a change of posture; slow-tempo repetitions stay below 15 s.
    max_gap_s: a person unseen for longer may have done anything; shorter gaps are bridged by a straight line.
    min_travel: a repetition moves some joint by at least this much; less is breathing, swaying and key-point noise.
    min_one_sided_travel: the same where the two sides do not move together; one arm twitches and gestures.
    min_one_sided_bend: and by how many radians a joint must bend then; a swinging arm
        and a walking leg bend less than 60 degrees, curls and raises more;
    one_sided_clear: and its likeness and its part of all that the person does must add up to this: gestures of one
        hand are little alike, or small beside what else happens.
    hysteresis: shares of a curve's range that are tried as the reversal that counts; the most regular one wins.
    min_likeness: a cycle less like its neighbours than this is something else (setting up, walking).
    min_relative_likeness: the same as a share of the set's median; in a regular set an odd cycle is an odd one.
    min_set_likeness: mean likeness that a long set needs; by chance it stays below.
    few_likeness: and this much more over the number of repetitions: few must be more alike than many to be believed.
    open_gap: posture at the end against the start, over that at the turn: above this it is a change of posture.
    plain_gap: up to this a movement plainly returns;
    plain_travel: when it is also as large as this,
    plain_share: and this part of all that the person does,
    plain_ease: then its cycles may be less alike by this factor: key points are noisy, people are not machines.
    strong_score: a reading that explains the movement this well ("score" of ``find_repetitions``),
    strong_share: in which nearly all that the person does lies,
    strong_travel: and that is this large is a set even when the posture drifts,
    strong_gap: up to this.
    large_score: where nothing else is found, a reading of at least this score,
    large_travel: in which both sides move this far together,
    large_share: which holds this part of all that the person does,
    large_gap: and ends this near to where it began, is a set, however much its key points jump.
    uneven: by how much amplitudes that differ (their coefficient of variation) lower the score: sets are even.
    despike_s: where nothing is found in restless key points, they are read once more under a running median this wide;
        the shortest repetition leaves it half of its height.
    restless: trunk lengths a second, all joints together, from which the second look is worth it.
    min_amplitude: share of the set's median amplitude that a repetition must reach; half a movement is none.
    max_duration_ratio: to the set's median duration; tired people slow down, but hardly more than this.
    max_shift: how far the body may be beside its starting place at the end; who goes further walks.
    single_likeness: likeness of the way back to the way there that one lone repetition needs.
    single_travel: and how far both sides must travel in it; one limb alone must bend by min_one_sided_bend.
    single_symmetry: share of the travel that both sides have in common; reaching for something with one arm has less.
    single_gap: distance between its end and its start, over that to the turning point.
    single_share: part of all the clip's movement that lies in it.
    single_score: and all three together (likeness x share x closeness of both ends) must reach this: real ones are
        clear in at least two of them, what only looks like one is just passable in each.
    rest_band: the repetition starts and ends where the curve leaves and reaches this share of its amplitude.
    complete_share: of the longer way (there or back) that the shorter one must reach; less is cut off.
    cut_off_share: a cut-off repetition is told when at least this share of the amplitude is seen.
    """

    min_duration_s: float = 0.4
    max_duration_s: float = 15.0
    max_gap_s: float = 1.0
    min_travel: float = 0.25
    min_one_sided_travel: float = 0.6
    min_one_sided_bend: float = 1.05
    one_sided_clear: float = 1.0
    hysteresis: tuple[float, ...] = (0.15, 0.25, 0.4, 0.55, 0.7)
    min_likeness: float = 0.1
    min_relative_likeness: float = 0.25
    min_set_likeness: float = 0.25
    few_likeness: float = 1.0
    open_gap: float = 0.8
    plain_gap: float = 0.6
    plain_travel: float = 0.8
    plain_share: float = 0.6
    plain_ease: float = 0.5
    strong_score: float = 0.09
    strong_share: float = 0.85
    strong_travel: float = 0.5
    strong_gap: float = 1.3
    large_score: float = 0.010
    large_travel: float = 0.6
    large_share: float = 0.5
    large_gap: float = 0.9
    uneven: float = 0.5
    despike_s: float = 0.35
    restless: float = 1.5
    min_amplitude: float = 0.4
    max_duration_ratio: float = 4.0
    max_shift: float = 0.5
    single_likeness: float = 0.7
    single_travel: float = 0.5
    single_symmetry: float = 0.75
    single_gap: float = 0.4
    single_share: float = 0.6
    single_score: float = 0.45
    rest_band: float = 0.1
    complete_share: float = 0.4
    cut_off_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.min_duration_s < self.max_duration_s:
            raise ValueError("min_duration_s must be above zero and below max_duration_s; swap or widen them.")
        if not self.hysteresis or min(self.hysteresis) <= 0 or max(self.hysteresis) >= 1:
            raise ValueError("hysteresis must be one or more shares between 0 and 1; 0.25 and 0.5 are usual.")


@dataclass(frozen=True)
class Repetition:
    """One there-and-back movement.

    Attributes:
        person: whose.
        start_s: leaves the resting position; for a cut-off one, where it begins to be seen.
        turn_s: the turning point (bottom of a squat, top of a curl).
        end_s: is back; for a cut-off one, where it ceases to be seen.
        complete: False when the clip or the view begins or ends in the middle of it.
        confidence: 0..1 likeness to the others of the set, times how well the moving joints were seen.
        amplitude: of the carrying signal, in its unit.
    """

    person: int
    start_s: float
    turn_s: float
    end_s: float
    complete: bool
    confidence: float
    amplitude: float

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "person": self.person,
            "start_s": self.start_s,
            "turn_s": self.turn_s,
            "end_s": self.end_s,
            "complete": self.complete,
            "confidence": self.confidence,
            "amplitude": self.amplitude,
        }


@dataclass(frozen=True, eq=False)
class RepetitionSet:
    """The repetitions of one person in time order; none is an ordinary value.

    Attributes:
        person: whose.
        repetitions: complete and cut-off ones.
        signal: the curve that carried them; None when nothing did.
        time_s, values: (N,) that curve on its even grid, NaN where unseen, for plotting; empty without a signal.
        unit: "rad" for angles, "trunk lengths" for the rest.
        period_s: median duration of the complete repetitions; NaN without any.
    """

    person: int
    repetitions: tuple[Repetition, ...]
    signal: str | None
    time_s: Array
    values: Array
    unit: str = ""
    period_s: float = float("nan")

    def __len__(self) -> int:
        return len(self.repetitions)

    @property
    def complete(self) -> tuple[Repetition, ...]:
        """Those seen from start to end."""
        return tuple(repetition for repetition in self.repetitions if repetition.complete)

    @property
    def count(self) -> int:
        """How many complete repetitions."""
        return len(self.complete)

    @classmethod
    def none(cls, person: int = 0) -> RepetitionSet:
        """No repetitions."""
        return cls(person, (), None, np.empty(0), np.empty(0))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "person": self.person,
            "signal": self.signal,
            "unit": self.unit,
            "count": self.count,
            "repetitions": [repetition.to_dict() for repetition in self.repetitions],
        }
