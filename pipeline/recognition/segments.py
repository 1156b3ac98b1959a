"""From windows to a timeline: exercises with start, end, confidence and repetitions, for everybody in a clip.

The decision is one over time. The windows' chances are read as the likeliest path of exercises that begin and end
seldom (``decode``): an exercise must reach ``named_from`` in the mean, and outweigh the price of its beginning and its
end. What the repetition counter, which knows no exercise, finds in the same time lowers that bar (``decided``): with a
complete repetition ``once_from`` is enough, with two ``repeated_from``, and the price is less. For whoever walks, sits
down or falls seldom repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import SCHEMA_VERSION, Array, PoseSequence, Recording
from pipeline.recognition.classes import UNKNOWN, RecognitionError, label
from pipeline.recognition.places import chances_at
from pipeline.recognition.recognizer import Calibration, Recognizer, shipped
from pipeline.recognition.windows import HOP, RATE_HZ, WINDOW, on_clock, window_centres
from pipeline.repetitions import Repetition, find_repetitions

PRICE = 4.0  # in log odds, of the beginning of an exercise and of its end; what a few sure windows earn
PRICE_REPEATED = 2.0  # the same where repetitions speak for it
SHORTEST_S = 1.3  # what is shorter is no exercise but a slip
HALF_S = HOP / RATE_HZ / 2  # of the time that a window stands for
REPETITION_MARGIN_S = 0.4  # how far a repetition may reach over its segment's ends
OUTWARD_S = 0.8  # the same where the ends are moved to the repetitions' own
INWARD_S = WINDOW / RATE_HZ / 2 + 1.0  # and how far an end may lie outside: a window sees half of itself ahead


@dataclass(frozen=True, eq=False)
class Timeline:
    """What the recogniser says of one person, window by window.

    Attributes:
        person: id; classes: names in the order of ``chances``.
        time_s: (N,) middles of the windows.
        chances: (N, C) calibrated probabilities.
        state: (N,) class numbers after hysteresis.
    """

    person: int
    classes: tuple[str, ...]
    time_s: Array
    chances: Array
    state: NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """One exercise of one person. Times in seconds of the clip, chances 0..1.

    Attributes:
        confidence: mean calibrated probability of the exercise over the segment.
        repetitions: complete ones within it; None where they were not counted.
        runner_up: the next likely exercise (or unknown), and its mean probability.
    """

    start_s: float
    end_s: float
    exercise: str
    confidence: float
    person: int
    repetitions: int | None = None
    runner_up: str = UNKNOWN
    runner_up_confidence: float = 0.0

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to what they are worth."""
        values = asdict(self)
        for name in ("start_s", "end_s", "confidence", "runner_up_confidence"):
            values[name] = round(values[name], 3)
        return values | {"label": label(self.exercise)}


@dataclass(frozen=True, eq=False)
class Recognition:
    """A clip's answer: ``segments`` of everybody in time order, the timelines behind them, and the network's name."""

    segments: tuple[Segment, ...]
    timelines: tuple[Timeline, ...]
    network: str

    def of(self, person: int) -> tuple[Segment, ...]:
        """One person's segments."""
        return tuple(segment for segment in self.segments if segment.person == person)

    def main(self, person: int | None = None) -> str:
        """The exercise done longest (by one person, or by anybody); "unknown" without any."""
        spans: dict[str, float] = {}
        for segment in self.segments if person is None else self.of(person):
            spans[segment.exercise] = spans.get(segment.exercise, 0.0) + segment.duration_s * segment.confidence
        return max(spans, key=lambda name: spans[name]) if spans else UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """The result file: segments, and each person's chances window by window."""
        return {
            "schema_version": SCHEMA_VERSION,
            "network": self.network,
            "exercise": self.main(),
            "segments": [segment.to_json() for segment in self.segments],
            "people": [
                {
                    "person": line.person,
                    "exercise": self.main(line.person),
                    "classes": list(line.classes),
                    "time_s": np.round(line.time_s, 3).tolist(),
                    "chances": np.round(line.chances, 3).tolist(),
                    "state": [line.classes[number] for number in line.state],
                }
                for line in self.timelines
            ],
        }


def recognize(
    source: Recording | PoseSequence,
    person: int | None = None,
    *,
    recognizer: Recognizer | None = None,
    count: bool = True,
) -> Recognition:
    """Which exercises a clip shows, when, and by whom.

    Args:
        source: a clip, or one person of it.
        person: only this one.
        recognizer: None is the shipped one.
        count: count the repetitions of each segment, too.

    Raises:
        RecognitionError: there is no such person, or the weights are missing.
    """
    recognizer = recognizer or shipped()
    people = (source,) if isinstance(source, PoseSequence) else source.people
    if person is not None:
        people = tuple(one for one in people if one.person == person)
        if not people:
            raise RecognitionError(f"There is no person {person} in this clip; choose one that is there.")
    lines = tuple(timeline(one, recognizer) for one in people)
    found: list[Segment] = []
    for one, line in zip(people, lines, strict=True):
        found += segments(line, one, count=count)
    return Recognition(tuple(sorted(found, key=lambda s: (s.start_s, s.person))), lines, recognizer.name)


