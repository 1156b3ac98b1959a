"""Falls of everybody in a clip: features, forest, events."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.falls.events import FallEvent, find_events, smoothed
from pipeline.falls.features import body, features
from pipeline.falls.forest import DEFAULT_SENSITIVITY, FallForest, OperatingPoint, load_forest
from pipeline.falls.people import joined
from pipeline.poses import SCHEMA_VERSION, Array, PoseSequence, Recording


class FallError(ValueError):
    """Falls were asked for that cannot be told; the message says why."""


@dataclass(frozen=True, eq=False)
class PersonFalls:
    """One person's falls and the probability over time.

    Attributes:
        time_s, probability: (G,) ten a second; the probability that a fall is centred there, smoothed.
        seen_s: how long the person was seen.
    """

    person: int
    time_s: Array
    probability: Array
    events: tuple[FallEvent, ...]
    seen_s: float

    def to_json(self, *, curves: bool = False) -> dict[str, Any]:
        """Plain values, the probability too when asked for."""
        entry: dict[str, Any] = {
            "person": self.person,
            "seen_s": round(self.seen_s, 3),
            "peak_probability": round(float(self.probability.max()), 3) if len(self.probability) else 0.0,
            "events": [event.to_json() for event in self.events],
        }
        if curves:
            entry["probability"] = {
                "time_s": [round(float(t), 3) for t in self.time_s],
                "value": [round(float(p), 4) for p in self.probability],
            }
        return entry


@dataclass(frozen=True, eq=False)
class FallReport:
    """The falls of everybody in a clip, at one operating point."""

    people: tuple[PersonFalls, ...]
    point: OperatingPoint
    length_s: float

    @property
    def events(self) -> tuple[FallEvent, ...]:
        """Of everybody, in time order."""
        return tuple(sorted((e for one in self.people for e in one.events), key=lambda event: event.onset_s))

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if not self.people:
            return "Nobody was seen, so nobody fell."
        if not self.events:
            return "No fall."
        count = len(self.events)
        times = ", ".join(f"{event.impact_s:.1f} s" for event in self.events)
        return f"{count} fall{'s' if count > 1 else ''}: impact at {times}."

    def to_json(self, *, curves: bool = False) -> dict[str, Any]:
        """Plain values, ``schema_version`` included."""
        return {
            "schema_version": SCHEMA_VERSION,
            "sensitivity": self.point.name,
            "threshold": round(self.point.threshold, 4),
            "expected": self.point.text,
            "summary": self.summary,
            "length_s": round(self.length_s, 3),
            "events": [event.to_json() for event in self.events],
            "people": [one.to_json(curves=curves) for one in self.people],
        }


def detect_falls(
    source: Recording | PoseSequence,
    person: int | None = None,
    sensitivity: str = DEFAULT_SENSITIVITY,
    model: FallForest | None = None,
) -> FallReport:
    """The falls in a clip.

    Args:
        source: everybody in a clip, or one person.
        person: only this one; None is everybody.
        sensitivity: name of an operating point, "very cautious" to "very sensitive".
        model: None is the shipped one.

    Raises:
        FallError: there is no such person. FallModelError: no such sensitivity, or no model.
    """
    forest = model or load_forest()
    point = forest.point(sensitivity)
    given = (source,) if isinstance(source, PoseSequence) else source.people
    people = joined(tuple(given))
    if person is not None:
        people = tuple(one for one in people if one.person == person)
        if not people and person not in [one.person for one in given]:
            ids = ", ".join(str(one.person) for one in given) or "nobody"
            raise FallError(f"there is no person {person} in this clip; there is: {ids}.")
    times = source.time_s
    length_s = float(times[-1] - times[0]) if len(times) else 0.0
    return FallReport(tuple(_person(one, forest, point) for one in people), point, length_s)


def _person(one: PoseSequence, forest: FallForest, point: OperatingPoint) -> PersonFalls:
    seen_part = one.select(slice(*_seen_range(one)))
    grid = body(seen_part)
    table = features(grid)
    probability = smoothed(forest.probability(table))
    events = find_events(grid, probability, point.threshold, one.person)
    explained = tuple(
        replace(event, reasons=forest.reasons(table, _row(grid.time_s, event.peak_s))) for event in events
    )
    seen_s = float(np.diff(one.time_s, append=one.time_s[-1])[one.seen].sum()) if len(one) else 0.0
    return PersonFalls(one.person, grid.time_s, probability, explained, seen_s)


def _seen_range(one: PoseSequence) -> tuple[int, int]:
    frames = np.flatnonzero(one.seen)
    return (int(frames[0]), int(frames[-1]) + 1) if len(frames) else (0, 0)


def _row(times: Array, moment_s: float) -> int:
    return int(np.argmin(np.abs(times - moment_s))) if math.isfinite(moment_s) else 0
