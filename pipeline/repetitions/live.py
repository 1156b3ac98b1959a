"""Repetitions while they happen: the batch answer on what has been seen so far, told once."""

from __future__ import annotations

from collections import deque

import numpy as np

from pipeline.poses import Array
from pipeline.recent import RecentFrames
from pipeline.repetitions.results import Repetition, RepetitionParameters, RepetitionSet
from pipeline.repetitions.search import find_repetitions
from pipeline.skeletons import BLAZEPOSE_33, Skeleton

SURE_FROM = 3  # repetitions: with two, which end of the movement is the rest is often still open
SETTLE = 4  # looks in a row that must agree on a turning point: with more to see, another curve may carry the set
SAME_S = 0.15  # two turning points this close are one
OVERLAP = 0.25  # repetitions that share more than this of the shorter one are the same movement


class LiveRepetitions:
    """Tells each complete repetition once, soon after it can be told.

    Every ``every_s`` seconds the batch analysis runs on the last ``memory_s`` seconds, so ``repetitions`` is what
    ``find_repetitions`` says about the same frames as long as the memory holds them all. What is older keeps the answer
    that it had. The first repetitions of a set are told together with its third, and ``finish`` tells the rest: one or
    two may still be anything. Those told early may be revised, ``repetitions`` is the answer.
    """

    def __init__(
        self,
        skeleton: Skeleton = BLAZEPOSE_33,
        image_size: tuple[int, int] = (0, 0),
        person: int = 0,
        parameters: RepetitionParameters | None = None,
        *,
        signal: str | None = None,
        every_s: float = 0.5,
        memory_s: float = 60.0,
    ) -> None:
        if not 0 < every_s < memory_s:
            raise ValueError("every_s must be above zero and below memory_s; half a second and a minute are usual.")
        self.skeleton, self.image_size, self.person = skeleton, image_size, person
        self.parameters = parameters or RepetitionParameters()
        self.signal, self.every_s, self.memory_s = signal, every_s, memory_s
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self._frames = RecentFrames(self.skeleton, self.image_size, self.person)
        self._analysed_s = -np.inf
        self._kept: list[Repetition] = []  # older than the memory
        self._latest = RepetitionSet.none(self.person)
        self._looks: deque[RepetitionSet] = deque(maxlen=SETTLE - 1)  # the ones before
        self._told: list[Repetition] = []
        self._waiting: deque[Repetition] = deque()

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        """All that are known now, the cut-off ones at either end included, in time order."""
        return (*self._kept, *self._latest.repetitions)

    @property
    def analysed_s(self) -> float:
        """When the last look was, in the frames' time; ``repetitions`` is as it was then. -inf before the first."""
        return self._analysed_s

    @property
    def count(self) -> int:
        """How many complete repetitions are known now."""
        return sum(repetition.complete for repetition in self.repetitions)

    @property
    def told(self) -> tuple[Repetition, ...]:
        """The repetitions that ``update`` has returned."""
        return tuple(self._told)

    def update(self, xy_px: Array, score: Array, time_s: float) -> Repetition | None:
        """Takes one frame; returns a repetition that has become certain, or None. At most one is told a frame.

        Arguments and errors are those of ``RecentFrames.append``.
        """
        self._frames.append(xy_px, score, time_s)
        self._forget(float(time_s))
        if time_s - self._analysed_s >= self.every_s:
            self._analyse(float(time_s))
        return self._tell()

    def finish(self) -> tuple[Repetition, ...]:
        """Analyses what came since the last look, and returns all that was not yet told."""
        if self._frames:
            self._analyse(self._frames.last_s, final=True)
        rest = tuple(self._waiting)
        self._told += rest
        self._waiting.clear()
        return rest

    def _tell(self) -> Repetition | None:
        if not self._waiting:
            return None
        self._told.append(self._waiting.popleft())
        return self._told[-1]

    def _forget(self, now_s: float) -> None:
        """Drops the older half of the memory once it is full; what was found in it is kept."""
        if now_s - self._frames.first_s <= self.memory_s:
            return
        self._analyse(now_s)
        border_s = now_s - self.memory_s / 2
        complete = [one for one in self._latest.complete if one.turn_s <= border_s]
        if complete:
            border_s = complete[-1].end_s
        self._kept += complete
        self._frames.drop_before(border_s)

    def _analyse(self, now_s: float, *, final: bool = False) -> None:
        self._analysed_s = now_s
        seen = self._frames.sequence()
        self._looks.append(self._latest)
        self._latest = find_repetitions(seen, self.parameters, signal=self.signal)
        if not final and len(self._latest.complete) < SURE_FROM:
            return
        known = [*self._told, *self._waiting]
        for one in self._latest.complete:
            agreed = all(any(_same(one, old) for old in look.complete) for look in self._looks)
            settled = final or (one.end_s <= now_s - self.every_s and agreed)
            if settled and not any(_overlap(one, old) for old in known):
                self._waiting.append(one)
                known.append(one)


def _same(one: Repetition, other: Repetition) -> bool:
    return abs(one.turn_s - other.turn_s) <= SAME_S


def _overlap(one: Repetition, other: Repetition) -> bool:
    shared_s = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return _same(one, other) or shared_s > OVERLAP * min(one.duration_s, other.duration_s)