def timeline(sequence: PoseSequence, recognizer: Recognizer) -> Timeline:
    """The chances of one person's windows, ``HOP`` samples apart, and the states after hysteresis."""
    clock = on_clock(sequence)
    if not len(clock.points):
        nothing = np.empty((0, len(recognizer.classes)))
        return Timeline(sequence.person, recognizer.classes, np.empty(0), nothing, np.empty(0, np.int64))
    centres = window_centres(clock.first, clock.first + len(clock.points) - 1)
    chances, time_s = chances_at(recognizer, clock, centres), centres / RATE_HZ
    state = decided(chances, time_s, recognizer.calibration, partial(repetitions_within, sequence))
    return Timeline(sequence.person, recognizer.classes, time_s, chances, state)


def decided(
    chances: Array, time_s: Array, calibration: Calibration, count: Callable[[float, float], int]
) -> NDArray[np.int64]:
    """(N,) class numbers: what stands by itself, and what repetitions speak for.

    Args:
        chances: (N, C) calibrated; unknown is the last class.
        time_s: (N,) middles of the windows.
        count: complete repetitions between two moments; asked only where they matter.
    """
    state = decode(chances, calibration.named_from, PRICE)
    for needed, level in ((1, calibration.once_from), (2, calibration.repeated_from)):
        loose = decode(chances, min(calibration.named_from, level), PRICE_REPEATED)
        for run in _runs(loose):
            number = int(loose[run[0]])
            if number == chances.shape[1] - 1 or (state[run] == number).all():
                continue
            if count(float(time_s[run[0]]) - HALF_S, float(time_s[run[-1]]) + HALF_S) >= needed:
                state[run] = number
    return state


def _runs(state: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """The indices of each stretch of one state."""
    return np.split(np.arange(len(state)), np.flatnonzero(np.diff(state)) + 1) if len(state) else []


def decode(chances: Array, named_from: float, price: float) -> NDArray[np.int64]:
    """(N,) class numbers: the likeliest path (Viterbi 1967) when exercises begin and end seldom.

    Unknown is favoured so that an exercise must reach ``named_from`` against it; the beginning of an exercise costs
    ``price``, and its end (the clip's first and last window are no exception).
    """
    if not len(chances):
        return np.empty(0, np.int64)
    classes = chances.shape[1]
    scores = np.log(np.clip(chances, 1e-4, 1.0))
    scores[:, -1] += np.log(named_from / (1 - named_from))
    edge = np.append(np.full(classes - 1, -price), 0.0)
    step = edge[:, None] + edge
    np.fill_diagonal(step, 0.0)
    total, back = scores[0] + edge, np.zeros((len(scores), classes), np.int64)
    for number in range(1, len(scores)):
        ways = total[:, None] + step
        back[number] = ways.argmax(axis=0)
        total = ways.max(axis=0) + scores[number]
    path = np.empty(len(scores), np.int64)
    path[-1] = int((total + edge).argmax())
    for number in range(len(scores) - 1, 0, -1):
        path[number - 1] = back[number, path[number]]
    return path


def segments(line: Timeline, sequence: PoseSequence, *, count: bool = True) -> list[Segment]:
    """The runs of one exercise in a timeline, within the clip.

    Windows see a beginning before it comes, and an end after it. Where repetitions are counted, the first one's
    beginning and the last one's end are taken instead, unless they lie further in than ``INWARD_S``.
    """
    found: list[Segment] = []
    if not len(line.state) or not len(sequence):
        return found
    free_s = float(sequence.time_s[0])  # where no exercise before this one lies
    runs = _runs(line.state)
    for run, then in zip(runs, [*runs[1:], None], strict=True):
        number = int(line.state[run[0]])
        if line.classes[number] == UNKNOWN:
            continue
        start = max(float(line.time_s[run[0]]) - HALF_S, free_s)
        end = min(float(line.time_s[run[-1]]) + HALF_S, float(sequence.time_s[-1]))
        mean = line.chances[run].mean(axis=0)
        if end - start < SHORTEST_S:
            continue
        others = np.where(np.arange(len(mean)) == number, -1.0, mean)
        second = int(others.argmax())
        repetitions = None
        if count:
            done = _complete_within(sequence, start, end, OUTWARD_S)
            repetitions = len(done)
            next_s = end if then is not None and line.classes[int(line.state[then[0]])] != UNKNOWN else np.inf
            if done and done[0].start_s - start <= INWARD_S:
                start = max(done[0].start_s, free_s)
            if done and end - done[-1].end_s <= INWARD_S:
                end = min(done[-1].end_s, next_s)
        found.append(
            Segment(start, end, line.classes[number], float(mean[number]), line.person, repetitions,
                    line.classes[second], float(mean[second]))
        )  # fmt: skip
        free_s = end
    return found


def repetitions_within(sequence: PoseSequence, start_s: float, end_s: float) -> int:
    """How many complete repetitions turn between two moments."""
    return len(_complete_within(sequence, start_s, end_s, REPETITION_MARGIN_S))


def _complete_within(sequence: PoseSequence, start_s: float, end_s: float, margin_s: float) -> list[Repetition]:
    """Those repetitions, looked for a little over the ends, which are only known to about a second."""
    part = sequence.between(start_s - margin_s, end_s + margin_s)
    if part.frames_seen < 2:
        return []
    return [one for one in find_repetitions(part).complete if start_s <= one.turn_s <= end_s]
