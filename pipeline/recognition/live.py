"""Recognition while it happens: the batch answer on what has been seen so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.recent import RecentFrames
from pipeline.recognition.classes import UNKNOWN
from pipeline.recognition.places import chances_at
from pipeline.recognition.recognizer import Recognizer, shipped
from pipeline.recognition.segments import Segment, Timeline, decided, repetitions_within, segments
from pipeline.recognition.windows import HOP, MAX_GAP_S, RATE_HZ, WINDOW, on_clock, window_centres
from pipeline.skeletons import BLAZEPOSE_33, Skeleton

_BEFORE_S = WINDOW / RATE_HZ + MAX_GAP_S  # of frames that a window and its neighbours need
SETTLED = 3  # windows after a change before it is told: hysteresis in time
COUNT_EVERY_S = 1.0  # repetitions are counted anew, which takes longer than a window's chances
COUNTED_S = 12.0  # of the newest frames: a few slow repetitions


class LiveRecognition:
    """Tells the exercise soon after it has begun or ended.

    Every window is computed once, as soon as all of its frames are there, so what is said of a moment comes half a
    window (1.6 s) later. Where repetitions decide, they are counted in the newest frames, and what they have once
    spoken for stands. ``finish`` counts whole stretches, so that the timeline is that of ``recognize`` on the same
    frames, as long as the memory holds them all.
    """

    def __init__(
        self,
        skeleton: Skeleton = BLAZEPOSE_33,
        image_size: tuple[int, int] = (0, 0),
        person: int = 0,
        recognizer: Recognizer | None = None,
        *,
        memory_s: float = 120.0,
    ) -> None:
        if memory_s <= 2 * _BEFORE_S:
            raise ValueError(f"memory_s must be above {2 * _BEFORE_S:.0f} seconds; two minutes are usual.")
        self.skeleton, self.image_size, self.person = skeleton, image_size, person
        self.recognizer = recognizer or shipped()
        self.memory_s = memory_s
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self._frames = RecentFrames(self.skeleton, self.image_size, self.person)
        self._centres: deque[int] = deque()
        self._chances: deque[Array] = deque()
        self._first_s = 0.0
        self._next: int | None = None
        self._told = UNKNOWN
        self._state: NDArray[np.int64] = np.empty(0, np.int64)
        self._counted: list[tuple[float, float, int]] = []  # from, to, repetitions
        self._counted_s = -np.inf

    @property
    def timeline(self) -> Timeline:
        """The windows that are known, with the states after hysteresis."""
        classes = self.recognizer.classes
        chances = np.array(self._chances).reshape(-1, len(classes))
        times = np.array(self._centres) / RATE_HZ
        return Timeline(self.person, classes, times, chances, self._state)

    @property
    def current(self) -> str:
        """The exercise that goes on, as it was last told; "unknown" for none."""
        return self._told

    @property
    def confidence(self) -> float:
        """The calibrated probability of ``current`` in the last window; 0 before the first."""
        if not self._chances:
            return 0.0
        return float(self._chances[-1][self.recognizer.classes.index(self._told)])

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is known now of the exercises done, without their repetitions.

        Beginnings and ends are the windows'; ``recognize`` moves them to the first and the last repetition.
        """
        line = self.timeline
        if not len(line.time_s) or not self._frames:
            return ()
        span_s = np.array([self._first_s, max(self._frames.last_s, self._first_s + 1e-3)])
        ends = PoseSequence.empty(self.skeleton, self.image_size, self.person, span_s)
        return tuple(segments(line, ends, count=False))

    def update(self, xy_px: Array, score: Array, time_s: float, xyz_m: Array | None = None) -> str | None:
        """Takes one frame; returns the exercise that has begun ("unknown" when one has ended), or None.

        Args:
            xy_px: (J, 2) pixels, NaN where not seen.
            score: (J,) 0..1.
            time_s: later than the last frame's.
            xyz_m: (J, 3) metres; only the baseline network looks at the depth.

        Raises:
            ValueError: the time does not increase, or the shapes are not the skeleton's.
        """
        self._frames.append(xy_px, score, time_s, xyz_m)
        if self._next is None:
            self._first_s = float(time_s)
            self._next = int(window_centres(int(np.ceil(time_s * RATE_HZ - 1e-6)), int(time_s * RATE_HZ))[0])
        ready = int(np.floor((time_s - MAX_GAP_S) * RATE_HZ)) - WINDOW // 2 + 1  # a gap can be bridged no more
        if self._next > ready:
            return None
        self._look(np.arange(self._next, ready + 1, HOP, dtype=np.int64))
        self._forget(float(time_s))
        self._decide(self._count_now)
        return self._tell(settled=SETTLED)

    def finish(self) -> str | None:
        """Looks at the last windows, which reach over the end; returns what has changed, if anything."""
        if not self._frames or self._next is None:
            return None
        last = int(np.floor(self._frames.last_s * RATE_HZ + 1e-6))
        first = int(np.ceil(self._first_s * RATE_HZ - 1e-6))
        centres = window_centres(first, last)
        rest = centres[centres >= self._next]
        if len(rest):
            self._look(rest)
        self._decide(self._count_whole)
        return self._tell(settled=1)

    def _look(self, centres: NDArray[np.int64]) -> None:
        seen = self._frames.sequence(int(centres[0]) / RATE_HZ - _BEFORE_S)
        chances = chances_at(self.recognizer, on_clock(seen), centres)
        self._centres.extend(int(one) for one in centres)
        self._chances.extend(chances)
        self._next = int(centres[-1]) + HOP

    def _decide(self, count: Callable[[float, float], int]) -> None:
        line = self.timeline
        self._state = decided(line.chances, line.time_s, self.recognizer.calibration, count)

    def _count_now(self, start_s: float, end_s: float) -> int:
        """Repetitions between two moments, seen from now: those that were counted before stand."""
        before = max((found for since, to, found in self._counted if start_s < to and since < end_s), default=0)
        now_s = self._frames.last_s
        if before >= 2 or end_s < now_s - COUNTED_S or now_s - self._counted_s < COUNT_EVERY_S:
            return before
        self._counted_s = now_s
        since_s = max(start_s, now_s - COUNTED_S)
        found = repetitions_within(self._frames.sequence(since_s - 1.0), since_s, end_s)
        if found > before:
            self._counted.append((since_s, end_s, found))
        return max(found, before)

    def _count_whole(self, start_s: float, end_s: float) -> int:
        return repetitions_within(self._frames.sequence(-np.inf), start_s, end_s)

    def _forget(self, now_s: float) -> None:
        self._frames.drop_before(now_s - self.memory_s)
        while self._centres and self._centres[0] / RATE_HZ < now_s - self.memory_s:
            self._centres.popleft()
            self._chances.popleft()
            self._first_s = max(self._first_s, now_s - self.memory_s)
        self._counted = [span for span in self._counted if span[1] > now_s - self.memory_s]

    def _tell(self, *, settled: int) -> str | None:
        """The newest state, once it has held for ``settled`` windows."""
        line = self.timeline
        newest = line.state[-settled:]
        if len(newest) < settled or (newest != newest[-1]).any():
            return None
        name = line.classes[int(newest[-1])]
        if name == self._told:
            return None
        self._told = name
        return name
