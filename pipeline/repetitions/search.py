"""Which curve carries the movement, and where its repetitions are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.repetitions import cycles as cyc
from pipeline.repetitions.cycles import Indices
from pipeline.repetitions.results import Repetition, RepetitionParameters, RepetitionSet
from pipeline.repetitions.signals import (
    DRIFT_S,
    GRID_HZ,
    SIDE_ANGLES,
    SIGNAL_NAMES,
    Signals,
    candidate_signals,
    smoothed,
)

_Reading = tuple[str, tuple[tuple[Indices, Indices], ...]]  # a curve's name, its turning points run by run


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One reading of the movement: a curve, its turning points by run, the cycles and how alike they are."""

    name: str
    turns: tuple[tuple[Indices, Indices], ...]
    rest: int
    cycles: Indices
    likeness: Array
    kept: NDArray[np.bool_]
    score: float


def find_repetitions(
    sequence: PoseSequence, parameters: RepetitionParameters | None = None, *, signal: str | None = None
) -> RepetitionSet:
    """The repetitions of whatever movement this person repeats, and the curve that shows them best.

    Every candidate curve (``SIGNAL_NAMES``) is read with several hystereses. A reading scores by how much of all the
    body's movement lies in its cycles, how alike these are over the whole posture (each to its neighbours), and how
    well their duration agrees with the posture's autocorrelation; the best one is taken, and cycles that don't fit it
    are left out. A single repetition has nothing to be compared with, so it must run back as it came, be large, and
    end where it began.

    Args:
        sequence: one person; any frame rate, size and place in the picture.
        parameters: ``RepetitionParameters()`` when left out.
        signal: read only this curve, one of ``SIGNAL_NAMES``.

    Raises:
        ValueError: ``signal`` is not one of the names.
    """
    if signal is not None and signal not in SIGNAL_NAMES:
        raise ValueError(f"There is no signal {signal!r}; choose one of: {', '.join(SIGNAL_NAMES)}.")
    rules = parameters or RepetitionParameters()
    signals = candidate_signals(sequence, rules.max_gap_s)
    if not len(signals):
        return RepetitionSet.none(sequence.person)
    names = SIGNAL_NAMES if signal is None else (signal,)
    best = _best(signals, names, rules)
    if best is None:
        return RepetitionSet.none(sequence.person)
    return _result(sequence.person, signals, best, rules)


def _best(signals: Signals, names: Sequence[str], rules: RepetitionParameters) -> _Candidate | None:
    motion = _motion(signals, rules)
    readings = [reading for name in names for reading in _readings(signals, name, rules)]
    scored = [candidate for reading in readings if (candidate := _scored(signals, reading, motion, rules)) is not None]
    for candidate in sorted(scored, key=lambda one: -one.score)[:TRIES]:
        if _convincing(signals, candidate, rules):
            return _from_rest(signals, candidate, motion, rules)
    return _single(signals, readings, motion, rules)


CLEARLY = 0.85  # a likeness below this share of the other's decides between two readings
TRIES = 20  # readings, best first, that are looked at before a set is given up


@dataclass(frozen=True, eq=False)
class _Motion:
    """The whole posture over time: its spaces, how far it has travelled in each, and at which lags it repeats."""

    spaces: tuple[Array, ...]
    paths: tuple[Array, ...]
    rhythm: Array
    symmetric_rhythm: Array

    def share(self, found: Indices) -> Array:
        """(K,) the part of all movement that lies in each cycle."""
        parts = [(path[found[:, 2]] - path[found[:, 0]]) / max(path[-1], 1e-9) for path in self.paths]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)


def _motion(signals: Signals, rules: RepetitionParameters) -> _Motion:
    seen = np.isfinite(signals.values).any(axis=1)
    spaces = (signals.body, signals.symmetric)
    lags = max(1, min(len(signals), int(rules.max_duration_s * GRID_HZ) + 3))
    body, symmetric = (cyc.periodicity(space - smoothed(space, DRIFT_S), seen, lags) for space in spaces)
    paths = tuple(_path_length(space, seen) for space in spaces)
    return _Motion(spaces, paths, np.maximum(body, symmetric), symmetric)


