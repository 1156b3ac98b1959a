"""From a probability over time to falls: when balance was lost, the impact, lying, getting up again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pipeline.falls.features import STEP_S, Body, signals
from pipeline.poses import Array

SMOOTH_S = 0.15  # standard deviation of the smoothing of the probability over time
SAME_FALL_S = 4.0  # alarms closer than this are one fall, unless the person stood up in between
ONSET_SHARE, IMPACT_SHARE = 0.06, 0.25  # of the fastest way down: slower than this it has not begun, or is over
LONGEST_S = 1.5  # from the fastest moment to onset or impact
LYING_DEG = 55.0  # the trunk of somebody who lies is tilted further ...
LYING_HEAD_H = 0.45  # ... or the head is this near to the level of the feet
UPRIGHT_DEG = 40.0
RISEN_SHARE = 0.6  # of the lost height of head and hips: regained, the person is up again
HOLD_S = 0.5  # lying and standing count once they last this long


@dataclass(frozen=True)
class Reason:
    """Why a moment looks like a fall: a feature, its value, how much of the probability it explains, in words."""

    feature: str
    value: float
    share: float
    text: str


@dataclass(frozen=True)
class FallEvent:
    """One fall of one person. Times are seconds of the clip.

    Attributes:
        onset_s: balance is lost; impact_s: the body has come down.
        lying_s: from when on the person lies; NaN when that was not seen. lying_for_s: seconds seen lying.
        peak_s, peak_probability: where the classifier is surest.
        recovered_s: when the person is up again; NaN when that was not seen.
        reasons: what drove the probability, most important first.
    """

    person: int
    onset_s: float
    impact_s: float
    lying_s: float
    lying_for_s: float
    peak_s: float
    peak_probability: float
    recovered_s: float
    reasons: tuple[Reason, ...] = ()

    @property
    def recovered(self) -> bool:
        """The person was seen to get up again."""
        return math.isfinite(self.recovered_s)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what was not seen is None."""

        def plain(value: float) -> float | None:
            return round(float(value), 3) if math.isfinite(value) else None

        times = {
            name: plain(getattr(self, name))
            for name in ("onset_s", "impact_s", "lying_s", "lying_for_s", "peak_s", "recovered_s")
        }
        return {
            "person": self.person,
            **times,
            "probability": plain(self.peak_probability),
            "peak_probability": plain(self.peak_probability),
            "recovered": self.recovered,
            "reasons": [
                {"feature": r.feature, "value": plain(r.value), "share": plain(r.share), "text": r.text}
                for r in self.reasons
            ],
        }


def smoothed(probability: Array) -> Array:
    """(G,) probability averaged over time, weights Gaussian; NaN counts as 0, for nobody is seen there."""
    if not len(probability):
        return probability
    return np.asarray(gaussian_filter1d(np.nan_to_num(probability), SMOOTH_S / STEP_S, mode="nearest", truncate=2.0))


@dataclass(frozen=True, eq=False)
class Course:
    """How a body moves up and down, all (G,): vertical speed in heights a second, level of head and hips, tilt."""

    time_s: Array
    speed_h_s: Array
    level_h: Array
    trunk_deg: Array
    head_over_foot_h: Array

    @classmethod
    def of(cls, one: Body) -> Course:
        """From a body on the even grid."""
        if len(one) < 3:
            nothing = np.full(len(one), np.nan)
            return cls(one.time_s, nothing, nothing, nothing, nothing)
        given = signals(one)
        heights = np.stack([given[name] for name in ("head", "shoulder", "hip")])
        speed = _known_mean(np.gradient(heights, STEP_S, axis=1)) / one.height_px
        level = _known_mean(heights[[0, 2]]) / one.height_px
        return cls(one.time_s, speed, level, given["trunk_deg"], given["head_over_foot_h"] / one.height_px)


def _known_mean(rows: Array) -> Array:
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    return np.asarray(np.where(known, rows, 0.0).sum(axis=0) / np.where(count, count, np.nan))


