"""How good a fall detector is: events, not windows. Recall, precision, F1, false alarms an hour, onset error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from pipeline.falls.events import FallEvent, find_events
from pipeline.poses import Array
from pipeline.synthetic.timeline import FallTimes
from pipeline.training.fall_data import Windows, well_seen

MATCH_S = 1.5  # an alarm belongs to a fall when its impact is this near to the fall's time


def match(events: Sequence[FallEvent], falls: Sequence[FallTimes]) -> list[tuple[FallEvent, FallTimes]]:
    """Each fall with its nearest alarm; an alarm belongs to one fall at most."""
    pairs = []
    left = list(events)
    for fall in falls:
        near = [e for e in left if fall.onset_s - MATCH_S <= e.impact_s and e.onset_s <= fall.impact_s + MATCH_S]
        if near:
            best = min(near, key=lambda event: abs(event.impact_s - fall.impact_s))
            left.remove(best)
            pairs.append((best, fall))
    return pairs


@dataclass
class Tally:
    """Counts over clips; rates with exact 95 % intervals."""

    falls: int = 0
    found: int = 0
    false_alarms: int = 0
    hours: float = 0.0
    onset_errors_s: list[float] = field(default_factory=list)
    by_group: dict[str, list[int]] = field(default_factory=dict)  # found, missed, false

    def add(self, group: str, events: Sequence[FallEvent], falls: Sequence[FallTimes], hours: float) -> None:
        """One person of one clip; the hours count where nobody falls."""
        pairs = match(events, falls)
        wrong = len(events) - len(pairs)
        self.falls += len(falls)
        self.found += len(pairs)
        self.false_alarms += wrong
        self.hours += hours
        self.onset_errors_s += [event.onset_s - fall.onset_s for event, fall in pairs]
        row = self.by_group.setdefault(group, [0, 0, 0])
        for place, count in enumerate((len(pairs), len(falls) - len(pairs), wrong)):
            row[place] += count

    @property
    def missed(self) -> float:
        return 1 - self.found / self.falls if self.falls else float("nan")

    @property
    def missed_interval(self) -> tuple[float, float]:
        """Exact binomial (Clopper and Pearson 1934)."""
        if not self.falls:
            return float("nan"), float("nan")
        interval = stats.binomtest(self.falls - self.found, self.falls).proportion_ci(method="exact")
        return float(interval.low), float(interval.high)

    def rate_interval(self) -> tuple[float, float, float]:
        """False alarms an hour and its exact Poisson interval (Garwood 1936)."""
        return poisson_rate(self.false_alarms, self.hours)

    def f1(self) -> float:
        return _f1(self.found, self.falls - self.found, self.false_alarms)

    def f1_interval(self, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
        """95 % by drawing groups (all cameras of a take together) with replacement."""
        rows = np.array(list(self.by_group.values())).reshape(-1, 3)
        if not len(rows):
            return float("nan"), float("nan")
        rng = np.random.default_rng(seed)
        drawn = rows[rng.integers(0, len(rows), (draws, len(rows)))].sum(axis=1)
        values = [_f1(*row) for row in drawn]
        return float(np.nanquantile(values, 0.025)), float(np.nanquantile(values, 0.975))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain numbers."""
        rate, low, high = self.rate_interval()
        f1_low, f1_high = self.f1_interval()
        missed_low, missed_high = self.missed_interval
        errors = np.abs(self.onset_errors_s) if self.onset_errors_s else np.array([np.nan])
        made = self.found + self.false_alarms
        values = {
            "falls": self.falls, "found": self.found, "false_alarms": self.false_alarms,
            "recall": 1 - self.missed, "recall_low": 1 - missed_high, "recall_high": 1 - missed_low,
            "precision": self.found / made if made else float("nan"),
            "f1": self.f1(), "f1_low": f1_low, "f1_high": f1_high,
            "hours": self.hours, "false_alarms_per_h": rate, "false_alarms_per_h_low": low,
            "false_alarms_per_h_high": high, "onset_error_median_s": float(np.median(errors)),
            "onset_error_90_s": float(np.quantile(errors, 0.9)),
        }  # fmt: skip
        return {name: (round(float(v), 4) if np.isfinite(v) else None) for name, v in values.items()}


def _f1(found: int, missed: int, false: int) -> float:
    total = 2 * found + missed + false
    return 2 * found / total if total else float("nan")


def poisson_rate(count: int, hours: float) -> tuple[float, float, float]:
    """Events an hour with the exact two-sided 95 % interval (Garwood 1936); NaN when nothing was observed."""
    if hours <= 0:
        return float("nan"), float("nan"), float("nan")
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return count / hours, float(low) / hours, float(stats.chi2.ppf(0.975, 2 * (count + 1)) / 2) / hours


Detector = Callable[[Windows], Sequence[FallEvent]]


def tally(windows: Sequence[Windows], detect: Detector, keep: Callable[[str], bool] = lambda _: True) -> Tally:
    """Counts over the whole examples of the sources that ``keep`` accepts; falls that nobody can see are left out."""
    total = Tally()
    for one in windows:
        if one.cut or not keep(one.example.source) or not well_seen(one):
            continue
        hours = 0.0 if one.example.falls else len(one.grid) * 0.1 / 3600
        total.add(one.example.group, detect(one), one.example.falls, hours)
    return total


def detector_of(curves: dict[int, Array], threshold: float) -> Detector:
    """The alarms in smoothed probabilities, by ``id`` of their windows; looked for once each."""
    found: dict[int, Sequence[FallEvent]] = {}

    def detect(one: Windows) -> Sequence[FallEvent]:
        if id(one) not in found:
            found[id(one)] = find_events(one.grid, curves[id(one)], threshold, course=one.course)
        return found[id(one)]

    return detect