def _path_length(space: Array, seen: NDArray[np.bool_]) -> Array:
    """(N,) how far the posture has travelled since the start; what was not seen is not movement."""
    step = np.linalg.norm(np.diff(space, axis=0), axis=1)
    step[~(seen[1:] & seen[:-1])] = 0.0
    return np.concatenate([[0.0], np.cumsum(step)])


def _readings(signals: Signals, name: str, rules: RepetitionParameters) -> list[_Reading]:
    """The turning points of one curve, by run, for each hysteresis that finds different ones."""
    curve = signals[name]
    finite = curve[np.isfinite(curve)]
    if len(finite) < 3:
        return []
    low, high = np.percentile(finite, (2.5, 97.5))
    readings, known = [], set()
    pieces = [
        (start + a, curve[start + a : start + b]) for start, end in signals.runs for a, b in _finite(curve[start:end])
    ]
    for share in rules.hysteresis:
        threshold = max(share * (high - low), rules.min_travel / 3)
        turns = []
        for offset, piece in pieces:
            positions, signs = cyc.turning_points(piece, threshold)
            turns.append((positions + offset, signs))
        key = b"|".join(positions.tobytes() for positions, _ in turns)
        if key not in known and any(len(positions) > 2 for positions, _ in turns):
            known.add(key)
            readings.append((name, tuple(turns)))
    return readings