def drop_times(course: Course, moment_s: float, within_s: float = 1.0) -> tuple[float, float]:
    """Onset and impact of the drop around a moment: where the way down begins and where it ends.

    The fastest moment within ``within_s`` is the middle; from there the drop reaches as far as the body goes down
    faster than ``ONSET_SHARE`` and ``IMPACT_SHARE`` of that speed. Without a way down it is
    the moment, 0.4 s either way.
    """
    near = np.flatnonzero(np.abs(course.time_s - moment_s) <= within_s + 1e-9)
    down = -course.speed_h_s
    near = near[np.isfinite(down[near])]
    if not len(near) or down[near].max() <= 0.05:
        return moment_s - 0.4, moment_s + 0.4
    middle = int(near[np.argmax(down[near])])
    fastest = down[middle]
    reach = round(LONGEST_S / STEP_S)
    start = middle
    while start > max(0, middle - reach) and down[start - 1] > ONSET_SHARE * fastest:
        start -= 1
    end = middle
    while end < min(len(down) - 1, middle + reach) and down[end + 1] > IMPACT_SHARE * fastest:
        end += 1
    return float(course.time_s[start]), float(course.time_s[end])


def find_events(
    one: Body, probability: Array, threshold: float, person: int = 0, course: Course | None = None
) -> tuple[FallEvent, ...]:
    """The falls in a smoothed probability (G,) of a body: one event for each, in time order.

    Args:
        probability: of ``smoothed``, one value a moment of the body.
        threshold: 0..1, an event reaches it.
        course: of the body, when it is known already.
    """
    runs = _runs(probability >= threshold)
    if not runs:
        return ()
    course = course or Course.of(one)
    found: list[FallEvent] = []
    for start, end in runs:
        peak = start + int(np.argmax(probability[start:end]))
        event = _event(course, float(one.time_s[peak]), float(probability[peak]), person)
        before = found[-1] if found else None
        if before is not None and not _another(before, event):
            if event.peak_probability > before.peak_probability:
                event = replace(event, onset_s=min(before.onset_s, event.onset_s))
                found[-1] = event
            continue
        found.append(event)
    return tuple(found)


def _another(before: FallEvent, event: FallEvent) -> bool:
    """Whether this is a fall of its own: after standing up, or long after the last one."""
    if before.recovered_s <= event.onset_s:
        return True
    return event.peak_s - before.peak_s > SAME_FALL_S and not (
        math.isfinite(before.lying_s) and before.lying_s + before.lying_for_s >= event.onset_s
    )


def _event(course: Course, peak_s: float, probability: float, person: int) -> FallEvent:
    onset_s, impact_s = drop_times(course, peak_s)
    lying_s, lying_for_s = _lying(course, impact_s)
    return FallEvent(
        person, onset_s, impact_s, lying_s, lying_for_s, peak_s, probability, _recovery(course, onset_s, impact_s)
    )


def _lying(course: Course, impact_s: float) -> tuple[float, float]:
    low = (course.trunk_deg >= LYING_DEG) | (course.head_over_foot_h <= LYING_HEAD_H)
    first = np.searchsorted(course.time_s, impact_s - 1e-9)
    for start, end in _runs(low[first:]):
        if (end - start) * STEP_S >= HOLD_S:
            return float(course.time_s[first + start]), float((end - start) * STEP_S)
    return math.nan, math.nan


def _recovery(course: Course, onset_s: float, impact_s: float) -> float:
    def level(start_s: float, end_s: float) -> float:
        inside = course.level_h[(course.time_s >= start_s - 1e-9) & (course.time_s <= end_s + 1e-9)]
        inside = inside[np.isfinite(inside)]
        return float(np.median(inside)) if len(inside) else math.nan

    stood, fell = level(onset_s - 0.6, onset_s), level(impact_s, impact_s + 1.0)
    if not stood > fell:
        return math.nan
    up = (course.level_h - fell >= RISEN_SHARE * (stood - fell)) & (course.trunk_deg <= UPRIGHT_DEG)
    first = int(np.searchsorted(course.time_s, impact_s + 0.5))
    for start, end in _runs(up[first:]):
        if (end - start) * STEP_S >= HOLD_S:
            return float(course.time_s[first + start])
    return math.nan


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, end) of each run of True, end excluded."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
