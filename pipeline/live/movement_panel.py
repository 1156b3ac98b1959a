"""Repetitions, phase and form remarks while somebody trains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import takewhile

import numpy as np

from pipeline.kinematics import camera_view
from pipeline.live.panels import LivePanel, LivePose, PanelSettings, PoseMemory, Reading
from pipeline.movements import AUTO, UNKNOWN, RepetitionReport, judge, measure_repetitions, movement_named
from pipeline.movements.geometry import Unmeasurable, Window
from pipeline.movements.recognize import recognize
from pipeline.poses import PoseSequence
from pipeline.repetitions import LiveRepetitions, Repetition
from pipeline.signal import clean

COUNT_EVERY_S = 0.75  # each look at half a minute costs 0.1 s of one core
MEMORY_S = 30.0  # what a look sees: several repetitions even of a slow set
MOST_LATE_S = 7.0  # a machine that is too busy for the analyses gets a look every six seconds at the least
SLACK_S = 5.0  # by so much may a look move the ends of what it found before
SURE_FROM = 3  # with fewer, the counter may still change its mind
SAME_S = 0.15  # two turning points this close are one
JUDGED_TOGETHER = 3  # a movement is recognised by its last few repetitions
REMARKS_SHOWN = 6
SPOKEN_ONCE_S = 0.5
PHASE_EVERY_S, PHASE_WINDOW_S, PHASE_STEP_S = 0.2, 1.2, 0.3
RANGE_S = 12.0  # the range of the movement is that of the last seconds
MOVING_SHARE, HELD_SHARE = 0.12, 0.7  # of that range: moved in PHASE_STEP_S; near the turning point


class MovementPanel(LivePanel):
    """Counts like ``LiveRepetitions`` and has every complete repetition judged as the Movement Analyzer does."""

    title = "Movement"

    def __init__(self, settings: PanelSettings) -> None:
        super().__init__(settings)
        self.movement = settings.movement
        if self.movement != AUTO:
            movement_named(self.movement)
        self._memory = PoseMemory(MEMORY_S)
        self.reset()

    def reset(self) -> None:
        self._memory.clear()
        self._counter: LiveRepetitions | None = None
        self._repetitions: tuple[Repetition, ...] = ()
        self._recent: list[Repetition] = []  # the newest of them, which a look may still change
        self._looked_s = -np.inf
        self._judged: list[Repetition] = []  # of those the counter still sees
        self._waiting: list[tuple[Repetition, float]] = []  # found, and since when
        self._remarks: deque[tuple[Repetition, str]] = deque(maxlen=REMARKS_SHOWN)
        self._spoken: tuple[str, ...] = ()
        self._said: deque[float] = deque(maxlen=50)  # turning points whose advice was spoken
        self._recognised = UNKNOWN
        self._efforts: deque[tuple[float, float]] = deque()
        self._phase, self._phase_due_s = "", -np.inf
        self._counted = 0
        self._reading = Reading()

    @property
    def reading(self) -> Reading:
        return self._reading

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        """The complete ones, as the counter's last look knows them."""
        return self._repetitions

    @property
    def name(self) -> str:
        """The movement chosen, or recognised; "unknown" before that."""
        return self._recognised if self.movement == AUTO else self.movement

    def update(self, pose: LivePose) -> None:
        counter = self._counter
        if counter is None or (counter.skeleton, counter.image_size) != (pose.skeleton, pose.image_size):
            counter = self._counter = LiveRepetitions(
                pose.skeleton, pose.image_size, every_s=COUNT_EVERY_S, memory_s=MEMORY_S
            )
        self._memory.add(pose)
        counter.every_s = COUNT_EVERY_S * (1 + min(pose.late_s, MOST_LATE_S))
        counter.update(pose.xy_px, pose.score, pose.time_s)
        if counter.analysed_s != self._looked_s:
            self._look(counter)
            self._judge(self._settled(pose.time_s))
        if pose.time_s >= self._phase_due_s:
            self._phase_due_s = pose.time_s + PHASE_EVERY_S
            self._phase = self._phase_now(pose.time_s) if pose.seen else "out of view"
        self._tell()

    def finish(self) -> None:
        if self._counter is not None:
            self._counter.finish()
            self._look(self._counter)
            self._tell()

    def _look(self, counter: LiveRepetitions) -> None:
        """Take over what the counter knows now. What it takes back has been no repetition, and its remark no remark.

        What lies before its memory stays as it is: judging costs the same however long the set is.
        """
        self._looked_s = counter.analysed_s
        self._repetitions = tuple(r for r in counter.repetitions if r.complete)
        self._recent = list(takewhile(lambda r: self._seen(r, SLACK_S), reversed(self._repetitions)))[::-1]
        self._judged = [old for old in self._judged if self._seen(old, SLACK_S)]
        gone = {
            old for old in self._judged if self._seen(old) and not any(_overlap(old, r, 0.5, max) for r in self._recent)
        }
        if gone:
            self._judged = [old for old in self._judged if old not in gone]
            self._remarks = deque(((old, line) for old, line in self._remarks if old not in gone), maxlen=REMARKS_SHOWN)

    def _seen(self, repetition: Repetition, slack_s: float = 0.0) -> bool:
        """Whether the counter's memory may still reach it."""
        return repetition.end_s >= self._looked_s - MEMORY_S - slack_s

    def _settled(self, now_s: float) -> list[Repetition]:
        """Complete repetitions that two looks have found alike and nobody has judged yet."""
        waiting = [r for r in self._recent if self._seen(r) and not any(_overlap(r, old) for old in self._judged)]
        since = {
            r: next((s for old, s in self._waiting if abs(old.turn_s - r.turn_s) <= SAME_S), now_s) for r in waiting
        }
        self._waiting = list(since.items())
        looks = 1 if len(self.repetitions) >= SURE_FROM else 2
        return [r for r, since_s in self._waiting if now_s - since_s >= looks * COUNT_EVERY_S]

    def _judge(self, new: list[Repetition]) -> None:
        if not new:
            return
        self._judged += new
        last = [r for r in self.repetitions if r.start_s <= new[-1].start_s][-JUDGED_TOGETHER:]
        sequence = self._memory.sequence(min(r.start_s for r in [*last, *new]) - 1.0)
        if sequence is None or sequence.frames_seen < 2:
            return
        cleaned = clean(sequence)
        if self.movement == AUTO:
            guess = recognize(cleaned, last)
            if guess.movement != UNKNOWN:
                self._recognised = guess.movement
        if self.name == UNKNOWN:
            return
        inside = [r for r in new if r.start_s >= cleaned.time_s[0]]
        report = judge(measure_repetitions(cleaned, self.name, inside, cleaned=True))
        for repetition, judged in zip(inside, report.repetitions, strict=True):
            self._remark(repetition, judged)

    def _remark(self, counted: Repetition, repetition: RepetitionReport) -> None:
        middle_s = (repetition.start_s + repetition.end_s) / 2
        number = 1 + sum(r.end_s <= middle_s for r in self.repetitions)
        for remark in repetition.remarks:
            side = "" if remark.side == "both" else f", {remark.side} side"
            value = f"{remark.value:.0f}{remark.unit}" if remark.unit == "°" else f"{remark.value:.2g} {remark.unit}"
            text = f"Repetition {number}: {remark.label}{side} ({value}). {remark.advice}"
            self._remarks.appendleft((counted, text))
        if repetition.remarks and not any(abs(counted.turn_s - said_s) < SPOKEN_ONCE_S for said_s in self._said):
            self._said.append(counted.turn_s)
            self._spoken = (*self._spoken, repetition.remarks[0].advice)
        if repetition.verdict == "good":
            self._remarks.appendleft((counted, f"Repetition {number}: good."))

    def _phase_now(self, now_s: float) -> str:
        sequence = self._memory.sequence(now_s - PHASE_WINDOW_S)
        if self.name == UNKNOWN or sequence is None or len(sequence) < 3:
            return ""
        effort = self._effort(sequence)
        if effort is None:
            return ""
        before, now = effort
        self._efforts.append((now_s, now))
        while now_s - self._efforts[0][0] > RANGE_S:
            self._efforts.popleft()
        values = [value for _, value in self._efforts]
        movement, low, high = movement_named(self.name), min(values), max(values)
        if high - low < movement.least or high == low:
            return "ready"
        if abs(now - before) > MOVING_SHARE * (high - low):
            return movement.phases[0] if now > before else movement.phases[2]
        return movement.phases[1] if now > low + HELD_SHARE * (high - low) else "ready"

    def _effort(self, sequence: PoseSequence) -> tuple[float, float] | None:
        """How far the movement had gone ``PHASE_STEP_S`` ago and how far it has gone now."""
        time_s = sequence.time_s
        whole = Repetition(sequence.person, float(time_s[0]), float(time_s[-1]), float(time_s[-1]), True, 1.0, 0.0)
        try:
            effort = movement_named(self.name).effort(Window(sequence, camera_view(sequence), whole, space=False))
        except Unmeasurable:
            return None
        known = np.isfinite(effort)
        if not known.any():
            return None
        before, now = np.interp([time_s[-1] - PHASE_STEP_S, time_s[-1]], time_s[known], effort[known])
        return float(before), float(now)

    def _tell(self) -> None:
        turns_s = tuple(repetition.turn_s for repetition in self.repetitions)
        count = len(turns_s)
        if count > self._counted:
            self._spoken = (*self._spoken, str(count))
        self._counted = max(self._counted, count)
        label = "not recognised yet" if self.name == UNKNOWN else movement_named(self.name).label
        metrics = (("Repetitions", str(count)), ("Phase", self._phase or "–"), ("Movement", label))
        newest_first = sorted(self._remarks, key=lambda remark: -remark[0].turn_s)
        reading = Reading(metrics, tuple(line for _, line in newest_first), "", self._spoken[-200:], turns_s)
        if reading != self._reading:
            self._reading = reading


def _overlap(
    one: Repetition, other: Repetition, share: float = 0.25, of: Callable[[float, float], float] = min
) -> bool:
    """Whether they have more than this share of the shorter (or longer) one in common."""
    shared_s = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return shared_s > share * of(one.duration_s, other.duration_s)
