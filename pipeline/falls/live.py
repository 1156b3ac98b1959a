"""Falls while they happen: the batch answer on what has been seen so far, told once."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np

from pipeline.falls.events import FallEvent, find_events, smoothed
from pipeline.falls.features import AFTER_S, BEFORE_S, GAP_S, REACH_S, STEP_S, Body, FeatureTable, body, features
from pipeline.falls.forest import DEFAULT_SENSITIVITY, FallForest, load_forest
from pipeline.poses import Array, PoseSequence
from pipeline.recent import RecentFrames
from pipeline.skeletons import BLAZEPOSE_33, Skeleton

SETTLE_S = AFTER_S + REACH_S  # a moment's window is complete this long after it
KEEP_S = BEFORE_S + SETTLE_S + 2 * GAP_S  # frames that a new window may still need


class LiveFalls:
    """Tells each fall of one person once, about two and a half seconds after it.

    Every ``every_s`` seconds the windows that have become complete are classified; a window is classified once, with
    the frames that the batch answer uses too, so ``events`` agrees with ``detect_falls`` on the same frames. The clip's
    last two seconds, whose windows are never complete, are judged by ``finish``.
    """

    def __init__(
        self,
        skeleton: Skeleton = BLAZEPOSE_33,
        image_size: tuple[int, int] = (0, 0),
        person: int = 0,
        sensitivity: str = DEFAULT_SENSITIVITY,
        *,
        model: FallForest | None = None,
        every_s: float = 0.2,
        memory_s: float = 120.0,
    ) -> None:
        """
        Args:
            sensitivity: name of an operating point, "very cautious" to "very sensitive".
            model: None is the shipped one.
            every_s: between two looks.
            memory_s: how far back ``events`` and ``probability`` reach.

        Raises:
            FallModelError: no such sensitivity, or no model. ValueError: impossible times.
        """
        if not 0 < every_s < memory_s or memory_s < 10:
            raise ValueError("every_s must be above zero, memory_s at least ten seconds; 0.2 and 120 are usual.")
        self.skeleton, self.image_size, self.person = skeleton, image_size, person
        self.model = model or load_forest()
        self.point = self.model.point(sensitivity)
        self.every_s, self.memory_s = every_s, memory_s
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self._frames = RecentFrames(self.skeleton, self.image_size, self.person)
        self._looked_s = -math.inf
        self._tables: deque[tuple[Body, FeatureTable, Array]] = deque()  # what is final
        self._final_s = -math.inf
        self._kept: list[FallEvent] = []  # older than the memory
        self._events: tuple[FallEvent, ...] = ()
        self._told: list[FallEvent] = []
        self._waiting: deque[FallEvent] = deque()
        self._curve: tuple[Array, Array] = (np.empty(0), np.empty(0))

    @property
    def events(self) -> tuple[FallEvent, ...]:
        """All falls that are known now, in time order; lying and recovery grow while they last."""
        return (*self._kept, *self._events)

    @property
    def told(self) -> tuple[FallEvent, ...]:
        """The falls that ``update`` has returned."""
        return tuple(self._told)

    @property
    def probability(self) -> tuple[Array, Array]:
        """(G,) seconds and (G,) smoothed fall probability of the memory, for a curve."""
        return self._curve

    @property
    def probability_now(self) -> float:
        """The latest smoothed probability; 0 before there is one."""
        return float(self._curve[1][-1]) if len(self._curve[1]) else 0.0

    def update(self, xy_px: Array, score: Array, time_s: float) -> FallEvent | None:
        """Takes one frame; returns a fall that has become known, or None. At most one is told a frame.

        Arguments and errors are those of ``RecentFrames.append``.
        """
        self._frames.append(xy_px, score, time_s)
        if time_s - self._looked_s >= self.every_s:
            self._look(float(time_s))
            self._forget(float(time_s))
        return self._tell()

    def finish(self) -> tuple[FallEvent, ...]:
        """Judges the last two seconds as well, and returns all falls that were not yet told."""
        if self._frames:
            self._look(self._frames.last_s, final=True)
        rest = tuple(self._waiting)
        self._told += rest
        self._waiting.clear()
        return rest

    def _tell(self) -> FallEvent | None:
        if not self._waiting:
            return None
        self._told.append(self._waiting.popleft())
        return self._told[-1]

    def _look(self, now_s: float, *, final: bool = False) -> None:
        self._looked_s = now_s
        recent = _from_first_seen(self._frames.sequence())
        if not len(recent):
            return
        grid = body(recent)
        table = features(grid)
        last_s = math.inf if final else now_s - SETTLE_S
        new = (grid.time_s > self._final_s + STEP_S / 2) & (grid.time_s <= last_s + 1e-9)
        if new.any():
            self._fill_until(float(grid.time_s[new][0]), table.names)
            part = FeatureTable(table.time_s[new], table.values[new], table.names)
            piece = Body(grid.time_s[new], grid.xy_px[new], grid.score[new], grid.height_px[new])
            self._tables.append((piece, part, self.model.probability(part)))
            self._final_s = float(grid.time_s[new][-1])
        if self._tables and (new.any() or final):
            self._judge(final=final)

    def _fill_until(self, start_s: float, names: tuple[str, ...]) -> None:
        """Nobody was seen for a while: moments without a person, so that the memory has no jump in time."""
        first = max(self._final_s, start_s - self.memory_s) if math.isfinite(self._final_s) else start_s
        missing = round((start_s - first) / STEP_S) - 1
        if missing > 0:
            time_s = start_s - STEP_S * np.arange(missing, 0, -1)
            nothing = np.full(missing, np.nan)
            empty = Body(time_s, np.full((missing, 13, 2), np.nan), np.full((missing, 13), np.nan), nothing)
            self._tables.append((empty, FeatureTable(time_s, np.full((missing, len(names)), np.nan), names), nothing))

    def _judge(self, *, final: bool) -> None:
        whole = Body(*(np.concatenate([getattr(one, name) for one, _, _ in self._tables])
                       for name in ("time_s", "xy_px", "score", "height_px")))  # fmt: skip
        curve = smoothed(np.concatenate([probability for _, _, probability in self._tables]))
        self._curve = (whole.time_s, curve)
        found = find_events(whole, curve, self.point.threshold, self.person)
        self._events = tuple(self._explained(event) for event in found)
        for event in self._events:
            settled = final or event.peak_s < whole.time_s[-1] - 2 * STEP_S
            known = [*self._kept, *self._told, *self._waiting]
            if settled and not any(_same(event, other) for other in known):
                self._waiting.append(event)

    def _explained(self, event: FallEvent) -> FallEvent:
        for other in self._events:
            if other.peak_s == event.peak_s and other.reasons:
                return replace(event, reasons=other.reasons)
        for _, table, _ in self._tables:
            near = np.flatnonzero(np.abs(table.time_s - event.peak_s) < STEP_S / 2)
            if len(near):
                return replace(event, reasons=self.model.reasons(table, int(near[0])))
        return event

    def _forget(self, now_s: float) -> None:
        self._frames.drop_before(now_s - KEEP_S)
        if self._tables and now_s - self._tables[0][0].time_s[0] > self.memory_s:
            border_s = now_s - self.memory_s / 2
            self._kept += [event for event in self._events if event.peak_s < border_s]
            while self._tables and self._tables[0][0].time_s[-1] < border_s:
                self._tables.popleft()
            self._events = tuple(event for event in self._events if event.peak_s >= border_s)


def _from_first_seen(recent: PoseSequence) -> PoseSequence:
    frames = np.flatnonzero(recent.seen)
    return recent.select(slice(int(frames[0]), int(frames[-1]) + 1)) if len(frames) else recent.select(slice(0, 0))


def _same(event: FallEvent, other: FallEvent) -> bool:
    return event.onset_s <= other.impact_s + 1.5 and other.onset_s <= event.impact_s + 1.5