def _finite(values: Array) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.isfinite(values).astype(int), [0]])))
    return [(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a >= 3]


def _cycles(turns: tuple[tuple[Indices, Indices], ...], rest: int) -> Indices:
    found = [cyc.cycles(positions, signs, rest) for positions, signs in turns]
    return np.concatenate(found) if found else np.empty((0, 3), dtype=np.int_)


def _possible(signals: Signals, found: Indices, rules: RepetitionParameters) -> NDArray[np.bool_]:
    """Which cycles have a repetition's duration and end where they began."""
    duration_s = (found[:, 2] - found[:, 0]) / GRID_HZ
    moved = signals.boxes[found[:, 2]] - signals.boxes[found[:, 0]]
    shift = np.minimum(np.abs(moved[:, 0]), np.abs(moved[:, 2]))  # both sides must have moved on
    return (duration_s >= rules.min_duration_s) & (duration_s <= rules.max_duration_s) & ~(shift > rules.max_shift)


def _amplitudes(curve: Array, found: Indices) -> Array:
    """(K,) the smaller of the way there and the way back."""
    return np.minimum(np.abs(curve[found[:, 1]] - curve[found[:, 0]]), np.abs(curve[found[:, 1]] - curve[found[:, 2]]))


def _scored(
    signals: Signals,
    reading: _Reading,
    motion: _Motion,
    rules: RepetitionParameters,
    rest: int | None = None,
) -> _Candidate | None:
    """A reading's cycles, which of them belong together, and how well they explain the movement."""
    name, turns = reading
    if rest is None:
        rest = 1 if len(_cycles(turns, 1)) >= len(_cycles(turns, -1)) else -1
    found = _cycles(turns, rest)
    found = found[_possible(signals, found, rules)]
    if len(found) < 2:
        return None
    each = [cyc.likeness(cyc.normalised(space, found)) for space in motion.spaces]
    likeness = max(each, key=lambda values: float(np.median(values)))
    kept = likeness >= rules.min_likeness
    if not kept.any():
        return None
    duration = (found[:, 2] - found[:, 0]).astype(float)
    amplitude = _amplitudes(signals[name], found)
    typical_s, typical = np.median(duration[kept]), np.median(amplitude[kept])
    kept &= amplitude >= rules.min_amplitude * typical
    kept &= (duration < rules.max_duration_ratio * typical_s) & (duration > typical_s / rules.max_duration_ratio)
    count = int(kept.sum())
    if not count:
        return None
    lag = int(np.median(duration[kept]))
    regular = float(motion.rhythm[max(lag - 2, 0) : lag + 3].max(initial=0.0))
    halves = float(motion.symmetric_rhythm[lag // 2 : lag // 2 + 2].max(initial=0.0))  # two repetitions in one cycle
    explained = float((np.square(likeness.clip(0)) * motion.share(found) * kept).sum())
    score = explained * (regular + 0.1) * (1 - halves) * count / (count + 1)
    return _Candidate(name, turns, rest, found, likeness, kept, score)


def _travel(signals: Signals, found: Indices) -> tuple[Array, Array, Array]:
    """(K,) each: how far the joint that moves most goes, the mean of left and right, and both of them together."""
    left, right = signals.places[:, 1::2], signals.places[:, 2::2]
    means = _extent((left + right) / 2, found)
    together = np.minimum(means, np.minimum(_extent(left, found), _extent(right, found)))  # NaN: one side is hidden
    anyone = _extent(signals.places, found)
    return np.fmax.reduce(anyone, axis=1), np.fmax.reduce(means, axis=1), np.fmax.reduce(together, axis=1)


def _bend(signals: Signals, found: Indices) -> Array:
    """(K,) by how many radians the joint that bends most changes its angle in each cycle."""
    bends = [signals[name] for name in SIDE_ANGLES]
    return np.asarray(np.fmax.reduce(_extent(np.stack(bends, axis=1), found), axis=1), dtype=np.float64)


def _extent(values: Array, found: Indices) -> Array:
    """(K, C) highest minus lowest of each column in each cycle."""
    flat = values.reshape(len(values), -1)
    return np.array([np.fmax.reduce(flat[a : b + 1]) - np.fmin.reduce(flat[a : b + 1]) for a, _, b in found.tolist()])


def _convincing(signals: Signals, candidate: _Candidate, rules: RepetitionParameters) -> bool:
    """Whether a set is alike enough for its size, and moves enough."""
    kept = candidate.cycles[candidate.kept]
    count, likeness = len(kept), candidate.likeness[candidate.kept].mean()
    if count < 2 or likeness < rules.min_set_likeness + rules.few_likeness / count:
        return False
    anyone, _, together = (np.median(travel) for travel in _travel(signals, kept))
    one_sided = anyone >= rules.min_one_sided_travel and np.median(_bend(signals, kept)) >= rules.min_one_sided_bend
    return bool(together >= rules.min_travel or one_sided)


def _from_rest(signals: Signals, candidate: _Candidate, motion: _Motion, rules: RepetitionParameters) -> _Candidate:
    """The same reading with its cycles beginning at rest: where they are clearly more alike, else where
    more of them are whole, else where more time is spent.
    """
    other = _scored(signals, (candidate.name, candidate.turns), motion, rules, -candidate.rest)
    if other is None or not _convincing(signals, other, rules):
        return candidate
    likeness = [float(one.likeness[one.kept].mean()) for one in (candidate, other)]
    count = [int(one.kept.sum()) for one in (candidate, other)]
    if min(likeness) < CLEARLY * max(likeness):
        return candidate if likeness[0] > likeness[1] else other
    if count[0] != count[1]:
        return candidate if count[0] > count[1] else other
    curve = signals[candidate.name]
    kept = candidate.cycles[candidate.kept]
    low, high = np.sort(np.median(curve[kept[:, :2]], axis=0))
    level = (curve[np.isfinite(curve)] - low) / max(high - low, 1e-9)
    rest = 1 if (level > 0.75).sum() >= (level < 0.25).sum() else -1
    return candidate if candidate.rest == rest else other


def _single(
    signals: Signals, readings: Sequence[_Reading], motion: _Motion, rules: RepetitionParameters
) -> _Candidate | None:
    """One lone repetition: it must run back as it came, end as it began, be large and be most of what happens."""
    best: _Candidate | None = None
    for name, turns in readings:
        for rest in (1, -1):
            found = _cycles(turns, rest)
            found = found[_possible(signals, found, rules)]
            found = found[motion.share(found) >= rules.single_share]
            for cycle in found:
                trimmed = _trimmed(signals[name], cycle, rules)
                score = _lone_score(signals, motion, trimmed, rules)
                if score > 0 and (best is None or score > best.score):
                    likeness = np.array([min(score, 1.0)])
                    best = _Candidate(name, turns, rest, cycle[None], likeness, np.ones(1, dtype=bool), score)
    return best


def _lone_score(signals: Signals, motion: _Motion, cycle: Indices, rules: RepetitionParameters) -> float:
    """0 for what is no lone repetition, else likeness of both ways x closeness of both ends x share of all movement."""
    share = float(motion.share(cycle[None])[0])
    if share < rules.single_share:
        return 0.0
    start, turn, end = cycle.tolist()
    reversal, gap = [], []
    for space in motion.spaces:
        there, back = cyc.ways(space, start, turn, end)
        reversal.append(float(cyc.alike(there[None], back[None])[0]))
        away = min(np.linalg.norm(space[turn] - space[start]), np.linalg.norm(space[turn] - space[end]))
        gap.append(float(np.linalg.norm(space[end] - space[start]) / max(away, 1e-9)))
    anyone, both, _ = (float(value[0]) for value in _travel(signals, cycle[None]))
    even = both >= rules.single_symmetry * anyone and both >= rules.single_travel
    one_limb = both < rules.min_travel and float(_bend(signals, cycle[None])[0]) >= rules.min_one_sided_bend
    if not (even or one_limb) or min(reversal) < rules.single_likeness or gap[0] > rules.single_gap:
        return 0.0
    return min(reversal) * share * (1 - gap[0])


def _result(person: int, signals: Signals, best: _Candidate, rules: RepetitionParameters) -> RepetitionSet:
    curve = signals[best.name]
    kept = best.cycles[best.kept]
    amplitude = float(np.median(_amplitudes(curve, kept)))
    repetitions = [
        _repetition(person, signals.time_s, curve, cycle, likeness, rules)
        for cycle, likeness in zip(kept, best.likeness[best.kept], strict=True)
    ]
    repetitions += _cut_off(person, signals, best, amplitude, rules)
    repetitions.sort(key=lambda repetition: repetition.turn_s)
    complete = [repetition.duration_s for repetition in repetitions if repetition.complete]
    return RepetitionSet(
        person,
        tuple(repetitions),
        best.name,
        signals.time_s,
        curve,
        "rad" if best.name.endswith("_angle") else "trunk lengths",
        float(np.median(complete)) if complete else float("nan"),
    )


def _trimmed(curve: Array, cycle: Indices, rules: RepetitionParameters) -> Indices:
    """The cycle without the rest before and after it."""
    start, turn, end = (int(index) for index in cycle)
    there, back = abs(curve[turn] - curve[start]), abs(curve[turn] - curve[end])
    leaves = np.abs(curve[start : turn + 1] - curve[start]) <= rules.rest_band * there
    returns = np.abs(curve[turn : end + 1] - curve[end]) <= rules.rest_band * back
    return np.array([start + int(np.flatnonzero(leaves)[-1]), turn, turn + int(np.flatnonzero(returns)[0])])


def _repetition(
    person: int, time_s: Array, curve: Array, cycle: Indices, likeness: float, rules: RepetitionParameters
) -> Repetition:
    """A cycle as a repetition; incomplete when one of the two ways is cut short."""
    there, back = np.abs(curve[cycle[1]] - curve[cycle[[0, 2]]])
    full = max(there, back)
    first, turn, last = _trimmed(curve, cycle, rules).tolist()
    return Repetition(
        person,
        float(time_s[first]),
        float(time_s[turn]),
        float(time_s[last]),
        bool(min(there, back) >= rules.cut_off_share * full),
        float(np.clip(likeness, 0, 1)),
        float(full),
    )


def _cut_off(
    person: int, signals: Signals, best: _Candidate, amplitude: float, rules: RepetitionParameters
) -> list[Repetition]:
    """What is seen of repetitions that were under way when a run began or ended."""
    curve, found = signals[best.name], []
    confidence = 0.5 * float(np.median(best.likeness[best.kept]).clip(0, 1))
    limit = float(np.max(best.cycles[best.kept, 2] - best.cycles[best.kept, 0]))
    for positions, signs in best.turns:
        if len(positions) < 2:
            continue
        pairs = [(positions[0], positions[1])] if signs[0] == -best.rest else []
        pairs += [(positions[-1], positions[-2])] if signs[-1] == -best.rest else []
        for turn, rest in pairs:
            way = abs(curve[turn] - curve[rest])
            if way < rules.cut_off_share * amplitude or abs(turn - rest) > limit:
                continue
            start, end = sorted((int(turn), int(rest)))
            found.append(
                Repetition(
                    person,
                    float(signals.time_s[start]),
                    float(signals.time_s[turn]),
                    float(signals.time_s[end]),
                    False,
                    confidence,
                    float(way),
                )
            )
    return found
